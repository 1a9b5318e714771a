"""Links say what they are: a byte stream, one that proves its peer, or streams that wait for nobody but themselves and prove it."""

import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import check_half_closeable_stream, wait_all_tasks_blocked

from devp2p import Address, HandshakeError, Link, MuxLink, PeerMismatch, PrivateKey, StreamLink, Transport
from devp2p.session import hear, local_node, open_session
from devp2p.transports.links import ByteLink, require_peer
from devp2p.transports.memory import (
    MemoryMuxLink,
    MemoryMuxTransport,
    MemoryStream,
    MemoryTransport,
    memory_link_pair,
    memory_mux_pair,
    memory_stream_pair,
)
from devp2p.wire import base

ALICE, BOB, CAROL = (PrivateKey.generate() for _ in range(3))
KEYS = ALICE.public_key, BOB.public_key
HERE, THERE = Address("memory", "a"), Address("memory", "b")
MOST = 100  # open streams that one side may have opened


def mux() -> tuple[MemoryMuxLink, MemoryMuxLink]:
    return memory_mux_pair(KEYS, ends=(HERE, THERE))


@asynccontextmanager
async def serving(transport: Transport, name: str) -> AsyncIterator[trio.MemoryReceiveChannel[Link]]:
    send, receive = trio.open_memory_channel[Any](100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon((await transport.bind(Address("memory", name))).serve, send.send)
        yield receive
        nursery.cancel_scope.cancel()


# What a link says of itself


def test_the_kind_of_a_link_is_told_by_its_type() -> None:
    for link in (*memory_link_pair(), *memory_link_pair(KEYS)):
        assert isinstance(link, StreamLink)
        assert not isinstance(link, MuxLink)
    for many in mux():
        assert isinstance(many, MuxLink)
        assert not isinstance(many, StreamLink)


def test_links_say_who_is_at_their_ends() -> None:
    for ours, theirs in (mux(), memory_link_pair(KEYS, ends=(HERE, THERE))):
        assert (ours.local, ours.remote, ours.initiator, ours.peer) == (HERE, THERE, True, BOB.public_key)
        assert (theirs.local, theirs.remote, theirs.initiator, theirs.peer) == (THERE, HERE, False, ALICE.public_key)
    ours, theirs = memory_link_pair()
    assert (ours.peer, theirs.peer) == (None, None)


async def test_closing_a_link_closes_its_stream_at_once() -> None:
    stream, other = memory_stream_pair()
    link = ByteLink(stream, local=HERE, remote=THERE, initiator=True)
    assert link.peer is None
    await stream.send_all(b"last")
    await link.aclose()
    assert await other.receive_some() == b"last"
    assert await other.receive_some() == b""
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()


def test_another_peer_than_the_expected_one_is_a_fault_of_the_handshake_that_names_both() -> None:
    require_peer(BOB.public_key, BOB.public_key, THERE)
    require_peer(BOB.public_key, None, THERE)
    with pytest.raises(PeerMismatch) as caught:
        require_peer(BOB.public_key, ALICE.public_key, THERE)
    assert isinstance(caught.value, HandshakeError)
    text = str(caught.value)
    assert text == f"at memory://b is the node with the key {bytes(BOB.public_key).hex()}, not {bytes(ALICE.public_key).hex()}"


@pytest.mark.parametrize("kind", ["proof", "streams"])
async def test_a_link_that_has_proved_its_peer_is_not_encrypted_again(kind: str) -> None:
    links: tuple[Link, Link] = memory_link_pair(KEYS) if kind == "proof" else mux()
    local = local_node(ALICE, strict=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_session, links[0], local)
        stream = (await hear(links[1])).stream
        assert stream is not None
        hello = base.encode_hello(local.hello)
        assert await stream.receive_some() == (len(hello) + 1).to_bytes(3) + b"\x80" + hello
        nursery.cancel_scope.cancel()
    await links[1].aclose()


# Streams of a link


async def test_each_stream_of_a_link_behaves_as_trio_wants_a_stream_to() -> None:
    async def make(capacity: int) -> tuple[MemoryStream, MemoryStream]:
        ours, theirs = memory_mux_pair(KEYS, capacity=capacity)
        return await ours.open(), await theirs.accept()

    async def make_clogged() -> tuple[MemoryStream, MemoryStream]:
        one, other = await make(1)
        await one.send_all(b"x")
        await other.send_all(b"x")
        return one, other

    await check_half_closeable_stream(partial(make, 1 << 16), make_clogged)


async def test_streams_are_accepted_in_the_order_in_which_they_were_opened_by_either_side() -> None:
    for ours, theirs in (mux(), mux()[::-1]):
        opened = [await ours.open() for _ in range(MOST)]
        for number, stream in enumerate(opened):
            await stream.send_all(b"%d" % number)
        for number in range(MOST):
            assert await (await theirs.accept()).receive_some() == b"%d" % number


async def test_accept_waits_until_a_stream_is_opened_and_does_not_give_back_our_own() -> None:
    ours, theirs = mux()
    accepted: list[MemoryStream] = []

    async def accept() -> None:
        accepted.append(await theirs.accept())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        await wait_all_tasks_blocked()
        await theirs.open()
        await wait_all_tasks_blocked()
        assert accepted == []
        await (await ours.open()).send_all(b"here")
    assert await accepted[0].receive_some() == b"here"


async def test_of_several_who_accept_each_gets_a_stream_of_its_own() -> None:
    ours, theirs = mux()
    accepted: list[MemoryStream] = []

    async def accept() -> None:
        accepted.append(await theirs.accept())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(accept)
        await wait_all_tasks_blocked()
        for _ in range(3):
            await ours.open()
    assert len(set(accepted)) == 3


async def test_a_stream_that_nobody_reads_holds_up_itself_alone() -> None:
    ours, theirs = memory_mux_pair(KEYS, capacity=10)
    full, free = await ours.open(), await ours.open()
    with trio.move_on_after(1) as scope:
        await full.send_all(bytes(11))
    assert scope.cancelled_caught, "it is bounded"
    unread, read = await theirs.accept(), await theirs.accept()
    for _ in range(100):
        await free.send_all(bytes(10))
        assert await read.receive_some() == bytes(10)
        await read.send_all(b"back")
        assert await free.receive_some() == b"back"
    assert await unread.receive_some() == bytes(10)


async def test_one_direction_of_a_stream_can_end_before_the_other() -> None:
    ours, theirs = mux()
    asking, other = await ours.open(), await ours.open()
    await asking.send_all(b"question")
    await asking.send_eof()
    answering = await theirs.accept()
    assert await answering.receive_some() == b"question"
    assert await answering.receive_some() == b""
    await answering.send_all(b"answer")
    await answering.aclose()
    assert await asking.receive_some() == b"answer"
    assert await asking.receive_some() == b""
    await other.send_all(b"goes on")
    assert await (await theirs.accept()).receive_some() == b"goes on"


async def test_streams_are_as_many_as_the_link_allows_until_both_sides_have_closed_one() -> None:
    ours, theirs = mux()
    opened = [await ours.open() for _ in range(MOST)]
    accepted = [await theirs.accept() for _ in range(MOST)]
    further: list[MemoryStream] = []

    async def open_one() -> None:
        further.append(await ours.open())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_one)
        await wait_all_tasks_blocked()
        await opened[7].aclose()
        await wait_all_tasks_blocked()
        assert further == [], "the other side still has it"
        await theirs.open()  # has a bound of its own
        await accepted[8].aclose()
        await accepted[7].aclose()
        await accepted[7].aclose()  # counts once
    assert len(further) == 1
    await further[0].send_all(b"new")
    assert await (await theirs.accept()).receive_some() == b"new"
    with trio.move_on_after(1) as scope:
        await ours.open()
    assert scope.cancelled_caught


