"""A node together with what its record says, read once for all filters."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from devp2p import DecodingError, rlp
from devp2p.capabilities.ethereum.networks import EthEntry, ForkId
from devp2p_crawler.model import KnownNode

_PRIVATE4: Final = ((0x0A000000, 8), (0xAC100000, 12), (0xC0A80000, 16))


@dataclass(frozen=True)
class _Signed:
    """The list that a record is. Whoever stored it has checked the signature."""

    signature: bytes
    sequence: rlp.U64
    pairs: rlp.Rest = ()


@dataclass(frozen=True)
class _AnyList:
    items: rlp.Rest = ()


_SIGNED: Final = rlp.codec(_Signed)
_BYTES: Final = rlp.codec(bytes)
_LIST: Final = rlp.codec(_AnyList)
_PORT: Final = rlp.codec(rlp.U16)
_ETH: Final = rlp.codec(EthEntry)


def _read(codec: rlp.Codec[Any], item: bytes | None) -> Any:  # noqa: ANN401  (as the codec)
    """A value, or None if there is none or it is malformed: it is a stranger's, and signed is not well-formed."""
    try:
        return None if item is None else codec.decode(item)
    except DecodingError:
        return None


class Described:
    """One node, and what follows from it and its record. Nothing here raises, whatever a record holds."""

    def __init__(self, node: KnownNode) -> None:
        self.node: KnownNode = node

    @cached_property
    def entries(self) -> Mapping[bytes, bytes]:
        """The entries of its record, each value as its RLP encoding; none if it has no record."""
        signed: _Signed | None = None if self.node.record is None else _read(_SIGNED, self.node.record.raw)
        if signed is None:
            return {}
        keys = [_read(_BYTES, item) for item in signed.pairs[::2]]
        return {key: item for key, item in zip(keys, signed.pairs[1::2], strict=False) if key is not None}

    def has_list(self, key: bytes) -> bool:
        """Whether the record has a list under a key."""
        return _read(_LIST, self.entries.get(key)) is not None

    def port(self, key: bytes) -> int:
        """A port of the record; 0 if there is none."""
        found: int | None = _read(_PORT, self.entries.get(key))
        return found or 0

    @cached_property
    def address(self) -> IPv4Address | IPv6Address | None:
        """Where the record says that it is, of two addresses the more global one, as go-ethereum chooses; else where it was seen."""
        if self.node.record is None:
            return _address(self.node.ip)
        ip4, ip6 = (_address(_read(_BYTES, self.entries.get(key)) or b"", size) for key, size in ((b"ip", 4), (b"ip6", 16)))
        found = [address for address in (ip4, ip6) if address is not None and not _unmapped(address).is_multicast]
        return max(found, key=_locality, default=None)  # the first of equals: IPv4

    @cached_property
    def tcp(self) -> int:
        """The port for RLPx at `address`."""
        return self._port_at(b"tcp", b"tcp6", self.node.tcp)

    @cached_property
    def udp(self) -> int:
        """The port for discovery at `address`."""
        return self._port_at(b"udp", b"udp6", self.node.udp)

    @cached_property
    def fork_id(self) -> ForkId | None:
        """What it last said of its chain: in a Status, or else in its record."""
        said = self.node.said
        if said is not None and said.fork_hash is not None:
            return ForkId(said.fork_hash, said.fork_next or 0)
        return self.advertised_fork_id

    @cached_property
    def advertised_fork_id(self) -> ForkId | None:
        """What its record says of its chain."""
        entry: EthEntry | None = _read(_ETH, self.entries.get(b"eth"))
        return None if entry is None else entry.fork_id

    def _port_at(self, key: bytes, key6: bytes, seen: int) -> int:
        if self.node.record is None:
            return seen
        is_6 = isinstance(self.address, IPv6Address) and self.address.ipv4_mapped is None
        return self.port(key6 if is_6 and key6 in self.entries else key)


def _address(packed: bytes, size: int | None = None) -> IPv4Address | IPv6Address | None:
    if size is not None and len(packed) != size:
        return None
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed) if len(packed) == 16 else None


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address in IPv6 clothes as what it is."""
    return address if isinstance(address, IPv4Address) else address.ipv4_mapped or address


def _locality(address: IPv4Address | IPv6Address) -> int:
    """How global go-ethereum holds an address to be: 0 unspecified, 1 loopback, 2 link-local, 3 private, 4 anything else."""
    if not int(address):
        return 0
    address = _unmapped(address)
    number = int(address)
    if isinstance(address, IPv4Address):
        private = any(number >> (32 - bits) == network >> (32 - bits) for network, bits in _PRIVATE4)
        return 1 if number >> 24 == 127 else 2 if number >> 16 == 0xA9FE else 3 if private else 4
    return 1 if number == 1 else 2 if number >> 118 == 0xFE80 >> 6 else 3 if number >> 121 == 0xFC >> 1 else 4
