"""Keys, signatures, key agreement and both Keccak back ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import keys
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import Keccak256, NodeId, PrivateKey, PublicKey, keccak256, recover

P = 2**256 - 2**32 - 977
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GENERATOR = bytes.fromhex(
    "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
)
VECTORS = json.loads((Path(__file__).parent / "vectors" / "rlpx_handshake.json").read_text())

secrets = st.integers(1, ORDER - 1).map(lambda number: PrivateKey.from_bytes(number.to_bytes(32, "big")))
digests = st.binary(min_size=32, max_size=32)


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


def test_keccak_is_the_one_of_ethereum_not_sha3():
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_a_running_hash_goes_on_after_a_digest(pieces):
    running = Keccak256()
    seen = b""
    for piece in pieces:
        running.update(piece)
        seen += piece
        assert running.digest() == running.digest() == keccak256(seen) == Keccak256(seen).digest()


def test_any_buffer_can_be_hashed():
    assert keccak256(bytearray(b"abc")) == keccak256(memoryview(b"abc")) == keccak256(b"abc")


SCRIPT = """
from devp2p.keys import Keccak256, keccak256, keccak_backend
running = Keccak256(b"start")
print(keccak_backend)
for size in (0, 1, 16, 135, 136, 137, 5000):
    running.update(memoryview(bytes(range(256)) * 20)[:size])
    print(running.digest().hex(), keccak256(bytearray(size)).hex())
