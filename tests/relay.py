"""Bad lines between real sockets of this machine: a relay for TCP connections and a switch for UDP datagrams, whose whims come from a seed.

A `TcpRelay` stands at an address of its own and connects each link that comes with its target. A `UdpSwitch` gives each node a public
port, and a datagram that is sent to such a port arrives from the sender's public one; so every node is at one place for all others, and
nothing between two of them gets around the switch.
"""

import math
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import trio

_CHUNK: Final = 4096  # bytes that are taken at once, so that a slow line is slow evenly
_UNDER_WAY: Final = 256  # chunks that a direction holds while they are delayed
_FROZEN: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets the connection

Cut = Literal["reset", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one direction of a TCP connection is like. Times are seconds, sizes bytes, counted from the beginning of the connection."""

    delay: float = 0.0
    jitter: float = 0.0
    """So much may be added to each chunk's delay; the order stays."""
    rate: float = math.inf
    """Bytes a second."""
    stall_after: float = math.inf
    """After so many bytes nothing is read for `stall` seconds."""
    stall: float = 0.0
    silent_after: float = math.inf
    """After so many bytes everything is swallowed, as if the way had gone: a half-open connection."""
    cut_after: float = math.inf
    """After so many bytes the connection is cut, by a reset or an end (FIN) in both directions."""
    cut: Cut = "reset"


GOOD: Final = Line()


class TcpRelay:
    """Joins the links that come with a target. What is set while it runs holds for connections that come afterwards."""

    def __init__(self, port: int, there: Line, back: Line, seed: int, nursery: trio.Nursery) -> None:
        self.port = port
        """Where it listens, at 127.0.0.1."""
        self.there = there
        """From who dials to the target."""
        self.back = back
        self.connections = 0
        """How many have come."""
        self._seed = seed
        self._nursery = nursery
        self._open: set[Connection] = set()

    def cut(self, how: Cut = "reset") -> None:
        """Cut what there is."""
        for connection in tuple(self._open):
            connection.cut(how)

    def silence(self, *, there: bool = True, back: bool = True) -> None:
        """Swallow what comes from now on, on the connections that there are."""
        for connection in self._open:
            connection.silent = (connection.silent[0] or there, connection.silent[1] or back)

    async def _serve(self, target: int, stream: trio.SocketStream) -> None:
        self.connections += 1
        number = self.connections
        there, back = self.there, self.back
        try:
            other = await trio.open_tcp_stream("127.0.0.1", target)
        except OSError:
            await trio.aclose_forcefully(stream)
            return
        connection = Connection(stream, other)
        self._open.add(connection)
        try:
            with connection.scope:
                async with trio.open_nursery() as nursery:
                    for index, line in enumerate((there, back)):
                        dice = random.Random(f"{self._seed} {number} {index}")
                        nursery.start_soon(connection.carry, index, line, dice)
        finally:
            self._open.discard(connection)
            for end in (stream, other):
                end.socket.close()


class Connection:
    """Two sockets and what goes between them; the direction 0 is from the first to the second."""

    def __init__(self, first: trio.SocketStream, second: trio.SocketStream) -> None:
        self.scope = trio.CancelScope()
        self.silent: tuple[bool, bool] = (False, False)
        self._ends = (first, second)

    def cut(self, how: Cut) -> None:
        """End it in both directions."""
        if how == "reset":
            for end in self._ends:
                with suppress(OSError, trio.ClosedResourceError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FROZEN)
        self.scope.cancel()

    async def carry(self, index: int, line: Line, dice: random.Random) -> None:
        """Carry the bytes of one direction."""
        write, read = trio.open_memory_channel[tuple[float, bytes]](_UNDER_WAY)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._take, self._ends[index], line, dice, write)
                nursery.start_soon(self._give, self._ends[1 - index], index, line, read)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            self.cut("reset")

    async def _take(
        self, source: trio.SocketStream, line: Line, dice: random.Random, write: trio.MemorySendChannel[tuple[float, bytes]]
    ) -> None:
        taken, due = 0, 0.0
        async with write:
            while data := bytes(await source.receive_some(_CHUNK)):
                due = max(due, trio.current_time() + line.delay + line.jitter * dice.random())
                await write.send((due, data))
                if taken < line.stall_after <= taken + len(data):
                    await trio.sleep(line.stall)
                taken += len(data)

    async def _give(self, sink: trio.SocketStream, index: int, line: Line, read: trio.MemoryReceiveChannel[tuple[float, bytes]]) -> None:
        given, free = 0, 0.0
        async for due, data in read:
            free = max(free, trio.current_time()) + len(data) / line.rate
            await trio.sleep_until(max(due, free))
            heard = data[: int(min(len(data), max(0.0, min(line.silent_after, line.cut_after) - given)))]
            if heard and not self.silent[index]:
                await sink.send_all(heard)
            given += len(data)
            if given >= line.cut_after:
                self.cut(line.cut)
        if not self.silent[index] and given < line.silent_after:
            await sink.send_eof()


