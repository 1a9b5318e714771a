"""`Teller`: who is told of which transactions, and how (eth, "Transaction Exchange")."""

from collections.abc import Collection, Iterable

import trio.lowlevel

from devp2p.capabilities.eth.pool.columns import ALL
from devp2p.capabilities.eth.pool.entries import BLOB_TYPE
from devp2p.capabilities.eth.pool.known import whole_for
from devp2p.capabilities.eth.pool.limits import PoolLimits
from devp2p.capabilities.eth.pool.peering import PeerState
from devp2p.capabilities.eth.pool.shelf import Kept, Shelf

SPARSE = 72
"""The version of eth from which on blobs are exchanged by cells."""
AT_ONCE = 512
"""Hashes of an announcement that are gathered without giving way, about a millisecond."""


class Teller:
    """Tells peers of transactions: the square root of them whole, the others by their hashes, and nobody what it knows."""

    def __init__(self, shelf: Shelf, limits: PoolLimits, secret: bytes) -> None:
        self._shelf = shelf
        self._limits = limits
        self._secret = secret

    def spread(self, kept: Iterable[Kept], states: Collection[PeerState], *, again: bool = False) -> None:
        """Note for each peer what it is to be told of; `again`: also if it knows it, of its cells."""
        chosen, sender = set[PeerState](), b""
        told = set[PeerState]()
        for each in kept:
            transaction = each.transaction
            is_whole = transaction.type != BLOB_TYPE and each.size <= self._limits.broadcast_size
            if is_whole and transaction.sender != sender:
                sender = transaction.sender
                chosen = whole_for(((state.name, state) for state in states), sender, self._secret)
            for state in states:
                if not again and each.hash in state.known:
                    continue
                state.queue(state.whole if is_whole and state in chosen else state.tidings, each.hash, again=again)
                told.add(state)
        for state in told:
            state.tell.ring()

    def greet(self, state: PeerState) -> None:
        """Note all that can be executed for a new peer."""
        for each in self._shelf.ready():
            if each.hash not in state.known:
                state.tidings[each.hash] = False
        state.tell.ring()

    async def run(self, state: PeerState) -> None:
        """Tell one peer what is noted for it, for ever."""
        while True:
            await state.tell.heard()
            while state.whole or state.tidings:
                await self._send_whole(state)
                await self._announce(state)

    async def _send_whole(self, state: PeerState) -> None:
        items, size = list[bytes](), 0
        while state.whole and size < self._limits.broadcast_bytes:
            name = next(iter(state.whole))
            del state.whole[name]
            kept = self._shelf.get(name)
            if kept is not None and state.known.add(name):
                items.append(kept.item)
                size += len(kept.item)
        if items:
            await state.peer.send_transactions(items)

    async def _announce(self, state: PeerState) -> None:
        """Announce what is noted, in one message for each set of columns that blob transactions have here."""
        by_columns = dict[int, list[tuple[int, int, bytes]]]()
        version = state.peer.version
        for number, name in enumerate(list(state.tidings)[: self._limits.announce_hashes]):
            if number % AT_ONCE == AT_ONCE - 1:
                await trio.lowlevel.checkpoint()
            again = state.tidings.pop(name, None)
            kept = self._shelf.get(name)
            if again is None or kept is None or (name in state.known and not again):
                continue
            columns = kept.told
            if kept.transaction.type == BLOB_TYPE and version < SPARSE and columns != ALL:
                continue  # before eth/72 such a transaction is exchanged with its blobs only
            state.known.add(name)
            by_columns.setdefault(columns, []).append((kept.transaction.type, announced_size(kept, version), name))
        for columns, group in by_columns.items():
            types, sizes, hashes = zip(*group, strict=True)
            await state.peer.announce(bytes(types), list(sizes), list(hashes), columns)


def announced_size(kept: Kept, version: int) -> int:
    """What a transaction is announced with in a version of eth: from eth/72 on without its blobs."""
    if version >= SPARSE or not kept.blobs:
        return kept.size
    whole = kept.whole()
    return kept.size if whole is None else whole.size
