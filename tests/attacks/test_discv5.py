"""Rows D14 and D17 of THREATS.md, with parts of D7 and D18: strangers who shake hands with a node of discovery v5.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

from unittest.mock import patch

import pytest

from devp2p.addresses import Endpoint
from devp2p.discovery.v5 import crypto as v5_crypto
from devp2p.discovery.v5 import messages as v5_messages
from devp2p.discovery.v5 import packets as v5_packets
from devp2p.discovery.v5 import sessions as v5_sessions
from devp2p.discovery.v5.messages import Ping, Pong
from devp2p.discovery.v5.sessions import Keys, PacketSessions, Remote
from tests.discovery.nodes import endpoint_of
from tests.discovery.v5_wire import Stranger, Wire, key_of, make_party, record_of, state_of

# D14: handshakes that are not what they should be


def proof_of(stranger: Stranger) -> bytes:
    return stranger.prove(stranger.provoke(), v5_messages.encode_message(Ping(b"", 1)))


def test_d14_each_changed_byte_is_noticed():
    size = len(proof_of(Stranger(2, make_party(1))))
    for place in range(16, size):
        victim = make_party(1)
        stranger = Stranger(2, victim)
        proof = bytearray(proof_of(stranger))
        proof[place] ^= 0x01
        victim.node.receive_datagram(bytes(proof), stranger.endpoint, 0.0)
        assert victim.node.datagrams_to_send(0.0) == []
        assert state_of(victim.node)[0] == 0


def test_d14_a_proof_counts_once_and_only_from_where_it_was_asked_for():
    victim = make_party(1)
    stranger = Stranger(2, victim)
    proof = proof_of(stranger)
    for elsewhere in (endpoint_of(3), Endpoint(stranger.endpoint.ip, 1)):
        victim.node.receive_datagram(proof, elsewhere, 0.0)
        assert victim.node.datagrams_to_send(0.0) == []
    assert len(stranger.exchange(proof)) == 1
    assert stranger.exchange(proof) == []
    assert state_of(victim.node)[:2] == (1, 0)


def test_d14_a_proof_that_comes_too_late_is_none():
    victim = make_party(1)
    stranger = Stranger(2, victim)
    assert stranger.exchange(proof_of(stranger), 1.0) == []
    assert state_of(victim.node)[:2] == (0, 0)


def test_d14_nobody_ends_the_handshake_of_another_by_a_bad_proof():
    """But only so many are verified: who sends more has to begin again."""
    for bad, answers in ((3, 1), (4, 0)):
        victim = make_party(1)
        stranger = Stranger(2, victim)
        challenge = stranger.provoke()
        for _ in range(bad):
            assert stranger.exchange(stranger.prove(challenge, b"", signer=key_of(3))) == []
        assert len(stranger.exchange(stranger.prove(challenge, v5_messages.encode_message(Ping(b"", 1))))) == answers


@pytest.mark.parametrize(
    "record",
    [
        b"",  # none, and we have none
        record_of(3).encode(),  # another's
        record_of(2).encode()[:-1],
        record_of(2).encode()[:20] + b"!" + record_of(2).encode()[21:],
        bytes(300),
    ],
)
def test_d14_d18_a_record_that_is_not_the_senders_own_is_no_identity(record):
    victim = make_party(1)
    stranger = Stranger(2, victim)
    assert stranger.exchange(stranger.prove(stranger.provoke(), v5_messages.encode_message(Ping(b"", 1)), record=record)) == []
    assert state_of(victim.node)[0] == 0


def test_d14_who_proves_one_identity_does_not_get_another():
    """With a proof and record that agree with each other, but not with the ID that the packet is from."""
    victim = make_party(1)
    stranger = Stranger(2, victim)
    message = v5_messages.encode_message(Ping(b"", 1))
    assert stranger.exchange(stranger.prove(stranger.provoke(), message, record=record_of(3).encode(), signer=key_of(3))) == []
    assert state_of(victim.node)[0] == 0


def test_d14_control_if_signatures_were_not_verified_he_would():
    victim = make_party(1)
    impostor = Stranger(2, victim)
    proof = impostor.prove(impostor.provoke(), v5_messages.encode_message(Ping(b"", 1)), signer=key_of(3))
    with patch.object(v5_crypto, "verify_id", return_value=True):
        assert len(impostor.exchange(proof)) == 1
    assert state_of(victim.node)[0] == 1


def test_d14_control_if_a_session_held_for_any_address_a_thief_could_use_it():
    victim = make_party(1)
    stranger = Stranger(2, victim)
    assert stranger.say(Ping(b"", 1))
    sessions = victim.node._exchange._sessions._sessions
    session = sessions.get(Remote(stranger.id, stranger.endpoint))
    assert session is not None
    sessions.set(Remote(stranger.id, endpoint_of(3)), session)
    victim.node.receive_datagram(stranger.message(v5_messages.encode_message(Ping(b"", 1))), endpoint_of(3), 0.0)
    ((answer, to),) = victim.node.datagrams_to_send(0.0)
    assert to == endpoint_of(3)
    assert isinstance(stranger.read(answer), Pong)


def test_d14_nobody_can_use_the_session_of_another():
    """With the keys of the session, from another address: a question who that is, and no answer."""
    victim = make_party(1)
    stranger = Stranger(2, victim)
    assert stranger.say(Ping(b"", 1))
    stolen = stranger.message(v5_messages.encode_message(Ping(b"", 1)))
    victim.node.receive_datagram(stolen, endpoint_of(3), 0.0)
    ((answer, _),) = victim.node.datagrams_to_send(0.0)
    assert isinstance(v5_packets.decode(answer, stranger.id).header, v5_packets.WhoAreYou)
    assert stranger.say(Ping(b"", 1))  # and the session itself goes on


# D17: no nonce twice


def without_chance() -> PacketSessions:
    """The sessions of a node all of whose random bytes are zero."""
    return PacketSessions(key_of(1), bytes, sessions=4, challenges=4, handshake_timeout=1.0)


REMOTE = Remote(key_of(2).public_key.node_id, endpoint_of(2))


def nonces(keys: Keys, number: int) -> set[bytes]:
    sessions = without_chance()
    return {v5_packets.decode(sessions.seal_answer(REMOTE, keys, b""), REMOTE.id).header.nonce for _ in range(number)}


def test_d17_no_nonce_meets_a_key_twice_even_if_chance_fails():
    assert len(nonces(Keys(b"w" * 16, b"r" * 16), 5000)) == 5000


def test_d17_of_a_million_nonces_each_begins_with_another_number():
    sessions, keys = without_chance(), Keys(b"w" * 16, b"r" * 16)
    numbers = (sessions._next_nonce(keys)[:4] for _ in range(10**6))
    assert all(number == wanted.to_bytes(4) for wanted, number in enumerate(numbers))


def test_d17_control_without_the_counter_chance_alone_would_have_to_do():
    class Forgetful(Keys):
        sealed = property(lambda _: 0, lambda *_: None)  # pyright: ignore[reportAssignmentType]

    assert len(nonces(Forgetful(b"w" * 16, b"r" * 16), 5000)) == 1


def test_d17_a_key_is_given_up_before_its_counter_ends():
    with patch.object(v5_sessions, "MAX_SEALED", 8):
        alice, bob = make_party(1), make_party(2)
        wire = Wire(alice, bob)
        assert all(wire.ping(alice, bob) for _ in range(40))
    used: dict[bytes, int] = {}
    for sent in wire.log:
        if not isinstance(sent.header, v5_packets.WhoAreYou):
            assert used.setdefault(sent.header.nonce, id(sent)) == id(sent)
            assert int.from_bytes(sent.header.nonce[:4], "big") < 8 or sent in provocations(wire)
    assert wire.kinds.count("Handshake") >= 4


def provocations(wire: Wire) -> list[object]:
    challenged = {sent.header.nonce for sent in wire.of_kind("WhoAreYou")}
    return [sent for sent in wire.of_kind("Ordinary") if sent.header.nonce in challenged]
