"""Row D15 of THREATS.md: whatever two nodes answer to FINDNODE, and however often, what is taken is what a plain model says.

Both are in session with us, and say what they like: any total, any records, to each other's questions, twice, too late, or never.
"""

from dataclasses import dataclass, field
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from devp2p import rlp
from devp2p.addresses import Endpoint
from devp2p.discovery.table.contacts import contact_of, endpoints_of
from devp2p.discovery.table.kademlia import distance
from devp2p.discovery.v5 import messages as v5_messages
from devp2p.discovery.v5 import nodes as v5_nodes
from devp2p.discovery.v5.messages import FindNode, Nodes, Ping
from devp2p.discovery.v5.protocol import NodesFound
from devp2p.errors import DecodingError
from devp2p.records.enr import Record
from tests.discovery.v5_wire import Party, Stranger, make_party, record_of, state_of

TIMEOUT = 0.7
OWN = record_of(1)
KNOWN = [record_of(number) for number in range(200, 216)]
ODD = [
    OWN,
    record_of(2),
    record_of(3),
    record_of(200, sequence=9),  # newer than the one above
    record_of(230, endpoint=Endpoint(bytes([192, 168, 1, 1]), 30303)),
    record_of(231, endpoint=Endpoint(bytes([20, 1, 1, 1]), 53)),
]
WRONG = [b"\xc0", b"\x80", KNOWN[0].encode()[:-1] + b"!", rlp.encode([bytes(64), 1])]
TOTALS = st.sampled_from([0, 1, 1, 2, 2, 3, 4, 5, 6, 16, 17, 255, 2**64 - 1])


@dataclass
class Question:
    """One of ours that is not over, and what has come of its answer."""

    operation: int
    who: int
    request_id: bytes
    distances: frozenset[int]
    deadline: float
    total: int | None = None
    nonces: set[int] = field(default_factory=set[int])
    records: list[Record] = field(default_factory=list[Record])

    def take(self, data: bytes, stranger: Stranger) -> None:
        try:
            record = Record.decode(data)
        except DecodingError:
            return
        away = distance(record.id, stranger.id)
        told = away == 0 or endpoints_of(record, told_by=stranger.endpoint.ip)
        known = {known.id for known in self.records}
        if told and away in self.distances and record.id not in known | {OWN.id} and len(known) < 16:
            self.records.append(record)


@dataclass
class Sent:
    """A datagram of a stranger, to be sent again."""

    who: int
    number: int
    data: bytes
    message: Nodes


class AnswersMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.victim: Party = make_party(1)
        self.strangers = [Stranger(2, self.victim), Stranger(3, self.victim)]
        for stranger in self.strangers:
            assert stranger.say(Ping(b"", 1))
        self.open: dict[int, Question] = {}
        self.request_ids: list[bytes] = [b"", b"12345678"]
        self.sent: list[Sent] = []
        self.expected: list[tuple[int, tuple[Record, ...], bool]] = []
        self.heard: set[bytes] = {stranger.id for stranger in self.strangers}

    @precondition(lambda self: len(self.open) < 4)
    @rule(who=st.integers(0, 1), distances=st.sampled_from([(0,), (256, 255), (256, 255, 254, 253, 252, 0), (1, 2), tuple(range(257))]))
    def ask(self, *, who: int, distances: tuple[int, ...]) -> None:
        stranger = self.strangers[who]
        contact = contact_of(stranger.record)
        assert contact is not None
        operation = self.victim.node.find_node(contact, distances, self.now)
        ((data, to),) = self.victim.node.datagrams_to_send(self.now)
        asked = stranger.read(data)
        assert isinstance(asked, FindNode)
        assert (to, asked.distances) == (stranger.endpoint, distances)
        self.open[operation] = Question(operation, who, asked.request_id, frozenset(distances), self.now + TIMEOUT)
        self.request_ids.append(asked.request_id)

    @rule(
        who=st.integers(0, 1),
        which=st.integers(0, 5),
        total=TOTALS,
        records=st.lists(st.sampled_from([record.encode() for record in [*KNOWN, *ODD]] + WRONG), max_size=7),
    )
    def answer(self, *, who: int, which: int, total: int, records: list[bytes]) -> None:
        stranger = self.strangers[who]
        request_id = self.request_ids[::-1][which % len(self.request_ids)]  # mostly one of the latest
        message = Nodes(request_id, total, tuple(records))
        data = stranger.message(v5_messages.encode_message(message))
        self.sent.append(Sent(who, stranger.sealed, data, message))
        self.deliver(self.sent[-1])

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 3))
    def repeat(self, which: int) -> None:
        self.deliver(self.sent[::-1][which % len(self.sent)])

    @rule(seconds=st.sampled_from([0.01, 0.3, 0.6, 0.8]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for question in list(self.open.values()):
            if question.deadline <= self.now:
                self.end(question, complete=False)
        self.victim.node.handle_timer(self.now)
        self.check_events()

    def deliver(self, sent: Sent) -> None:
        stranger = self.strangers[sent.who]
        message = sent.message
        for question in list(self.open.values()):
            if (question.who, question.request_id) == (sent.who, message.request_id):
                if not 0 < message.total <= 16:
                    self.end(question, complete=False)
                    continue
                news = sent.number not in question.nonces
                question.nonces.add(sent.number)
                question.total = question.total or min(message.total, 5)
                for data in message.records:
                    question.take(data, stranger)
                if len(question.nonces) == question.total:
                    self.end(question, complete=True)
                elif news:
                    question.deadline = self.now + TIMEOUT
        assert stranger.exchange(sent.data, self.now) == []
        self.check_events()

    def end(self, question: Question, *, complete: bool) -> None:
        del self.open[question.operation]
        self.expected.append((question.operation, tuple(question.records), complete))
        self.heard |= {record.id for record in question.records}

    def check_events(self) -> None:
        found: list[tuple[int, tuple[Record, ...], bool]] = []
        while (event := self.victim.node.next_event()) is not None:
            assert isinstance(event, NodesFound)
            found.append((event.operation, tuple(event.records), event.complete))
        assert sorted(found, key=lambda end: end[0]) == sorted(self.expected, key=lambda end: end[0])
        self.expected.clear()

    @invariant()
    def nothing_else_is_kept(self) -> None:
        assert state_of(self.victim.node) == (2, 0, len(self.open))
        assert {entry.contact.id for entry in self.victim.node.table} <= self.heard
        assert {entry.contact.id for entry in self.victim.node.table if entry.live} <= {stranger.id for stranger in self.strangers}
        due = min((question.deadline for question in self.open.values()), default=None)
        assert self.victim.node.next_timer() == due


TestD15 = AnswersMachine.TestCase
TestD15.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def asked(distances: list[int]) -> tuple[Party, Stranger, bytes]:
    """A node that has asked a stranger for others, and the id of the request."""
    victim = make_party(1)
    stranger = Stranger(2, victim)
    assert stranger.say(Ping(b"", 1))
    contact = contact_of(stranger.record)
    assert contact is not None
    victim.node.find_node(contact, distances, 0.0)
    ((data, _),) = victim.node.datagrams_to_send(0.0)
    return victim, stranger, stranger.read(data).request_id


def ended_at(*, same: bool) -> float | None:
    """Answer for a minute, and say each time that there is more to come, by ever new datagrams or by one; when the question was over."""
    victim, stranger, request_id = asked([256, 255])
    datagrams = [stranger.message(v5_messages.encode_message(Nodes(request_id, 16, ()))) for _ in range(100)]
    for number in range(100):
        now = number * 0.6
        victim.node.receive_datagram(datagrams[0 if same else number], stranger.endpoint, now)
        victim.node.handle_timer(now)
        if victim.node.next_event() is not None:
            return now
    return None


@pytest.mark.parametrize(("same", "within"), [(False, 3.0), (True, 1.2)], ids=["new", "the same"])
def test_d15_an_answer_that_never_ends_ends(same, within):
    ended = ended_at(same=same)
    assert ended is not None
    assert ended <= within


def test_d15_control_without_a_bound_on_its_parts_it_does_not():
    with patch.object(v5_nodes, "MAX_PARTS", 1000):
        ended = ended_at(same=False)
        assert ended is not None
        assert ended > 8


def taken() -> int:
    """Name seven nodes that were not asked for; how many are taken."""
    victim, stranger, request_id = asked([1])
    stranger.say(Nodes(request_id, 1, tuple(record.encode() for record in [*KNOWN[:6], ODD[4]])))
    found = victim.node.next_event()
    assert isinstance(found, NodesFound)
    return len(found.records)


def test_d15_what_was_not_asked_for_is_not_taken():
    assert taken() == 0


def test_d15_control_without_a_look_at_distances_it_is():
    with patch.object(v5_nodes.NodesAnswer, "_is_plausible", return_value=True):
        assert taken() == 7
