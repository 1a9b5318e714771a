"""Records in handshakes: each verdict, what it costs, and that nothing changes before the caller has proved itself."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from devp2p.addresses import Address
from devp2p.keys import NodeId, PrivateKey, PublicKey, recover
from devp2p.node import vouching
from devp2p.node.policy import Policy
from devp2p.node.roster import Roster
from devp2p.node.vouching import Vouching
from devp2p.records import NodeRecord
from devp2p.session import local_node
from devp2p.wire.dpx import (
    OURS,
    Accept,
    Consent,
    Grade,
    IntroductionRecord,
    IntroductionVerdict,
    Mode,
    Offer,
    Pact,
    ResumeVerdict,
    Verdict,
    introduction,
)
from devp2p.wire.dpx.keys import Keys
from tests.chat import Chat

A, B, I1, I2, OTHER = (PrivateKey.from_bytes(bytes(31) + bytes([number])) for number in range(1, 6))
WALL = 1_800_000_000
OK, UNKNOWN, INVALID, NO_CONSENT, QUOTA = IntroductionVerdict
KEYS = Keys(bytes(32), bytes(32), bytes(32), bytes(32))


class Clock:
    """Both clocks, as a test sets them."""

    pace = 1.0

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    trio = now

    def at(self, when: float) -> float:
        return when

    def lasting(self, seconds: float) -> float:
        return seconds

    def wall(self) -> float:
        return WALL + self.seconds


class Side:
    """A node's part, with a policy of its own."""

    def __init__(self, key: PrivateKey, *fit: PrivateKey, consent: Consent = Consent.ANY, slots: int = 16, seed: int = 0) -> None:
        self.clock = Clock()
        self.key = key
        self.policy = Policy(
            local_node(key, [Chat()]),
            Roster(),
            self.clock,  # type: ignore[arg-type]
            outside=(),
            schemes=("tcp",),
            max_peers=50,
            wanted={"chat": slots},
            dials=True,
            random=Random(seed).random,
            secret=bytes(16),
        )
        for one in fit:
            self.policy.introducers.fit(one.public_key.node_id, one.public_key.node_id[:2], 0.0)
        self.vouching = Vouching(key.public_key, self.policy, self.clock.wall, consent)

    def verdicts(self, *records: IntroductionRecord | bytes, by: PublicKey = A.public_key) -> list[IntroductionVerdict]:
        return list(self.vouching.verdicts(by, [one if isinstance(one, bytes) else one.encode() for one in records]))

    def proved(
        self, records: Sequence[IntroductionRecord], codes: Sequence[int], *, peer: PublicKey = A.public_key, dialled: bool = False
    ) -> str:
        offer = Offer(OURS, bytes(32), introductions=tuple(record.encode() for record in records))
        mode = Mode.INTRODUCED if 0 in codes else Mode.PLAIN
        accept = Accept(OURS, bytes(32), mode, verdict=Verdict(ResumeVerdict.NONE_OFFERED, tuple(codes)))
        return self.vouching.proved(Pact(peer, offer, accept, KEYS, initiated=dialled))

    def answer(self, *records: IntroductionRecord, by: PublicKey = A.public_key) -> str:
        """The whole way of a caller that proves itself."""
        return self.proved(records, self.verdicts(*records, by=by), peer=by)


def record(number: int = 1, *, by: PrivateKey = I1, subject: PrivateKey = B, audience: PrivateKey = A, **other: int) -> IntroductionRecord:
    return IntroductionRecord.sign(
        *(by, subject.public_key, audience.public_key.node_id),
        issued=other.get("issued", WALL),
        lifetime=other.get("lifetime", introduction.LIFETIME),
        seq=other.get("seq", number),
        nonce=number.to_bytes(16, "big"),
        grades=[Grade("chat", 1, 5)],
    )


def test_a_good_record_is_taken():
    side = Side(B, I1)
    assert side.verdicts(record()) == [OK]
    assert side.answer(record()) == f"introduced by {I1.public_key.node_id.hex()[:16]}"