@asynccontextmanager
async def tcp_relay(target: int, *, there: Line = GOOD, back: Line = GOOD, seed: int = 1) -> AsyncIterator[TcpRelay]:
    """Run a relay in front of 127.0.0.1:`target`."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        relay = TcpRelay(listener.socket.getsockname()[1], there, back, seed, nursery)
        nursery.start_soon(partial(trio.serve_listeners, partial(relay._serve, target), [listener]))
        yield relay
        nursery.cancel_scope.cancel()


@dataclass(frozen=True, slots=True, kw_only=True)
class Air:
    """What becomes of each datagram. Shares are between 0 and 1, times are seconds."""

    loss: float = 0.0
    duplication: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    """So much may be added to each datagram's delay, so that they overtake one another."""


class UdpSwitch:
    """Public ports at 127.0.0.1, and the nodes behind them."""

    def __init__(self, air: Air, seed: int, nursery: trio.Nursery) -> None:
        self.air = air
        self.carried = self.lost = 0
        """Datagrams."""
        self._dice = random.Random(seed)
        self._nursery = nursery
        self._public: dict[int, trio.socket.SocketType] = {}
        self._behind: dict[int, int] = {}  # public port -> the node's own
        self._port_of: dict[int, int] = {}  # and back

    async def open_port(self) -> int:
        """A new public port."""
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        await sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        self._public[port] = sock
        self._nursery.start_soon(self._receive, port, sock)
        return port

    def attach(self, public: int, own: int) -> None:
        """Say which port a node itself has, once it has one."""
        self._behind[public] = own
        self._port_of[own] = public

    def close(self) -> None:
        for sock in self._public.values():
            sock.close()

    async def _receive(self, port: int, sock: trio.socket.SocketType) -> None:
        while True:
            try:
                data, (_, sender) = await sock.recvfrom(2048)
            except ConnectionError:  # an answer of the system's to what was sent to a node that is gone
                continue
            if (source := self._port_of.get(sender)) is None or (target := self._behind.get(port)) is None:
                continue
            for _ in range(self._copies()):
                delay = self.air.delay + self.air.jitter * self._dice.random()
                self._nursery.start_soon(self._deliver, self._public[source], data, target, delay)

    def _copies(self) -> int:
        """How often a datagram arrives."""
        if self._dice.random() < self.air.loss:
            self.lost += 1
            return 0
        self.carried += 1
        return 2 if self._dice.random() < self.air.duplication else 1

    async def _deliver(self, source: trio.socket.SocketType, data: bytes, target: int, delay: float) -> None:
        if delay:
            await trio.sleep(delay)
        with suppress(ConnectionError):
            await source.sendto(data, ("127.0.0.1", target))


@asynccontextmanager
async def udp_switch(air: Air, *, seed: int = 1) -> AsyncIterator[UdpSwitch]:
    """Run a switch."""
    async with trio.open_nursery() as nursery:
        switch = UdpSwitch(air, seed, nursery)
        try:
            yield switch
        finally:
            nursery.cancel_scope.cancel()
            switch.close()
