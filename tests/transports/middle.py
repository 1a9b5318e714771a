"""Who stands between two nodes: passes their bytes on, and at a chosen place spoils them, hangs up, or falls silent."""

import random
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import trio

from devp2p import Address

How = Literal["garbage", "hang up", "silence"]
HOWS: tuple[How, ...] = ("garbage", "hang up", "silence")
_FAULTS = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


@dataclass(frozen=True)
class Fault:
    """What goes wrong in one direction, after so many bytes (of TCP) or datagrams (of UDP) have passed."""

    to_node: bool
    after: int
    how: How


class Middle:
    """An address that leads to the node, for one connection."""

    def __init__(self, address: Address, fault: Fault | None) -> None:
        self.address: Address = address
        """Where to dial."""
        self.fault: Fault | None = fault
        self.passed: dict[bool, int] = {True: 0, False: 0}
        """Bytes or datagrams, to the node and back."""
        self.first: bytearray = bytearray()
        """What the caller has said before anything came back."""
        self.struck: trio.Event = trio.Event()
        self._random = random.Random(7)

    def strike(self, *, to_node: bool, size: int) -> How | None:
        """What is to happen to a piece or datagram; it has passed if nothing is."""
        fault = self.fault
        if self.struck.is_set():
            return None if fault is None else fault.how
        if fault is None or fault.to_node is not to_node or self.passed[to_node] + size <= fault.after:
            self.passed[to_node] += size
            return None
        self.struck.set()
        return fault.how

    def silence(self) -> None:
        """From now on nothing passes."""
        self.fault = Fault(to_node=True, after=0, how="silence")
        self.struck.set()

    def noise(self, size: int) -> bytes:
        """What is no sense."""
        return self._random.randbytes(size)


@asynccontextmanager
async def between(carrier: str, node: Address, fault: Fault | None = None) -> AsyncGenerator[Middle]:
    """Stand before a node, at an IP address of the same kind."""
    async with trio.open_nursery() as nursery:
        if carrier == "tcp":
            (listener,) = await trio.open_tcp_listeners(0, host=node.host)
            middle = Middle(replace(node, port=listener.socket.getsockname()[1]), fault)
            nursery.start_soon(_tcp, listener, node, middle)
        else:
            sock = trio.socket.socket(socket.AF_INET6 if ":" in node.host else socket.AF_INET, socket.SOCK_DGRAM)
            await sock.bind((node.host, 0))
            middle = Middle(replace(node, port=sock.getsockname()[1]), fault)
            nursery.start_soon(_udp, sock, node, middle)
        try:
            yield middle
        finally:
            nursery.cancel_scope.cancel()


async def _tcp(listener: trio.SocketListener, node: Address, middle: Middle) -> None:
    async with (
        listener,
        await listener.accept() as caller,
        await trio.open_tcp_stream(node.host, node.port or 0) as called,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(partial(_pump, caller, called, middle, to_node=True))
        nursery.start_soon(partial(_pump, called, caller, middle, to_node=False))


async def _pump(source: trio.SocketStream, sink: trio.SocketStream, middle: Middle, *, to_node: bool) -> None:
    with suppress(*_FAULTS):
        while data := await source.receive_some(65536):
            if to_node and not middle.passed[False]:
                middle.first += data
            how = middle.strike(to_node=to_node, size=len(data))
            if how is None:
                await sink.send_all(data)
                continue
            fault = middle.fault
            if fault is not None and fault.to_node is to_node and (left := max(0, fault.after - middle.passed[to_node])):
                middle.passed[to_node] = fault.after
                await sink.send_all(data[:left])
            if how == "garbage":
                await sink.send_all(middle.noise(400))
            if how != "silence":
                break
        else:
            await sink.send_eof()
            return
    if middle.fault is None or middle.fault.how != "silence":
        await trio.aclose_forcefully(source)
        await trio.aclose_forcefully(sink)


async def _udp(sock: trio.socket.SocketType, node: Address, middle: Middle) -> None:
    family = socket.AF_INET6 if ":" in node.host else socket.AF_INET
    with sock, trio.socket.socket(family, socket.SOCK_DGRAM) as out:
        await out.connect((node.host, node.port or 0))
        caller: list[tuple[str, int]] = []

        async def back() -> None:
            while True:
                with suppress(OSError):
                    if (data := _spoiled(await out.recv(65536), middle, to_node=False)) and caller:
                        await sock.sendto(data, caller[-1])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(back)
            while True:
                with suppress(OSError):
                    data, name = await sock.recvfrom(65536)
                    caller[:] = [name]
                    if data := _spoiled(data, middle, to_node=True):
                        await out.send(data)


def _spoiled(data: bytes, middle: Middle, *, to_node: bool) -> bytes:
    """A datagram as it is passed on; none if it is lost."""
    how = middle.strike(to_node=to_node, size=1)
    if how is None:
        return data
    fault = middle.fault
    return middle.noise(len(data)) if how == "garbage" and fault is not None and fault.to_node is to_node else b""
