"""Sessions that are resumed: by real handshakes, for good and bad reasons, whoever dials."""

from dataclasses import replace

import pytest

from devp2p.errors import HandshakeError
from devp2p.keys import PublicKey
from devp2p.trust import Trust
from devp2p.wire.dpx import Accept, DpxFraming, Feature, Mode, Offer, ResumeVerdict, Resumption, Token, Verdict, encode_offer
from devp2p.wire.dpx.failures import Action, Failure
from devp2p.wire.dpx.lineage import EXPIRY, SETTLED
from devp2p.wire.dpx.resumption import Outcome
from devp2p.wire.dpx.sealing import id_of
from devp2p.wire.rlpx import Agreement, Auth, Extension
from tests.wire.dpx.links import FEATURES, KEYS, Link, an_ack, an_auth, share
from tests.wire.dpx.nodes import DAY, Clock, Node, Session, acquainted, session


def test_two_become_known_when_their_chain_is_a_day_old():
    clock = Clock()
    one, other = Node(1, clock), Node(2, clock)
    profiles = session(one, other).profiles()
    assert [(profile.mode, profile.trust, profile.generation) for profile in profiles] == [("plain", Trust.STRANGER, 0)] * 2
    clock.now += DAY - 1
    profiles = session(other, one).profiles()
    assert [(profile.mode, profile.trust, profile.generation) for profile in profiles] == [("resumed", Trust.STRANGER, 2)] * 2
    clock.now += 1
    for profile in session(one, other).profiles():
        assert (profile.mode, profile.trust, profile.generation) == ("resumed", Trust.KNOWN, 3)
        assert profile.why == "session 3 of a chain that is a day old"
    assert len(one.of(other).lineages[0].generations) == len(other.of(one).lineages[0].generations) == 1, "the older one is gone"


def test_a_thousand_generations():
    """As handshakes call it, without their curve."""
    clock = Clock()
    sides = [Resumption(clock) for _ in KEYS]
    said: list[Outcome] = []
    for number in range(1000):
        caller, called = number % 2, 1 - number % 2
        auth, ack = replace(an_auth(KEYS[caller], 1), nonce=number.to_bytes(32)), replace(an_ack(1), nonce=number.to_bytes(32))
        offer = Offer(FEATURES, share(1, 0), sides[caller].offer(KEYS[called], auth, share(1, 0), FEATURES))
        answer = sides[called].answer(KEYS[caller], auth, ack, offer, share(1, 1))
        assert answer.mode is (Mode.RESUMED if number else None)
        link = Link(1, caller, offer)
        accept = _accept(answer.mode, answer.sealed, answer.verdict)
        agreements = [replace(link.agreement(side), auth=auth, ack=ack) for side in (0, 1)]
        assert sides[caller].resumed(agreements[caller], accept) == answer.secret
        secret = id_of(number.to_bytes(32)) * 2
        said = [sides[side].proved(agreements[side], FEATURES, secret) for side in (0, 1)]
        for side in (0, 1):
            assert said[side].generation == (number + 1 if number else 0)
            sides[1 - side].confirmed(KEYS[side], said[side].committed or b"")
        clock.now += 3600
    assert said[0].trust is said[1].trust is Trust.KNOWN


def _accept(mode: Mode | None, sealed: bytes | None, verdict: ResumeVerdict) -> Accept:
    return Accept(FEATURES, share(1, 1), mode or Mode.PLAIN, sealed, Verdict(verdict))


STEPS = ("auth", "ack", "record of the caller", "record of the called", "word of the caller", "word of the called")


@pytest.mark.parametrize("redials", ["caller", "called"])
@pytest.mark.parametrize("until", range(len(STEPS) + 1))
def test_two_of_which_one_dies_at_any_step_resume_from_whichever_side(until: int, redials: str):
    one, other, clock = acquainted()
    broken = Session(one, other)
    for number, step in enumerate((broken.agree, lambda: broken.record(1), lambda: broken.record(0), lambda: broken.committed(1))):
        if until > number + 1:
            step()
    broken.lose()
    for wait in (0.0, 2 * SETTLED, DAY):
        clock.now += wait
        caller, called = (one, other) if redials == "caller" else (other, one)
        assert {profile.trust for profile in session(caller, called).profiles()} == {Trust.KNOWN}
        assert {profile.mode for profile in session(called, caller).profiles()} == {"resumed"}
    assert len(one.of(other).lineages[0].generations) == len(other.of(one).lineages[0].generations) == 1, "they go on"
    assert not one.lost + other.lost


