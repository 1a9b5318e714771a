"""Questions and answers of discovery v4, sans-IO (discv4.md, sections "Endpoint Proof" and "Wire Protocol").

Theory of operation. A datagram is judged in the order of what that costs: size and hash, whether it is a repetition, whether anybody at
that endpoint may send such a packet (an answer only if it was asked for, a question only with an endpoint proof), whether its address has
had its share, and strangers together theirs, and only then its signature. Answers do not count as part of a share, or else whoever forges
a node's address could silence it. They must have in them the hash of our question, which nobody else knows; for Neighbors, which has no
place for it, an allowance of some packets comes with each question.

A Ping is answered by a Pong, to strangers only by one that is hardly larger. Its sender is asked for an endpoint proof, if it has none. An
answer must come from the key, the address and the port that were asked, and name the hash of the question, except Neighbors, which names
nothing: so a node is asked one question at a time.

Before a question there may be more to do, since the other side wants an endpoint proof of us. A conversation goes through these stages:

    PINGED     our Ping waits for a Pong; silence ends all
    AWAITED    the Pong is here, and the other's own Ping should follow; if it does not, we are known there already, or it was lost
    SETTLING   we have just answered it, and our Pong must not be overtaken by the question
    ASKED      the question waits for its answer

The other's own Ping does not follow each of ours: we, for one, ping back once a minute, as the address may be a victim's. Where that Ping
or our Pong was lost, our next Ping is filled up (`PAID_PING`), since a Pong and a Ping are hardly more than that, and answer such a one.
"""

import enum
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeAlias, TypeVar

from devp2p.addresses import Endpoint
from devp2p.bounded import Recent, Timers
from devp2p.discovery.own_record import PublishesRecord
from devp2p.discovery.table import BUCKET_SIZE
from devp2p.discovery.v4 import packets
from devp2p.discovery.v4.bonds import Bonds, Discv4Limits, Gate
from devp2p.discovery.v4.nodes import Node, contact_at, judge_neighbor, make_neighbors
from devp2p.errors import DecodingError
from devp2p.keys import PrivateKey
from devp2p.records import Record

PING_BACK_TIMEOUT: Final = 0.5
"""Seconds for the Ping that may follow a Pong."""
EXPIRATION: Final = 20
"""Seconds for which a packet is valid."""
SETTLING: Final = 0.1
"""Seconds between our Pong and a question, and for more of an answer to come."""
AMPLIFICATION: Final = 1.2
"""How much larger than a stranger's Ping may be what comes of it, but for one Ping a minute."""
PAID_PING: Final = 300
"""Bytes of a Ping that is filled up: `AMPLIFICATION` times this are enough for any Pong and Ping of ours together."""

_FAR_AHEAD = 600  # seconds
_ALLOWANCE = 16  # packets that may come in answer to one FindNode
_QUEUED = 4096  # datagrams to be sent
_AGES = 31  # that are kept
_LARGEST_PING = 170  # bytes of a Ping of ours, if it is not filled up

Purpose = TypeVar("Purpose")
T = TypeVar("T")


# What is told to whoever runs an `Exchange`: how its questions ended, each once, and whom it heard from. A `Purpose` is whatever a question
# was given: it comes back with the answer, and is not looked at on the way.


@dataclass(frozen=True, slots=True)
class PingEnded(Generic[Purpose]):
    """A Ping was answered, or not."""

    contact: Node
    pong: packets.Pong | None
    rtt: float
    purposes: Sequence[Purpose]
    incoming: bool
    """It only answered a Ping of a node that we knew nothing of."""


@dataclass(frozen=True, slots=True)
class NodesEnded(Generic[Purpose]):
    """A FindNode was answered, or not."""

    contact: Node
    nodes: Sequence[Node] | None
    """What passed; None if there was no answer."""
    present: bool
    """The node has answered something: our Ping, if not the question."""
    purposes: Sequence[Purpose]


@dataclass(frozen=True, slots=True)
class RecordEnded(Generic[Purpose]):
    """An ENRRequest was answered, or not."""

    contact: Node
    record: Record | None
    purposes: Sequence[Purpose]


@dataclass(frozen=True, slots=True)
class Heard:
    """A node with an endpoint proof has sent a Ping, and said the number of its record if that is not None."""

    contact: Node
    sequence: int | None


