"""A transport around another that counts the bytes which pass."""

from dataclasses import dataclass

from trio.abc import HalfCloseableStream

from devp2p import Address, Arrival, ByteLink, LocalProtocolError, PublicKey, StreamLink, Transport
from devp2p.transports import Listener, OnLink


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

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
        """Dial through `inner`."""
        return _measured(await self._inner.dial(address, expect=expect), self._line)

    async def bind(self, address: Address) -> Listener:
        """Listen through `inner`."""
        return _MeasuredListener(await self._inner.bind(address), self._line)


class _MeasuredListener:
    def __init__(self, inner: Listener, line: Line) -> None:
        self.addresses = inner.addresses
        self._inner = inner
        self._line = line

    async def serve(self, on_link: OnLink) -> None:
        async def measured(link: Arrival) -> None:
            await on_link(_measured(link, self._line))

        await self._inner.serve(measured)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _measured(link: Arrival, line: Line) -> ByteLink:
    if not isinstance(link, StreamLink):
        raise LocalProtocolError(f"the link to {link.remote} is no single stream of bytes, and cannot be measured")
    stream = _MeasuredStream(link.stream, line)
    return ByteLink(stream, local=link.local, remote=link.remote, initiator=link.initiator, peer=link.peer)


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
