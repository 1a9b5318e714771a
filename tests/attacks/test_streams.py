"""Row F17 of THREATS.md: native streams that are not opened, named or used as they should be.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import DisconnectReason, Node, rlp
from devp2p.capability import queues
from devp2p.errors import DecodingError
from devp2p.session import mux_line
from devp2p.session.mux_line import missing_of_name
from devp2p.testing import ScriptedPeer
from devp2p.transports import MuxLink
from devp2p.wire import base, compression
from tests.attacks.test_turns import Slowly
from tests.chat import Chat, GetTime, Time
from tests.session.test_streams import NOISE, QUIET, SAY, ZEAL, Zeal, next_answer
from tests.wires import Wire, only

pytestmark = only("streams", because="there are none elsewhere")


@asynccontextmanager
async def greeted(wire: Wire) -> AsyncIterator[tuple[Node, ScriptedPeer, MuxLink]]:
    """A node with two capabilities, and a peer that has exchanged Hellos with it and opened nothing else."""
    network, capabilities = wire.network(), [Chat(), Zeal()]
    async with network.node(capabilities, strict=True, limits=QUIET) as node:
        honest, peer = [await network.peer(node, capabilities) for _ in range(2)]
        await honest.begin()
        await peer.shake_hands()
        await peer.say_hello()
        await peer.hear_hello()
        await wait_all_tasks_blocked()
        link = peer._streams._link
        assert isinstance(link, MuxLink)
        yield node, peer, link
        await honest.send_message(GetTime("abc", request_id=1))
        assert await honest.receive_message() == Time(1, 3), "nobody else notices"
        assert len(node.connected) <= 2
        await peer.aclose()


def named(name: str, version: int = 1) -> bytes:
    data = rlp.encode([name, version])
    return len(data).to_bytes(3) + data


async def nothing(link: MuxLink) -> None:
    """Opens no stream."""


async def one_of_two(link: MuxLink) -> None:
    await (await link.open()).send_all(named("chat"))


async def unnamed(link: MuxLink) -> None:
    await link.open()
    await (await link.open()).send_all(named("zeal"))


async def in_another_order(link: MuxLink) -> None:
    for name in ("zeal", "chat"):
        await (await link.open()).send_all(named(name))


async def of_another_version(link: MuxLink) -> None:
    await (await link.open()).send_all(named("chat", 2))


async def of_nobody(link: MuxLink) -> None:
    await (await link.open()).send_all(b"\0\0\4\xff\xff\xff\xff")


async def twice(link: MuxLink) -> None:
    for _ in range(2):
        await (await link.open()).send_all(named("chat"))


async def half_a_name(link: MuxLink) -> None:
    await (await link.open()).send_all(named("chat")[:6])
    await (await link.open()).send_all(named("zeal"))


async def half_a_prefix_and_the_end(link: MuxLink) -> None:
    stream = await link.open()
    await stream.send_all(b"\0\0")
    await stream.send_eof()


async def a_byte_each_four_seconds(link: MuxLink) -> None:
    stream = await link.open()
    await (await link.open()).send_all(named("zeal"))
    with suppress(trio.BrokenResourceError):
        for byte in named("chat"):
            await stream.send_all(bytes([byte]))
            await trio.sleep(4)


async def a_giant_name(link: MuxLink) -> None:
    await (await link.open()).send_all(b"\xff\xff\xff" + NOISE[:1000])


async def no_name(link: MuxLink) -> None:
    await (await link.open()).send_all(bytes(3))


MISNAMED: dict[Callable[[MuxLink], Awaitable[None]], str] = {
    nothing: "no stream for chat/1 within 5 s",
    one_of_two: "no stream for zeal/1 within 5 s",
    unnamed: "a stream was not named chat/1 within 5 s",
    in_another_order: "a stream is not of chat/1, as it should be",
    of_another_version: "a stream is not of chat/1, as it should be",
    of_nobody: "a stream is not of chat/1, as it should be",
    twice: "a stream is not of zeal/1, as it should be",
    half_a_name: "a stream was not named chat/1 within 5 s",
    half_a_prefix_and_the_end: "a stream that is to be of chat/1 ended before it was named",
    a_byte_each_four_seconds: "a stream was not named chat/1 within 5 s",
    a_giant_name: "a stream begins with a frame of 16777215 bytes, where 1 to 64 are allowed",
    no_name: "a stream begins with a frame of 0 bytes, where 1 to 64 are allowed",
}


@pytest.mark.parametrize("behave", MISNAMED)
async def test_f17_streams_that_are_not_opened_or_named_as_they_should_be_end_the_session(wire: Wire, behave: Any) -> None:
    async with greeted(wire) as (node, peer, link):
        remote, started = node.roster.get(peer.key.public_key), trio.current_time()
        assert remote is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(behave, link)
            end = await remote.wait_ended()
            nursery.cancel_scope.cancel()
        assert (end.reason, end.detail) == (DisconnectReason.PROTOCOL_BREACH, MISNAMED[behave])
        assert trio.current_time() - started <= 6 + 1


async def test_f17_streams_too_many_are_never_accepted(wire: Wire) -> None:
    async with greeted(wire) as (node, peer, link):
        await peer.open_streams()
        more = [await link.open() for _ in range(50)]
        for stream in more:
            with trio.move_on_after(1):
                await stream.send_all(bytes(100_000))
        await peer.send_message(GetTime("ab", request_id=7))
        assert await peer.receive_message() == Time(7, 2)
        assert len(node.connected) == 2


async def say_on_the_first(peer: ScriptedPeer) -> None:
    await peer.stream.send_all(peer._streams.first.seal(rlp.encode(SAY) + compression.compress(rlp.encode(["x"]))))


async def ping_on_its_own(peer: ScriptedPeer) -> None:
    await peer.stream_of(SAY).send_all(peer._streams.own[0].seal(b"\x02\x01\x00\xc0"))


async def leave_on_its_own(peer: ScriptedPeer) -> None:
    await peer.stream_of(SAY).send_all(peer._streams.own[0].seal(b"\x01\x01\x00\xc0"))


async def id_of_the_other(peer: ScriptedPeer) -> None:
    await peer.stream_of(SAY).send_all(peer._streams.own[0].seal(rlp.encode(ZEAL) + compression.compress(b"\xc0")))


async def garbage(peer: ScriptedPeer) -> None:
    await peer.stream_of(SAY).send_all(b"\0\0\1\xff")


async def too_large(peer: ScriptedPeer) -> None:
    await peer.stream_of(SAY).send_all(b"\xff\xff\xff\x10")


@pytest.mark.parametrize("misplace", [say_on_the_first, ping_on_its_own, leave_on_its_own, id_of_the_other, garbage, too_large])
async def test_f17_what_is_on_a_stream_where_it_does_not_belong_ends_the_session(wire: Wire, misplace: Any) -> None:
    async with greeted(wire) as (node, peer, _):
        await peer.open_streams()
        remote = node.roster.get(peer.key.public_key)
        assert remote is not None
        await misplace(peer)
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
        assert not (await remote.wait_ended()).by_remote


async def test_f17_a_message_on_the_first_stream_before_there_are_others_does_so_too(wire: Wire) -> None:
    network = wire.network()
    async with network.node([Chat()], strict=True) as node:
        events, peer = node.events(), await network.peer(node, [Chat()])
        await peer.shake_hands()
        hello = peer.seal(rlp.encode(base.HELLO) + base.encode_hello(peer.hello))
        await peer.stream.send_all(hello + peer._streams.first.seal(rlp.encode(SAY) + compression.compress(rlp.encode(["early"]))))
        await peer.hear_hello()
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
        await peer.aclose()
        await anext(events)


async def test_f17_a_stream_that_ends_early_says_no_more_and_the_others_go_on(wire: Wire) -> None:
    for end in (b"", b"\0\0", b"\0\0\x50half"):
        async with greeted(wire) as (node, peer, _):
            await peer.open_streams()
            await peer.stream_of(SAY).send_all(peer.seal(rlp.encode(SAY) + compression.compress(rlp.encode(["last"]))) + end)
            await peer.stream_of(SAY).send_eof()
            await trio.sleep(100)
            await peer.send(ZEAL + 1, rlp.encode([7, "ab"]))
            assert await next_answer(peer) == rlp.encode([7, 2])
            budget = node._local.budget
            assert budget is not None
            assert budget.used == 0, "nothing is held of half a frame"


def test_f17_a_name_is_read_to_its_end_and_no_further() -> None:
    assert [missing_of_name(named("chat")[:size]) for size in range(4)] == [3, 2, 1, len(rlp.encode(["chat", 1]))]
    assert missing_of_name(named("chat")) == 0
    with pytest.raises(DecodingError):
        missing_of_name(b"\0\0\x41")


async def turns_beside_marks(wire: Wire) -> int:
    """How often another task runs while a capability's stream brings a thousand marks and a question, all at once."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with greeted(wire) as (_, peer, _), trio.open_nursery() as nursery:
        await peer.open_streams()
        mark = peer._streams.own[0].seal(rlp.encode(base.LAST) + compression.compress(base.encode_last(7)))
        ask = peer.seal(rlp.encode(SAY + 1) + compression.compress(rlp.encode([7, "ab"])))
        await wait_all_tasks_blocked()
        nursery.start_soon(other)
        await peer.stream_of(SAY).send_all(mark * 1000 + ask)
        assert await peer.receive_message() == Time(7, 2)
        nursery.cancel_scope.cancel()
    return turns


