"""What is held for and against one peer in one capability, and how that ages (pure; times are differences in seconds).

What a peer brought counts half after ten minutes of connection, and half after a day of absence. So do its faults, with one difference:
what was invalid counts in full for an hour after the last such fault, connected or not, and only then begins to fade. As absence makes
everything fade far more slowly than presence, a peer cannot lose a fault by coming back.
"""

import math
from dataclasses import dataclass
from typing import Final

from devp2p.conduct import Conduct

HALF_LIFE: Final = 600.0
"""Seconds of connection after which something counts half."""
ABSENT_HALF_LIFE: Final = 86400.0
"""The same for seconds of absence."""
HOLD: Final = 3600.0
"""For how many seconds what was invalid counts in full."""
GRACE: Final = 600.0
"""Seconds of connection after which a peer of which nothing was reported counts as one that does nothing."""

_LEVEL: Final = HALF_LIFE / math.log(2) / 60  # minutes to which the fading minutes of a peer that stays add up
_GRACE_MINUTES: Final = _LEVEL * (1 - 0.5 ** (GRACE / HALF_LIFE))
_MOST: Final = 1e15  # of any sum, so that no arithmetic on it overflows


@dataclass(slots=True)
class Evidence:
    """Fading sums. One is kept for each capability, and one for the base protocol, whose faults count in all of them."""

    useful: float = 0.0
    minutes: float = 0.0
    latency: float | None = None
    timeouts: float = 0.0
    severity: float = 0.0
    discredit: float = 0.0
    """The share of a good rating that it has lost by breaking the protocol, 0 to 1."""
    held: float = 0.0
    """For how many more seconds `severity` and `discredit` do not fade."""
    score: float = 0.0
    """All that it ever earned: its rating, summed over hours of connection."""
    observed: bool = False
    """Whether anything was ever reported."""

    def age(self, seconds: float, rating: float, *, connected: bool) -> None:
        """Let time pass, in which the peer had a rating."""
        kept = 0.5 ** (seconds / (HALF_LIFE if connected else ABSENT_HALF_LIFE))
        self.useful *= kept
        self.timeouts *= kept
        if connected:
            self.minutes = self.minutes * kept + _LEVEL * (1 - kept)
            self.score = max(-_MOST, min(_MOST, self.score + rating * seconds / 3600))
        if seconds > self.held:
            faded = 0.5 ** ((seconds - self.held) / (HALF_LIFE if connected else ABSENT_HALF_LIFE))
            self.severity *= faded
            self.discredit *= faded
        self.held = max(0.0, self.held - seconds)

    def add(self, news: Conduct) -> None:
        """Take in what was reported since the last time."""
        self.useful = min(_MOST, self.useful + max(0.0, news.useful))
        self.latency = self.latency if news.latency is None else news.latency
        self.timeouts = min(_MOST, self.timeouts + news.timeouts)
        if news.invalid:
            self.severity = min(_MOST, self.severity + news.invalid)
            self.held = HOLD
        self.observed = self.observed or bool(news.useful or news.invalid or news.timeouts) or news.latency is not None

    def halve(self) -> None:
        """The peer broke the base protocol: half of what speaks for it is gone."""
        self.discredit = 1 - (1 - self.discredit) / 2
        self.held = HOLD

    @property
    def is_rated(self) -> bool:
        """Whether enough is known for a rating: something was reported, or nothing was for too long."""
        return self.observed or self.minutes >= _GRACE_MINUTES * (1 - 1e-9)


def news_since(before: Conduct, now: Conduct) -> Conduct:
    """What a session's conduct has become more by."""
    return Conduct(
        useful=now.useful - before.useful,
        latency=now.latency,
        invalid=now.invalid - before.invalid,
        timeouts=now.timeouts - before.timeouts,
        why=now.why,
    )
