"""`backfill`: every peer of a node that speaks eth is asked, at the same time, until an order is filled."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import trio

from devp2p import Devp2pError, DisconnectReason, LocalProtocolError, Node, NodeId, Peer, PeerDisconnected, rlp
from devp2p.capabilities.backfill.journal import Journal, JournalError, Part
from devp2p.capabilities.backfill.parts import WINDOW, Parts
from devp2p.capabilities.backfill.portion import SLOW, Portion
from devp2p.capabilities.backfill.span import PIECE, Piece, Span
from devp2p.capabilities.eth import Eth, EthPeer, InvalidAnswer
from devp2p.capabilities.ethereum.blocks import Header

_FORGIVEN_AFTER = 30.0
"""Seconds after which a peer is asked again for what it did not have: it may be syncing."""
_REST, _LONGEST_REST = 10.0, 60.0
"""Seconds for which a peer that has kept us waiting is not asked, doubled each time: what it kept is for the others first."""
_ONE_ANSWER = 30.0
"""Seconds within which the receipts of one request have to come, which may be in many parts, each of them in time."""
_LIE = 2
_GONE = (PeerDisconnected, trio.TooSlowError, InvalidAnswer)


class BackfillError(Devp2pError):
    """An order cannot be filled; the text says what is missing, and who was asked."""


async def find_anchor(node: Node, number: int, *, peers: int | None = None, patience: float = 30.0) -> bytes:
    """Ask the peers of a node for the hash of a block, on which all that have it must agree.

    It waits until so many `peers` have told it, or for a second after the first.

    That is as good as the peers are. Whoever knows the hash from elsewhere should use that. Raises `BackfillError` if two differ, or if
    none has it in `patience` seconds.
    """
    found: dict[NodeId, bytes] = {}
    with trio.move_on_after(patience):
        async with trio.open_nursery() as nursery:

            async def ask(peer: Peer) -> None:
                try:
                    headers = await peer[Eth].headers(number, 1)
                except (*_GONE, KeyError):
                    return
                if headers:
                    found[peer.id] = headers[0].hash
                    if len(found) == peers:
                        nursery.cancel_scope.cancel()
                    nursery.cancel_scope.deadline = min(nursery.cancel_scope.deadline, trio.current_time() + 1)  # for the others

            async for peer in node.peers(Eth):
                nursery.start_soon(ask, peer)
    votes = Counter(found.values())
    if not votes:
        raise BackfillError(f"no peer has block {number}: {_those_of(node)}")
    if len(votes) > 1:
        told = "; ".join(f"{peer.hex()[:16]}… says 0x{value.hex()}" for peer, value in found.items())
        raise BackfillError(f"the peers do not agree on block {number}: {told}; give the hash of the one that you trust")
    return votes.most_common(1)[0][0]


async def backfill(node: Node, journal: Journal, *, patience: float = 60.0) -> None:
    """Fetch what the journal's order says and is not in it yet, from all peers of a node that speak eth.

    Everything is verified before it is kept: headers by their links down from the order's anchor, bodies and receipts by the roots in
    these. A peer that leaves something out is asked for other things meanwhile, and another one for that. Returns when all is there.
    Raises `BackfillError` if nothing came for `patience` seconds, `JournalError` if the file fails. What has come stays in the journal:
    call it again to go on.
    """
    await _Backfill(journal).run(node, patience)


class _Backfill:
    def __init__(self, journal: Journal) -> None:
        order = journal.order
        edge, expected = journal.edge
        self._journal = journal
        self._one_at_a_time = trio.Lock()  # the journal
        self._span: Span[Peer] = Span(order.first, edge, expected)
        self._parts: dict[Part, Parts[Peer]] = {}
        if order.bodies:
            self._parts["body"] = Parts()
        if order.receipts:
            self._parts["receipts"] = Parts(ends_at_gaps=True)
        self._kept = edge + 1  # the lowest block whose header is in the journal
        self._loaded: dict[Part, int] = dict.fromkeys(self._parts, order.last + 1)  # down to which block these are wanted
        self._awake: set[tuple[Peer, str]] = set()  # who is asked for what, and does not rest
        self._news = trio.Event()
        self._last_news = trio.current_time()

    async def run(self, node: Node, patience: float) -> None:
        """Ask everybody, until all is there."""
        if self._is_done:
            return
        faults: list[Devp2pError] = []
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, node, patience)
                nursery.start_soon(self._ask_everybody, node)
                while not self._is_done:
                    await self._news.wait()
                nursery.cancel_scope.cancel()
        except* (BackfillError, JournalError) as group:
            faults += _flat(group)
        if faults:
            raise faults[0]

    @property
    def _is_done(self) -> bool:
        have, order = self._journal.progress, self._journal.order
        return min(have.headers, have.bodies if order.bodies else math.inf, have.receipts if order.receipts else math.inf) >= have.blocks

    async def _ask_everybody(self, node: Node) -> None:
        async with trio.open_nursery() as nursery:
            async for peer in node.peers(Eth):
                nursery.start_soon(self._ask, peer)

    async def _ask(self, peer: Peer) -> None:
        """All that one peer is asked for, while it is there."""
        try:
            eth = peer[Eth]
        except (KeyError, PeerDisconnected):
            return  # it has left in this moment
        asked = {(peer, what) for what in ("headers", *self._parts)}
        self._awake |= asked
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._fetch_headers, peer, eth)
                for part in self._parts:
                    nursery.start_soon(self._fetch_parts, peer, eth, part)
                await peer.wait_ended()
                nursery.cancel_scope.cancel()
        finally:
            self._awake -= asked

    async def _rest(self, peer: Peer, what: str, times: int) -> None:
        """Let others have what a peer was asked for that so many times in a row has kept us waiting, while one of them does not rest."""
        self._awake.discard((peer, what))
        try:
            if any(other == what for _, other in self._awake):
                await trio.sleep(min(_LONGEST_REST, _REST * 2 ** (times - 1)))
        finally:
            self._awake.add((peer, what))

    async def _watch(self, node: Node, patience: float) -> None:
        """Ask again after a while; give up after a longer one."""
        while True:
            now, end = trio.current_time(), self._last_news + patience
            if now >= end:
                raise BackfillError(f"nothing came for {patience:g} s, and {self._missing}: {_those_of(node)}")
            await trio.sleep_until(min(end, now + patience / 2, now + _FORGIVEN_AFTER))
            self._span.forgive()
            for parts in self._parts.values():
                parts.forgive()
            self._tell()

    async def _fetch_headers(self, peer: Peer, eth: EthPeer) -> None:
        portion, late = Portion(PIECE), 0
        while not self._span.is_done:
            piece = self._span.take(peer, portion.size)
            if piece is None:
                await self._news.wait()
                continue
            began = trio.current_time()
            # The topmost is asked for by its hash: a peer that is on another branch does not have it, and is no liar.
            start = self._span.expected if piece.last == self._journal.order.last else piece.last
            try:
                headers = await eth.headers(start, piece.count, reverse=True)
            except BaseException as error:
                self._span.give_back(peer, piece, blame=isinstance(error, InvalidAnswer))
                self._tell()
                if isinstance(error, trio.TooSlowError):
                    portion.timed_out()
                    late += 1
                    await self._rest(peer, "headers", late)
                elif isinstance(error, _GONE):
                    return
                else:
                    raise
            else:
                seconds = trio.current_time() - began
                portion.answered(piece.count, len(headers), seconds)
                late = late + 1 if len(headers) < piece.count and seconds > SLOW else 0
                await self._take_headers(peer, piece, headers)
                if late:
                    await self._rest(peer, "headers", late)

    async def _take_headers(self, peer: Peer, piece: Piece, headers: Sequence[Header]) -> None:
        if headers and headers[0].number != piece.last:
            raise BackfillError(f"0x{headers[0].hash.hex()} is the hash of block {headers[0].number}, not of block {piece.last}")
        verified = self._span.put(peer, piece, headers)
        for liar in verified.liars:
            lie = f"brought headers up to {piece.last} that are no part of the chain asked for"
            with suppress(KeyError, PeerDisconnected):
                liar[Eth].conduct.invalid(_LIE, lie)
            liar.disconnect(DisconnectReason.SUBPROTOCOL_ERROR, lie)
        if verified.headers:
            self._check_genesis(verified.headers[-1])  # before a journal is complete, which is believed when it is opened again
            await self._keep(self._journal.add_headers, verified.headers)
            self._kept = min(self._kept, verified.headers[-1].number)
        self._tell(came=bool(verified.headers))

    async def _fetch_parts(self, peer: Peer, eth: EthPeer, part: Part) -> None:
        parts, portion, late = self._parts[part], Portion(), 0
        fetch = _bodies if part == "body" else _receipts
        while not self._is_done:
            await self._refill(part)
            asked = parts.take(peer, portion.size)
            if not asked:
                await self._news.wait()
                continue
            began = trio.current_time()
            try:
                brought = await fetch(eth, asked)
            except BaseException as error:
                parts.give_back(asked)
                self._tell()
                if isinstance(error, trio.TooSlowError):
                    portion.timed_out()
                    late += 1
                    await self._rest(peer, part, late)
                elif isinstance(error, _GONE):
                    return
                else:
                    raise
            else:
                came = [(header.number, value) for header, value in zip(asked, brought, strict=True) if value is not None]
                seconds = trio.current_time() - began
                portion.answered(len(asked), len(came), seconds)
                late = late + 1 if not came and seconds > SLOW else 0
                if came:
                    await self._keep(partial(self._journal.add, part), came)
                parts.put(peer, asked, [value is not None for value in brought])
                self._tell(came=bool(came))
                if late:
                    await self._rest(peer, part, late)

    async def _refill(self, part: Part) -> None:
        """Let blocks that have headers in the journal be wanted, as many as there is room for."""
        parts = self._parts[part]
        async with self._one_at_a_time:  # so one task reads on where another has stopped
            if len(parts) >= WINDOW // 2 or self._loaded[part] <= self._kept:
                return
            most = WINDOW - len(parts)
            headers, self._loaded[part] = await trio.to_thread.run_sync(self._journal.lacking, part, self._loaded[part], most)
            parts.add(headers)

    async def _keep(self, add: Callable[[Any], None], values: Sequence[object]) -> None:
        """Write into the journal; what has come is written even if we are told to end."""
        with trio.CancelScope(shield=True):
            async with self._one_at_a_time:
                await trio.to_thread.run_sync(add, values)

    def _tell(self, *, came: bool = False) -> None:
        """Let all look again whether there is something for them."""
        if came:
            self._last_news = trio.current_time()
        self._news.set()
        self._news = trio.Event()

    def _check_genesis(self, lowest: Header) -> None:
        order = self._journal.order
        if order.genesis is None or not self._span.is_done or lowest.number > 1:
            return
        found = lowest.parent_hash if lowest.number else lowest.hash
        if found != order.genesis:
            raise BackfillError(
                f"block {order.last} with the hash 0x{order.anchor.hex()} is of another chain: that begins with 0x{found.hex()}, "
                f"where 0x{order.genesis.hex()} was expected"
            )

    @property
    def _missing(self) -> str:
        have, order = self._journal.progress, self._journal.order
        counts = {"headers": have.headers, **({"bodies": have.bodies} if order.bodies else {})}
        counts |= {"receipts": have.receipts} if order.receipts else {}
        missing = [f"{have.blocks - n} of {have.blocks} {what}" for what, n in counts.items() if n < have.blocks]
        return f"{', '.join(missing)} are missing"


def _flat(group: BaseExceptionGroup[Devp2pError]) -> Iterator[Devp2pError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flat(error)
        else:
            yield error


async def _bodies(eth: EthPeer, headers: Sequence[Header]) -> list[bytes | None]:
    return [None if body is None else body.raw for body in await eth.bodies(headers)]


async def _receipts(eth: EthPeer, headers: Sequence[Header]) -> list[bytes | None]:
    with trio.move_on_after(_ONE_ANSWER):
        return [None if items is None else rlp.encode_list(b"".join(items)) for items in await eth.receipts(headers)]
    eth.conduct.timed_out()
    raise trio.TooSlowError


def _those_of(node: Node) -> str:
    told = [f"{peer.id.hex()[:16]}… at {peer.address}{_head_of(peer)}" for peer in node.connected]
    return f"connected are {', '.join(told)}" if told else "no peer is connected"


def _head_of(peer: Peer) -> str:
    try:
        return f", whose newest block is {peer[Eth].head}"
    except (KeyError, LocalProtocolError, PeerDisconnected):  # it has not shown its Status
        return ""
