"""Ethereum Node Records: what a node says about itself, signed by itself (EIP-778; enr.md of the devp2p specifications).

    record  = [signature, sequence, key, value, key, value, ...]        at most 300 bytes, keys sorted and different
    text    = "enr:" and the record's base64url form without padding
    sign    = r || s of keccak256([sequence, key, value, ...])           identity scheme "v4"

`Record` is one such record, complete and verified: there is none whose signature does not hold. Keys that the specification gives a
meaning (``ip``, ``tcp``, ...) are verified with it, so that reading them cannot fail later; all other values stay encoded, and whoever
gave them a meaning reads them by `Record.get_as`. `LocalRecord` keeps the record that a node publishes.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeAlias, TypeVar, overload

from devp2p import rlp
from devp2p.arguments import as_bytes, require, whole
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import NodeId, PrivateKey, PublicKey, keccak256
from devp2p.rlp import encode_list, list_bounds

T = TypeVar("T")

MAX_SIZE: Final = 300
"""The largest record, in bytes."""

Entries: TypeAlias = Mapping[str, object] | Mapping[bytes, object] | Mapping[str | bytes, object]
"""What to put into a record. Text keys stand for their UTF-8 form. A value is an IP address or its text (``ip``, ``ip6``), an int, a
str, a dataclass with an RLP schema, or, as bytes, one whole item that is encoded already."""

_HEADS: Final = (b"\xf8", b"\xf9\x01")
"""How a list of 66 to 300 bytes begins, whose size is in the second byte, or in the second and the third."""
WANTED_ENTRIES: Final = "entries of a record is a dict, such as {'tcp': 30303}"
_LEAST: Final = 3  # bytes that such a list begins with
_SIGNATURE_ITEM: Final = 66  # bytes, with its head
_PREFIX: Final = "enr:"
_MAX_TEXT: Final = len(_PREFIX) + (MAX_SIZE * 4 + 2) // 3
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")
_SCHEME: Final = b"v4"
_ADDRESSES: Final = frozenset({b"ip", b"ip6"})
_PORTS: Final = frozenset({b"tcp", b"tcp6", b"udp", b"udp6"})


@dataclass(frozen=True)
class SignedRecord:
    """The list that a record is."""

    signature: rlp.Bytes64
    sequence: rlp.U64
    pairs: rlp.Rest = ()


@dataclass(frozen=True)
class SignedContent:
    """The list that the signature is for."""

    sequence: rlp.U64
    pairs: rlp.Rest = ()


_SIGNED: Final = rlp.codec(SignedRecord)
_CONTENT: Final = rlp.codec(SignedContent)
_BYTES: Final = rlp.codec(bytes)
_PUBLIC_KEY: Final = rlp.codec(Annotated[bytes, rlp.Length(33)])
_STANDARD: Final[Mapping[bytes, rlp.Codec[Any]]] = {
    b"ip": rlp.codec(rlp.Bytes4),
    b"ip6": rlp.codec(Annotated[bytes, rlp.Length(16)]),
    **dict.fromkeys(_PORTS, rlp.codec(rlp.U16)),
}
"""The keys whose meaning the specification fixes, but for those of the identity scheme."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Record:
    """One verified record, made by `decode`, `parse` or `sign`. Equal to, and hashed as, its encoding."""

    sequence: int
    """Which of a node's records is the newest: the one with the highest number."""
    public_key: PublicKey
    """The key that signed it, and so the node's identity."""
    entries: Mapping[bytes, bytes]
    """All keys, in order, with their values, each as its RLP encoding."""
    _data: bytes

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> "Record":
        """Read a record and verify it; DecodingError says what is wrong with anything else."""
        data = as_bytes(data, "a record")
        if len(data) > MAX_SIZE:
            raise DecodingError(f"a record of {len(data)} bytes, where {MAX_SIZE} are allowed")
        signed = _SIGNED.decode(data)
        entries = _pair(signed.pairs)
        _require_scheme(entries.get(b"id"))
        for key in _STANDARD.keys() & entries.keys():
            _decode_value(key, entries[key], _STANDARD[key])
        if b"secp256k1" not in entries:
            raise DecodingError("a record without a public key")
        public_key = PublicKey.from_bytes(_decode_value(b"secp256k1", entries[b"secp256k1"], _PUBLIC_KEY))
        if not public_key.verify(keccak256(_signed_part(data)), signed.signature):
            raise DecodingError("a record that its own key has not signed")
        return cls(signed.sequence, public_key, MappingProxyType(entries), data)

    @classmethod
    def parse(cls, text: str) -> "Record":
        """Read ``enr:...``; DecodingError says what is wrong with anything else."""
        require(text, str, "a record's text is a str, 'enr:...'", "Record.decode(...) reads bytes")
        if not text.startswith(_PREFIX):
            raise DecodingError(f"a record's text begins with {_PREFIX}, not with {text[:8]!r}")
        if len(text) > _MAX_TEXT:  # before anything is made of it
            raise DecodingError(f"a record's text of {len(text)} characters, where {_MAX_TEXT} are allowed")
        body = text.removeprefix(_PREFIX)
        if not _BASE64URL.fullmatch(body) or len(body) % 4 == 1:
            raise DecodingError("a record's text that is not base64url without padding")
        data = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        try:
            if _base64url(data) != body:
                raise DecodingError("a record's text with bits set behind its last byte")
            return cls.decode(data)
        except DecodingError as error:
            slip = _slip(data)
            raise DecodingError(f"{slip} ({error})" if slip else str(error)) from None

    @classmethod
    def sign(cls, key: PrivateKey, sequence: int, entries: Entries) -> "Record":
        """Make the record of the node that holds ``key``.

        The keys ``id`` and ``secp256k1`` come with the signature and must not be among ``entries``. Values that do not fit, and a record
        of more than 300 bytes, raise LocalProtocolError.
        """
        return _sign(key, sequence, _encode_entries(entries))

    def encode(self) -> bytes:
        """The record as RLP."""
        return self._data

    @property
    def text(self) -> str:
        """The record as ``enr:...``."""
        return _PREFIX + _base64url(self._data)

    @property
    def id(self) -> NodeId:
        """The 32-byte node-ID (keccak256 of the public key)."""
        return self.public_key.node_id

    @property
    def ip(self) -> IPv4Address | None:
        """The node's IPv4 address."""
        packed = self._standard(b"ip", bytes)
        return None if packed is None else IPv4Address(packed)

    @property
    def ip6(self) -> IPv6Address | None:
        """The node's IPv6 address."""
        packed = self._standard(b"ip6", bytes)
        return None if packed is None else IPv6Address(packed)

    @property
    def tcp(self) -> int | None:
        """The port for RLPx."""
        return self._standard(b"tcp", int)

    @property
    def udp(self) -> int | None:
        """The port for discovery."""
        return self._standard(b"udp", int)

    @property
    def tcp6(self) -> int | None:
        """The port for RLPx at the IPv6 address, which is `tcp` where the record has none of its own for it."""
        return self._standard(b"tcp6", int) if b"tcp6" in self.entries else self.tcp

    @property
    def udp6(self) -> int | None:
        """The port for discovery at the IPv6 address, which is `udp` where the record has none of its own for it."""
        return self._standard(b"udp6", int) if b"udp6" in self.entries else self.udp

    def get(self, key: str | bytes) -> bytes | None:
        """The value of any key as its RLP encoding, or None."""
        return self.entries.get(_key_bytes(key))

    @overload
    def get_as(self, key: str | bytes, schema: type[T]) -> T | None: ...
    @overload
    def get_as(self, key: str | bytes, schema: object) -> Any: ...  # noqa: ANN401  (as rlp.codec, for a schema that is not a class)
    def get_as(self, key: str | bytes, schema: object) -> Any:
        """The value of any key by its schema (anything that `rlp.codec` takes), or None where the record has no such key.

        A value that is not of the schema raises DecodingError: signed is not well-formed.
        """
        key = _key_bytes(key)
        item = self.entries.get(key)
        return None if item is None else _decode_value(key, item, rlp.codec(schema))

    def _standard(self, key: bytes, _type: type[T]) -> T | None:
        item = self.entries.get(key)
        value: T | None = None if item is None else _STANDARD[key].decode(item)
        return value

    def __eq__(self, other: object) -> bool:
        return self._data == other._data if isinstance(other, Record) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._data)

    def __repr__(self) -> str:
        return f"<Record {self.id[:4].hex()} sequence {self.sequence}>"


