"""The handshake: what strangers send instead of an auth or ack."""

import dataclasses
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import HandshakeError, LocalProtocolError
from devp2p.keys import PrivateKey, keccak256
from devp2p.wire.rlpx import ecies
from devp2p.wire.rlpx.agreement import secrets
from devp2p.wire.rlpx.handshake import Entropy, Initiator, Recipient
from devp2p.wire.rlpx.packets import MAX_PACKET
from tests.fuzz.wire_targets import entropy, seal_packet
from tests.wire.handshakes import (
    ACK,
    AUTH,
    KEY_A,
    KEY_B,
    STREAMS,
    VECTORS,
    fixed,
    initiator,
    private,
    receiver,
    recipient,
    spy,
)


@pytest.mark.parametrize("name", STREAMS)
def test_every_flipped_byte_is_noticed(name):
    stream = STREAMS[name]
    for position in range(len(stream)):
        forged = bytearray(stream)
        forged[position] ^= 1 + position % 255
        side = receiver(name)
        try:
            # A size prefix may now announce more; whatever follows cannot help.
            found = side.receive_data(bytes(forged) + bytes(2 + MAX_PACKET - len(stream)))
        except HandshakeError:
            found = None
            with pytest.raises(LocalProtocolError):
                side.receive_data(b"")
        else:
            pytest.fail(f"byte {position} does not matter")
        assert found is None


def is_waited_on(side: Initiator | Recipient, size: int) -> bool:
    try:
        assert side.receive_data(size.to_bytes(2, "big")) is None
    except HandshakeError:
        return False
    return True


def test_a_size_is_judged_by_its_two_bytes():
    own = fixed("b")
    allowed = range(ecies.OVERHEAD + 169, MAX_PACKET + 1)
    assert [size for size in range(0x10000) if is_waited_on(Recipient(KEY_B, own), size)] == list(allowed)
    sizes = [0, 1, ecies.OVERHEAD + 101, ecies.OVERHEAD + 102, 0x400, MAX_PACKET, MAX_PACKET + 1, 0xFFFF]
    assert [size for size in sizes if is_waited_on(initiator(), size)] == [ecies.OVERHEAD + 102, 0x400, MAX_PACKET]


def test_an_announced_size_is_not_allocated():
    side = recipient()
    tracemalloc.start()
    try:
        assert side.receive_data(MAX_PACKET.to_bytes(2, "big") + b"x") is None
        assert tracemalloc.get_traced_memory()[1] < MAX_PACKET
    finally:
        tracemalloc.stop()


VALID_AUTH_BODY = ecies.decrypt(KEY_B, AUTH[2:], AUTH[:2])
SIGNATURE, PUBLIC_KEY, NONCE = (bytes.fromhex(VECTORS["auth_signature"]), bytes(KEY_A.public_key), bytes.fromhex(VECTORS["nonce_a"]))
PADDING = bytes(60)
BAD_AUTHS = {
    "nothing": b"",
    "no list": rlp.encode(bytes(180)),
    "empty list": b"\xc0" + bytes(180),
    "a list past the end": b"\xf9\xff\xff" + bytes(180),
    "a length of a length that is cut": b"\xff",
    "three elements": rlp.encode([SIGNATURE, PUBLIC_KEY, NONCE]) + PADDING,
    "short signature": rlp.encode([SIGNATURE[:64], PUBLIC_KEY, NONCE, 4]) + PADDING,
    "long signature": rlp.encode([SIGNATURE + b"\0", PUBLIC_KEY, NONCE, 4]),
    "a key with its prefix": rlp.encode([SIGNATURE, b"\x04" + PUBLIC_KEY, NONCE, 4]),
    "short nonce": rlp.encode([SIGNATURE, PUBLIC_KEY, NONCE[1:], 4]) + PADDING,
    "a list for a nonce": rlp.encode([SIGNATURE, PUBLIC_KEY, [NONCE], 4]),
    "a key off the curve": rlp.encode([SIGNATURE, bytes(64), NONCE, 4]),
    "a key above the prime": rlp.encode([SIGNATURE, b"\xff" * 64, NONCE, 4]),
    "no signature": rlp.encode([b"\xff" * 65, PUBLIC_KEY, NONCE, 4]),
    "recovery id 4": rlp.encode([SIGNATURE[:64] + b"\x04", PUBLIC_KEY, NONCE, 4]),
    "zero signature": rlp.encode([bytes(65), PUBLIC_KEY, NONCE, 4]),
    "an element that is cut": b"\xf8\xa7" + rlp.encode([SIGNATURE, PUBLIC_KEY, NONCE, b"\xb8\xff"])[2:],
}


