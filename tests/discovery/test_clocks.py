"""Discovery on a machine that sleeps, and whose clock is wrong, and is set: v4, v5, and what is written to the book.

One clock says how much time has passed (``now``), the other what time it is (``wall``). On Linux trio's clock stands still
while the machine sleeps, and the system's goes on.
"""

import time
from collections.abc import Callable

import pytest
import trio

from devp2p.addresses import Endpoint
from devp2p.book import Book
from devp2p.discovery import Discovery
from devp2p.discovery import clock as clocks
from devp2p.discovery.clock import Clock
from devp2p.discovery.events import Event, PingResult
from devp2p.discovery.v4.protocol import Discv4
from devp2p.keys import PrivateKey
from devp2p.records.enr import LocalRecord
from devp2p.records.node_record import NodeRecord
from tests.discovery.services import BOTH, running
from tests.discovery.strangers import START, contact_to, due_of, endpoint_of, key_of, make_node
from tests.simulation.network import Network

HOUR, DAY = 3600.0, 86400.0


class Machine:
    """A node of v4 whose clocks are off by some seconds from the network's."""

    def __init__(self, network: Network[bytes, Event], *, wall: Callable[[float], float] | None = None) -> None:
        self.behind = 0.0
        """How long it has slept while its own clock stood still."""
        self.ahead = 0.0
        """By how much its system's clock is wrong."""
        key, self.endpoint = key_of(1), endpoint_of(1)
        local = LocalRecord(key, {"ip": "20.0.1.1", "udp": self.endpoint.port})
        self.node = Discv4(local, key, random=lambda: 0.5, random_bytes=bytes, wall=wall or (lambda _: network.now + self.ahead))

    def receive_datagram(self, data: bytes, addr: Endpoint, now: float) -> bool:
        return self.node.receive_datagram(data, addr, now - self.behind)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Endpoint]]:
        return self.node.datagrams_to_send(now - self.behind)

    def next_timer(self) -> float:
        return due_of(self.node) + self.behind

    def handle_timer(self, now: float) -> None:
        self.node.handle_timer(now - self.behind)

    def next_event(self) -> Event | None:
        return self.node.next_event()


class Meeting:
    """A machine and another node, which is right."""

    def __init__(self, **options: Callable[[float], float]) -> None:
        self.network: Network[bytes, Event] = Network(1)
        self.network.now = START
        self.machine = Machine(self.network, **options)
        self.other, self.there = make_node(2)
        self.network.add(self.machine.endpoint, self.machine)
        self.network.add(self.there, self.other)
        self.network.run_for(1)

    def hear_each_other(self) -> tuple[bool, bool]:
        """Whether the machine has an answer of the other, and the other one of it."""
        now, machine = self.network.now, self.machine
        contacts = contact_to(self.other), contact_to(machine.node)
        numbers = machine.node.ping(contacts[0], now - machine.behind), self.other.ping(contacts[1], now)
        self.network.touch(machine.endpoint)
        self.network.touch(self.there)
        self.network.run_for(5)
        found = [(endpoint, event) for _, endpoint, event in self.network.events if isinstance(event, PingResult)]
        pongs = {(endpoint, event.operation): event.pong is not None for endpoint, event in found}
        return pongs[machine.endpoint, numbers[0]], pongs[self.there, numbers[1]]

    def sleep(self, seconds: float) -> None:
        """Let the machine be away, its own clock standing still."""
        self.network.silence(self.machine.endpoint)
        self.network.run_for(seconds)
        self.machine.behind += seconds
        self.network.add(self.machine.endpoint, self.machine)


@pytest.mark.parametrize("seconds", [60.0, HOUR, 6 * DAY])
def test_v4_speaks_with_others_as_soon_as_the_machine_has_slept(seconds):
    meeting = Meeting()
    for _ in range(3):
        meeting.sleep(seconds)
        assert meeting.hear_each_other() == (True, True)


def test_if_packets_bore_the_time_that_has_passed_v4_would_be_deaf_after_a_sleep():
    meeting = Meeting(wall=float)
    meeting.sleep(HOUR)
    assert meeting.hear_each_other() == (False, False)


def test_v4_speaks_with_others_after_a_start_offline_and_a_sleep():
    meeting = Meeting()
    meeting.network.silence(meeting.there)
    for _ in range(40):
        meeting.machine.node.ping(contact_to(meeting.other), meeting.network.now)
        meeting.network.touch(meeting.machine.endpoint)
        meeting.network.run_for(1)
    meeting.sleep(HOUR)
    meeting.network.add(meeting.there, meeting.other)
    assert meeting.hear_each_other() == (True, True)