def test_who_has_the_key_of_a_known_peer_and_nothing_else_is_a_stranger_and_we_are_told():
    one, other, _ = acquainted()
    thief = one.twin()
    theirs = session(thief, other).profiles()[1]
    assert theirs.trust is Trust.STRANGER
    assert theirs.why == Failure.WITHHELD.value
    assert [(lost.failure, lost.action) for lost in other.lost] == [(Failure.WITHHELD, Action.KEEP)]
    assert {profile.trust for profile in session(one, other).profiles()} == {Trust.KNOWN}, "the real one comes back with what it has"


def test_a_dialled_peer_that_knows_nothing_any_more_is_a_stranger_and_its_secrets_go():
    one, other, clock = acquainted()
    other.restore()
    ours = session(one, other).profiles()[0]
    assert (ours.trust, ours.mode, ours.why) == (Trust.STRANGER, "plain", Failure.UNKNOWN.value)
    assert [(lost.failure, lost.action) for lost in one.lost] == [(Failure.UNKNOWN, Action.FORGET)]
    assert len(one.of(other).lineages) == 1
    clock.now += SETTLED
    assert session(one, other).profiles()[0].generation == 2, "it begins anew"


def test_who_has_a_token_and_not_the_key_has_nothing():
    one, other, _ = acquainted()
    thief = Node(3, one.clock)
    thief.resumption.load({other.key.public_key.node_id: next(iter(one.backup(other).values()))})
    before = other.of(one)
    session(thief, other)
    assert other.of(one) == before
    assert other.of(thief).lineages[0].generations[0].number == 1
    assert not other.lost


@pytest.mark.parametrize("restored", ["caller", "called"])
def test_a_backup_that_is_one_session_old_works_until_the_other_side_heard_of_the_next(restored: str):
    one, other, clock = acquainted()
    away, here = (one, other) if restored == "caller" else (other, one)
    backup = away.backup(here)
    broken = Session(one, other).agree()
    broken.record(1)
    broken.record(0)
    broken.lose()
    away.restore(backup)
    clock.now += SETTLED
    assert {profile.trust for profile in session(one, other).profiles()} == {Trust.KNOWN}
    session(one, other)
    away.restore(backup)
    clock.now += SETTLED
    ours = session(one, other).profiles()
    assert {profile.trust for profile in ours} == {Trust.STRANGER}
    assert [lost.failure for lost in one.lost + other.lost] == [Failure.UNKNOWN, Failure.WITHHELD]


def test_a_stock_client_in_between_changes_nothing():
    one, other, clock = acquainted()
    before = other.of(one), one.of(other)
    one.extension = Extension()
    session(one, other)
    session(other, one)
    one.extension = one.dpx
    assert (other.of(one), one.of(other)) == before
    clock.now += 1
    assert {profile.trust for profile in session(one, other).profiles()} == {Trust.KNOWN}


def test_ids_of_another_peer_are_unknown():
    one, other, _ = acquainted()
    third = Node(3, one.clock)
    session(third, other)
    session(one, third)
    swapped: dict[bytes, bytes] = {other.key.public_key.node_id: next(iter(one.backup(third).values()))}
    one.restore(swapped)
    assert {profile.mode for profile in session(one, other).profiles()} == {"plain"}
    assert other.lost[0].failure is Failure.WITHHELD


def test_what_has_expired_is_offered_no_more_and_missed_by_nobody():
    one, other, clock = acquainted()
    clock.now += EXPIRY
    assert {profile.mode for profile in session(one, other).profiles()} == {"plain"}
    assert not one.lost + other.lost


