"""Rows F11 and F12 of THREATS.md: capabilities that want the whole line, and answers that nobody asked for.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import random
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from devp2p import Capability, Channel, DisconnectReason, Peer, PeerDisconnected, rlp
from devp2p.testing import ScriptedPeer
from devp2p.wire import compression
from devp2p.wire.schedule import Lane, Outgoing
from tests.chat import Blob, Chat, ChatMessage, GetTime, chat, collect
from tests.network import NO_PINGS
from tests.wires import WIRES, Wire, chosen, only

pytestmark = only("attacked", because="the rest is as on one of those")

# F11: one capability floods, the other says little


@dataclass(frozen=True)
class Piece:
    data: bytes


class Talker(Capability[Piece]):
    """Sends pieces of one size for as long as it is let."""

    version = 1
    messages = {0: Piece}

    def __init__(self, size: int) -> None:
        self._piece = Piece(random.Random(size).randbytes(size))

    async def run(self, peer: Peer, channel: Channel[Piece]) -> None:  # noqa: ARG002
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._talk, channel)
            async for _ in channel:
                pass

    async def _talk(self, channel: Channel[Piece]) -> None:
        while True:
            await channel.send(self._piece)


def talker(name: str, size: int) -> Talker:
    made: Talker = type(name, (Talker,), {"name": name})(size)
    return made


async def share_of_the_small(wire: Wire, total: int = 6_000_000) -> float:
    """What part of the line one gets that sends 500 bytes a message, beside one that sends 500,000."""
    ours = [talker("large", 500_000), talker("small", 500)]
    async with wire.two_nodes(ours, [talker("large", 1), talker("small", 1)]) as (one, _):
        (peer,) = one.connected
        while (sent := sum(peer.traffic(type(each)).bytes_out for each in ours)) < total:
            await trio.lowlevel.checkpoint()
        return peer.traffic(type(ours[1])).bytes_out / sent


ONE_LINE = only("rlpx", because="elsewhere the transport shares the line among its streams")


class Queue:
    """First come, first served."""

    def __init__(self, weights: Sequence[int]) -> None:  # noqa: ARG002
        self._messages: deque[Outgoing] = deque()

    def add(self, message: Outgoing, lane: Lane = Lane.NORMAL) -> None:  # noqa: ARG002
        self._messages.append(message)

    def next(self) -> Outgoing | None:
        return self._messages.popleft() if self._messages else None


@ONE_LINE
async def test_f11_a_small_talker_gets_its_half_beside_a_large_one(wire: Wire):
    assert 0.4 < await share_of_the_small(wire) < 0.625  # 0.8 to 1.25 of a half


@ONE_LINE
async def test_f11_control_first_come_first_served_it_gets_hardly_anything(wire: Wire, monkeypatch):
    monkeypatch.setattr("devp2p.capability.queues.Schedule", Queue)
    assert await share_of_the_small(wire) < 0.2


# F12: answers to nothing, twice, late, of another kind

TIME, SAY = 0x12, 0x10
steps = st.lists(
    st.sampled_from(["ask", "answer", "answer", "again", "never asked", "garbage", "no id", "wait", "say", "late"]), min_size=1, max_size=12
)


class Model:
    """What an honest reader knows of the requests: which are open, given up, answered."""

    def __init__(self) -> None:
        self.open: list[int] = []
        self.late: list[int] = []
        self.done: list[int] = []
        self.answers: dict[int, int] = {}

    def choose(self, step: str) -> tuple[bytes, bool] | None:
        """The answer to send at a step, and whether it is a fault; None if there is none to send."""
        match step:
            case "answer" if self.open:
                number = self.open.pop(len(self.open) // 2)
                self.done.append(number)
                self.answers[number] = number % 7
                return rlp.encode([number, number % 7]), False
            case "late" if self.late:
                number = self.late.pop()
                self.done.append(number)
                return rlp.encode([number, 0]), False
            case "again" if self.done:
                return rlp.encode([self.done[-1], 0]), True
            case "never asked":
                return rlp.encode([10**6, 0]), True
            case "garbage" if self.open:
                return rlp.encode([self.open[0], [1]]), True
            case "no id":
                return b"\xc0", True
        return None


async def play(wire: Wire, script: list[str]) -> None:
    """Follow a script, and see that the node does what the model says."""
    model, got = Model(), dict[int, int]()
    async with wire.scripted_peer([Chat()], limits=NO_PINGS) as (node, peer), trio.open_nursery() as nursery:
        remote, channel, asked = node.connected[0], node.connected[0][Chat], 0

        async def ask(number: int) -> None:
            with suppress(trio.TooSlowError, PeerDisconnected):
                got[number] = (await channel.request(GetTime("x"), timeout=5)).seconds

        for step in script:
            if step == "ask":
                asked += 1
                nursery.start_soon(ask, asked)
                assert (await peer.receive())[0] == 0x11
                model.open.append(asked)
            elif step == "wait":
                await trio.sleep(6)
                model.late += model.open
                model.open.clear()
            elif step == "say":
                await peer.send(SAY, rlp.encode(["x"]))
            elif chosen := model.choose(step):
                data, fault = chosen
                await peer.send(TIME, data)
                await wait_all_tasks_blocked()
                if fault:
                    assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
                    await peer.stream.send_eof()
                    assert (await remote.wait_ended()).reason is DisconnectReason.PROTOCOL_BREACH
                    break
                assert remote.ended is None
        await wait_all_tasks_blocked()
        assert got == model.answers
        assert not channel._waiters or remote.ended is None
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("name", chosen({"attacked"}))
@given(script=steps)
@settings(max_examples=60)
def test_f12_of_any_answers_those_count_that_were_asked_for_and_each_other_ends_the_session(name, script):
    trio.run(play, WIRES[name], script, clock=MockClock(autojump_threshold=0))


async def answers_to_nothing(peer: ScriptedPeer, count: int) -> None:
    with_ids = [peer.seal(bytes([TIME]) + compression.compress(rlp.encode([1000 + n, 0]))) for n in range(count)]
    with trio.move_on_after(1), suppress(trio.BrokenResourceError):
        await peer.stream_of(TIME).send_all(b"".join(with_ids))


async def test_f12_a_thousand_answers_to_nothing_leave_nothing_behind(wire: Wire):
    async with wire.scripted_peer([Chat()]) as (node, peer):
        remote, channel = node.connected[0], node.connected[0][Chat]
        await answers_to_nothing(peer, 1000)
        await peer.stream_of(TIME).aclose()
        assert (await remote.wait_ended()).reason is DisconnectReason.PROTOCOL_BREACH
        assert (len(channel._waiters), len(channel._abandoned), channel.unread_bytes) == (0, 0, 0)


async def test_f12_control_who_keeps_answers_until_they_are_asked_for_keeps_a_strangers_choice(wire: Wire, monkeypatch):
    kept: dict[int, bytes] = {}

    async def keep(_: Channel[Any], __: object, data: bytes, number: int, ___: object) -> None:
        kept[number] = data

    monkeypatch.setattr(Channel, "_answer", keep)
    async with wire.scripted_peer([Chat()]) as (node, peer):
        await answers_to_nothing(peer, 1000)
        await wait_all_tasks_blocked()
        assert node.connected
    assert len(kept) == 1000


async def test_f12_an_answer_of_another_size_than_allowed_is_a_fault(wire: Wire):
    """What may come under an id is bounded whether it was asked for or not."""
    seen: list[ChatMessage] = []
    async with wire.scripted_peer([chat(collect(seen), max_message_size=1000)]) as (node, peer):
        remote = node.connected[0]
        await peer.send(TIME, rlp.encode([1, bytes(2000)]))
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
        await peer.stream.send_eof()
        assert "2007 bytes where 1000 are allowed" in (await remote.wait_ended()).detail
    assert Blob not in map(type, seen)
