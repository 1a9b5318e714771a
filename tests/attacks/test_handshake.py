"""Rows H2, H3, H5 and H9 of THREATS.md: what a stranger can learn from the handshake, announce in it, or be taken for.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed. How long a refusal takes
is measured by ``make bench`` (tools/bench/oracle.py).
"""

import hmac
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import DialError, DisconnectReason, Node, NodeRecord, PeerRefused, PrivateKey, open_node, rlp
from devp2p.errors import HandshakeError
from devp2p.testing import ScriptedPeer
from devp2p.wire import base
from devp2p.wire.connection import Connection
from devp2p.wire.rlpx import ecies, handshake
from devp2p.wire.rlpx.agreement import secrets
from devp2p.wire.rlpx.frames import FrameSealer
from devp2p.wire.rlpx.handshake import Initiator, Recipient
from devp2p.wire.rlpx.packets import MAX_PACKET
from tests.attacks.test_handshake_keys import BAD
from tests.chat import Chat
from tests.fuzz.wire_targets import entropy
from tests.network import LARGE, SMALL, Network, listening_script, running, silence
from tests.wire.handshakes import ACK, AUTH, KEY_B, feed, initiator, recipient

ROOT = Path(__file__).parents[2]


def sealed(node: Node, body: bytes, seed: int) -> bytes:
    """An auth with any body, under keys of its own, which opens."""
    prefix = (ecies.OVERHEAD + len(body)).to_bytes(2, "big")
    own = entropy(seed)
    return prefix + ecies.encrypt(node.public_key, body, ephemeral=own.ecies_ephemeral, iv=own.iv, shared_mac_data=prefix)


def auth(node: Node, seed: int) -> bytes:
    return Initiator(LARGE, node.public_key, entropy(seed)).packet


def flipped(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def bad_auths(node: Node) -> dict[str, bytes]:
    """Whole packets that are refused, each at another step."""
    signature, key, nonce = SMALL.sign(bytes(32)), bytes(SMALL.public_key), bytes(32)
    return {
        "a size that is too small": b"\x00\x10" + bytes(16),
        "a size that is too large": b"\xff\xff" + bytes(500),
        "another protocol": b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        "a point off the curve": auth(node, 10)[:2] + BAD["y + 1"] + auth(node, 10)[67:],
        "a point of order 2 of another curve": auth(node, 11)[:2] + BAD["order 2 of another curve, x = 5"] + auth(node, 11)[67:],
        "first byte of the MAC": flipped(auth(node, 12), -32),
        "last byte of the MAC": flipped(auth(node, 13), -1),
        "the first byte of what is encrypted": flipped(auth(node, 14), 83),
        "another size than the MAC says": (len(auth(node, 15)) - 3).to_bytes(2, "big") + auth(node, 15)[2:-1],
        "for another node": Initiator(LARGE, SMALL.public_key, entropy(16)).packet,
        "no list": sealed(node, bytes([0x80]) + bytes(180), 17),
        "no RLP": sealed(node, b"\xff" * 180, 18),
        "three elements": sealed(node, rlp.encode([signature, key, nonce]) + bytes(10), 19),
        "a key off the curve": sealed(node, rlp.encode([signature, bytes(64), nonce, 4]), 20),
        "no signature": sealed(node, rlp.encode([b"\xff" * 65, key, nonce, 4]), 21),
        "recovery id 4": sealed(node, rlp.encode([signature[:64] + b"\x04", key, nonce, 4]), 22),
    }


CUT = 100
"""Bytes of a packet of which the rest does not come."""


async def ending(network: Network, node: Node, data: bytes) -> tuple[int, str, float]:
    """What a node does about bytes: how many it sends back, how the link ends, and after how long."""
    stream = (await network.dial(node.record.addresses[0], expect=None)).stream
    began, received = trio.current_time(), 0
    await stream.send_all(data)
    try:
        while piece := await stream.receive_some():
            received += len(piece)
        end = "closed"
    except trio.BrokenResourceError:
        end = "broken"
    await stream.aclose()
    return received, end, trio.current_time() - began


# H2


async def test_h2_whatever_is_wrong_with_an_auth_the_link_ends_in_the_same_silent_way() -> None:
    network = Network()
    async with running(network) as node:
        events = node.events()
        endings = {name: await ending(network, node, data) for name, data in bad_auths(node).items()}
        good = await ScriptedPeer.dial(network, node.record)
        await good.stream.send_all(auth(node, 30))
        await good.stream.receive_some()
        await good.stream.aclose()
        endings["a replay"] = await ending(network, node, auth(node, 30))
        assert set(endings.values()) == {(0, "closed", 0.0)}, endings
        assert await ending(network, node, auth(node, 31)[:CUT]) == (0, "closed", 5.0)
        assert await ending(network, node, b"\x04" + auth(node, 31)[1:]) == (0, "closed", 5.0)  # the beginning of a longer one, perhaps
        await wait_all_tasks_blocked()
        refused = [event for event in list(events._events) if isinstance(event, PeerRefused)]
        assert len(refused) == len(endings) + 3
        assert node.connected == ()


async def test_h2_control_an_auth_that_opens_is_answered() -> None:
    network = Network()
    async with running(network) as node, trio.open_nursery() as nursery:
        stream = (await network.dial(node.record.addresses[0], expect=None)).stream
        await stream.send_all(auth(node, 30))
        assert len(await stream.receive_some()) > 300
        await stream.aclose()
        nursery.cancel_scope.cancel()


@pytest.mark.real_clock
async def test_h2_it_is_the_same_over_a_socket() -> None:
    endings = set[tuple[int, str]]()
    async with open_node(PrivateKey.generate(), [Chat()], listen=["tcp://127.0.0.1:0"]) as node:
        for data in bad_auths(node).values():
            stream = await trio.open_tcp_stream("127.0.0.1", node.addresses[0].port or 0)
            await stream.send_all(data)
            try:
                endings.add((len(await stream.receive_some()), "closed"))
            except trio.BrokenResourceError:
                endings.add((0, "reset"))
            await stream.aclose()
    assert endings == {(0, "closed")}


def opened_when_flipped(packet: bytes, side: Any) -> int:
    """How many of the packets that differ from a good one in a single bit are taken."""
    taken = 0
    for bit in range(8 * len(packet)):
        changed = bytearray(packet)
        changed[bit // 8] ^= 1 << bit % 8
        with suppress(HandshakeError):
            taken += side().receive_data(bytes(changed) + bytes(2 + MAX_PACKET - len(packet))) is not None
    return taken


@pytest.mark.parametrize(("packet", "side"), [(AUTH, recipient), (ACK, initiator)], ids=["auth", "ack"])
def test_h2_each_flipped_bit_of_a_packet_is_noticed(packet: bytes, side: Any) -> None:
    assert feed(side(), packet, []) is not None
    assert opened_when_flipped(packet, side) == 0


def test_h2_control_without_the_mac_hundreds_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmac, "compare_digest", lambda *_: True)
    assert opened_when_flipped(AUTH, recipient) > 500


# H3


def taken_in(size: int) -> int:
    """How many bytes a recipient takes of a packet of an announced size, and of what follows, before it refuses or opens it."""
    side, taken = Recipient(KEY_B, entropy(1)), 0
    data = size.to_bytes(2, "big") + bytes(65600)
    with suppress(HandshakeError):
        for taken in range(1, len(data), 64):
            side.receive_data(data[taken - 1 : taken + 63])
    return taken - 1 + 64


def test_h3_of_no_size_more_than_2050_bytes_are_taken() -> None:
    sizes = [*range(0, 3000, 7), *range(3000, 0x10000, 1001), 281, 282, 0x3FF, 0x400, 0x4FF, 0x500, 2048, 2049, 0xFFFF]
    taken = {size: taken_in(size) for size in sizes}
    assert max(taken.values()) <= 2050 + 64
    assert all(taken[size] == 64 for size in sizes if not 282 <= size <= MAX_PACKET)


def test_h3_control_without_the_bound_64_kib_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "MAX_PACKET", 0xFFFF)
    assert taken_in(0xFFFF) > 65_536


