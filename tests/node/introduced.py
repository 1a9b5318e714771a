"""Nodes that know each other, each of a network of its own, and may introduce each other: in memory, at addresses of the internet."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, Channel, Limits, Node, Peer, PrivateKey, PublicKey, open_node
from devp2p.conduct import RecentConduct
from devp2p.transports.links import ByteLink
from devp2p.transports.memory import MemoryTransport, memory_link_pair
from devp2p.trust import Trust
from tests.chat import Chat, ChatMessage

NO_PINGS = Limits(ping_interval=10**6)


class Internet(MemoryTransport):
    """What one host reaches the others by."""

    schemes = frozenset({"tcp"})

    def __init__(self, ip: str, beside: "Internet | None") -> None:
        super().__init__(beside)
        self._ip = ip
        self._ports = count(50_000)

    def _connect(self, ends: tuple[Address, Address], keys: tuple[PublicKey, PublicKey] | None) -> tuple[ByteLink, ByteLink]:
        return memory_link_pair(keys, ends=(Address("tcp", self._ip, next(self._ports)), ends[1]))


class Served(Chat):
    """Finds each peer of some use, and all of the same, but for those whose keys it is told."""

    slots = 8

    def __init__(self, *poor: PublicKey) -> None:
        self.poor = {key.node_id for key in poor}

    async def run(self, peer: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            channel.conduct.useful(1 if peer.id in self.poor else 10)
            await trio.sleep(10)

    def metric(self, conduct: RecentConduct) -> float:
        return float(conduct.useful > 10) - conduct.severity


class Town:
    """The nodes, by name."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._hosts: list[Internet] = []
        self.nodes: dict[str, Node] = {}

    async def settle(self, name: str, **options: Any) -> Node:
        """Open a node on a host of its own, in a network of its own unless `network` names one."""
        number = len(self._hosts) + 1
        ip = f"{options.pop('network', f'5.{number}')}.0.{number}"
        host = Internet(ip, self._hosts[0] if self._hosts else None)
        self._hosts.append(host)
        usual: dict[str, Any] = {
            "capabilities": [Served()],
            "listen": [f"tcp://{ip}:30303"],
            "strict": True,
            "limits": NO_PINGS,
            "transports": [host],
        }
        options = usual | options
        node = await self._stack.enter_async_context(
            open_node(options.pop("key", None) or PrivateKey.generate(), options.pop("capabilities"), **options)
        )
        self.nodes[name] = node
        return node

    async def acquaint(self, one: Node, *others: Node, known: bool = True) -> None:
        """Let a node dial others, and let them know each other as from earlier sessions; and let a time pass in which all are rated."""
        for other in others:
            await (one.connect(other.record) if other.addresses else other.connect(one.record))
            await wait_all_tasks_blocked()
            if known:
                for left, right in ((one, other), (other, one)):
                    peer = self.peer(left, right)
                    peer.profile = replace(peer.profile, trust=Trust.KNOWN, why="for the test")
        await trio.sleep(30)

    @staticmethod
    def peer(one: Node, other: Node) -> Peer:
        """What one node sees of another."""
        peer = one.roster.get(other.public_key)
        assert peer is not None
        return peer


@asynccontextmanager
async def town() -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        yield Town(stack)
