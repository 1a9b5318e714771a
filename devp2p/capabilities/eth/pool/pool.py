"""`TransactionPool`: the pool that the library brings."""

import logging
import random as _random
from collections.abc import Sequence
from weakref import WeakSet

import trio

from devp2p import Devp2pError, LocalProtocolError, RemoteProtocolError
from devp2p.capabilities.eth.pool import kzg
from devp2p.capabilities.eth.pool.cell_fetching import CellFetcher
from devp2p.capabilities.eth.pool.columns import ALL, COLUMNS
from devp2p.capabilities.eth.pool.entries import BLOB_TYPE, Fault, Refusal
from devp2p.capabilities.eth.pool.examining import Examined, Examiner
from devp2p.capabilities.eth.pool.fetching import AROUND, AT_ONCE, SMALL, Fetcher, check_sidecar, decode
from devp2p.capabilities.eth.pool.known import RefusedSet
from devp2p.capabilities.eth.pool.limits import PoolLimits
from devp2p.capabilities.eth.pool.peering import PeerState
from devp2p.capabilities.eth.pool.protocols import CellGroups, PoolPeer
from devp2p.capabilities.eth.pool.shelf import Kept, Placed, Shelf
from devp2p.capabilities.eth.pool.sidecars import Prover, Sidecars
from devp2p.capabilities.eth.pool.telling import SPARSE, Teller
from devp2p.capabilities.eth.pool.wanted import Said
from devp2p.capabilities.ethereum import Chain, State
from devp2p.capabilities.ethereum.blocks import Transaction

_logger = logging.getLogger(__name__)
LASTING = frozenset({Fault.INVALID, Fault.CHEAP})
"""What is wrong with a transaction for long, so that it is not fetched again. That one before it is missing, or that its sender cannot pay
for it now, is not: or else whoever brings it too early would keep it away."""
_TYPES = 5
"""Types of transactions that we know."""
_ANNOUNCED_AT_ONCE = 512
_COMPLETING = 10.0
"""Seconds that a session which has ended waits at most for what it has brought to be kept: a state may hang, or a proof."""
_SENDERS_AT_ONCE = 32


