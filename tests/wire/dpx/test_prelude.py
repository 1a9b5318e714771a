"""The prelude: two that know nothing of each other come to a session of dpx/1, or to none."""

import hmac
import os
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import HandshakeError, LocalProtocolError
from devp2p.keys import PrivateKey, keccak256, recover
from devp2p.wire.dpx import Dpx, prelude
from devp2p.wire.dpx.prelude import Answering, Asking, PreludeEntropy, missing_of_request
from devp2p.wire.rlpx import MAX_PACKET, Agreement, Extension, Handshake, Recipient, missing_of_auth
from tests.wire.dpx.preludes import ANSWERED, ASKED, Meeting, expanded, say
from tests.wire.handshakes import KEY_A, KEY_B, A, B, fresh

SAMPLES = settings(max_examples=50, deadline=None)


def test_two_that_know_nothing_of_each_other_come_to_an_agreement():
    meeting = Meeting()
    ours, theirs = meeting.shake_hands()
    assert (ours.remote, theirs.remote) == (B, A)
    assert meeting.one.remote == B
    assert len(ours.prelude) == 32
    assert ours.prelude == theirs.prelude
    assert ours.transcript == theirs.transcript == keccak256(ours.auth_packet + ours.ack_packet + ours.prelude)
    say(meeting.one, meeting.other)
    for side in (meeting.one, meeting.other):
        assert side.trailing == b""
        side.proved()
        side.failed()
        with pytest.raises(LocalProtocolError, match="over"):
            side.receive_data(b"")


def secret_of(own: PrivateKey, other: bytes) -> bytes:
    """The x coordinate of the shared point, as OpenSSL finds it."""
    curve = ec.SECP256K1()
    return ec.derive_private_key(int.from_bytes(bytes(own)), curve).exchange(
        ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(curve, other)
    )


def test_the_messages_are_as_they_are_specified():
    """By another implementation of the key schedule: OpenSSL's curve, HKDF and AEAD."""
    meeting = Meeting()
    answer = meeting.ask()
    assert meeting.one.receive_data(answer) is None
    wrapped = meeting.one.data_to_send()
    request = meeting.request
    assert request[:2] == b"\xff\x01"
    assert int.from_bytes(request[2:4]) == len(request) - 4
    e_i, e_r = request[4:37], answer[2:35]
    assert request[37:] == ASKED.padding
    assert int.from_bytes(answer[:2]) == len(answer) - 2
    assert e_i == ASKED.ephemeral.public_key.compressed
    assert e_r == ANSWERED.ephemeral.public_key.compressed
    prk = hmac.digest(keccak256(request + answer[:35]), secret_of(ASKED.ephemeral, e_r), "sha256")
    assert secret_of(ASKED.ephemeral, e_r) == secret_of(ANSWERED.ephemeral, e_i)
    claim = ChaCha20Poly1305(expanded(prk, b"dpx1 anon answer")).decrypt(bytes(12), answer[35:], b"")
    assert HKDF(SHA256(), 32, keccak256(request + answer[:35]), b"x").derive(secret_of(ANSWERED.ephemeral, e_i)) == expanded(prk, b"x")
    static, signature = rlp.codec(tuple[bytes, bytes]).decode(claim[:135])
    assert claim[135:] == bytes(len(ANSWERED.padding))
    assert static == bytes(B)
    assert recover(keccak256(b"dpx-anon-v1" + e_i + e_r), signature) == B
    asked = keccak256(request + answer)
    assert meeting.begun == [(B, asked)]
    assert int.from_bytes(wrapped[:2]) == len(wrapped) - 2
    auth = ChaCha20Poly1305(expanded(prk, b"dpx1 anon auth" + asked)).decrypt(bytes(12), wrapped[2:], wrapped[:2])
    found = Recipient(KEY_B, fresh()).receive_data(auth)
    assert found is not None
    assert found.remote == A


@SAMPLES
@given(st.lists(st.sets(st.integers(1, 140), max_size=4), min_size=4, max_size=4), st.binary(max_size=10))
def test_any_cut_of_the_stream_comes_to_the_same(drawn, trailing):
    meeting, places = Meeting(), iter(drawn)

    def feed(side: Asking | Answering, stream: bytes) -> Agreement | None:
        cuts = sorted(next(places))
        found = None
        for start, end in pairwise([0, *cuts, len(stream)]):
            assert found is None
            found = side.receive_data(stream[start:end])
        return found

    assert feed(meeting.other, meeting.request) is None
    assert feed(meeting.one, meeting.other.data_to_send()) is None
    assert feed(meeting.other, meeting.one.data_to_send() + trailing) is not None
    assert meeting.other.trailing == trailing
    assert feed(meeting.one, meeting.other.data_to_send()) is not None
    say(meeting.other, meeting.one)


