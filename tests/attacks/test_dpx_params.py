"""Row X14 of THREATS.md: limits that a peer announces in order to make our own code fail, or do little for much.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import os
import random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, DisconnectReason, LocalProtocolError, Peer, PeerDisconnected, PrivateKey
from devp2p.session.credit_line import CreditLine
from devp2p.wire.dpx import Dpx, Params
from devp2p.wire.dpx.control import CONNECTION, Delta
from tests.attacks.dpx_raw import Raw
from tests.chat import Blob, Chat, ChatMessage, chat
from tests.dpx_scripts import DpxScript, ScriptDpx
from tests.wires import WIRES

SMALLEST = Params(connection_window=1024, capability_window=1024, reassembly=512, contexts=1, max_frame=512)
NOISE = random.Random(12).randbytes(40_000)


class Announcing(ScriptDpx):
    """Says that it takes in so much."""

    def __init__(self, params: Params) -> None:
        Dpx.__init__(self, os.urandom, params=params)


async def meet(params: Params, speak: Chat, seconds: float, *controls: Delta) -> tuple[PeerDisconnected | None, int]:
    """Let a strict node speak to a peer that announces such limits, and says something at each second: how it ended, what it sent."""
    network = WIRES["dpx"].network()
    async with network.running(capabilities=[speak]) as node:
        key = PrivateKey.generate()
        script = await DpxScript.dial(network.transport(key.public_key), node.record, [Chat()], key=key, extension=Announcing(params))
        assert isinstance(script, DpxScript)
        await script.begin()
        await wait_all_tasks_blocked()
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
