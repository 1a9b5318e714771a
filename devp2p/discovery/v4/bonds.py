"""What discovery v4 remembers of strangers before and after they have proved where they are, all of it bounded (pure).

discv4.md, section "Endpoint Proof". A UDP datagram can bear any sender's address. Who asks for much (nodes, a record) has to show first
that what is sent to its address and port reaches the holder of its key: it answers a Ping with that Ping's hash. That counts for a day,
for this key at this address and port. It works both ways: whom we ask wants such a proof of us, and has it once it got our Pong, so
`Bonds` also keeps when we last sent it one.

`Gate` decides about a datagram before its signature is looked at, which costs more than all the rest: whether it is a repetition, and
whether its sender has had its share of our time.
"""

from dataclasses import dataclass, field
from typing import Final

from devp2p.addresses import HOST, Endpoint, is_local, network_of
from devp2p.arguments import check_bounds
from devp2p.bounded import Recent, Throttle
from devp2p.discovery.table import TableLimits

PROOF_LIFETIME: Final = 24 * 3600.0
"""Seconds for which an endpoint proof of another counts: go-ethereum and reth trust to as many."""
OUR_PROOF_LIFETIME: Final = 12 * 3600.0
"""Seconds for which we trust that one of ours counts, as the specification says."""
_MARGIN: Final = 60.0  # how much earlier than others do we think that ours is over, as we cannot know when our Pong came


@dataclass(frozen=True, slots=True, kw_only=True)
class Discv4Limits:
    """The bounds that discovery v4 holds strangers, and itself, to."""

    packets_per_minute: int = 60
    """That one IPv4 address or IPv6 /64 may send without having been asked, as many at once; local addresses are exempt as below. It is
    reth's bound on all."""
    proved_packets_per_minute: int = 240
    """The same from endpoints that have proved where they are: in a small network a go-ethereum node looks for others without end, and
    sends up to 200 (`docs/bounds.md`)."""
    strangers_per_second: int = 500
    """Pings, as many at once, of endpoints that have proved nothing and were asked nothing, all together: of a flood that forges its
    addresses each can be from another host. Local addresses are exempt as below."""
    queries_per_second: int = 8
    """FindNode and ENRRequest of one endpoint, as many at once."""
    ping_back_interval: float = 60.0
    """Seconds between two Pings of ours to one IPv4 address or IPv6 /64 that only answer Pings of nodes without an endpoint proof. Of local
    addresses, exempt as below, to one endpoint."""
    ping_backs: int = 256
    """Such Pings that wait for an answer."""
    duplicate_window: float = 20.0
    """Seconds for which a packet's hash is remembered, which is as long as our own packets are valid."""
    duplicates: int = 8192
    """Hashes that are remembered."""
    bonds: int = 8192
    """Endpoint proofs that are remembered: ours, and others'."""
    response_timeout: float = 0.5
    """Seconds for an answer to a question of ours."""
    operations: int = 1024
    """What the owner may have under way; more raise LocalProtocolError."""
    limit_local_addresses: bool = False
    """Hold loopback and private addresses to the limits for addresses too."""
    table: TableLimits = field(default_factory=TableLimits)
    """How many nodes one network may have in the routing table."""

    def __post_init__(self) -> None:
        check_bounds(self, frozenset({"duplicates", "bonds", "ping_backs"}))


class Gate:
    """Who may cost us the work on a packet."""

    def __init__(self, limits: Discv4Limits) -> None:
        self._limits = limits
        self._seen: Recent[bytes, None] = Recent(limits.duplicates, limits.duplicate_window)
        self._packets = Throttle(limits.packets_per_minute / 60, limits.packets_per_minute)
        self._proved_packets = Throttle(limits.proved_packets_per_minute / 60, limits.proved_packets_per_minute)
        self._strangers = Throttle(limits.strangers_per_second, remembered=1)
        self._queries = Throttle(limits.queries_per_second)
        self._ping_backs = Throttle(1 / limits.ping_back_interval, 1)

    def is_repeated(self, packet_hash: bytes, now: float) -> bool:
        """Whether a packet of that hash was let in lately."""
        return self._seen.has(packet_hash, now)

    def remember(self, packet_hash: bytes, now: float) -> None:
        """A packet was let in."""
        self._seen.set(packet_hash, None, now)

    def allows_packet(self, source: Endpoint, now: float, *, is_proved: bool) -> bool:
        """Whether one more packet may come from that address."""
        return self._is_exempt(source) or (self._proved_packets if is_proved else self._packets).allows(network_of(source.ip, HOST), now)

    def allows_stranger(self, source: Endpoint, now: float) -> bool:
        """Whether one more packet may come from somebody of whom nothing is known."""
        return self._is_exempt(source) or self._strangers.allows(b"", now)

    def allows_query(self, source: Endpoint, now: float) -> bool:
        """Whether one more question may come from that endpoint."""
        return self._queries.allows(_key(source), now)

    def allows_ping_back(self, source: Endpoint, now: float) -> bool:
        """Whether an endpoint that sent a Ping may be asked for its proof now.

        The Ping may be forged, and what comes of it hits whoever has the address; so the address counts, whatever the port.
        """
        return self._ping_backs.allows(_key(source) if self._is_exempt(source) else network_of(source.ip, HOST), now)

    def _is_exempt(self, source: Endpoint) -> bool:
        return not self._limits.limit_local_addresses and is_local(source.ip)


class Bonds:
    """Endpoint proofs: those that others have given, and those that they have of us."""

    def __init__(self, size: int) -> None:
        # One node to an endpoint: a second one there has shown that the first is gone, or shares its socket and its fate.
        self._proofs: Recent[Endpoint, bytes] = Recent(size, PROOF_LIFETIME)
        # Anybody can make entries here with forged Pings. A node that so loses its own gets one more Ping before it is asked for nodes.
        self._served: Recent[tuple[bytes, Endpoint], int] = Recent(size, OUR_PROOF_LIFETIME - _MARGIN)  # how often it was silent

    def prove(self, node_id: bytes, endpoint: Endpoint, now: float) -> None:
        """A node has answered our Ping from there."""
        self._proofs.set(endpoint, node_id, now)

    def is_proved(self, node_id: bytes, endpoint: Endpoint, now: float) -> bool:
        """Whether a node has proved that it is at that endpoint."""
        return self._proofs.get(endpoint, now) == node_id

    def is_anybody_at(self, endpoint: Endpoint, now: float) -> bool:
        """Whether any node has."""
        return self._proofs.has(endpoint, now)

    def serve(self, node_id: bytes, endpoint: Endpoint, now: float) -> None:
        """We have answered a node's Ping."""
        self._served.set((node_id, endpoint), 0, now)

    def served_at(self, node_id: bytes, endpoint: Endpoint, now: float) -> float | None:
        """When we answered a node's last Ping, or None if that is too long ago for it to know our endpoint."""
        return self._served.when((node_id, endpoint)) if self._served.has((node_id, endpoint), now) else None

    def doubt(self, node_id: bytes, endpoint: Endpoint) -> None:
        """A node does not answer a question. If it is the second time, then maybe it never got our Pong, or has forgotten it."""
        since = self._served.when((node_id, endpoint))
        if since is not None and not self._served.get((node_id, endpoint), since):
            self._served.set((node_id, endpoint), 1, since)
        else:
            self._served.pop((node_id, endpoint))


def _key(endpoint: Endpoint) -> bytes:
    return endpoint.ip + endpoint.port.to_bytes(2, "big")
