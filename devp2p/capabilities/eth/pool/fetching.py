"""`Fetcher`: asks peers for what they have announced, and judges their answers."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Final

import trio

from devp2p import DecodingError, RemoteProtocolError, rlp
from devp2p.capabilities.eth.pool.entries import BLOB_TYPE
from devp2p.capabilities.eth.pool.limits import PoolLimits
from devp2p.capabilities.eth.pool.peering import PeerState
from devp2p.capabilities.eth.pool.telling import SPARSE
from devp2p.capabilities.eth.pool.wanted import Said, Wanted
from devp2p.capabilities.ethereum.blocks import Transaction

LENIENCY: Final = 8
"""Bytes by which an announced size may be wrong; go-ethereum's figure."""
AT_ONCE: Final = 8
"""Transactions that are decoded without giving way."""
SMALL: Final = 4096
"""Bytes of a transaction for which others have their turn in any case."""
QUICK: Final = 32 * 1024
"""Bytes of a transaction that are decoded in the loop; four times as many take ten milliseconds."""
AROUND: Final = 16
"""Bytes around an envelope in a list, and around a sidecar."""
_BLOB: Final = 131_072 + 128 * 50
"""Bytes of a blob with its proofs, about."""


class Fetcher:
    """The transactions that are wanted, and what is asked of each peer."""

    def __init__(self, limits: PoolLimits) -> None:
        self.wanted: Wanted[PeerState] = Wanted(limits)
        self._limits = limits

    async def next_answer(self, state: PeerState) -> tuple[list[bytes], list[Transaction]]:
        """Wait until there is something to ask a peer for, ask, and return what it was asked for and what it brings, to be taken.

        Nobody else is asked for that until `taken` says what was found good; if the session ends before, others are.

        RemoteProtocolError for an answer that is none, or that shows that the peer lied.
        """
        names = self.wanted.next_request(state, trio.current_time())
        if not names:
            deadline = self.wanted.next_time(state)
            await state.fetch.heard(float("inf") if deadline is None else deadline)
            return [], []
        try:
            with trio.fail_after(self._limits.fetch_timeout):
                items = await state.peer.fetch_transactions(names)
        except trio.TooSlowError:
            state.peer.conduct.timed_out()
            self.wake(self.wanted.failed(state, names))
            return [], []
        transactions = await decode_all(items, most_bytes(self._limits))
        check_answer(names, transactions)
        for transaction in transactions:
            check_sidecar(transaction, state.peer.version)
        usable = [each for each in transactions if is_usable(each)]
        if len(usable) < len(transactions):
            state.junk(len(transactions) - len(usable), "sent a blob transaction without proofs of its cells (version 0)")
        for transaction in usable:
            self._compare(transaction, state)
        return names, usable

    def taken(self, state: PeerState, asked: Sequence[bytes], brought: Collection[bytes]) -> None:
        """Note the end of a request of `next_answer`: of what was asked, these were brought."""
        for name in brought:
            self.wanted.arrived(name)
        self.wake(self.wanted.answered(state, asked, brought))

    def arrived(self, transaction: Transaction, bringer: PeerState) -> None:
        """Note that a transaction has come whole, and see who announced it as what it is not; RemoteProtocolError if it is the bringer."""
        self._compare(transaction, bringer)
        self.wanted.arrived(transaction.hash)

    def _compare(self, transaction: Transaction, bringer: PeerState) -> None:
        said = self.wanted.said(transaction.hash)
        liars = {state: lie for state, its in said.items() if (lie := _lie(transaction, its, state, bringer))}
        for state, lie in liars.items():
            state.peer.conduct.invalid(2, lie)
        if bringer in liars:
            raise RemoteProtocolError(liars[bringer])

    @staticmethod
    def wake(states: Iterable[PeerState]) -> None:
        """Let peers be asked."""
        for state in states:
            state.fetch.ring()