def test_what_follows_the_ack_is_handed_on():
    meeting = Meeting()
    meeting.other.receive_data(meeting.call())
    assert meeting.one.receive_data(meeting.other.data_to_send() + b"frame") is not None
    assert meeting.one.trailing == b"frame"


def test_who_answers_requests_takes_an_auth_as_ever():
    for cut in (1, 2, 100):
        meeting = Meeting()
        caller = Handshake(KEY_A, fresh(), remote=B)
        auth = caller.data_to_send()
        assert meeting.other.receive_data(auth[:cut]) is None
        theirs = meeting.other.receive_data(auth[cut:] + b"")
        ours = caller.receive_data(meeting.other.data_to_send())
        assert ours is not None
        assert theirs is not None
        assert ours.prelude == theirs.prelude == b""
        assert meeting.other.trailing == b""
        assert meeting.other.framing() is not None


# What must come of it


@pytest.mark.parametrize("lacking", ["initiator", "recipient"])
def test_without_dpx_there_is_no_session(lacking):
    """RLPx frames would not depend on the prelude."""
    plain = Extension()
    meeting = Meeting(plain, None) if lacking == "initiator" else Meeting(None, plain)
    meeting.shake_hands()
    for side in (meeting.one, meeting.other):
        with pytest.raises(HandshakeError, match="no dpx/1"):
            side.framing()


def test_what_was_said_before_the_auth_enters_the_keys():
    """Two sides with one agreement but for the prelude do not understand each other."""
    auth, shaken = fresh(), []
    for number in (1, 2):
        caller = Handshake(KEY_A, auth, remote=B, extension=Dpx(os.urandom), prelude=bytes([number]) * 32)
        shaken.append(caller)
    called = Handshake(KEY_B, fresh(), extension=Dpx(os.urandom), prelude=bytes([1]) * 32)
    called.receive_data(shaken[0].data_to_send())
    ack = called.data_to_send()
    sealed = b"".join(called.framing().seal(None, 2, b"hello"))
    for caller in shaken:
        caller.receive_data(ack)
    one, other = (caller.framing() for caller in shaken)
    one.receive_data(sealed)
    assert one.next_message() is not None
    other.receive_data(sealed)
    with pytest.raises(HandshakeError):
        other.next_message()


def test_the_largest_padding_fits():
    large = PreludeEntropy(ASKED.ephemeral, bytes(5000)), PreludeEntropy(ANSWERED.ephemeral, bytes(5000))
    asking = Asking(large[0], lambda remote, asked: Handshake(KEY_A, fresh(), remote=remote, prelude=asked))
    answering = Answering(KEY_B, large[1], lambda asked: Handshake(KEY_B, fresh(), prelude=asked))
    request = asking.data_to_send()
    assert len(request) == 4 + MAX_PACKET
    assert answering.receive_data(request) is None
    answer = answering.data_to_send()
    assert len(answer) == 2 + MAX_PACKET
    assert asking.receive_data(answer) is None
    assert answering.receive_data(asking.data_to_send()) is not None


def test_how_much_of_a_request_is_missing():
    request, auth = Meeting().request, Handshake(KEY_A, fresh(), remote=B).data_to_send()
    for at in range(4, len(request) + 1):
        assert missing_of_request(request[:at]) == len(request) - at
    assert [missing_of_request(request[:at]) for at in range(4)] == [2, 1, 2, 1]
    assert missing_of_request(request + b"more") == 0
    for size in (0, 32, 2049, 0xFFFF):
        assert missing_of_request(prelude.MAGIC + size.to_bytes(2, "big")) == 0
    for at in (0, 1, 2, 100, len(auth)):
        assert missing_of_request(auth[:at]) == missing_of_auth(auth[:at])
    assert missing_of_auth(request) == 0  # who does not answer requests refuses it by its first two bytes


def test_a_stock_recipient_refuses_a_request_by_its_first_bytes():
    with pytest.raises(HandshakeError, match="65281 bytes"):
        Handshake(KEY_B, fresh()).receive_data(Meeting().request[:2])


def test_misuse_is_a_bug_of_ours():
    for side in (Meeting().one, Meeting().other):
        for use in (side.framing, side.proved):
            with pytest.raises(LocalProtocolError, match="before the auth"):
                use()
        side.failed()
        assert side.trailing == b""
