"""A measured process of eth and snap: ``serve`` and ``fetch`` as those of go-ethereum's chaintool (tests/interop/geth/README.md)."""

import argparse
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import trio

from devp2p import Peer, PrivateKey, open_node
from devp2p.allocator import keep_freed_memory
from devp2p.capabilities.eth import Eth, EthPeer, eth
from devp2p.capabilities.ethereum.blocks import Body, Header
from devp2p.capabilities.ethereum.store import SqliteChain
from devp2p.capabilities.snap import Snap, SnapPeer, snap
from tools.bench.endpoints.basics import emit

BATCH = 128
"""Blocks that a request is for; of headers three times as many."""
PARALLEL = 4
"""Requests that are on their way at a time."""
PAGE = 512 * 1024
KEYS = 2**256
"""How many keys a trie has room for."""

Amount: TypeAlias = tuple[int, int]
"""How many, and how many bytes of RLP."""


async def serve(options: argparse.Namespace) -> None:
    """Serve a chain file until stdin ends."""
    with SqliteChain.open(options.database) as chain:
        async with open_node(PrivateKey.generate(), [*eth(chain), *snap(chain, chain)], listen=["tcp://127.0.0.1:0"]) as node:
            emit({"event": "listening", "enode": node.enode})
            await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


async def fetch(options: argparse.Namespace) -> None:
    """Fetch from a peer; of the chain file beside the genesis file, which has it all, only the network matters."""
    kinds = options.what.split(",")
    with SqliteChain.open(Path(options.genesis).with_name("chain.db")) as chain:
        async with open_node(PrivateKey.generate(), [*eth(chain), *snap(chain, chain)], listen=[]) as node:
            await _fetch_from(await node.connect(options.source), kinds)


async def _fetch_from(connected: Peer, kinds: Sequence[str]) -> None:
    """Fetch one thing after the other, and tell how long each took."""
    peer = await connected.ready(Eth)
    emit({"event": "status", "version": peer.version, "latest": peer.head})
    headers: list[Header] = []
    if "accounts" in kinds:
        await connected.ready(Snap)
    if kinds[0] != "headers":
        await fetch_headers(peer, headers)
    tasks: dict[str, Callable[[], Awaitable[Amount]]] = {
        "headers": lambda: fetch_headers(peer, headers),
        "bodies": lambda: fetch_bodies(peer, headers),
        "accounts": lambda: fetch_accounts(connected[Snap], headers[-1].state_root),
    }
    for kind in kinds:
        began = time.perf_counter()
        items, size = await tasks[kind]()
        emit({"event": "fetched", "what": kind, "items": items, "bytes": size, "seconds": time.perf_counter() - began})


async def fetch_headers(peer: EthPeer, headers: list[Header]) -> Amount:
    """Fetch all headers above genesis into a list, and see that they are linked."""
    parts: dict[int, Sequence[Header]] = {}

    async def task(start: int) -> None:
        wanted = min(3 * BATCH, peer.head - start + 1)
        parts[start] = await peer.headers(start, wanted)
        if len(parts[start]) != wanted:
            raise AssertionError(f"{len(parts[start])} headers from {start} on, not {wanted}")

    await in_parallel(task, range(1, peer.head + 1, 3 * BATCH))
    headers[:] = [header for start in sorted(parts) for header in parts[start]]
    if any(header.parent_hash != before.hash for before, header in pairwise(headers)):
        raise AssertionError("a header that does not follow the one before")
    return len(headers), sum(len(header.raw) for header in headers)


async def fetch_bodies(peer: EthPeer, headers: Sequence[Header]) -> Amount:
    """Fetch the bodies of all headers."""
    found: list[Body] = []

    async def task(start: int) -> None:
        rest = headers[start : start + BATCH]
        while rest:
            brought = [body for body in await peer.bodies(rest) if body is not None]
            if not brought:
                raise AssertionError(f"nothing for block {rest[0].number}")
            found.extend(brought)
            rest = rest[len(brought) :]

    await in_parallel(task, range(0, len(headers), BATCH))
    return len(found), sum(len(item) for body in found for item in body.transactions)


async def fetch_accounts(peer: SnapPeer, root: bytes) -> Amount:
    """Fetch all accounts of a state; the space of keys is split between the requests."""
    count = size = 0

    async def task(part: int) -> None:
        nonlocal count, size
        key, limit = KEYS * part // PARALLEL, KEYS * (part + 1) // PARALLEL - 1
        more = True
        while more and key <= limit:
            page = await peer.account_range(root, key.to_bytes(32, "big"), limit.to_bytes(32, "big"), PAGE)
            if page is None:
                raise AssertionError("the peer does not have the state of its head")
            last = int.from_bytes(max(page.accounts), "big") if page.accounts else limit
            count += len(page.accounts) - (last > limit)
            size += page.size
            key, more = last + 1, page.more

    await in_parallel(task, range(PARALLEL))
    return count, size


async def in_parallel(task: Callable[[int], Awaitable[None]], starts: Sequence[int]) -> None:
    """Do a task for each start, some at a time."""
    places = trio.CapacityLimiter(PARALLEL)

    async def run(start: int) -> None:
        async with places:
            await task(start)

    async with trio.open_nursery() as nursery:
        for start in starts:
            nursery.start_soon(run, start)


def main() -> None:
    """Read the command line; what a flag is for, chaintool says."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.endpoints.blockchain")
    parser.add_argument("command", choices=("serve", "fetch"))
    parser.add_argument("--database")
    parser.add_argument("--genesis")
    parser.add_argument("--from", dest="source")
    parser.add_argument("--what", default="headers")
    options = parser.parse_args()
    keep_freed_memory()
    trio.run(serve if options.command == "serve" else fetch, options)


if __name__ == "__main__":
    main()
