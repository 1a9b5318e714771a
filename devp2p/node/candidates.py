"""The way of a candidate: nodes that were named wait here until they are dialled, or others take their place.

Whether a node may be dialled, and if not why, is decided in `Candidates.why_not` and nowhere else: by what its record says (`never`), by
whether it is connected, dialled or banned, and by what became of earlier dials. Pure; the clock is passed in.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from devp2p.errors import DecodingError
from devp2p.keys import NodeId, PublicKey
from devp2p.node.census import Census
from devp2p.peers import Bans, DialHistory, Known, Pool, WhyNot, undialable
from devp2p.peers.slots import SlotCandidate
from devp2p.records import NodeRecord

if TYPE_CHECKING:
    from devp2p.node.pace import PolicyClock
    from devp2p.node.roster import Roster

_logger = logging.getLogger(__name__)


class Candidates:
    """The nodes that a node could dial. Times are on `clock`, but for bans, which are on trio's."""

    def __init__(  # noqa: PLR0913  (made in one place, by the policy)
        self,
        own: PublicKey,
        roster: "Roster",
        census: Census,
        bans: Bans,
        clock: "PolicyClock",
        *,
        outside: Iterable[NodeId],
        schemes: Collection[str],
        limit_local_addresses: bool,
    ) -> None:
        """`outside`: static and trusted nodes. `schemes`: what can be dialled."""
        self._own = own
        self._roster = roster
        self._census = census
        self._bans = bans
        self._clock = clock
        self._outside = frozenset(outside)
        self._schemes = frozenset(schemes)
        self.pool: Pool = Pool()
        """The one place where they wait."""
        self.history: DialHistory = DialHistory(limit_local_addresses=limit_local_addresses)
        """What became of dials."""
        self.reached_for: set[NodeId] = set()
        """Nodes to which a dial is under way, for whatever reason."""
        self.dialling: set[NodeId] = set()
        """Those that are dialled for a place."""
        self.turned_away: Counter[WhyNot] = Counter()
        """How often a node was named that can be no candidate, by why."""

    # May we dial it, and if not why

    def why_not(self, record: NodeRecord, wanted_by: tuple[str, ...] | None = None) -> WhyNot | None:
        """Why a node is not to be dialled now; None if it may be. `wanted_by`: what capabilities want it, if they were asked."""
        return self.never(record, wanted_by) or self._why_not_now(record)

    def never(self, record: NodeRecord, wanted_by: tuple[str, ...] | None = None) -> WhyNot | None:
        """Why a node can be no candidate, by what its record says; None if it can be one."""
        if (why := self._unfit(record)) is not None:
            return why
        return None if (self._census.wanting(record) if wanted_by is None else wanted_by) else WhyNot.UNWANTED

    def _unfit(self, record: NodeRecord) -> WhyNot | None:
        """Why a node can be no candidate, whatever capabilities want."""
        if record.public_key == self._own:
            return WhyNot.OURSELVES
        if record.id in self._outside:
            return WhyNot.STATIC_OR_TRUSTED
        return undialable(record, self._schemes)

    def may_dial(self, node_id: bytes) -> bool:
        """Whether a node may be dialled now, if it is still a candidate."""
        known = self.pool.get(node_id)
        return known is not None and self.why_not(known.record, known.capabilities) is None

    def _why_not_now(self, record: NodeRecord) -> WhyNot | None:
        if self._roster.get(record.public_key) is not None:
            return WhyNot.CONNECTED
        if record.id in self.reached_for or record.id in self.dialling:
            return WhyNot.DIALLED_NOW
        if self._bans.get(record.id, self._clock.trio()) is not None:
            return WhyNot.BANNED
        return self.history.why_not(self._knocking(record), self._clock.now())

    def _knocking(self, record: NodeRecord) -> NodeRecord:
        """A record with the addresses at whose hosts we would knock: not those through a relay that is a peer already."""
        if not any(address.via for address in record.addresses):
            return record
        return replace(record, addresses=tuple(address for address in record.addresses if not self._is_peer(address.via)))

    def _is_peer(self, key: str) -> bool:
        with suppress(DecodingError):
            return bool(key) and self._roster.get(PublicKey.from_bytes(bytes.fromhex(key))) is not None
        return False

    # What happens to it, in order

    def takes(self, record: NodeRecord) -> bool:
        """Whether a node that was named can be a candidate. Counts those that cannot: this is the filter of discovery."""
        return bool(self._wanted_by(record))

    def _wanted_by(self, record: NodeRecord) -> tuple[str, ...]:
        """The capabilities that want a node which was named; none if it can be no candidate, which is counted."""
        why = self._unfit(record)
        if why is None:
            if wanted_by := self._census.wanting(record):
                return wanted_by
            why = WhyNot.UNWANTED
        self.turned_away[why] += 1
        if _logger.isEnabledFor(logging.DEBUG):  # strangers name many, and the text is long
            _logger.debug("%s is no candidate: %s", record.enode, why)
        return ()

    def offer(self, record: NodeRecord, source: str, *, anchor: bool = False, introduced: bool = False) -> bool:
        """A source has named a node, perhaps again: return whether it is a candidate now.

        `anchor`: one of our best before the restart. `introduced`: a peer has introduced us to it.
        """
        if not (wanted_by := self._wanted_by(record)):
            return False
        self.pool.offer(record, source, wanted_by, anchor=anchor, introduced=introduced)
        return True

    def look_at(self, known: Known) -> SlotCandidate | None:
        """A candidate as the policy of slots sees it; None if it may not be dialled now, and then `known` says why."""
        why = self.why_not(known.record, known.capabilities)
        if why is not known.why_not:
            known.why_not = why
            _logger.debug("%s %s", known.record.enode, "may be dialled" if why is None else f"is not dialled: {why}")
        return self._census.candidate(known, self._clock.now()) if why is None else None

    @property
    def not_dialled(self) -> dict[str, int]:
        """How many were not to be dialled when they were looked at the last time, by the word for why."""
        counts = Counter(known.why_not for known in self.pool)
        return {why.value: counts[why] for why in WhyNot}

    def begin_dial(self, record: NodeRecord) -> None:
        """A node is dialled for a place from now on."""
        self.dialling.add(record.id)
        self.history.dialled(self._knocking(record), self._clock.now())
        if (known := self.pool.get(record.id)) is not None:
            known.tries += 1
            known.anchor, known.introduced, known.seen_as = False, False, None  # it has had its chance

    def dial_over(self, record: NodeRecord) -> None:
        """That dial is over, however it ended."""
        self.dialling.discard(record.id)

    def reached(self, record: NodeRecord) -> None:
        """A node was reached at the addresses in its record, for whatever reason it was dialled."""
        self.pool.offer(record, "user", self._census.wanting(record)).served = True

    def served(self, node_id: bytes) -> None:
        """A session with a node has begun."""
        if (known := self.pool.get(node_id)) is not None:
            known.served = True
