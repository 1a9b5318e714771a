"""A slow line: a relay between two sockets that takes so many bytes a second, and lets hardly any wait in the system's buffers.

What waits in a buffer of the system can be overtaken by nothing. On a long way that is what the way itself holds; here the buffers are
made small, so that what is seen is what the two ends do.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

_CHUNK: Final = 2048  # bytes that are taken at once, so that a slow line is slow evenly
_BUFFER: Final = 4096  # bytes, of which Linux makes twice as many
_CATCH_UP: Final = 0.01  # seconds that may be made up for, since tasks are woken late
_SEGMENT: Final = 1400  # bytes of a TCP segment: on a loopback it may else be larger than the buffers


@dataclass
class Carried:
    """What has gone through, in bytes."""

    there: int = 0
    """From who dialled to the target."""
    back: int = 0


class SlowLine:
    """A running relay; `slow_line` makes it."""

    def __init__(self, port: int, rate: float) -> None:
        self.port = port
        """Where it listens, at 127.0.0.1."""
        self.carried = Carried()
        self.accepted: list[trio.SocketStream] = []
        """Its ends of the connections that came."""
        self._rate = rate

    async def join(self, target: int, stream: trio.SocketStream) -> None:
        """Carry the bytes of one connection to a port of this machine and back, until one end closes."""
        try:
            other = await trio.open_tcp_stream("127.0.0.1", target)
        except OSError:
            await trio.aclose_forcefully(stream)
            return
        self.accepted.append(stream)
        async with stream, other, trio.open_nursery() as nursery:
            nursery.start_soon(self._carry, stream, other, "there")
            nursery.start_soon(self._carry, other, stream, "back")

    async def _carry(self, source: trio.SocketStream, sink: trio.SocketStream, way: str) -> None:
        free = trio.current_time()
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some(_CHUNK):
                free = max(free, trio.current_time() - _CATCH_UP) + len(data) / self._rate
                await trio.sleep_until(free)
                await sink.send_all(data)
                setattr(self.carried, way, getattr(self.carried, way) + len(data))
            await sink.send_eof()


@asynccontextmanager
async def slow_line(target: int, rate: float, buffer: int = _BUFFER) -> AsyncIterator[SlowLine]:
    """Run a relay in front of 127.0.0.1:`target` that carries `rate` bytes a second each way; Linux makes `buffer` twice as large."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)  # those that it accepts inherit it
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    if hasattr(socket, "TCP_MAXSEG"):
        with suppress(OSError):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    async with trio.open_nursery() as nursery:
        line = SlowLine(listener.getsockname()[1], rate)
        listening = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        nursery.start_soon(partial(trio.serve_listeners, partial(line.join, target), [listening]))
        yield line
        nursery.cancel_scope.cancel()