def most_bytes(limits: PoolLimits) -> int:
    """The largest item that can be a transaction which we take, with its blobs."""
    return max(limits.transaction_size, limits.blob_size + limits.blobs * _BLOB) + AROUND


async def decode(item: bytes) -> Transaction:
    """Decode a transaction, a large one in a thread. DecodingError if it is none, or of an unknown type."""
    if len(item) <= QUICK or _is_quick(item):
        return Transaction.decode(item)
    return await trio.to_thread.run_sync(_decode_with_sender, bytes(item))


def _is_quick(item: bytes) -> bool:
    """Whether a large item is a small transaction with a sidecar, of which little is looked at."""
    start = max(1, item[0] - 0xB6)  # behind the head of a long string
    if item[start] != BLOB_TYPE:
        return False
    try:
        inner, _ = rlp.list_bounds(item, start + 1, len(item))
        return rlp.list_bounds(item, inner, len(item))[1] - inner <= QUICK
    except DecodingError:
        return True  # it will be refused as soon


def _decode_with_sender(item: bytes) -> Transaction:
    transaction = Transaction.decode(item)
    with suppress(DecodingError):  # it comes again when somebody asks for the sender
        _ = transaction.hash, transaction.sender
    return transaction


async def decode_all(items: Sequence[bytes], most: int) -> list[Transaction]:
    """Decode transactions, giving way between them; RemoteProtocolError if one is none, or larger than `most`."""
    transactions = list[Transaction]()
    for number, item in enumerate(items):
        if number % AT_ONCE == AT_ONCE - 1 or len(item) > SMALL:
            await trio.lowlevel.checkpoint()
        if len(item) > most:
            raise RemoteProtocolError(f"a transaction of {len(item)} bytes, which was announced as a smaller one")
        transactions.append(await decode(item))
    return transactions


def check_answer(asked: Sequence[bytes], transactions: Sequence[Transaction]) -> None:
    """See that an answer has what was asked for, in that order (eth, "PooledTransactions"); RemoteProtocolError if not."""
    places = {name: place for place, name in enumerate(asked)}
    last = -1
    for transaction in transactions:
        place = places.get(transaction.hash, -1)
        if place <= last:
            raise RemoteProtocolError(f"the transaction {transaction.hash.hex()}, which was not asked for, or not in this place")
        last = place


def is_usable(transaction: Transaction) -> bool:
    """Whether it is no blob transaction with a sidecar of version 0, without proofs of cells, which is of no use here.

    A hash does not cover the sidecar, so that one says nothing of the transaction, nor of those who announced it with another.
    """
    return transaction.sidecar is None or transaction.sidecar.version == 1


def check_sidecar(transaction: Transaction, version: int) -> None:
    """See that a blob transaction has come with what it has in a version of eth; RemoteProtocolError if not."""
    if transaction.type != BLOB_TYPE:
        return
    sidecar = transaction.sidecar
    if sidecar is None:
        raise RemoteProtocolError("a blob transaction without a sidecar")
    fault = sidecar.fault(transaction.blob_hashes)
    if fault is not None:
        raise RemoteProtocolError(f"a blob transaction whose sidecar has {fault}")
    if version >= SPARSE and sidecar.blobs:
        raise RemoteProtocolError(f"a blob transaction with its blobs, which eth/{version} leaves out")
    if version < SPARSE and not sidecar.blobs:
        raise RemoteProtocolError(f"a blob transaction without its blobs, which eth/{version} has")


def _lie(transaction: Transaction, said: Said, announcer: PeerState, bringer: PeerState) -> str | None:
    """What is wrong with an announcement. Sizes with blobs and without them are not compared."""
    if said.type != transaction.type:
        return f"announced a transaction of type {transaction.type} as one of type {said.type}"
    if transaction.type == BLOB_TYPE and (announcer.peer.version < SPARSE) != (bringer.peer.version < SPARSE):
        return None
    if abs(said.size - transaction.size) > LENIENCY:
        return f"announced a transaction of {transaction.size} bytes with {said.size}"
    return None