# H5


async def impersonate(victim: PrivateKey) -> tuple[Node, list[bytes], int | None]:
    """Shake hands with a key of one's own and say Hello with a victim's: the node, who its peers then are, and what it said."""
    network = Network()
    async with running(network) as node:
        peer = await ScriptedPeer.dial(network, node.record, [Chat()], key=LARGE)
        await peer.shake_hands()
        peer.hello = replace(peer.hello, public_key=victim.public_key)
        await peer.say_hello()
        await peer.hear_hello()
        reason = None
        with trio.move_on_after(0.5):
            reason = await peer.receive_disconnect()
        keys = [bytes(one.public_key) for one in node.connected]
        assert (victim.public_key.node_id in node.policy.ratings) is bool(keys)
        await trio.aclose_forcefully(peer.stream)
    return node, keys, reason


async def test_h5_a_hello_in_anothers_name_is_refused_and_nothing_is_kept_of_him() -> None:
    _, peers, reason = await impersonate(SMALL)
    assert peers == []
    assert reason == DisconnectReason.UNEXPECTED_IDENTITY


async def test_h5_control_if_the_two_keys_were_not_compared_one_would_be_taken_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Connection._receive_hello

    def believe(connection: Connection, hello: base.Hello) -> None:
        connection.remote = hello.public_key
        receive(connection, hello)

    monkeypatch.setattr(Connection, "_receive_hello", believe)
    _, peers, reason = await impersonate(SMALL)
    assert peers == [bytes(SMALL.public_key)]
    assert reason is None


async def test_h5_who_listens_at_the_address_of_another_is_not_taken_for_him() -> None:
    async def answer(peer: ScriptedPeer) -> None:
        with suppress(HandshakeError, trio.EndOfChannel):
            await peer.shake_hands()
        await silence(peer)

    network = Network()
    async with running(network) as node, listening_script(network, answer) as record:
        with pytest.raises(DialError):
            await node.connect(NodeRecord(SMALL.public_key, record.addresses))
        assert node.connected == ()


# H9


def test_h9_security_md_says_what_rlpx_is_worth() -> None:
    text = " ".join((ROOT / "SECURITY.md").read_text("utf-8").split())
    for words in (
        "RLPx uses one key stream twice (CVE-2015-20112)",
        "under the same key and both starting at counter zero",
        "Do not count on RLPx to keep messages secret",
        "The frame MAC is home-made",
        "An `auth` can be replayed",
    ):
        assert words in text


def test_h9_it_is_true_that_two_recorded_directions_cancel_the_mask_out() -> None:
    caller, called = initiator(), recipient()
    theirs = called.receive_data(caller.packet)
    ours = caller.receive_data(called.packet)
    assert ours is not None
    assert theirs is not None
    one, other = b"what one says...", b"what other says."
    recorded = [b"".join(FrameSealer(secrets(agreement)).seal(text))[32:48] for agreement, text in ((ours, one), (theirs, other))]
    assert bytes(a ^ b for a, b in zip(*recorded, strict=True)) == bytes(a ^ b for a, b in zip(one, other, strict=True))
