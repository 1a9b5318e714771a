"""``devp2p-crawl monitor``: visit known nodes again and again, and follow how long they stay."""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devp2p.terminal import Exit, Failure, explain
from devp2p_crawler.cli.options import Choices, add_options, choose
from devp2p_crawler.model import MONITORS
from devp2p_crawler.stores import SinkError, SqliteStore

if TYPE_CHECKING:
    from devp2p_crawler.crawling import SessionSink

SUMMARY = "visit nodes again and again, and follow how long they stay"
DESCRIPTION = """\
Visit the nodes of a file, and those that they lead to, again and again until
it is told to end: one that is there after 1.2 times as long as it has been
there, but within 15 minutes; one that is not after 3 and 20 minutes, 1, 6 and
24 hours, and not any more after 30 days.

It follows sessions: the times in which a node is there. One missed visit does
not end a session of an hour or more, nor do two of six hours, or three of a
day. --sessions writes down when each began and ended.
"""
EPILOG = """\
what --sessions writes:
  An object a line: "session" (began or ended), "node", "began", "last_seen",
  "missed" (the first visit that missed it), "seconds", and "known_start",
  which says whether the node was looked for before, and missed.

what --json prints, and signals: as `devp2p-crawl crawl`; the summary also has
"sessions": open, pending, began, ended, and median_minutes, of those of which
the beginning was seen (Kaplan-Meier; null if too few have ended).

examples:
  devp2p-crawl monitor --db mainnet.db --network mainnet --sessions uptime.ndjson
  devp2p-crawl monitor --db my.db --for 86400 --json

exit codes:
  0  it is over: out of time, or told to end
  1  there is nobody to begin with, a file or an address cannot be opened, or
     not all that was found could be written
  2  wrong options
"""
_EVERY: Final = 60
"""Seconds between two lines that tell of sessions."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_options(parser)
    add_sessions(parser)
    parser.set_defaults(run=_run)


def add_sessions(parser: argparse.ArgumentParser) -> None:
    """Add the option that is a monitor's alone."""
    parser.add_argument(
        "--sessions", metavar="FILE", help="of one that monitors: add a line of JSON to a file for each session that begins or ends"
    )


def _run(flags: argparse.Namespace) -> int:
    choices = choose(flags)
    _require_nodes(choices)
    return monitor(choices, flags.sessions)


def monitor(choices: Choices, sessions: str | None, *, resume: bytes | None = None) -> int:
    """Monitor, and return the exit status. `sessions`: the file for them; `resume`: the id of the one that goes on."""
    from devp2p_crawler.cli.running import crawl, prepare  # noqa: PLC0415  (--help, and wrong options, need not wait for it)
    from devp2p_crawler.crawling import SessionSink  # noqa: PLC0415

    told = json.dumps({**json.loads(choices.told), MONITORS: True})
    prepared = prepare(replace(choices, told=told), resume, monitor=True)
    if choices.dry_run:
        return crawl(prepared)
    try:
        sink = SessionSink(None if sessions is None else Path(sessions))
    except OSError as error:
        raise Failure(f"--sessions: cannot write {sessions}: {explain(error)}", Exit.FAILED) from None
    return crawl(replace(prepared, watch=Sessions(sink)))


def _require_nodes(choices: Choices) -> None:
    """See that there is somebody to begin with; `Failure` if not."""
    if choices.bootnode or choices.network or choices.input or choices.dns or choices.inbound:
        return
    hint = "name some: --network mainnet, or --bootnode enode://..."
    if not Path(choices.db).exists():
        raise Failure(f"there is no file {choices.db} yet, and so nobody to visit: {hint}", Exit.FAILED)
    try:
        with SqliteStore.open_reading(choices.db) as store:
            is_empty = next(iter(store.nodes()), None) is None
    except SinkError as error:
        raise Failure(str(error), Exit.FAILED) from None
    if is_empty:
        raise Failure(f"there are no nodes in {choices.db} to visit: {hint}", Exit.FAILED)


class Sessions:
    """What is told of sessions while they are followed."""

    def __init__(self, sink: "SessionSink") -> None:
        self.sink: SessionSink = sink
        """Gets the visits."""
        self._ticks = 0
        self._told = sink.counts

    def news(self) -> Iterator[str]:
        """A line a minute, if anything has changed; and why lines of the file wait, if they do."""
        self._ticks += 1
        if self._ticks % _EVERY:
            return
        before, now = self._told, self.sink.counts
        self._told = now
        if now != before:
            yield (
                f"sessions: {now.open:,} open, {now.pending:,} doubtful; in the last minute {now.opened - before.opened:,} began "
                f"and {now.closed - before.closed:,} ended"
            )
        if self.sink.trouble:
            yield f"sessions cannot be written down: {self.sink.trouble}; they wait"

    def sum(self) -> Mapping[str, object]:
        """For the summary."""
        counts = self.sink.counts
        return {
            "sessions": {
                "open": counts.open,
                "pending": counts.pending,
                "began": counts.opened,
                "ended": counts.closed,
                "median_minutes": self.sink.survival().median,
                "lost_lines": self.sink.lost,
            }
        }