async def test_f17_marks_without_number_give_way_by_the_clock(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "perf_counter", Slowly())
    assert await turns_beside_marks(wire) > 300


async def test_f17_control_without_turns_a_thousand_marks_are_one_step(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "_TURN", 10**6)
    assert await turns_beside_marks(wire) < 30


async def taken_of_a_giant_name(wire: Wire) -> tuple[int, str]:
    """How much of a name of 1 MiB the node reads, and how the session ends."""
    async with greeted(wire) as (node, peer, link):
        remote, stream, size = node.roster.get(peer.key.public_key), await link.open(), 0
        assert remote is not None
        with suppress(trio.BrokenResourceError), trio.move_on_after(4):
            await stream.send_all(b"\x10\0\0")
            while size < 2**20:
                await stream.send_all(NOISE[:1024])
                size += 1024
        return size, (await remote.wait_ended()).detail


async def test_f17_of_a_giant_name_nothing_is_read(wire: Wire) -> None:
    size, detail = await taken_of_a_giant_name(wire)
    assert size <= 128 * 1024, "what the transport holds"
    assert "where 1 to 64 are allowed" in detail


async def test_f17_control_without_a_bound_all_of_it_is_read(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mux_line, "_MOST_NAMED", 2**24)
    size, detail = await taken_of_a_giant_name(wire)
    assert (size, detail) == (2**20, "a stream is not of chat/1, as it should be")
