"""Politeness: whatever is asked of it, no host is bothered more than its bounds say. An auditor of its own recounts."""

from collections import defaultdict

import pytest
from devp2p_crawler.frontier import Courtesy, Politeness
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

HOSTS = [bytes([10, 0, 0, number]) for number in range(3)] + [b"\x20\x01" + bytes(13) + b"\1"]
NODES = [bytes([number]) * 32 for number in range(8)]


class Polite(RuleBasedStateMachine):
    """Asks for everything all the time, and counts what was allowed."""

    def __init__(self) -> None:
        super().__init__()
        self.bounds = Politeness()
        self.courtesy = Courtesy(self.bounds)
        self.now = 1000.0
        self.sent: dict[bytes, list[float]] = defaultdict(list)
        self.visits: dict[bytes, list[tuple[bytes, float]]] = defaultdict(list)
        self.dials: dict[bytes, list[tuple[bytes, float]]] = defaultdict(list)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.5, 1.0, 7.0, 59.0, 61.0, 300.0, 599.0, 601.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(ip=st.sampled_from(HOSTS), number=st.integers(1, 90))
    def send(self, ip: bytes, number: int) -> None:
        host = self.courtesy.host(ip, 30303)
        for _ in range(number):
            room = self.courtesy.room(host, self.now)
            allowed = self.courtesy.may_send(host, self.now)
            assert allowed == (room >= 1)
            if allowed:
                self.sent[host].append(self.now)
        sent = self.sent[host]
        assert sum(when > self.now - 60 for when in sent) <= self.bounds.packets_per_minute
        assert sum(when == self.now for when in sent) <= self.bounds.burst
        for first in range(len(sent)):
            assert len(sent) - first <= self.bounds.burst + (self.now - sent[first]) * self.bounds.packets_per_second + 1e-6

    @rule(ip=st.sampled_from(HOSTS))
    def begin_anew(self, ip: bytes) -> None:
        """What was sent is known from rows, by another crawl that goes on."""
        fresh = Courtesy(self.bounds)
        host = self.courtesy.host(ip, 30303)
        for when in self.sent[host]:
            fresh.sent(host, 1, when)
        assert fresh.room(host, self.now) == self.courtesy.room(host, self.now)

    @rule(ip=st.sampled_from(HOSTS), node=st.sampled_from(NODES))
    def visit(self, ip: bytes, node: bytes) -> None:
        host = self.courtesy.host(ip, 30303)
        due = self.courtesy.when_to_visit(host, node, self.now)
        assert self.now <= due <= self.now + self.bounds.window
        if due == self.now:
            self.courtesy.visited(host, node, self.now)
            self.visits[host].append((node, self.now))
        lately = {other for other, when in self.visits[host] if when > self.now - self.bounds.window}
        assert len(lately) <= self.bounds.nodes_per_host

    @rule(ip=st.sampled_from(HOSTS), node=st.sampled_from(NODES))
    def dial(self, ip: bytes, node: bytes) -> None:
        host = self.courtesy.host(ip, 30303)
        due = self.courtesy.when_to_dial(host, node, self.now)
        assert self.now <= due <= self.now + self.bounds.window
        if due == self.now:
            self.courtesy.dialled(host, node, self.now)
            self.dials[host].append((node, self.now))
        lately = [other for other, when in self.dials[host] if when > self.now - self.bounds.window]
        assert len(lately) <= self.bounds.dials_per_host
        everywhere = [(other, when) for dials in self.dials.values() for other, when in dials]
        assert sum(other == node and when > self.now - self.bounds.window for other, when in everywhere) <= self.bounds.dials_per_node

    @precondition(lambda self: self.sent)
    @rule()
    def a_whole_pause_makes_all_well(self) -> None:
        self.now += self.bounds.window + 1
        for ip in HOSTS:
            host = self.courtesy.host(ip, 30303)
            assert self.courtesy.room(host, self.now) == self.bounds.burst
            assert self.courtesy.when_to_visit(host, NODES[0], self.now) == self.now
            assert self.courtesy.when_to_dial(host, NODES[0], self.now) == self.now


TestPolite = Polite.TestCase
TestPolite.settings = settings(max_examples=settings().max_examples // 4)


def test_an_ipv6_host_is_its_whole_network() -> None:
    courtesy = Courtesy(Politeness())
    first, second = b"\x20\x01\x0d\xb8" + bytes(11) + b"\1", b"\x20\x01\x0d\xb8" + bytes(4) + b"\xff" * 8
    assert courtesy.host(first, 1) == courtesy.host(second, 2) == first[:8]


def test_ports_of_loopback_can_be_hosts_of_their_own_and_no_others() -> None:
    courtesy = Courtesy(Politeness(ports_are_hosts=True))
    assert courtesy.host(bytes([127, 0, 0, 1]), 1) != courtesy.host(bytes([127, 0, 0, 1]), 2)
    assert courtesy.host(bytes([10, 0, 0, 1]), 1) == courtesy.host(bytes([10, 0, 0, 1]), 2)
    strict = Courtesy(Politeness())
    assert strict.host(bytes([127, 0, 0, 1]), 1) == strict.host(bytes([127, 0, 0, 1]), 2)


def test_what_was_sent_before_counts_on() -> None:
    """A crawl of a moment ago has sent a minute's share, and this one sends no more until that is over."""
    courtesy, host = Courtesy(Politeness()), bytes([10, 0, 0, 1])
    for moment in range(6):
        courtesy.sent(host, 10, 1000.0 + moment)
    courtesy.sent(host, 0, 1006.0)
    assert sum(courtesy.may_send(host, 1006.0) for _ in range(90)) == 0
    assert courtesy.when_to_visit(host, NODES[0], 1006.0) > 1060.0
    assert courtesy.room(host, 1100.0) == Politeness().burst
    courtesy.sent(host, 10**6, 1100.0)  # a file may say anything
    assert courtesy.room(host, 1200.0) == Politeness().burst


def test_hosts_are_forgotten_when_there_are_many() -> None:
    courtesy = Courtesy(Politeness())
    for number in range(20_000):
        courtesy.may_send(number.to_bytes(4, "big"), float(number))
    assert len(courtesy) < 9_000


@pytest.mark.parametrize(
    "bounds", [{"burst": 4}, {"packets_per_minute": 20}, {"window": 0.0}, {"nodes_per_host": 0}, {"packets_per_second": -1.0}]
)
def test_bounds_that_let_nothing_go_on_are_refused(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"of Politeness"):
        Politeness(**bounds)  # type: ignore[arg-type]
