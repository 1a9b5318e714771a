"""S2: a node starts anew while an attacker of two addresses presses into it with all its might; whom is it connected to a minute later?

Real are the victim's protocol object with its table, the seeds from its book, the mixing of sources and the bounds on dials (`Mixer`,
`DialHistory`). A model is whoever else there is (crowd.py), and what makes the victim look around and dial: it follows `finding.walk` and
`Dialer`, but runs on the simulation's heap. Inbound, the attacker has all places that are for such peers at once, and gets no others; where
none are reserved for dials, its links come by the hundred a second and take whatever is left of fifty.

Of the honest nodes only one in five has room for another peer (and which has stays so), a dial to a dead one takes its 15 s, and a third
of the honest nodes in the book are dead. The attacker's nodes always have room.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from devp2p.addresses import Endpoint
from devp2p.book import Book, Source
from devp2p.discovery.candidates import Candidate, Mixer
from devp2p.discovery.events import Event, LookupDone
from devp2p.discovery.finding import FIRST_PAUSE, LONGEST_PAUSE
from devp2p.discovery.known_nodes import SEEDS
from devp2p.discovery.v4.bonds import Discv4Limits
from devp2p.discovery.v4.nodes import contact_at
from devp2p.discovery.v4.protocol import Discv4
from devp2p.errors import DialError, DisconnectReason
from devp2p.node.dialer import DIALS_AT_ONCE
from devp2p.peers.dial_history import DialHistory
from devp2p.records.node_record import NodeRecord
from tests.discovery.strangers import START
from tests.simulation.crowd import VICTIM, Crowd, People, honest_endpoint, key_of, make_victim
from tests.simulation.network import Network

WANTED = 16
"""Peers that a node of fifty dials for itself."""
MINUTE = 60.0
PEOPLE = People(sybils=4000, sybil_networks=2, sybil_hosts=1, poison=20)

_WILLING = 0.2
_DIAL_TIMEOUT = 15.0
_STEP = 0.1
_IN_BOOK, _DEAD = 300, 100  # honest nodes, and those of them that are dead
_SYBILS_IN_BOOK = 500
_PRESSURE = 20.0  # Pings a second
_LINKS = 100.0  # of the attacker's, a second
_PLACES = 50


@dataclass(frozen=True)
class Outbound:
    """Whom the victim has dialled and is connected to."""

    honest: int
    sybils: int


@dataclass(frozen=True, kw_only=True)
class Defence:
    """What the victim does about it."""

    limits: Discv4Limits | None = None
    """Of its table; None for the usual ones."""
    bounded: bool = True
    """It takes in nobody who comes by himself before its own search is over, and does not dial one host again and again."""
    reserved: bool = True
    """Some places are for those whom it dials, and for nobody else."""


class Owner:
    """Looks around and dials for a victim, every tenth of a second."""

    def __init__(self, crowd: Crowd, victim: Discv4, known: Mapping[str, Sequence[NodeRecord]], defence: Defence) -> None:
        """`known`: nodes from before, by source."""
        self._network, self._victim, self._reserved = crowd.network, victim, defence.reserved
        self._history = DialHistory() if defence.bounded else None
        self._alive = {puppet.id: puppet for puppet in (*crowd.honest, *crowd.sybils)}
        self._chance = crowd.chance
        self._mixer = Mixer((self._may_dial,))
        self._dialling: set[bytes] = set()
        self.connected: set[bytes] = set()
        self._walk: int | None = None
        self._walk_at, self._pause = START, FIRST_PAUSE
        for source, records in known.items():
            for record in records:
                self._mixer.offer(Candidate(record, source), START)
        self._network.at(START, self._step)

    def _step(self) -> None:
        now = self._network.now
        for _, _, event in self._network.events:
            if isinstance(event, LookupDone) and event.operation == self._walk:
                self._found([contact.record for contact in event.contacts], now)
        self._network.events.clear()
        if self._walk is None and now >= self._walk_at:
            self._walk = self._victim.lookup(self._chance.randbytes(64), now)
            self._network.touch(VICTIM)
        while (
            len(self._dialling) < min(DIALS_AT_ONCE, 2 * (WANTED - len(self.connected)))
            and (candidate := self._mixer.take(now)) is not None
        ):
            self._dial(candidate.record, now)
        self._network.at(now + _STEP, self._step)

    def _found(self, records: list[NodeRecord], now: float) -> None:
        proved = [entry.contact.record for entry in self._victim.table if entry.live and not entry.incoming]
        fresh = sum([self._mixer.offer(Candidate(record, "v4"), now) for record in (*records, *proved)])
        self._pause = FIRST_PAUSE if fresh else min(LONGEST_PAUSE, 2 * self._pause)
        self._walk, self._walk_at = None, now + self._pause

    def _may_dial(self, record: NodeRecord) -> bool:
        if record.id in self._dialling | self.connected:
            return False
        return self._history is None or self._history.why_not(record, self._network.now) is None

    def _dial(self, record: NodeRecord, now: float) -> None:
        self._dialling.add(record.id)
        if self._history is not None:
            self._history.dialled(record, now)
        there = self._alive.get(record.id)
        takes = self._chance.uniform(0.1, 0.5) if there is not None else _DIAL_TIMEOUT
        willing = there is not None and (not there.honest or random.Random(there.place).random() < _WILLING)
        reason = None if there is None else DisconnectReason.TOO_MANY_PEERS
        self._network.at(now + takes, partial(self._dialled, record, None if willing else DialError("no", target=record, reason=reason)))

    def _places(self) -> int:
        """How many of our places are not for inbound peers, or not taken by them yet."""
        if self._reserved:
            return WANTED
        return min(WANTED, max(0, _PLACES - int(_LINKS * (self._network.now - START))))

    def _dialled(self, record: NodeRecord, error: DialError | None) -> None:
        self._dialling.discard(record.id)
        if error is None and len(self.connected) < self._places():
            self.connected.add(record.id)
        elif error is not None and self._history is not None:
            self._history.failed(record.id, error, self._network.now)


@contextmanager
def book_of_before() -> Iterator[Book]:
    """What the victim wrote down before it was restarted: nodes that answered in the last days, many of them the attacker's."""
    chance = random.Random("book")
    with Book.open(":memory:") as book, book.changes():
        records = [_honest_record(number, dead=number < _DEAD) for number in range(_IN_BOOK)]
        crowd = Crowd(Network(), 0, PEOPLE)
        for record in (*records, *(puppet.record for puppet in crowd.sybils[:_SYBILS_IN_BOOK])):
            book.heard(record, Source.V4, START)
            book.answered(record.id, START - chance.uniform(0, 4 * 86400))
        yield book


