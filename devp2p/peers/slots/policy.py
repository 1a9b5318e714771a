"""Which peers to have: which to dial, admit, replace and drop (pure; decides, never acts).

`Slots` is told which peers are connected and which nodes could be dialled, and says what to change. The caller acts, and the outcome shows
the next time. It keeps no peer, only what it has changed lately.

Each capability has slots (`lineup`), and a set of peers is worth what the best of them are worth in these (`objective`). Of the
`budget` places some are only for peers that we dial, since anybody can make any number of inbound ones, and some are left free, so
that an honest newcomer need not wait for a place. Peers are replaced slowly, and only for a clear gain: one at a tick, a tenth of
the places in ten minutes. Bad conduct is not subject to any of that: such a peer is dropped at once, and banned.

Trusted and static peers (`SlotPeer.outside`) count nowhere here, and are always admitted.
"""

import math
from collections import deque
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from devp2p.errors import DisconnectReason, LocalProtocolError
from devp2p.peers.bans import Ban
from devp2p.peers.slots.changes import better, graft, keeps_minimums, margins_of, repair, rotation
from devp2p.peers.slots.dials import Choice, shortlist
from devp2p.peers.slots.eviction import choose_victim
from devp2p.peers.slots.lineup import EXPLORE_TENURE, Lineup
from devp2p.peers.slots.objective import Item, Rules, item_of_candidate, item_of_peer
from devp2p.peers.slots.values import (
    Admit,
    Change,
    Dial,
    Drop,
    Evict,
    Graft,
    Refuse,
    SlotCandidate,
    SlotClass,
    SlotPeer,
    SlotSpec,
    Swap,
)
from devp2p.peers.slots.view import SlotsView, view_of

TICK: Final = 10.0
"""Seconds between two changes."""
CHURN_WINDOW: Final = 600.0
CHURN_SHARE: Final = 0.10
"""The part of the budget that may be replaced within `CHURN_WINDOW` seconds."""
GRAFT_INTERVAL: Final = 60.0
GRAFTS: Final = 2
"""How many candidates are tried, each `GRAFT_INTERVAL`, while the median of a capability is below its floor."""
ROTATION_INTERVAL: Final = 300.0
"""Seconds between two rotations of explore slots."""
SPARE_SHARE: Final = 0.10
"""The part of the budget that is left free for inbound peers."""
INBOUND_RATIO: Final = 3
"""One place of so many, at least, is not for peers that we dial: in a network of nodes that only dial, none can be dialled."""
NEWCOMER_GRACE: Final = 60.0
"""Seconds for which an inbound peer is not evicted to have places free; only if there is none left for another."""
DIAL_PATIENCE: Final = 60.0
"""After how many seconds a dial for a replacement that nothing was heard of is given up."""
ANCHORS: Final = 2
"""Peers of each capability that are to be dialled first after a restart."""
SHORT_BAN: Final = 3600.0
LONG_BAN: Final = 12 * 3600.0
MALICE: Final = 4.0
"""From this severity on the ban is a long one."""


@dataclass(frozen=True, slots=True)
class _Planned:
    """A replacement whose dial is under way."""

    drop: bytes | None
    since: float


