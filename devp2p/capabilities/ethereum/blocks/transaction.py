"""Transactions (eth, "Transaction Encoding and Validity"): legacy ones, and those of types 1 to 4."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Self, TypeAlias

from devp2p import DecodingError, LocalProtocolError, PrivateKey, keccak256, rlp
from devp2p.capabilities.ethereum.blocks.forks import Fork
from devp2p.capabilities.ethereum.blocks.gas import floor_gas, intrinsic_gas
from devp2p.capabilities.ethereum.blocks.reading import Fields, envelope_of
from devp2p.capabilities.ethereum.blocks.sidecar import Sidecar
from devp2p.capabilities.ethereum.blocks.signing import Authorization, recover_address, sign_digest

AccessList: TypeAlias = "tuple[tuple[bytes, tuple[bytes, ...]], ...]"
"""Accounts and slots that a transaction says it will touch (EIP-2930): an address of 20 bytes, keys of 32."""
MAX_ENTRIES: Final = 65_536
"""Of each list in a transaction."""
BLOB_GAS: Final = 131_072
"""Of each blob (EIP-4844)."""

_FEES: Final = ("max_priority_fee", "max_fee")
_CALL: Final = ("gas_limit", "to", "value", "data")
_SIGNATURE: Final = ("v", "r", "s")
LAYOUTS: Final[tuple[tuple[str, ...], ...]] = (
    ("nonce", "gas_price", *_CALL, *_SIGNATURE),
    ("chain_id", "nonce", "gas_price", *_CALL, "access_list", *_SIGNATURE),
    ("chain_id", "nonce", *_FEES, *_CALL, "access_list", *_SIGNATURE),
    ("chain_id", "nonce", *_FEES, *_CALL, "access_list", "max_blob_fee", "blob_hashes", *_SIGNATURE),
    ("chain_id", "nonce", *_FEES, *_CALL, "access_list", "authorizations", *_SIGNATURE),
)
"""By type: the elements of a transaction, in order (EIP-155, 2930, 1559, 4844, 7702)."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Transaction:
    """A transaction of any type.

    Types 0 and 1 pay `gas_price`, others at most `max_fee` with at most `max_priority_fee` of it for the block's author; each of these can
    be asked of every transaction, in wei per gas. `to` is None where a contract is created. `chain_id` is None in a legacy transaction that
    any chain takes (one from before EIP-155). `v` is as it travels: the parity of y, or for type 0 what EIP-155 makes of it.

    `Transaction(...)` makes one, and `signed(key)` signs it; `decode` and `from_envelope` read it.
    """

    type: int = 2
    chain_id: int | None = None
    nonce: int = 0
    gas_price: int = 0
    max_fee: int = 0
    max_priority_fee: int = 0
    gas_limit: int = 21_000
    to: bytes | None = None
    value: int = 0
    data: bytes = b""
    access_list: AccessList = ()
    max_blob_fee: int = 0
    blob_hashes: tuple[bytes, ...] = ()
    authorizations: tuple[Authorization, ...] = ()
    v: int = 0
    r: int = 0
    s: int = 0
    sidecar: Sidecar | None = None
    """Of a transaction of type 3 in its network form."""

    def __post_init__(self) -> None:
        if not 0 <= self.type < len(LAYOUTS):
            raise LocalProtocolError(f"there is no transaction of type {self.type}; types are 0 to {len(LAYOUTS) - 1}")
        if self.type and self.chain_id is None:
            raise LocalProtocolError(f"a transaction of type {self.type} is for one chain; give its chain_id")
        if self.to is not None and len(self.to) != 20:
            raise LocalProtocolError(f"`to` is an address of 20 bytes, or None, not {len(self.to)} bytes")
        if self.to is None and self.type >= 3:
            raise LocalProtocolError(f"a transaction of type {self.type} creates no contract; give `to`")
        if self.sidecar is not None and self.type != 3:
            raise LocalProtocolError(f"a transaction of type {self.type} has no sidecar")
        if self.type < 2 and not self.gas_price and self.max_fee:
            raise LocalProtocolError(f"a transaction of type {self.type} has no max_fee; give its gas_price")
        if self.type < 2:
            self.__dict__.update(max_fee=self.gas_price, max_priority_fee=self.gas_price)
        else:
            self.__dict__["gas_price"] = self.max_fee

    def __repr__(self) -> str:
        """Say what it is, without its data."""
        recipient = "a new contract" if self.to is None else f"0x{self.to.hex()}"
        return f"<Transaction 0x{self.hash.hex()}: type {self.type}, nonce {self.nonce}, to {recipient}>"

    @classmethod
    def decode(cls, item: bytes) -> Self:
        """Make a transaction of an item of a list: an RLP list (type 0) or an RLP string with an envelope in it.

        DecodingError if it is none, or of an unknown type. Type 3 may come in its network form, with a sidecar. Signatures are not
        verified; asking for `sender` does that.
        """
        return cls.from_envelope(envelope_of(rlp_item(item)))

    @classmethod
    def from_envelope(cls, data: bytes) -> Self:
        """Make a transaction of its envelope (EIP-2718), as JSON-RPC takes it; DecodingError if it is none."""
        kind = 0 if data[:1] >= b"\xc0" else data[0] if data else -1
        if not (data[:1] >= b"\xc0" or 0 < kind < len(LAYOUTS)):
            raise DecodingError(f"a transaction of type {kind}, which is unknown" if data else "no bytes where a transaction belongs")
        fields = Fields.of(data, 1 if kind else 0)
        envelope, sidecar = data, None
        if kind == 3 and fields and data[fields.at] >= 0xC0:
            envelope = b"\x03" + fields.item()
            try:
                sidecar = Sidecar.take(fields)
            except DecodingError as error:
                raise fields.named("a transaction with a sidecar", (), error) from None
            fields = Fields.of(envelope, 1)
        names, readers = LAYOUTS[kind], _READERS if kind < 3 else _READERS_OF_CALLS
        try:
            values = {name: readers[name](fields) for name in names}
            fields.close()
        except DecodingError as error:
            raise fields.named(f"a transaction of type {kind}", names, error) from None
        if not kind:
            values["chain_id"] = None if values["v"] < 35 else (values["v"] - 35) // 2
        if kind < 2:
            values["max_fee"] = values["max_priority_fee"] = values["gas_price"]
        else:
            values["gas_price"] = values["max_fee"]
        transaction = cls.__new__(cls)
        transaction.__dict__.update(_DEFAULTS, type=kind, **values, sidecar=sidecar, envelope=envelope)
        return transaction

    @cached_property
    def envelope(self) -> bytes:
        """The consensus encoding (EIP-2718), without a sidecar: what is hashed, and what blocks hold."""
        values: list[Any] = []
        for name in LAYOUTS[self.type]:
            value = getattr(self, name)
            values.append(_WRITERS[name](value) if name in _WRITERS else value)
        payload = rlp.encode(values)
        return bytes((self.type,)) + payload if self.type else payload

    @property
    def network_envelope(self) -> bytes:
        """The envelope with the sidecar, where there is one: what pools exchange."""
        if self.sidecar is None:
            return self.envelope
        return b"\x03" + rlp.encode_list(self.envelope[1:] + self.sidecar.content)

    @property
    def raw(self) -> bytes:
        """The item that it is in a list of transactions, with its sidecar: what `decode` takes."""
        return rlp.encode(self.network_envelope) if self.type else self.envelope

    @property
    def item(self) -> bytes:
        """The item that it is in a block's body, without a sidecar."""
        return rlp.encode(self.envelope) if self.type else self.envelope

    @cached_property
    def hash(self) -> bytes:
        """Its name: the keccak of `envelope`."""
        return keccak256(self.envelope)

    @property
    def size(self) -> int:
        """Bytes of `network_envelope`, as announcements tell it (eth, NewPooledTransactionHashes)."""
        if self.sidecar is None:
            return len(self.envelope)
        return 1 + rlp.list_size(len(self.envelope) - 1 + self.sidecar.size)

    @cached_property
    def signing_hash(self) -> bytes:
        """What is signed (EIP-155 for type 0, if it is for one chain)."""
        envelope, kind = self.envelope, self.type
        start = rlp.list_bounds(envelope, 1 if kind else 0, len(envelope))[0]
        unsigned = envelope[start : len(envelope) - sum(len(rlp.encode(number)) for number in (self.v, self.r, self.s))]
        if kind:
            return keccak256(bytes((kind,)) + rlp.encode_list(unsigned))
        return keccak256(rlp.encode_list(unsigned if self.chain_id is None else unsigned + rlp.encode(self.chain_id) + b"\x80\x80"))

    @property
    def y_parity(self) -> int:
        """Of the signature: 0 or 1; -1 where `v` is none that it could come from."""
        if self.type:
            return self.v if self.v < 2 else -1
        return (self.v - 27 if self.v < 29 else -1) if self.v < 35 else (self.v - 35) % 2

    @cached_property
    def sender(self) -> bytes:
        """The address of the account that signed it; DecodingError if the signature is not valid (EIP-2 included)."""
        return recover_address(self.signing_hash, self.y_parity, self.r, self.s)

    @property
    def sender_in_block(self) -> bytes:
        """As `sender`, of a transaction that is known to be in a block, which before Homestead may have any s (EIP-2)."""
        return recover_address(self.signing_hash, self.y_parity, self.r, self.s, any_s=True)

    def signed(self, key: PrivateKey) -> Self:
        """Return it with the signature of the account that is a key's."""
        unsigned = replace(self, v=0, r=0, s=0)
        v, r, s = sign_digest(key, unsigned.signing_hash)
        if not self.type:
            v += 27 if self.chain_id is None else 35 + 2 * self.chain_id
        return replace(unsigned, v=v, r=r, s=s)

    def with_sidecar(self, sidecar: Sidecar | None) -> Self:
        """Return it with another sidecar, or without one; its hash stays the same."""
        return replace(self, sidecar=sidecar)

    def elided(self) -> Self:
        """Return it without its blobs, as PooledTransactions of eth/72 has it."""
        return self if self.sidecar is None else self.with_sidecar(self.sidecar.elided())

    def intrinsic_gas(self, fork: Fork) -> int:
        """Return the least `gas_limit` that it may have, by the rules of a fork (EIP-7623's floor included).

        Since Amsterdam it depends on the sender, so that an invalid signature raises DecodingError.
        """
        sender = self.sender if fork >= Fork.AMSTERDAM else b""
        return max(intrinsic_gas(self, sender, fork), floor_gas(self, sender, fork))

    @property
    def blob_gas(self) -> int:
        """What its blobs take (EIP-4844)."""
        return BLOB_GAS * len(self.blob_hashes)

    @property
    def max_cost(self) -> int:
        """The most that it can take from its sender, in wei: gas at `max_fee`, blobs at `max_blob_fee`, and `value`."""
        return self.gas_limit * self.max_fee + self.blob_gas * self.max_blob_fee + self.value


