"""The handshake: published vectors, both formats, any cut of the stream."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import LocalProtocolError
from devp2p.keys import PrivateKey, keccak256
from devp2p.wire.rlpx import ecies, handshake
from devp2p.wire.rlpx.agreement import secrets
from devp2p.wire.rlpx.handshake import Entropy, Initiator, Recipient
from devp2p.wire.rlpx.packets import ACK_ROOM, AUTH_ROOM, MAX_PACKET
from tests.fuzz.wire_targets import entropy
from tests.wire.handshakes import (
    ACK,
    ACKS,
    AUTH,
    AUTHS,
    KEY_A,
    KEY_B,
    PLAIN_ACK,
    PLAIN_AUTH,
    STREAMS,
    VECTORS,
    Constant,
    assert_agreed,
    feed,
    fixed,
    initiator,
    private,
    receiver,
    recipient,
    spy,
    summary,
)

# The vectors of EIP-8


@pytest.mark.parametrize("name", AUTHS)
def test_published_auth_packets_are_read(name):
    side = recipient()
    agreement = side.receive_data(bytes.fromhex(AUTHS[name]["packet"]))
    assert agreement is not None
    assert agreement.remote == KEY_A.public_key
    assert [item.hex() for item in agreement.elements] == AUTHS[name]["extra"]
    assert side.trailing == b""


@pytest.mark.parametrize("name", ACKS)
def test_published_ack_packets_are_read(name):
    agreement = initiator().receive_data(bytes.fromhex(ACKS[name]["packet"]))
    assert agreement is not None
    assert agreement.remote == KEY_B.public_key
    assert [item.hex() for item in agreement.elements] == ACKS[name]["extra"]


def test_published_secrets_are_derived(monkeypatch):
    # Our ack would be encrypted otherwise than the published one, and the MAC is over the packet as it was sent.
    monkeypatch.setattr(handshake, "_seal", lambda *_: ACK)
    agreement = recipient().receive_data(AUTH)
    assert agreement is not None
    derived = secrets(agreement)
    expected = VECTORS["derived_by_recipient_from_auth2_ack2"]
    assert derived.aes.hex() == expected["aes_secret"]
    assert derived.mac.hex() == expected["mac_secret"]
    derived.ingress_mac.update(b"foo")
    assert derived.ingress_mac.digest().hex() == expected["ingress_mac_after_update_foo"]


def test_a_published_plain_auth_is_answered_in_its_own_format():
    side = recipient()
    agreement = side.receive_data(PLAIN_AUTH)
    assert agreement is not None
    assert agreement.remote == KEY_A.public_key
    assert agreement.elements == ()
    assert len(side.packet) == 210
    body = ecies.decrypt(KEY_A, side.packet)
    assert body == bytes(private("ephemeral_key_b").public_key) + bytes.fromhex(VECTORS["nonce_b"]) + b"\0"


def test_a_published_plain_ack_is_read():
    agreement = initiator().receive_data(PLAIN_ACK)
    assert agreement is not None
    assert agreement.remote == KEY_B.public_key


# Two of ours


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=20), st.binary(max_size=20))
@settings(max_examples=20, deadline=None)
def test_two_sides_agree(seed, first, second):
    source = random.Random(seed)
    key, other = (Entropy.draw(source.randbytes).ephemeral for _ in range(2))
    extra = (rlp.encode(first), rlp.encode([second, [first]]))
    client = Initiator(key, other.public_key, Entropy.draw(source.randbytes), Constant(*extra))
    server = Recipient(other, Entropy.draw(source.randbytes), Constant(*extra[:1]))
    theirs = server.receive_data(client.packet)
    ours = client.receive_data(server.packet + b"frames")
    assert ours is not None
    assert theirs is not None
    assert (ours.remote, theirs.remote) == (other.public_key, key.public_key)
    assert (theirs.elements, ours.elements) == (extra, extra[:1])
    assert (theirs.own_elements, ours.own_elements) == (extra[:1], extra)
    assert client.trailing == b"frames"
    assert replace(ours, remote=theirs.remote, initiated=False) == theirs
    assert ours.transcript == theirs.transcript == keccak256(client.packet + server.packet)
    ours_derived, theirs_derived = secrets(ours), secrets(theirs)
    assert (ours_derived.aes, ours_derived.mac) == (theirs_derived.aes, theirs_derived.mac)
    assert ours_derived.egress_mac.digest() == theirs_derived.ingress_mac.digest() != ours_derived.ingress_mac.digest()
    assert_agreed(ours, theirs)


def test_the_old_format_agrees_too(monkeypatch):
    # The side from before EIP-8, from the formulas: packets of fixed layout, and the MACs begin with them.
    server = recipient()
    theirs = server.receive_data(PLAIN_AUTH)
    assert theirs is not None
    client = initiator()
    monkeypatch.setattr(client, "packet", PLAIN_AUTH)  # what this initiator would have sent, with the same keys and nonce
    ours = client.receive_data(server.packet)
    assert ours is not None
    assert_agreed(ours, theirs)


def test_packets_are_padded_and_vary_in_size():
    source = random.Random(3)
    sizes = {len(Entropy.draw(source.randbytes).padding(0)) for _ in range(300)}
    assert min(sizes) >= 100
    assert max(sizes) <= 300
    assert len(sizes) > 100
    assert len(initiator().packet) > 307


def test_the_same_entropy_gives_the_same_packet():
    assert initiator().packet == initiator().packet
    assert initiator().packet != Initiator(KEY_A, KEY_B.public_key, entropy(5)).packet


def test_an_auth_has_the_specified_layout():
    packet = initiator().packet
    assert int.from_bytes(packet[:2], "big") == len(packet) - 2
    plaintext = ecies.decrypt(KEY_B, packet[2:], packet[:2])
    signature, public_key, nonce, version = rlp.codec(tuple[bytes, bytes, bytes, int]).decode(plaintext[:-100])
    assert public_key == bytes(KEY_A.public_key)
    assert (nonce.hex(), version) == (VECTORS["nonce_a"], 4)
    digest = bytes(a ^ b for a, b in zip(KEY_A.ecdh(KEY_B.public_key), nonce, strict=True))
    assert private("ephemeral_key_a").public_key.verify(digest, signature)


def test_extra_elements_that_do_not_fit_are_our_mistake():
    def filling(room: int) -> Constant:
        return Constant(rlp.encode(bytes(room - 3)))

    told = "has 1766 bytes, where an auth of at most 2048 has room for 1765: return fewer or shorter elements"
    with pytest.raises(LocalProtocolError, match=f"what Constant.offer returns {told}"):
        Initiator(KEY_A, KEY_B.public_key, fixed("a"), filling(AUTH_ROOM + 1))
    side = Recipient(KEY_B, fixed("b"), filling(ACK_ROOM + 1))
    with pytest.raises(LocalProtocolError, match=r"what Constant\.answer returns has"):
        side.receive_data(AUTH)
    client, server = Initiator(KEY_A, KEY_B.public_key, fixed("a"), filling(AUTH_ROOM)), Recipient(KEY_B, fixed("b"), filling(ACK_ROOM))
    theirs = server.receive_data(client.packet)
    assert theirs is not None
    assert len(client.packet) == len(server.packet) == 2 + MAX_PACKET, "and the padding is cut"
    ours = client.receive_data(server.packet)
    assert ours is not None
    assert_agreed(ours, theirs)


def test_secrets_are_not_shown():
    agreement = Recipient(KEY_B, fixed("b"), Constant(rlp.encode(b"a secret of ours"))).receive_data(AUTH)
    assert agreement is not None
    derived = secrets(agreement)
    shown = f"{agreement!r} {derived!r} {agreement.auth!r} {agreement.ack!r}"
    kept = (derived.aes, derived.mac, agreement.ephemeral, agreement.static, agreement.auth.nonce, agreement.ack.nonce, b"a secret of ours")
    assert not [secret for secret in kept if secret.hex() in shown or repr(secret)[2:-1] in shown]
    assert VECTORS["nonce_a"] not in repr(fixed("a"))
    assert repr(fixed("a").nonce) not in repr(fixed("a"))


# Streams


@pytest.mark.parametrize("name", STREAMS)
def test_byte_by_byte_is_as_good_as_at_once(name):
    stream = STREAMS[name]
    expected = summary(receiver(name).receive_data(stream))
    slow = receiver(name)
    for at in range(len(stream) - 1):
        assert slow.receive_data(stream[at : at + 1]) is None
    assert summary(slow.receive_data(stream[-1:])) == expected
    assert slow.trailing == b""


@pytest.mark.parametrize("name", STREAMS)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_any_cut_is_as_good_as_at_once(name, data):
    stream = STREAMS[name]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream) - 1), max_size=6)))
    tail = data.draw(st.binary(max_size=50))
    side = receiver(name)
    assert summary(feed(side, stream + tail, cuts)) == summary(receiver(name).receive_data(stream))
    assert side.trailing == tail


@pytest.mark.parametrize("total", [1024, 1100, 1279])
@pytest.mark.parametrize("step", [1, 100, 306, 307, 308, 2000])
def test_sizes_that_begin_like_a_point_are_sizes(total, step):
    # 0x0400 to 0x04ff: the same first byte as a packet of the old format.
    base = len(Initiator(KEY_A, KEY_B.public_key, entropy(2, padding=0)).packet) - 2
    client = Initiator(KEY_A, KEY_B.public_key, entropy(2, padding=total - base))
    assert client.packet[:2] == total.to_bytes(2, "big")
    base = ecies.OVERHEAD + 102
    server = Recipient(KEY_B, entropy(3, padding=total - base))
    theirs = feed(server, client.packet, list(range(step, len(client.packet), step)))
    assert theirs is not None
    assert server.packet[0] == 0x04
    ours = feed(client, server.packet, list(range(step, len(server.packet), step)))
    assert ours is not None
    assert_agreed(ours, theirs)


def test_the_old_format_is_tried_once_and_without_the_private_key(monkeypatch):
    client = Initiator(KEY_A, KEY_B.public_key, entropy(2, padding=900))
    assert client.packet[0] == 0x04
    trials = spy(monkeypatch, ecies, "decrypt")
    agreements = spy(monkeypatch, PrivateKey, "ecdh")
    side = recipient()
    for at in range(400):
        side.receive_data(client.packet[at : at + 1])
    assert [len(packet) for _, packet, *_ in trials] == [307]
    assert agreements == []
    assert side.receive_data(client.packet[400:]) is not None
    assert [len(packet) for _, packet, *_ in trials] == [307, len(client.packet) - 2]


def test_the_end_is_the_end():
    for name, stream in STREAMS.items():
        side = receiver(name)
        assert side.receive_data(stream) is not None
        with pytest.raises(LocalProtocolError):
            side.receive_data(b"")


def test_there_is_no_ack_before_the_auth():
    side = recipient()
    with pytest.raises(LocalProtocolError):
        _ = side.packet
    side.receive_data(AUTH[:-1])
    with pytest.raises(LocalProtocolError):
        _ = side.packet
    side.receive_data(AUTH[-1:])
    assert len(side.packet) > 210
