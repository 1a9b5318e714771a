"""Single messages of sessions that do not run: for whoever asks a peer what it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import (
    Address,
    DisconnectReason,
    LocalProtocolError,
    NodeRecord,
    PeerDisconnected,
    RemoteProtocolError,
    Session,
    call,
    local_node,
    open_node,
)
from devp2p.testing import MemoryTransport, ScriptedPeer
from devp2p.transports import MemoryMuxTransport
from devp2p.wire import base
from tests.chat import Chat, Say
from tests.network import LARGE, SMALL, listening_script


@asynccontextmanager
async def asking(behave: Any) -> AsyncIterator[Session]:
    """A session that does not run with a peer that, behind the Hellos, does what a test wants."""

    async def begin(peer: ScriptedPeer) -> None:
        await peer.begin()
        await wait_all_tasks_blocked()  # else what it does might come together with its Hello
        await behave(peer)

    network = MemoryTransport()
    async with listening_script(network, begin) as node:
        session = await call(node, local_node(SMALL, [Chat()], dpx=False), [network])
        try:
            yield session
        finally:
            await session.close()


async def test_messages_come_and_go_one_at_a_time() -> None:
    heard: list[object] = []

    async def behave(peer: ScriptedPeer) -> None:
        await peer.ping()
        heard.append(await peer.receive())
        await peer.send_message(Say("one"))
        await peer.send_message(Say("two"))
        heard.append(await peer.receive_message())
        await peer.disconnect(DisconnectReason.TOO_MANY_PEERS)

    async with asking(behave) as session:
        assert [await session.receive(), await session.receive()] == [Say("one"), Say("two")]
        await session.send(Say("three"))
        with pytest.raises(PeerDisconnected, match="too many peers"):
            await session.receive()
    assert heard == [(base.PONG, base.EMPTY_LIST), Say("three")]


async def test_what_came_before_a_fault_counts() -> None:
    async def behave(peer: ScriptedPeer) -> None:
        said = peer.seal(b"\x10" + b"\x06\x14\xc5\x84last")
        await peer.stream.send_all(said + bytes(100))
        await peer.receive_end()

    async with asking(behave) as session:
        assert await session.receive() == Say("last")
        await session.refuse(DisconnectReason.CLIENT_QUITTING)
        with pytest.raises(PeerDisconnected, match="hung up"):
            await session.receive()


@pytest.mark.parametrize(
    ("code", "data", "times", "told"),
    [
        (0x10, b"\xc0", 1, "message 0x0"),
        (0x60, b"\xc0", 1, "lies outside"),
        (base.PING, b"\xc0", 40, "too many pings"),
        (0x0E, bytes(2000), 200, "came"),
    ],
)
async def test_a_peer_that_breaks_rules_is_told_apart(code: int, data: bytes, times: int, told: str) -> None:
    async def behave(peer: ScriptedPeer) -> None:
        with suppress(trio.BrokenResourceError):
            for _ in range(times):
                await peer.send(code, data, compress=code != 0x0E)
            await peer.receive_end()

    async with asking(behave) as session:
        with pytest.raises(RemoteProtocolError, match=told):
            await session.receive()


async def test_a_peer_that_hangs_up_says_nothing() -> None:
    async with asking(ScriptedPeer.aclose) as session:
        with pytest.raises(PeerDisconnected, match="hung up") as caught:
            await session.receive()
        assert caught.value.hung_up
        with pytest.raises(PeerDisconnected) as caught:
            await session.send(Say("you there?"))
        assert caught.value.hung_up


async def test_only_stock_sessions_are_asked_so() -> None:
    async def behave(peer: ScriptedPeer) -> None:
        await peer.receive_end()

    async with asking(behave) as session:
        with pytest.raises(LocalProtocolError, match=r"int is no message of what is shared with the peer: chat/1"):
            await session.send(5)
    memory, mux = MemoryTransport(), MemoryMuxTransport(key=LARGE.public_key)
    for theirs, ours in ((memory, memory), (mux, MemoryMuxTransport(mux, key=SMALL.public_key))):
        async with open_node(LARGE, [Chat()], listen=["memory://node"], transports=[theirs]):
            node = NodeRecord(LARGE.public_key, (Address("memory", "node"),))
            session = await call(node, local_node(SMALL, [Chat()]), [ours])
            with pytest.raises(LocalProtocolError, match="call with dpx=False, by TCP"):
                await session.receive()
            await session.close()