def _honest_record(number: int, *, dead: bool) -> NodeRecord:
    where = number % PEOPLE.networks
    if not dead:
        return contact_at(key_of(f"honest {number}").public_key, honest_endpoint(number, where, PEOPLE.networks), 30303).record
    return contact_at(key_of(f"dead {number}").public_key, Endpoint(bytes([20 + where // 100, where % 100, 7, 255]), 30303), 30303).record


def reboot(seed: int, book: Book | None, defence: Defence, *, people: People = PEOPLE) -> Outbound:
    """Start the victim, with what its book gives, and say whom it has dialled after a minute."""
    network: Network[bytes, Event] = Network(seed, loss=0.01)
    network.now = START
    crowd = Crowd(network, seed, people)
    chance: Callable[[], float] = random.Random(f"{seed} seeds").random
    seeds = book.seeds(SEEDS, now=START, random=chance) if book is not None else []
    bootnodes = [puppet.record for puppet in crowd.chance.sample(crowd.honest, 3)]
    victim = make_victim(seed, bootnodes=bootnodes, seeds=seeds, limits=defence.limits)
    victim.table.accepts_incoming = not defence.bounded
    network.add(VICTIM, victim)
    crowd.live(START + MINUTE, lifetime=86400.0, visits=1 / 15, pressure=_PRESSURE)
    owner = Owner(crowd, victim, {"bootnode": bootnodes, "book": seeds}, defence)
    network.run_for(MINUTE)
    sybils = owner.connected & {puppet.id for puppet in crowd.sybils}
    return Outbound(len(owner.connected - sybils), len(sybils))
