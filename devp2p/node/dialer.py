"""Dials nodes for which there is a place; `Steering` decides which. What becomes of a dial is remembered, and written into the book."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from devp2p.capability import Peer
from devp2p.errors import DialError
from devp2p.node.pace import PolicyClock
from devp2p.peers import DialHistory, kind_of
from devp2p.records import NodeRecord

if TYPE_CHECKING:  # a node without a book does not import it
    from devp2p.book import Book

DIALS_AT_ONCE: Final = 16

_logger = logging.getLogger(__name__)

Connect = Callable[[NodeRecord], Awaitable[Peer]]
"""Dials a node and returns its peer with the session running, or raises DialError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialerStatistics:
    """Counts of a `Dialer`."""

    dialling: int
    connected: int
    """Peers that it has dialled, and that are connected."""
    dials: int
    """Since the beginning."""
    failed: int
    """The same."""


class Dialer:
    """Dials in the background. What is remembered of dials is on the policy's clock."""

    def __init__(
        self,
        connect: Connect,
        *,
        history: DialHistory,
        book: "Book | None",
        over: Callable[[NodeRecord, Peer | None], None],
        clock: PolicyClock,
    ) -> None:
        """`over` is told of each dial that is over, with the peer that it led to, if it did."""
        self.dialling: set[bytes] = set()
        """The IDs of the nodes that are being dialled."""
        self._connect = connect
        self._history = history
        self._book = book
        self._over = over
        self._clock = clock
        self._nursery: trio.Nursery | None = None
        self._connected: set[bytes] = set()
        self._dials = self._failures = 0

    @property
    def statistics(self) -> DialerStatistics:
        """What was counted so far."""
        return DialerStatistics(dialling=len(self.dialling), connected=len(self._connected), dials=self._dials, failed=self._failures)

    @property
    def is_busy(self) -> bool:
        """Whether so many dials are under way that the next one has to wait."""
        return self._nursery is None or len(self.dialling) >= DIALS_AT_ONCE

    def may_dial(self, record: NodeRecord) -> bool:
        """Whether a node may be dialled now, by what became of earlier dials of it and of its host."""
        return record.id not in self.dialling and self._history.may_dial(record, self._clock.now())

    def dial(self, record: NodeRecord) -> None:
        """Begin to dial a node."""
        assert self._nursery is not None  # noqa: S101  (is_busy says so)
        self._dials += 1
        self.dialling.add(record.id)
        self._history.dialled(record, self._clock.now())
        self._nursery.start_soon(self._dial, record)

    def ended(self, peer: Peer) -> None:
        """A session is over: the node is left alone for a while, whichever side had dialled."""
        self._connected.discard(peer.id)
        if peer.ended is not None:
            self._history.ended(peer.id, peer.ended, (now := self._clock.now()) - self._clock.at(peer.since), now)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the dials, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    async def _dial(self, record: NodeRecord) -> None:
        self._note("dialled", record)
        try:
            peer = await self._connect(record)
        except DialError as error:
            self._failures += 1
            delay = self._history.failed(record.id, error, self._clock.now())
            self._note("failed", record, kind_of(error))
            _logger.debug("%s: %s; not again for %.0f s", record.enode, error, self._clock.lasting(delay))
            self.dialling.discard(record.id)
            self._over(record, None)
            return
        finally:
            self.dialling.discard(record.id)
        self._note("connected", record)
        if not peer.inbound and peer.ended is None:  # else it came while we dialled, or is gone already
            self._connected.add(record.id)
        self._over(record, peer)

    def _note(self, what: str, record: NodeRecord, kind: str = "") -> None:
        """Write into the book what became of a dial. Its clock is the system's, as what is in it outlives us."""
        if self._book is None:
            return
        now = time.time()
        with self._book.trouble.survived("what becomes of dials"):
            if what == "dialled":
                self._book.dialled(record.id, now)
            elif what == "connected":
                self._book.connected(record.id, now)
            else:
                self._book.failed(record.id, kind, now)
