"""A crawl as one of several: who is visited is decided by a frontier that they share.

Theory of operation. Whoever is named is handed over instead of being queued here; nodes to visit are leased, a few at a time, and given
back with the time when each is due again. That is done only once its rows are in the file, its call by TCP included, and the nodes that it
named are handed over: so a crawler may die at any moment, and what it had not done is leased to others.

While the server is away, what was leased is visited as long as the leases surely last, and all else waits here. Times of leases are the
server's; here counts when the last call began that renewed them.
"""

import logging
from collections.abc import Callable
from typing import Final

import trio

from devp2p import Address, NodeRecord, PublicKey, Record
from devp2p_crawler.crawling.calling import Calling
from devp2p_crawler.crawling.rows import unpacked
from devp2p_crawler.crawling.state import State, wall
from devp2p_crawler.frontier import Cover
from devp2p_crawler.model import Sighting
from devp2p_crawler.stores import Frontier, SinkError, Target, Writer

MOST_WAITING: Final = 100_000
"""Sightings that wait for a server; about 50 MB."""
_HANDED_AT_ONCE: Final = 5000  # sightings: leases are renewed in between
AT_ONCE: Final = 64
"""Nodes of one lease: few, so that others get some too."""
_STEP: Final = 0.1
_QUIET: Final = 0.5  # seconds until we ask again where nobody was due
_LONGEST_PAUSE: Final = 5.0
_SURE: Final = 0.75  # of the time of a lease, for which it is relied on
_LAST_TRY: Final = 15.0  # seconds that the end has
_FAR: Final = 2**62
_NO_ROOM: Final = 3_600_000_000  # microseconds for which a node is left that there is no room for

_logger = logging.getLogger(__name__)


