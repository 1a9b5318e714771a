"""Rows on their way to the stores: gathered, and handed over in batches; nothing here ever waits."""

from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, Protocol

from devp2p import NodeRecord
from devp2p_crawler.model import Batch, Crawl, Sighting, SignedRecord, Visit
from devp2p_crawler.visiting import tcp_addresses

MOST: Final = 1000
"""Rows of a batch."""


class Taker(Protocol):
    """What takes batches, and never makes anybody wait: `devp2p_crawler.stores.Writer`."""

    def put(self, batch: Batch) -> None:
        """Take a batch."""
        ...


class Rows:
    """What is to be written."""

    def __init__(self, taker: Taker, vantage: str) -> None:
        self._taker, self._vantage = taker, vantage
        self._batch = Batch()

    def crawl(self, crawl: Crawl) -> None:
        """How the crawl stands."""
        self._batch.crawls.append(crawl)
        self.flush()

    def sighted(self, node: NodeRecord, first: int, last: int) -> Sighting:
        """Somebody has told where a node is, or it answered there."""
        sighting = sighting_of(node, self._vantage, first, last)
        self._batch.sightings.append(sighting)
        return sighting

    def record(self, node: NodeRecord, seen: int) -> None:
        """A node's own record."""
        if node.enr is not None:
            self._batch.records.append(SignedRecord(node=node.id, sequence=node.enr.sequence, raw=node.enr.encode(), seen=seen))

    def visit(self, visit: Visit) -> None:
        """A visit is over."""
        self._batch.visits.append(visit)

    def due(self, node: bytes, when: int) -> None:
        """When a node is to be visited next; said last of what belongs together, which is then written together."""
        self._batch.due[node] = when
        if len(self._batch) >= MOST:
            self.flush()

    def flush(self) -> None:
        """Hand over what there is."""
        if len(self._batch):
            batch, self._batch = self._batch, Batch()
            self._taker.put(batch)


def sighting_of(node: NodeRecord, vantage: str, first: int, last: int) -> Sighting:
    """A sighting of a node at the best of its places."""
    ip, udp, tcp = place_of(node)
    return Sighting(node=node.id, public_key=bytes(node.public_key), vantage=vantage, ip=ip, udp=udp, tcp=tcp, first=first, last=last)


def place_of(node: NodeRecord) -> tuple[bytes, int, int]:
    """Where a node is: its address of 4 or 16 bytes, or none, its UDP port and its TCP port, 0 where there is none."""
    udp = node.udp_endpoints[0] if node.udp_endpoints else None
    ip = b"" if udp is None else packed(udp[0])
    called_at = tcp_addresses(node)
    tcp = next((address.port or 0 for address in called_at if not ip or packed(address.host) == ip), 0)
    if not ip and called_at:
        ip = packed(called_at[0].host)
    return ip, 0 if udp is None else udp[1], tcp if ip else 0


def unpacked(ip: bytes) -> str:
    """The way back, for 4 or 16 bytes."""
    return str(ip_address(ip))


def only_at(node: NodeRecord, ip: bytes) -> NodeRecord:
    """A node with the addresses for calls that are at one IP address, where it was seen: at others it may name somebody else."""
    here = tuple(address for address in tcp_addresses(node) if packed(address.host) == ip)
    return node if here == node.addresses else replace(node, addresses=here)


@lru_cache(maxsize=1 << 16)
def packed(host: str) -> bytes:
    """An address as 4 or 16 bytes; none for what is a name."""
    try:
        address = ip_address(host)
    except ValueError:
        return b""
    return (getattr(address, "ipv4_mapped", None) or address).packed
