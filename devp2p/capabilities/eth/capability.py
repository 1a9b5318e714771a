"""The capability: Status on both sides, then requests, answers and transactions until the session ends."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import trio

from devp2p import Capability, Channel, Entries, LocalProtocolError, NodeRecord, Peer, RemoteProtocolError
from devp2p.capabilities.eth.greeting import check_range, check_status, status_of
from devp2p.capabilities.eth.messages import (
    LENGTHS,
    MESSAGES,
    BlockAccessLists,
    BlockBodies,
    BlockHeaders,
    BlockRangeUpdate,
    EthMessage,
    GetBlockAccessLists,
    GetBlockBodies,
    GetBlockHeaders,
    GetCells,
    GetPooledTransactions,
    GetReceipts,
    GetReceipts69,
    NewBlock,
    NewBlockHashes,
    NewPooledTransactionHashes,
    NewPooledTransactionHashes71,
    Receipts,
    Receipts69,
    Status,
    Transactions,
    columns_of,
)
from devp2p.capabilities.eth.peer import EthPeer
from devp2p.capabilities.eth.pool import Pool
from devp2p.capabilities.eth.serving import Server
from devp2p.capabilities.ethereum import Chain, GenesisChain, require_parts
from devp2p.capabilities.ethereum.networks import eth_entries, wants_node

UPDATE_INTERVAL: Final = 120.0
"""Seconds between two looks at our head, after which peers are told if it moved (eth, "BlockRangeUpdate")."""


@dataclass(frozen=True, slots=True)
class Side:
    """Our side of eth, which all its versions share."""

    chain: Chain
    pool: Pool | None = None


class Eth(Capability[EthMessage, EthPeer]):
    """eth in any version: ``peer[Eth]`` is an `EthPeer`, and ``node.peers(Eth)`` are those whose Status fits ours. `eth` makes them all.

    Which lane (docs/qos.md). GetBlockHeaders is urgent: it is small, and what is at the head of the chain is asked for by it. So is Status,
    which must not be overtaken by anything. Requests with hashes may be larger than an urgent message, and have no lane of their own.
    Answers with data of blocks are bulk, up to 10 MB each that nobody needs within a second: transactions, announcements, requests,
    and whatever other capabilities have to say goes before them. Pooled transactions and cells are needed soon, and are not bulk.
    """

    name = "eth"
    slots = 16
    ready_within: ClassVar[float | None] = 5.0
    request_timeout: ClassVar[float] = 15.0  # what 2 MiB take at 1.2 Mbit/s

    def __init__(self, side: Side) -> None:
        self.side: Side = side
        """What is shared by all versions."""

    def record_entries(self) -> Entries:
        """The node's record says our fork id, which changes when the head passes a fork (enr-entries/eth.md)."""
        return eth_entries(self.side.chain.network, self.side.chain.head)

    def wants(self, record: NodeRecord) -> bool:
        """A node that discovery has found is dialled if its record has a fork id that fits ours (EIP-2124)."""
        return wants_node(self.side.chain.network, self.side.chain.head, record)

    async def run(self, peer: Peer, channel: Channel[EthMessage]) -> None:
        """Exchange Status, then serve and listen until the session ends."""
        chain, pool = self.side.chain, self.side.pool
        ours = status_of(chain, self.version)
        await channel.send(ours)
        theirs = await channel.receive()
        if not isinstance(theirs, Status):
            raise RemoteProtocolError(f"{type(theirs).__name__} came before Status")
        check_status(theirs, ours, chain)
        handle = EthPeer(peer, channel, theirs, self.request_timeout)
        channel.ready(handle)
        server = Server(chain, pool, handle, channel)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            nursery.start_soon(_tell_range, chain, channel, ours)
            if pool is not None:
                nursery.start_soon(pool.run, handle)
            async for message in channel:
                await self._take(message, handle, server)

    async def _take(self, message: EthMessage, peer: EthPeer, server: Server) -> None:
        pool = self.side.pool
        match message:
            case (
                GetBlockHeaders()
                | GetBlockBodies()
                | GetReceipts69()
                | GetReceipts()
                | GetBlockAccessLists()
                | GetPooledTransactions()
                | GetCells()
            ):
                await server.put(message)
            case Transactions(items):
                if pool is not None:
                    await pool.received(peer, items)
            case NewPooledTransactionHashes71(types, sizes, hashes):
                if pool is not None:
                    await pool.announced(peer, types, sizes, hashes, 0)
            case NewPooledTransactionHashes(types, sizes, hashes, cells):
                if len(cells) not in {0, 16}:
                    raise RemoteProtocolError(f"a bitmap of cells has 16 bytes, or none (EIP-8070), not {len(cells)}")
                if pool is not None:
                    await pool.announced(peer, types, sizes, hashes, columns_of(cells))
            case BlockRangeUpdate():
                check_range(message)
                peer.update(message)
            case Status():
                raise RemoteProtocolError("a second Status came")
            case NewBlockHashes() | NewBlock():
                raise RemoteProtocolError(f"{type(message).__name__} came, which nobody may send since the merge (EIP-3675)")
            case _:  # an answer, which goes to whoever has asked
                raise RemoteProtocolError(f"{type(message).__name__} came unasked")


