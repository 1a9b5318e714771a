"""Introductions in a handshake: what is shown, what is said of it, and what it makes of the session."""

from collections.abc import Sequence

import pytest

from devp2p.errors import HandshakeError
from devp2p.keys import PublicKey
from devp2p.trust import Trust
from devp2p.wire.dpx import Accept, Dpx, DpxFraming, Feature, Grade, IntroductionVerdict, Mode, Pact, encode_accept, find
from devp2p.wire.dpx.element import ResumeVerdict, Verdict, decode_accept, decode_offer
from devp2p.wire.dpx.introduction import MAX_RECORD
from devp2p.wire.dpx.resumption import Outcome
from tests.wire.dpx.test_extension import ONE, Constant, dpx, meet
from tests.wire.dpx.test_introduction import record

OK, INVALID = IntroductionVerdict.OK, IntroductionVerdict.INVALID
RECORD = record().encode()


class Scripted:
    """Shows and says what a test wants, and keeps what it was told."""

    def __init__(self, *shown: bytes, says: tuple[IntroductionVerdict, ...] = (), why: str = "") -> None:
        self.shown, self.says, self.why = shown, says, why
        self.asked: list[bytes] = []
        self.pacts: list[Pact] = []

    def records_for(self, remote: PublicKey) -> tuple[bytes, ...]:  # noqa: ARG002
        return self.shown

    def verdicts(self, remote: PublicKey, records: Sequence[bytes]) -> tuple[IntroductionVerdict, ...]:
        assert remote == ONE.public_key
        self.asked.extend(records)
        return self.says

    def proved(self, pact: Pact) -> str:
        self.pacts.append(pact)
        return self.why


def speaking(part: Scripted | None, seed: int) -> Dpx:
    found = dpx(seed)
    found.introductions = part
    return found


def framings(caller: Scripted | None, called: Scripted | None) -> tuple[DpxFraming, DpxFraming]:
    one, other = meet(speaking(caller, 1), speaking(called, 2))
    found = one.framing(), other.framing()
    one.proved()
    other.proved()
    assert isinstance(found[0], DpxFraming)
    assert isinstance(found[1], DpxFraming)
    return found[0], found[1]


def test_a_record_that_is_taken_makes_an_introduced_session():
    caller, called = Scripted(RECORD, why="introduced by us"), Scripted(says=(OK,), why="introduced by them")
    one, other = framings(caller, called)
    assert called.asked == [RECORD]
    for framing, part, why in ((one, caller, "introduced by us"), (other, called, "introduced by them")):
        assert framing.pact.mode is Mode.INTRODUCED
        assert Feature.INTRODUCE in framing.pact.features
        assert (framing.profile.mode, framing.profile.trust, framing.profile.why) == ("introduced", Trust.INTRODUCED, why)
        assert part.pacts == [framing.pact]
    assert one.pact.keys == other.pact.keys
    assert one.pact.accept.verdict.introductions == (0,)


def test_one_that_is_not_leaves_a_plain_one_with_strangers():
    one, other = framings(Scripted(RECORD, RECORD), Scripted(says=(INVALID, IntroductionVerdict.QUOTA)))
    assert one.pact.mode is other.pact.mode is Mode.PLAIN
    assert one.profile.trust is other.profile.trust is Trust.STRANGER
    assert one.pact.accept.verdict.introductions == (2, 4)


@pytest.mark.parametrize(("caller", "called"), [(Scripted(RECORD), None), (None, Scripted(says=(OK,)))])
def test_where_one_side_knows_of_no_introductions_there_are_none(caller, called):
    one, other = framings(caller, called)
    assert one.pact.mode is other.pact.mode is Mode.PLAIN
    assert Feature.INTRODUCE not in one.pact.features
    assert not any(part.asked or part.pacts for part in (caller, called) if part is not None)


def test_nothing_is_told_before_the_first_frame():
    caller, called = Scripted(RECORD, why="x"), Scripted(says=(OK,), why="x")
    one, other = meet(speaking(caller, 1), speaking(called, 2))
    framing = other.framing()
    one.framing()
    assert framing.profile.trust is Trust.STRANGER
    one.failed()
    other.failed()
    assert caller.pacts == called.pacts == []


@pytest.mark.parametrize(
    ("mode", "codes"),
    [(Mode.INTRODUCED, ()), (Mode.INTRODUCED, (2,)), (Mode.PLAIN, (0, 0)), (Mode.INTRODUCED, (0, 0))],
)
def test_an_ack_that_takes_what_was_not_offered_ends_the_handshake(mode, codes):
    features = Feature.CHACHA20_POLY1305 | Feature.MUX | Feature.AES_256_GCM | Feature.INTRODUCE
    accept = Accept(features, bytes(32), mode, verdict=Verdict(ResumeVerdict.NONE_OFFERED, codes))
    one, _ = meet(speaking(Scripted(RECORD), 1), Constant(encode_accept(accept)))
    with pytest.raises(HandshakeError):
        one.framing()


def test_three_records_and_all_else_fit_into_an_auth():
    most = [Grade("capabil" + str(number), 2**64 - 1, 7) for number in range(8)]
    largest = record(issued=2**62, seq=2**64 - 1, grades=most).encode()
    assert len(largest) == MAX_RECORD
    one, other = framings(Scripted(*(largest,) * 3), Scripted(says=(OK,) * 3))
    assert len(one.pact.offer.introductions) == 3
    assert other.pact.mode is Mode.INTRODUCED


def test_the_element_says_what_the_pact_does():
    one, other = meet(speaking(Scripted(RECORD), 1), speaking(Scripted(says=(OK,)), 2))
    assert one.agreement is not None
    offer, accept = find(one.agreement.auth.elements), find(one.agreement.ack.elements)
    assert offer is not None
    assert accept is not None
    assert decode_offer(offer).introductions == (RECORD,)
    assert decode_accept(accept).verdict.introductions == (0,)
    other.failed()


class Forgotten:
    """What is kept of a peer that was known, and holds no secret any more."""

    def offer(self, *_: object) -> tuple[()]:
        return ()

    def resumed(self, *_: object) -> None:
        return None

    def proved(self, *_: object) -> Outcome:
        return Outcome(why="it lost its secrets")


def test_a_peer_that_was_known_and_is_introduced_says_both():
    ours = speaking(Scripted(RECORD, why="introduced by us"), 1)
    ours.resumption = Forgotten()  # type: ignore[assignment]
    one, _ = meet(ours, speaking(Scripted(says=(OK,)), 2))
    framing = one.framing()
    one.proved()
    assert framing.profile.trust is Trust.INTRODUCED
    assert framing.profile.why == "introduced by us; it lost its secrets"
