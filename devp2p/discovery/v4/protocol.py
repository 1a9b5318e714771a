"""Node Discovery Protocol v4, sans-IO: `Discv4` finds nodes, keeps a table of them, and tells others of it (discv4.md; EIP-868).

See `Protocol` for its shape, and for what it does as v5 does. Packets bear the time at which they expire: that is what `wall` is for.

Theory of operation. `Exchange` talks to single nodes, and knows of endpoint proofs and of what strangers may cost. Here is what is made of
that. A node that answered our Ping gets into the table, and counts there as one that came by itself if we know it from its own Ping only.
A round of searches begins with one for ourselves, which fills the close buckets; those for random places follow when it is over. As records
are asked for one by one, what a node has said is taken for its record for ten minutes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import ClassVar, Final, TypeAlias

from devp2p.addresses import Endpoint
from devp2p.bounded import Recent
from devp2p.discovery.events import ClockDoubtful, Ended, PingResult, Pong, RecordFound
from devp2p.discovery.external_address import ExternalAddress
from devp2p.discovery.own_record import PublishesRecord
from devp2p.discovery.protocol import RECORD_INTERVAL, WALKS, Protocol, RandomBytes, Refreshing, Search, Upkeep
from devp2p.discovery.table import BUCKET_SIZE
from devp2p.discovery.v4 import packets
from devp2p.discovery.v4.bonds import Discv4Limits
from devp2p.discovery.v4.exchange import Exchange, Heard, NodesEnded, PingEnded, RecordEnded
from devp2p.discovery.v4.nodes import Node, add_record, contact_of
from devp2p.errors import LocalProtocolError
from devp2p.keys import PrivateKey, PublicKey, keccak256
from devp2p.records import NodeRecord, Record

SILENCES: Final = 32
"""Questions in a row without any answer that make the clock doubtful."""

_LONELY = 30.0  # seconds until the next round of searches while nobody is there
_RECORDS = 1024  # nodes of which it is remembered what they said


@dataclass(frozen=True, slots=True)
class NodesNamed(Ended):
    """`Discv4.find_nodes` is over."""

    contact: Node
    nodes: tuple[Node, ...] | None
    """At most 16, each of which the node may tell of; None if it did not answer."""


@dataclass(frozen=True, slots=True)
class _Resolve:
    """A node is asked for its record where it is said to be; if it does not answer, it is searched for."""

    operation: int
    node: NodeRecord


_Purpose: TypeAlias = int | Upkeep | Search[NodeRecord] | _Resolve


class Discv4(Protocol[NodeRecord, Exchange[_Purpose]]):
    """A node of discovery v4."""

    version: ClassVar[int] = 4
    target_sizes: ClassVar[tuple[int, ...]] = (64,)

    def __init__(  # noqa: PLR0913  (all but the first two by name)
        self,
        own: PublishesRecord,
        key: PrivateKey,
        *,
        random: Callable[[], float],
        random_bytes: RandomBytes,
        bootnodes: Sequence[NodeRecord] = (),
        external_address: ExternalAddress | None = None,
        ip_versions: Sequence[int] = (4, 6),
        limits: Discv4Limits | None = None,
        tcp_port: int = 0,
        wall: Callable[[float], float] = float,
        asks_only: bool = False,
    ) -> None:
        """Be the node of `key`, whose record is in `own`; LocalProtocolError if that is another's.

        `random` gives numbers from 0 to below 1 and `random_bytes` so many bytes, which nobody else should be able to predict. `bootnodes`
        are left out if they have no IP address of `ip_versions`, those that can be sent to, the better first. Votes on where we are go into
        `external_address`, which may be shared with others. `wall` gives the time in seconds since 1970 that it is at ``now``, which is
        when it is called; by default that is the same. With `asks_only` the table stays empty, nothing is asked but what the owner
        asks for, and nodes that come by themselves are told as NodeHeard.
        """
        self._limits = limits or Discv4Limits()
        known = (contact_of(node, ip_versions) for node in bootnodes)
        super().__init__(
            own,
            key,
            random=random,
            random_bytes=random_bytes,
            known=[contact for contact in known if contact is not None],
            external_address=external_address,
            ip_versions=ip_versions,
            table=self._limits.table,
            operations=self._limits.operations,
            rounds=Refreshing(lambda: 0.9 + 0.2 * random()),
            asks_only=asks_only,
        )
        self._exchange: Exchange[_Purpose] = Exchange(
            own, key, self._limits, self._nodes_to_tell, tcp_port=tcp_port, ip_versions=ip_versions, wall=wall
        )
        self._refreshing = self._walks = 0
        self._told: Recent[bytes, Record] = Recent(_RECORDS, RECORD_INTERVAL)  # what nodes said when they were asked for their records
        self._silences = 0
        self._doubted = False

    @property
    def expired(self) -> int:
        """Packets that were too old by our clock, since anybody has answered."""
        return self._exchange.expired

    @property
    def expired_by(self) -> float | None:
        """The middle one of the seconds by which the latest of those were too old; None if there are none."""
        return median(self._exchange.ages) if self._exchange.ages else None

    def contact_of(self, node: NodeRecord) -> Node | None:
        """Where a node is to be asked; None if that is unknown, or cannot be sent to."""
        return contact_of(node, self.ip_versions)

    def record_of(self, contact: Node) -> NodeRecord:
        """What is known of a node, with its ENR only if it was asked for that."""
        return contact.record

    def request_enr(self, contact: Node, now: float) -> int:
        """Ask a node for its record: RecordFound. One that has just given it is not asked again for ten minutes."""
        operation = self._begin()
        self._request_record(contact, operation, now)
        return operation

    def resolve(self, node: NodeRecord, now: float) -> int:
        """Find the newest record of a node: ask it where it is said to be, or else where it is found: RecordFound."""
        operation = self._begin()
        contact = self.contact_of(node)
        if contact is None:
            self._locate(node, operation, now)
        else:
            self._request_record(contact, _Resolve(operation, node), now)
        self._conclude(now)
        return operation

    def find_nodes(self, contact: Node, target: PublicKey | bytes, now: float) -> int:
        """Ask a node for those that are closest to a target of 64 bytes among those that it knows: NodesNamed."""
        raw = bytes(target)
        if len(raw) not in self.target_sizes:
            raise LocalProtocolError(f"a target of v4 has 64 bytes, the form of a public key, not {len(raw)}")
        operation = self._begin()
        self._exchange.find_nodes(contact, raw, now, operation)
        return operation

    def _nodes_to_tell(self, target: bytes) -> list[Node]:
        """The closest nodes, and more of them than are wanted, since some may not be for everybody."""
        return self.table.closest(keccak256(target), 4 * BUCKET_SIZE)

    # What becomes of questions

    def _conclude(self, now: float) -> None:
        while self._exchange.outcomes:
            match outcome := self._exchange.outcomes.popleft():
                case PingEnded():
                    self._count(answered=outcome.pong is not None, asked_for=not outcome.incoming)
                    self._on_ping_ended(outcome, now)
                case NodesEnded():
                    self._count(answered=outcome.nodes is not None)
                    self._on_nodes_ended(outcome, now)
                case RecordEnded():
                    self._count(answered=outcome.record is not None)
                    self._on_record_ended(outcome, now)
                case Heard(contact, sequence):
                    self._learn(contact, now, incoming=True)
                    self._note_sequence(contact, sequence, now)

    def _count(self, *, answered: bool, asked_for: bool = True) -> None:
        """Doubt the clock if nobody answers, and what comes is too old. Strangers who made us ask with a forged Ping do not count.

        That nobody answers says nothing by itself: this machine may be offline. But when it no longer is, the clock is doubted, however
        long that was.
        """
        if answered:
            self._silences, self._exchange.expired, self._doubted = 0, 0, False
            self._exchange.ages.clear()
        elif asked_for:
            self._silences += 1
            if self._silences >= SILENCES and self._exchange.expired and not self._doubted:
                self._doubted = True
                self._events.append(ClockDoubtful(self._silences, self._exchange.expired))

    def _on_ping_ended(self, outcome: PingEnded[_Purpose], now: float) -> None:
        contact = outcome.contact
        pong = _what_is_said(outcome.pong) if outcome.pong is not None else None
        if pong is not None:
            self._vote(contact, pong, now)
        for purpose in outcome.purposes:
            if purpose is Upkeep.REVALIDATION:
                self.table.revalidated(contact.id, now, ok=pong is not None)
            elif isinstance(purpose, int):
                self._end(PingResult(purpose, contact, pong, outcome.rtt))
        if pong is not None:
            if Upkeep.REVALIDATION not in outcome.purposes:
                self._offer(contact, now, incoming=outcome.incoming)
            self._note_sequence(contact, pong.sequence, now)

    def _on_nodes_ended(self, outcome: NodesEnded[_Purpose], now: float) -> None:
        contact, nodes = outcome.contact, outcome.nodes
        if nodes is not None:
            self._offer(contact, now)
        for node in nodes or ():
            self._learn(node, now)
        self.table.queried(contact.id, now, useful=bool(nodes))
        for purpose in outcome.purposes:
            if isinstance(purpose, Search):
                self._answered(purpose, contact, nodes, now, present=outcome.present)
            elif isinstance(purpose, int):
                self._end(NodesNamed(purpose, contact, None if nodes is None else tuple(nodes)))

    def _on_record_ended(self, outcome: RecordEnded[_Purpose], now: float) -> None:
        contact, record = outcome.contact, outcome.record
        if record is not None:
            contact = add_record(contact, record)
            self._told.set(contact.id, record, now)
            self._offer(contact, now)
        for purpose in outcome.purposes:
            if isinstance(purpose, _Resolve) and record is None:
                self._locate(purpose.node, purpose.operation, now)
            elif isinstance(purpose, int | _Resolve):
                operation = purpose.operation if isinstance(purpose, _Resolve) else purpose
                self._end(RecordFound(operation, contact, record))

    def _offer(self, contact: Node, now: float, *, incoming: bool = False) -> None:
        """A node has just answered: let the table know. One that came by itself remains one that nobody else has told us of."""
        entry = self.table.get(contact.id)
        self._learn(contact, now, incoming=incoming if entry is None else entry.incoming, live=True)

    def _fetch(self, contact: Node, now: float) -> None:
        self._exchange.request_record(contact, now, Upkeep.NEWS)

    def _request_record(self, contact: Node, purpose: int | _Resolve, now: float) -> None:
        told = self._told.get(contact.id, now)
        if told is not None:
            operation = purpose.operation if isinstance(purpose, _Resolve) else purpose
            self._end(RecordFound(operation, add_record(contact, told), told))
        else:
            self._asked.set(contact.id, None, now)
            self._exchange.request_record(contact, now, purpose)

    def _locate(self, node: NodeRecord, operation: int, now: float) -> None:
        """Ask a node for its record where it has answered before, or search for it."""
        entry = self.table.get(node.id)
        if entry is not None and entry.live:
            self._request_record(entry.contact, operation, now)
        else:
            self._search(bytes(node.public_key), now, operation, node)

    # Searches

    def _find_nodes(self, contact: Node, search: Search[NodeRecord], now: float) -> None:
        self._exchange.find_nodes(contact, search.target, now, search)

    def _located(self, operation: int, wanted: NodeRecord, search: Search[NodeRecord], now: float) -> None:
        found = next((contact for contact in search.lookup.result if contact.id == wanted.id), None)
        if found is not None:
            self._request_record(found, operation, now)
        else:
            self._end(RecordFound(operation, None, None))

    def _refresh(self, now: float) -> None:
        if not self._refreshing:
            self._walks = WALKS if self._rounds.is_wide else 0
            self._refreshing = 1 + self._walks
            self._search(self._own_target, now)

    def _refreshed(self, search: Search[NodeRecord], now: float) -> None:  # noqa: ARG002  (that of ourselves is the first to be over)
        self._refreshing -= 1
        walks, self._walks = self._walks, 0
        for _ in range(walks):
            self._search(self._random_bytes(self.target_sizes[0]), now)
        if not self._refreshing:
            self.table.accepts_incoming = True
            if self._known and not self.table.statistics().live:
                self._rounds.lonely(now, _LONELY)


def _what_is_said(pong: packets.Pong) -> Pong:
    return Pong(Endpoint(pong.recipient.ip, pong.recipient.udp), pong.enr_sequence)
