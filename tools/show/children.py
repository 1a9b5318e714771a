"""The processes that the parent runs: started apart from its terminal, heard line by line, and never left behind."""

import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio

from tools.show.reports import Event, lines_of, read_line, write_line

ROOT = Path(__file__).resolve().parent.parent.parent

_PATIENCE = 3.0  # seconds that a process has to end by itself once its stdin has ended

Post = Callable[[Event], None]


class Child:
    """One process; `start_child` makes it."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._mouth = trio.Lock()
        self._gone = trio.Event()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def tell(self, command: Event) -> None:
        """Give it a command; lost if it has ended."""
        assert self._process.stdin is not None  # noqa: S101  (start_child made the pipe)
        async with self._mouth:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._process.stdin.send_all(write_line(command).encode() + b"\n")

    async def stop(self) -> None:
        """Let it end, and see to it that it does."""
        await _end(self._process)
        await self._gone.wait()

    async def attend(self, post: Post) -> None:
        """Listen to it until it has ended."""
        async with trio.open_nursery() as ears:
            ears.start_soon(_hear, self._process, post)
            ears.start_soon(_hear_complaints, self._process, post)
        status = await self._process.wait()
        if status != 0:
            post({"event": "problem", "text": f"ended with status {status}"})
        post({"event": "gone"})
        self._gone.set()


async def start_child(nursery: trio.Nursery, command: Sequence[str], post: Post) -> Child:
    """Start a process that `nursery` waits for; `post` is given its events. OSError if there is no such program.

    What it prints or says on stderr that is no event makes a ``complaint``, its failure a ``problem``; the last one is ``gone``. Its
    session is one of its own, so that Ctrl-C reaches the parent alone, which ends it in order.
    """
    process: trio.Process = await nursery.start(
        partial(
            trio.run_process,
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
            cwd=ROOT,
            start_new_session=True,
            deliver_cancel=_end,
        )
    )
    child = Child(process)
    nursery.start_soon(child.attend, post)
    return child


async def _hear(process: trio.Process, post: Post) -> None:
    assert process.stdout is not None  # noqa: S101
    async for text in lines_of(process.stdout):
        event = read_line(text)
        if event is not None and "event" in event:
            post(event)
        elif text:
            post({"event": "complaint", "text": text})


async def _hear_complaints(process: trio.Process, post: Post) -> None:
    assert process.stderr is not None  # noqa: S101
    async for text in lines_of(process.stderr):
        post({"event": "complaint", "text": text})


async def _end(process: trio.Process) -> None:
    """End its stdin and wait; kill it if it does not end."""
    assert process.stdin is not None  # noqa: S101
    with trio.CancelScope(shield=True):
        await process.stdin.aclose()
        with trio.move_on_after(_PATIENCE) as scope:
            await process.wait()
        if scope.cancelled_caught:
            process.kill()
            await process.wait()
