"""The prelude: what strangers say instead ends in a HandshakeError, and who answers in another's name is found out."""

import hmac
import os
import random
import tracemalloc
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from devp2p import rlp
from devp2p.errors import HandshakeError, LocalProtocolError
from devp2p.keys import PrivateKey, PublicKey, keccak256
from devp2p.wire.dpx import Dpx, prelude
from devp2p.wire.dpx.prelude import Answering, Asking, PreludeEntropy
from devp2p.wire.rlpx import MAX_PACKET, Handshake, SeenAuths
from tests.wire.dpx.preludes import ANSWERED, ASKED, Meeting, expanded
from tests.wire.handshakes import KEY_A, KEY_B, A, B, fresh, spy


def changed(message: bytes, at: int) -> bytes:
    return message[:at] + bytes([message[at] ^ (1 + at % 255)]) + message[at + 1 :]


def is_refused(side: Asking | Answering, message: bytes) -> bool:
    """Whether it is refused for good; a size may announce more, and whatever follows cannot help."""
    with pytest.raises(HandshakeError):
        side.receive_data(message + bytes(2 * MAX_PACKET))
    with pytest.raises(LocalProtocolError):
        side.receive_data(b"")
    side.failed()
    return True


def test_every_changed_byte_of_an_answer_is_noticed():
    answer = Meeting().ask()
    for at in range(len(answer)):
        meeting = Meeting()
        assert is_refused(meeting.one, changed(answer, at))
        assert not meeting.begun


def test_every_changed_byte_of_a_wrapped_auth_is_noticed(monkeypatch):
    monkeypatch.setattr(PrivateKey, "ecdh", lambda *_, **__: b"x" * 32)  # no curve for 800 of them: it is the AEAD that notices
    wrapped = Meeting().call()
    for at in range(len(wrapped)):
        meeting = Meeting()
        meeting.ask()
        assert is_refused(meeting.other, changed(wrapped, at))


def test_every_changed_byte_of_a_request_is_noticed():
    """By the caller, at the latest: the answer does not open."""
    request = Meeting().request
    for at in [*range(60), *range(60, len(request), 20), len(request) - 1]:
        meeting = Meeting()
        try:
            meeting.other.receive_data(changed(request, at))
            answer = meeting.other.data_to_send()
        except HandshakeError:
            continue
        if answer:  # a size may announce more
            assert is_refused(meeting.one, answer), at


def test_a_message_that_ends_early_is_waited_for():
    def waits(side: Asking | Answering, message: bytes) -> Iterator[bool]:
        for byte in message[:-1]:
            yield side.receive_data(bytes([byte])) is None
            yield side.data_to_send() == b""

    meeting = Meeting()
    assert all(waits(meeting.other, meeting.request))
    meeting.other.receive_data(meeting.request[-1:])
    answer = meeting.other.data_to_send()
    assert all(waits(meeting.one, answer))
    meeting.one.receive_data(answer[-1:])
    wrapped = meeting.one.data_to_send()
    assert all(waits(meeting.other, wrapped))
    assert meeting.other.receive_data(wrapped[-1:]) is not None


def answer_by(key: PrivateKey, claimed: PublicKey, request: bytes, *, signed: bytes | None = None, claim: bytes | None = None) -> bytes:
    """What somebody answers who may say anything."""
    own, theirs = ANSWERED.ephemeral, PublicKey.from_bytes(request[4:37])
    digest = keccak256(b"dpx-anon-v1" + (request[4:37] if signed is None else signed) + own.public_key.compressed)
    if claim is None:
        claim = rlp.encode([bytes(claimed), key.sign(digest)])
    head = (33 + len(claim) + 16).to_bytes(2, "big") + own.public_key.compressed
    prk = hmac.digest(keccak256(request + head), own.ecdh(theirs), "sha256")
    return head + ChaCha20Poly1305(expanded(prk, b"dpx1 anon answer")).encrypt(bytes(12), claim, b"")


