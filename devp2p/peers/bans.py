"""Nodes that are not let in until some time (pure; ``now`` is passed in, on any clock).

A ban is on a node-ID and ends by itself. A new identity costs nothing, so a ban alone protects little. `peers.slots` does the rest: a
newcomer is worth less than a peer that has served, and displaces none.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

_REMEMBERED: Final = 8192  # bans; those that end first are forgotten first


@dataclass(frozen=True, slots=True)
class Ban:
    """Until when a node is not let in, and why. Times are on trio's clock; in a book they are seconds since 1970."""

    id: bytes
    begun: float
    until: float
    reason: str


class Bans:
    """All bans of a node."""

    def __init__(self) -> None:
        self._bans: dict[bytes, Ban] = {}

    def __len__(self) -> int:
        return len(self._bans)

    def ban(self, node_id: bytes, now: float, seconds: float, reason: str) -> Ban:
        """Ban a node from now on; a ban that ends later stays."""
        new = Ban(node_id, now, now + seconds, reason)
        old = self.get(node_id, now)
        kept = old if old is not None and old.until > new.until else new
        self._bans[kept.id] = kept
        if len(self._bans) > _REMEMBERED:
            del self._bans[min(self._bans.values(), key=lambda ban: ban.until).id]
        return kept

    def get(self, node_id: bytes, now: float) -> Ban | None:
        """The ban that a node is under, if it is. A clock that was set back does not make a ban longer than it was meant."""
        ban = self._bans.get(node_id)
        if ban is None:
            return None
        if now < ban.begun:
            ban = self._bans[ban.id] = replace(ban, begun=now, until=now + ban.until - ban.begun)
        if now >= ban.until:
            del self._bans[ban.id]
            return None
        return ban

    def active(self, now: float) -> tuple[Ban, ...]:
        """All bans that have not ended."""
        return tuple(ban for node_id in list(self._bans) if (ban := self.get(node_id, now)) is not None)

    def load(self, bans: Iterable[Ban], now: float, wall: float) -> None:
        """Take up what was kept; what has ended meanwhile is left out, and none lasts longer than it was meant."""
        for ban in bans:
            length = ban.until - ban.begun
            left = min(ban.until - wall, length)
            if left > 0 and math.isfinite(length):
                self._bans[ban.id] = replace(ban, begun=now - (length - left), until=now + left)


def dated(ban: Ban, now: float, wall: float) -> Ban:
    """A ban with its times in seconds since 1970. `wall` is what `now` is in these."""
    return replace(ban, begun=wall - (now - ban.begun), until=wall + (ban.until - now))