class Slots:
    """The policy of a node. ``now`` is on any clock; `random` gives numbers from 0 to below 1 that nobody else can predict."""

    def __init__(
        self,
        specs: Sequence[SlotSpec],
        budget: int,
        *,
        secret: bytes,
        dialled_floor: int | None = None,
        network_cap: int | None = None,
    ) -> None:
        """`secret`: at least 16 random bytes, drawn anew at each start. `dialled_floor`: places for peers that we dial, by default a third.

        `network_cap`: peers of one network (see `addresses.GROUP`), by default a tenth of the budget, and at least 2.
        LocalProtocolError for what makes no sense.
        """
        floor = max(0, min(max(1, budget // 3), budget - 1)) if dialled_floor is None else dialled_floor
        cap = max(2, budget // 10) if network_cap is None else network_cap
        if budget < 0 or not 0 <= floor <= budget or cap < 1 or len(secret) < 16:
            raise LocalProtocolError(f"slots for {budget} peers, {floor} of them dialled, {cap} of one network")
        if len({spec.name for spec in specs}) != len(specs):
            raise LocalProtocolError("two capabilities have the same name")
        spare = max(0, min(math.ceil(SPARE_SHARE * budget), budget - floor, budget - 1))
        dialled_cap = max(floor, budget - budget // INBOUND_RATIO)
        self.rules: Rules = Rules(tuple(specs), budget, cap, floor, tuple(spec.inbound for spec in specs), spare, dialled_cap)
        self.changes_allowed: int = max(1, int(CHURN_SHARE * budget))
        """Replacements within ten minutes."""
        self._secret = secret
        self._core: dict[str, frozenset[bytes]] = {}
        self._changes: deque[float] = deque()
        self._planned: dict[bytes, _Planned] = {}
        self._awaited: dict[bytes, Item] = {}  # the dials for free places that are under way
        self._last_change = -math.inf
        self._last_rotation = -math.inf
        self._last_graft = -math.inf
        self._grafts = {spec.name: 0 for spec in specs}
        self._dials = 0

    def respecify(self, specs: Sequence[SlotSpec]) -> None:
        """Let the capabilities want something else from now on; they stay the same ones, in the same order."""
        if [spec.name for spec in specs] != [spec.name for spec in self.rules.specs]:
            raise LocalProtocolError("slots are for the capabilities that they were made for")
        self.rules = replace(self.rules, specs=tuple(specs), inbound_quota=tuple(spec.inbound for spec in specs))

    # The tick

    def decide(
        self, peers: Sequence[SlotPeer], candidates: Sequence[SlotCandidate], now: float, random: Callable[[], float]
    ) -> tuple[Change, ...]:
        """What to change, to be asked each `TICK`: peers to drop for bad conduct, at most one replacement, at most one eviction."""
        steps = self.deciding(peers, candidates, now, random)
        while True:
            try:
                next(steps)
            except StopIteration as decided:
                changes: tuple[Change, ...] = decided.value
                return changes

    def deciding(
        self, peers: Sequence[SlotPeer], candidates: Sequence[SlotCandidate], now: float, random: Callable[[], float]
    ) -> Generator[None, None, tuple[Change, ...]]:
        """The same in steps of a few milliseconds where there are many candidates: between two of them others can have their turn."""
        self._forget(now)
        drops = [drop for peer in peers if (drop := _drop(peer)) is not None]
        gone = {drop.id for drop in drops}
        lineup = self._lineup([peer for peer in peers if peer.id not in gone], now)
        self._core = {
            name: frozenset(node_id for node_id, kind in slots.items() if kind is SlotClass.CORE) for name, slots in lineup.slots.items()
        }
        usable = self._usable(lineup, candidates)
        yield
        change = yield from self._replacement(lineup, usable, now, random)
        if change is not None:
            self._last_change = now
            self._planned[change.id] = _Planned(change.drop, now)
        eviction = self._spare_eviction(lineup)  # after the replacement: a peer that is to be replaced is not evicted
        return tuple(found for found in (*drops, change, eviction) if found is not None)

    def _replacement(
        self, lineup: Lineup, candidates: Sequence[SlotCandidate], now: float, random: Callable[[], float]
    ) -> Generator[None, None, Swap | Graft | None]:
        """The one change of a tick that is subject to the churn budget."""
        self._plan_grafts(lineup, now)
        under_way = frozenset(planned.drop for planned in self._planned.values() if planned.drop is not None)
        if now - self._last_change < TICK or len(self._changes) + len(under_way) >= self.changes_allowed:
            return None
        items = [item_of_candidate(self.rules, candidate) for candidate in shortlist(self.rules, candidates, random).values()]
        yield
        margins = margins_of(lineup, under_way)
        free = self._free_for_dials(lineup)
        crowded = free <= 0  # else a better node is dialled for a free place, and no peer has to go
        if crowded and (change := repair(lineup, items, margins)) is not None:
            return change
        for spec in self.rules.specs:
            if self._grafts[spec.name] and (grafted := graft(lineup, spec, candidates, margins, free, random)) is not None:
                self._grafts[spec.name] -= 1
                return grafted
        if crowded and (change := better(lineup, items, margins)) is not None:
            return change
        if now - self._last_rotation < ROTATION_INTERVAL:
            return None
        rotated = rotation(lineup, candidates, margins, random)
        self._last_rotation = now if rotated is not None else self._last_rotation
        return rotated

    def _plan_grafts(self, lineup: Lineup, now: float) -> None:
        if now - self._last_graft < GRAFT_INTERVAL:
            return
        self._last_graft = now
        for spec in self.rules.specs:
            median = lineup.median(spec.name)
            self._grafts[spec.name] = GRAFTS if median is not None and median < spec.floor else 0

    def _spare_eviction(self, lineup: Lineup) -> Evict | None:
        """Keep places free, and the budget if it was made smaller."""
        taken = lineup.inbound + max(self.rules.dialled_floor, lineup.selection.dialled)
        if taken <= self.rules.budget - self.rules.spare:
            return None
        leaving = {planned.drop for planned in self._planned.values()}
        if any(peer.inbound for peer in lineup.peers.values() if peer.id in leaving):
            return None
        peers = [peer for peer in lineup.peers.values() if peer.inbound and lineup.tenure(peer) >= NEWCOMER_GRACE]
        victim = self._victim(lineup, peers, None)
        return Evict(victim.id, f"{self.rules.spare} places are left free for newcomers") if victim is not None else None

    # Free places

    def may_dial(self, peers: Sequence[SlotPeer], dialling: Collection[bytes], now: float) -> bool:
        """Whether there is a free place to dial a node for; if not, there is no need to look for candidates."""
        return self._free_for_dials(self._lineup(peers, now)) > self._waiting(dialling)

    def choice(self, peers: Sequence[SlotPeer], candidates: Sequence[SlotCandidate], now: float, random: Callable[[], float]) -> Choice:
        """What `next_dial` chooses from."""
        lineup = self._lineup(peers, now)
        return Choice(lineup, self._usable(lineup, candidates), random)

    def next_dial(self, choice: Choice, dialling: Collection[bytes]) -> Dial | None:
        """Which node to dial for a free place, if there are both; to be asked until it is None.

        `dialling`: the dials under way. As some fail, two are counted as one. Replacements are not dialled here, but as `decide` says.
        """
        for node_id in dialling:
            choice.leave_out(node_id)
        self._awaited = {node_id: item for node_id, item in self._awaited.items() if node_id in dialling}
        waiting = self._waiting(dialling)
        if self._free_for_dials(choice.lineup) <= waiting:
            return None
        awaited = list(self._awaited.values())
        found = choice.next(waiting, awaited[: -(-len(awaited) // 2)], self._dials)
        if found is not None:
            self._dials += 1
            self._awaited[found.id] = choice.item(found.id)
        return found

    # Peers that come

    def admit(self, newcomer: SlotPeer, peers: Sequence[SlotPeer], now: float, *, ban: Ban | None = None) -> Admit | Refuse:
        """Whether to let in a peer that has proved its key, and which peer has to go for it. `ban`: the ban that it is under, if it is.

        With the answer the replacement that the peer was dialled for, if it was, is over; but if it has dialled us meanwhile, and is
        refused, our own dial is still to come.
        """
        self._forget(now)
        decision = self._judge(newcomer, peers, now, ban)
        if isinstance(decision, Admit) or not newcomer.inbound:
            self._planned.pop(newcomer.id, None)
        return decision

    def _judge(self, newcomer: SlotPeer, peers: Sequence[SlotPeer], now: float, ban: Ban | None) -> Admit | Refuse:
        planned = None if newcomer.inbound else self._planned.get(newcomer.id)
        if any(peer.id == newcomer.id for peer in peers):
            return Refuse(newcomer.id, "there is a session with it already", DisconnectReason.ALREADY_CONNECTED)
        if newcomer.outside:
            return Admit(newcomer.id, "trusted or static: outside of all slots")
        if ban is not None:
            return Refuse(newcomer.id, f"banned: {ban.reason}", DisconnectReason.USELESS_PEER)
        bad = next((standing.bad for standing in newcomer.standings.values() if standing.bad), None)
        if bad is not None:
            return Refuse(newcomer.id, bad, DisconnectReason.USELESS_PEER)
        lineup = self._lineup(peers, now)
        item = item_of_peer(self.rules, newcomer)
        leaves = lineup.selection.get(planned.drop) if planned is not None and planned.drop is not None else None
        if not lineup.selection.has_room_for(item, leaves):
            return Refuse(newcomer.id, f"{self.rules.network_cap} peers are of its network already")
        if newcomer.inbound:
            return self._admit_inbound(lineup, newcomer, item)
        if leaves is not None and not lineup.peers[leaves.id].protected and keeps_minimums(lineup, item, leaves):
            self._changes.append(now)
            return Admit(newcomer.id, "it was dialled for another one's place", leaves.id)
        if len(lineup.peers) < self.rules.budget:
            return Admit(newcomer.id, "there is a free place")
        return Refuse(newcomer.id, f"all {self.rules.budget} places are taken")

    def gave_up(self, node_id: bytes) -> None:
        """The dial of a candidate has failed: if it was for a replacement, no peer is replaced."""
        self._planned.pop(node_id, None)

    def _admit_inbound(self, lineup: Lineup, newcomer: SlotPeer, item: Item) -> Admit | Refuse:
        places = self.rules.budget - max(self.rules.dialled_floor, lineup.selection.dialled)
        if lineup.inbound < places:
            return Admit(newcomer.id, "there is a free place")
        victim = self._victim(lineup, [peer for peer in lineup.peers.values() if peer.inbound], item)
        if victim is None:
            return Refuse(newcomer.id, f"all {places} places for inbound peers are taken, and those who have them are protected")
        return Admit(newcomer.id, "the youngest peer of the most crowded network makes room", victim.id)

    def _victim(self, lineup: Lineup, peers: list[SlotPeer], enters: Item | None) -> SlotPeer | None:
        items = [item for item in lineup.selection.items if not item.dialled]
        kept = {item.id for item in items if not keeps_minimums(lineup, enters, item)}
        return choose_victim(lineup, peers, self._secret, kept)

    # What is asked of it

    def anchors(self, peers: Sequence[SlotPeer], now: float) -> dict[str, tuple[bytes, ...]]:
        """The peers of each capability to be dialled first after a restart: of those we dialled, the ones that earned most.

        Each is of a network of its own, as far as that is known, and has been there for ten minutes.
        """
        lineup = self._lineup(peers, now)
        found: dict[str, tuple[bytes, ...]] = {}
        for spec in self.rules.specs:
            fit = [peer for peer in lineup.sharing[spec.name] if not peer.inbound and lineup.tenure(peer) >= EXPLORE_TENURE]
            fit = [peer for peer in fit if not any(standing.bad for standing in peer.standings.values())]
            fit.sort(key=lambda peer: (-peer.standings[spec.name].score, -lineup.values[spec.name][peer.id], peer.since, peer.id))
            chosen: list[SlotPeer] = []
            for peer in fit:
                if len(chosen) < ANCHORS and (peer.network is None or all(peer.network != other.network for other in chosen)):
                    chosen.append(peer)
            found[spec.name] = tuple(peer.id for peer in chosen)
        return found

    def view(self, peers: Sequence[SlotPeer], now: float) -> SlotsView:
        """The set of peers, explained."""
        self._forget(now)
        lineup = self._lineup(peers, now)
        return view_of(lineup, changes=len(self._changes), changes_allowed=self.changes_allowed)

    def _lineup(self, peers: Sequence[SlotPeer], now: float) -> Lineup:
        return Lineup(self.rules, peers, now, self._core)

    def _usable(self, lineup: Lineup, candidates: Sequence[SlotCandidate]) -> list[SlotCandidate]:
        """Candidates that are not connected or about to be, and whose conduct was not bad."""
        taken = lineup.peers.keys() | self._planned.keys() | {peer.id for peer in lineup.outside}
        usable: list[SlotCandidate] = []
        for candidate in candidates:
            if candidate.id in taken:
                continue
            for standing in candidate.standings.values():
                if standing.bad is not None:
                    break
            else:
                usable.append(candidate)
        return usable

    def _waiting(self, dialling: Collection[bytes]) -> int:
        """How many of the dials under way will probably take a free place."""
        for_free_places = [node_id for node_id in dialling if (plan := self._planned.get(node_id)) is None or plan.drop is None]
        return -(-len(for_free_places) // 2)

    def _free_for_dials(self, lineup: Lineup) -> int:
        """Places that may be taken by dialling: those that only dialled peers get, and others while enough are left for inbound ones."""
        rules = self.rules
        places = rules.budget - len(lineup.peers)
        more = rules.dialled_cap - lineup.selection.dialled
        return min(places, max(rules.dialled_floor - lineup.selection.dialled, min(more, places - rules.spare)))

    def _forget(self, now: float) -> None:
        """Let go of what is over. Times that a clock which was set back has made times to come become now."""
        for number, when in enumerate(self._changes):
            self._changes[number] = min(when, now)
        while self._changes and now - self._changes[0] >= CHURN_WINDOW:
            self._changes.popleft()
        self._last_change = min(self._last_change, now)
        self._last_rotation = min(self._last_rotation, now)
        self._last_graft = min(self._last_graft, now)
        for node_id, planned in list(self._planned.items()):
            if not 0 <= now - planned.since <= DIAL_PATIENCE:
                del self._planned[node_id]


def _drop(peer: SlotPeer) -> Drop | None:
    """What becomes of a peer whose conduct is bad; nothing protects it but that our own user trusts it."""
    bad = [standing for standing in peer.standings.values() if standing.bad]
    if peer.outside or not bad:
        return None
    severity = max(standing.severity for standing in bad)
    return Drop(peer.id, bad[0].bad or "", LONG_BAN if severity >= MALICE else SHORT_BAN)
