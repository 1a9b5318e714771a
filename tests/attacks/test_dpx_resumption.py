"""Rows X16 to X19 of THREATS.md: what strangers may do to the secrets by which sessions are resumed, and to the trust that rests on them.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed. The nodes here are those
of `tests.wire.dpx.nodes`: real handshakes and records, without a network.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from devp2p.errors import HandshakeError
from devp2p.keys import PrivateKey, PublicKey, keccak256
from devp2p.trust import Trust
from devp2p.wire.dpx import Offer, Resumption, Token, encode_offer, resumption
from devp2p.wire.dpx.acquaintance import Acquaintance, Match
from devp2p.wire.dpx.failures import Failure
from devp2p.wire.dpx.lineage import SETTLED
from devp2p.wire.dpx.resumption import Answer
from devp2p.wire.dpx.sealing import id_of
from devp2p.wire.rlpx import Ack, Auth, Entropy, Handshake, ecies
from devp2p.wire.rlpx.packets import AUTH
from tests.wire.dpx.nodes import DAY, Clock, Node, Session, acquainted, session

# X16: auths in a known peer's name


def forged(name: Node, to: Node, number: int, tokens: Sequence[Token]) -> bytes:
    """An auth in a node's name without its key: some ephemeral key is recovered from any signature, so that it opens."""
    signature = PrivateKey.generate().sign(keccak256(bytes([number])))
    elements = (encode_offer(Offer(to.dpx.features, bytes(32), tuple(tokens))),)
    body = AUTH.encode(Auth(signature, bytes(name.key.public_key), bytes([number]) * 32, b"\x04", elements))
    prefix = (ecies.OVERHEAD + len(body)).to_bytes(2, "big")
    return prefix + ecies.encrypt(to.key.public_key, body, ephemeral=PrivateKey.generate(), iv=bytes(16), shared_mac_data=prefix)


def answered(node: Node, auth: bytes) -> None:
    """A node answers an auth, and gets what is no record."""
    handshake = Handshake(node.key, Entropy.draw(lambda size: bytes([len(auth) % 200 + 1]) * size), extension=node.extension)
    assert handshake.receive_data(auth) is not None
    assert handshake.data_to_send()
    framing = handshake.framing()
    framing.receive_data(bytes(200))
    with pytest.raises(HandshakeError):
        framing.next_message()
    handshake.failed()


def attack(one: Node, other: Node) -> None:
    """Send `other` all kinds of auths in the name of `one`."""
    call = Session(one, other)
    genuine = call.auth
    call.one.failed()
    ids = [generation.id for _, generation in one.of(other).offered()]
    offers = [[], [Token(bytes(16), bytes(48))], [Token(name, bytes(48)) for name in ids], [Token(bytes(16), bytes(48))] * 2]
    for auth in [genuine, genuine, *(forged(one, other, number, tokens) for number, tokens in enumerate(offers, 1))]:
        for _ in range(3):
            answered(other, auth)


def test_x16_auths_in_a_known_peers_name_change_nothing_that_is_kept_of_it():
    one, other, _ = acquainted()
    other.resumption.is_kept = True
    before = other.of(one)
    attack(one, other)
    assert other.of(one) == before
    assert not other.resumption.changes()
    assert not other.lost
    assert not other.resumption._under_way
    assert {profile.trust for profile in session(one, other).profiles()} == {Trust.KNOWN}


def test_x16_control_who_keeps_on_a_bare_auth_loses_what_it_shares(monkeypatch: pytest.MonkeyPatch):
    """The defence away: it goes on to the next secret when it answers, and distrusts when it cannot."""
    answer = Resumption.answer

    def hasty(self: Resumption, remote: PublicKey, auth: Auth, ack: Ack, *rest: Any) -> Answer:
        found, kept, now = answer(self, remote, auth, ack, *rest), self.of(remote.node_id), self._clock()
        if found.secret is not None:
            match, following = kept.match([id_of(found.secret)]), keccak256(ack.nonce)
            assert match is not None
            self._keep(remote.node_id, kept.resumed(match.lineage.root, match.generation, following, now).confirmed(id_of(following), now))
        return found

    one, other, _ = acquainted()
    before = other.of(one)
    monkeypatch.setattr(Resumption, "answer", hasty)
    attack(one, other)
    monkeypatch.undo()
    assert other.of(one) != before
    assert session(one, other).profiles()[0].trust is Trust.STRANGER


# X17: a peer's key without its secrets


def test_x17_a_stolen_key_alone_is_a_stranger_we_are_told_and_the_real_one_stays_known():
    one, other, clock = acquainted()
    for number in range(5):
        thief = one.twin()
        theirs = session(thief, other).profiles()[1]
        assert (theirs.trust, theirs.why) == (Trust.STRANGER, Failure.WITHHELD.value)
        assert len(other.lost) == number + 1
        clock.now += SETTLED
    assert {profile.trust for profile in session(one, other).profiles()} == {Trust.KNOWN}
    thief = other.twin()
    ours = session(one, thief).profiles()[0]
    assert (ours.trust, ours.why) == (Trust.STRANGER, Failure.UNKNOWN.value)
    assert [lost.failure for lost in one.lost] == [Failure.UNKNOWN]


def test_x17_control_if_a_session_that_resumed_none_displaced_the_chain_the_real_one_would_be_the_stranger(monkeypatch: pytest.MonkeyPatch):
    started = Acquaintance.started
    monkeypatch.setattr(Acquaintance, "started", lambda self, *rest: started(replace(self, lineages=()), *rest))
    one, other, _ = acquainted()
    session(one.twin(), other)
    assert {profile.trust for profile in session(one, other).profiles()} == {Trust.STRANGER}


