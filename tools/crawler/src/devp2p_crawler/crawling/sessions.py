"""Sessions of uptime as a crawl goes on: a sink that follows them, and writes down when each began and ended."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from devp2p_crawler.analysis import SessionCounts, SessionState, SessionTracker, Survival, UptimeSession
from devp2p_crawler.model import Batch

_MOST_WAITING: Final = 16 << 20
"""Bytes that wait for a disk that is full."""


class SessionSink:
    """Takes visits, follows the sessions, and writes a line of JSON for each that begins or ends, if there is a file for them.

    One thread writes, others may look at `counts`. A file that cannot be written never holds up what is counted: its lines wait.
    """

    def __init__(self, path: Path | None = None) -> None:
        """OSError if the file cannot be opened; what is in it is kept."""
        self._tracker = SessionTracker()
        self._file = None if path is None else path.open("ab", buffering=0)
        self._waiting = bytearray()
        self.lost: int = 0
        """Lines for which there was no room."""
        self.trouble: str = ""
        """Why lines wait; empty if none do."""

    @property
    def counts(self) -> SessionCounts:
        """How the sessions stand."""
        return self._tracker.counts

    def survival(self) -> Survival:
        """How long sessions last, in minutes."""
        return self._tracker.survival()

    def write(self, batch: Batch) -> None:
        """Take in the visits of a batch."""
        for visit in batch.visits:
            session = self._tracker.take(visit)
            if session is not None and self._file is not None:
                self._put(_line(visit.node, session))
        self._flush()

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._flush()
        if self._file is not None:
            self.lost += self._waiting.count(b"\n")
            self._file.close()
            self._file = None

    def _put(self, line: str) -> None:
        if len(self._waiting) + len(line) > _MOST_WAITING:
            self.lost += 1
        else:
            self._waiting += line.encode("ascii")

    def _flush(self) -> None:
        while self._file is not None and self._waiting:
            try:
                written = self._file.write(self._waiting)
            except OSError as error:
                self.trouble = error.strerror or str(error)
                return
            del self._waiting[:written]
        self.trouble = ""


def _line(node: bytes, session: UptimeSession) -> str:
    is_over = session.state is SessionState.CLOSED
    return (
        json.dumps(
            {
                "session": "ended" if is_over else "began",
                "node": node.hex(),
                "began": _time(session.opened),
                "last_seen": _time(session.last_ok),
                "missed": None if session.missed_at is None else _time(session.missed_at),
                "seconds": session.uptime / 1_000_000,
                "known_start": session.known_start,
            }
        )
        + "\n"
    )


def _time(microseconds: int) -> str:
    """ISO 8601, UTC."""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).isoformat(timespec="milliseconds")
