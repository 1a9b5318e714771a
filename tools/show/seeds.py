"""``python -m tools.show.seeds``: the show with five seeds, each three times: with peers chosen as the library does, and two controls."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import trio

from tools.show.board import Board
from tools.show.courses import Course, chart, parse, tell
from tools.show.director import Options, run_show
from tools.show.meters import mean
from tools.show.plan import Choice
from tools.show.reports import Event

NODES, SECONDS, PACE, SEEDS = 30, 60.0, 300.0, range(1, 6)
PLOT = Path(__file__).resolve().parent.parent.parent / "docs" / "show.svg"


class Silent:
    """Shows nothing, and keeps the board."""

    board: Board | None = None
    problems: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        pass

    def event(self, event: Event, board: Board) -> None:
        """Nothing."""

    def tick(self, board: Board, now: float) -> None:
        """Nothing."""

    def finish(self, board: Board, summary: Event) -> None:
        """Keep it."""
        self.board = board
        self.problems = tuple(summary["problems"])


def course_of(choice: Choice, seed: int) -> Course:
    """One show."""
    view = Silent()
    status = trio.run(run_show, Options(NODES, SECONDS, seed, PACE, go=False, out=Path("build/show"), choice=choice, crawl=False), view)
    if status or view.board is None or len(view.board.history) < SECONDS / 2:
        raise SystemExit(f"seed {seed}, {choice}: {'; '.join(view.problems) or 'it was ended before its time'}")
    return Course(choice, seed, tuple(view.board.history), mean([view.board.chance(node) for node in view.board.observers]))


def run(options: argparse.Namespace) -> None:
    """Run all, print, draw."""

    def rows() -> Iterator[list[Course]]:
        for seed in SEEDS:
            yield [course_of(choice, seed) for choice in Choice]

    subtitle = f"{len(SEEDS)} shows of {NODES} nodes over sockets, at {PACE:g} times the usual pace"
    options.out.write_text(chart(tell(rows()), subtitle, 1, "s"), "utf-8")


if __name__ == "__main__":
    run(
        parse(
            "python -m tools.show.seeds",
            "Run the show with five seeds, each three times: with peers chosen as the library does, and with two controls. "
            "It takes a quarter of an hour, and needs a quiet machine. It prints a table and draws a plot.",
            PLOT,
        )
    )