class Fleet:
    """What one crawl has to do with a shared frontier."""

    def __init__(  # noqa: PLR0913  (of `run_crawl` alone)
        self, state: State, frontier: Frontier, writer: Writer, calling: Calling, *, room: Callable[[], int], tell: Callable[[str], None]
    ) -> None:
        """`room` says how many nodes are wanted now."""
        self._state, self._frontier, self._writer, self._calling = state, frontier, writer, calling
        self._room, self._tell = room, tell
        self._told: dict[tuple[bytes, bytes, int], Cover | None] = {}
        self._sightings: list[Sighting] = []
        self._settled: dict[bytes, int] = {}
        self._sealed: dict[bytes, int] = {}
        self._sealed_at = 0.0
        self._handed = self._sealed_after = 0  # sightings
        self._held: set[bytes] = set()
        self._renewed = trio.current_time()
        self._trouble = self._lapsed = False
        self.is_quiet: bool = False
        """Whether nobody was due when we last asked."""
        self.is_over: bool = False
        """Whether nobody was due then, and nobody is leased to any crawler."""
        state.share(self._sighted, self._visited)

    def holds(self, node: bytes) -> bool:
        """Whether a node is ours to visit."""
        if trio.current_time() > self._renewed + _SURE * self._frontier.seconds:
            self._held.clear()  # somebody else may have them now
            self._lapsed = True
        return node in self._held

    async def run(self, before: int | None) -> None:
        """Hand over, lease and renew, for ever. `before`: nodes are leased that were due by then; None: that are due."""
        pause = _STEP
        while True:
            try:
                await self._renew()
                await self._hand_over()
                await self._release()
                await self._lease(before)
            except SinkError as error:
                pause = min(2 * pause, _LONGEST_PAUSE)
                self._fails(str(error))
            else:
                pause = _QUIET if self.is_quiet else _STEP
                self._is_well()
            await trio.sleep(pause)

    async def close(self) -> None:
        """Hand over what is left, and give back what is leased, in some seconds; what is left then waits for its lease to end."""
        with trio.move_on_after(_LAST_TRY, shield=True):
            try:
                while self._sightings or self._settled or self._sealed:
                    self._calling.pending.clear()  # nobody is called any more
                    await self._hand_over()
                    await trio.sleep(_STEP)
            except SinkError as error:
                self._fails(str(error))
            try:
                await self._frontier.close()
            except SinkError as error:
                _logger.info("leases are not given back: %s", error)

    def _sighted(self, sighting: Sighting, asked_by: Cover | None) -> bool:
        """Somebody was named; whether that is news."""
        name = (sighting.node, sighting.ip, sighting.udp)
        if name in self._told or len(self._sightings) >= MOST_WAITING:
            return False
        if len(self._told) >= MOST_WAITING:
            self._told.clear()
        self._told[name] = asked_by
        self._sightings.append(sighting)
        self.is_quiet = self.is_over = False
        return True

    def _visited(self, node: bytes, due: int | None) -> None:
        self._held.discard(node)
        self._settled[node] = _FAR if due is None else due
        self.is_quiet = self.is_over = False

    async def _renew(self) -> None:
        now = trio.current_time()
        if now >= self._renewed + self._frontier.seconds / 4:
            await self._frontier.renew()
            self._renewed = now

    async def _hand_over(self) -> None:
        if not self._sealed and self._settled:
            called = self._calling.pending
            self._sealed = {node: due for node, due in self._settled.items() if node not in called}
            self._settled = {node: due for node, due in self._settled.items() if node in called}
            self._state.rows.flush()
            self._sealed_at = trio.current_time()
            self._sealed_after = self._handed + len(self._sightings)
        # Only what is in the file is settled; and whom these nodes named goes before, so that nobody takes the crawl for over.
        is_written = self._writer.lag < trio.current_time() - self._sealed_at
        sightings = self._sightings[:_HANDED_AT_ONCE]
        if sightings:
            await self._frontier.sighted(sightings)
            del self._sightings[: len(sightings)]
            self._handed += len(sightings)
        if self._sealed and is_written and self._handed >= self._sealed_after:
            await self._frontier.settle(self._sealed)
            self._sealed = {}

    async def _release(self) -> None:
        """Give back what we had in mind to visit when leases seemed to have run out: nobody here has it in mind any more."""
        if self._lapsed and not (self._settled or self._sealed):
            await self._frontier.release()
            self._lapsed = False

    async def _lease(self, before: int | None) -> None:
        if self._lapsed or (room := min(self._room(), AT_ONCE)) <= 0:
            return
        began = trio.current_time()
        targets = await self._frontier.lease(room, before=before)
        if not self._held:
            self._renewed = began
        for target in targets:
            self._take(target)
        if self._sightings or self._settled or self._sealed:
            return
        self.is_quiet = not targets
        if self.is_quiet:
            is_over = not await self._frontier.outstanding(before=before)
            self.is_over = is_over and not (self._sightings or self._settled or self._sealed)
        self._state.wake()

    def _take(self, target: Target) -> None:
        node = node_of(target)
        if node is None:
            self._settled[target.node] = _FAR
        elif not self._state.leased(node, self._told.get((target.node, target.ip, target.udp))):
            self._settled[target.node] = wall() + _NO_ROOM
        else:
            self._held.add(target.node)

    def _fails(self, why: str) -> None:
        self.is_quiet = self.is_over = False
        if not self._trouble:
            self._trouble = True
            self._tell(f"{why}. The file takes all that is found; the crawl goes on with other nodes once the frontier is there again")

    def _is_well(self) -> None:
        if self._trouble:
            self._trouble = False
            self._tell("the frontier is there again")


def node_of(target: Target) -> NodeRecord | None:
    """A target as it is asked; None if what is known names nobody."""
    try:
        if target.record is not None:
            found = NodeRecord.from_enr(Record.decode(target.record))
            if found.udp_endpoints:
                return found
        key = PublicKey.from_bytes(target.public_key)
    except ValueError:
        return None
    if not target.ip:
        return NodeRecord(key)
    return NodeRecord(key, (Address("tcp", unpacked(target.ip), target.tcp),), target.udp)
