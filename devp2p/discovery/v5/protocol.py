"""Node Discovery Protocol v5.1, sans-IO: `Discv5` finds nodes, keeps a table of them, and tells others of it.

See `Protocol` for its shape, and for what it does as v4 does. There are two more operations, `find_node` and `talk`. (discv5-wire.md,
discv5-theory.md.)

Theory of operation. `Exchange` asks and answers: with `PacketSessions`, which knows who is who, `Requests`, which knows what was
asked and not answered yet, and `Answers`, which knows what to tell others. Here is what is made of that. A node that comes by itself is
offered to the table if its record names the very endpoint that it proved itself from, by answering our challenge there.

Nothing that a stranger sends is answered by more bytes than it had, until the handshake has shown that the stranger is where it seems to
be. From then on a node, and all nodes of one host together, may ask some times a second.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar, TypeAlias

from devp2p.addresses import Endpoint
from devp2p.discovery.events import Ended, PingResult, Pong, RecordFound
from devp2p.discovery.external_address import ExternalAddress
from devp2p.discovery.own_record import PublishesRecord
from devp2p.discovery.protocol import WALKS, Protocol, RandomBytes, Refreshing, Search, Upkeep
from devp2p.discovery.table import ID_SIZE, Contact, contact_of, contacts_told_by, lookup_distances, node_at
from devp2p.discovery.v5 import messages as v5_messages
from devp2p.discovery.v5.answers import MAX_TALK, Answers, Discv5Limits, TalkHandler
from devp2p.discovery.v5.exchange import Exchange, Heard, RequestEnded
from devp2p.errors import LocalProtocolError
from devp2p.keys import PrivateKey
from devp2p.records import NodeRecord, Record


@dataclass(frozen=True, slots=True)
class NodesFound(Ended):
    """`Discv5.find_node` is over."""

    contact: Contact[Record]
    records: tuple[Record, ...]
    """All that came and passed: verified, of a distance that was asked for, each node once, none of them ourselves."""
    complete: bool
    """Whether every message came that was announced; False too if the node was silent, or did not keep to the rules."""


@dataclass(frozen=True, slots=True)
class TalkAnswered(Ended):
    """`Discv5.talk` is over."""

    contact: Contact[Record]
    response: bytes | None
    """None if the node was silent; empty from one that does not know the protocol."""


@dataclass(frozen=True, slots=True)
class _ForRecord:
    """A node is asked for its record; with `wanted` it is searched for if it does not give one that is as new as what was known."""

    operation: int
    wanted: NodeRecord | None = None


_Purpose: TypeAlias = int | Upkeep | Search[Record] | _ForRecord


class Discv5(Protocol[Record, Exchange[_Purpose]]):
    """A node of discovery v5.1."""

    version: ClassVar[int] = 5
    target_sizes: ClassVar[tuple[int, ...]] = (ID_SIZE, 64)

    def __init__(  # noqa: PLR0913  (all but the first two by name)
        self,
        own: PublishesRecord,
        key: PrivateKey,
        *,
        random: Callable[[], float],
        random_bytes: RandomBytes,
        bootnodes: Iterable[NodeRecord] = (),
        external_address: ExternalAddress | None = None,
        ip_versions: Sequence[int] = (4, 6),
        limits: Discv5Limits | None = None,
        talk: Mapping[bytes, TalkHandler] = MappingProxyType({}),
        maintains: bool = True,
        asks_only: bool = False,
    ) -> None:
        """Be the node of `key`, whose record is in `own`; LocalProtocolError if that is another's.

        `random` gives numbers from 0 to below 1, which others should not be able to predict, `random_bytes` so many bytes, which they must
        not. `bootnodes` are left out if they have no ENR, or none that names an address of `ip_versions`, those that can be sent to, the
        better first. Votes on where we are go into `external_address`, which may be shared with others. `talk` are the handlers of TALKREQ
        by protocol. Without `maintains` the table is left to the owner; with `asks_only` it stays empty, nothing is asked but what the
        owner asks for, and nodes that come by themselves are told as NodeHeard.
        """
        limits = limits or Discv5Limits()
        known = (contact_of(node.enr, ip_versions) for node in bootnodes if node.enr is not None)
        super().__init__(
            own,
            key,
            random=random,
            random_bytes=random_bytes,
            known=[contact for contact in known if contact is not None],
            external_address=external_address,
            ip_versions=ip_versions,
            table=limits.table,
            operations=limits.operations,
            rounds=Refreshing(),
            maintains=maintains,
            asks_only=asks_only,
        )
        self._answers = Answers(self.table, limits, talk)
        self._exchange: Exchange[_Purpose] = Exchange(own, key, random_bytes, self.table, self._answers, limits)

    def contact_of(self, node: NodeRecord) -> Contact[Record] | None:
        """Where a node is to be asked, as its own record says, or the newer one that we have of it; None if neither says so."""
        entry = self.table.get(node.id)
        if entry is not None and (node.enr is None or entry.contact.seq > node.enr.sequence):
            return entry.contact
        return None if node.enr is None else contact_of(node.enr, self.ip_versions)

    def record_of(self, contact: Contact[Record]) -> NodeRecord:
        """What is known of a node that answered, without addresses that one in its place cannot know."""
        return node_at(contact.endpoint, contact.record)

    def request_enr(self, contact: Contact[Record], now: float) -> int:
        """Ask a node for its record: RecordFound."""
        operation = self._begin()
        self._exchange.find_nodes(contact, [0], now, _ForRecord(operation))
        return operation

    def resolve(self, node: NodeRecord, now: float) -> int:
        """Find the newest record of a node: ask it where it is said to be, or else those around it: RecordFound."""
        operation = self._begin()
        contact = self.contact_of(node)
        if contact is None:
            self._search(node.id, now, operation, node)
        else:
            self._exchange.find_nodes(contact, [0], now, _ForRecord(operation, replace(node, enr=contact.record)))
        self._conclude(now)
        return operation

    def find_node(self, contact: Contact[Record], distances: Iterable[int], now: float) -> int:
        """Ask a node for those at some logarithmic distances (0 to 256) from it: NodesFound."""
        wanted = tuple(dict.fromkeys(distances))
        if not wanted or not all(0 <= distance <= 256 for distance in wanted):
            raise LocalProtocolError("distances are from 0 to 256, and at least one of them")
        operation = self._begin()
        self._exchange.find_nodes(contact, wanted, now, operation)
        return operation

    def talk(self, contact: Contact[Record], protocol: bytes, request: bytes, now: float) -> int:
        """Say something in another protocol, at most `MAX_TALK` bytes with its name: TalkAnswered."""
        if len(protocol) + len(request) > MAX_TALK:
            raise LocalProtocolError(f"{len(protocol) + len(request)} bytes of talk, where {MAX_TALK} are allowed")
        operation = self._begin()
        self._exchange.ask(contact, lambda request_id: v5_messages.TalkRequest(request_id, protocol, request), operation, now)
        return operation

    def on_talk(self, protocol: bytes, handler: TalkHandler | None) -> None:
        """Let `handler` answer the TALKREQs of a protocol from now on; None for nobody."""
        self._answers.on_talk(protocol, handler)

    # What becomes of questions

    def _conclude(self, now: float) -> None:
        while self._exchange.outcomes:
            match outcome := self._exchange.outcomes.popleft():
                case RequestEnded():
                    self._finish(outcome, now)
                case Heard():
                    self._met(outcome, now)

    def _finish(self, over: RequestEnded[_Purpose], now: float) -> None:
        """A request has been answered; or not, or not fully."""
        contact, records, purpose = over.request.contact, over.records, over.request.purpose
        came = over.answer is not None or bool(records)
        if purpose is Upkeep.REVALIDATION:
            self.table.revalidated(contact.id, now, ok=came)
        elif came:
            self._learn(contact, now, live=True)
        named = contacts_told_by(contact.endpoint, records, self.ip_versions)
        for found in named:
            self._learn(found, now)  # to be told to others once it has answered us
        pong = _what_is_said(over.answer) if isinstance(over.answer, v5_messages.Pong) else None
        match purpose:
            case int():
                self._tell(purpose, over, pong, now)
            case _ForRecord():
                self._on_record(purpose, contact, records, now)
            case Search():
                self._searched(purpose, over, named, now)
            case Upkeep():
                pass
        if pong is not None:
            self._vote(contact, pong, now)
            self._note_sequence(contact, pong.sequence, now)

    def _tell(self, operation: int, over: RequestEnded[_Purpose], pong: Pong | None, now: float) -> None:
        """The owner asked this."""
        request, answer = over.request, over.answer
        match request.message:
            case v5_messages.Ping():
                self._end(PingResult(operation, request.contact, pong, now - request.began))
            case v5_messages.FindNode():
                self._end(NodesFound(operation, request.contact, over.records, complete=answer is not None))
            case v5_messages.TalkRequest():
                response = answer.response if isinstance(answer, v5_messages.TalkResponse) else None
                self._end(TalkAnswered(operation, request.contact, response))

    def _on_record(self, purpose: _ForRecord, contact: Contact[Record], records: Sequence[Record], now: float) -> None:
        """A node was asked for its record."""
        record, wanted = (records[0] if records else None), purpose.wanted
        known = wanted.enr if wanted is not None else None
        if record is not None and (known is None or record.sequence >= known.sequence):
            self._end(RecordFound(purpose.operation, contact._replace(seq=record.sequence, record=record), record))
        elif wanted is not None:
            self._search(wanted.id, now, purpose.operation, wanted)
        else:
            self._end(RecordFound(purpose.operation, contact, None))

    def _met(self, heard: Heard, now: float) -> None:
        """A node came by itself: it may be in the table if its record says that it is where it was heard.

        It has answered our challenge from there, so it may be told to others at once, as v4 does with those that answered its Ping. If each
        had to wait for a check of ours, one in 1.5 s, twenty newcomers would not find each other for half a minute.
        """
        contact = contact_of(heard.record, self.ip_versions, at=heard.endpoint)
        if contact is not None and contact.endpoint == heard.endpoint:
            self._learn(contact, now, incoming=True, live=True, unasked=True)

    def _fetch(self, contact: Contact[Record], now: float) -> None:
        self._exchange.find_nodes(contact, [0], now, Upkeep.NEWS)

    # Searches

    def _find_nodes(self, contact: Contact[Record], search: Search[Record], now: float) -> None:
        self._exchange.find_nodes(contact, lookup_distances(search.lookup.target, contact.id), now, search)

    def _searched(self, search: Search[Record], over: RequestEnded[_Purpose], named: Sequence[Contact[Record]], now: float) -> None:
        """Somebody was asked for a search, and has named others, or not."""
        contact, records = over.request.contact, over.records
        self.table.queried(contact.id, now, useful=bool(records))
        if search.wanted is not None and search.wanted.enr is not None:
            newest = search.found or search.wanted.enr
            for record in records:
                if record.id == newest.id and record.sequence >= newest.sequence:
                    search.found = newest = record
        self._answered(search, contact, None if over.answer is None and not records else named, now)

    def _located(self, operation: int, wanted: NodeRecord, search: Search[Record], now: float) -> None:  # noqa: ARG002
        """A newer record counts that others have named. If none was known, the node itself must have answered."""
        contact = next((contact for contact in search.lookup.result if contact.id == wanted.id), None)
        if wanted.enr is not None:
            contact = None if search.found is None else contact_of(search.found, self.ip_versions)
            self._end(RecordFound(operation, contact, search.found))
        else:
            self._end(RecordFound(operation, contact, None if contact is None else contact.record))

    def _refresh(self, now: float) -> None:
        self._search(self._own_target, now)
        if self._rounds.is_wide:
            for _ in range(WALKS):
                self._search(self._random_bytes(ID_SIZE), now)

    def _refreshed(self, search: Search[Record], now: float) -> None:
        # Our own neighbourhood has its places now, before others come by themselves.
        self.table.accepts_incoming |= search.target == self._own_target
        if not self.table.statistics().live:
            self._rounds.lonely(now)


def _what_is_said(pong: v5_messages.Pong) -> Pong:
    return Pong(Endpoint(pong.recipient_ip, pong.recipient_port), pong.enr_sequence)