class Forging(Extension):
    """Names the secrets that it has, and cannot seal."""

    def __init__(self, node: Node, other: Node) -> None:
        self.node = node
        self.ids = [generation.id for _, generation in node.of(other).offered()]

    def offer(self, remote: PublicKey, auth: Auth) -> tuple[bytes, ...]:  # noqa: ARG002
        tokens = tuple(Token(name, bytes(48)) for name in self.ids)
        return (encode_offer(Offer(self.node.dpx.features, bytes(32), tokens)),)

    def framing(self, agreement: Agreement) -> DpxFraming | None:
        return self.node.dpx.framing(agreement)


def test_who_names_our_secrets_and_does_not_seal_three_times_in_a_day_makes_the_peer_a_stranger_for_one():
    one, other, clock = acquainted()
    thief = one.twin()
    thief.extension = Forging(one, other)
    for number in range(3):
        assert other.of(one).match(Forging(one, other).ids), "the secrets stay"
        found = session(thief, other)
        assert found.profiles()[1].why == Failure.NOT_SEALED.value
        assert len(other.lost) == number + 1
    assert [lost.action for lost in other.lost] == [Action.KEEP, Action.KEEP, Action.DISTRUST]
    assert session(one, other).profiles()[1].trust is Trust.STRANGER
    clock.now += DAY
    assert session(one, other).profiles()[1].trust is Trust.KNOWN


def test_a_first_record_that_is_not_authentic_changes_nothing_but_the_next_dial_offers_no_secrets():
    one, other, clock = acquainted()
    before = one.of(other), other.of(one)
    broken = Session(one, other).agree()
    for to in (1, 0):
        with pytest.raises(HandshakeError):
            broken.record(to, lambda record: record[:-1] + bytes([record[-1] ^ 1]))
    assert (one.of(other), other.of(one)) == before
    assert one.resumption.wants_plain(other.key.public_key)
    assert not other.resumption.wants_plain(one.key.public_key), "whoever sends an old auth again could bring that about"
    profiles = session(one, other).profiles()
    assert {profile.mode for profile in profiles} == {"plain"}
    assert profiles[0].why == Failure.NOT_AUTHENTIC.value
    clock.now += SETTLED
    assert {profile.trust for profile in session(one, other).profiles()} == {Trust.KNOWN}, "the secrets are still there"


def test_when_it_happens_again_they_are_forgotten_but_of_one_peer_in_a_day():
    one, other, clock = acquainted()
    third = Node(3, clock)
    session(one, third)
    clock.now += DAY
    session(one, third)
    for peer, forgotten in ((other, True), (third, False)):
        ids = [generation.id for _, generation in one.of(peer).offered()]
        for _ in range(2):
            clock.now += SETTLED
            broken = Session(one, peer).agree()
            with pytest.raises(HandshakeError):
                broken.record(0, lambda record: bytes(len(record)))
            broken.lose()
            session(one, peer)
        assert (one.of(peer).match(ids) is None) is forgotten


def test_of_many_peers_those_go_first_that_are_strangers():
    one, other, clock = acquainted()
    kept = one.backup(other) | {bytes([number]) * 32: one.backup(other)[other.key.public_key.node_id] for number in range(3)}
    full = Resumption(clock, most=4)
    full.load(kept)
    full.is_kept = True
    one.dpx.resumption = full
    for number in range(10, 14):
        session(one, Node(number, clock))
        assert len(full) == 4
    assert full.of(other.key.public_key.node_id).is_known is False, "the one that was used longest ago made room"
    assert all(full.of(bytes([number]) * 32).is_known for number in range(3)), "a stranger has a quarter of the places"
    assert set(full.changes()) >= {other.key.public_key.node_id}


@pytest.mark.parametrize("is_kept", [False, True])
def test_of_peers_without_number_no_more_is_remembered_than_is_kept_also_if_nobody_writes_it_down(*, is_kept: bool):
    one, clock = Node(1, Clock()), Clock()
    one.dpx.resumption = Resumption(clock, most=2)
    one.resumption.is_kept = is_kept
    for number in range(10, 20):
        session(one, Node(number, clock))
    assert len(one.resumption._changed) <= (4 if is_kept else 0)


