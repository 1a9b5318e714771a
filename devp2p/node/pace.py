"""The clock that a node's policy lives by: trio's, or for demonstrations one that goes faster.

The policy (ratings, slots, the history of dials) is given its time with every question, so a node whose peers are to be rated sixty times
faster gives it a clock that goes sixty times faster; nothing else knows of it. Sleeping, sessions and bans stay on trio's clock.
"""

import trio

from devp2p.arguments import number


class PolicyClock:
    """Trio's clock, `pace` times as fast."""

    def __init__(self, pace: float = 1.0) -> None:
        """LocalProtocolError for a pace that is not a finite number above 0."""
        number(pace, "pace")
        self.pace: float = pace

    def now(self) -> float:
        """What it shows now."""
        return self.at(trio.current_time())

    def trio(self) -> float:
        """What trio's shows now."""
        return trio.current_time()

    def at(self, when: float) -> float:
        """What it shows at a time of trio's."""
        return when * self.pace

    def lasting(self, seconds: float) -> float:
        """How many seconds of trio's so many of its own are."""
        return seconds / self.pace
