"""Nodes on a network in memory, and scripted peers of theirs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, Limits, Node, NodeRecord, PrivateKey, PublicKey, open_node
from devp2p.testing import MemoryTransport, ScriptedPeer
from devp2p.transports.links import ByteLink
from tests.chat import Chat

KEYS = sorted((PrivateKey.generate() for _ in range(3)), key=lambda key: bytes(key.public_key))
SMALL, MIDDLE, LARGE = KEYS
NO_PINGS = Limits(ping_interval=10**6)


class Network(MemoryTransport):
    """Memory that counts dials, and can give inbound links an address of the internet."""

    def __init__(self, seen_as: str | None = None) -> None:
        super().__init__()
        self.dials = 0
        self.seen_as = seen_as

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
        self.dials += 1
        return await super().dial(address, expect=expect)

    async def serve(self, address: Address, on_link: Any, **options: Any) -> None:
        async def renamed(link: ByteLink) -> None:
            if self.seen_as is not None:
                link.remote = Address("tcp", self.seen_as, 30303)
            await on_link(link)

        await super().serve(address, renamed, **options)


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
        await nursery.start(network.serve, Address("memory", "script"), on_link)
        yield NodeRecord(LARGE.public_key, (Address("memory", "script"),))
        nursery.cancel_scope.cancel()


async def silence(peer: ScriptedPeer) -> None:  # noqa: ARG001
    await trio.sleep_forever()
