"""Reading states as ``geth dump`` prints them, account by account, whatever their size.

There are two forms: one JSON object, ``{"root": ..., "accounts": {address: {...}, ...}}``, and, of ``geth dump --iterative``, an object a
line, the first of which has the root and each other an account. An account has ``balance``, ``nonce``, ``root``, ``codeHash``, and where
there are such ``code``, ``storage``, ``address`` and ``key``, which is the keccak of the address. Keys of ``storage`` are slots, or the
keccak of slots in dumps of older versions: which of them, its root decides. Values are numbers in hexadecimal. What geth knows by its
hash alone it leaves out, unless told otherwise: it must keep preimages (``--cache.preimages``), and accounts need ``--incompletes``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from devp2p import keccak256, rlp
from devp2p.capabilities.ethereum.store.additions import Misfit
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT, ordered_root

_CHUNK: Final = 256 * 1024
_HASH: Final = 32
_ADDRESS: Final = 20
_WORD: Final = 2**256
_TOKEN: Final = 16
"""Characters: a value that fails so near to the end of what was read may only be cut off."""
_HINT: Final = "dump it without --nostorage, and have geth keep preimages (--cache.preimages) from its init on"
_SPACE: Final = " \t\r\n"


class Text(Protocol):
    """What is read of a file."""

    def read(self, size: int, /) -> str:
        """Return up to `size` characters, none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class DumpedAccount:
    """An account of a dump: what its leaf says, its code if that is given, and the leaves of its storage, whose root is right."""

    key: bytes
    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes
    code: bytes | None
    storage: tuple[tuple[bytes, bytes], ...]


class Dump:
    """A dump that is being read: `root` is there at once, or None if it does not say it; `accounts` reads on."""

    def __init__(self, text: Text) -> None:
        self._json = _Json(text)
        self.root: bytes | None = None
        self._first: Iterator[DumpedAccount] = iter(())
        self._json.expect("{", "a dump begins with {")
        self._in_one = self._read_head()

    def accounts(self) -> Iterator[DumpedAccount]:
        """Iterate over the accounts; Misfit says where something is no dump, or where one is not complete."""
        yield from self._in_object() if self._in_one else self._in_lines()

    def _read_head(self) -> bool:
        """Read up to the first account; whether all of the dump is in one object."""
        if self._json.accept("}"):
            raise Misfit("an empty object, where a dump has a root and accounts")
        while True:
            name = self._json.name()
            if name == "root":
                self.root = _bytes(self._json.value(), _HASH, "root")
            elif name == "accounts":
                self._json.expect("{", "accounts are an object")
                return True
            else:
                raise Misfit(f"{name!r} where a dump has its root: first root, then accounts, or a line with the root alone")
            if self._json.accept("}"):
                return False
            self._json.expect(",", "members of an object are separated")

    def _in_object(self) -> Iterator[DumpedAccount]:
        more = not self._json.accept("}")
        while more:
            name = self._json.name()
            yield _account(self._json.value(), name)
            more = self._json.accept(",")
            if not more:
                self._json.expect("}", "accounts are an object")
        while self._json.accept(","):
            if self._json.name() == "next" and self._json.value() is not None:
                raise Misfit("the dump is a part of a state (it has `next`): make one of all accounts")
        self._json.expect("}", "a dump is one object")
        self._json.expect("", "nothing comes behind a dump")

    def _in_lines(self) -> Iterator[DumpedAccount]:
        while not self._json.accept(""):
            yield _account(self._json.value(), "")


class _Json:
    """JSON of which no more is in memory than one value."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._buffer = ""
        self._at = 0
        self._passed = 0
        self._ended = False
        self._decoder = json.JSONDecoder()

    def accept(self, token: str) -> bool:
        """Pass over a character if it is next, or for an empty one tell whether the text ends here."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._buffer):
                break
            if not self._read():
                return not token
        if not token or self._buffer[self._at] != token:
            return False
        self._at += 1
        return True

    def expect(self, token: str, why: str) -> None:
        if not self.accept(token):
            raise Misfit(f"character {self._passed + self._at}: {token or 'the end'} is missing: {why}")

    def name(self) -> str:
        """Read the name of a member, and the colon behind it."""
        value = self.value()
        if not isinstance(value, str):
            raise Misfit(f"character {self._passed + self._at}: a name is expected, not {value!r:.40}")
        self.expect(":", "a value comes behind its name")
        return value

    def value(self) -> Any:  # noqa: ANN401  (whatever JSON has)
        """Read a value."""
        if self.accept(""):
            raise Misfit(f"character {self._passed + self._at}: the file ends in the middle of a dump")
        while True:
            try:
                value, at = self._decoder.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                is_short = error.pos > len(self._buffer) - _TOKEN or error.msg.startswith("Unterminated string")
                if not (is_short and self._read()):
                    raise Misfit(f"character {self._passed + error.pos}: {error.msg}") from None
                continue
            except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in thousands of lists
                raise Misfit(f"character {self._passed + self._at}: {error}") from None
            if at == len(self._buffer) and self._read():
                continue  # a number may go on
            self._at = at
            return value

    def _read(self) -> bool:
        """Read on, each time as much again as there is, so that a long value is not looked at too often; whether there was more."""
        more = self._text.read(max(_CHUNK, len(self._buffer) - self._at))
        self._passed += self._at
        self._buffer = self._buffer[self._at :] + more
        self._at = 0
        return bool(more)