@pytest.mark.parametrize("ahead", [-6 * DAY, -HOUR, -60.0, 60.0, HOUR, 6 * DAY])
def test_v4_speaks_with_others_as_soon_as_a_wrong_clock_is_set_right(ahead):
    meeting = Meeting()
    for _ in range(3):
        meeting.machine.ahead = ahead
        assert meeting.hear_each_other() != (True, True)
        meeting.machine.ahead = 0.0
        meeting.network.run_for(1)  # what was asked before is over
        assert meeting.hear_each_other() == (True, True)


def test_packets_do_not_bear_a_time_far_ahead_once_the_clock_was_set_back():
    meeting = Meeting()
    meeting.machine.ahead = HOUR
    meeting.hear_each_other()
    meeting.machine.ahead = 0.0
    exchange = meeting.machine.node._exchange
    assert exchange._expiration(meeting.there, meeting.network.now) < meeting.network.now + 30


# The clock itself


async def test_how_much_time_passes_does_not_depend_on_the_systems_clock(monkeypatch):
    clock = Clock()
    began = clock.now()
    for system in (0.0, 5_000_000_000.0):
        monkeypatch.setattr(time, "time", lambda system=system: system)
        assert clock.wall() == system
        await trio.sleep(10)
    assert clock.now() == pytest.approx(began + 20)
    assert clock.to_trio(clock.now() + 5) == pytest.approx(trio.current_time() + 5)


async def test_time_passes_while_the_machine_sleeps_and_never_goes_back(monkeypatch):
    monkeypatch.setattr(clocks, "asleep", lambda: 100.0)
    clock = Clock()
    began = clock.now()
    for slept, expected in ((100.5, 0.0), (100.0 + 6 * DAY, 6 * DAY), (99.0, 6 * DAY), (100.0 + 7 * DAY, 7 * DAY)):
        monkeypatch.setattr(clocks, "asleep", lambda slept=slept: slept)
        assert clock.now() == pytest.approx(began + expected)
        assert clock.to_trio(clock.now() + 5) == pytest.approx(trio.current_time() + 5)


def test_how_long_the_machine_has_slept_is_a_number_of_seconds():
    assert -1.0 < clocks.asleep() < time.time()


# Running nodes


def set_clock(node: Discovery, monkeypatch: pytest.MonkeyPatch, ahead: float) -> None:
    monkeypatch.setattr(node._clock, "wall", lambda: time.time() + ahead, raising=True)


@BOTH
@pytest.mark.real_clock
async def test_a_running_node_is_heard_as_soon_as_its_clock_is_right_again(versions, monkeypatch):
    async with running(versions=versions) as node, running(versions=versions) as other:
        set_clock(node, monkeypatch, HOUR)
        heard = await node.ping(other.record.text), await other.ping(node.record.text)
        assert (None in heard) is (versions == {4})  # v5 bears no time
        set_clock(node, monkeypatch, 0.0)
        assert await node.ping(other.record.text) is not None
        assert await other.ping(node.record.text) is not None


@BOTH
@pytest.mark.real_clock
async def test_a_running_node_goes_on_after_it_has_slept_for_days(versions, monkeypatch):
    async with running(versions=versions) as node, running(versions=versions) as other:
        assert await node.ping(other.record.text) is not None
        real = clocks.asleep()
        monkeypatch.setattr(clocks, "asleep", lambda: real + 6 * DAY)
        assert await node.ping(other.record.text) is not None
        assert await other.ping(node.record.text) is not None


@pytest.mark.real_clock
@pytest.mark.parametrize("ahead", [-6 * DAY, 0.0, 6 * DAY])
async def test_answers_after_a_sleep_make_seeds_of_the_time_that_it_is(ahead, monkeypatch):
    """The rows in the book bear the system's time, however that has jumped since discovery began."""
    with Book.open(":memory:") as book:
        async with running(book=book) as node:
            monkeypatch.setattr(time, "time", lambda real=time.time: real() + ahead)
            record = NodeRecord.parse(f"enode://{bytes(PrivateKey.generate().public_key).hex()}@9.9.9.9:30303")
            node._known.heard("v4", [record], answered=True)
            assert [seed.id for seed in node._known.seeds()] == [record.id]
        now = time.time()
        assert [seed.id for seed in book.seeds(now=now, random=lambda: 0.5)] == [record.id]
        assert not book.seeds(now=now + 6 * DAY, random=lambda: 0.5)
