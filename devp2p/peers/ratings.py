"""How good each peer is in each capability, from what the capabilities report (pure; ``now`` is passed in, on any clock).

A *rating* is the capability's metric over what a peer did lately; a *score* is what it has earned in all. Ratings of different
capabilities cannot be compared, and a capability could inflate its own. So what leaves this module is the *quantile*: the share of all
peers rated in that capability, connected now or within the last day, that are worse. Equal ones share their places evenly, so the mean
is one half whatever the metric is.

What is no number. A metric that gives NaN, or cannot be computed (ArithmeticError, ValueError), leaves the peer unrated, as if it were
new, unless something invalid stands against it: then it is the worst. Infinities count as a very large number.

What may be kept. Nothing is, of a node-ID that has not proved itself: until `proved`, every report about it is passed over. The number of
peers is bounded. The first to be forgotten are those that were away longest, and those whose faults are still held against them
come last; peers that are connected are never forgotten. So an attacker that wants a fault forgotten must have as many identities
misbehave, and each of these is worth what the forgotten one became: a newcomer.
"""

import math
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from devp2p.conduct import Conduct, RecentConduct, default_metric
from devp2p.errors import DisconnectReason, LocalProtocolError, PeerDisconnected
from devp2p.peers.evidence import Evidence, news_since

POPULATION_AGE: Final = 86400.0
"""For how many seconds after its last session a peer is one of those that others are compared with."""
FORGOTTEN_AFTER: Final = 7 * 86400.0
"""After how many seconds of absence nothing is left of a peer."""
LEAST_FAULT: Final = 0.5
"""What is left of the severity of faults below this no longer makes a peer a bad one."""

_BREACH: Final = Conduct(invalid=2)
_SILENCE: Final = Conduct(timeouts=1)
_FAIR: Final = frozenset({DisconnectReason.TOO_MANY_PEERS, DisconnectReason.ALREADY_CONNECTED, DisconnectReason.CLIENT_QUITTING})
_STABLE: Final = 60.0  # seconds; a peer that leaves sooner, and did nothing, was of no use
_MOST: Final = 1e300  # for infinity
_SPARE: Final = 32  # when there is no room, one peer of so many is forgotten at once
_BASE: Final = ""  # the name under which rows hold the base protocol
_RECKONED: Final = 600.0  # seconds for which the rating of an absent peer is not computed anew; it changes slowly
_STEP: Final = 1000  # peers that are looked at between two steps of `refreshing`
_RATED: Final = 12  # as many of which are worth one whose rating is computed


@dataclass(frozen=True, slots=True)
class RatingRule:
    """How one capability rates."""

    name: str
    metric: Callable[[RecentConduct], float] = default_metric
    target: float = 1.0
    """The latency in seconds that it wishes for."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one peer stands in one capability."""

    quantile: float | None = None
    """Its place among all peers rated in the capability, 0 to 1; None if it is not rated (yet)."""
    rating: float | None = None
    """What the capability's metric says of it."""
    score: float = 0.0
    """What it has earned in all: its rating, summed over hours of connection."""
    severity: float = 0.0
    """What is left of its faults, each 1 (a slip) to 4 (malice)."""
    sessions: int = 0
    last_useful: float | None = None
    """When it last brought something."""
    bad: str | None = None
    """Why it must go, if its conduct is bad; None if it is not."""


UNKNOWN: Final = Standing()
"""How a peer stands of which nothing is known."""


class RatingRow(NamedTuple):
    """What is kept of one peer in one capability, or of its base protocol (``capability`` is empty). Times are seconds since 1970."""

    id: bytes
    capability: str
    saved: float
    last_connected: float
    sessions: int
    useful: float
    minutes: float
    latency: float | None
    timeouts: float
    severity: float
    discredit: float
    held: float
    score: float
    observed: bool


@dataclass(slots=True)
class _Peer:
    updated: float
    last_connected: float
    connected: bool = False
    since: float = 0.0
    sessions: int = 0
    base: Evidence = field(default_factory=Evidence)
    evidence: dict[str, Evidence] = field(default_factory=dict[str, Evidence])
    seen: dict[str, Conduct] = field(default_factory=dict[str, Conduct])
    """What has been taken in of the session's conduct."""
    last_useful: dict[str, float] = field(default_factory=dict[str, float])
    why: dict[str, str] = field(default_factory=dict[str, str])
    ratings: dict[str, float] = field(default_factory=dict[str, float])
    """Computed when `updated`; a capability in which it is not rated is missing."""
    standings: dict[str, Standing] = field(default_factory=dict[str, Standing])
    """What was told of it since then."""
    ranked: int = -1
    """By which ranks that was."""

    @property
    def is_held(self) -> bool:
        return any(evidence.held > 0 for evidence in (self.base, *self.evidence.values()))


