"""Row X14 of THREATS.md: limits that a peer announces in order to make our own code fail, or do little for much.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import os
import random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, DisconnectReason, Limits, LocalProtocolError, Node, Peer, PeerDisconnected, PrivateKey
from devp2p.session.credit_line import CreditLine
from devp2p.wire.dpx import Dpx, Params
from devp2p.wire.dpx.control import CONNECTION, Delta
from tests.attacks.dpx_raw import Raw
from tests.chat import Blob, Chat, ChatMessage, chat
from tests.dpx_scripts import DpxScript, ScriptDpx
from tests.wires import WIRES, Network

SMALLEST = Params(connection_window=1024, capability_window=1024, reassembly=512, contexts=1, max_frame=512)
NOISE = random.Random(12).randbytes(40_000)


class Announcing(ScriptDpx):
    """Says that it takes in so much."""

    def __init__(self, params: Params) -> None:
        Dpx.__init__(self, os.urandom, params=params)


async def call(network: Network, node: Node, key: PrivateKey, params: Params) -> DpxScript:
    """A session of such a peer."""
    script = await DpxScript.dial(network.transport(key.public_key), node.record, [Chat()], key=key, extension=Announcing(params))
    assert isinstance(script, DpxScript)
    await script.begin()
    await wait_all_tasks_blocked()
    return script


async def meet(params: Params, speak: Chat, seconds: float, *controls: Delta) -> tuple[PeerDisconnected | None, int]:
    """Let a strict node speak to a peer that announces such limits, and says something at each second: how it ended, what it sent."""
    network = WIRES["dpx"].network()
    async with network.running(capabilities=[speak]) as node:
        key = PrivateKey.generate()
        script = await call(network, node, key, params)
        peer = node.roster.get(key.public_key)
        assert peer is not None
        raw = Raw(script, peer)
        end = trio.current_time() + seconds
        while trio.current_time() < end and raw.end is None:
            await raw.tell(*controls)
            await trio.sleep(1)
        await raw.hear()
        raw.cut_off()
        return raw.end, len(raw.frames)


async def blobs(_: Peer, channel: Channel[ChatMessage]) -> None:
    while True:
        await channel.send(Blob(NOISE))


async def test_x14_a_peer_with_no_room_for_a_message_is_of_no_use_and_nobody_here_has_made_a_mistake():
    end, _ = await meet(SMALLEST, chat(blobs), 10)
    assert end is not None
    assert end.reason == DisconnectReason.USELESS_PEER
    assert end.detail == "the peer takes no message of 40006 bytes"


async def test_x14_control_taken_for_our_own_mistake_it_ends_a_strict_node(monkeypatch):
    monkeypatch.setattr(CreditLine, "fits", lambda line, *message: line._dpx.fits(*message))
    with pytest.RaisesGroup(LocalProtocolError, flatten_subgroups=True):
        await meet(SMALLEST, chat(blobs), 10)


ONE_BY_ONE = Params(connection_window=1024, capability_window=1024, reassembly=10**6, contexts=1, max_frame=512)
A_BYTE = Delta(CONNECTION, 1), Delta(1, 1)


async def test_x14_credit_byte_by_byte_makes_no_frames_of_a_byte():
    """Data dribble, CVE-2019-9511: 120 bytes of credit in two minutes make no further frame behind the first two."""
    end, frames = await meet(ONE_BY_ONE, chat(blobs), 120, *A_BYTE)
    assert end is None
    assert frames == 2


async def test_x14_control_who_uses_up_all_credit_sends_a_frame_for_each_byte(monkeypatch):
    monkeypatch.setattr("devp2p.wire.dpx.sender.LEAST_CHUNK", 1)
    _, frames = await meet(ONE_BY_ONE, chat(blobs), 120, *A_BYTE)
    assert frames > 100


async def give_no_credit(outbox: int) -> tuple[int, int, float]:
    """Let ten peers give no credit at all: how many bytes they have a node keep, who is left, and how long the node takes to end."""
    network, limits = WIRES["dpx"].network(), Limits(outbox_bytes=outbox, outbox_messages=10**6, ping_interval=10**6)
    sent = 0

    async def speak(_: Peer, channel: Channel[ChatMessage]) -> None:
        nonlocal sent
        while sent < 1000:
            await channel.send(Blob(NOISE))
            sent += 1

    async with network.running(capabilities=[chat(speak)], max_peers=100, limits=limits) as node:
        for _ in range(10):
            key = PrivateKey.generate()
            script = await DpxScript.dial(
                network.transport(key.public_key), node.record, [Chat()], key=key, extension=Announcing(ONE_BY_ONE)
            )
            await script.begin()
        await trio.sleep(600)
        left, began = len(node.connected), trio.current_time()
    return sent * len(NOISE), left, trio.current_time() - began


async def test_x14_peers_that_give_no_credit_cost_an_outbox_each():
    """They may: each holds up what is sent to itself, and no longer than anybody wants to send."""
    kept, left, closing = await give_no_credit(200_000)
    assert left == 10
    assert kept <= 10 * (200_000 + len(NOISE))
    assert closing <= Limits().closing_timeout


async def test_x14_control_without_a_bound_they_cost_whatever_is_sent():
    kept, _, _ = await give_no_credit(2**40)
    assert kept >= 1000 * len(NOISE)
