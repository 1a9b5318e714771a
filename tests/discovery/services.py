"""Discovery on real sockets of this machine, for tests."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import pytest
import trio

from devp2p.discovery import Discovery, open_discovery
from devp2p.discovery.dns.source import LookupFailed
from devp2p.discovery.dns.tree import make_tree
from devp2p.keys import PrivateKey
from devp2p.records.enr import Record
from devp2p.records.node_record import NodeRecord

T = TypeVar("T")

BOTH = pytest.mark.parametrize("versions", [{4}, {5}, {4, 5}], ids=["v4", "v5", "both"])


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Discovery]:
    """A node on a free port."""
    options = {"listen": "udp://127.0.0.1:0", "entries": {"tcp": 30303}, **options}
    async with open_discovery(options.pop("key", None) or PrivateKey.generate(), **options) as discovery:
        yield discovery


@asynccontextmanager
async def network(size: int, **options: Any) -> AsyncIterator[list[Discovery]]:
    """Nodes of which each knows the first one only."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running(**options))
        others = [await stack.enter_async_context(running(bootnodes=[first.record.text], **options)) for _ in range(size - 1)]
        yield [first, *others]


def silent() -> NodeRecord:
    """A node that is not there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return NodeRecord.from_enr(Record.sign(PrivateKey.generate(), 1, {"ip": "127.0.0.1", "udp": sock.getsockname()[1]}))


async def eventually(ask: Callable[[], Awaitable[T | None]]) -> T:
    """Ask until there is an answer; not too often, as nodes answer only so often."""
    while (answer := await ask()) is None:  # noqa: ASYNC110  (what another node knows is no event here)
        await trio.sleep(0.3)
    return answer


async def found(discovery: Discovery, count: int, *filters: Any) -> dict[bytes, str]:
    """The sources of the first `count` candidates, by node."""
    candidates = discovery.candidates(*filters)
    sources: dict[bytes, str] = {}
    while len(sources) < count:
        candidate = await anext(candidates)
        sources[candidate.record.id] = candidate.source
    return sources


class TreeZone:
    """The names of one DNS tree."""

    def __init__(self, *nodes: Discovery) -> None:
        tree = make_tree([node.record for node in nodes], (), 3, PrivateKey.generate())
        self.url = tree.url("nodes.example.org")
        self.texts = tree.to_txt("nodes.example.org")

    async def txt(self, name: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        if name not in self.texts:
            raise LookupFailed("there is no such name")
        return [self.texts[name]]
