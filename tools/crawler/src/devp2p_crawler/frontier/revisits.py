"""When a node is visited next (pure; seconds)."""

from dataclasses import dataclass
from typing import Final

from devp2p_crawler.model import Outcome

SOONEST: Final = 60.0
LATEST: Final = 900.0
AFTER_FAILURE: Final = (180.0, 1200.0, 3600.0, 6 * 3600.0, 24 * 3600.0)
"""The pauses after one failure, two in a row, and so on."""
FULL: Final = 600.0
"""The pause of a node that is alive, and had no room for us."""
DEPRECATED: Final = 30 * 24 * 3600.0
"""A node that has not answered for so long is not visited any more."""
_PART: Final = 1.2


@dataclass(frozen=True, slots=True)
class Standing:
    """What the last visits say of a node; times are in seconds of one clock."""

    first_seen: float
    up_since: float | None = None
    """The first of the visits in a row in which it was alive; None if it was not in the last one."""
    last_ok: float | None = None
    failures: int = 0
    """In a row."""

    def after(self, outcome: Outcome, now: float) -> "Standing":
        """What is known once a visit is over. One that failed by our own fault says nothing."""
        if outcome is Outcome.OUR_FAULT:
            return self
        if outcome.is_alive:
            return Standing(self.first_seen, now if self.up_since is None else self.up_since, now, 0)
        return Standing(self.first_seen, None, self.last_ok, self.failures + 1)

    def next_visit(self, outcome: Outcome, now: float) -> float | None:
        """When it is due after a visit with that outcome, of which `after` has made this; None for a node that is given up."""
        if outcome is Outcome.OUR_FAULT:
            return now + SOONEST
        if outcome is Outcome.TOO_MANY_PEERS:
            return now + FULL
        if self.up_since is not None:
            return now + min(max(_PART * (now - self.up_since), SOONEST), LATEST)
        since = self.first_seen if self.last_ok is None else self.last_ok
        if now - since > DEPRECATED:
            return None
        return now + AFTER_FAILURE[min(self.failures, len(AFTER_FAILURE)) - 1]
