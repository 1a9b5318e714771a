"""Receipts (eth, "Receipt Encoding and Validity"): as eth/69 and later transfer them, and as blocks commit to them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self, TypeAlias

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.blocks.header import Header
from devp2p.capabilities.ethereum.blocks.reading import Fields
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT, list_root
from devp2p.rlp import list_bounds, string_bounds

MAX_TOPICS: Final = 4
"""Of a log; the EVM has LOG0 to LOG4."""
_NAMES: Final = ("tx-type", "post-state-or-status", "cumulative-gas", "logs")
_TOPICS: Final = {33 * count for count in range(MAX_TOPICS + 1)}
_BLOOM_HEAD: Final = b"\xb9\x01\x00"
MAX_MASKS: Final = 4_096
Masks: TypeAlias = dict[bytes, tuple[int, int, int]]
"""Which three bits of a bloom filter a value sets; a block's logs have much in common."""


@dataclass(frozen=True)
class Log:
    """What a contract has logged: its address, up to four topics of 32 bytes, and any data."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True)
class Receipt:
    """What came of a transaction.

    `status` is b"" for a failure and one byte, 1, for success; before Byzantium it is the root of the state after it. `cumulative_gas` is
    what the block had used when it was done.
    """

    type: int
    status: bytes
    cumulative_gas: int
    logs: tuple[Log, ...]

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Make a receipt of ``[tx-type, post-state-or-status, cumulative-gas, logs]`` in RLP; DecodingError if it is none."""
        fields = Fields.of(raw)
        try:
            kind, status, gas = _read_start(fields)
            logs = tuple(map(_read_log, _each(fields.list())))
            fields.close()
        except DecodingError as error:
            raise fields.named("a receipt", _NAMES, error) from None
        return cls(kind, status, gas, logs)

    @classmethod
    def from_consensus(cls, data: bytes) -> Self:
        """Make a receipt of its consensus encoding, with a bloom filter; DecodingError if it is none, or if the filter is another."""
        kind = 0 if data[:1] >= b"\xc0" else data[0] if data else 0x80
        if kind >= 0x80:
            raise DecodingError("neither a legacy receipt nor one with a type")
        fields = Fields.of(data, 1 if kind else 0)
        try:
            status, gas, bloom = _read_status(fields), fields.uint(8), fields.fixed(256)
            logs = tuple(map(_read_log, _each(fields.list())))
            fields.close()
        except DecodingError as error:
            raise fields.named("a receipt", (*_NAMES[1:3], "bloom", "logs"), error) from None
        receipt = cls(kind, status, gas, logs)
        if receipt.bloom != bloom:
            raise DecodingError("a receipt whose bloom filter is not that of its logs")
        return receipt

    @cached_property
    def raw(self) -> bytes:
        """The receipt as eth/69 transfers it."""
        return rlp.encode((self.type, self.status, self.cumulative_gas, _encodable(self.logs)))

    @cached_property
    def bloom(self) -> bytes:
        """The filter of its logs: 256 bytes."""
        return bloom_of(value for log in self.logs for value in (log.address, *log.topics))

    @cached_property
    def consensus(self) -> bytes:
        """The consensus encoding (EIP-2718), with the bloom filter: a leaf of the trie that the header's `receipts_root` is of."""
        payload = rlp.encode((self.status, self.cumulative_gas, self.bloom, _encodable(self.logs)))
        return bytes((self.type,)) + payload if self.type else payload


def bloom_of(values: Iterable[bytes], masks: Masks | None = None) -> bytes:
    """Return the bloom filter of addresses and topics (yellow paper, section 4.3.1): 256 bytes."""
    masks = {} if masks is None else masks
    bloom = bytearray(256)
    for value in values:
        bits = masks.get(value)
        if bits is None:
            digits = int.from_bytes(keccak256(value)[:6], "big")
            bits = digits & 2047, digits >> 16 & 2047, digits >> 32 & 2047
            if len(masks) < MAX_MASKS:
                masks[value] = bits
        for bit in bits:
            bloom[255 - (bit >> 3)] |= 1 << (bit & 7)
    return bytes(bloom)


def consensus_receipt(raw: bytes, masks: Masks | None = None) -> bytes:
    """Return the consensus encoding of a receipt as eth/69 transfers it, without making objects of its logs.

    DecodingError if it is none. Pass the same `masks`, a dict, for the receipts of one block.
    """
    fields = Fields.of(raw)
    try:
        kind, status, gas = _read_start(fields)
        at = fields.at
        logs = fields.list()
        bloom = bloom_of(_bloomed(raw, logs.at, logs.end), masks)
        fields.close()
    except DecodingError as error:
        raise fields.named("a receipt", _NAMES, error) from None
    payload = rlp.encode_list(rlp.encode_bytes(status) + rlp.encode(gas) + _BLOOM_HEAD + bloom + raw[at:])
    return bytes((kind,)) + payload if kind else payload


def receipts_root(raws: Sequence[bytes]) -> bytes:
    """Return the root of the trie of a block's receipts, given as eth/69 transfers them; DecodingError if one is none."""
    masks: Masks = {}
    return list_root([consensus_receipt(raw, masks) for raw in raws]) if raws else EMPTY_ROOT


def receipts_fault(header: Header, raws: Sequence[bytes]) -> str | None:
    """Say why receipts, as eth/69 transfers them, are not those of a header; None if they are, so that each byte is the chain's."""
    try:
        return None if receipts_root(raws) == header.receipts_root else "its receipts have another root"
    except DecodingError as error:
        return str(error)


def _read_start(fields: Fields) -> tuple[int, bytes, int]:
    kind = fields.uint(1)
    if kind >= 0x80:
        raise DecodingError(f"the type {kind}, which no transaction can have")
    return kind, _read_status(fields), fields.uint(8)


def _read_status(fields: Fields) -> bytes:
    status = fields.string()
    if len(status) == 32 or status in {b"", b"\x01"}:
        return status
    raise DecodingError("neither a status of 0 or 1 nor a root")


def _each(fields: Fields) -> Iterable[Fields]:
    while fields:
        yield fields.list()


def _read_log(fields: Fields) -> Log:
    log = Log(fields.fixed(20), fields.strings(32, MAX_TOPICS), fields.string())
    fields.close()
    return log


def _bloomed(data: bytes, at: int, end: int) -> list[bytes]:
    """Return the addresses and topics of logs, all that goes into the bloom filter; DecodingError if it is no list of logs."""
    found: list[bytes] = []
    while at < end:
        at, stop = list_bounds(data, at, end)
        if stop - at < 23 or data[at] != 0x94:
            raise DecodingError("a log without an address of 20 bytes")
        found.append(data[at + 1 : at + 21])
        at, after = list_bounds(data, at + 21, stop)
        if after - at not in _TOPICS:
            raise DecodingError("topics that are not up to four of 32 bytes")
        while at < after:
            if data[at] != 0xA0:
                raise DecodingError("a topic that has not 32 bytes")
            found.append(data[at + 1 : at + 33])
            at += 33
        if after == stop or string_bounds(data, after, stop)[1] != stop:
            raise DecodingError("a log of other elements than address, topics and data")
        at = stop
    return found


def _encodable(logs: tuple[Log, ...]) -> tuple[tuple[bytes, tuple[bytes, ...], bytes], ...]:
    return tuple((log.address, log.topics, log.data) for log in logs)
