"""Introductions: who may introduce, how many, what a ban costs, whom we introduce; and that none of the bounds is ever passed."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from devp2p.conduct import Conduct
from devp2p.peers.introductions import (
    ASKED_AGAIN,
    BLAMED_FOR,
    FIT_FOR,
    LIVE,
    Introducers,
    Judgement,
    Referrals,
    Subject,
    grade_of,
    is_fit,
    share_of,
)
from devp2p.peers.ratings import RatingRule, Ratings, Standing
from devp2p.trust import Trust
from tests.slots.world import node_id

A, B, C, I1, I2, I3 = (node_id(number) for number in range(6))
HOUR = 3600.0
SLOTS = [("eth", 40)]
KNOWN, INTRODUCED, STRANGER = Trust.KNOWN, Trust.INTRODUCED, Trust.STRANGER
TO = {"none": (), "known": (KNOWN,), "any": (KNOWN, INTRODUCED)}


def introducers(*fit: bytes) -> Introducers:
    """Each of a network of its own."""
    found = Introducers()
    for one in fit:
        found.fit(one, one[-1:], 0.0)
    return found


def introduce(found: Introducers, introducer: bytes, peer: bytes, now: float = 0.0, *, begin: bool = True) -> Judgement:
    judgement = found.introduce(introducer, peer, SLOTS, now, HOUR)
    if judgement is Judgement.FINE and begin:
        found.began(peer, SLOTS, now)
    return judgement


# Who may introduce


def test_only_who_is_fit_may_introduce_and_for_a_day():
    found = introducers(I1)
    assert found.judge(I2, A, SLOTS, 0.0) is Judgement.UNKNOWN
    assert found.judge(I1, A, SLOTS, FIT_FOR - 1) is Judgement.FINE
    assert found.judge(I1, A, SLOTS, FIT_FOR) is Judgement.UNKNOWN
    found.fit(I1, b"n", FIT_FOR)
    assert found.judge(I1, A, SLOTS, FIT_FOR) is Judgement.FINE
    found.unfit(I1)
    assert found.judge(I1, A, SLOTS, FIT_FOR) is Judgement.UNKNOWN


def test_nobody_introduces_himself():
    assert introducers(I1).judge(I1, I1, SLOTS, 0.0) is Judgement.UNKNOWN


def test_whom_somebody_has_introduced_may_introduce_nobody():
    found = introducers(I1, A)
    assert introduce(found, I1, A) is Judgement.FINE
    assert found.judge(A, B, SLOTS, 0.0) is Judgement.UNKNOWN
    found.grown(A)  # it is known by itself now
    assert found.judge(A, B, SLOTS, 0.0) is Judgement.FINE


@pytest.mark.parametrize(
    ("standings", "fit"),
    [
        ([], False),
        ([Standing()], False),
        ([Standing(quantile=0.49)], False),
        ([Standing(quantile=0.5)], True),
        ([Standing(quantile=0.1), Standing(quantile=0.9)], True),
        ([Standing(quantile=0.9), Standing(quantile=0.9, bad="garbage")], False),
    ],
)
def test_who_introduces_is_rated_at_the_median_or_better(standings, fit):
    assert is_fit(standings) is fit


# How many


def test_an_introducer_has_four_live_introductions():
    found = introducers(I1, I2)
    for number in range(LIVE):
        assert introduce(found, I1, node_id(10 + number), begin=False) is Judgement.FINE
    assert introduce(found, I1, node_id(20)) is Judgement.QUOTA
    assert introduce(found, I1, node_id(10)) is Judgement.FINE  # the same one again
    assert introduce(found, I2, node_id(20), begin=False) is Judgement.FINE
    assert found.live(I1, 0.0) == LIVE
    assert introduce(found, I1, node_id(21), HOUR, begin=False) is Judgement.FINE  # the first four records have expired


def test_an_introduction_is_live_while_the_peer_is_here():
    found = introducers(I1)
    introduce(found, I1, A)
    assert found.live(I1, 2 * HOUR) == 1
    found.ended(A, 2 * HOUR)
    assert found.live(I1, 2 * HOUR) == 0


def test_introduced_peers_are_a_quarter_of_a_capabilitys_slots():
    found = introducers(*(node_id(100 + number) for number in range(10)))
    slots = [("eth", 8)]
    taken = [found.introduce(node_id(100 + number), node_id(number), slots, 0.0, HOUR) for number in range(2)]
    assert taken == [Judgement.FINE, Judgement.FINE]
    assert found.began(node_id(0), slots, 0.0)
    assert found.began(node_id(1), slots, 0.0)
    assert found.here("eth") == 2
    assert found.judge(node_id(102), C, slots, 0.0) is Judgement.QUOTA
    assert found.judge(node_id(102), C, [("snap", 8)], 0.0) is Judgement.FINE
    found.ended(node_id(0), 1.0)
    assert found.judge(node_id(102), C, slots, 1.0) is Judgement.FINE


def test_those_who_shake_hands_at_once_do_not_pass_the_quarter_either():
    found = introducers(*(node_id(100 + number) for number in range(10)))
    slots = [("eth", 8)]
    for number in range(5):
        assert found.introduce(node_id(100 + number), node_id(number), slots, 0.0, HOUR) is Judgement.FINE
    assert [found.began(node_id(number), slots, 0.0) for number in range(5)] == [True, True, False, False, False]


def test_a_capability_with_few_slots_has_one_for_an_introduced_peer():
    assert [share_of(slots) for slots in (1, 3, 4, 7, 8, 40)] == [1, 1, 1, 1, 2, 10]


# What it is worth, and what it costs


def test_it_takes_two_introducers_of_different_networks_to_protect_a_peer():
    found = introducers(I1, I2)
    introduce(found, I1, A)
    assert not found.is_protected(A)
    found.ended(A, 1.0)
    introduce(found, I1, A, 1.0, begin=False)
    introduce(found, I2, A, 1.0)
    assert found.is_protected(A)
    assert found.vouchers(A) == (I1, I2)


@pytest.mark.parametrize("networks", [(b"n", b"n"), (b"n", None), (None, None)])
def test_two_of_one_network_or_of_none_do_not(networks):
    found = Introducers()
    for one, network in zip((I1, I2), networks, strict=True):
        found.fit(one, network, 0.0)
        introduce(found, one, A, begin=False)
    assert found.began(A, SLOTS, 0.0)
    assert not found.is_protected(A)


def test_a_ban_halves_what_its_introducers_may_introduce_for_a_day():
    found = introducers(I1, I2, I3)
    introduce(found, I1, A, begin=False)
    introduce(found, I2, A)
    assert set(found.banned(A, 10.0)) == {I1, I2}
    assert [found.quota(one, 10.0) for one in (I1, I2, I3)] == [2, 2, 4]
    assert found.banned(A, 10.0) == ()
    introduce(found, I1, B, 11.0)
    assert found.banned(B, 12.0) == (I1,)
    assert found.quota(I1, 12.0) == 1
    assert found.quota(I1, 10.0 + BLAMED_FOR) == 2
    assert found.quota(I1, 12.0 + BLAMED_FOR) == 4


def test_a_ban_costs_its_introducers_something_for_a_day_after_the_peer_has_left():
    for after, blamed in ((BLAMED_FOR - 1, (I1,)), (BLAMED_FOR, ())):
        found = introducers(I1)
        introduce(found, I1, A)
        found.ended(A, 2 * HOUR)
        assert found.banned(A, 2 * HOUR + after) == blamed


def test_nobody_answers_for_a_peer_that_is_known_by_itself():
    found = introducers(I1)
    introduce(found, I1, A)
    found.grown(A)
    assert found.banned(A, 1.0) == ()


def test_another_introduction_takes_no_blame_away():
    found = introducers(I1, I2)
    introduce(found, I1, A)
    found.ended(A, 2 * HOUR)
    introduce(found, I2, A, 2 * HOUR)
    assert set(found.banned(A, 3 * HOUR)) == {I1, I2}


def test_blame_costs_rating_and_makes_nobody_bad():
    ratings = Ratings([RatingRule("eth", lambda conduct: conduct.useful)])
    ratings.proved(I1, ["eth"], 0.0)
    ratings.observe(I1, "eth", Conduct(useful=100), 60.0)
    before = ratings.standing(I1, "eth", 60.0).rating
    ratings.blame(I1, "a peer that it has introduced is banned", 60.0)
    after = ratings.standing(I1, "eth", 60.0)
    assert before is not None
    assert after.rating == pytest.approx(before / 2)
    assert after.bad is None
    ratings.blame(B, "unknown", 60.0)
    assert B not in ratings


# Whom we introduce


def chosen(
    found: Referrals, asker: bytes, trust: Trust = KNOWN, *, count: int = 4, now: float = 0.0, **subjects: float | None
) -> list[str]:
    """Whom it is introduced to, of those that are here, by name."""
    named = {name.encode(): quantile for name, quantile in subjects.items()}
    return [one.decode() for one in found.choose(asker, trust, [Subject(*item) for item in named.items()], count, now)]


def consenting(mode: str, *names: str) -> Referrals:
    found = Referrals()
    for name in names:
        found.consent(name.encode(), TO[mode])
    return found


@pytest.mark.parametrize(
    ("mode", "trust", "introduced"),
    [
        ("none", KNOWN, False),
        ("known", KNOWN, True),
        ("known", INTRODUCED, False),
        ("any", KNOWN, True),
        ("any", INTRODUCED, True),
        ("any", STRANGER, False),
    ],
)
def test_a_subject_decides_to_whom_it_is_introduced(mode, trust, introduced):
    assert chosen(consenting(mode, "b"), A, trust, b=0.5) == (["b"] if introduced else [])


def test_by_default_nobody_is_introduced_to_anybody():
    assert chosen(Referrals(), A, b=0.5) == []


def test_consent_can_be_withdrawn_and_ends_with_the_session():
    found = consenting("any", "b", "c")
    found.consent(b"b", ())
    found.withdraw(b"c")
    assert chosen(found, A, b=0.5, c=0.5) == []


def test_consent_can_be_for_one_audience():
    found = Referrals()
    found.consent(b"b", TO["known"], A)
    assert chosen(found, C, b=0.5) == []
    assert chosen(found, A, b=0.5) == ["b"]
    found.consent(b"c", TO["any"])
    found.consent(b"c", (), A)
    assert chosen(found, A, c=0.5) == []
    assert chosen(found, C, now=60.0, c=0.5) == ["c"]
    for number in range(100):
        found.consent(b"c", (), node_id(number))
    assert found.consents(b"c", KNOWN, B)


def test_the_best_are_introduced_and_not_more_than_was_asked_for():
    found = consenting("any", "b", "c", "d")
    assert chosen(found, A, count=2, b=0.1, c=0.9, d=None) == ["c", "b"]


def test_nobody_is_introduced_to_himself_or_twice_in_an_hour():
    found = consenting("any", "a", "b")
    assert chosen(found, b"a", a=0.9, b=0.1) == ["b"]
    assert chosen(found, b"a", now=ASKED_AGAIN - 1, b=0.1) == []
    assert chosen(found, b"a", now=ASKED_AGAIN, b=0.1) == ["b"]


def test_a_subject_is_introduced_to_four_in_an_hour():
    found = consenting("any", "b")
    assert [chosen(found, node_id(number), b=0.5) for number in range(6)] == [["b"]] * LIVE + [[], []]


def test_who_asks_too_often_gets_nothing():
    found = consenting("any", *"bcde")
    got = [chosen(found, A, count=1, b=0.5, c=0.5, d=0.5, e=0.5) for _ in range(4)]
    assert [len(some) for some in got] == [1, 1, 0, 0]
    assert len(chosen(found, A, now=30.0, count=1, b=0.5, c=0.5, d=0.5, e=0.5)) == 1


def test_grades():
    assert [grade_of(quantile) for quantile in (None, 0.0, 0.12, 0.13, 0.5, 0.99, 1.0)] == [0, 0, 0, 1, 4, 7, 7]


# Whatever happens, in any order

PEERS = [node_id(number) for number in range(30, 42)]
FIT = [node_id(number) for number in range(50, 54)]
CAPABILITIES = {"eth": 8, "snap": 3}
some_capabilities = st.sets(st.sampled_from(sorted(CAPABILITIES)), min_size=1).map(
    lambda names: [(one, CAPABILITIES[one]) for one in names]
)


class IntroducersMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.found = Introducers()
        self.now = 0.0
        self.here: dict[bytes, list[tuple[str, int]]] = {}
        self.fit_until = dict.fromkeys(FIT, -1.0)
        self.bans: dict[bytes, list[float]] = {one: [] for one in FIT}
        self.live: dict[tuple[bytes, bytes], float] = {}

    @rule(one=st.sampled_from(FIT + PEERS[:2]))
    def fit(self, one):
        self.found.fit(one, one[-1:], self.now)
        self.fit_until[one] = self.now + FIT_FOR

    @rule(one=st.sampled_from(FIT))
    def unfit(self, one):
        self.found.unfit(one)
        self.fit_until[one] = -1.0

    @rule(by=st.sampled_from(FIT + PEERS[:2]), peer=st.sampled_from(PEERS), slots=some_capabilities, lifetime=st.floats(1.0, HOUR))
    def introduce(self, by, peer, slots, lifetime):
        asked = self.found.judge(by, peer, slots, self.now)
        judgement = self.found.introduce(by, peer, slots, self.now, lifetime)
        assert judgement is asked
        if judgement is Judgement.FINE:
            assert self.now < self.fit_until[by]
            assert by not in self.here
            self.live[by, peer] = self.now + lifetime

    @precondition(lambda self: len(self.here) < len(PEERS))
    @rule(data=st.data(), slots=some_capabilities)
    def begin(self, data, slots):
        peer = data.draw(st.sampled_from([peer for peer in PEERS if peer not in self.here]))
        if self.found.began(peer, slots, self.now):
            assert any(until > self.now for (_, one), until in self.live.items() if one == peer)
            self.here[peer] = slots

    @precondition(lambda self: self.here)
    @rule(data=st.data(), how=st.sampled_from(["ended", "banned", "grown"]))
    def leave(self, data, how):
        peer = data.draw(st.sampled_from(sorted(self.here)))
        vouchers = self.found.vouchers(peer)
        assert vouchers
        if how == "ended":
            self.found.ended(peer, self.now)
        elif how == "grown":
            self.found.grown(peer)
        else:
            blamed = self.found.banned(peer, self.now)
            assert set(vouchers) <= set(blamed)
            for one in blamed:
                self.bans.setdefault(one, []).append(self.now)
        del self.here[peer]

    @rule(seconds=st.sampled_from([1.0, 600.0, HOUR, FIT_FOR / 2]))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def introduced_peers_are_a_quarter_at_most(self):
        counts = Counter(name for slots in self.here.values() for name, _ in slots)
        for name, slots in CAPABILITIES.items():
            assert self.found.here(name) == counts[name] <= share_of(slots)

    @invariant()
    def no_introducer_has_more_than_its_quota(self):
        for one in self.fit_until:
            recent = [when for when in self.bans.get(one, []) if self.now - when < BLAMED_FOR][-LIVE:]
            assert self.found.quota(one, self.now) == LIVE >> len(recent)
            assert self.found.live(one, self.now) <= LIVE

    @invariant()
    def nobody_is_protected_by_one(self):
        for peer in PEERS:
            if self.found.is_protected(peer):
                assert len(self.found.vouchers(peer)) >= 2


TestIntroducers = IntroducersMachine.TestCase
TestIntroducers.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
