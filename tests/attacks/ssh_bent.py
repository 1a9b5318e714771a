"""An attacker by SSH: our own client, bent. What is attacked is the transport as it is."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from asyncssh.constants import (
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_REQUEST_FAILURE,
)
from asyncssh.packet import String, UInt32

from devp2p import Address, PrivateKey
from devp2p.transports import Connection
from devp2p.transports.memory import memory_stream_pair
from devp2p.transports.ssh import SshTransport
from devp2p.transports.ssh.connection import OurClient
from devp2p.transports.ssh.transport import SshLink
from devp2p.transports.ssh.wire import Wire

NODE, CALLER, MALLORY = (PrivateKey.from_bytes(bytes([number]) * 32) for number in (1, 2, 3))
AT = Address("ssh", "node", 1)


def pair() -> tuple[Connection, Connection]:
    """Both ends of a connection, the dialler's first."""
    one, other = memory_stream_pair()
    return Connection(one, Address("ssh", "caller", 2), AT), Connection(other, AT, Address("ssh", "caller", 2))


class Bent(OurClient):
    """Logs in as its options say, and notes what it is told."""

    swallowed = frozenset({MSG_CHANNEL_OPEN_CONFIRMATION, MSG_CHANNEL_OPEN_FAILURE, MSG_REQUEST_FAILURE})

    def process_packet(self, pkttype: int, pktid: int, packet: Any) -> Any:
        vars(self).setdefault("told", []).append(pkttype)
        if pkttype in self.swallowed:
            return True
        return super().process_packet(pkttype, pktid, packet)


@asynccontextmanager
async def attacked(make: Callable[..., OurClient] = Bent) -> AsyncGenerator[tuple[Wire, SshLink]]:
    """Mallory, who has logged in as the node that he is, and the node's end of his link."""
    ours, theirs = pair()
    mallory = Wire(ours.stream, lambda loop, wire: make(loop, wire, SshTransport(MALLORY)._as_client, None))
    links: list[Any] = []

    async def respond() -> None:
        links.append(await SshTransport(NODE).respond(theirs))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(respond)
        await mallory.start()
    try:
        yield mallory, links[0]
    finally:
        with trio.CancelScope(shield=True):
            await mallory.aclose()
            await links[0].aclose()


class Sink:
    """Mallory's end of a channel."""

    def __init__(self, told: list[int]) -> None:
        self.told = told

    def process_packet(self, kind: int, *_: Any) -> bool:
        self.told.append(kind)
        return True

    def process_connection_close(self, _: Any) -> None: ...

    def log_received_packet(self, *_: Any) -> None: ...


def ask(mallory: Wire, kind: bytes, *more: bytes, window: int = 1 << 20, largest: int = 32768) -> None:
    """Ask for a channel."""
    ours: Any = mallory._ours
    number = ours.add_channel(Sink(vars(ours).setdefault("told", [])))
    mallory.send(MSG_CHANNEL_OPEN, String(kind), UInt32(number), UInt32(window), UInt32(largest), *more)


def leading_to(host: bytes, port: int = 80) -> bytes:
    return String(host) + UInt32(port) + String(b"here") + UInt32(0)


def told(mallory: Wire) -> list[int]:
    ours: Any = mallory._ours
    return list(vars(ours).get("told", []))


async def until_lost(link: SshLink) -> str:
    with trio.fail_after(100):
        while link._wire.lost is None:
            await link._wire.changed.park()
    return link._wire.lost
