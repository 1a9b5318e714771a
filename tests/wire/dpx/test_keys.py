"""The keys of a session: what the specification says, and that each thing which both sides must share changes all of them."""

import dataclasses
import random

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from devp2p.errors import LocalProtocolError
from devp2p.keys import keccak256
from devp2p.wire.dpx.keys import Keys, derive, expand, rekeyed
from devp2p.wire.rlpx import Agreement
from tests.wire.dpx import specification
from tests.wire.handshakes import Meeting

SHARES = (b"i" * 32, b"r" * 32)


def agreement() -> Agreement:
    return Meeting().shake_hands()[0]


def by_label(keys: Keys) -> dict[str, bytes]:
    return {"i2r": keys.to_recipient, "r2i": keys.to_initiator, "rms": keys.resumption, "exp": keys.exporter}


def inputs(agreed: Agreement, shares: tuple[bytes, bytes]) -> dict[str, bytes]:
    return {
        "auth": agreed.auth_packet,
        "ack": agreed.ack_packet,
        "es": agreed.ephemeral,
        "ss": agreed.static,
        "k_i": shares[0],
        "k_r": shares[1],
    }


@pytest.mark.parametrize("prelude", [{}, {"prelude": b"hello, stranger"}], ids=["bare", "prelude"])
@pytest.mark.parametrize("old", [{}, {"rs": b"o" * 32}], ids=["fresh", "resumed"])
@pytest.mark.parametrize("mode", range(4))
def test_keys_follow_the_specification(mode, old, prelude):
    agreed = agreement()
    if prelude:
        agreed = dataclasses.replace(agreed, prelude=keccak256(prelude["prelude"]))
    keys = derive(agreed, SHARES, mode, old.get("rs"))
    assert by_label(keys) == specification.key_schedule(inputs(agreed, SHARES) | old | prelude, mode)


def test_both_sides_of_a_handshake_derive_the_same_and_use_it_crosswise():
    ours, theirs = Meeting().shake_hands()
    one, other = (derive(side, SHARES, 0, None) for side in (ours, theirs))
    assert one == other
    assert one.pair(initiated=True) == (one.to_recipient, one.to_initiator)
    assert one.pair(initiated=True) == other.pair(initiated=False)[::-1]


def test_every_input_changes_every_key():
    agreed = agreement()
    changed = [
        derive(agreed, SHARES, 0, None),
        derive(dataclasses.replace(agreed, auth_packet=agreed.auth_packet[:-1] + bytes([agreed.auth_packet[-1] ^ 1])), SHARES, 0, None),
        derive(dataclasses.replace(agreed, ack_packet=agreed.ack_packet[:-1] + bytes([agreed.ack_packet[-1] ^ 1])), SHARES, 0, None),
        derive(dataclasses.replace(agreed, ephemeral=b"e" * 32), SHARES, 0, None),
        derive(dataclasses.replace(agreed, static=b"s" * 32), SHARES, 0, None),
        derive(agreed, (b"x" * 32, SHARES[1]), 0, None),
        derive(agreed, (SHARES[0], b"x" * 32), 0, None),
        derive(agreed, (SHARES[1], SHARES[0]), 0, None),
        derive(agreed, SHARES, 1, None),
        derive(agreed, SHARES, 2, b"o" * 32),
        derive(agreed, SHARES, 3, b"o" * 32),
        derive(dataclasses.replace(agreed, prelude=keccak256(b"p")), SHARES, 0, None),
        derive(dataclasses.replace(agreed, prelude=keccak256(b"q")), SHARES, 0, None),
    ]
    keys = [key for each in changed for key in by_label(each).values()]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("wrong", [b"", b"x" * 31, b"x" * 33])
def test_a_share_or_secret_of_another_size_is_our_mistake(wrong):
    agreed = agreement()
    with pytest.raises(LocalProtocolError, match="initiator's share has"):
        derive(agreed, (wrong, SHARES[1]), 0, None)
    with pytest.raises(LocalProtocolError, match="recipient's share has"):
        derive(agreed, (SHARES[0], wrong), 0, None)
    with pytest.raises(LocalProtocolError, match="old secret has"):
        derive(agreed, SHARES, 2, wrong)


@pytest.mark.parametrize("mode", [-1, 256])
def test_a_mode_is_one_byte(mode):
    with pytest.raises(LocalProtocolError, match="the mode is one byte"):
        derive(agreement(), SHARES, mode, None)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=60), st.integers(1, 32))
def test_expanding_is_hkdf(key, info, size):
    assert expand(key, info, size) == specification.hkdf_expand(key, info, size)
    assert rekeyed(key) == specification.hkdf_expand(key, b"dpx1 rekey", 32)


def test_the_oracle_is_hkdf_as_others_have_it():
    material, salt, info = random.Random(1).randbytes(160), b"s" * 32, b"dpx1 i2r\0"
    prk = specification.hkdf_extract(salt, material)
    assert specification.hkdf_expand(prk, info, 100) == HKDF(hashes.SHA256(), 100, salt, info).derive(material)


@pytest.mark.parametrize("size", [0, 33])
def test_more_than_a_block_is_not_expanded(size):
    with pytest.raises(LocalProtocolError):
        expand(bytes(32), b"", size)


def test_the_text_form_shows_no_secret():
    keys = derive(agreement(), SHARES, 0, None)
    assert not any(repr(key) in repr(keys) for key in by_label(keys).values())