OTHER = PrivateKey.from_bytes(b"\x09" * 32)


def test_who_answers_in_anothers_name_is_refused():
    meeting = Meeting()
    assert meeting.one.receive_data(answer_by(OTHER, OTHER.public_key, meeting.request)) is None  # in its own name it may
    for forged in (
        answer_by(OTHER, B, meeting.request),
        answer_by(KEY_B, B, meeting.request, signed=OTHER.public_key.compressed),  # signed for another caller
        answer_by(KEY_B, OTHER.public_key, meeting.request),
    ):
        meeting = Meeting()
        with pytest.raises(HandshakeError, match="not by the key"):
            meeting.one.receive_data(forged)
        assert not meeting.begun


def test_a_signature_over_something_else_is_not_taken():
    request = Meeting().request
    digest = keccak256(request[4:37] + ANSWERED.ephemeral.public_key.compressed)  # without the domain
    forged = answer_by(KEY_B, B, request, claim=rlp.encode([bytes(B), KEY_B.sign(digest)]))
    with pytest.raises(HandshakeError, match="not by the key"):
        Meeting().one.receive_data(forged)


BAD_CLAIMS = {
    "nothing": bytes(135),
    "no list": rlp.encode(bytes(140)),
    "a list past its end": b"\xf9\xff\xff" + bytes(140),
    "a short key": rlp.encode([bytes(63), bytes(66)]),
    "a key with its prefix": rlp.encode([b"\x04" + bytes(B), bytes(65)]),
    "a key off the curve": rlp.encode([bytes(64), bytes(65)]),
    "a short signature": rlp.encode([bytes(B), bytes(64)]) + b"\0",
    "a signature of zeros": rlp.encode([bytes(B), bytes(65)]),
    "a signature above the order": rlp.encode([bytes(B), b"\xff" * 65]),
    "a key alone": rlp.encode([bytes(B)]) + bytes(80),
}


@pytest.mark.parametrize("claim", BAD_CLAIMS.values(), ids=BAD_CLAIMS)
def test_a_sealed_answer_with_a_bad_body_is_a_handshake_error(claim):
    meeting = Meeting()
    with pytest.raises(HandshakeError):
        meeting.one.receive_data(answer_by(KEY_B, B, meeting.request, claim=claim))
    assert not meeting.begun


def test_further_items_and_bytes_of_an_answer_are_passed_over():
    request = Meeting().request
    signature = KEY_B.sign(keccak256(b"dpx-anon-v1" + request[4:37] + ANSWERED.ephemeral.public_key.compressed))
    for claim in (rlp.encode([bytes(B), signature, "more", ["still"]]), rlp.encode([bytes(B), signature]) + b"\xff" * 30):
        meeting = Meeting()
        assert meeting.one.receive_data(answer_by(KEY_B, B, request, claim=claim)) is None
        assert meeting.one.remote == B


def test_nothing_is_computed_with_what_is_no_point(monkeypatch):
    answer = Meeting().ask()
    agreed = spy(monkeypatch, PrivateKey, "ecdh")
    signed = spy(monkeypatch, PrivateKey, "sign")
    for point in (bytes(33), b"\x02" + b"\xff" * 32, b"\x04" + bytes(32), b"\x05" + bytes(A)[:32], b"\x02" + bytes(31) + b"\x05"):
        meeting = Meeting()
        with pytest.raises(HandshakeError, match="curve"):
            meeting.other.receive_data(meeting.request[:4] + point + meeting.request[37:])
        with pytest.raises(HandshakeError, match="curve"):
            meeting.one.receive_data(answer[:2] + point + answer[35:])
    assert agreed == signed == []


def test_a_request_costs_one_agreement_and_one_signature(monkeypatch):
    agreed = spy(monkeypatch, PrivateKey, "ecdh")
    signed = spy(monkeypatch, PrivateKey, "sign")
    Meeting().ask()
    assert (len(agreed), len(signed)) == (1, 1)


