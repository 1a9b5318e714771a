"""Two links that cross: a transport that holds back our Hello, so that a test says which of two links is complete first, and where.

The other side has a session once our Hello has arrived; this side believes that it was sent as soon as it was held, and has a session
once the other's Hello has come.
"""

from typing import Any

import trio
from trio.abc import HalfCloseableStream

from devp2p import Address, PublicKey
from devp2p.transports.links import ByteLink
from devp2p.transports.tcp import TcpTransport
from tests.network import Changed


class HeldStream(HalfCloseableStream):
    """A stream that lets a handshake packet through, and what follows it only after `release`."""

    def __init__(self, stream: HalfCloseableStream) -> None:
        self._stream = stream
        self._held = bytearray()
        self._shaken = False
        self._released = False
        self._turn = trio.Lock()
        self.holding = trio.Event()
        """Set when there is something to release."""
        self.heard = trio.Event()
        """Set when more than a handshake packet has come: go-ethereum sends its Hello once its first checks are behind it."""
        self._start = b""  # the two bytes that say how large the other's handshake packet is
        self._received = 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        async with self._turn:
            data = bytes(data)
            if not self._shaken:
                self._shaken = True
                size = 2 + int.from_bytes(data[:2], "big")  # EIP-8: a handshake packet begins with its size
                await self._stream.send_all(data[:size])
                data = data[size:]
            if self._released:
                await self._stream.send_all(data)
            elif data:
                self._held += data
                self.holding.set()

    async def release(self) -> None:
        """Send what was held, and hold nothing from now on."""
        async with self._turn:
            self._released = True
            await self._stream.send_all(self._held)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self._start += bytes(data[: 2 - len(self._start)])
        self._received += len(data)
        if self._received > 2 + int.from_bytes(self._start, "big"):
            self.heard.set()
        return data

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class CrossingTransport(TcpTransport):
    """TCP, with one held link that we dial and one that comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.may_dial = trio.Event()
        """The dial waits for it."""
        self.dialling = trio.Event()
        """Set when the dial waits."""
        self._links = {initiator: trio.open_memory_channel[HeldStream](1) for initiator in (True, False)}

    async def held(self, *, dialled: bool) -> HeldStream:
        """Wait until one of the two links holds our Hello and has brought the other's."""
        stream = await self._links[dialled][1].receive()
        await stream.holding.wait()
        await stream.heard.wait()
        return stream

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
        self.dialling.set()
        await self.may_dial.wait()
        return self._hold(await super().dial(address, expect=expect))

    async def bind(self, address: Address) -> Any:
        return Changed(await super().bind(address), self._hold)

    def _hold(self, link: ByteLink) -> ByteLink:
        stream = HeldStream(link.stream)
        self._links[link.initiator][0].send_nowait(stream)
        return ByteLink(stream, local=link.local, remote=link.remote, initiator=link.initiator)
