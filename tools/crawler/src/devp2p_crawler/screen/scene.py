"""What a screen shows beside the state of the crawl: what it was told, what has been, what happened; and the sum at the end."""

import time
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol

from devp2p_crawler.model import Snapshot
from devp2p_crawler.screen import words
from devp2p_crawler.screen.diagnosis import explain

KEPT: Final = 600
"""Moments that are kept for curves; one a second."""
_MOST_CLIENTS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a crawl was told, as far as a screen shows it."""

    what: str
    """Such as "mainnet by v4 and v5"."""
    vantage: str
    db: str
    duration: float | None
    """Seconds; None if it has no set end."""
    crawl: str = ""
    """Its id, in hex."""
    listening: str = ""
    metrics: tuple[str, ...] = ()
    """URLs."""
    sinks: tuple[str, ...] = ()
    """Without passwords."""
    resumed: bool = False


@dataclass(slots=True)
class History:
    """What has been, for curves."""

    alive_rates: deque[float] = field(default_factory=lambda: deque[float](maxlen=KEPT))
    packet_rates: deque[float] = field(default_factory=lambda: deque[float](maxlen=KEPT))
    in_flight: deque[float] = field(default_factory=lambda: deque[float](maxlen=KEPT))
    messages: deque[tuple[str, str]] = field(default_factory=lambda: deque[tuple[str, str]](maxlen=100))
    """(time of day, text) of what was logged; the text is inert."""

    def take(self, snapshot: Snapshot) -> None:
        """Keep what is shown of a moment."""
        self.alive_rates.append(snapshot.found_rate)
        self.packet_rates.append(snapshot.packets_rate)
        self.in_flight.append(float(snapshot.in_flight))

    def say(self, text: str) -> None:
        """Keep a message."""
        self.messages.append((time.strftime("%H:%M:%S"), words.inert(text, 400)))


class View(Protocol):
    """How a crawl is shown. No method of it waits for anybody who reads."""

    def begin(self, scene: Scene) -> None:
        """The crawl has begun."""
        ...

    def tick(self, snapshot: Snapshot) -> None:
        """Another second is over."""
        ...

    def say(self, text: str) -> None:
        """Something happened that is not part of the figures, such as that the opt-out list was read anew."""
        ...

    def end(self, summary: Mapping[str, object]) -> None:
        """It is over."""
        ...


class LiveScreen(View, AbstractContextManager["LiveScreen"], Protocol):
    """A view that has a terminal for itself from when it is entered until it is left, or the crawl over."""

    def leave_at_once(self) -> None:
        """Give the terminal back before the process is ended by force; called by any thread. It does not wait."""
        ...


def progress(snapshot: Snapshot) -> dict[str, object]:
    """A moment as JSON."""
    recall = snapshot.recall
    return {
        "seconds": round(snapshot.elapsed, 3),
        "left": None if snapshot.left is None else round(snapshot.left, 1),
        "found": snapshot.found,
        "alive": snapshot.alive,
        "dialled": snapshot.dialled,
        "hellos": snapshot.hellos,
        "inbound": snapshot.inbound,
        "failed": snapshot.failed,
        "queued": snapshot.queued,
        "waiting": snapshot.waiting,
        "in_flight": snapshot.in_flight,
        "concurrency": snapshot.concurrency,
        "packets_sent": snapshot.packets_sent,
        "packets_received": snapshot.packets_received,
        "packets_rate": round(snapshot.packets_rate, 1),
        "found_rate": round(snapshot.found_rate, 2),
        "recall_estimate": None if recall is None else round(recall.estimate, 5),
        "recall_low": None if recall is None else round(recall.low, 5),
        "recall_high": None if recall is None else round(recall.high, 5),
        "loop_lag": round(snapshot.loop_lag, 4),
        "memory": snapshot.memory,
        "spooled": snapshot.spooled,
        "lost": snapshot.lost,
        "skipped": dict(snapshot.skipped),
        "why_nothing": [] if snapshot.silence is None else explain(snapshot.silence),
    }


def summary(scene: Scene, snapshot: Snapshot) -> dict[str, object]:
    """The whole crawl as JSON: the last line of ``--json``."""
    ended = "done" if snapshot.is_done else "interrupted"
    if not snapshot.is_done and scene.duration is not None and snapshot.elapsed >= scene.duration:
        ended = "time"
    return {
        "event": "summary",
        **progress(snapshot),
        "ended": ended,
        "crawl": scene.crawl,
        "vantage": scene.vantage,
        "db": scene.db,
        "outcomes": {name.lower(): count for name, count in snapshot.outcomes.items()},
        "visits": {kind: dict(outcomes) for kind, outcomes in snapshot.visits.items()},
        "clients": dict(words.top(snapshot.clients, _MOST_CLIENTS)),
        "networks": {str(network): count for network, count in snapshot.networks.items()},
    }
