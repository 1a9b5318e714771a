"""Three nodes in memory: a relay, and two that have a session with it and cannot dial each other."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from devp2p import Capability, Limits, Node, NodeRecord, Peer, PrivateKey, open_node
from devp2p.capabilities.relay import Relay, RelayLimits
from devp2p.testing import MemoryTransport
from tests.chat import Chat

FREE = RelayLimits(circuit_time=0, circuit_bytes=0)


@dataclass
class Three:
    relay: Node
    one: Node
    other: Node
    relays: tuple[Relay, Relay, Relay]
    """Of the three nodes, in this order."""

    @property
    def where(self) -> str:
        """The relay's address, by which nobody has to be dialled."""
        return f"{bytes(self.relay.public_key).hex()}@192.0.2.1:30303"

    def through(self, node: Node) -> str:
        """A node as others reach it through the relay."""
        return f"relay://{bytes(node.public_key).hex()}@{self.where}"


@asynccontextmanager
async def open_three(
    limits: RelayLimits = FREE,
    *,
    one: Iterable[Capability[Any, Any]] = (),
    other: Iterable[Capability[Any, Any]] = (),
    session: Limits | None = None,
    reserve: bool = True,
    **options: Any,
) -> AsyncGenerator[Three]:
    """Run them; `other` listens at the relay, and has its reservation."""
    relays = Relay(serve=True, limits=limits), Relay(), Relay()
    network = MemoryTransport()
    common: dict[str, Any] = {"transports": [network], "limits": session, "strict": True} | options
    async with (
        open_node(PrivateKey.generate(), [relays[0]], listen=["memory://relay"], **common) as relay,
        open_node(PrivateKey.generate(), [relays[1], *(one or [Chat()])], **common) as first,
        open_node(PrivateKey.generate(), [relays[2], *(other or [Chat()])], **common) as second,
    ):
        for node in (first, second):
            await node.connect(NodeRecord(relay.public_key, relay.addresses))
        three = Three(relay, first, second, relays)
        if reserve:
            await second.listen(f"relay://{three.where}")
            await until_reserved(three)
        yield three


async def until_reserved(three: Three, count: int = 1) -> None:
    """Wait until the relay has granted so many reservations."""
    await until(lambda: three.relays[0].relaying.reservations >= count)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    while not holds():  # noqa: ASYNC110  (no event tells of it)
        await trio.sleep(0.01)


async def met(node: Node, other: Node) -> Peer:
    """The peer that one node is of another, once it is there."""
    await until(lambda: node.roster.get(other.public_key) is not None)
    peer = node.roster.get(other.public_key)
    assert peer is not None
    return peer