"""


def run_with_backend(name: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "DEVP2P_KECCAK": name, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False, timeout=600)


def test_both_back_ends_hash_alike():
    outputs = {}
    for name in ("pysha3", "pycryptodome"):
        result = run_with_backend(name)
        assert result.returncode == 0, result.stderr
        backend, *hashes = result.stdout.split()
        assert backend == name
        outputs[name] = hashes
    assert len(outputs["pysha3"]) == 14
    assert outputs["pysha3"] == outputs["pycryptodome"]


def test_a_misspelt_back_end_is_named(monkeypatch):
    monkeypatch.setenv("DEVP2P_KECCAK", "pysha4")
    with pytest.raises(LocalProtocolError, match="'pysha4'"):
        keys._backend()


def test_the_fallback_can_be_forced(monkeypatch):
    monkeypatch.setenv("DEVP2P_KECCAK", "pycryptodome")
    name, factory = keys._backend()
    assert name == "pycryptodome"
    assert factory(b"abc").digest() == keccak256(b"abc")


def test_without_pysha3_pycryptodome_hashes(monkeypatch):
    monkeypatch.delenv("DEVP2P_KECCAK", raising=False)
    monkeypatch.setitem(sys.modules, "_pysha3", None)
    name, factory = keys._backend()
    assert name == "pycryptodome"
    running = factory(memoryview(b"a"))
    running.update(b"bc")
    assert running.digest() == keccak256(b"abc")
    monkeypatch.setenv("DEVP2P_KECCAK", "pysha3")
    with pytest.raises(ImportError):
        keys._backend()


def test_published_keys_and_signature():
    key = PrivateKey.from_bytes(bytes.fromhex(VECTORS["static_key_b"]))
    assert bytes(key.public_key).hex().startswith("ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd3138")
    assert key.public_key.node_id == keccak256(bytes(key.public_key))
    ours = PrivateKey.from_bytes(bytes.fromhex(VECTORS["static_key_a"]))
    shared = ours.ecdh(key.public_key)
    digest = bytes(a ^ b for a, b in zip(shared, bytes.fromhex(VECTORS["nonce_a"]), strict=True))
    ephemeral = PrivateKey.from_bytes(bytes.fromhex(VECTORS["ephemeral_key_a"])).public_key
    signature = bytes.fromhex(VECTORS["auth_signature"])
    assert recover(digest, signature) == ephemeral
    assert ephemeral.verify(digest, signature)


@given(secrets, secrets)
def test_both_sides_agree_on_one_secret(one, other):
    assert one.ecdh(other.public_key) == other.ecdh(one.public_key) == one.ecdh(other.public_key, once=True)
    assert len(one.ecdh(other.public_key)) == 32


def test_agreement_gives_the_x_coordinate():
    two = PrivateKey.from_bytes(number(2))
    assert two.ecdh(PublicKey.from_bytes(GENERATOR)) == bytes(two.public_key)[:32]


@given(secrets)
def test_agreement_gives_the_whole_point_too(key):
    generator = PublicKey.from_bytes(GENERATOR)
    assert key.agree(generator) == key.agree(generator, once=True) == key.public_key.compressed


@given(secrets, digests, digests)
def test_a_signature_is_its_makers_only(key, digest, other):
    signature = key.sign(digest)
    assert len(signature) == 65
    assert signature[64] in (0, 1)
    assert recover(digest, signature) == key.public_key
    assert key.public_key.verify(digest, signature)
    assert key.public_key.verify(digest, signature[:64])
    if digest != other:
        assert not key.public_key.verify(other, signature)


def test_a_signature_with_the_other_s_is_refused():
    key = PrivateKey.from_bytes(number(5))
    signature = key.sign(bytes(32))
    mirrored = signature[:32] + number(ORDER - int.from_bytes(signature[32:64], "big"))
    assert key.public_key.verify(bytes(32), signature)
    assert not key.public_key.verify(bytes(32), mirrored)


@given(st.binary(max_size=70) | st.binary(min_size=64, max_size=65), digests)
def test_no_bytes_break_verification_or_recovery(signature, digest):
    key = PrivateKey.from_bytes(number(5)).public_key
    assert key.verify(digest, signature) is False
    try:
        found = recover(digest, signature)
    except DecodingError:
        return
    assert isinstance(found, PublicKey)


@pytest.mark.parametrize("half", [number(0), number(ORDER), number(2**256 - 1)])
def test_signatures_with_numbers_out_of_range_are_refused(half):
    key = PrivateKey.from_bytes(number(5)).public_key
    for signature in (half + number(1), number(1) + half):
        assert not key.verify(number(1), signature)
        with pytest.raises(DecodingError):
            recover(number(1), signature + b"\0")


@pytest.mark.parametrize("version", [4, 27, 255])
def test_a_recovery_id_out_of_range_is_refused(version):
    signature = PrivateKey.from_bytes(number(5)).sign(bytes(32))
    with pytest.raises(DecodingError):
        recover(bytes(32), signature[:64] + bytes([version]))


@given(secrets)
def test_a_public_key_has_three_formats_and_one_identity(key):
    public = key.public_key
    raw = bytes(public)
    parsed = [PublicKey.from_bytes(data) for data in (raw, bytearray(b"\x04" + raw), memoryview(public.compressed))]
    assert {public, *parsed} == {public}
    assert all(bytes(one) == raw and one.compressed == public.compressed and one.node_id == public.node_id for one in parsed)
    assert public != raw
    assert hash(public) == hash(parsed[0])


@given(st.binary(max_size=66))
def test_any_bytes_are_a_key_or_a_decoding_error(data):
    try:
        key = PublicKey.from_bytes(data)
    except DecodingError:
        return
    assert data in (bytes(key), b"\x04" + bytes(key), key.compressed)


X, Y = GENERATOR[:32], GENERATOR[32:]
INVALID_POINTS = {
    "zeros": bytes(64),
    "off the curve": X + number(int.from_bytes(Y, "big") + 1),
    "on the twist": number(5) + number(1),
    "x is the prime": number(P) + Y,
    "x above the prime": number(P + 1) + number(0x4218F20AE6C646B363DB68605822FB14264CA8D2587FDD6FBC750D587E76A7EE),
    "y above the prime": number(1) + number(P + 1),
    "all ones": b"\xff" * 64,
}


@pytest.mark.parametrize("point", INVALID_POINTS.values(), ids=INVALID_POINTS)
def test_what_is_not_a_point_is_refused(point):
    for data in (point, b"\x04" + point):
        with pytest.raises(DecodingError):
            PublicKey.from_bytes(data)


def test_x_above_the_prime_is_refused_although_its_remainder_is_on_the_curve():
    PublicKey.from_bytes(b"\x02" + number(1))
    PublicKey.from_bytes(INVALID_POINTS["x above the prime"].replace(number(P + 1), number(1)))
    with pytest.raises(DecodingError):
        PublicKey.from_bytes(b"\x02" + number(P + 1))


@pytest.mark.parametrize("data", [b"\x06" + GENERATOR, b"\x07" + GENERATOR, b"\x05" + GENERATOR, b"\x04" + X, b"\x00", b""])
def test_other_formats_are_refused(data):
    with pytest.raises(DecodingError):
        PublicKey.from_bytes(data)


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(32), bytes(33), number(ORDER), b"\xff" * 32])
def test_what_is_not_a_private_key_is_refused(secret):
    with pytest.raises(LocalProtocolError):
        PrivateKey.from_bytes(secret)


def test_generated_keys_differ_and_survive_as_bytes():
    key = PrivateKey.generate()
    assert key.public_key != PrivateKey.generate().public_key
    assert PrivateKey.from_bytes(bytes(key)).public_key == key.public_key


def test_text_forms_are_short_and_keep_the_secret():
    key = PrivateKey.from_bytes(number(2**200 + 1))
    assert bytes(key).hex() not in repr(key)
    assert str(2**200 + 1) not in repr(key)
    assert repr(key.public_key) == f"<PublicKey {bytes(key.public_key)[:4].hex()}>"
    assert repr(key.public_key) in repr(key)
    assert repr(key.public_key.node_id) == str(key.public_key.node_id) == f"<NodeId {key.public_key.node_id[:4].hex()}>"


@pytest.mark.parametrize("size", [0, 31, 33])
def test_our_own_mistakes_with_lengths_are_named(size):
    key = PrivateKey.from_bytes(number(5))
    for misuse in (
        lambda: NodeId(bytes(size)),
        lambda: key.sign(bytes(size)),
        lambda: key.public_key.verify(bytes(size), bytes(64)),
        lambda: recover(bytes(size), bytes(65)),
    ):
        with pytest.raises(LocalProtocolError, match=f"32 bytes, not {size}"):
            misuse()
