"""The parent's course: start the workers, tell them the bootnode, watch until the end, stop everything, sum up."""

import socket
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import trio

from tools.show import gopeer
from tools.show.board import Board
from tools.show.children import Child, start_child
from tools.show.ending import await_signals, unless_nobody_watches
from tools.show.mapping import Map, NoMapError, crawl
from tools.show.plan import GO, Choice, plan_nodes
from tools.show.plot import NoPngError, write_plots, write_png
from tools.show.reports import Event
from tools.show.summary import summary_of

_BOOT_WITHIN = 10.0
_CONNECTED_WITHIN = 15.0
_GO_WITHIN = 10.0
_DRAW_EVERY = 0.25
_SAMPLE_EVERY = 0.5
_TOLD = ("found", "alive", "dialled", "hellos", "recall_estimate", "seconds")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    nodes: int
    seconds: float
    seed: int
    pace: float
    go: bool
    out: Path
    choice: Choice = Choice.SLOTS
    """How observers choose their peers."""
    crawl: bool = True
    """Whether the network is crawled in the end."""


class View(AbstractContextManager["View"], Protocol):
    """How the show is shown."""

    def event(self, event: Event, board: Board) -> None:
        """Something has happened."""

    def tick(self, board: Board, now: float) -> None:
        """Some time has passed."""

    def finish(self, board: Board, summary: Event) -> None:
        """It is over; called after the view has been left."""


async def run_show(options: Options, view: View) -> int:
    """Run the whole show; returns the exit status: 0 if everything worked, or if it was interrupted before anything went wrong."""
    show = Show(options, view)
    with view:
        await show.run()
    summary = show.summary or summary_of(show.board, show.ended)
    summary |= {"errors": show.board.errors, "problems": show.board.problems}
    if show.board.history:
        try:
            svg, html = write_plots(show.board, summary, options.out)
            summary["plots"] = [str(svg), str(html)]
            summary["plots"].append(str(write_png(svg)))
        except NoPngError as lack:
            summary["notes"].append(str(lack))
        except OSError as error:
            summary["problems"].append(f"no plot: {error}")
            summary["errors"] += 1
    if show.map is not None:
        summary["crawl"] = {**{name: show.map.summary.get(name) for name in _TOLD}, "line": show.map.line, "report": str(show.map.report)}
    if show.no_map:
        summary["notes"].append(show.no_map)
    view.finish(show.board, summary)
    worked = show.interrupted or (summary["connected"] == summary["nodes"] and summary["bytes"] > 0)
    return 0 if worked and not summary["errors"] else 1


