"""The show as text: a line a second for a pipe or a file, JSON for programs."""

from types import TracebackType
from typing import Self

from tools.show.qos.board import QosBoard, duration, sentences
from tools.show.reports import Event, write_line

_EVERY = 1.0


class _Lines:
    """What both have in common: they write to stdout, and need no tidying."""

    def __init__(self) -> None:
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        pass

    def _is_time(self, board: QosBoard, now: float) -> bool:
        if board.began is None or board.closing or now < max(self._next, board.began + _EVERY):
            return False
        self._next = now + _EVERY
        return True


class QosPlain(_Lines):
    """A line a second."""

    def tick(self, board: QosBoard, now: float) -> None:
        """Print how it goes."""
        if self._is_time(board, now) and board.began is not None:
            states = board.sides.values()
            waits = ", ".join(f"{duration(state.waiting)} by {state.side.label}" for state in states)
            got = ", ".join(f"{(state.flood_bytes + state.bulk_bytes) / 1e6:.1f}" for state in states)
            print(f"{now - board.began:5.1f} s  the chat waits {waits}; the others have got {got} MB", flush=True)

    def finish(self, board: QosBoard, summary: Event) -> None:
        """Print the sum."""
        del board
        for line in [*sentences(summary), *(f"plot: {path}" for path in summary.get("plots", [])), *summary["notes"], *summary["problems"]]:
            print(line)


class QosJson(_Lines):
    """One JSON object a line, the last of which is the summary."""

    def tick(self, board: QosBoard, now: float) -> None:
        """Print the figures of the moment."""
        if self._is_time(board, now) and board.began is not None:
            sides = {
                side: {"waits_ms": None if state.waiting is None else round(state.waiting * 1000, 1), "answers": len(state.answers)}
                for side, state in board.sides.items()
            }
            print(write_line({"event": "progress", "seconds": round(now - board.began, 1), "sides": sides}), flush=True)

    def finish(self, board: QosBoard, summary: Event) -> None:
        """Print the sum."""
        del board
        print(write_line(summary), flush=True)
