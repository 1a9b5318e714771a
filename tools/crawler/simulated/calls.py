"""What simulated nodes do when they are dialled: a Hello and a Status by this library's own sessions, or what tar-pits and bombs do.

One listener answers for all addresses. So where nobody listens, a connection is there for a moment before it is reset: it has to be, for
the auditor to count it.
"""

import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import trio

from devp2p import DisconnectReason, Limits, PeerDisconnected, RemoteProtocolError, local_node, rlp
from devp2p.addresses import Address, Endpoint
from devp2p.session import open_session, run_session
from devp2p.testing import ScriptedPeer
from devp2p.transports import ByteLink
from devp2p.wire import CapabilityVersion, Hello, base
from tools.crawler.simulated.clients import capabilities_of, name_of
from tools.crawler.simulated.population import Kind, Member
from tools.crawler.simulated.sockets import Door

Seen = Callable[[Endpoint, str], Member | None]
"""Told of each connection, with where it goes and the host that it comes from; says who is there."""
_PATIENCE: Final = 30.0  # seconds for one connection; those of a session included
_TAR: Final = 120.0
_MOST: Final = 2000  # connections at once
_STREAM: Final = 256  # pieces of what never ends
_PIECE: Final = 32 * 1024
_RESET: Final = struct.pack("ii", 1, 0)  # close without goodbye
_LIMITS: Final = Limits(ping_interval=3600)


class Calls:
    """Takes connections."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self.sessions: int = 0
        """Hellos that were exchanged."""
        self._open = 0

    async def serve(self, door: Door, nursery: trio.Nursery) -> None:
        """Take what comes at a port, until cancelled."""
        listener = trio.socket.from_stdlib_socket(door.tcp)
        while True:
            try:
                connection, source = await listener.accept()
            except OSError:  # it is gone before we took it, or there are too many files
                await trio.sleep(0.01)
                continue
            to = Endpoint(socket.inet_aton(connection.getsockname()[0]), door.port)
            member = self._seen(to, source[0])
            if member is None or member.kind is Kind.DEAD or self._open >= _MOST:
                with suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection.close()
                continue
            nursery.start_soon(self._take, trio.SocketStream(connection), member)

    async def _take(self, stream: trio.SocketStream, member: Member) -> None:
        self._open += 1
        try:
            with trio.move_on_after(_TAR if member.kind is Kind.TAR_PIT else _PATIENCE):
                await trio.sleep(member.round_trip)  # that of the first packets
                if member.kind is Kind.TAR_PIT:
                    await _swallow(stream)
                elif member.kind is Kind.BOMB:
                    await _BOMBS[member.index % len(_BOMBS)](stream, member)
                else:
                    await self._talk(stream, member)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel, PeerDisconnected, RemoteProtocolError):
            pass
        finally:
            self._open -= 1
            await trio.aclose_forcefully(stream)

    async def _talk(self, stream: trio.SocketStream, member: Member) -> None:
        local = local_node(
            member.key,
            capabilities_of(member.chain),
            client_id=name_of(member),
            dpx=False,
            limits=_LIMITS,
            listen_port=member.endpoint.port,
        )
        try:
            session = await open_session(_link(stream, member), local)
        except trio.TooSlowError:
            return
        self.sessions += 1
        if member.is_full:
            await session.refuse(DisconnectReason.TOO_MANY_PEERS)
        elif session.shared:
            await run_session(session)
        else:
            await session.refuse(DisconnectReason.USELESS_PEER)


def _link(stream: trio.SocketStream, member: Member) -> ByteLink:
    here = Address("tcp", ".".join(map(str, member.endpoint.ip)), member.endpoint.port)
    return ByteLink(stream, local=here, remote=Address("tcp", "127.0.0.1", 0), initiator=False)


async def _swallow(stream: trio.SocketStream) -> None:
    while await stream.receive_some():
        pass


async def _garbage(stream: trio.SocketStream, _member: Member) -> None:
    """Bytes instead of an ack, and more of them."""
    await stream.receive_some()
    for _ in range(_STREAM):
        await stream.send_all(os.urandom(_PIECE))
        await trio.sleep(0.02)


async def _endless(stream: trio.SocketStream, member: Member) -> None:
    """A Hello, and then messages without end that nobody has asked for."""
    peer = await _scripted(stream, member)
    for number in range(_STREAM):
        await peer.send(base.PING if number % 2 else 0x10 + number % 16, rlp.encode(bytes(_PIECE)))
        await trio.sleep(0.02)


async def _compressed(stream: trio.SocketStream, member: Member) -> None:
    """A message that says to be 16 MiB when it is inflated, in some thousand bytes."""
    peer = await _scripted(stream, member)
    await peer.send(0x10, rlp.encode(bytes(16 * 1024 * 1024 - 64)), compress=True)
    await _swallow(stream)


async def _large_hello(stream: trio.SocketStream, member: Member) -> None:
    """A Hello of a megabyte, with capabilities by the thousand."""
    peer = _script(stream, member)
    await peer.shake_hands()
    offers = rlp.encode_list(b"".join(rlp.encode_list(rlp.encode(f"c{number}") + rlp.encode(1)) for number in range(100_000)))
    parts = (rlp.encode(5), rlp.encode(b"x" * 100_000), offers, rlp.encode(0), rlp.encode(bytes(member.key.public_key)))
    await peer.send(base.HELLO, rlp.encode_list(b"".join(parts)), compress=False)
    await _swallow(stream)


_BOMBS: Final[tuple[Callable[[trio.SocketStream, Member], Awaitable[None]], ...]] = (_garbage, _endless, _compressed, _large_hello)


def _script(stream: trio.SocketStream, member: Member) -> ScriptedPeer:
    return ScriptedPeer(_link(stream, member), key=member.key)


async def _scripted(stream: trio.SocketStream, member: Member) -> ScriptedPeer:
    peer = _script(stream, member)
    peer.hello = Hello(name_of(member), (CapabilityVersion("eth", 69),), member.key.public_key)
    await peer.begin()
    return peer
