"""What a capability says just before a session over streams of its own ends is heard, whatever its stream is doing then."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, DisconnectReason, Peer, PeerDisconnected, PrivateKey, rlp
from devp2p.session import RunningSession, local_node, open_session, run_session
from devp2p.transports.memory import memory_mux_pair
from devp2p.wire import base, compression
from tests.chat import Blob, Chat, ChatMessage, Say, chat, collect

OURS, THEIRS = PrivateKey.generate(), PrivateKey.generate()
NOISE = random.Random(1).randbytes(2**20)  # what snappy cannot make smaller


class Talk(Chat):
    """A second capability with the same messages."""

    name = "talk"


@asynccontextmanager
async def two(
    ours: list[Chat], theirs: list[Chat], sessions: dict[int, RunningSession] | None = None
) -> AsyncIterator[list[PeerDisconnected]]:
    """Two nodes with a session; how it ended, for who dialled and for the other, is in the list at the end."""
    sessions = {} if sessions is None else sessions
    links = memory_mux_pair((OURS.public_key, THEIRS.public_key))
    ends: dict[int, PeerDisconnected] = {}
    result: list[PeerDisconnected] = []

    async def live(side: int, capabilities: list[Chat]) -> None:
        local = local_node((OURS, THEIRS)[side], capabilities, strict=True)
        session = await open_session(links[side], local)
        ends[side] = await run_session(session, on_start=partial(sessions.__setitem__, side))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(live, 0, ours)
        nursery.start_soon(live, 1, theirs)
        yield result
    result += [ends[0], ends[1]]


@pytest.mark.parametrize("side", [0, 1])
async def test_a_capability_that_says_one_thing_and_returns_is_heard(side: int) -> None:
    seen: list[ChatMessage] = []

    async def greet(_: Peer, channel: Channel[ChatMessage]) -> None:
        await channel.send(Say("hello"))
        await channel.send(Blob(NOISE[:100_000]))

    nodes = [chat(greet)], [chat(collect(seen))]
    async with two(nodes[side], nodes[1 - side]) as ends:
        pass
    assert seen == [Say("hello"), Blob(NOISE[:100_000])]
    assert [end.reason for end in ends] == [DisconnectReason.REQUESTED] * 2


@pytest.mark.parametrize("side", [0, 1])
async def test_what_is_said_when_another_stream_has_just_stopped_for_a_move_is_heard(side: int) -> None:
    seen: list[ChatMessage] = []

    async def flood(_: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await channel.send(Blob(NOISE))

    async def never_read(*_: object) -> None:
        await trio.sleep_forever()

    nodes = [Chat(), Talk(flood)], [chat(collect(seen)), Talk(never_read)]
    sessions: dict[int, RunningSession] = {}
    async with two(nodes[side], nodes[1 - side], sessions) as ends:
        await wait_all_tasks_blocked()
        one = sessions[side]
        one.outbox.pause()  # so the stream of the first is marked; that of the second waits for the peer
        await wait_all_tasks_blocked()
        await one.channel(0).send(Say("goodbye"))
        one.end(PeerDisconnected(DisconnectReason.REQUESTED, by_remote=False), flush=True)
    assert seen == [Say("goodbye")]
    assert ends[1 - side].reason is DisconnectReason.REQUESTED


def frame(code: int, data: bytes, *, compressed: bool = True) -> bytes:
    body = rlp.encode(code) + (bytes(compression.compress(data)) if compressed else data)
    return len(body).to_bytes(3) + body


@pytest.mark.parametrize("count", [1, 100])
async def test_what_a_peer_says_before_it_closes_the_link_without_a_farewell_is_heard(count: int) -> None:
    seen: list[ChatMessage] = []
    theirs, ours = memory_mux_pair((THEIRS.public_key, OURS.public_key))
    local = local_node(OURS, [chat(collect(seen))], strict=True)
    ends: list[PeerDisconnected] = []

    async def live() -> None:
        ends.append(await run_session(await open_session(ours, local)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(live)
        first = await theirs.open()
        hello = base.Hello("stranger", (base.CapabilityVersion("chat", 1),), THEIRS.public_key)
        await first.send_all(frame(base.HELLO, base.encode_hello(hello), compressed=False))
        own = await theirs.open()
        name = rlp.encode(["chat", 1])
        await own.send_all(len(name).to_bytes(3) + name)
        await wait_all_tasks_blocked()
        await first.send_eof()  # which comes first, as it may
        await wait_all_tasks_blocked()
        for number in range(count):
            await own.send_all(frame(0x10, rlp.encode([f"{number} " + 600 * "a"])))
        await theirs.aclose()
    assert len(seen) == count
    assert [(end.reason, end.by_remote) for end in ends] == [(DisconnectReason.NETWORK_ERROR, True)]
