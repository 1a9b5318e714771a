"""Who may introduce peers to us, how many, and what it costs when it goes wrong; and whom we introduce (pure; bounded).

To make identities costs nothing, and to introduce them neither. So only a peer that we know from earlier sessions, and that is rated at the
median or better, may introduce others; whom it has introduced may not introduce anybody. It may have few live introductions at a time, all
introduced peers together fill a quarter of a capability's slots at most, and when one of them is banned, its introducers pay: they lose
rating, and half of what they may introduce, for a day. An introduced peer is protected only if two peers of different networks have
introduced it.

`Introducers` is for those who are introduced to us, `Referrals` for those whom we introduce. Nodes are named by node-ID, and ``now`` is
on any clock that is not set.
"""

import enum
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from devp2p.bounded import Recent, Throttle
from devp2p.peers.ratings import Standing
from devp2p.trust import Trust

LIVE: Final = 4
"""Introductions of one introducer that may be live: of peers that are here by it, or whose record could still be used."""
SHARE: Final = 0.25
"""The part of a capability's slots that introduced peers may fill."""
VOUCHERS: Final = 2
"""Introducers, each of another network, that it takes to protect a peer."""
FIT_QUANTILE: Final = 0.5
"""How an introducer is rated at least in one capability, among all peers: the median."""
FIT_FOR: Final = 86400.0
"""Seconds after its session for which an introducer counts as one."""
BLAMED_FOR: Final = 86400.0
"""Seconds for which an introducer pays for a ban, and for which after the end of a session a ban still costs its introducers something."""
ASKED_AGAIN: Final = 3600.0
"""Seconds for which nobody is introduced to the same node again."""
ASKS: Final = 2
"""Requests of one peer that are answered at once, and in a minute."""
GRADES: Final = 7

_REMEMBERED: Final = 1024  # introducers, and four times as many whom they have introduced


class Judgement(enum.Enum):
    """What is said of an introduction that is right in form."""

    FINE = "fine"
    UNKNOWN = "unknown"
    """Its introducer is none: we do not know it, or not well enough."""
    QUOTA = "quota"
    """Its introducer, or all introduced peers together, have as many as they may."""


@dataclass(slots=True)
class _Introducer:
    network: bytes | None
    fit_until: float
    introduced: set[bytes] = field(default_factory=set[bytes])
    """Whose introductions may be live."""
    bans: list[float] = field(default_factory=list[float])
    """When peers were banned whom it had introduced, lately."""


class _Voucher(NamedTuple):
    network: bytes | None
    until: float
    """Until when its record is good."""


@dataclass(slots=True)
class _Introduced:
    vouchers: dict[bytes, _Voucher] = field(default_factory=dict[bytes, _Voucher])
    """By introducer, the last few."""
    counted: frozenset[bytes] = frozenset()
    """By which introducers the peer is here, while it is."""
    capabilities: tuple[str, ...] = ()
    left: float = 0.0
    """When its record was shown, or its session ended, whichever came last."""

    def is_live(self, introducer: bytes, now: float) -> bool:
        """Whether an introduction counts for its introducer."""
        voucher = self.vouchers.get(introducer)
        return introducer in self.counted or (voucher is not None and now < voucher.until)


