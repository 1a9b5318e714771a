"""Which mappings are kept and published: the rules, and a state machine of a router that does anything."""

import math
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from devp2p.addresses import Endpoint
from devp2p.nat import Grant, Leases, NatError, Wanted, judged
from devp2p.nat.leases import FIRST_RETRY, GRACE, LAST_RETRY, LEAST_WAIT, LIFETIME
from tests.nat.routers import Pmp

EXTERNAL = Pmp().external
TCP, UDP = Wanted("tcp", 30303), Wanted("udp", 30303)


def granted(lifetime=LIFETIME, external=EXTERNAL, port=40404):
    return Grant(external, port, lifetime)


def test_a_mapping_is_renewed_at_half_its_life_and_then_at_half_of_the_rest():
    leases = Leases([TCP], 0.0)
    assert leases.due(0.0) == [TCP]
    leases.granted(TCP, granted(), 0.0)
    assert leases.published(0.0) == {TCP: Endpoint(EXTERNAL, 40404)}
    assert leases.suggestion(TCP) == 40404
    assert leases.next_due() == LIFETIME / 2
    tries, now = [], 0.0
    while leases.published(now):
        now = leases.next_due()
        tries.append(now)
        for one in leases.due(now):
            leases.failed(one, now)
    assert tries[:3] == [3600, 5400, 6300]
    assert tries[-1] == LIFETIME
    assert all(later - earlier >= LEAST_WAIT - 1e-9 for earlier, later in pairwise(tries[:-1]))


def test_what_is_refused_is_asked_for_less_and_less_often():
    leases, now, waits = Leases([TCP], 0.0), 0.0, []
    for _ in range(8):
        leases.failed(TCP, now)
        waits.append(leases.next_due() - now)
        now = leases.next_due()
    assert waits[0] == FIRST_RETRY
    assert waits[-1] == LAST_RETRY


def test_what_a_router_has_forgotten_is_made_anew_and_not_published_for_long():
    leases = Leases([TCP, UDP], 0.0)
    for one in (TCP, UDP):
        leases.granted(one, granted(), 0.0)
    leases.forgotten(100.0)
    assert leases.due(100.0) == [TCP, UDP]
    leases.granted(TCP, granted(external=bytes((45, 67, 0, 99))), 100.0)
    leases.failed(UDP, 100.0)
    assert set(leases.published(100.0 + GRACE)) == {TCP}
    leases.withdrawn(200.0)
    assert not leases.published(200.0)


class AnyRouter(RuleBasedStateMachine):
    """Whatever a router answers, and whenever: only what it has granted lately, and what could be true, is published."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.truth: dict[Wanted, tuple[Endpoint, float]] = {}
        self.asked: dict[Wanted, list[float]] = {}

    @initialize(wanted=st.sets(st.sampled_from([TCP, UDP, Wanted("tcp", 1)]), min_size=1))
    def begin(self, wanted):
        self.leases = Leases(sorted(wanted), 0.0)

    @rule(seconds=st.floats(0, 4000))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def wait_until_due(self):
        if math.isfinite(due := self.leases.next_due()):
            self.now = max(self.now, due)

    @rule(
        answers=st.lists(
            st.none()
            | st.builds(
                Grant,
                st.sampled_from([EXTERNAL, bytes((192, 168, 1, 1)), bytes((127, 0, 0, 1)), bytes(4), bytes((45, 67, 0, 11)), b""]),
                st.sampled_from([0, 1, 40404, 65535, 70000]),
                st.sampled_from([0, 1, 59, 60, 120, 7200, 86400, 2**32 - 1, math.inf]),
            ),
            min_size=3,
            max_size=3,
        )
    )
    def ask(self, answers):
        for one, answer in zip(self.leases.due(self.now), answers, strict=False):
            self.asked.setdefault(one, []).append(self.now)
            if answer is None:
                self.leases.failed(one, self.now)
                continue
            try:
                believed = judged(answer)
            except NatError:
                with pytest.raises(NatError):
                    self.leases.granted(one, answer, self.now)
                continue
            self.leases.granted(one, answer, self.now)
            self.truth[one] = (Endpoint(believed.external, believed.port), self.now + min(answer.lifetime, LIFETIME))

    @rule()
    def restart(self):
        self.leases.forgotten(self.now)
        self.truth = {one: (where, min(until, self.now + GRACE)) for one, (where, until) in self.truth.items()}

    @rule()
    def die(self):
        self.leases.withdrawn(self.now)
        self.truth.clear()

    @invariant()
    def only_the_truth_is_published(self):
        if hasattr(self, "leases"):
            now = self.now
            assert self.leases.published(now) == {one: where for one, (where, until) in self.truth.items() if until > now}
            assert self.leases.next_due() < math.inf


TestAnyRouter = AnyRouter.TestCase
TestAnyRouter.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
