"""The parent's course: start the nodes, introduce them to one another, watch for a while, stop everything, sum up."""

import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import trio

from tools.show import gopeer
from tools.show.board import Board, NodeState
from tools.show.children import Child, start_child
from tools.show.plan import NodePlan, plan_dials, plan_nodes
from tools.show.reports import Event

_START_WITHIN = 20.0
_DIAL_WITHIN = 10.0
_GO_WITHIN = 10.0
_DRAW_EVERY = 0.25
_SHORTEST_WITH_A_BREAK = 6.0  # seconds; in a shorter show nobody is disconnected for the sake of it
_BREAK = 1.0
_LONGEST_DIRECTORY = 90  # characters; the path of a Unix socket has at most 104 on some systems


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    nodes: int
    seconds: float
    go: bool


class View(AbstractContextManager["View"], Protocol):
    """How the show is shown."""

    def event(self, name: str, event: Event, board: Board) -> None:
        """Something has happened at a node."""

    def tick(self, board: Board, now: float) -> None:
        """Some time has passed."""

    def finish(self, board: Board, summary: Event) -> None:
        """It is over; called after the view has been left."""


async def run_show(options: Options, view: View) -> int:
    """Run the whole show; returns the exit status: 0 if everything worked, or if it was interrupted before anything went wrong."""
    with tempfile.TemporaryDirectory(prefix="devp2p-show-") as directory:
        unix = hasattr(socket, "AF_UNIX") and len(directory) < _LONGEST_DIRECTORY
        show = Show(options, view, plan_nodes(options.nodes, directory=directory, ipv6=has_ipv6(), unix=unix))
        with view:
            await show.run()
    summary = show.board.summary(show.ended)
    view.finish(show.board, summary)
    worked = (summary["sessions"] and summary["messages"]) or show.interrupted
    return 0 if worked and not summary["errors"] else 1


class Show:
    """One run; its state is a `Board`, its processes are children of its nursery."""

    def __init__(self, options: Options, view: View, plans: list[NodePlan]) -> None:
        self.board = Board()
        self.interrupted = False
        self.ended = 0.0
        self._options = options
        self._view = view
        self._plans = plans
        self._children: dict[str, Child] = {}
        self._listening = {plan.name: trio.Event() for plan in plans}
        self._course = trio.CancelScope()
        self._ready = trio.Event()
        self._open_dials = 0
        self._dialled = trio.Event()

    async def run(self) -> None:
        """Run from the first process to the end of the last."""
        self.board.began = trio.current_time()
        async with trio.open_nursery() as everything:
            everything.start_soon(self._draw)
            everything.start_soon(self._await_signal)
            async with trio.open_nursery() as processes:
                with self._course:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._invite_go, processes)
                        await self._set_up(processes)
                        await self._watch()
                        nursery.cancel_scope.cancel()
                self.ended = trio.current_time()
                await self._stop()
            everything.cancel_scope.cancel()

    async def _await_signal(self) -> None:
        wanted = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
        with trio.open_signal_receiver(*wanted) as signals:
            async for _ in signals:
                self._interrupt()

    def _interrupt(self) -> None:
        self.interrupted = True
        self._course.cancel()

    async def _draw(self) -> None:
        while True:
            with self._unless_nobody_watches():
                self._view.tick(self.board, trio.current_time())
            await trio.sleep(_DRAW_EVERY)

    # Set-up

    async def _set_up(self, processes: trio.Nursery) -> None:
        for plan in self._plans:
            self.board.add(NodeState(plan.name, plan.trait))
        with trio.move_on_after(_START_WITHIN) as scope:
            async with trio.open_nursery() as nursery:
                for plan in self._plans:
                    nursery.start_soon(self._start, plan, processes)
        if scope.cancelled_caught:
            self.board.problem(trio.current_time(), f"not every node listened within {_START_WITHIN:g} s")
        self._ready.set()
        dials = [(self._plans[one].name, self._plans[other].name) for one, other in plan_dials(len(self._plans))]
        dials = [(one, other) for one, other in dials if self.board.nodes[one].id and self.board.nodes[other].id]
        self._open_dials = len(dials)
        for one, other in dials:
            await self._connect(one, other)
        with trio.move_on_after(_DIAL_WITHIN):
            if dials:
                await self._dialled.wait()

    async def _start(self, plan: NodePlan, processes: trio.Nursery) -> None:
        command = [sys.executable, "-m", "tools.show.node", "--name", plan.name, "--delay", str(plan.delay), "--pace", str(plan.pace)]
        for address in plan.listen:
            command += ["--listen", address]
        child = await start_child(processes, command, partial(self._post, plan.name))
        self._children[plan.name] = child
        self.board.nodes[plan.name].pid = child.pid
        await self._listening[plan.name].wait()

    async def _connect(self, name: str, other: str) -> None:
        await self._children[name].tell({"cmd": "connect", "to": self.board.nodes[other].enodes[-1]})

    async def _invite_go(self, processes: trio.Nursery) -> None:
        board = self.board
        if not self._options.go:
            return
        if not await gopeer.prepare(board):
            return
        await self._ready.wait()
        listening = [plan.name for plan in self._plans if board.nodes[plan.name].id]
        if not listening:
            board.go = "left out: there is no other node"
            return
        board.go = "starting…"
        peer = gopeer.GoPeer(board, self._post)
        child = await peer.start(processes)
        if child is not None:
            self._children[gopeer.NAME] = child
            with trio.move_on_after(_GO_WITHIN):
                await peer.listening.wait()
        if child is None or not peer.node.id:
            board.go = "left out: it did not start"
            del board.nodes[gopeer.NAME]
            return
        *diallers, last = listening
        for name in diallers:
            await self._connect(name, gopeer.NAME)
        await child.tell({"cmd": "connect", "enode": board.nodes[last].enodes[0]})
        await peer.ask_for_ever(child)

    # The show itself

    async def _watch(self) -> None:
        board, seconds = self.board, self._options.seconds
        board.show_began = trio.current_time()
        board.show_ends = board.show_began + seconds
        if seconds >= _SHORTEST_WITH_A_BREAK:
            await trio.sleep_until(board.show_began + 0.4 * seconds)
            await self._break_one_session()
        await trio.sleep_until(board.show_ends)

    async def _break_one_session(self) -> None:
        """Show what a disconnect looks like, and that the two find together again."""
        one, other = (self._plans[index].name for index in plan_dials(len(self._plans))[0])
        if one in self._children and self.board.nodes[other].id:
            await self._children[one].tell({"cmd": "disconnect", "peer": self.board.nodes[other].id})
            await trio.sleep(_BREAK)
            await self._connect(one, other)

    async def _stop(self) -> None:
        self.board.closing = True
        if self.board.go == "building…":
            self.board.go = "left out: it was still being built; the next run continues that"
        async with trio.open_nursery() as nursery:
            for child in self._children.values():
                nursery.start_soon(child.stop)

    def _post(self, name: str, event: Event) -> None:
        """Take an event of any process."""
        self.board.apply(name, event, trio.current_time())
        if event["event"] in {"listening", "gone"} and name in self._listening:
            self._listening[name].set()
        if event["event"] == "dialled":
            self._open_dials -= 1
            if self._open_dials <= 0:
                self._dialled.set()
        with self._unless_nobody_watches():
            self._view.event(name, event, self.board)

    @contextmanager
    def _unless_nobody_watches(self) -> Iterator[None]:
        """End the show in order once its terminal is closed, or the reader of its output gone."""
        try:
            yield
        except OSError:
            self._interrupt()


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
