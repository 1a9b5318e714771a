"""Calls of an address, where the node's key is not known: it is asked for, and few tell it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any
from unittest.mock import Mock

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import (
    Address,
    DisconnectReason,
    Limits,
    LocalProtocolError,
    NodeRecord,
    PeerDisconnected,
    Progress,
    Transport,
    call,
    local_node,
    open_node,
)
from devp2p.session import hear, open_session, run_session
from devp2p.testing import MemoryTransport
from devp2p.transports import MemoryMuxTransport
from devp2p.transports.memory import memory_link_pair
from devp2p.trust import Trust
from devp2p.wire.dpx import Asking, PreludeEntropy, Shaping
from tests.chat import Chat
from tests.network import LARGE, SMALL, running

NODE = Address("memory", "node")


@asynccontextmanager
async def at_node(**options: Any) -> AsyncIterator[MemoryTransport]:
    network = MemoryTransport()
    async with running(network, key=LARGE, **options):
        yield network


async def test_whoever_is_at_an_address_says_who_it_is() -> None:
    progress = Progress()
    async with at_node(reveal_key=True) as network:
        session = await call(NODE, local_node(SMALL), [network], progress=progress)
        assert session.public_key == progress.remote == LARGE.public_key
        assert session.profile.protocol == "dpx/1"
        assert session.profile.trust is Trust.STRANGER
        assert progress.asks_key
        assert list(progress.seconds) == ["connect", "handshake", "hello"]
        await session.refuse(DisconnectReason.CLIENT_QUITTING)


async def test_such_a_session_runs_as_any() -> None:
    network, theirs = MemoryTransport(), Chat()
    async with open_node(LARGE, [theirs], listen=[str(NODE)], transports=[network], strict=True, reveal_key=True) as node:
        ours = Chat()
        session = await call(NODE, local_node(SMALL, [ours]), [network])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_session, session)
            async for peer in node.peers(Chat):
                assert peer.public_key == SMALL.public_key
                assert peer.profile.protocol == "dpx/1"
                break
            nursery.cancel_scope.cancel()


async def test_who_is_called_by_its_key_is_not_asked_and_answers_all_the_same() -> None:
    for dpx in (True, False):
        progress = Progress()
        async with at_node(reveal_key=True) as network:
            session = await call(NodeRecord(LARGE.public_key, (NODE,)), local_node(SMALL, dpx=dpx), [network], progress=progress)
            assert session.profile.protocol == ("dpx/1" if dpx else "RLPx")
            assert not progress.asks_key
            await session.refuse(DisconnectReason.CLIENT_QUITTING)


@pytest.mark.parametrize("options", [{}, {"dpx": False}], ids=["not told to", "stock"])
async def test_a_node_that_does_not_tell_its_key_hangs_up(options: dict[str, bool]) -> None:
    progress = Progress()
    async with at_node(**options) as network:
        with pytest.raises(PeerDisconnected, match="hung up during the handshake: it speaks no dpx/1 prelude") as caught:
            await call(NODE, local_node(SMALL), [network], progress=progress)
    assert caught.value.hung_up
    assert progress.remote is None
    assert progress.awaited == "handshake"


@pytest.mark.parametrize("kind", ["proof", "streams"])
async def test_where_the_transport_proves_the_peer_nobody_is_asked(kind: str) -> None:
    theirs: Transport
    ours: Transport
    if kind == "streams":
        theirs = mux = MemoryMuxTransport(key=LARGE.public_key)
        ours = MemoryMuxTransport(mux, key=SMALL.public_key)
    else:
        theirs = memory = MemoryTransport(key=LARGE.public_key)
        ours = MemoryTransport(memory, key=SMALL.public_key)
    progress = Progress()
    async with open_node(LARGE, [Chat()], listen=[str(NODE)], transports=[theirs], strict=True):
        session = await call(NODE, local_node(SMALL, dpx=False), [ours], progress=progress)
        assert session.public_key == LARGE.public_key
        assert session.profile.protocol == "plain"
        assert not progress.asks_key
        await session.refuse(DisconnectReason.CLIENT_QUITTING)


async def test_misuse_is_told() -> None:
    ours, theirs = memory_link_pair()
    with pytest.raises(LocalProtocolError, match="must know the key of the node it calls, or ask for it: ask_key=True"):
        await open_session(ours, local_node(SMALL))
    with trio.fail_after(1):
        assert await theirs.stream.receive_some() == b"", "the link is closed, as always when this fails"
    with pytest.raises(LocalProtocolError, match="takes dpx/1, which this one does not speak"):
        await open_session(ours, local_node(SMALL, dpx=False), ask_key=True)
    with pytest.raises(LocalProtocolError, match="reveal_key=True answers a question that dpx/1 asks"):
        local_node(SMALL, dpx=False, reveal_key=True)
    with pytest.raises(LocalProtocolError, match="shaping is for sessions of dpx/1, and dpx=False leaves them out"):
        local_node(SMALL, dpx=False, shaping=Shaping.cells())
    with pytest.raises(TypeError, match="a NodeRecord, or an Address, for whoever is there, not bytes"):
        await call(b"node", local_node(SMALL))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="reveal_key is True or False"):
        local_node(SMALL, reveal_key="yes")  # type: ignore[arg-type]
    await theirs.aclose()
    await ours.aclose()


async def test_a_node_that_has_told_its_key_and_leaves_is_told_apart() -> None:
    ours, theirs = memory_link_pair()
    progress = Progress()

    async def answer_and_leave() -> None:
        heard = await hear(theirs, reveal_key=True)
        async with at_node(reveal_key=True) as network:  # another answers for it
            link = await network.dial(NODE, expect=None)
            await link.stream.send_all(heard.data)
            await theirs.stream.send_all(await link.stream.receive_some())
            await theirs.stream.receive_some()
            await link.aclose()
        await theirs.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer_and_leave)
        with pytest.raises(PeerDisconnected, match="it has told its key, and may be turning away calls"):
            await open_session(ours, local_node(SMALL), ask_key=True, progress=progress)
    assert progress.remote == LARGE.public_key


async def test_one_that_says_nothing_takes_the_time_of_a_handshake() -> None:
    ours, theirs = memory_link_pair()
    began = trio.current_time()
    with pytest.raises(trio.TooSlowError):
        await open_session(ours, local_node(SMALL, limits=Limits(handshake_timeout=3)), ask_key=True)
    assert trio.current_time() - began == 3
    await theirs.aclose()


async def test_a_request_is_waited_for_whole_and_no_more_is_read() -> None:
    """Nothing is computed before that."""
    request = Asking(PreludeEntropy.draw(Random(1).randbytes), Mock()).data_to_send()
    ours, theirs = memory_link_pair()

    async def send_slowly() -> None:
        for byte in request + bytes(9):
            await ours.stream.send_all(bytes([byte]))
            await wait_all_tasks_blocked()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_slowly)
        heard = await hear(theirs, reveal_key=True)
        assert heard.data == request
        nursery.cancel_scope.cancel()
    await ours.aclose()
    await theirs.aclose()