class Introducers:
    """Who may introduce, and whom they have introduced."""

    def __init__(self) -> None:
        self._introducers: Recent[bytes, _Introducer] = Recent(_REMEMBERED)
        self._introduced: Recent[bytes, _Introduced] = Recent(LIVE * _REMEMBERED)
        self._here: set[bytes] = set()
        """Connected peers that are here by introduction."""

    # Who may

    def fit(self, node_id: bytes, network: bytes | None, now: float) -> None:
        """A peer is connected, known from earlier sessions, and rated well enough: it may introduce, and for a day after it has left.

        `network`: what its address counts for (see `addresses.GROUP`).
        """
        introducer = self._introducers.get(node_id)
        if introducer is None:
            self._introducers.set(node_id, _Introducer(network, now + FIT_FOR))
        else:
            introducer.network, introducer.fit_until = network, now + FIT_FOR
            self._introducers.touch(node_id)

    def unfit(self, node_id: bytes) -> None:
        """A peer is no longer known, or rated too low: it may not introduce. What it is blamed for stays."""
        if (introducer := self._introducers.get(node_id)) is not None:
            introducer.fit_until = float("-inf")

    def may_introduce(self, node_id: bytes, now: float) -> bool:
        """Whether a node may introduce others at all."""
        introducer = self._introducers.get(node_id)
        return introducer is not None and now < introducer.fit_until and node_id not in self._here

    def quota(self, node_id: bytes, now: float) -> int:
        """How many live introductions a node may have: half as many for each ban of the last day."""
        introducer = self._introducers.get(node_id)
        if introducer is None:
            return LIVE
        introducer.bans = [when for when in introducer.bans if now - when < BLAMED_FOR]
        return LIVE >> len(introducer.bans)

    def live(self, node_id: bytes, now: float) -> int:
        """How many it has."""
        introducer = self._introducers.get(node_id)
        if introducer is None:
            return 0
        introducer.introduced = {one for one in introducer.introduced if self._is_live(node_id, one, now)}
        return len(introducer.introduced)

    def judge(self, introducer: bytes, peer: bytes, slots: Iterable[tuple[str, int]], now: float) -> Judgement:
        """Whether `introducer` may introduce `peer`. Nothing changes by being asked.

        `slots`: each capability that the introduction is about, and how many slots it has. There must be room in all of them.
        """
        if not self.may_introduce(introducer, now) or introducer == peer:
            return Judgement.UNKNOWN
        others = self.live(introducer, now) - self._is_live(introducer, peer, now)
        if others >= self.quota(introducer, now):
            return Judgement.QUOTA
        return Judgement.FINE if peer in self._here or self._has_room(slots) else Judgement.QUOTA

    # Who was

    def here(self, name: str) -> int:
        """How many connected peers of a capability are here by introduction."""
        return sum(name in found.capabilities for one in self._here if (found := self._introduced.get(one)) is not None)

    def introduce(self, introducer: bytes, peer: bytes, slots: Iterable[tuple[str, int]], now: float, lifetime: float) -> Judgement:
        """A peer has proved itself, and shown a record that is good for `lifetime` more seconds: it is introduced if `judge` allows it."""
        if (judgement := self.judge(introducer, peer, slots, now)) is not Judgement.FINE:
            return judgement
        by = self._introducers.get(introducer)
        assert by is not None  # noqa: S101  (it may introduce)
        found = self._introduced.get(peer) or _Introduced()
        self._introduced.set(peer, found)
        others = [one for one in found.vouchers.items() if one[0] != introducer and now - one[1].until < BLAMED_FOR]
        found.vouchers = {**dict(others[-LIVE:]), introducer: _Voucher(by.network, now + lifetime)}
        found.left = max(found.left, now)
        by.introduced.add(peer)
        return Judgement.FINE

    def began(self, peer: bytes, slots: Iterable[tuple[str, int]], now: float) -> bool:
        """A session with an introduced peer begins: whether it counts as one. `slots`: each shared capability, and how many it has."""
        found = self._introduced.get(peer)
        good = [] if found is None else [one for one, voucher in found.vouchers.items() if now < voucher.until]
        shared = tuple(slots)
        if found is None or not good or not self._has_room(shared):
            return False
        found.counted, found.capabilities = frozenset(good), tuple(name for name, _ in shared)
        self._here.add(peer)
        return True

    def ended(self, peer: bytes, now: float) -> None:
        """Its session is over."""
        self._here.discard(peer)
        if (found := self._introduced.get(peer)) is not None and found.counted:
            found.counted, found.left = frozenset(), now

    def grown(self, peer: bytes) -> None:
        """A peer is known by itself now: it is here by introduction no more, and nobody answers for it."""
        self._here.discard(peer)
        self._introduced.pop(peer)

    def vouchers(self, peer: bytes) -> tuple[bytes, ...]:
        """By whose introduction a peer is here; nobody's, if it is not here by introduction."""
        found = self._introduced.get(peer) if peer in self._here else None
        return () if found is None else tuple(one for one in found.vouchers if one in found.counted)

    def is_protected(self, peer: bytes) -> bool:
        """Whether enough introducers of different networks have introduced a peer that is here. One of no network counts for nothing."""
        found = self._introduced.get(peer) if peer in self._here else None
        counted = () if found is None else (voucher.network for one, voucher in found.vouchers.items() if one in found.counted)
        return len({network for network in counted if network is not None}) >= VOUCHERS

    def banned(self, peer: bytes, now: float) -> tuple[bytes, ...]:
        """A peer is banned: return its introducers, who answer for it; each once."""
        found = self._introduced.pop(peer)
        self._here.discard(peer)
        if found is None or not (found.counted or now - found.left < BLAMED_FOR):
            return ()
        for one in found.vouchers:
            if (introducer := self._introducers.get(one)) is not None:
                introducer.bans = [*introducer.bans, now][-LIVE:]
        return tuple(found.vouchers)

    def _has_room(self, slots: Iterable[tuple[str, int]]) -> bool:
        return all(self.here(name) < share_of(count) for name, count in slots)

    def _is_live(self, introducer: bytes, peer: bytes, now: float) -> bool:
        found = self._introduced.get(peer)
        return found is not None and found.is_live(introducer, now)