def rlp_item(data: bytes) -> bytes:
    """Return `data`, which is one item; DecodingError if it is not."""
    if rlp.split_item(data)[1] != len(data):
        raise DecodingError("bytes after the item's end")
    return data


def _read_to(fields: Fields) -> bytes | None:
    to = fields.string()
    if to and len(to) != 20:
        raise DecodingError(f"an address of {len(to)} bytes")
    return to or None


def require_few(count: int) -> None:
    """Raise DecodingError if a list with so many entries has one more."""
    if count == MAX_ENTRIES:
        raise DecodingError(f"a list of more than {MAX_ENTRIES} items")


def _read_access_list(fields: Fields) -> AccessList:
    inner = fields.list()
    found: list[tuple[bytes, tuple[bytes, ...]]] = []
    while inner:
        require_few(len(found))
        entry = inner.list()
        found.append((entry.fixed(20), entry.strings(32, MAX_ENTRIES)))
        entry.close()
    return tuple(found)


def _read_authorizations(fields: Fields) -> tuple[Authorization, ...]:
    inner = fields.list()
    found: list[Authorization] = []
    while inner:
        require_few(len(found))
        found.append(Authorization.take(inner.list()))
    return tuple(found)


_READERS: Final[Mapping[str, Callable[[Fields], Any]]] = {
    "chain_id": Fields.uint,
    "nonce": lambda fields: fields.uint(8),
    "gas_price": Fields.uint,
    "max_priority_fee": Fields.uint,
    "max_fee": Fields.uint,
    "gas_limit": lambda fields: fields.uint(8),
    "to": _read_to,
    "value": Fields.uint,
    "data": Fields.string,
    "access_list": _read_access_list,
    "max_blob_fee": Fields.uint,
    "blob_hashes": lambda fields: fields.strings(32, MAX_ENTRIES),
    "authorizations": _read_authorizations,
    "v": Fields.uint,
    "r": Fields.uint,
    "s": Fields.uint,
}
_READERS_OF_CALLS: Final[Mapping[str, Callable[[Fields], Any]]] = {**_READERS, "to": lambda fields: fields.fixed(20)}
"""Those of transactions that create no contract."""
_WRITERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "to": lambda to: to or b"",
    "authorizations": lambda authorizations: tuple(each.parts for each in authorizations),
}
_DEFAULTS: Final[Mapping[str, Any]] = {
    "chain_id": None,
    "access_list": (),
    "max_blob_fee": 0,
    "blob_hashes": (),
    "authorizations": (),
}