def test_a_secret_that_went_before_it_could_be_saved_is_not_promised():
    one, other, clock = acquainted()
    one.resumption.is_kept = True
    first = Session(one, other).agree()
    for to in (1, 0):
        first.record(to)
    clock.now += SETTLED + 1  # so long its book has failed
    second = Session(one, other).agree()
    second.record(0)
    second.lose()
    one.resumption.changes()
    one.resumption.saved()
    first.committed(1)
    assert {profile.trust for profile in session(one, other).profiles()} == {Trust.KNOWN}


def test_nothing_is_promised_before_it_is_saved():
    one, other, _ = acquainted()
    one.resumption.is_kept = True
    found = Session(one, other).agree()
    found.record(1)
    found.record(0)
    framing = found.framings[0]
    assert framing is not None
    assert not framing.pact.to_send
    changed = one.resumption.changes()
    assert list(changed) == [other.key.public_key.node_id]
    one.resumption.unsaved(changed)
    assert one.resumption.changes() == changed
    one.resumption.saved()
    assert [type(message).__name__ for message in framing.pact.to_send] == ["Committed"]


def test_what_is_not_saved_is_neither_offered_nor_taken_and_older_secrets_stay():
    one, other, clock = acquainted()
    one.resumption.is_kept = True
    session(other, one)
    kept = one.of(other).lineages[0].generations
    assert len(kept) == 2, "the peer has said that it holds the newer one, but we may lose it yet"
    assert next(generation for _, generation in other.of(one).offered()).id == kept[1].id
    auth = an_auth(one.key.public_key, 9)
    assert [token.id for token in one.resumption.offer(other.key.public_key, auth, bytes(32), FEATURES)] == [kept[0].id]
    profiles = session(other, one).profiles()
    assert {profile.mode for profile in profiles} == {"resumed"}
    one.resumption.changes()
    one.resumption.saved()
    assert [generation.id for generation in one.of(other).lineages[0].generations] == [kept[1].id]
    assert not one.resumption._unsaved
    assert not one.resumption._confirmed
    clock.now += SETTLED
    assert {profile.trust for profile in session(one, other).profiles()} == {Trust.KNOWN}


def test_while_nothing_can_be_saved_nothing_grows():
    one, other, clock = acquainted()
    one.resumption.is_kept = True
    for _ in range(20):
        clock.now += 2 * SETTLED
        assert {profile.trust for profile in session(other, one).profiles()} == {Trust.KNOWN}
        one.resumption.unsaved(one.resumption.changes())
    assert len(one.resumption._unsaved) <= 2
    assert len(one.resumption._confirmed) <= 2


def test_an_ack_that_resumes_what_was_not_offered_ends_the_handshake():
    one, other, _ = acquainted()
    backup = other.backup(one)
    one.restore()
    answer = other.resumption.answer(
        one.key.public_key,
        an_auth(one.key.public_key, 1),
        an_ack(1),
        Offer(FEATURES, bytes(32)),
        bytes(32),
    )
    assert answer.verdict is ResumeVerdict.NONE_OFFERED
    accept = _accept(Mode.RESUMED, bytes(48), ResumeVerdict.RESUMED)
    with pytest.raises(HandshakeError, match="not offered"):
        one.resumption.resumed(Link(1, 0, Offer(FEATURES, bytes(32))).agreement(0), accept)
    assert other.backup(one) == backup


def test_without_the_feature_nothing_is_offered():
    one, other, _ = acquainted()
    auth = an_auth(one.key.public_key, 9)
    assert one.resumption.offer(other.key.public_key, auth, bytes(32), Feature.CHACHA20_POLY1305) == ()
    assert len(one.resumption.offer(other.key.public_key, auth, bytes(32), FEATURES)) == 1


def test_what_cannot_be_read_counts_as_not_kept():
    one, other, clock = acquainted()
    fresh = Resumption(clock)
    assert fresh.load({b"\1" * 32: b"", b"\2" * 32: b"\xc3\xc0\xc0\x80", **one.backup(other)}) == 1
    assert len(fresh) == 1
