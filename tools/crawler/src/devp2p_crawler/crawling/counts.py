"""What is counted while a crawl runs."""

import os
from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from devp2p_crawler.analysis import LATEST
from devp2p_crawler.model import RTT_BOUNDS, Kind, Outcome, Visit

_WINDOW: Final = 5.0
_MOST_CLIENTS: Final = 200
_LONGEST_CLIENT: Final = 64
_STATM: Final = Path("/proc/self/statm")


@dataclass(slots=True, eq=False)
class Counts:
    """Nodes and visits."""

    alive: int = 0
    dialled: int = 0
    hellos: int = 0
    failed: int = 0
    inbound: int = 0
    visits: dict[Kind, Counter[Outcome]] = field(default_factory=lambda: {kind: Counter[Outcome]() for kind in Kind})
    rtts: dict[Kind, list[int]] = field(default_factory=lambda: {kind: [0] * (len(RTT_BOUNDS) + 1) for kind in Kind})
    clients: Counter[str] = field(default_factory=Counter[str])
    networks: Counter[int] = field(default_factory=Counter[int])
    skipped: Counter[str] = field(default_factory=Counter[str])
    samples: deque[bool] = field(default_factory=lambda: deque[bool](maxlen=LATEST))
    """Of the nodes that were named by chance and are alive, the latest: whether they had been known."""
    rounds: int = 0
    """How often the sample was begun anew."""
    since: int = 0
    """Nodes that are alive and became known since then."""
    last_answer: float = 0.0

    def sample_anew(self) -> None:
        """Begin another sample."""
        self.samples.clear()
        self.rounds, self.since = self.rounds + 1, 0

    def visited(self, visit: Visit) -> None:
        """A visit is over."""
        self.visits[visit.kind][visit.outcome] += 1
        if visit.rtt is not None:
            self.rtts[visit.kind][bisect_left(RTT_BOUNDS, visit.rtt / 1_000_000)] += 1

    def said(self, client: str | None, network: int | None) -> None:
        """A node has said for the first time what it is; a stranger's words, so that only so many different ones are counted."""
        if client is not None:
            name = client.partition("/")[0][:_LONGEST_CLIENT]
            self.clients[name if name in self.clients or len(self.clients) < _MOST_CLIENTS else "other"] += 1
        if network is not None and (network in self.networks or len(self.networks) < _MOST_CLIENTS):
            self.networks[network] += 1


class Rate:
    """How much of something there is a second, over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def note(self, now: float, total: int) -> None:
        """So much there was in all."""
        self._samples.append((now, total))
        while len(self._samples) > 2 and now - self._samples[0][0] > _WINDOW:
            self._samples.popleft()

    @property
    def value(self) -> float:
        """A second."""
        if len(self._samples) < 2:
            return 0.0
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return (after - before) / (last - first) if last > first else 0.0


def memory() -> int:
    """Bytes that this process holds; 0 where the system does not say so."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