def _account(fields: object, name: str) -> DumpedAccount:
    if not isinstance(fields, dict):
        raise Misfit(f"account {name or '?'}: an object is expected, not {fields!r:.40}")
    found = cast("Mapping[str, Any]", fields)
    address = found.get("address") or (name if not name.startswith("pre(") else None)
    try:
        key = _key(found, address)
        root = _bytes(found.get("root"), _HASH, "root")
        code = found.get("code")
        return DumpedAccount(
            key=key,
            nonce=_number(found.get("nonce"), 2**64, "nonce"),
            balance=_number(found.get("balance"), _WORD, "balance"),
            storage_root=root,
            code_hash=_bytes(found.get("codeHash"), _HASH, "codeHash"),
            code=None if code is None else _bytes(code, None, "code"),
            storage=_storage(found.get("storage") or {}, root),
        )
    except Misfit as fault:
        raise Misfit(f"account {address or name or found.get('key') or '?'}: {fault}") from None


def _key(fields: Mapping[str, Any], address: str | None) -> bytes:
    key = fields.get("key")
    if not address:
        return _bytes(key, _HASH, "key, the keccak of the address,")
    hashed = keccak256(_bytes(address, _ADDRESS, "address"))
    if key is not None and _bytes(key, _HASH, "key") != hashed:
        raise Misfit(f"key {key} is not the keccak of the address, 0x{hashed.hex()}")
    return hashed


def _storage(slots: object, root: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """The leaves of a storage trie that has this root."""
    if not isinstance(slots, dict):
        raise Misfit(f"storage is an object, not {slots!r:.40}")
    if not slots and root == EMPTY_ROOT:
        return ()
    values = {
        _bytes(key, _HASH, "a slot of the storage"): _bytes(value, None, f"slot {key}").lstrip(b"\0")
        for key, value in cast("Mapping[str, object]", slots).items()
    }
    for key, value in values.items():
        if not 0 < len(value) <= _HASH:
            raise Misfit(f"slot 0x{key.hex()} has {len(value)} bytes, where a number above 0 has 1 to 32")
    for hashed in (False, True):
        leaves = tuple(sorted((key if hashed else keccak256(key), rlp.encode_bytes(value)) for key, value in values.items()))
        if ordered_root(leaves) == root:
            return leaves
    if not values:
        raise Misfit(f"its storage, whose root is 0x{root.hex()}, is missing: {_HINT}")
    raise Misfit(f"its {len(values)} slots do not have the storage root that it says, 0x{root.hex()}; if some are missing: {_HINT}")


def _bytes(value: object, size: int | None, what: str) -> bytes:
    """Read hexadecimal digits, with or without 0x."""
    if isinstance(value, str):
        digits = value.removeprefix("0x")
        digits = digits if len(digits) % 2 == 0 else f"0{digits}"
        try:
            found = bytes.fromhex(digits)
        except ValueError:
            found = None
        if found is not None and 2 * len(found) == len(digits) and size in {None, len(found)}:  # `fromhex` passes over spaces
            return found
    raise Misfit(f"{what} is {f'{size} bytes' if size else 'bytes'} in hexadecimal, not {value!r:.80}")


def _number(value: object, end: int, what: str) -> int:
    """Read a number, or text of one, decimal as geth writes it or hexadecimal."""
    try:
        found = int(value, 16 if value.startswith("0x") else 10) if isinstance(value, str) and len(value) < 80 else value
    except ValueError:
        found = None
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < end:
        raise Misfit(f"{what} is a number from 0 to {end - 1}, not {value!r:.80}")
    return found