def test_x17_who_gets_on_for_a_day_with_a_stolen_key_is_known_beside_the_real_one_at_first():
    """What cannot be helped: by then it has been a peer for a day. The real one has another day to come back."""
    one, other, clock = acquainted()
    thief = one.twin()
    session(thief, other)
    clock.now += DAY
    assert session(thief, other).profiles()[1].trust is Trust.KNOWN
    assert session(one, other).profiles()[1].trust is Trust.KNOWN
    clock.now += DAY
    session(thief, other)
    clock.now += 1
    assert session(one, other).profiles()[1].trust is Trust.KNOWN, "it came back in time"


# X18: secrets without the key, and names of secrets without these


def test_x18_secrets_of_another_peer_resume_nothing():
    one, other, _ = acquainted()
    thief = Node(3, one.clock)
    thief.restore({other.key.public_key.node_id: next(iter(one.backup(other).values()))})
    before = other.of(one)
    assert session(thief, other).profiles()[1].trust is Trust.STRANGER
    assert other.of(one) == before


def test_x18_control_if_secrets_were_looked_up_whoever_asks_a_thief_would_be_known(monkeypatch: pytest.MonkeyPatch):
    one, other, _ = acquainted()

    def of_anybody(self: Acquaintance, ids: Sequence[bytes]) -> Match | None:
        return match(self, ids) or match(other.resumption._known[one.key.public_key.node_id], ids)

    match = Acquaintance.match
    thief = Node(3, one.clock)
    thief.restore({other.key.public_key.node_id: next(iter(one.backup(other).values()))})
    monkeypatch.setattr(Acquaintance, "match", of_anybody)
    profile = session(thief, other).profiles()[1]
    assert profile.mode == "resumed"


class _Names(Resumption):
    """Has the names of secrets and the key, and cannot seal."""

    def offer(self, remote: PublicKey, auth: Auth, share: bytes, features: object) -> tuple[Token, ...]:
        tokens = super().offer(remote, auth, share, features)  # type: ignore[arg-type]
        return tuple(Token(token.id, bytes(48)) for token in tokens)


def _with_names_only(one: Node, other: Node) -> Node:
    thief = one.twin()
    thief.dpx.resumption = _Names(one.clock)
    thief.dpx.resumption.load(one.backup(other))
    return thief


def test_x18_the_name_of_a_secret_is_not_the_secret():
    one, other, _ = acquainted()
    theirs = session(_with_names_only(one, other), other).profiles()[1]
    assert (theirs.trust, theirs.why) == (Trust.STRANGER, Failure.NOT_SEALED.value)
    assert {profile.trust for profile in session(one, other).profiles()} == {Trust.KNOWN}


def test_x18_control_if_the_seal_were_not_looked_at_the_name_would_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(resumption, "opens_offer", lambda *_: True)
    one, other, _ = acquainted()
    thief = _with_names_only(one, other)
    found = Session(thief, other)
    found.other.receive_data(found.auth)
    (under_way,) = other.resumption._under_way.values()
    assert under_way.used is not None, "it would be resumed; what is derived of the secret itself still keeps the thief out"


# X19: whoever is on the way, and whoever is many


def test_x19_whoever_spoils_first_records_makes_us_forget_nothing():
    one, other, clock = acquainted()
    before = one.of(other), other.of(one)
    for _ in range(20):
        clock.now += SETTLED
        broken = Session(one, other).agree()
        for to in (0, 1):
            with pytest.raises(HandshakeError):
                broken.record(to, lambda record: bytes(len(record)))
        broken.lose()
    assert (one.of(other), other.of(one)) == before
    clock.now += SETTLED
    assert {profile.trust for profile in session(one, other).profiles()} == {Trust.KNOWN}


def test_x19_control_if_a_bad_record_proved_that_the_peer_has_other_secrets_both_would_be_strangers(monkeypatch: pytest.MonkeyPatch):
    failed = Resumption.failed

    def hasty(self: Resumption, nonce: bytes, remote: PublicKey, *, is_broken: bool = False) -> None:
        failed(self, nonce, remote, is_broken=is_broken)
        if is_broken:
            self._keep(remote.node_id, Acquaintance())

    monkeypatch.setattr(Resumption, "failed", hasty)
    one, other, clock = acquainted()
    broken = Session(one, other).agree()
    with pytest.raises(HandshakeError):
        broken.record(0, lambda record: bytes(len(record)))
    broken.lose()
    clock.now += SETTLED
    assert session(one, other).profiles()[0].trust is Trust.STRANGER


def flood(most: int) -> int:
    """How many of three known peers are still known after a hundred strangers had a session."""
    clock = Clock()
    node = Node(1, clock)
    known = [Node(number, clock) for number in (2, 3, 4)]
    for wait in (0.0, DAY):
        clock.now += wait
        for peer in known:
            session(peer, node)
    kept = dict(node.resumption._known)
    node.dpx.resumption = Resumption(clock, most=most)
    node.dpx.resumption._known.update(kept)
    for number in range(100, 140):
        session(Node(number, clock), node)
        assert len(node.resumption) <= most
    return sum(node.of(peer).is_known for peer in known)


def test_x19_strangers_without_number_displace_no_known_peer():
    assert flood(most=8) == 3


def test_x19_control_if_all_were_equal_the_oldest_would_go(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(resumption, "_SHARE_OF_STRANGERS", 10**-9)
    assert flood(most=8) == 0
