"""Two ends of QUIC for a test: nodes' transports over real sockets, and a relay between them that may lose things and move."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from devp2p import Address, PrivateKey
from devp2p.transports.quic import QuicLink, QuicListener, QuicTransport

ALICE, BOB, CAROL = (PrivateKey.from_bytes(bytes([number]) * 32) for number in (1, 2, 3))
HOSTS = ("127.0.0.1", "::1")


@dataclass
class Listening:
    """Alice, who listens, and takes up whoever comes."""

    transport: QuicTransport
    listener: QuicListener
    links: trio.MemoryReceiveChannel[QuicLink]
    arrivals: list[Any]
    refused: list[Exception]

    @property
    def address(self) -> Address:
        return self.listener.addresses[0]


@asynccontextmanager
async def listening(host: str = "127.0.0.1", key: PrivateKey = ALICE) -> AsyncGenerator[Listening]:
    transport = QuicTransport(key)
    listener = await transport.bind(Address("quic", host, 0))
    send, receive = trio.open_memory_channel[QuicLink](100)
    alice = Listening(transport, listener, receive, [], [])

    async def take(incoming: Any) -> None:
        alice.arrivals.append(incoming)
        nursery.start_soon(up, incoming)

    async def up(incoming: Any) -> None:
        try:
            await incoming.hear()
            await send.send(await incoming.upgrade())
        except Exception as error:  # noqa: BLE001  (whatever it is, a test looks at it)
            alice.refused.append(error)
        except BaseException:
            with trio.CancelScope(shield=True):
                await incoming.aclose()
            raise

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, take)
        yield alice
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def linked(host: str = "127.0.0.1") -> AsyncGenerator[tuple[QuicLink, QuicLink]]:
    """Bob's end and Alice's."""
    async with listening(host) as alice:
        ours = await QuicTransport(BOB).dial(alice.address, expect=ALICE.public_key)
        theirs = await alice.links.receive()
        try:
            yield ours, theirs
        finally:
            await ours.aclose()
            await theirs.aclose()


class Relay:
    """Passes datagrams on between whoever speaks to it first and a listener; to the listener it comes from `outer`."""

    def __init__(self, to: Address) -> None:
        family = socket.AF_INET6 if ":" in to.host else socket.AF_INET
        self._host, self._to = to.host, (to.host, to.port)
        self.inner = trio.socket.socket(family, socket.SOCK_DGRAM)
        self.outer = trio.socket.socket(family, socket.SOCK_DGRAM)
        self.silent = False
        self.passed: list[bytes] = []
        self._caller: Any = None
        self._scope = trio.CancelScope()

    async def open(self) -> Address:
        for sock in (self.inner, self.outer):
            await sock.bind((self._host, 0))
        return Address("quic", self._host, self.inner.getsockname()[1])

    async def move(self) -> int:
        """Get another port at the listener's side, as a NAT does that has forgotten the old one."""
        fresh = trio.socket.socket(self.outer.family, socket.SOCK_DGRAM)
        await fresh.bind((self._host, 0))
        old, self.outer = self.outer, fresh
        old.close()
        self._scope.cancel()
        return int(self.outer.getsockname()[1])

    async def run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._inward)
                while True:
                    with trio.CancelScope() as self._scope:
                        await self._outward()
        finally:
            self.inner.close()
            self.outer.close()

    async def _inward(self) -> None:
        while True:
            data, self._caller = await self.inner.recvfrom(65535)
            if not self.silent:
                self.passed.append(data)
                await self.outer.sendto(data, self._to)

    async def _outward(self) -> None:
        while True:
            outer = self.outer
            try:
                data, _ = await outer.recvfrom(65535)
            except (trio.ClosedResourceError, OSError):
                if outer is self.outer:
                    raise
                await trio.sleep_forever()  # it was replaced: `move` begins anew
            if not self.silent:
                await self.inner.sendto(data, self._caller)


@asynccontextmanager
async def relayed(host: str = "127.0.0.1") -> AsyncGenerator[tuple[Relay, QuicLink, QuicLink]]:
    """A relay, and Bob's end and Alice's of a link that goes over it."""
    async with listening(host) as alice, trio.open_nursery() as nursery:
        relay = Relay(alice.address)
        there = await relay.open()
        nursery.start_soon(relay.run)
        ours = await QuicTransport(BOB).dial(there, expect=ALICE.public_key)
        theirs = await alice.links.receive()
        yield relay, ours, theirs
        await ours.aclose()
        await theirs.aclose()
        nursery.cancel_scope.cancel()
