"""Two toys prove the seams of a session: a framing of AEAD records, and a line that interleaves messages and gives credit for them."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, Limits, Node, Peer, PrivateKey, open_node
from devp2p.session import LINES
from devp2p.testing import MemoryTransport
from tests.chat import Blob, Chat, ChatMessage, GetTime, Say, chat, collect
from tests.toys.chunks import FIRST, MORE, TAKEN, ChunkFraming, ChunkLine, chunks
from tests.toys.records import Toy

NOISE = random.Random(1).randbytes(2**20)  # what snappy cannot make smaller


class Talk(Chat):
    """A second capability with the same messages."""

    name, version = "talk", 1


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[ChunkLine]:
    """The lines that are made in a test, in their order; the one who dials may be the first or the second."""
    made: list[ChunkLine] = []

    def make(*arguments) -> ChunkLine:
        made.append(ChunkLine(*arguments))
        return made[-1]

    monkeypatch.setitem(LINES, ChunkFraming, make)
    return made


@asynccontextmanager
async def toy_nodes(left: Sequence[Chat], right: Sequence[Chat], toys: tuple[Toy, Toy]) -> AsyncIterator[tuple[Node, Node]]:
    network = MemoryTransport()
    limits = Limits(ping_interval=5.0)
    async with (
        open_node(PrivateKey.generate(), left, transports=[network], strict=True, limits=limits, extension=toys[0]) as one,
        open_node(
            PrivateKey.generate(), right, listen=["memory://b"], transports=[network], strict=True, limits=limits, extension=toys[1]
        ) as other,
    ):
        await one.connect(other.record)
        await wait_all_tasks_blocked()
        yield one, other


@pytest.mark.parametrize("make", [None, chunks], ids=["records", "chunks"])
async def test_two_nodes_that_offer_the_toy_use_it(make, lines: list[ChunkLine]) -> None:
    toys = (Toy(), Toy()) if make is None else (Toy(make), Toy(make))
    seen: list[ChatMessage] = []
    async with toy_nodes([Chat()], [chat(collect(seen))], toys) as (one, other):
        channel = one.connected[0][Chat]
        await channel.send(Say("hello"))
        await channel.send(Blob(NOISE))
        await other.connected[0][Chat].send(Say("and back"))
        await trio.sleep(20)  # pings go to and fro
        assert seen == [Say("hello"), Blob(NOISE)]
        assert one.connected
        assert one.connected[0].latency is not None
    assert [toy.chosen for toy in toys] == [1, 1]
    assert len(lines) == (2 if make else 0)


async def test_with_a_stock_node_there_are_stock_frames() -> None:
    network, toy = MemoryTransport(), Toy()
    async with (
        open_node(PrivateKey.generate(), [Chat()], transports=[network], strict=True, extension=toy) as one,
        open_node(PrivateKey.generate(), [Chat()], listen=["memory://b"], transports=[network], strict=True) as other,
    ):
        peer = await one.connect(other.record)
        assert (await peer[Chat].request(GetTime("utc"))).seconds == 3
    assert toy.chosen == 0


async def test_two_large_messages_are_on_the_wire_at_once(lines: list[ChunkLine]) -> None:
    seen: list[ChatMessage] = []
    mine, theirs = [Chat(), Talk()], [chat(collect(seen)), type("Talk", (Talk,), {})(collect(seen))]
    async with toy_nodes(mine, theirs, (Toy(chunks), Toy(chunks))) as (one, _):
        peer = one.connected[0]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer[Chat].send, Blob(NOISE[:100_000]))
            nursery.start_soon(peer[Talk].send, Blob(NOISE[:50_000]))
        await wait_all_tasks_blocked()
        assert [len(message.data) for message in seen if isinstance(message, Blob)] == [50_000, 100_000]
        (kinds,) = [line.chunked.kinds for line in lines if any(kind == FIRST for kind, _ in line.chunked.kinds)]
        assert kinds[:6] == [(FIRST, 0), (FIRST, 1), (MORE, 0), (MORE, 1), (MORE, 0), (MORE, 1)]


async def test_the_next_message_is_not_sent_before_the_last_was_taken(lines: list[ChunkLine]) -> None:
    take = trio.Semaphore(0)
    seen: list[ChatMessage] = []

    async def slow(_: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await take.acquire()
            seen.append(await channel.receive())

    other_seen: list[ChatMessage] = []
    theirs = [chat(slow), type("Talk", (Talk,), {})(collect(other_seen))]
    async with toy_nodes([Chat(), Talk()], theirs, (Toy(chunks), Toy(chunks))) as (one, other):
        peer = one.connected[0]
        for number in range(3):
            await peer[Chat].send(Say(str(number)))
            await peer[Talk].send(Say(str(number)))
        await wait_all_tasks_blocked()
        backlog = peer.backlog(Chat)
        assert (backlog.unsent_messages, len(other_seen)) == (2, 3), "only who takes nothing waits"
        assert other.connected[0].backlog(Chat).unread_messages == 1
        take.release()
        await wait_all_tasks_blocked()
        assert (peer.backlog(Chat).unsent_messages, seen) == (1, [Say("0")])
        told = [kind for line in lines for kind, index in line.chunked.kinds if index == 0]
        assert told.count(TAKEN) == 1
