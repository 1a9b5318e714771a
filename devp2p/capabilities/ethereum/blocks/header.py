"""Block headers (eth, "Block Encoding and Validity"), of all forks so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from struct import Struct
from typing import Final, Self

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.blocks.reading import Fields

MAX_EXTRA_DATA: Final = 100 * 1024
"""Bytes of `extra_data`: main networks allow 32, and networks of signers (EIP-225) more. go-ethereum's figure."""
MAX_LATER_ELEMENTS: Final = 16
"""How many elements of later forks a header may have."""
EMPTY_OMMERS: Final = keccak256(b"\xc0")
"""The `ommers_hash` of a block without ommers."""

# Seven tenths of a header are fields of one size each, which struct takes apart at once, in a fraction of the time.
_FIRST: Final = Struct("1s32s1s32s1s20s1s32s1s32s1s32s3s256s")
_HEADS: Final = (b"\xa0", b"\xa0", b"\x94", b"\xa0", b"\xa0", b"\xa0", b"\xb9\x01\x00")


@dataclass(frozen=True, kw_only=True)
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

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Make a header of its RLP, which it keeps as `raw`; DecodingError if it is none."""
        fields = Fields.of(raw)
        try:
            values = _read(fields)
        except DecodingError as error:
            raise fields.named("a header", _NAMES, error) from None
        header = cls.__new__(cls)
        header.__dict__.update(zip(_NAMES, values, strict=True), raw=raw)
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


def _read(fields: Fields) -> tuple[object, ...]:
    data, at = fields.data, fields.at
    if fields.end - at < _FIRST.size:
        return _read_slowly(fields)
    first = _FIRST.unpack_from(data, at)
    if first[::2] != _HEADS:
        return _read_slowly(fields)
    fields.at = at + _FIRST.size
    return (*first[1::2], *_read_later(fields))


def _read_slowly(fields: Fields) -> tuple[object, ...]:
    """Find the fault in the first fields."""
    return (*(fields.fixed(size) for size in (32, 32, 20, 32, 32, 32, 256)), *_read_later(fields))


def _read_later(fields: Fields) -> tuple[object, ...]:
    uint, fixed = fields.uint, fields.fixed
    difficulty, number, gas_limit, gas_used, timestamp = uint(), uint(8), uint(8), uint(8), uint(8)
    extra_data = fields.string()
    if len(extra_data) > MAX_EXTRA_DATA:
        raise DecodingError(f"{len(extra_data)} bytes of extra data, more than {MAX_EXTRA_DATA}")
    core = (difficulty, number, gas_limit, gas_used, timestamp, extra_data, fixed(32), fixed(8))
    if not fields:
        return (*core, *_ABSENT, ())
    later: list[object] = [uint()]
    for size in _LATER[1:]:
        if not fields:
            break
        later.append(uint(8) if size == 8 else fixed(size))
    rest: list[bytes] = []
    while fields:
        if len(rest) == MAX_LATER_ELEMENTS:
            raise DecodingError(f"more than {MAX_LATER_ELEMENTS} elements behind those that are known")
        rest.append(fields.item())
    return (*core, *later, *_ABSENT[len(later) :], tuple(rest))


_LATER: Final = (0, 32, 8, 8, 32, 32, 32, 8)
"""Sizes of the fields from `base_fee` on; 8 stands for an integer of 64 bits."""
_ABSENT: Final = (None,) * len(_LATER)


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
