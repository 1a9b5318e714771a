"""Block headers (eth, "Block Encoding and Validity"), of all forks so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from struct import Struct
from struct import error as StructError  # noqa: N812  (the class has this name nowhere)
from typing import Final, Self

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.blocks.reading import Fields
from devp2p.rlp import list_bounds, read_uint, string_bounds

MAX_EXTRA_DATA: Final = 100 * 1024
"""Bytes of `extra_data`: main networks allow 32, and networks of signers (EIP-225) more. go-ethereum's figure."""
MAX_LATER_ELEMENTS: Final = 16
"""How many elements of later forks a header may have."""
EMPTY_OMMERS: Final = keccak256(b"\xc0")
"""The `ommers_hash` of a block without ommers."""

# Headers come by the thousand. Of their fixed parts struct takes all fields at once, in a fraction of the time that one by one takes.
_FIRST: Final = Struct("1s32s1s32s1s20s1s32s1s32s1s32s3s256s")
_FIRST_HEADS: Final = (b"\xa0", b"\xa0", b"\x94", b"\xa0", b"\xa0", b"\xa0", b"\xb9\x01\x00")
_SEAL: Final = Struct("1s32s1s8s")
_SEAL_HEADS: Final = (b"\xa0", b"\x88")


@dataclass(frozen=True, kw_only=True, repr=False)
class Header:
    """A block header.

    Fields from `base_fee` on are None in blocks before the fork that brought them: London (EIP-1559), Shanghai (EIP-4895), Cancun
    (EIP-4844 and 4788), Prague (EIP-7685), Amsterdam (EIP-7928 and 7843). `rest` has the elements of later forks, each in RLP. Amounts are
    in wei, gas and bytes; `timestamp` is in seconds since 1970.
    """

    parent_hash: bytes
    ommers_hash: bytes = EMPTY_OMMERS
    coinbase: bytes
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    bloom: bytes = bytes(256)
    difficulty: int = 0
    number: int
    gas_limit: int
    gas_used: int = 0
    timestamp: int
    extra_data: bytes = b""
    mix_digest: bytes = bytes(32)
    nonce: bytes = bytes(8)
    base_fee: int | None = None
    withdrawals_root: bytes | None = None
    blob_gas_used: int | None = None
    excess_blob_gas: int | None = None
    parent_beacon_root: bytes | None = None
    requests_hash: bytes | None = None
    access_list_hash: bytes | None = None
    slot_number: int | None = None
    rest: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        """Name the block."""
        return f"<Header of block {self.number}, 0x{self.hash.hex()}>"

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Make a header of its RLP, which it keeps as `raw`; DecodingError if it is none."""
        values = _read_usual(raw) or _read(raw)
        header = cls.__new__(cls)
        header.__dict__.update(zip(_NAMES, values, strict=True))
        header.__dict__["raw"] = raw
        return header

    @cached_property
    def raw(self) -> bytes:
        """The header in RLP: as it came, if it was decoded."""
        values = [getattr(self, name) for name in _NAMES[:-1]]
        while values[-1] is None:
            values.pop()
        return rlp.encode_list(b"".join(map(rlp.encode, values)) + b"".join(self.rest))

    @cached_property
    def hash(self) -> bytes:
        """The hash of the block: the keccak of `raw`."""
        return keccak256(self.raw)


_NAMES: Final = tuple(Header.__dataclass_fields__)
_CORE: Final = _NAMES.index("base_fee")
LATER_FIELDS: Final = _NAMES[_CORE:-1]
"""Those that forks have brought, in their order."""
_SIZES: Final = (32, 32, 20, 32, 32, 32, 256, -32, -8, -8, -8, -8, 0, 32, 8, -32, 32, -8, -8, 32, 32, 32, -8)
"""In the order of the fields, how many bytes each has; -n stands for an integer of at most n, and 0 for any string."""
_LATER: Final = _SIZES[_CORE:]
_ABSENT: Final = (None,) * len(_LATER)


def _read_usual(raw: bytes) -> tuple[object, ...] | None:
    """Read the fields of a header without later elements; None for whatever else it is, so that `_read` finds out."""
    end = len(raw)
    try:
        at, stop = list_bounds(raw, 0, end)
        first = _FIRST.unpack_from(raw, at)
        difficulty, at = read_uint(raw, at + _FIRST.size, end, 32)
        number, at = read_uint(raw, at, end, 8)
        gas_limit, at = read_uint(raw, at, end, 8)
        gas_used, at = read_uint(raw, at, end, 8)
        timestamp, at = read_uint(raw, at, end, 8)
        start, at = string_bounds(raw, at, end)
        extra_data = raw[start:at]
        seal = _SEAL.unpack_from(raw, at)
        at += _SEAL.size
        later: list[int | bytes | None] = []
        for size in _LATER:
            if at == end:
                break
            if size < 0:
                value, at = read_uint(raw, at, end, -size)
                later.append(value)
            elif raw[at] == 0xA0:
                later.append(raw[at + 1 : at + 33])
                at += 33
            else:
                return None
    except (DecodingError, IndexError, StructError):
        return None
    if (at, stop) != (end, end) or first[::2] != _FIRST_HEADS or seal[::2] != _SEAL_HEADS or len(extra_data) > MAX_EXTRA_DATA:
        return None
    core = (*first[1::2], difficulty, number, gas_limit, gas_used, timestamp, extra_data, *seal[1::2])
    return (*core, *later, *_ABSENT[len(later) :], ())


def _read(raw: bytes) -> tuple[object, ...]:
    """Read the fields of any header; DecodingError, with the field's name, if it is none."""
    fields = Fields.of(raw)
    values: list[int | bytes] = []
    rest: list[bytes] = []
    try:
        for size in _SIZES:
            if len(values) >= _CORE and not fields:
                break
            values.append(fields.uint(-size) if size < 0 else fields.fixed(size) if size else fields.string(MAX_EXTRA_DATA))
        while fields:
            rest.append(fields.item())
            if len(rest) > MAX_LATER_ELEMENTS:
                raise DecodingError(f"more than {MAX_LATER_ELEMENTS} elements of later forks")
    except DecodingError as error:
        raise fields.named("a header", _NAMES[:-1], error) from None
    return (*values, *_ABSENT[len(values) - _CORE :], tuple(rest))


def headers_fault(headers: Sequence[Header], start: int | bytes, count: int, *, skip: int = 0, reverse: bool = False) -> str | None:
    """Say what is wrong with headers that were given for a request (eth, GetBlockHeaders); None if nothing is.

    There may be fewer than `count`, since a peer does not have all, and none at all. The first is that of the block `start`, a number or a
    hash; each further one is `skip` blocks behind the one before, or before it with `reverse`. Neighbours are linked by their hashes.
    """
    if len(headers) > count:
        return f"{len(headers)} headers, {count} were asked for"
    step = -skip - 1 if reverse else skip + 1
    before: Header | None = None
    for index, header in enumerate(headers):
        if header.gas_used > header.gas_limit:
            return f"header {index} uses {header.gas_used} gas of {header.gas_limit}"
        if before is None:
            if header.number != start if isinstance(start, int) else header.hash != start:
                return f"the first header is that of block {header.number}, not the one that was asked for"
        elif header.number != before.number + step:
            return f"header {index} is that of block {header.number}, where {before.number + step} belongs"
        elif skip == 0 and (before.parent_hash != header.hash if reverse else header.parent_hash != before.hash):
            return f"header {index} is not linked to the one before"
        before = header
    return None
