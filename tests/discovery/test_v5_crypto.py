"""The cryptography of discovery v5: as published, and what is changed does not open."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.discovery.v5 import crypto as v5_crypto
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import NodeId, PrivateKey, PublicKey

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "discv5_wire.json").read_text())
KEY = PrivateKey.from_bytes(bytes(31) + b"\x01")
OTHER = PrivateKey.from_bytes(bytes(31) + b"\x02")


def vector(name: str) -> dict[str, bytes]:
    return {key: bytes.fromhex(value) for key, value in VECTORS[name].items()}


def test_agreement_as_published():
    given = vector("ecdh")
    assert v5_crypto.agree(PrivateKey.from_bytes(given["secret_key"]), PublicKey.from_bytes(given["public_key"])) == given["shared_secret"]


def test_key_derivation_as_published():
    given = vector("key_derivation")
    secret = v5_crypto.agree(PrivateKey.from_bytes(given["ephemeral_key"]), PublicKey.from_bytes(given["dest_pubkey"]))
    keys = v5_crypto.derive_keys(secret, given["challenge_data"], NodeId(given["node_id_a"]), NodeId(given["node_id_b"]))
    assert keys == v5_crypto.SessionKeys(given["initiator_key"], given["recipient_key"])


def test_id_signature_as_published():
    given = vector("id_signature")
    key = PrivateKey.from_bytes(given["static_key"])
    recipient = NodeId(given["node_id_b"])
    assert v5_crypto.sign_id(key, given["challenge_data"], given["ephemeral_pubkey"], recipient) == given["signature"]
    assert v5_crypto.verify_id(key.public_key, given["signature"], given["challenge_data"], given["ephemeral_pubkey"], recipient)


def test_sealing_as_published():
    given = vector("aes_gcm")
    assert v5_crypto.seal(given["key"], given["nonce"], given["plaintext"], given["ad"]) == given["ciphertext"]
    assert v5_crypto.unseal(given["key"], given["nonce"], given["ciphertext"], given["ad"]) == given["plaintext"]


@given(st.integers(1, 2**200), st.integers(1, 2**200), st.binary(max_size=100))
def test_both_sides_come_to_the_same_keys(first, second, challenge_data):
    ephemeral, static = (PrivateKey.from_bytes(secret.to_bytes(32, "big")) for secret in (first, second))
    ids = (KEY.public_key.node_id, OTHER.public_key.node_id)
    ours = v5_crypto.derive_keys(v5_crypto.agree(ephemeral, static.public_key), challenge_data, *ids)
    theirs = v5_crypto.derive_keys(v5_crypto.agree(static, ephemeral.public_key), challenge_data, *ids)
    assert ours == theirs
    assert ours.initiator != ours.recipient
    assert ours != v5_crypto.derive_keys(v5_crypto.agree(ephemeral, static.public_key), challenge_data + b"\1", *ids)
    assert ours != v5_crypto.derive_keys(v5_crypto.agree(ephemeral, static.public_key), challenge_data, *reversed(ids))


def test_a_proof_is_for_one_node_one_challenge_and_one_key():
    proof = (b"challenge", OTHER.public_key.compressed, OTHER.public_key.node_id)
    signature = v5_crypto.sign_id(KEY, *proof)
    assert v5_crypto.verify_id(KEY.public_key, signature, *proof)
    assert not v5_crypto.verify_id(OTHER.public_key, signature, *proof)
    for other in (
        (b"challengf", *proof[1:]),
        (proof[0], KEY.public_key.compressed, proof[2]),
        (*proof[:2], KEY.public_key.node_id),
    ):
        assert not v5_crypto.verify_id(KEY.public_key, signature, *other)
    for position in range(len(signature) * 8):
        forged = bytearray(signature)
        forged[position // 8] ^= 1 << position % 8
        assert not v5_crypto.verify_id(KEY.public_key, bytes(forged), *proof)
    for other_signature in (b"", signature[:-1], signature + b"\0", KEY.sign(b"d" * 32), bytes(64), b"\xff" * 64):
        assert not v5_crypto.verify_id(KEY.public_key, other_signature, *proof)


@given(st.binary(max_size=60), st.binary(max_size=60), st.data())
def test_what_is_sealed_opens_unless_anything_was_changed(plaintext, associated_data, draw):
    key, nonce = b"k" * 16, b"n" * 12
    sealed = v5_crypto.seal(key, nonce, plaintext, associated_data)
    assert len(sealed) == len(plaintext) + v5_crypto.TAG
    assert v5_crypto.unseal(key, nonce, sealed, associated_data) == plaintext
    place = draw.draw(st.integers(0, 8 * len(sealed) - 1))
    forged = bytearray(sealed)
    forged[place // 8] ^= 1 << place % 8
    for arguments in (
        (key, nonce, bytes(forged), associated_data),
        (key, nonce, sealed[:-1], associated_data),
        (key, nonce, sealed, associated_data + b"\0"),
        (key, b"o" * 12, sealed, associated_data),
        (b"l" * 16, nonce, sealed, associated_data),
    ):
        with pytest.raises(DecodingError, match=r"^the message does not open with this key$"):
            v5_crypto.unseal(*arguments)


@pytest.mark.parametrize("size", range(v5_crypto.TAG))
def test_less_than_a_tag_does_not_open(size):
    with pytest.raises(DecodingError, match="does not open"):
        v5_crypto.unseal(b"k" * 16, b"n" * 12, bytes(size), b"")


@pytest.mark.parametrize(
    ("key", "nonce", "fault"),
    [
        (b"k" * 32, b"n" * 12, "a key of 32 bytes, where 16 belong"),
        (b"k" * 15, b"n" * 12, "a key of 15 bytes, where 16 belong"),
        (b"k" * 16, b"n" * 16, "a nonce of 16 bytes, where 12 belong"),
        (b"k" * 16, b"", "a nonce of 0 bytes, where 12 belong"),
    ],
)
def test_another_size_is_our_own_mistake(key, nonce, fault):
    with pytest.raises(LocalProtocolError, match=fault):
        v5_crypto.seal(key, nonce, b"", b"")
    with pytest.raises(LocalProtocolError, match=fault):
        v5_crypto.unseal(key, nonce, bytes(16), b"")


def test_each_way_to_multiply_gives_the_same_secret():
    secret = v5_crypto.agree(KEY, OTHER.public_key)
    assert secret == v5_crypto.agree(OTHER, KEY.public_key) == v5_crypto.agree(KEY, OTHER.public_key, once=True)
    assert PublicKey.from_bytes(secret) == OTHER.public_key  # since KEY is the number 1


def test_keys_are_not_shown():
    assert repr(v5_crypto.SessionKeys(b"i" * 16, b"r" * 16)) == "SessionKeys()"