class LocalRecord:
    """The record that this node publishes: signed anew, under the next sequence number, whenever something in it changes."""

    def __init__(self, key: PrivateKey, entries: Entries = MappingProxyType({}), *, last_sequence: int = 0) -> None:
        """Sign the first record, under the number after ``last_sequence``.

        That is the highest number that this key was ever used with, which the caller has kept: others ignore a record that is not newer
        than what they know.
        """
        whole(last_sequence, "last_sequence")
        self._key = key
        self._items = _encode_entries(entries)
        self._record = _sign(key, last_sequence + 1, self._items)

    @property
    def record(self) -> Record:
        """The record as it is now."""
        return self._record

    def update(self, entries: Entries) -> bool:
        """Change entries; a value of None removes one. Tells whether anything is different now, and the sequence number higher.

        What `Record.sign` refuses raises LocalProtocolError, and changes nothing.
        """
        require(entries, Mapping, WANTED_ENTRIES)
        items = dict(self._items)
        items.update(_encode_entries({key: value for key, value in entries.items() if value is not None}))
        for key, value in entries.items():
            if value is None:
                items.pop(_key_bytes(key), None)
        if items == self._items:
            return False
        self._record = _sign(self._key, self._record.sequence + 1, items)
        self._items = items
        return True


def _slip(data: bytes) -> str:
    """What most likely became of a text that is no record: one is a list, whose beginning says how long it is."""
    if len(data) < _LEAST or not data.startswith(_HEADS):
        return "the text is mistyped or cut short"
    size = 2 + data[1] if data.startswith(_HEADS[0]) else 3 + int.from_bytes(data[1:3], "big")
    return f"the text is cut short, {len(data)} of its {size} bytes are there" if len(data) < size else ""