@pytest.mark.parametrize("body", BAD_AUTHS.values(), ids=BAD_AUTHS)
def test_a_sealed_auth_with_a_bad_body_is_a_handshake_error(body):
    side = recipient()
    with pytest.raises(HandshakeError):
        side.receive_data(seal_packet(KEY_B, body))
    with pytest.raises(LocalProtocolError):
        _ = side.packet


def test_a_sound_body_passes_the_same_way():
    versions: list[int | str | list[int]] = [0, 4, 56, 2**64, "text", []]
    for version in versions:
        body = rlp.encode([SIGNATURE, PUBLIC_KEY, NONCE, version, "more", ["still", "more"]])
        for padding in (b"", b"\xff" * 10, bytes(200)):
            agreement = recipient().receive_data(seal_packet(KEY_B, body + padding))
            assert agreement is not None
            assert agreement.elements == (rlp.encode("more"), rlp.encode(["still", "more"]))


@pytest.mark.parametrize("key", [bytes(64), b"\xff" * 64, bytes(KEY_A.public_key)[::-1]])
def test_no_bad_key_in_auth_meets_the_private_key(key, monkeypatch):
    packet = seal_packet(KEY_B, rlp.encode([SIGNATURE, key, NONCE, 4]))
    agreements = spy(monkeypatch, PrivateKey, "ecdh")
    with pytest.raises(HandshakeError):
        recipient().receive_data(packet)
    assert len(agreements) == 1  # with the point that opened the packet


@pytest.mark.parametrize("key", [bytes(64), b"\xff" * 64, bytes(KEY_A.public_key)[::-1], bytes(63), bytes(65)])
def test_an_ack_with_a_bad_key_is_a_handshake_error(key):
    with pytest.raises(HandshakeError):
        initiator().receive_data(seal_packet(KEY_A, rlp.encode([key, NONCE, 4]) + PADDING))


def plain_auth(signature: bytes, hashed: bytes, key: bytes) -> bytes:
    ephemeral = private("ephemeral_key_a")
    return ecies.encrypt(KEY_B.public_key, signature + hashed + key + NONCE + b"\0", ephemeral=ephemeral, iv=bytes(16))


def test_a_plain_auth_with_bad_contents_is_a_handshake_error():
    ephemeral_hash = keccak256(bytes(private("ephemeral_key_a").public_key))
    assert recipient().receive_data(plain_auth(SIGNATURE, ephemeral_hash, PUBLIC_KEY)) is not None
    for fields in (
        (SIGNATURE, bytes(32), PUBLIC_KEY),
        (bytes(65), ephemeral_hash, PUBLIC_KEY),
        (SIGNATURE, ephemeral_hash, bytes(64)),
    ):
        with pytest.raises(HandshakeError):
            recipient().receive_data(plain_auth(*fields))


def test_a_plain_ack_with_a_bad_key_is_a_handshake_error():
    ack = ecies.encrypt(KEY_A.public_key, bytes(64 + 32 + 1), ephemeral=KEY_B, iv=bytes(16))
    assert len(ack) == 210
    with pytest.raises(HandshakeError):
        initiator().receive_data(ack)


def test_an_auth_for_another_node_does_not_open():
    with pytest.raises(HandshakeError, match="does not open"):
        Recipient(KEY_A, fixed("b")).receive_data(AUTH)


def test_an_ack_to_another_auth_gives_other_secrets():
    # It opens, for it is encrypted to us; that it answers another auth shows with the first frame.
    ours = Initiator(KEY_A, KEY_B.public_key, entropy(9)).receive_data(ACK)
    assert ours is not None
    assert secrets(ours).aes.hex() != VECTORS["derived_by_recipient_from_auth2_ack2"]["aes_secret"]


def test_entropy_is_all_the_randomness_there_is():
    assert {field.name for field in dataclasses.fields(Entropy)} == {"ephemeral", "nonce", "ecies_ephemeral", "iv", "padding"}
    ours = Initiator(KEY_A, KEY_B.public_key, fixed("a"))
    assert len({ours.receive_data(b"") for _ in range(3)}) == 1


@given(st.binary(max_size=2100))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_waited_on_or_refused(data):
    for side in (recipient(), initiator()):
        try:
            assert side.receive_data(data) is None
        except HandshakeError:
            with pytest.raises(LocalProtocolError):
                side.receive_data(b"")
