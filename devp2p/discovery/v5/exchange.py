"""Questions and answers of discovery v5.1, sans-IO: what a node does whoever the others are (discv5-wire.md, discv5-theory.md, "Sessions").

A datagram is opened with a session's keys, or leads to a handshake; what it says is an answer to a request of ours, or a request, which is
answered at once. What that means for the table and for searches is not decided here, but told as `RequestEnded` and `Heard`.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic

from devp2p.addresses import Endpoint
from devp2p.discovery.own_record import PublishesRecord
from devp2p.discovery.protocol import RandomBytes
from devp2p.discovery.table import Contact, RoutingTable
from devp2p.discovery.v5 import packets as v5_packets
from devp2p.discovery.v5.answers import Answers, Discv5Limits
from devp2p.discovery.v5.messages import FindNode, Nodes, Ping, TalkRequest, decode_message, encode_message
from devp2p.discovery.v5.requests import Answer, Outbox, Purpose, Question, Request, Requests
from devp2p.discovery.v5.sessions import Opened, PacketSessions, Remote
from devp2p.errors import DecodingError
from devp2p.keys import PrivateKey
from devp2p.records import Record


@dataclass(frozen=True, slots=True)
class RequestEnded(Generic[Purpose]):
    """A request of ours is over."""

    request: Request[Purpose]
    answer: Answer | None
    """None if there was none, or not all of it."""

    @property
    def records(self) -> tuple[Record, ...]:
        """What has come of NODES."""
        return self.request.nodes.records if self.request.nodes is not None else ()


@dataclass(frozen=True, slots=True)
class Heard:
    """A node has asked something, and was answered: so it is who it says to be, and where we heard it."""

    record: Record
    endpoint: Endpoint


class Exchange(Generic[Purpose]):
    """A node without table. Outcomes and datagrams are to be taken out after each call."""

    def __init__(  # noqa: PLR0913, PLR0917  (`Discv5` puts it together, and nobody else)
        self,
        local_record: PublishesRecord,
        key: PrivateKey,
        random_bytes: RandomBytes,
        table: RoutingTable[Record],
        answers: Answers,
        limits: Discv5Limits,
    ) -> None:
        """`table` is looked into for the records of those who come, and answered from by `answers`."""
        self._local, self._own_id = local_record, key.public_key.node_id
        self._table, self._answers = table, answers
        self.outgoing: Outbox = []
        self.outcomes: deque[RequestEnded[Purpose] | Heard] = deque()
        handshake = limits.handshake_timeout
        self._sessions = PacketSessions(
            key, random_bytes, sessions=limits.sessions, challenges=limits.challenges, handshake_timeout=handshake
        )
        self._requests: Requests[Purpose] = Requests(
            self._sessions,
            self.outgoing,
            random_bytes,
            response_timeout=limits.response_timeout,
            handshake_timeout=handshake,
            remembered=limits.remembered,
        )

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many sessions, challenges and unanswered requests there are."""
        return *self._sessions.counts, len(self._requests)

    def ask(self, contact: Contact[Record], make: Callable[[bytes], Question], purpose: Purpose, now: float) -> None:
        """Ask what `make` makes of a request-id; ends in `RequestEnded`."""
        self._requests.ask(contact, make, purpose, self._own_id, now)

    def ping(self, contact: Contact[Record], now: float, purpose: Purpose) -> None:
        """Ask a node whether it is there."""
        self.ask(contact, lambda request_id: Ping(request_id, self._local.record.sequence), purpose, now)

    def find_nodes(self, contact: Contact[Record], distances: Iterable[int], now: float, purpose: Purpose) -> None:
        """Ask a node for those at some logarithmic distances (0 to 256) from it; 0 is its own record."""
        self.ask(contact, lambda request_id: FindNode(request_id, tuple(distances)), purpose, now)

    def next_timer(self) -> float | None:
        """When `handle_timer` is due."""
        return self._requests.next_timer()

    def handle_timer(self, now: float) -> None:
        """Give up on requests that have waited long enough."""
        self.outcomes.extend(RequestEnded(request, None) for request in self._requests.expired(now))

    def receive(self, data: bytes, source: Endpoint, now: float) -> bool:
        """Take in a datagram; False if it is no packet of discovery v5 to us, so that other protocols on the port may look at it."""
        try:
            packet = v5_packets.decode(data, self._own_id)
        except DecodingError:
            return False
        header = packet.header
        if isinstance(header, v5_packets.WhoAreYou):
            self._requests.challenged(packet, header, source, self._local.record, now)
            return True
        remote = Remote(header.source, source)
        if header.source == self._own_id or not source.port:
            return True
        if isinstance(header, v5_packets.Handshake):
            opened = self._sessions.accept(packet, header, remote, now) if self._may_prove(remote, now) else None
        else:
            opened = self._sessions.open(packet, remote)
            if opened is None:
                self._challenge(remote, header.nonce, now)
        if opened is not None:
            self._handle(opened, remote, header.nonce, now)
            if opened.is_news:
                self._requests.confirmed(remote, now)
        return True

    def _challenge(self, remote: Remote, nonce: bytes, now: float) -> None:
        """A packet did not open: ask who sent it. Those of whom we expect something are not held to the limit for strangers."""
        if not self._requests.expects(remote) and not self._answers.may_challenge(remote, now):
            return
        entry = self._table.get(remote.id)
        known = (self._sessions.record_of(remote), entry and entry.contact.record)
        record = max((record for record in known if record), key=lambda record: record.sequence, default=None)
        datagram = self._sessions.challenge(remote, nonce, record, now)
        if datagram is not None:
            self.outgoing.append((datagram, remote.endpoint))

    def _may_prove(self, remote: Remote, now: float) -> bool:
        """Whether to look at a proof, which costs two signatures: it must have been asked for, and strangers not have had their share."""
        if not self._sessions.is_challenged(remote, now):
            return False
        return self._requests.expects(remote) or self._answers.may_prove(remote, now)

    def _handle(self, opened: Opened, remote: Remote, nonce: bytes, now: float) -> None:
        try:
            message = decode_message(opened.plaintext)
        except DecodingError:
            return
        if isinstance(message, (Ping, FindNode, TalkRequest)):
            answers = self._answers.answer(message, remote, opened.record, self._local.record, now)
            for answer in answers:
                datagram = self._sessions.seal_answer(remote, opened.keys, encode_message(answer))
                self.outgoing.append((datagram, remote.endpoint))
            if answers:
                self.outcomes.append(Heard(opened.record, remote.endpoint))
            return
        request = self._requests.match(remote, message)
        if request is None:
            return
        if isinstance(message, Nodes) and request.nodes is not None:
            try:
                is_news = request.nodes.receive(message, nonce)
            except DecodingError:
                self._end(request, None, now)
                return
            if not request.nodes.complete:
                if is_news:
                    self._requests.put_off(request, now)
                return
        self._end(request, message, now)

    def _end(self, request: Request[Purpose], answer: Answer | None, now: float) -> None:
        self._requests.finish(request, now)
        self.outcomes.append(RequestEnded(request, answer))