def _sign(key: PrivateKey, sequence: int, items: Mapping[bytes, bytes]) -> Record:
    require(key, PrivateKey, "the key that signs a record is a PrivateKey", "PrivateKey.from_bytes(...) makes one")
    own = {b"id": rlp.encode(_SCHEME), b"secp256k1": rlp.encode(key.public_key.compressed)}
    if clash := own.keys() & items.keys():
        raise LocalProtocolError(f"{_quote(min(clash))} comes with the signature and cannot be given")
    entries = dict(sorted({**items, **own}.items()))
    pairs = tuple(part for name, item in entries.items() for part in (rlp.encode(name), item))
    signature = key.sign(keccak256(_CONTENT.encode(SignedContent(sequence, pairs))))[:64]
    data = _SIGNED.encode(SignedRecord(signature, sequence, pairs))
    if len(data) > MAX_SIZE:
        raise LocalProtocolError(f"a record of {len(data)} bytes, where {MAX_SIZE} are allowed: it must say less")
    return Record(sequence, key.public_key, MappingProxyType(entries), data)


def _signed_part(data: bytes) -> bytes:
    """What the signature of a record is for: the list without its first item. It is not encoded anew, since there is but one encoding."""
    start, _ = list_bounds(data, 0, len(data))
    return encode_list(data[start + _SIGNATURE_ITEM :])


def _encode_entries(entries: Entries) -> dict[bytes, bytes]:
    require(entries, Mapping, WANTED_ENTRIES)
    return {key: _encode_value(key, value) for name, value in entries.items() for key in [_key_bytes(name)]}


def _encode_value(key: bytes, value: object) -> bytes:
    try:
        if isinstance(value, bytes):
            rlp.decode(value)
            item = value
        elif key == b"ip" and isinstance(value, str | IPv4Address):
            item = rlp.encode(IPv4Address(value).packed)
        elif key == b"ip6" and isinstance(value, str | IPv6Address):
            item = rlp.encode(IPv6Address(value).packed)
        elif (isinstance(value, int) and key not in _ADDRESSES) or (isinstance(value, str) and key not in _PORTS):
            item = rlp.encode(value)
        elif is_dataclass(value) and not isinstance(value, type):
            item = rlp.codec(type(value)).encode(value)
        else:
            raise LocalProtocolError(f"{type(value).__name__} is not what can be its value")
        if key in _STANDARD:
            _STANDARD[key].decode(item)
    except (DecodingError, LocalProtocolError, ValueError) as error:
        raise LocalProtocolError(f"{_quote(key)}: {error}") from error
    return item


def _pair(parts: tuple[bytes, ...]) -> dict[bytes, bytes]:
    """Make keys and values of the items behind the sequence number."""
    if len(parts) % 2:
        raise DecodingError("a record whose last key has no value")
    entries: dict[bytes, bytes] = {}
    previous: bytes | None = None
    for encoded, item in zip(parts[::2], parts[1::2], strict=True):
        try:
            key = _BYTES.decode(encoded)
        except DecodingError as error:
            raise DecodingError(f"a record's key: {error}") from None
        if previous is not None and key <= previous:
            fault = "is there twice" if key == previous else f"comes after {_quote(previous)}"
            raise DecodingError(f"a record's keys are sorted, and {_quote(key)} {fault}")
        entries[key] = item
        previous = key
    return entries


def _require_scheme(item: bytes | None) -> None:
    if item is None:
        raise DecodingError("a record without an identity scheme")
    scheme = _decode_value(b"id", item, _BYTES)
    if scheme != _SCHEME:
        raise DecodingError(f"a record of the unknown identity scheme {_quote(scheme)}")


def _decode_value(key: bytes, item: bytes, codec: rlp.Codec[T]) -> T:
    try:
        return codec.decode(item)
    except DecodingError as error:
        raise DecodingError(f"the record's {_quote(key)}: {error}") from None


def _key_bytes(key: str | bytes) -> bytes:
    require(key, (str, bytes), "a key of a record is text or bytes")
    return key.encode() if isinstance(key, str) else key


def _quote(key: bytes) -> str:
    """Name a key, which can be any bytes, so that it can be printed; two of them in one complaint, at four characters a byte."""
    return ascii(key[:20].decode("latin-1"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