class Eth69(Eth):
    """eth/69 (EIP-7642): Status and BlockRangeUpdate say which blocks there are, and receipts come without their bloom filters."""

    version = 69
    messages: ClassVar[Mapping[int, type[Any]]] = MESSAGES[69]
    length: ClassVar[int | None] = LENGTHS[69]
    urgent: ClassVar[Collection[type[Any]]] = {Status, GetBlockHeaders}
    bulk: ClassVar[Collection[type[Any]]] = {BlockHeaders, BlockBodies, Receipts69}


class Eth70(Eth):
    """eth/70 (EIP-7975): the receipts of a large block in several answers."""

    version = 70
    messages: ClassVar[Mapping[int, type[Any]]] = MESSAGES[70]
    length: ClassVar[int | None] = LENGTHS[70]
    urgent: ClassVar[Collection[type[Any]]] = {Status, GetBlockHeaders}
    bulk: ClassVar[Collection[type[Any]]] = {BlockHeaders, BlockBodies, Receipts}


class Eth71(Eth):
    """eth/71 (EIP-8159): block access lists."""

    version = 71
    messages: ClassVar[Mapping[int, type[Any]]] = MESSAGES[71]
    length: ClassVar[int | None] = LENGTHS[71]
    urgent: ClassVar[Collection[type[Any]]] = {Status, GetBlockHeaders}
    bulk: ClassVar[Collection[type[Any]]] = {BlockHeaders, BlockBodies, Receipts, BlockAccessLists}


class Eth72(Eth):
    """eth/72 (EIP-8070): the cells of blobs apart from their transactions."""

    version = 72
    messages: ClassVar[Mapping[int, type[Any]]] = MESSAGES[72]
    length: ClassVar[int | None] = LENGTHS[72]
    urgent: ClassVar[Collection[type[Any]]] = {Status, GetBlockHeaders}
    bulk: ClassVar[Collection[type[Any]]] = {BlockHeaders, BlockBodies, Receipts, BlockAccessLists}


VERSIONS: Final[dict[int, type[Eth]]] = {69: Eth69, 70: Eth70, 71: Eth71, 72: Eth72}


def eth(chain: Chain | None = None, *, pool: Pool | None = None, versions: Iterable[int] = (69, 70, 71, 72)) -> tuple[Eth, ...]:
    """Make eth for a node, in all `versions` or some; with each peer the highest that both sides have runs.

        async with open_node(key, eth(chain), bootnodes=bootnodes) as node:
            async for peer in node.peers(Eth):
                headers = await peer[Eth].headers(peer[Eth].head, 1)

    They share the chain that is served, by default the first block of mainnet, which is enough to ask others; and the `pool`, without which
    transactions of peers are ignored. LocalProtocolError for a version that is none, and for a chain or pool that lacks something.
    """
    wanted = tuple(versions)
    unknown = [version for version in wanted if version not in VERSIONS]
    if unknown or not wanted:
        raise LocalProtocolError(f"versions of eth are some of {', '.join(map(str, VERSIONS))}, not {unknown or 'none'}")
    if chain is None:
        chain = GenesisChain.public("mainnet")
    require_parts(chain, Chain)
    if pool is not None:
        require_parts(pool, Pool)
    side = Side(chain, pool)
    return tuple(VERSIONS[version](side) for version in sorted(set(wanted)))


async def _tell_range(chain: Chain, channel: Channel[EthMessage], told: Status) -> None:
    """Tell the peer which blocks we have whenever that has changed, but not more often than eth recommends."""
    last = BlockRangeUpdate(told.earliest, told.latest, told.latest_hash)
    while True:
        await trio.sleep(UPDATE_INTERVAL)
        head = chain.head
        update = BlockRangeUpdate(head.earliest, head.number, head.hash)
        if update != last:
            await channel.send(update)
            last = update