def is_fit(standings: Iterable[Standing]) -> bool:
    """Whether a peer is rated well enough to introduce others: at the median or better in a capability, and bad in none."""
    found = tuple(standings)
    rated = any(standing.quantile is not None and standing.quantile >= FIT_QUANTILE for standing in found)
    return rated and not any(standing.bad for standing in found)


def share_of(slots: int) -> int:
    """How many of a capability's slots introduced peers may fill: one of few slots, too."""
    return max(1, int(slots * SHARE))


@dataclass(frozen=True, slots=True)
class Subject:
    """A connected peer that we know, and could introduce."""

    id: bytes
    quantile: float | None
    """How it stands in the capability that is asked for."""


class Referrals:
    """Whom we may introduce, and whom we have introduced lately."""

    def __init__(self) -> None:
        self._consents: Recent[bytes, dict[bytes, frozenset[Trust]]] = Recent(_REMEMBERED)
        self._given: Recent[bytes, None] = Recent(LIVE * _REMEMBERED, ASKED_AGAIN)
        self._asks = Throttle(ASKS / 60, ASKS)

    def consent(self, subject: bytes, to: Collection[Trust], audience: bytes = b"") -> None:
        """A peer lets us introduce it to those whom we trust so much: to one audience, or to whom it has said nothing of.

        Of what it says of single ones the last few are kept, and what it says of all does away with them.
        """
        said = self._consents.get(subject) or {}
        if audience:
            others = [one for one in said.items() if one[0] not in {b"", audience}][-LIVE:]
            said = {b"": said.get(b"", frozenset()), **dict(others), audience: frozenset(to)}
        else:
            said = {b"": frozenset(to)}
        self._consents.set(subject, said)

    def withdraw(self, subject: bytes) -> None:
        """A peer has left: what it has said is over."""
        self._consents.pop(subject)

    def consents(self, subject: bytes, trust: Trust, audience: bytes) -> bool:
        """Whether a peer lets us introduce it to an audience that we trust so much. Nobody is introduced to strangers."""
        said = self._consents.get(subject) or {}
        return trust is not Trust.STRANGER and trust in said.get(audience, said.get(b"", frozenset()))

    def choose(self, asker: bytes, trust: Trust, subjects: Iterable[Subject], count: int, now: float) -> tuple[bytes, ...]:
        """Whom to introduce to a peer that asks for so many: the best that consent, and nobody if it asks too often or is a stranger.

        They count as introduced. `subjects` are looked at only if the peer may ask.
        """
        if trust is Trust.STRANGER or not self._asks.allows(asker, now):
            return ()
        wanted = [
            subject
            for subject in subjects
            if subject.id != asker and self.consents(subject.id, trust, asker) and not self._given.has(asker + subject.id, now)
        ]
        wanted.sort(key=lambda subject: (-(subject.quantile or 0.0), subject.id))
        chosen: list[bytes] = []
        self._given.forget_old(now)
        live = Counter(pair[len(asker) :] for pair in self._given)
        for subject in wanted:
            if live[subject.id] < LIVE and len(chosen) < min(count, LIVE):
                chosen.append(subject.id)
                self._given.set(asker + subject.id, None, now)
        return tuple(chosen)


def grade_of(quantile: float | None) -> int:
    """How we grade a subject to others: 0 to 7; 0 for one that is not rated."""
    return 0 if quantile is None else min(GRADES, int(quantile * (GRADES + 1)))