async def test_a_thousand_streams_one_after_the_other_leave_nothing_behind() -> None:
    ours, theirs = mux()
    for number in range(1000):
        stream = await ours.open()
        await stream.send_all(b"%d" % number)
        await stream.aclose()
        async with await theirs.accept() as other:
            assert await other.receive_some() == b"%d" % number
    for side in (ours._own, ours._other):
        assert (len(side.streams), len(side.opened), len(side.arrived)) == (0, 0, 0)


async def test_a_stream_that_was_closed_before_it_was_accepted_comes_with_what_was_sent() -> None:
    ours, theirs = mux()
    async with await ours.open() as stream:
        await stream.send_all(b"gone")
    accepted = await theirs.accept()
    assert await accepted.receive_some() == b"gone"
    assert await accepted.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await accepted.send_all(b"x")


async def test_cancelled_while_it_waits_opening_or_accepting_loses_no_stream() -> None:
    ours, theirs = mux()
    with trio.move_on_after(1) as scope:
        await theirs.accept()
    assert scope.cancelled_caught
    opened = [await ours.open() for _ in range(MOST)]
    with trio.move_on_after(1) as scope:
        await ours.open()
    assert scope.cancelled_caught
    for act in (ours.open, theirs.accept):
        with trio.CancelScope() as cancelled:
            cancelled.cancel()
            await act()
        assert cancelled.cancelled_caught
    for number, stream in enumerate(opened):
        await stream.send_all(b"%d" % number)
        accepted = await theirs.accept()
        assert await accepted.receive_some() == b"%d" % number
    assert not ours._other.arrived, "the attempts that were cancelled opened none"


