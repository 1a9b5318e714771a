"""Nodes on a network in memory, and scripted peers of theirs."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, Limits, Node, NodeRecord, PrivateKey, PublicKey, open_node
from devp2p.testing import MemoryTransport, ScriptedPeer
from devp2p.transports.links import Arrival, ByteLink, Link, Listener, OnLink
from tests.chat import Chat

KEYS = sorted((PrivateKey.generate() for _ in range(3)), key=lambda key: bytes(key.public_key))
SMALL, MIDDLE, LARGE = KEYS
NO_PINGS = Limits(ping_interval=10**6)


class Changed:
    """A listener whose links are changed before anybody sees them."""

    def __init__(self, listener: Listener, change: Callable[[Any], Link]) -> None:
        self._listener = listener
        self._change = change
        self.addresses = listener.addresses

    async def serve(self, on_link: OnLink) -> None:
        async def changed(link: Arrival) -> None:
            await on_link(self._change(link))

        await self._listener.serve(changed)

    async def aclose(self) -> None:
        await self._listener.aclose()


class Network(MemoryTransport):
    """Memory that counts dials, and can give inbound links an address of the internet."""

    def __init__(self, seen_as: str | None = None) -> None:
        super().__init__()
        self.dials = 0
        self.seen_as = seen_as

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
        self.dials += 1
        return await super().dial(address, expect=expect)

    async def bind(self, address: Address) -> Any:
        def renamed(link: Any) -> Any:
            if self.seen_as is not None:
                link.remote = Address("tcp", self.seen_as, 30303)
            return link

        return Changed(await super().bind(address), renamed)


@asynccontextmanager
async def running(network: MemoryTransport, name: str = "node", **options: Any) -> AsyncIterator[Node]:
    options = {"key": MIDDLE, "capabilities": [Chat()], "listen": [f"memory://{name}"], "strict": True, "limits": NO_PINGS, **options}
    async with open_node(options.pop("key"), options.pop("capabilities"), transports=[network], **options) as node:
        yield node


async def scripted(network: MemoryTransport, node: Node, key: PrivateKey | None = None) -> ScriptedPeer:
    peer = await ScriptedPeer.dial(network, node.record, [Chat()], key=key)
    await peer.begin()
    await wait_all_tasks_blocked()
    return peer


@asynccontextmanager
async def listening_script(network: MemoryTransport, behave: Any) -> AsyncIterator[NodeRecord]:
    """A node that does what a test wants with each inbound link."""

    async def on_link(link: ByteLink) -> None:
        peer = ScriptedPeer(link.stream, [Chat()], key=LARGE)
        nursery.start_soon(behave, peer)

    async with trio.open_nursery() as nursery:
        nursery.start_soon((await network.bind(Address("memory", "script"))).serve, on_link)
        yield NodeRecord(LARGE.public_key, (Address("memory", "script"),))
        nursery.cancel_scope.cancel()


async def silence(peer: ScriptedPeer) -> None:  # noqa: ARG001
    await trio.sleep_forever()
