"""The show as text: a few lines for a pipe or a file, JSON for programs; and the lines that end it."""

from types import TracebackType
from typing import Self

from tools.show.board import Board
from tools.show.reports import Event, write_line

NO_GO = "left out (--no-go)"

_LINE_EVERY = 2.0
_JSON_EVERY = 1.0
_TOLD = {"connected", "dropped", "refused", "listening", "dialled", "problem", "complaint"}


class _Lines:
    """What both have in common: they write to stdout, and need no tidying."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        pass

    def _is_time(self, board: Board, now: float) -> bool:
        """Whether it is time for the next line of progress."""
        if board.show_began is None or board.closing or now < self._next:
            return False
        self._next = now + self._every
        return True


class PlainView(_Lines):
    """A line every two seconds, and one for whatever is worth it."""

    def __init__(self) -> None:
        super().__init__(_LINE_EVERY)
        self._told = 0

    def event(self, name: str, event: Event, board: Board) -> None:
        """Print what the event has added to the log."""
        del name, event
        fresh = min(board.logged - self._told, len(board.log))
        for when, _, text in list(board.log)[len(board.log) - fresh :]:
            print(f"{when:6.1f} s  {text}", flush=True)
        self._told = board.logged

    def tick(self, board: Board, now: float) -> None:
        """Print how it goes."""
        if self._is_time(board, now):
            print(
                f"{now - board.began:6.1f} s  {board.sessions} sessions, {board.total_messages} messages ({board.messages.rate:.0f}/s), "
                f"{board.total_bytes / 1e6:.1f} MB ({board.bytes.rate / 1e6:.1f} MB/s)",
                flush=True,
            )

    def finish(self, board: Board, summary: Event) -> None:
        """Print the sum."""
        del board
        for line in summary_lines(summary):
            print(line)


class JsonView(_Lines):
    """One JSON object a line; the last is the summary."""

    def __init__(self) -> None:
        super().__init__(_JSON_EVERY)

    def event(self, name: str, event: Event, board: Board) -> None:
        """Print what matters."""
        if event["event"] in _TOLD:
            told = {"event": event["event"], "node": name, **event}
            if "peer" in told:
                told["peer_name"] = board.name_of(told["peer"])
            print(write_line(told), flush=True)

    def tick(self, board: Board, now: float) -> None:
        """Print the figures of the moment."""
        if self._is_time(board, now):
            progress = {
                "event": "progress",
                "seconds": round(now - board.began, 1),
                "sessions": board.sessions,
                "messages": board.total_messages,
                "messages_per_s": round(board.messages.rate),
                "bytes": board.total_bytes,
                "mb_per_s": round(board.bytes.rate / 1e6, 2),
                "go_ethereum": board.go,
            }
            print(write_line(progress), flush=True)

    def finish(self, board: Board, summary: Event) -> None:
        """Print the sum."""
        del board
        print(write_line(summary), flush=True)


def summary_rows(summary: Event) -> list[tuple[str, str]]:
    """The sum in words, as (what, how much)."""
    chat, bulk, latency = summary["chat"], summary["bulk"], summary["latency_ms"]
    go = summary["go_ethereum"]
    also = " and go-ethereum's" if go is True else ""
    round_trip = "none" if latency["p50"] is None else f"half within {latency['p50']:.1f} ms, 99 % within {latency['p99']:.1f} ms"
    return [
        ("nodes, sessions", f"{summary['nodes']} nodes{also}, {summary['sessions']} sessions, in {summary['seconds']:g} s"),
        ("messages", f"{summary['messages']:,} in {summary['bytes'] / 1e6:,.1f} MB on the wire"),
        ("chat", f"{chat['lines']:,} lines, {chat['requests']:,} questions answered"),
        ("chat round trip", round_trip),
        ("bulk data", f"{bulk['bytes'] / 1e6:,.1f} MB in {bulk['requests']:,} requests, {bulk['mb_per_s']:g} MB/s; {bulk['wrong']} wrong"),
        ("go-ethereum", "took part" if go is True else str(go or NO_GO)),
        ("errors", str(summary["errors"])),
        *(("", problem) for problem in summary["problems"]),
    ]


def summary_lines(summary: Event) -> list[str]:
    """The same as lines of text."""
    return [f"{what:16} {much}" for what, much in summary_rows(summary)]
