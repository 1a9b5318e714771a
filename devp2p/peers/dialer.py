"""Dials, by itself: static peers whenever there is no session with them, and nodes that discovery finds while there are too few peers."""

import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from devp2p.capability import Peer
from devp2p.errors import BookError, DialError
from devp2p.events import DialFailed, Event, told
from devp2p.peers.backoff import Backoff
from devp2p.peers.dial_history import DialHistory, kind_of
from devp2p.records import NodeRecord

if TYPE_CHECKING:  # a node imports this module whether or not it takes part in discovery
    from devp2p.discovery.candidates import Candidate
    from devp2p.peers.book import Book

DIALS_AT_ONCE: Final = 16

_logger = logging.getLogger(__name__)

Connect = Callable[[NodeRecord], Awaitable[Peer]]
"""Dials a node and returns its peer with the session running, or raises DialError."""


async def keep_connected(record: NodeRecord, connect: Connect, publish: Callable[[Event], None]) -> None:
    """Dial a static peer, and again after each end, until cancelled."""
    backoff = Backoff(random.random)
    while True:
        try:
            peer = await connect(record)
        except DialError as error:
            delay = backoff.failed(error)
            publish(DialFailed(record, told(error), delay))
        else:
            end = await peer.wait_ended()
            delay = backoff.ended(end, trio.current_time() - peer.since)
        await trio.sleep(delay)


@dataclass(frozen=True, slots=True, kw_only=True)
class DialerStatistics:
    """Counts of a `Dialer`."""

    wanted: int
    """Peers that it wants to have dialled."""
    connected: int
    """Those that there are."""
    dialling: int
    dials: int
    """Since the beginning."""
    failed: int
    """The same."""


class Dialer:
    """Dials candidates for as long as there are fewer than `wanted` peers that were dialled so. Times are on trio's clock.

    Inbound peers have no part in this: whoever wants to surround us can make any number of them, but not choose whom we dial.
    """

    def __init__(
        self, connect: Connect, wanted: int, *, is_wanted: Callable[[NodeRecord], bool], history: DialHistory, book: "Book | None"
    ) -> None:
        """`is_wanted` says whether a node is one to dial at all: not ourselves, not connected, and so on."""
        self._connect = connect
        self._wanted = wanted
        self._is_wanted = is_wanted
        self._history = history
        self._book = book
        self._dialling: set[bytes] = set()
        self._connected: set[bytes] = set()
        self._dials = self._failed = 0
        self._changed = trio.lowlevel.ParkingLot()

    @property
    def statistics(self) -> DialerStatistics:
        """What was counted so far."""
        return DialerStatistics(
            wanted=self._wanted, connected=len(self._connected), dialling=len(self._dialling), dials=self._dials, failed=self._failed
        )

    def may_dial(self, record: NodeRecord) -> bool:
        """Whether to dial a node now; this is to be the filter of the candidates."""
        if not record.addresses or not all(address.port for address in record.addresses) or record.id in self._dialling | self._connected:
            return False
        return self._history.may_dial(record, trio.current_time()) and self._is_wanted(record)

    async def run(self, candidates: "AsyncIterator[Candidate]") -> None:
        """Dial what `candidates` gives, until that ends. A candidate is asked for only when there is a place for it."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._room()
                candidate = await anext(candidates, None)
                if candidate is None:
                    break
                await self._room()
                if self.may_dial(candidate.record):  # as it was when it was given, and we may have waited since
                    self._dials += 1
                    self._dialling.add(candidate.record.id)
                    self._history.dialled(candidate.record, trio.current_time())
                    nursery.start_soon(self._dial, candidate)

    async def _room(self) -> None:
        """Wait until one more may be dialled. As some dials will fail, there may be twice as many as peers are missing."""
        while len(self._dialling) >= min(DIALS_AT_ONCE, 2 * (self._wanted - len(self._connected))):
            await self._changed.park()

    async def _dial(self, candidate: "Candidate") -> None:
        record = candidate.record
        self._note("dialled", record)
        try:
            peer = await self._connect(record)
        except DialError as error:
            self._failed += 1
            delay = self._history.failed(record.id, error, trio.current_time())
            self._note("failed", record, kind_of(error))
            _logger.debug("%s, from %s: %s; not again for %.0f s", record.enode, candidate.source, error, delay)
            return
        finally:
            self._dialling.discard(record.id)
            self._changed.unpark()
        self._note("connected", record)
        if peer.inbound:  # it came while we dialled
            return
        self._connected.add(record.id)
        try:
            end = await peer.wait_ended()
        finally:
            self._connected.discard(record.id)
            self._changed.unpark()
        now = trio.current_time()
        self._history.ended(record.id, end, now - peer.since, now)

    def _note(self, what: str, record: NodeRecord, kind: str = "") -> None:
        """Write into the book what became of a dial. Its clock is the system's, as what is in it outlives us."""
        if self._book is None:
            return
        now = time.time()
        try:
            if what == "dialled":
                self._book.dialled(record.id, now)
            elif what == "connected":
                self._book.connected(record.id, now)
            else:
                self._book.failed(record.id, kind, now)
        except BookError as error:
            _logger.warning("what became of a dial is not kept: %s", error)