@pytest.mark.parametrize(
    ("shown", "verdict"),
    [
        (record(audience=OTHER), INVALID),
        (record(subject=OTHER), INVALID),
        (record(by=B), INVALID),
        (record(issued=WALL - introduction.LIFETIME - introduction.SKEW), INVALID),
        (record(issued=WALL - introduction.LIFETIME - introduction.SKEW + 1), OK),
        (record(issued=WALL + introduction.SKEW + 1), INVALID),
        (record(issued=WALL + introduction.SKEW), OK),
        (replace(record(), seq=2), INVALID),
        (replace(record(), introducer=I2.public_key.compressed), INVALID),
        (replace(record(), introducer=b"\x02" + b"\xff" * 32), INVALID),
        (record(by=I2), UNKNOWN),
        (b"\xc0", INVALID),
        (record().encode() + b"\x00", INVALID),
        (bytes(introduction.MAX_RECORD + 1), INVALID),
    ],
    ids=[
        *("another audience", "another subject", "by itself", "expired", "not quite expired", "too early", "as early as can be"),
        *("changed", "in another's name", "by no key", "by one that is not known", "no record", "with more behind it", "too long"),
    ],
)
def test_each_verdict(shown, verdict):
    side = Side(B, I1)
    assert side.verdicts(shown) == [verdict]
    assert side.verdicts(shown, record(2)) == [verdict, OK]


def test_without_consent_nothing_is_looked_at(monkeypatch):
    def looked_at(*_):
        raise AssertionError

    monkeypatch.setattr(introduction.IntroductionRecord, "decode", looked_at)
    side = Side(B, I1, consent=Consent.NONE)
    assert side.verdicts(record(), b"anything") == [NO_CONSENT, NO_CONSENT]


def test_consent_that_was_withdrawn_before_the_caller_had_proved_itself():
    side = Side(B, I1)
    codes = side.verdicts(record())
    side.vouching.consent = Consent.NONE
    assert side.proved([record()], codes) == ""
    assert not side.policy.introducers.live(I1.public_key.node_id, 0.0)


def test_nothing_changes_before_the_caller_has_proved_itself():
    side = Side(B, I1)
    for _ in range(20):
        assert side.verdicts(record()) == [OK]
    assert len(side.vouching._used) == 0
    assert side.policy.introducers.live(I1.public_key.node_id, 0.0) == 0
    assert side.answer(record())
    assert side.verdicts(record()) == [INVALID]


def test_a_record_counts_once_in_two_handshakes_at_the_same_time():
    side = Side(B, I1)
    codes = side.verdicts(record()), side.verdicts(record())
    assert codes == ([OK], [OK])
    assert side.proved([record()], codes[0])
    assert side.proved([record()], codes[1]) == ""


def test_the_number_of_a_record_may_not_go_back():
    side = Side(B, I1)
    assert side.answer(record(2))
    assert side.verdicts(record(1)) == [INVALID]
    assert side.verdicts(record(3)) == [OK]


def test_the_fifth_of_an_introducer_is_one_too_many():
    side = Side(B, I1)
    keys = [PrivateKey.from_bytes(bytes(30) + b"\x01" + bytes([number])) for number in range(5)]
    verdicts = []
    for number, key in enumerate(keys, 1):
        shown = record(number, audience=key)
        verdicts += side.verdicts(shown, by=key.public_key)
        side.answer(shown, by=key.public_key)
    assert verdicts == [OK] * 4 + [QUOTA]


def test_a_quarter_of_the_slots_is_for_introduced_peers():
    side = Side(B, I1, I2, slots=4)
    assert side.answer(record())
    assert side.policy.introducers.began(A.public_key.node_id, [("chat", 4)], 0.0)
    shown = record(2, by=I2, audience=OTHER)
    assert side.verdicts(shown, by=OTHER.public_key) == [QUOTA]


def test_at_most_three_signatures_are_looked_at_and_none_of_what_is_wrong_without_it(monkeypatch):
    looked_at: list[bytes] = []

    def counted(digest: bytes, signature: bytes) -> PublicKey:
        looked_at.append(digest)
        return recover(digest, signature)

    monkeypatch.setattr(introduction, "recover", counted)
    side = Side(B, I1)
    side.verdicts(*(record(number) for number in range(1, 10)))
    assert len(looked_at) == 3
    side.verdicts(record(audience=OTHER), record(issued=WALL - 10_000), b"\xc0")
    assert len(looked_at) == 3


