"""When a node that was found may be dialled, and dialled again (pure; ``now`` is passed in, on any clock that goes on).

There are two bounds. One is for each node: how long it is left alone depends on how the last attempt or session ended. The other is for
each host, since anybody can publish any number of records that name an address which is not theirs, to have others knock at it: one dial
in 35 seconds, and no more than three nodes in ten minutes. A host is an IPv4 address, an IPv6 /64, or a name. Local addresses are exempt
by default.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from devp2p.addresses import HOST, Address
from devp2p.bounded import Recent
from devp2p.errors import DialError, DisconnectReason, PeerDisconnected, RemoteProtocolError
from devp2p.peers.candidates import WhyNot
from devp2p.records import NodeRecord

BUSY: Final = 300.0
"""Seconds that a node is left alone which has too many peers."""
USELESS: Final = 1800.0
"""The same for one that is of no use to us, or we to it."""
UNREACHABLE: Final = 60.0
"""The same for one that cannot be reached, or breaks the rules; doubled with each further time in a row, up to `LONGEST`."""
LONGEST: Final = 3600.0
AFTER_SESSION: Final = 35.0
"""The same after a session that was good while it lasted."""
HOST_INTERVAL: Final = 35.0
"""Seconds between two dials of one host."""
HOST_WINDOW: Final = 600.0
"""Seconds in which at most `HOST_NODES` different nodes are dialled at one host."""
HOST_NODES: Final = 3
KINDS: Final = ("too many peers", "refused", "broke the rules", "unreachable")
"""Why dials fail."""

_STABLE = 60.0  # seconds after which a session counts as a success
_REMEMBERED = 16384  # nodes, and hosts; the oldest are forgotten first
_BUSY_REASONS = frozenset({DisconnectReason.TOO_MANY_PEERS})
_USELESS_REASONS = frozenset(
    {
        DisconnectReason.PROTOCOL_BREACH,
        DisconnectReason.USELESS_PEER,
        DisconnectReason.INCOMPATIBLE_VERSION,
        DisconnectReason.INVALID_IDENTITY,
        DisconnectReason.UNEXPECTED_IDENTITY,
        DisconnectReason.CONNECTED_TO_SELF,
        DisconnectReason.SUBPROTOCOL_ERROR,
    }
)


@dataclass(frozen=True, slots=True)
class _Node:
    until: float
    failures: int
    """In a row, of those that say nothing about the node but that it could not be reached."""


class DialHistory:
    """What was dialled, as far as it matters for what is dialled next."""

    def __init__(self, *, limit_local_addresses: bool = False) -> None:
        self._limit_local_addresses = limit_local_addresses
        self._nodes: Recent[bytes, _Node] = Recent(_REMEMBERED)
        self._hosts: Recent[bytes, tuple[tuple[float, bytes], ...]] = Recent(_REMEMBERED)  # the latest dials of it, as (when, node-ID)

    def why_not(self, record: NodeRecord, now: float) -> WhyNot | None:
        """Why a node is not to be dialled now, as far as that depends on earlier dials and sessions; None if it may be."""
        node = self._nodes.get(record.id)
        if node is not None and now < node.until:
            return WhyNot.LEFT_ALONE
        return None if all(self._may_knock(host, record.id, now) for host in self._hosts_of(record.addresses)) else WhyNot.HOST_LEFT_ALONE

    def dialled(self, record: NodeRecord, now: float) -> None:
        """A node is being dialled."""
        # All are looked up before any is set, since each that is new could push out another one of this node's.
        for host, dials in [(host, self._dials_of(host, now)) for host in self._hosts_of(record.addresses)]:
            others = [(when, node_id) for when, node_id in dials if node_id != record.id]
            self._hosts.set(host, (*others, (now, record.id)))

    def failed(self, node_id: bytes, error: DialError, now: float) -> float:
        """A dial did not lead to a session; return for how many seconds the node is left alone."""
        if error.reason in _BUSY_REASONS:
            return self._leave_alone(node_id, BUSY, now)
        if error.reason in _USELESS_REASONS:
            return self._leave_alone(node_id, USELESS, now)
        return self._unreachable(node_id, now)

    def ended(self, node_id: bytes, end: PeerDisconnected, lasted: float, now: float) -> float:
        """A session has ended after so many seconds; return for how many the node is left alone."""
        if end.reason in _BUSY_REASONS:
            return self._leave_alone(node_id, BUSY, now)
        # Our own 0x10 says that our capability failed, or took nothing for too long, which is no fault of the node's.
        is_ours = end.reason == DisconnectReason.SUBPROTOCOL_ERROR and not end.by_remote
        if end.reason in _USELESS_REASONS and not is_ours:
            return self._leave_alone(node_id, USELESS, now)
        return self._leave_alone(node_id, AFTER_SESSION, now) if lasted >= _STABLE else self._unreachable(node_id, now)

    def _unreachable(self, node_id: bytes, now: float) -> float:
        known = self._nodes.get(node_id)
        failures = known.failures if known is not None else 0
        return self._leave_alone(node_id, min(LONGEST, UNREACHABLE * 2 ** min(failures, 16)), now, failures + 1)

    def _leave_alone(self, node_id: bytes, seconds: float, now: float, failures: int = 0) -> float:
        self._nodes.set(node_id, _Node(now + seconds, failures))
        return seconds

    def _may_knock(self, host: bytes, node_id: bytes, now: float) -> bool:
        recent = self._dials_of(host, now)
        if any(now - when < HOST_INTERVAL for when, _ in recent):
            return False
        return len({other for _, other in recent} | {node_id}) <= HOST_NODES

    def _dials_of(self, host: bytes, now: float) -> list[tuple[float, bytes]]:
        """The latest dials of a host, as (when, node-ID), one of each node."""
        return [(when, node_id) for when, node_id in self._hosts.get(host) or () if now - when < HOST_WINDOW]

    def _hosts_of(self, addresses: Iterable[Address]) -> set[bytes]:
        """The hosts at some addresses to which the bounds apply."""
        hosts = {address.limited_network(HOST, limit_local=self._limit_local_addresses) for address in addresses}
        return {host for host in hosts if host is not None}


def kind_of(error: DialError) -> str:
    """Why a dial failed, in a word or two: one of `KINDS`."""
    if error.reason in _BUSY_REASONS:
        return KINDS[0]
    if error.reason is not None:
        return KINDS[1]
    return KINDS[2] if isinstance(error.__cause__, RemoteProtocolError) else KINDS[3]
