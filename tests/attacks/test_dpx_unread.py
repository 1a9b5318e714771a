"""Peers that see to it that they are not read: with credit nobody waits for that, but what they leave takes room that others need."""

import random
from contextlib import suppress

import pytest
import trio

from devp2p import Channel, Limits, Peer, rlp
from devp2p.capability.budget import Budget
from devp2p.wire import base, compression
from tests.chat import Blob, Chat, ChatMessage, chat
from tests.dpx_scripts import DpxScript
from tests.wires import WIRES

DPX = WIRES["dpx"]
NOISE = random.Random(1).randbytes(2**20)  # what snappy cannot make smaller
LIMITS = Limits(total_inbox_bytes=2_500_000, outbox_messages=1, ping_interval=10**6)


async def answer(_: Peer, channel: Channel[ChatMessage]) -> None:
    """Answers everything at length: to who takes no answers it can send no more, and then it reads no more."""
    async for _message in channel:
        await channel.send(Blob(NOISE[:50_000]))


async def ask_without_end(peer: DpxScript) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel):
        while True:
            for part in peer.framing.parts(0x13, bytes(compression.compress(rlp.encode([NOISE[:10_000]])))):
                while not peer.framing.may_send(part):
                    await trio.sleep_forever()  # it takes nothing, credit least of all
                await peer.stream.send_all(peer.framing.seal_part(part))


async def honest_beside(count: int) -> tuple[int, bool]:
    """How many of the attackers are left after an honest peer has said something long, and whether it was answered."""
    network, answered = DPX.network(), False
    async with network.running(capabilities=[chat(answer)], limits=LIMITS) as node, trio.open_nursery() as nursery:
        for _ in range(count):
            peer = await network.peer(node, [Chat()])
            assert isinstance(peer, DpxScript)
            peer.hello = base.Hello("attacker", peer.hello.capabilities, peer.hello.public_key)
            await peer.begin()
            nursery.start_soon(ask_without_end, peer)
            nursery.start_soon(peer.receive_end)  # it takes the bytes, and gives no credit for them
        await trio.sleep(60)
        assert len(node.connected) == count, "as long as there is room nobody is ended"
        honest = await network.peer(node, [Chat()])
        await honest.begin()
        with suppress(trio.EndOfChannel, trio.BrokenResourceError):
            await honest.send_message(Blob(NOISE[:900_000]))
            code, _ = await honest.receive()
            answered = code == 0x13
        await trio.sleep(3)
        left = sum(peer.client_id == "attacker" for peer in node.connected)
        nursery.cancel_scope.cancel()
    return left, answered


async def test_x15_who_is_not_read_makes_room_for_others() -> None:
    assert await honest_beside(2) == (1, True)


async def test_x15_control_without_that_the_honest_one_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Budget, "may_end", lambda *_: None)
    assert await honest_beside(2) == (2, False)


async def small_messages() -> int:
    """How many messages of two bytes a node with a budget of a megabyte holds of one peer that it does not read."""

    async def idle(_: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        await trio.sleep_forever()

    network, held = DPX.network(), 0
    async with network.running(capabilities=[chat(idle)], limits=Limits(total_inbox_bytes=2**20, ping_interval=10**6)) as node:
        peer = await network.peer(node, [Chat()])
        assert isinstance(peer, DpxScript)
        await peer.begin()
        remote = await anext(node.peers(Chat))
        (say,) = peer.framing.parts(0x10, bytes(compression.compress(b"\xc1\x80")))
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            for _ in range(8000):
                await peer.stream.send_all(peer.framing.seal_part(say))
                held = max(held, remote.backlog(Chat).unread_messages)
        await peer.aclose()
    return held


async def test_x15_messages_of_a_few_bytes_count_by_what_they_take() -> None:
    assert 2000 < await small_messages() < 6000


async def test_x15_control_by_their_bytes_alone_there_could_be_a_hundred_times_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devp2p.capability.queues._EACH", 0)
    assert await small_messages() > 7500
