"""The parent's course: start a process for each side, let both begin at once, watch until the end, stop them, sum up."""

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import trio

from tools.show.children import Child, start_child
from tools.show.ending import await_signals, unless_nobody_watches
from tools.show.plot import NoPngError, write_png
from tools.show.qos.board import QosBoard, summary_of
from tools.show.qos.plan import LOAD, Side
from tools.show.qos.plot import write_plots
from tools.show.reports import Event

_READY_WITHIN = 20.0
_DRAW_EVERY = 0.1


class QosView(AbstractContextManager["QosView"], Protocol):
    """How the show is shown."""

    def tick(self, board: QosBoard, now: float) -> None:
        """Some time has passed."""

    def finish(self, board: QosBoard, summary: Event) -> None:
        """It is over; called after the view has been left."""


@dataclass(frozen=True, slots=True)
class QosOptions:
    """What the command line says."""

    seconds: float
    out: Path


async def run_qos(options: QosOptions, view: QosView) -> int:
    """Run the whole show; returns the exit status: 0 if everything worked, or if it was interrupted before anything went wrong."""
    show = QosShow(options, view)
    with view:
        await show.run()
    board = show.board
    summary = summary_of(board)
    if any(state.answers for state in board.sides.values()):
        try:
            svg, html = write_plots(board, summary, options.out)
            summary["plots"] = [str(svg), str(html)]
            summary["plots"].append(str(write_png(svg)))
        except NoPngError as lack:
            summary["notes"].append(str(lack))
        except OSError as error:
            summary["problems"].append(f"no plot: {error}")
            summary["errors"] += 1
    view.finish(board, summary)
    worked = show.interrupted or all(state.waits for state in board.sides.values())
    return 0 if worked and not summary["errors"] else 1


class QosShow:
    """One run; its state is a `QosBoard`, its processes are children of its nursery."""

    def __init__(self, options: QosOptions, view: QosView) -> None:
        self.board = QosBoard(LOAD, options.seconds)
        self.interrupted = False
        self._view = view
        self._children: list[Child] = []
        self._course = trio.CancelScope()
        self._all_ready = trio.Event()

    async def run(self) -> None:
        """Run from the first process to the end of the last."""
        async with trio.open_nursery() as everything:
            everything.start_soon(self._draw)
            everything.start_soon(await_signals, self._interrupt)
            async with trio.open_nursery() as processes:
                with self._course:
                    await self._watch(processes)
                self.board.closing = True
                async with trio.open_nursery() as nursery:
                    for child in self._children:
                        nursery.start_soon(child.stop)
            everything.cancel_scope.cancel()

    async def _watch(self, processes: trio.Nursery) -> None:
        board = self.board
        for side in Side:
            command = [sys.executable, "-m", "tools.show.qos.worker", "--side", side]
            self._children.append(await start_child(processes, command, partial(self._post, side)))
        with trio.move_on_after(_READY_WITHIN):
            await self._all_ready.wait()
        if not board.ready:
            missing = ", ".join(state.side.label for state in board.sides.values() if not state.profile)
            board.problem(f"not connected within {_READY_WITHIN:g} s: {missing}")
            return
        for child in self._children:
            await child.tell({"cmd": "go"})
        board.began = trio.current_time()
        await trio.sleep(board.seconds)

    def _post(self, side: Side, event: Event) -> None:
        """Take an event of a child."""
        self.board.apply(side, event)
        if self.board.ready:
            self._all_ready.set()
        if event["event"] == "gone" and not self.board.closing:
            self._course.cancel()

    def _interrupt(self) -> None:
        self.interrupted = True
        self._course.cancel()

    async def _draw(self) -> None:
        while True:
            with unless_nobody_watches(self._interrupt):
                self._view.tick(self.board, trio.current_time())
            await trio.sleep(_DRAW_EVERY)