Outcome: TypeAlias = PingEnded[Purpose] | NodesEnded[Purpose] | RecordEnded[Purpose] | Heard


@dataclass(slots=True, eq=False)
class _Ping(Generic[Purpose]):
    """A Ping that waits for its Pong."""

    contact: Node
    hash: bytes
    sent: float
    incoming: bool
    purposes: list[Purpose]
    due: float | None = None


class _Stage(enum.Enum):
    NEW = enum.auto()
    PINGED = enum.auto()
    AWAITED = enum.auto()
    SETTLING = enum.auto()
    ASKED = enum.auto()


@dataclass(slots=True, eq=False)
class _Question(Generic[Purpose]):
    target: bytes | None
    """64 bytes, or None where the node is asked for its record."""
    purposes: list[Purpose]


@dataclass(slots=True, eq=False)
class _Conversation(Generic[Purpose]):
    """Questions to one node at one endpoint."""

    contact: Node
    questions: deque[_Question[Purpose]]
    stage: _Stage = _Stage.NEW
    due: float | None = None
    # Of the question that is asked:
    hash: bytes = b""
    latest: float = 0.0
    allowance: int = 0
    nodes: dict[bytes, Node] = field(default_factory=dict[bytes, Node])
    answered: bool = False
    present: bool = False
    """The node has answered our Ping."""

    def admits(self, kind: type[packets.Packet], data: bytes) -> bool:
        """Whether a packet may be the answer that is waited for; each that might costs one of the allowance."""
        if self.stage is not _Stage.ASKED or (kind is packets.Neighbors) is (self.questions[0].target is None):
            return False
        if kind is packets.ENRResponse:
            return self.hash in data
        self.allowance -= 1
        return self.allowance >= 0