class TransactionPool:
    """Pending transactions, judged by a chain's head, and exchanged with all peers: a `Pool`.

    It looks at the chain's head each time that it is used; `refresh` makes it look. Blob transactions need the library ckzg (the extra
    ``kzg``); without it none is taken.
    """

    def __init__(
        self,
        chain: Chain,
        state: State,
        *,
        limits: PoolLimits | None = None,
        prover: Prover | None = None,
        random: _random.Random | None = None,
    ) -> None:
        """`prover` verifies blobs, by default ckzg in a process of its own; `random` is where chance comes from, by default the system."""
        self.limits: PoolLimits = limits or PoolLimits()
        chance = random or _random.SystemRandom()
        if prover is None and kzg.is_available():
            prover = kzg.shared()
        self._prover = prover
        self._chance = chance
        self._shelf = Shelf(self.limits)
        self._examiner = Examiner(chain, state, self.limits)
        self._teller = Teller(self._shelf, self.limits, chance.randbytes(32))
        self._fetcher = Fetcher(self.limits)
        self._sidecars = Sidecars(self._shelf, self.limits, prover or kzg.shared(), chance.random)
        self._cells = CellFetcher(self._sidecars, self.limits)
        self._refused = RefusedSet(self.limits.refused, self.limits.refused_for)
        self._states: dict[PoolPeer, PeerState] = {}
        self._ended: WeakSet[PoolPeer] = WeakSet()  # whose messages may still be at work
        self._judged: bytes | None = None

    def __len__(self) -> int:
        return len(self._shelf)

    def __contains__(self, name: object) -> bool:
        return name in self._shelf

    def get(self, name: bytes) -> Transaction | None:
        """Return a transaction by its hash, with its blobs if they are all here."""
        kept = self._shelf.get(name)
        return None if kept is None else kept.whole() or kept.transaction

    def pending(self) -> list[Transaction]:
        """All that can be executed at the head, those of a sender in the order of their nonces; without blobs."""
        return [kept.transaction for kept in self._shelf.ready()]

    @property
    def custody(self) -> int:
        """The columns that are fetched of every blob transaction: bit i is column i. All, until somebody says otherwise."""
        return self._sidecars.plan.custody

    def set_custody(self, columns: int) -> None:
        """Say which columns the consensus node has in custody (EIP-8070, engine_forkchoiceUpdatedV4); bit i is column i.

        With 64 or more, all blobs are fetched. ValueError for no column, and for more than 128.
        """
        if not 0 < columns < 2**COLUMNS:
            raise ValueError(f"columns in custody are a number of {COLUMNS} bits, of which at least one is set, not {columns:#x}")
        self._sidecars.plan.custody = columns
        self._cells.wake(self._states.values())

    async def warm_up(self) -> None:
        """Get ready for blob transactions, which takes up to some seconds; LocalProtocolError without the library ckzg."""
        if self._prover is None:
            raise LocalProtocolError(kzg.MISSING)
        if isinstance(self._prover, kzg.Kzg):
            await self._prover.start()

    async def add(self, transaction: Transaction) -> None:
        """Take a transaction of our own, and tell peers of it; blobs come with it, in its sidecar of version 1.

        LocalProtocolError says why it is refused.
        """
        _require_transaction(transaction)
        if transaction.type == BLOB_TYPE:
            if self._prover is None:
                raise LocalProtocolError(f"the transaction is refused: {kzg.MISSING}")
            if transaction.sidecar is None or not transaction.sidecar.blobs:
                raise LocalProtocolError("the transaction is refused: give its blobs, in a sidecar of version 1")
        try:
            check_sidecar(transaction, SPARSE - 1)
            refusal = await self._take(transaction, None)
        except RemoteProtocolError as error:
            raise LocalProtocolError(f"the transaction is refused: {error}") from None
        if refusal is not None:
            raise LocalProtocolError(f"the transaction is refused: {refusal}")

    async def refresh(self) -> None:
        """Look at the chain's head: what was included goes, and what has become impossible."""
        while self._judged != (head := self._examiner.head):
            self._judged = head
            try:
                await self._look(head)
            except BaseException:
                self._judged = None
                raise

    async def run(self, peer: PoolPeer) -> None:
        """See `Pool`."""
        state = self._of(peer)
        try:
            self._teller.greet(state)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._teller.run, state)
                nursery.start_soon(self._fetch, state)
                if peer.version >= SPARSE and self._prover is not None:
                    nursery.start_soon(self._fetch_cells, state)
        finally:
            del self._states[peer]
            self._ended.add(peer)
            self._fetcher.wake(self._fetcher.wanted.leave(state))
            self._cells.wake(self._sidecars.plan.leave(state))

    async def received(self, peer: PoolPeer, items: Sequence[bytes]) -> None:
        """See `Pool`."""
        state = self._of(peer)
        await self.refresh()
        if not len(items):
            state.peer.conduct.invalid(1, "sent a Transactions message without a transaction")
        seen, useless = set[bytes](), 0
        for number, item in enumerate(items):
            if number % AT_ONCE == AT_ONCE - 1 or len(item) > SMALL:
                await trio.lowlevel.checkpoint()
            if len(item) > self.limits.transaction_size + AROUND:
                state.junk(1, "sent a transaction that is too large")
                useless += 1
                continue
            transaction = await decode(item)
            if transaction.type == BLOB_TYPE:
                raise RemoteProtocolError("a blob transaction that nobody asked for (EIP-4844)")
            if transaction.hash in seen:
                raise RemoteProtocolError(f"the transaction {transaction.hash.hex()} twice in one message")
            seen.add(transaction.hash)
            if state.came(transaction.hash):
                self._fetcher.arrived(transaction, state)
                refusal = await self._take(transaction, state)
                useless += refusal is not None and refusal.fault not in {Fault.KNOWN, Fault.CHEAP}
            else:
                useless += 1
        if 4 * useless > len(items):
            await trio.sleep(self.limits.pause)

    async def announced(self, peer: PoolPeer, types: bytes, sizes: Sequence[int], hashes: Sequence[bytes], cells: int) -> None:
        """See `Pool`."""
        if not len(types) == len(sizes) == len(hashes):
            raise RemoteProtocolError(f"an announcement of {len(types)} types, {len(sizes)} sizes and {len(hashes)} hashes")
        state = self._of(peer)
        await self.refresh()
        now, surplus, before = trio.current_time(), 0, self._fetcher.wanted.count(state)
        for number, (kind, size, name) in enumerate(zip(types, sizes, hashes, strict=True)):
            if number % _ANNOUNCED_AT_ONCE == _ANNOUNCED_AT_ONCE - 1:
                await trio.lowlevel.checkpoint()
            state.known.add(name)
            surplus += not self._note(state, Said(kind, size), name, cells, now)
        if surplus:
            state.junk(surplus, "announced more transactions than are asked of one peer")
        if self._fetcher.wanted.count(state) != before or len(hashes) >= _ANNOUNCED_AT_ONCE:
            state.fetch.ring()  # but not for nothing: to choose what to ask for takes a look at all that is wanted

    async def transactions(self, peer: PoolPeer, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        """See `Pool`."""
        state = self._of(peer)
        await self.refresh()
        items, total = list[bytes](), 0
        for name in dict.fromkeys(hashes[: self.limits.serve_hashes]):
            kept = self._shelf.get(name)
            if kept is None:
                continue
            item = kept.item
            if kept.transaction.type == BLOB_TYPE and peer.version < SPARSE:
                whole = kept.whole()
                if whole is None:
                    continue
                item = whole.raw
            if items and total + len(item) > size:
                break
            items.append(item)
            total += len(item)
            state.known.add(name)
        return items

    async def cells(self, peer: PoolPeer, hashes: Sequence[bytes], columns: int, *, size: int) -> CellGroups:
        """See `Pool`."""
        del peer
        return await self._sidecars.serve(hashes, columns, size)

    def _of(self, peer: PoolPeer) -> PeerState:
        state = self._states.get(peer)
        if state is None:
            state = PeerState(peer, self._chance.randbytes(16), self.limits)
            if peer not in self._ended:
                self._states[peer] = state
        return state

    def _note(self, state: PeerState, said: Said, name: bytes, cells: int, now: float) -> bool:
        """Note one announcement; False if there is no room for it."""
        if state.peer in self._ended:
            return True  # nobody would forget it again
        is_blob = said.type == BLOB_TYPE
        if said.type >= _TYPES or (is_blob and self._prover is None) or self._refused.get(name, now) is not None:
            return True
        kept = self._shelf.get(name)
        room = True
        if is_blob and state.peer.version >= SPARSE and (kept is None or kept.columns != ALL):
            is_news = not self._sidecars.plan.offers(state, name)
            room = self._sidecars.plan.announce(state, name, cells, now) or not cells
            if is_news:
                state.fetch_cells.ring()
        if kept is not None or name in self._sidecars or (not is_blob and said.size > self.limits.transaction_size + AROUND):
            return room
        at_once = is_blob or said.size > self.limits.broadcast_size
        return self._fetcher.wanted.announce(state, name, said, now if at_once else now + self.limits.broadcast_wait) and room

    async def _fetch(self, state: PeerState) -> None:
        while True:
            asked, transactions = await self._fetcher.next_answer(state)
            if transactions:
                await self.refresh()
            for transaction in transactions:
                state.known.add(transaction.hash)
                await self._take(transaction, state)
            self._fetcher.taken(state, asked, {transaction.hash for transaction in transactions})

    async def _fetch_cells(self, state: PeerState) -> None:
        while True:
            names = await self._cells.next_answer(state)
            for transaction, sources in self._sidecars.spoilt():
                for source, columns in sources.items():  # who may have it as it is
                    self._note(source, Said(BLOB_TYPE, transaction.size), transaction.hash, columns, trio.current_time())
                    source.fetch.ring()
            with trio.move_on_after(_COMPLETING, shield=True):  # what others have brought of these would be lost
                for name in names:
                    await self._complete(name)

    async def _take(self, transaction: Transaction, state: PeerState | None) -> Refusal | None:
        """Examine a transaction, and keep it or say why not; one of eth/72 with blobs waits for its cells first."""
        name = transaction.hash
        refusal = self._refused.get(name, trio.current_time()) if state is not None else None
        blobs = transaction.sidecar.blobs if transaction.sidecar else ()
        if name in self._shelf or (name in self._sidecars and not blobs):
            refusal = Refusal(Fault.KNOWN, "it is here already")
        examined = refusal or await self._examiner.examine(transaction)
        if isinstance(examined, Examined):
            if transaction.sidecar is not None and transaction.sidecar.is_elided and state is not None:
                refusal = self._sidecars.expect(transaction, state, trio.current_time())
                self._cells.wake(self._states.values())
            else:
                try:
                    if blobs:
                        await self._sidecars.verify_blobs(transaction)
                        examined = await self._examiner.examine(transaction)  # the head may have moved meanwhile
                    refusal = examined if isinstance(examined, Refusal) else self._place(Kept.of(transaction, blobs), examined, state)
                    self._sidecars.forget(name)  # it need not wait for cells any more
                except LocalProtocolError as error:  # what proves has failed, for which the peer can do nothing
                    refusal = Refusal(Fault.UNSUPPORTED, str(error))
        else:
            refusal = examined
        if refusal is not None:
            self._reject(name, refusal, state)
        return refusal

    def _place(self, kept: Kept, examined: Examined, state: PeerState | None) -> Refusal | None:
        """Put a good transaction on the shelf, and tell peers of what can be executed by that."""
        self._settle(self._shelf.update(kept.transaction.sender, examined.account))
        kept.told = ALL if kept.blobs else kept.columns & self.custody
        kept.since = trio.current_time()
        placed = self._shelf.add(kept, examined.account, delegated=examined.delegated, authorities=examined.authorities)
        if isinstance(placed, Refusal):
            return placed
        if state is not None:
            state.useful([kept.footprint if state.peer.version < SPARSE else len(kept.item)])  # from eth/72 on cells come from others
        self._settle(placed)
        return None

    def _settle(self, placed: Placed) -> None:
        for entry in placed.gone:
            self._sidecars.forget(entry.hash)
        if placed.ready:
            self._teller.spread(placed.ready, self._states.values())

    def _reject(self, name: bytes, refusal: Refusal, state: PeerState | None) -> None:
        if refusal.fault in LASTING and state is not None:
            self._refused.add(name, refusal, trio.current_time())
        if refusal.fault is not Fault.KNOWN:
            self._sidecars.forget(name)
        if state is not None:
            state.refused(refusal)

    async def _complete(self, name: bytes) -> None:
        """Keep a blob transaction whose cells have come; or tell of the new cells of one that is here."""
        try:
            blobs, cells = await self._sidecars.assemble(name)
        except LocalProtocolError as error:
            _logger.warning("blobs of %s cannot be recovered: %s", name.hex(), error)
            return
        waiting = self._sidecars.get(name)
        if waiting is not None:
            examined = await self._examiner.examine(waiting.kept.transaction)
            if self._sidecars.done(name) is None:
                return  # it went meanwhile, or somebody else was quicker
            kept = Kept.of(waiting.kept.transaction, blobs, cells)
            state = waiting.bringer if waiting.bringer.peer in self._states else None
            refusal = examined if isinstance(examined, Refusal) else self._place(kept, examined, state)
            if refusal is not None:
                self._reject(name, refusal, state)
        else:
            richer = self._shelf.enrich(name, blobs, cells)
            if richer is None:
                self._sidecars.forget(name)
            else:
                richer.told = ALL if blobs else richer.columns & self.custody
                self._teller.spread([richer], self._states.values(), again=True)
        if blobs:
            self._sidecars.plan.forget(name)

    async def _look(self, head: bytes) -> None:
        rules = await self._examiner.rules()
        if rules is None:
            return
        self._shelf.reprice(rules.prices)
        for number, sender in enumerate(self._shelf.senders()):
            if number % _SENDERS_AT_ONCE == _SENDERS_AT_ONCE - 1:
                await trio.lowlevel.checkpoint()  # a state in memory lets nobody else have a turn
            if self._examiner.head != head:
                return
            try:
                account = await self._examiner.account(sender)
            except Devp2pError:  # the state's own trouble: what cannot be judged stays
                continue
            self._settle(self._shelf.update(sender, account))
            self._settle(self._shelf.expire(sender, trio.current_time() - self.limits.future_for))


def _require_transaction(value: object) -> None:
    if not isinstance(value, Transaction):
        raise LocalProtocolError(f"a Transaction is wanted, not {type(value).__name__}: Transaction.from_envelope makes it of bytes")
