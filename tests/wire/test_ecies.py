"""ECIES: what opens, and that nothing else does (and says why, or reaches the private key)."""

import hashlib
import hmac
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.errors import HandshakeError
from devp2p.keys import PrivateKey, PublicKey
from devp2p.wire.rlpx import ecies

KEY = PrivateKey.from_bytes(bytes(31) + b"\x07")
EPHEMERAL = PrivateKey.from_bytes(bytes(31) + b"\x08")
P = 2**256 - 2**32 - 977
ERROR = "^handshake packet does not open$"


def encrypt(plaintext: bytes, shared: bytes = b"") -> bytes:
    return ecies.encrypt(KEY.public_key, plaintext, ephemeral=EPHEMERAL, iv=b"i" * 16, shared_mac_data=shared)


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


@pytest.fixture
def agreements(monkeypatch):
    """Every public key that a private key was applied to."""
    seen = []
    original = PrivateKey.ecdh

    def spy(self, public, **options):
        seen.append(public)
        return original(self, public, **options)

    monkeypatch.setattr(PrivateKey, "ecdh", spy)
    return seen


@given(st.binary(max_size=300), st.binary(max_size=4))
def test_what_was_encrypted_comes_back(plaintext, shared):
    ciphertext = encrypt(plaintext, shared)
    assert len(ciphertext) == len(plaintext) + ecies.OVERHEAD
    for form in (ciphertext, bytearray(ciphertext), memoryview(ciphertext)):
        assert ecies.decrypt(KEY, form, shared) == plaintext


def test_layout_follows_the_specification():
    ciphertext = encrypt(b"message", b"\x01\x02")
    shared_secret = KEY.ecdh(EPHEMERAL.public_key)
    assert ciphertext[:65] == b"\x04" + bytes(EPHEMERAL.public_key)
    assert ciphertext[65:81] == b"i" * 16
    assert len(ciphertext[81:-32]) == len(b"message")
    mac_key = hashlib.sha256(hashlib.sha256(bytes([0, 0, 0, 1]) + shared_secret).digest()[16:]).digest()
    assert ciphertext[-32:] == hmac.new(mac_key, ciphertext[65:-32] + b"\x01\x02", "sha256").digest()


def test_every_flipped_bit_is_noticed():
    ciphertext = encrypt(b"a short message")
    for position in range(len(ciphertext) * 8):
        forged = bytearray(ciphertext)
        forged[position // 8] ^= 1 << position % 8
        with pytest.raises(HandshakeError, match=ERROR):
            ecies.decrypt(KEY, forged)


def test_another_key_or_other_shared_data_do_not_open():
    ciphertext = encrypt(b"message", b"\x01\x02")
    for key, shared in ((EPHEMERAL, b"\x01\x02"), (KEY, b"\x01\x03"), (KEY, b"")):
        with pytest.raises(HandshakeError, match=ERROR):
            ecies.decrypt(key, ciphertext, shared)


def test_bytes_of_every_length_are_refused_in_one_way():
    source = random.Random(1)
    point = b"\x04" + bytes(EPHEMERAL.public_key)
    for length in range(401):
        for data in (source.randbytes(length), bytes(length), (point + source.randbytes(length))[:length]):
            with pytest.raises(HandshakeError, match=ERROR):
                ecies.decrypt(KEY, data)


def test_truncation_is_refused():
    ciphertext = encrypt(b"a message")
    for length in range(len(ciphertext)):
        with pytest.raises(HandshakeError, match=ERROR):
            ecies.decrypt(KEY, ciphertext[:length])


X, Y = (int.from_bytes(half, "big") for half in (bytes(EPHEMERAL.public_key)[:32], bytes(EPHEMERAL.public_key)[32:]))
REST = encrypt(b"message")[65:]
BAD_POINTS = {
    "zeros": b"\x04" + bytes(64),
    "ones": b"\x04" + b"\xff" * 64,
    "off the curve": b"\x04" + number(X) + number(Y ^ 1),
    "twist": b"\x04" + number(5) + number(1),
    "x is the prime": b"\x04" + number(P) + number(Y),
    "x plus the prime": b"\x04" + number(P + 1) + bytes(PublicKey.from_bytes(b"\x02" + number(1)))[32:],
    "y is the prime": b"\x04" + number(X) + number(P),
    "infinity": b"\x00" * 65,
    "compressed": b"\x02" + number(X) + bytes(32),
    "hybrid": bytes([6 + Y % 2]) + number(X) + number(Y),
    "right point, wrong first byte": b"\x05" + number(X) + number(Y),
}


@pytest.mark.parametrize("point", BAD_POINTS.values(), ids=BAD_POINTS)
def test_no_bad_point_meets_the_private_key(point, agreements):
    with pytest.raises(HandshakeError, match=ERROR):
        ecies.decrypt(KEY, point + REST)
    assert agreements == []


def test_random_points_off_the_curve_never_meet_the_private_key(agreements):
    source = random.Random(2)
    for _ in range(500):
        with pytest.raises(HandshakeError, match=ERROR):
            ecies.decrypt(KEY, b"\x04" + source.randbytes(64 + 16 + 32 + 50))
    assert agreements == []


def test_the_spy_sees_an_agreement(agreements):
    ciphertext = encrypt(b"message")
    assert ecies.decrypt(KEY, ciphertext) == b"message"
    assert agreements == [KEY.public_key, EPHEMERAL.public_key]


def test_nothing_is_decrypted_before_the_mac_is_right(monkeypatch):
    ciphertext = bytearray(encrypt(b"message"))

    def fail(*_):
        raise AssertionError("decrypted too early")

    monkeypatch.setattr(ecies, "_aes_ctr", fail)
    ciphertext[-1] ^= 1
    with pytest.raises(HandshakeError, match=ERROR):
        ecies.decrypt(KEY, ciphertext)
    ciphertext[-1] ^= 1
    with pytest.raises(AssertionError, match="too early"):
        ecies.decrypt(KEY, ciphertext)