class Exchange(Generic[Purpose]):
    """Sends questions and answers those of others. What comes of it is in `outcomes`, and what is to be sent in `outgoing`."""

    def __init__(  # noqa: PLR0913  (`Discv4` puts it together, and nobody else)
        self,
        local: PublishesRecord,
        key: PrivateKey,
        limits: Discv4Limits,
        closest: Callable[[bytes], Iterable[Node]],
        *,
        tcp_port: int,
        ip_versions: Sequence[int],
        wall: Callable[[float], float],
    ) -> None:
        """`closest` gives the nodes to tell others of, for a 64-byte target, best first. `ip_versions` are those that can be sent to.

        `wall` gives the time since 1970.
        """
        self.outcomes: deque[Outcome[Purpose]] = deque()
        self.outgoing: deque[tuple[bytes, Endpoint]] = deque(maxlen=_QUEUED)
        self.expired: int = 0
        """Packets that came too late, if our clock is right."""
        self.ages: deque[float] = deque(maxlen=_AGES)
        """By how many seconds the latest of them were too old."""
        self._local, self._key, self._limits, self._closest = local, key, limits, closest
        self._tcp_port, self._ip_versions, self._wall = tcp_port, ip_versions, wall
        self._gate = Gate(limits)
        self._bonds = Bonds(limits.bonds)
        self._pings: dict[Endpoint, dict[bytes, _Ping[Purpose]]] = {}
        self._conversations: dict[Endpoint, dict[bytes, _Conversation[Purpose]]] = {}
        self._timers: Timers[_Ping[Purpose] | _Conversation[Purpose]] = Timers()
        self._ping_backs = 0
        self._expirations: Recent[Endpoint, int] = Recent(limits.bonds)

    def ping(self, contact: Node, now: float, *purposes: Purpose, incoming: bool = False, size: int = 0) -> None:
        """Ask a node whether it is there, by `size` bytes at least; PingEnded will follow. If it is being asked, that answer serves."""
        here = self._pings.setdefault(contact.endpoint, {})
        ping = here.get(contact.id)
        if ping is not None:
            ping.purposes += purposes
            return
        record, expiration = self._local.record, self._expiration(contact.endpoint, now)
        ip, udp = (record.ip6, record.udp6) if len(contact.endpoint.ip) == 16 else (record.ip, record.udp)
        # Not all take an empty address from a node that does not know its own.
        # A router may forward another TCP port to us than the one that we listen at.
        tcp = self._tcp_port if record.tcp is None else record.tcp
        sender = packets.Endpoint(bytes(len(contact.endpoint.ip)) if ip is None else ip.packed, udp or 0, tcp)
        recipient = packets.Endpoint(contact.endpoint.ip, contact.endpoint.port, 0)
        packet_hash = self._send(packets.Ping(sender, recipient, expiration, record.sequence), contact.endpoint, size)
        ping = here[contact.id] = _Ping(contact, packet_hash, now, incoming, list(purposes))
        self._ping_backs += incoming
        self._timers.set(ping, now + self._limits.response_timeout)

    def find_nodes(self, contact: Node, target: bytes, now: float, purpose: Purpose) -> None:
        """Ask a node for those closest to a 64-byte target; NodesEnded will follow."""
        self._ask(contact, _Question(target, [purpose]), now)

    def request_record(self, contact: Node, now: float, *purposes: Purpose) -> None:
        """Ask a node for its record; RecordEnded will follow."""
        conversation = self._conversations.get(contact.endpoint, {}).get(contact.id)
        for question in conversation.questions if conversation is not None else ():
            if question.target is None:
                question.purposes += purposes
                return
        self._ask(contact, _Question(None, list(purposes)), now)

    def receive(self, data: bytes, source: Endpoint, now: float) -> bool:
        """Take in a datagram; False if it is not one of discovery v4."""
        try:
            packets.check_hash(data)
        except DecodingError:
            return False
        kind = packets.PACKETS.get(data[packets.MIN_PACKET - 1])
        if source.port and kind is not None and self._is_admitted(kind, data, source, now):
            try:
                decoded = packets.decode(data)
            except DecodingError:
                return True
            packet, wall = decoded.packet, self._wall(now)
            if packets.is_expired(packet, wall):
                self.expired += 1
                if not isinstance(packet, packets.ENRResponse) and packet.expiration < wall:
                    self.ages.append(wall - packet.expiration)
            elif decoded.public_key != self._key.public_key:
                self._take(decoded, source, len(data), now)
        return True

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""
        return self._timers.next()

    def handle_timer(self, now: float) -> None:
        """Give up waiting, or go on where it was waited for the right time."""
        for item in self._timers.due(now):
            if isinstance(item, _Ping):
                self._end_ping(item, None, now)
            elif item.stage is not _Stage.ASKED:
                self._ask_now(item, now)
            elif item.answered:
                self._end_question(item, now, nodes=list(item.nodes.values()))
            else:
                self._bonds.doubt(item.contact.id, item.contact.endpoint)
                self._end_question(item, now)

    def _is_admitted(self, kind: type[packets.Packet], data: bytes, source: Endpoint, now: float) -> bool:
        """Judge a packet by all that is known without looking at its signature."""
        if kind is packets.Pong:
            return any(ping.hash in data for ping in self._pings.get(source, {}).values())
        if kind in {packets.ENRResponse, packets.Neighbors}:
            conversations = self._conversations.get(source, {}).values()
            return any(conversation.admits(kind, data) for conversation in conversations)
        # Answers need not be remembered: each is tied to a question, and that is over when it has come.
        packet_hash = data[:32]
        if self._gate.is_repeated(packet_hash, now):
            return False
        is_proved = self._bonds.is_anybody_at(source, now)
        if kind is not packets.Ping and not (is_proved and self._gate.allows_query(source, now)):
            return False
        if not self._gate.allows_packet(source, now, is_proved=is_proved):
            return False
        if not (is_proved or self._is_asked(source)) and not self._gate.allows_stranger(source, now):
            return False
        self._gate.remember(packet_hash, now)
        return True

    def _is_asked(self, source: Endpoint) -> bool:
        """Whether somebody at that endpoint is being asked."""
        return source in self._pings or source in self._conversations

    def _take(self, decoded: packets.Decoded, source: Endpoint, size: int, now: float) -> None:
        node_id = decoded.public_key.node_id
        match decoded.packet:
            case packets.Ping() as ping:
                contact = contact_at(decoded.public_key, source, ping.sender.tcp)
                self._on_ping(ping, decoded.hash, contact, size, now)
            case packets.Pong() as pong:
                sent = self._pings.get(source, {}).get(node_id)
                if sent is not None and pong.ping_hash == sent.hash:
                    self._bonds.prove(node_id, source, now)
                    self._end_ping(sent, pong, now)
            case packets.FindNode(target) if self._bonds.is_proved(node_id, source, now):
                told = (contact for contact in self._closest(target) if contact.id != node_id)
                for nodes in make_neighbors(told, source):
                    self._send(packets.Neighbors(nodes, int(self._wall(now)) + EXPIRATION), source)
            case packets.ENRRequest() if self._bonds.is_proved(node_id, source, now):
                self._send(packets.ENRResponse(decoded.hash, self._local.record.encode()), source)
            case packets.Neighbors() | packets.ENRResponse() as answer:
                conversation = self._conversations.get(source, {}).get(node_id)
                if conversation is not None and conversation.stage is _Stage.ASKED:
                    self._on_answer(conversation, answer, now)
            case _:
                pass

    def _on_ping(self, ping: packets.Ping, packet_hash: bytes, contact: Node, size: int, now: float) -> None:
        """Answer a Ping, and see to it that there is an endpoint proof."""
        source, proved = contact.endpoint, self._bonds.is_proved(contact.id, contact.endpoint, now)
        room = packets.MAX_PACKET if proved else int(AMPLIFICATION * size)
        sent = self._send_pong(packet_hash, source, now, room)
        if not sent:
            return
        self._bonds.serve(contact.id, source, now)
        if proved:
            self.outcomes.append(Heard(contact, ping.enr_sequence))
        elif self._may_ping_back(contact, room - sent, now):
            self.ping(contact, now, incoming=True)
        conversation = self._conversations.get(source, {}).get(contact.id)
        if conversation is not None and conversation.stage is _Stage.AWAITED:
            self._advance(conversation, now)

    def _may_ping_back(self, contact: Node, room: int, now: float) -> bool:
        if contact.id in self._pings.get(contact.endpoint, {}) or self._ping_backs >= self._limits.ping_backs:
            return False
        return room >= _LARGEST_PING or self._gate.allows_ping_back(contact.endpoint, now)

    def _send_pong(self, packet_hash: bytes, source: Endpoint, now: float, room: int) -> int:
        """Answer a Ping, if there is room for so many bytes, and tell how many they are; the number of our record may be left out."""
        for sequence in (self._local.record.sequence, None):
            pong = packets.Pong(packets.Endpoint(source.ip, source.port, 0), packet_hash, int(self._wall(now)) + EXPIRATION, sequence)
            data, _ = packets.encode(pong, self._key)
            if len(data) <= room:
                self.outgoing.append((data, source))
                return len(data)
        return 0

    def _on_answer(self, conversation: _Conversation[Purpose], answer: packets.Neighbors | packets.ENRResponse, now: float) -> None:
        question = conversation.questions[0]
        if isinstance(answer, packets.ENRResponse):
            if question.target is None and answer.request_hash == conversation.hash:
                try:
                    record = Record.decode(answer.record)
                except DecodingError:
                    record = None
                right = record is not None and record.id == conversation.contact.id
                self._end_question(conversation, now, record=record if right else None)
            return
        if question.target is None:
            return
        conversation.answered = True
        for neighbor in answer.nodes[:BUCKET_SIZE]:
            node = judge_neighbor(neighbor, conversation.contact.endpoint.ip, self._ip_versions)
            if node is not None and node.id != self._key.public_key.node_id and len(conversation.nodes) < BUCKET_SIZE:
                conversation.nodes.setdefault(node.id, node)
        if len(conversation.nodes) == BUCKET_SIZE:
            self._end_question(conversation, now, nodes=list(conversation.nodes.values()))
        elif len(answer.nodes) < packets.MAX_NEIGHBORS:  # a packet that is not full is probably the last one
            self._timers.set(conversation, min(conversation.latest, now + SETTLING))

    def _end_ping(self, ping: _Ping[Purpose], pong: packets.Pong | None, now: float) -> None:
        contact = ping.contact
        ping.due = None
        self._ping_backs -= ping.incoming
        _remove(self._pings, contact)
        self.outcomes.append(PingEnded(contact, pong, now - ping.sent, ping.purposes, ping.incoming))
        conversation = self._conversations.get(contact.endpoint, {}).get(contact.id)
        if conversation is None or conversation.stage is not _Stage.PINGED:
            return
        if pong is not None:
            conversation.present = True
            self._advance(conversation, now)
            return
        _remove(self._conversations, contact)
        self.outcomes.extend(self._ended(conversation, question) for question in conversation.questions)

    def _ask(self, contact: Node, question: _Question[Purpose], now: float) -> None:
        here = self._conversations.setdefault(contact.endpoint, {})
        conversation = here.get(contact.id)
        if conversation is not None:
            conversation.questions.append(question)
        else:
            conversation = here[contact.id] = _Conversation(contact, deque([question]))
            self._advance(conversation, now)

    def _advance(self, conversation: _Conversation[Purpose], now: float) -> None:
        """Go to the stage that comes next, now that something has happened."""
        node_id, endpoint = conversation.contact.id, conversation.contact.endpoint
        served = self._bonds.served_at(node_id, endpoint, now)
        proved = self._bonds.is_proved(node_id, endpoint, now)
        if not proved or (served is None and conversation.stage is _Stage.NEW):
            conversation.stage = _Stage.PINGED
            asked = self._expirations.get(endpoint) or 0  # by us; so that they may have pinged back already
            is_recent = asked - EXPIRATION + self._limits.ping_back_interval > self._wall(now)
            self.ping(conversation.contact, now, size=PAID_PING if is_recent else 0)
        elif served is None:
            conversation.stage = _Stage.AWAITED
            self._timers.set(conversation, now + PING_BACK_TIMEOUT)
        elif served + SETTLING > now:
            conversation.stage = _Stage.SETTLING
            self._timers.set(conversation, served + SETTLING)
        else:
            self._ask_now(conversation, now)

    def _ask_now(self, conversation: _Conversation[Purpose], now: float) -> None:
        contact, target = conversation.contact, conversation.questions[0].target
        expiration = self._expiration(contact.endpoint, now)
        packet = packets.ENRRequest(expiration) if target is None else packets.FindNode(target, expiration)
        conversation.hash = self._send(packet, contact.endpoint)
        conversation.stage, conversation.allowance = _Stage.ASKED, _ALLOWANCE
        conversation.nodes, conversation.answered = {}, False
        conversation.latest = now + self._limits.response_timeout
        self._timers.set(conversation, conversation.latest)

    def _end_question(
        self, conversation: _Conversation[Purpose], now: float, *, nodes: Sequence[Node] | None = None, record: Record | None = None
    ) -> None:
        question = conversation.questions.popleft()
        conversation.due, conversation.stage = None, _Stage.NEW
        self.outcomes.append(self._ended(conversation, question, nodes, record))
        if conversation.questions:
            self._advance(conversation, now)
        else:
            _remove(self._conversations, conversation.contact)

    @staticmethod
    def _ended(
        talk: _Conversation[Purpose], question: _Question[Purpose], nodes: Sequence[Node] | None = None, record: Record | None = None
    ) -> Outcome[Purpose]:
        if question.target is None:
            return RecordEnded(talk.contact, record, question.purposes)
        return NodesEnded(talk.contact, nodes, talk.present, question.purposes)

    def _send(self, packet: packets.Packet, endpoint: Endpoint, size: int = 0) -> bytes:
        data, packet_hash = packets.encode(packet, self._key, size=size)
        self.outgoing.append((data, endpoint))
        return packet_hash

    def _expiration(self, endpoint: Endpoint, now: float) -> int:
        """When a packet to an endpoint expires: each at another second, since else equal ones would be taken for one that came twice."""
        usual = int(self._wall(now)) + EXPIRATION
        last = self._expirations.get(endpoint) or 0
        # A last one far ahead is from before the clock was set back.
        expiration = max(usual, last + 1) if last < usual + _FAR_AHEAD else usual
        self._expirations.set(endpoint, expiration)
        return expiration


def _remove(index: dict[Endpoint, dict[bytes, T]], contact: Node) -> None:
    """Take what belongs to a contact out of an index by endpoint and node-ID."""
    here = index[contact.endpoint]
    del here[contact.id]
    if not here:
        del index[contact.endpoint]
