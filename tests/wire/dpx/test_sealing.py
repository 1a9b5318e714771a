"""Shares sealed under an old secret: they open for who has it, in this handshake and direction, and for nobody else."""

from dataclasses import replace

from devp2p.wire.dpx.sealing import id_of, opens_answer, opens_offer, seal_answer, seal_offer
from devp2p.wire.rlpx import Ack, Auth

SECRET, SHARE, OTHER = b"\x11" * 32, b"\x22" * 32, b"\x33" * 32
AUTH = Auth(bytes(65), bytes(64), b"\x44" * 32, b"\x04", (b"\xc0",))
ACK = Ack(bytes(64), b"\x55" * 32, b"\x04", (b"\xc0",))
FEATURES = 7


def test_a_token_opens_with_this_auth_share_and_features_and_no_other():
    token = seal_offer(SECRET, SHARE, AUTH, FEATURES)
    assert token.id == id_of(SECRET)
    assert (len(token.id), len(token.sealed)) == (16, 48)
    assert opens_offer(SECRET, token, SHARE, AUTH, FEATURES)
    assert opens_offer(SECRET, token, SHARE, replace(AUTH, elements=()), FEATURES), "elements are not a part of it"
    assert not opens_offer(OTHER, token, SHARE, AUTH, FEATURES)
    assert not opens_offer(SECRET, token, OTHER, AUTH, FEATURES)
    assert not opens_offer(SECRET, token, SHARE, AUTH, FEATURES | 2**20)
    one = b"\x01"
    others = (
        replace(AUTH, signature=one * 65),
        replace(AUTH, public_key=one * 64),
        replace(AUTH, nonce=OTHER),
        replace(AUTH, version=b"\x05"),
    )
    for other in others:
        assert not opens_offer(SECRET, token, SHARE, other, FEATURES)
    for place in range(48):
        changed = replace(token, sealed=token.sealed[:place] + bytes([token.sealed[place] ^ 1]) + token.sealed[place + 1 :])
        assert not opens_offer(SECRET, changed, SHARE, AUTH, FEATURES)


def test_an_answer_opens_for_this_token_and_ack_and_no_other():
    token = seal_offer(SECRET, SHARE, AUTH, FEATURES)
    sealed = seal_answer(SECRET, OTHER, token.sealed, ACK)
    assert opens_answer(SECRET, sealed, OTHER, token.sealed, ACK)
    assert not opens_answer(OTHER, sealed, OTHER, token.sealed, ACK)
    assert not opens_answer(SECRET, sealed, SHARE, token.sealed, ACK)
    assert not opens_answer(SECRET, sealed, OTHER, bytes(48), ACK)
    for other in (replace(ACK, ephemeral_key=b"\x01" * 64), replace(ACK, nonce=SHARE), replace(ACK, version=b"\x05")):
        assert not opens_answer(SECRET, sealed, OTHER, token.sealed, other)
    assert not opens_offer(SECRET, replace(token, sealed=sealed), OTHER, AUTH, FEATURES), "the two directions have keys of their own"