def test_who_makes_records_up_does_not_learn_whom_we_know():
    """Only who has a record that its introducer has really signed is told whether we know that introducer."""
    side = Side(B, I1)
    forged = [replace(record(), introducer=one.public_key.compressed) for one in (I2, OTHER)] + [replace(record(), seq=9)]
    assert side.verdicts(*forged) == [INVALID] * 3


def test_two_introducers_are_named_both():
    side = Side(B, I1, I2)
    why = side.answer(record(), record(2, by=I2))
    assert why == f"introduced by {I1.public_key.node_id.hex()[:16]} and {I2.public_key.node_id.hex()[:16]}"


# The side that shows them


def test_what_is_held_is_shown_until_a_session_has_begun_or_it_has_expired():
    side = Side(A, I1)
    assert side.vouching.records_for(B.public_key) == ()
    side.vouching.hold(record(), B.public_key.node_id)
    assert side.vouching.records_for(B.public_key) == (record().encode(),)
    assert side.vouching.records_for(OTHER.public_key) == ()
    assert side.proved([record()], [OK], peer=B.public_key, dialled=True).startswith("introduced by")
    assert side.vouching.records_for(B.public_key) == ()
    side.vouching.hold(record(lifetime=60), B.public_key.node_id)
    side.clock.seconds = 60
    assert side.vouching.records_for(B.public_key) == ()


def test_of_each_introducer_the_newest_is_shown_and_three_in_all():
    side = Side(A)
    for number, by in enumerate((I1, I2, OTHER, B, I2), 1):
        side.vouching.hold(record(number, by=by, subject=B), B.public_key.node_id)
    shown = [IntroductionRecord.decode(one) for one in side.vouching.records_for(B.public_key)]
    assert [(one.introducer, one.seq) for one in shown] == [
        (by.public_key.compressed, number) for by, number in ((OTHER, 3), (B, 4), (I2, 5))
    ]


def test_an_introducer_that_we_know_too_little_makes_the_subject_no_more_than_a_stranger():
    assert Side(A).proved([record()], [OK], peer=B.public_key, dialled=True) == ""
    assert Side(A, I1).proved([record()], [QUOTA], peer=B.public_key, dialled=True) == ""
    assert Side(A, I1).proved([record()], [], peer=B.public_key, dialled=True) == ""


def test_what_is_held_is_bounded():
    side = Side(A)
    for number in range(300):
        key = PrivateKey.from_bytes(bytes(29) + b"\x01" + number.to_bytes(2, "big"))
        side.vouching.hold(record(), key.public_key.node_id)
    assert len(side.vouching._held) == vouching._HELD


# Whom to dial


def first_dialled(seed: int, *, introduced: bool) -> int:
    """Which of twelve candidates of the same promise is dialled first; the last one is, or is not, introduced to us."""
    side = Side(A, seed=seed)
    records = [NodeRecord(key.public_key, (Address("tcp", f"5.{number}.0.1", 30303),)) for number, key in enumerate(TWELVE)]
    for record in records:
        side.policy.candidates.offer(record, "v4")
    assert side.policy.candidates.offer(records[-1], "introduced", introduced=introduced)
    seen = [found for known in side.policy.candidates.pool if (found := side.policy.candidates.look_at(known)) is not None]
    dial = side.policy.next_dial(side.policy.choice(seen))
    assert dial is not None
    side.policy.candidates.begin_dial(records[-1])
    known = side.policy.candidates.pool.get(records[-1].id)
    assert known is not None
    assert not known.introduced  # it has had its chance
    return [record.id for record in records].index(NodeId(dial.id))


TWELVE = [PrivateKey.from_bytes(bytes(30) + b"\x02" + bytes([number])) for number in range(12)]


def test_whom_a_peer_has_introduced_is_dialled_before_others_that_promise_as_much():
    assert {first_dialled(seed, introduced=True) for seed in range(10)} == {11}
    assert len({first_dialled(seed, introduced=False) for seed in range(10)}) > 1
