"""Why nothing is found: the facts, where nobody has answered for ten seconds. All of them are of what was really tried."""

from typing import Final

import trio

from devp2p import Discovery
from devp2p_crawler.crawling.state import State
from devp2p_crawler.model import Kind, Outcome, Silence

AFTER: Final = 10.0
"""Seconds without an answer, after which something is told."""


class Silences:
    """Knows what a crawl has tried, and what came of it."""

    def __init__(self, state: State, discovery: Discovery) -> None:
        self._state, self._discovery = state, discovery
        self._began = trio.current_time()
        self.starts: int = 0
        self.without_address: int = 0
        self.dns_error: str = ""

    def now(self, elapsed: float, *, is_over: bool = False) -> Silence | None:
        """The facts, if nobody has answered for so long, or when it is over; None if all is well."""
        counts = self._state.counts
        since = max(counts.last_answer, self._began)
        seconds = trio.current_time() - since
        if counts.alive or (min(seconds, elapsed) < AFTER and not is_over):
            return None
        statistics = self._discovery.statistics
        addressless = sum(counts.visits[kind][Outcome.NO_ADDRESS] for kind in (Kind.V4, Kind.V5))
        return Silence(
            seconds=seconds,
            starts=self.starts,
            without_address=self.without_address + addressless,
            versions=self._state.settings.versions,
            listening=self._discovery.address.where,
            sent=statistics.sent,
            received=statistics.received,
            not_sent=statistics.not_sent,
            send_error=statistics.send_error,
            undecoded=statistics.unhandled,
            expired=statistics.expired,
            skipped=dict(counts.skipped),
            dns_error=self.dns_error,
        )