def test_a_request_that_came_before_costs_nothing(monkeypatch):
    """Nor does one with the other half of its point: both have one x."""
    seen = SeenAuths()
    request = Meeting().request
    Meeting(seen=seen).ask()
    agreed = spy(monkeypatch, PrivateKey, "ecdh")
    for again in (request, request[:4] + bytes([request[4] ^ 1]) + request[5:], request[:37] + bytes(len(request) - 37)):
        with pytest.raises(HandshakeError, match="does not open"):
            Meeting(seen=seen).other.receive_data(again)
    assert agreed == []


def test_a_recorded_call_comes_to_nothing_when_the_recipient_has_another_key_of_its_own():
    """What one sends again, without a memory for requests: the auth does not open."""
    meeting = Meeting()
    wrapped = meeting.call()
    again = Answering(KEY_B, PreludeEntropy.draw(random.Random(3).randbytes), lambda asked: Handshake(KEY_B, fresh(), prelude=asked))
    assert again.receive_data(meeting.request) is None
    with pytest.raises(HandshakeError, match="does not open"):
        again.receive_data(wrapped)


def test_control_with_the_same_keys_a_recorded_call_opens():
    meeting = Meeting()
    wrapped = meeting.call()
    again = Meeting()
    again.ask()
    assert again.other.receive_data(wrapped) is not None


def wrap(meeting: Meeting, content: bytes) -> bytes:
    """Seal anything as A would seal its auth."""
    answer = meeting.ask()
    prk = hmac.digest(keccak256(meeting.request + answer[:35]), ASKED.ephemeral.ecdh(ANSWERED.ephemeral.public_key), "sha256")
    prefix = (len(content) + 16).to_bytes(2, "big")
    key = expanded(prk, b"dpx1 anon auth" + keccak256(meeting.request + answer))
    return prefix + ChaCha20Poly1305(key).encrypt(bytes(12), content, prefix)


def test_in_the_envelope_is_one_auth_and_nothing_else():
    auth = Handshake(KEY_A, fresh(), remote=B, extension=Dpx(os.urandom)).data_to_send()
    sound = Meeting()
    assert sound.other.receive_data(wrap(sound, auth)) is not None
    for content in (auth + b"\0", auth[:-1], bytes(300), Meeting().request + bytes(100), auth[:2] + bytes(len(auth) - 2)):
        meeting = Meeting()
        wrapped = wrap(meeting, content)
        with pytest.raises(HandshakeError):
            meeting.other.receive_data(wrapped)


@pytest.mark.parametrize("message", ["request", "answer", "wrapped"])
def test_a_size_is_judged_by_its_two_bytes(message):
    if message == "wrapped":
        asked = Meeting()
        asked.ask()
    allowed = []
    for size in [*range(400), *range(2000, 2100), 0xFF01, 0xFFFF]:
        meeting = Meeting()
        side = meeting.one if message == "answer" else meeting.other
        if message == "wrapped":
            # Its state alone matters: an answer for each would take long.
            side._answered = (bytes(32), bytes(32))  # type: ignore[union-attr]
        try:
            side.receive_data((prelude.MAGIC if message == "request" else b"") + size.to_bytes(2, "big"))
        except HandshakeError:
            continue
        allowed.append(size)
    least, most = {"request": (33, 2048), "answer": (184, 2048), "wrapped": (300, 2066)}[message]
    assert allowed == [*range(least, 400), *range(2000, most + 1)]


def test_an_announced_size_is_not_allocated():
    meeting = Meeting()
    tracemalloc.start()
    try:
        assert meeting.other.receive_data(prelude.MAGIC + MAX_PACKET.to_bytes(2, "big") + b"x") is None
        assert meeting.one.receive_data(MAX_PACKET.to_bytes(2, "big") + b"x") is None
        assert tracemalloc.get_traced_memory()[1] < MAX_PACKET
    finally:
        tracemalloc.stop()