class Show:
    """One run; its state is a `Board`, its processes are children of its nursery."""

    def __init__(self, options: Options, view: View) -> None:
        self.ipv6 = has_ipv6()
        self.board = Board(plan_nodes(options.nodes, options.seed, ipv6=self.ipv6), seed=options.seed, pace=options.pace)
        self.interrupted = False
        self.ended = 0.0
        self.summary: Event = {}
        """As it is when the show is over, and before a crawler comes."""
        self.map: Map | None = None
        self.no_map = ""
        """Why there is none."""
        self._options = options
        self._view = view
        self._bootnode = next(iter(self.board.nodes.values()))
        self._children: list[Child] = []
        self._pids: dict[int, int] = {}
        self._course = trio.CancelScope()
        self._boot_known = trio.Event()
        self._all_met = trio.Event()

    async def run(self) -> None:
        """Run from the first process to the end of the last."""
        self.board.began = trio.current_time()
        async with trio.open_nursery() as everything:
            everything.start_soon(self._draw)
            everything.start_soon(self._sample)
            everything.start_soon(await_signals, self._interrupt)
            async with trio.open_nursery() as processes:
                with self._course:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._invite_go, processes)
                        if await self._set_up(processes):
                            await self._watch()
                        nursery.cancel_scope.cancel()
                self.ended = self.ended or trio.current_time()
                await self._stop()
            everything.cancel_scope.cancel()

    def _interrupt(self) -> None:
        self.interrupted = True
        self._course.cancel()

    async def _draw(self) -> None:
        while True:
            with unless_nobody_watches(self._interrupt):
                self._view.tick(self.board, trio.current_time())
            await trio.sleep(_DRAW_EVERY)

    async def _sample(self) -> None:
        while True:
            await trio.sleep(_SAMPLE_EVERY)
            self.board.sample(trio.current_time())

    # Set-up

    async def _set_up(self, processes: trio.Nursery) -> bool:
        """Start the nodes, and wait until all have met others; False if there is nothing to watch."""
        for number in range(self.board.workers):
            await self._start(number, processes)
        with trio.move_on_after(_BOOT_WITHIN):
            await self._boot_known.wait()
        if not self._bootnode.enr:
            self.board.problem(trio.current_time(), f"the bootnode did not listen within {_BOOT_WITHIN:g} s")
            return False
        for child in self._children[: self.board.workers]:
            await child.tell({"cmd": "begin", "bootnode": self._bootnode.enr})
        with trio.move_on_after(_CONNECTED_WITHIN):
            await self._all_met.wait()
        missing = [node.plan.name for node in self.board.ours if node.met is None]
        if missing:
            text = f"{', '.join(missing)} found nobody within {_CONNECTED_WITHIN:g} s"
            self.board.problem(trio.current_time(), text)
        return True

    async def _start(self, number: int, processes: trio.Nursery) -> None:
        command = [sys.executable, "-m", "tools.show.worker", "--worker", str(number), "--pace", str(self.board.pace)]
        command += ["--nodes", str(self._options.nodes), "--seed", str(self._options.seed), *(["--ipv6"] if self.ipv6 else [])]
        command += ["--choice", self._options.choice]
        child = await start_child(processes, command, partial(self._post, f"worker {number}"))
        self._children.append(child)
        self._pids[number] = child.pid

    async def _invite_go(self, processes: trio.Nursery) -> None:
        board = self.board
        if not self._options.go or not await gopeer.prepare(board):
            return
        await self._boot_known.wait()
        board.go = "starting…"
        peer = gopeer.GoPeer(board, partial(self._post, GO.name))
        child = await peer.start(processes, self._bootnode.enr)
        if child is not None:
            self._children.append(child)
            with trio.move_on_after(_GO_WITHIN):
                await peer.listening.wait()
        if child is None or GO.name not in board.nodes:
            board.go = f"left out: it did not start{peer.obstacle and f': {peer.obstacle}'}"
            return
        board.go = "looks for others…"
        await peer.ask_for_ever(child)

    # The show itself

    async def _watch(self) -> None:
        board = self.board
        board.show_began = trio.current_time()
        board.show_ends = board.show_began + self._options.seconds
        await trio.sleep_until(board.show_ends)
        self.ended = trio.current_time()
        if self._options.crawl:
            await self._crawl()

    async def _crawl(self) -> None:
        self.summary = summary_of(self.board, self.ended)
        self.board.crawling = True
        try:
            self.map = await crawl(self._bootnode.enr, self._options.out)
        except NoMapError as lack:
            self.no_map = str(lack)

    async def _stop(self) -> None:
        self.board.closing = True
        if self.board.go == "building…":
            self.board.go = "left out: it was still being built; the next run continues that"
        async with trio.open_nursery() as nursery:
            for child in self._children:
                nursery.start_soon(child.stop)

    def _post(self, source: str, event: Event) -> None:
        """Take an event of any process."""
        event = {**event, "source": source}
        if event["event"] == "listening" and event["node"] in self.board.nodes:
            event["pid"] = self._pids.get(self.board.nodes[event["node"]].plan.worker, 0)
        self.board.apply(event, trio.current_time())
        if self._bootnode.enr or event["event"] == "gone":
            self._boot_known.set()
        if self.board.connected == self._options.nodes:
            self._all_met.set()
        with unless_nobody_watches(self._interrupt):
            self._view.event(event, self.board)


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
