"""A crawl as lines: of text for people, a pipe or a file, or of JSON for programs.

They are printed to sys.stdout, which a command has made one that does not wait (`devp2p.terminal.outlets`).
"""

import json
import sys
import time
from collections.abc import Mapping
from typing import Final, cast

from devp2p.terminal import write_text
from devp2p_crawler.model import Snapshot
from devp2p_crawler.screen import words
from devp2p_crawler.screen.diagnosis import explain
from devp2p_crawler.screen.scene import Scene, progress

_AT_FIRST: Final = 2.0  # seconds between lines of text
_LATER: Final = 10.0
_FROM: Final = 20.0  # seconds from which it is the latter
_WHY_AGAIN: Final = 60.0  # seconds until it is said again why nothing is found


class PlainView:
    """A line every few seconds."""

    def __init__(self) -> None:
        self._next = 0.0
        self._why_next = 0.0

    def begin(self, scene: Scene) -> None:
        """What it does, and where."""
        again = "goes on with" if scene.resumed else "crawls"
        self._line(f"{again} {scene.what} from {scene.vantage}, into {scene.db}; Ctrl-C ends it and keeps what was found")
        for url in scene.metrics:
            self._line(f"metrics at {url}")
        for sink in scene.sinks:
            self._line(f"also into {sink}")

    def tick(self, snapshot: Snapshot) -> None:
        """A line, if it is time."""
        if snapshot.silence is not None and snapshot.elapsed >= self._why_next:
            self._why_next = snapshot.elapsed + _WHY_AGAIN
            for line in explain(snapshot.silence):
                self._line(line)
        if snapshot.elapsed < self._next:
            return
        self._next = snapshot.elapsed + (_AT_FIRST if snapshot.elapsed < _FROM else _LATER)
        left = "" if snapshot.left is None or snapshot.left < 1 else f"; about {words.about(snapshot.left)} left"
        recall = "" if snapshot.recall is None else f"; recall {words.recall(snapshot.recall)}"
        self._line(
            f"found {snapshot.found:,}, alive {snapshot.alive:,}, dialled {snapshot.dialled:,}, failed {snapshot.failed:,}, "
            f"queued {snapshot.queued:,}; {snapshot.found_rate:,.1f} alive/s, {snapshot.packets_rate:,.0f} packets/s{recall}{left}"
        )

    def say(self, text: str) -> None:
        """A line."""
        self._line(text)

    def end(self, summary: Mapping[str, object]) -> None:
        """Some lines."""
        for what, much in ending(summary):
            write_text(f"{what:<10} {much}", sys.stdout)

    def _line(self, text: str) -> None:
        write_text(f"{time.strftime('%H:%M:%S')}  {text}", sys.stdout)


class JsonView:
    """An object a second."""

    def begin(self, scene: Scene) -> None:
        """The first line."""
        self._line(
            "begin",
            what=scene.what,
            vantage=scene.vantage,
            db=scene.db,
            crawl=scene.crawl,
            duration=scene.duration,
            listening=scene.listening,
            metrics=[*scene.metrics],
            sinks=[*scene.sinks],
            resumed=scene.resumed,
        )

    def tick(self, snapshot: Snapshot) -> None:
        """A line."""
        self._line("progress", **progress(snapshot))

    def say(self, text: str) -> None:
        """A line."""
        self._line("message", text=text)

    def end(self, summary: Mapping[str, object]) -> None:
        """The last line."""
        print(json.dumps(summary))

    def _line(self, event: str, **fields: object) -> None:
        print(json.dumps({"event": event, "time": round(time.time(), 3), **fields}))


def text_lost(lines: int) -> str:
    """What stands for lines of text that nobody read in time."""
    return f"{time.strftime('%H:%M:%S')}  {lines} lines are missing here: nobody read them in time"


def json_lost(lines: int) -> str:
    """The same for JSON."""
    return json.dumps({"event": "lost", "time": round(time.time(), 3), "lines": lines})


def ending(summary: Mapping[str, object]) -> list[tuple[str, str]]:
    """The sum as (what, how much), in words."""
    ended = {"done": "everybody was visited", "time": "its time was up", "interrupted": "it was told to end"}[str(summary["ended"])]
    seconds = cast("float", summary["seconds"])
    low, estimate, high = summary["recall_low"], summary["recall_estimate"], summary["recall_high"]
    recall = "too little to tell it from"
    if isinstance(low, float) and isinstance(estimate, float) and isinstance(high, float):
        recall = f"{words.percent(estimate)} of those that can be reached, between {words.percent(low)} and {words.percent(high)} (95 %)"
    clients = cast("dict[str, int]", summary["clients"])
    outcomes = cast("dict[str, int]", summary["outcomes"])
    rows = [
        ("ended", f"after {words.clock(seconds)}: {ended}"),
        ("found", f"{summary['found']:,} nodes, of which {summary['alive']:,} answered and {summary['failed']:,} did not"),
        ("dialled", f"{summary['dialled']:,}, and {summary['hellos']:,} said who they are"),
        ("recall", recall),
        ("clients", _counts({words.inert(name): count for name, count in clients.items()})),
        ("visits", _counts({words.outcome(name): count for name, count in outcomes.items()})),
        ("datagrams", f"{summary['packets_sent']:,} sent, {summary['packets_received']:,} received"),
        ("written", str(summary["db"])),
    ]
    if summary["lost"]:
        rows.append(("missing", f"{summary['lost']:,} rows that could not be written"))
    if "sessions" in summary:
        rows.append(("sessions", words.sessions(cast("Mapping[str, object]", summary["sessions"]))))
    rows += [("", line) for line in cast("list[str]", summary["why_nothing"])]
    if summary["ended"] != "done":
        rows.append(("go on", f"devp2p-crawl resume --db {summary['db']}"))
    return rows


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in words.top(counts, 8)) or "none"