class Ratings:
    """The conduct of all peers. Report what happens by `proved`, `observe` and `ended`, ask by `standing`."""

    def __init__(self, rules: Iterable[RatingRule], *, max_peers: int = 8192) -> None:
        """`max_peers`: how many are remembered at most, at least 1; LocalProtocolError for fewer."""
        self._rules = {rule.name: rule for rule in rules}
        self._max_peers = max_peers
        self._peers: OrderedDict[bytes, _Peer] = OrderedDict()  # by how long ago the last session began
        self._ranks: dict[str, list[float]] = {}
        self._ranking = 0  # how often they have changed
        self._changed: set[bytes] = set()  # for whom more than time has passed since they were kept
        if max_peers < 1:
            raise LocalProtocolError(f"ratings of {max_peers} peers")

    def __len__(self) -> int:
        return len(self._peers)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._peers)

    def __contains__(self, node_id: bytes) -> bool:
        return node_id in self._peers

    # What happens

    def proved(self, node_id: bytes, capabilities: Iterable[str], now: float) -> None:
        """A session with a node has begun, which it has proved to be by a valid frame; some of our capabilities are shared."""
        peer = self._peers.setdefault(node_id, _Peer(now, now))
        self._peers.move_to_end(node_id)
        self._advance(peer, now)
        peer.connected, peer.since, peer.sessions = True, now, peer.sessions + 1
        peer.standings.clear()
        self._changed.add(node_id)
        peer.seen.clear()
        for name in capabilities:
            if name in self._rules:
                peer.evidence.setdefault(name, Evidence())
        if len(self._peers) > self._max_peers:
            self._forget_some()

    def observe(self, node_id: bytes, capability: str, conduct: Conduct, now: float) -> None:
        """Take in a session's conduct in a capability: all of it since `proved`, as ``peer.conduct`` gives it; as often as one likes."""
        peer = self._peers.get(node_id)
        if peer is None or capability not in peer.evidence:
            return
        self._advance(peer, now)
        news = news_since(peer.seen.get(capability, Conduct()), conduct)
        peer.seen[capability] = conduct
        peer.evidence[capability].add(news)
        if news.useful > 0:
            peer.last_useful[capability] = now
        if news.invalid:
            peer.why[capability] = conduct.why
        self._rate(peer)
        self._changed.add(node_id)

    def ended(self, node_id: bytes, end: PeerDisconnected, now: float) -> None:
        """A session is over. How it ended counts in all capabilities if it speaks against the peer."""
        peer = self._peers.get(node_id)
        if peer is None or not peer.connected:
            return
        self._advance(peer, now)
        peer.connected, peer.last_connected = False, now
        self._changed.add(node_id)
        brief = now - peer.since < _STABLE and not any(conduct.useful for conduct in peer.seen.values())
        if end.by_remote:
            if brief and end.reason not in _FAIR:
                peer.base.add(_SILENCE)
        elif end.reason == DisconnectReason.PING_TIMEOUT:
            peer.base.add(_SILENCE)
        elif end.reason == DisconnectReason.PROTOCOL_BREACH:
            self._breach(peer, end.detail)
        self._rate(peer)

    def blame(self, node_id: bytes, why: str, now: float) -> None:
        """A node that a peer has introduced is banned: for an hour the peer's good ratings count half, and then fade back."""
        peer = self._peers.get(node_id)
        if peer is None:
            return
        self._advance(peer, now)
        peer.base.halve()
        peer.why[_BASE] = why
        self._rate(peer)
        self._changed.add(node_id)

    # How peers stand

    def standing(self, node_id: bytes, capability: str, now: float) -> Standing:
        """How a peer stands in a capability. Quantiles are those of the last `refresh`, with the peer's rating as it is now.

        Of one that is absent the rating may be ten minutes old: all candidates are asked about again and again.
        """
        peer = self._peers.get(node_id)
        evidence = peer.evidence.get(capability) if peer is not None else None
        if peer is None or evidence is None:
            return UNKNOWN
        if self._is_stale(peer, now):
            self._bring_up(peer, now)
        if peer.ranked != self._ranking:
            peer.standings.clear()
            peer.ranked = self._ranking
        if (known := peer.standings.get(capability)) is None:
            known = peer.standings[capability] = self._standing(peer, evidence, capability)
        return known

    def _standing(self, peer: _Peer, evidence: Evidence, capability: str) -> Standing:
        rating = peer.ratings.get(capability)
        severity = evidence.severity + peer.base.severity
        bad = None
        if rating is not None and rating < 0 and severity >= LEAST_FAULT:
            why = peer.why.get(capability) or peer.why.get(_BASE)
            bad = f"its rating in {capability} is {rating:.2f}, by faults of severity {severity:.1f}" + (f" ({why})" if why else "")
        return Standing(
            quantile=self._quantile(capability, rating),
            rating=rating,
            score=evidence.score,
            severity=severity,
            sessions=peer.sessions,
            last_useful=peer.last_useful.get(capability),
            bad=bad,
        )

    def shares(self, node_id: bytes) -> frozenset[str] | None:
        """The capabilities that are, or were, shared with a peer; None for one of which nothing is known."""
        peer = self._peers.get(node_id)
        return None if peer is None or not peer.sessions else frozenset(peer.evidence)

    def refresh(self, now: float) -> None:
        """Rank all peers anew, and forget those that were away for too long; to be called each tick."""
        for _ in self.refreshing(lambda: now):
            pass

    def refreshing(self, clock: Callable[[], float]) -> Iterator[None]:
        """The same in steps of about a millisecond, since thousands may be remembered: between two of them others can have their turn."""
        ranks: dict[str, list[float]] = {name: [] for name in self._rules}
        now, work = clock(), 0
        for node_id in tuple(self._peers):
            peer = self._peers.get(node_id)
            if peer is None:
                continue
            if self._is_stale(peer, now):
                self._bring_up(peer, now)
                work += _RATED
            away = 0.0 if peer.connected else now - peer.last_connected
            if away > FORGOTTEN_AFTER:
                self._forget(node_id)
            elif away <= POPULATION_AGE:
                for name, rating in peer.ratings.items():
                    ranks[name].append(rating)
            work += 1
            if work >= _STEP:
                yield
                now, work = clock(), 0
        for ratings in ranks.values():
            ratings.sort()
            yield
        self._ranks = ranks
        self._ranking += 1

    def population(self, capability: str) -> int:
        """How many peers were ranked in a capability at the last `refresh`."""
        return len(self._ranks.get(capability, ()))

    # What is kept

    def changed(self) -> list[bytes]:
        """The peers whose rows of the last time would say something else after a `load`.

        Those of an absent peer do not, as long as both clocks go on alike: `load` counts the time since then as the
        absence that it was.
        """
        present = [node_id for node_id, peer in self._peers.items() if peer.connected]
        return list(self._changed.union(present))

    def dump(self, now: float, wall: float, ids: Iterable[bytes] | None = None) -> list[RatingRow]:
        """What to keep until the next start, of some peers or of all. `wall` is the time since 1970 that `now` is on our own clock."""
        rows: list[RatingRow] = []
        for node_id in self._peers if ids is None else ids:
            if (peer := self._peers.get(node_id)) is None:
                continue
            self._bring_up(peer, now)
            last = wall if peer.connected else wall - max(0.0, now - peer.last_connected)
            for name, held in {_BASE: peer.base, **peer.evidence}.items():
                rows.append(RatingRow(node_id, name, wall, last, peer.sessions, *_columns(held)))
        return rows

    def kept(self, ids: Iterable[bytes]) -> None:
        """What `dump` has given of these is kept now."""
        self._changed.difference_update(ids)

    def load(self, rows: Iterable[RatingRow], now: float, wall: float) -> None:
        """Take up what was kept, older by the time since then, which counts as absence; if the clock was set back, by none.

        Rows that say what cannot be are left out, as are peers that were away for too long, and capabilities that are no longer ours.
        """
        for row in rows:
            away = max(0.0, wall - row.last_connected)
            if away > FORGOTTEN_AFTER or not _is_possible(row) or (row.capability and row.capability not in self._rules):
                continue
            peer = self._peers.setdefault(row.id, _Peer(now, now))
            peer.last_connected = now - away
            peer.sessions = max(peer.sessions, row.sessions)
            evidence = Evidence(*row[5:])
            evidence.age(max(0.0, wall - row.saved), 0.0, connected=False)
            if row.capability:
                peer.evidence[row.capability] = evidence
            else:
                peer.base = evidence
        by_absence = sorted(self._peers.items(), key=lambda item: (item[1].connected, item[1].last_connected))
        self._peers = OrderedDict(by_absence)
        if len(self._peers) > self._max_peers:
            self._forget_some()
        for peer in self._peers.values():
            self._rate(peer)
        self._changed.clear()
        self.refresh(now)

    def _is_stale(self, peer: _Peer, now: float) -> bool:
        return now != peer.updated if peer.connected else abs(now - peer.updated) >= _RECKONED

    def _bring_up(self, peer: _Peer, now: float) -> None:
        if now != peer.updated:
            self._advance(peer, now)
            self._rate(peer)

    def _advance(self, peer: _Peer, now: float) -> None:
        """Let time pass for a peer; a clock that was set back makes none of it."""
        seconds = max(0.0, now - peer.updated)
        peer.updated = now
        peer.base.age(seconds, 0.0, connected=peer.connected)
        for name, evidence in peer.evidence.items():
            evidence.age(seconds, peer.ratings.get(name, 0.0), connected=peer.connected)

    def _rate(self, peer: _Peer) -> None:
        peer.standings.clear()
        for name, evidence in peer.evidence.items():
            rating = self._rating(self._rules[name], peer.base, evidence)
            if rating is None:
                peer.ratings.pop(name, None)
            else:
                peer.ratings[name] = rating

    def _rating(self, rule: RatingRule, base: Evidence, evidence: Evidence) -> float | None:
        severity = evidence.severity + base.severity
        if not evidence.is_rated and not base.observed:
            return None
        conduct = RecentConduct(
            useful=evidence.useful / max(1.0, evidence.minutes),
            latency=evidence.latency,
            target=rule.target,
            timeouts=evidence.timeouts + base.timeouts,
            severity=severity,
            minutes=evidence.minutes,
        )
        try:
            rating = float(rule.metric(conduct))
        except (ArithmeticError, ValueError):
            rating = math.nan
        if math.isnan(rating):
            return -_MOST if severity >= LEAST_FAULT else None
        rating = max(-_MOST, min(_MOST, rating))
        return rating * (1 - evidence.discredit) * (1 - base.discredit) if rating > 0 else rating

    def _breach(self, peer: _Peer, why: str) -> None:
        peer.base.halve()
        peer.base.add(_BREACH)
        peer.why[_BASE] = why or "it broke the protocol"
        for evidence in peer.evidence.values():
            evidence.score /= 2 if evidence.score > 0 else 1

    def _quantile(self, capability: str, rating: float | None) -> float | None:
        if rating is None:
            return None
        ranks = self._ranks.get(capability, [])
        return (bisect_left(ranks, rating) + bisect_right(ranks, rating)) / 2 / len(ranks) if ranks else 0.5

    def _forget_some(self) -> None:
        """Make room: see above which have to go."""
        wanted = len(self._peers) - self._max_peers + self._max_peers // _SPARE
        absent = [node_id for node_id, peer in self._peers.items() if not peer.connected]
        order = sorted(absent, key=lambda node_id: self._peers[node_id].is_held)  # stable: by absence among equals
        for node_id in order[:wanted]:
            self._forget(node_id)

    def _forget(self, node_id: bytes) -> None:
        del self._peers[node_id]
        self._changed.discard(node_id)


def _columns(evidence: Evidence) -> tuple[float, float, float | None, float, float, float, float, float, bool]:
    return (
        *(evidence.useful, evidence.minutes, evidence.latency, evidence.timeouts),
        *(evidence.severity, evidence.discredit, evidence.held, evidence.score, evidence.observed),
    )


def _is_possible(row: RatingRow) -> bool:
    """Whether a row can have been written by `Ratings.dump`."""
    numbers = [row.saved, row.last_connected, row.latency or 0.0, row.score, *row[5:7], *row[8:12]]
    least = min(row.useful, row.minutes, row.latency or 0.0, row.timeouts, row.severity, row.discredit, row.held)
    return all(map(math.isfinite, numbers)) and least >= 0 and row.discredit <= 1 and row.sessions >= 0


def standings_of(ratings: Ratings, node_id: bytes, capabilities: Iterable[str], now: float) -> Mapping[str, Standing]:
    """How a peer stands in each of some capabilities."""
    return {name: ratings.standing(node_id, name, now) for name in capabilities}