async def test_closing_a_link_ends_all_its_streams_and_whoever_waits_there() -> None:
    ours, theirs = mux()
    mine, unaccepted = await ours.open(), await theirs.open()
    yours, waiting = await theirs.accept(), await ours.open()
    await mine.send_all(b"last words")
    ends: list[tuple[str, str]] = []

    async def until_it_ends(who: str, act: Callable[[], Awaitable[object]]) -> None:
        try:
            await act()
        except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
            ends.append((who, type(error).__name__))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_it_ends, "we read", mine.receive_some)
        nursery.start_soon(until_it_ends, "they send", partial(unaccepted.send_all, bytes(1 << 20)))
        await wait_all_tasks_blocked()
        await ours.aclose()
    assert sorted(ends) == [("they send", "BrokenResourceError"), ("we read", "ClosedResourceError")]
    assert await yours.receive_some() == b"last words"
    assert await yours.receive_some() == b""
    left = await theirs.accept()
    assert await left.receive_some() == b"", "what was opened before comes first"
    for act in (theirs.open, theirs.accept):
        with pytest.raises(trio.BrokenResourceError, match="the other end of the link is closed"):
            await act()
    for act in (ours.open, ours.accept):
        with pytest.raises(trio.ClosedResourceError, match="this end of the link is closed"):
            await act()
    with pytest.raises(trio.ClosedResourceError):
        await waiting.receive_some()
    await ours.aclose()  # again does nothing
    await theirs.aclose()
    for side in (ours._own, ours._other):
        assert (len(side.streams), len(side.opened), len(side.arrived)) == (0, 0, 0)


async def test_who_waits_to_open_or_accept_hears_that_the_link_was_closed() -> None:
    ours, theirs = mux()
    for link in (ours, theirs):
        for _ in range(MOST):
            await link.open()
    for link in (ours, theirs):
        for _ in range(MOST):
            await link.accept()
    ends: list[tuple[str, str]] = []

    async def until_it_ends(link: MemoryMuxLink, act: str) -> None:
        try:
            await getattr(link, act)()
        except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
            ends.append((act, type(error).__name__))

    async with trio.open_nursery() as nursery:
        for link in (ours, theirs):
            for act in ("open", "accept"):
                nursery.start_soon(until_it_ends, link, act)
        await wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await ours.aclose()
    assert sorted(ends) == [(act, f"{why}ResourceError") for act in ("accept", "open") for why in ("Broken", "Closed")]


# Transports in memory


async def test_a_network_with_keys_proves_both_ends() -> None:
    listening, dialling = MemoryTransport(key=BOB.public_key), MemoryMuxTransport(key=BOB.public_key)
    for alice, bob in (
        (MemoryTransport(listening, key=ALICE.public_key), listening),
        (MemoryMuxTransport(dialling, key=ALICE.public_key), dialling),
    ):
        async with serving(bob, "b") as links:
            for expect in (BOB.public_key, None):
                ours = await alice.dial(THERE, expect=expect)
                theirs = await links.receive()
                assert (ours.peer, theirs.peer) == (BOB.public_key, ALICE.public_key)
                assert (ours.remote, theirs.remote) == (THERE, ours.local)
                assert isinstance(theirs, MuxLink) is isinstance(ours, MuxLink) is isinstance(alice, MemoryMuxTransport)
                await ours.aclose()


@pytest.mark.parametrize("kind", [MemoryTransport, MemoryMuxTransport])
async def test_who_dials_a_link_with_proof_learns_that_another_node_is_there(kind: type[MemoryTransport]) -> None:
    bob = kind(key=BOB.public_key)
    async with serving(bob, "b") as links:
        with pytest.raises(PeerMismatch, match="at memory://b is the node with the key"):
            await kind(bob, key=ALICE.public_key).dial(THERE, expect=CAROL.public_key)
        assert links.statistics().current_buffer_used == 0


async def test_a_link_proves_both_ends_or_none() -> None:
    bob = MemoryTransport()
    with_key = MemoryTransport(bob, key=ALICE.public_key)
    async with serving(bob, "b"), serving(with_key, "a"):
        with pytest.raises(ConnectionRefusedError, match="this node wants links that prove the peer"):
            await with_key.dial(THERE, expect=None)
        with pytest.raises(ConnectionRefusedError, match="the node at memory://a wants links that prove the peer"):
            await bob.dial(HERE, expect=None)


async def test_streams_that_both_ends_have_closed_do_not_wait_for_the_garbage_collector() -> None:
    one, other = memory_mux_pair(KEYS)
    gc.collect()
    gc.disable()
    try:
        ours = await one.open()
        theirs = await other.accept()
        streams = [weakref.ref(ours), weakref.ref(theirs)]
        await ours.aclose()
        await theirs.aclose()
        del ours, theirs
        assert [stream() for stream in streams] == [None, None]
    finally:
        gc.enable()
