"""A transport around another that counts the bytes which pass."""

from dataclasses import dataclass

import trio
from trio.abc import HalfCloseableStream

from devp2p import Address, Link, PublicKey, Transport
from devp2p.transports import OnLink


@dataclass
class Line:
    """A node's connection to the world: what passed, in bytes."""

    bytes_in: int = 0
    bytes_out: int = 0


class MeasuredTransport:
    """Works as `inner` does; all its links share one `Line`."""

    def __init__(self, inner: Transport, line: Line) -> None:
        self.schemes = inner.schemes
        self._inner = inner
        self._line = line

    async def dial(self, address: Address, *, expect: PublicKey | None) -> Link:
        """Dial through `inner`."""
        return _MeasuredLink(await self._inner.dial(address, expect=expect), self._line)

    async def serve(
        self, address: Address, on_link: OnLink, *, task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen through `inner`."""

        async def measured(link: Link) -> None:
            await on_link(_MeasuredLink(link, self._line))

        await self._inner.serve(address, measured, task_status=task_status)


class _MeasuredLink:
    def __init__(self, inner: Link, line: Line) -> None:
        self.traits = inner.traits
        self.local = inner.local
        self.remote = inner.remote
        self.initiator = inner.initiator
        self.peer = inner.peer
        self._inner = inner
        self._line = line

    async def open_stream(self) -> HalfCloseableStream:
        return _MeasuredStream(await self._inner.open_stream(), self._line)

    async def accept_stream(self) -> HalfCloseableStream:
        return _MeasuredStream(await self._inner.accept_stream(), self._line)

    async def send_datagram(self, data: bytes) -> None:
        await self._inner.send_datagram(data)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _MeasuredStream(HalfCloseableStream):
    def __init__(self, inner: HalfCloseableStream, line: Line) -> None:
        self._inner = inner
        self._line = line

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)
        self._line.bytes_out += len(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._inner.receive_some(max_bytes)
        self._line.bytes_in += len(data)
        return data

    async def aclose(self) -> None:
        await self._inner.aclose()
