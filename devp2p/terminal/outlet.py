"""Output that nothing waits for: what a command prints while it runs goes through a bounded queue to a thread, which writes it.

Theory of operation. A write waits as long as a pipe's reader does not read, a terminal is stopped (Ctrl-S) or a disk hangs, and a loop
that waits for one serves nobody: no peer, no scrape of the metrics, no signal. So `Outlet.write` only appends to a queue. What does not
fit is dropped and counted, and a line in its place says so once the reader has caught up. The reverse, a file that cannot wait
(O_NONBLOCK), would hold for everybody who shares it, such as the shell that started us, and regular files do not heed it.

The thread writes by os.write, past Python's own buffers: those have a lock that the interpreter takes when it exits, and would wait for.
For the same reason it is a daemon.
"""

import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, TextIO, cast

import trio

from devp2p.terminal.output import cannot_write

LIMIT: Final = 1 << 20
"""Bytes that wait at most: some 4,000 events as JSON."""
AT_THE_END: Final = 0.5
"""Seconds that a command which was told to end waits for its reader."""
_AT_ONCE: Final = 1 << 16  # bytes in one write
_RETRY: Final = 1.0  # seconds until a file that could not be written, as on a full disk, is tried again
_LONGEST: Final = 1 << 16  # characters without a newline that are kept together


class Outlet:
    """Takes text like a file, and writes it to a file descriptor as fast as that takes it. It may be used by any thread."""

    def __init__(
        self,
        stream: TextIO,
        lost: Callable[[int], str],
        *,
        trouble: Callable[[OSError], None] | None = None,
        limit: int = LIMIT,
    ) -> None:
        """Write to what is below `stream`, which must have nothing in its buffer; OSError if it has no file descriptor.

        `lost` makes the line that says how many lines are missing. `trouble` is told, by the thread, when writing begins to fail, and what
        fails is tried again; without it, each failure is the end. That nobody reads any more (BrokenPipeError) always is.
        """
        self.encoding: str = stream.encoding or "utf-8"
        self.errors: str = "backslashreplace"
        self.error: OSError | None = None
        """Why nothing is written any more."""
        self.dropped: int = 0
        """Lines that were lost."""
        self._descriptor = stream.fileno()
        self._isatty = stream.isatty()
        self._describe_lost = lost
        self._on_trouble = trouble
        self._limit = limit
        self._changed = threading.Condition()  # it guards all below
        self._queue: deque[bytes] = deque()
        self._size = 0  # bytes in the queue, and in the hand of the thread
        self._partial = ""  # a line that has no end yet
        self._picture = b""  # what is to be seen, once all that is in the queue is written
        self._lost = 0  # lines behind what is in the queue; as long as there are any, all further ones are lost, too
        self._torn = False  # what was written last is no whole line
        self._in_trouble = False
        self._finished = False
        self._waiting: list[Callable[[], object]] = []
        self._thread = threading.Thread(target=self._work, name=f"outlet {self._descriptor}", daemon=True)
        self._thread.start()

    # As a file

    def write(self, text: str) -> int:
        """Take text; it is written line by line."""
        with self._changed:
            *lines, self._partial = (self._partial + text).split("\n")
            for line in lines:
                self._put(f"{line}\n")
            if len(self._partial) > _LONGEST:
                self.flush()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Take several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Let what is no whole line be written as well."""
        with self._changed:
            text, self._partial = self._partial, ""
            if text:
                self._put(text)

    def show(self, picture: str) -> None:
        """Take a picture of a screen: it is written as it is, after what waits, unless a newer one comes before. Empty: none is.

        So a terminal that was stopped for long shows the present when it goes on, and nothing grows meanwhile.
        """
        with self._changed:
            if self.error is None and not self._finished:
                self._picture = picture.encode(self.encoding, self.errors)
                self._changed.notify_all()

    def fileno(self) -> int:
        """Where it writes to."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether that is a terminal."""
        return self._isatty

    def writable(self) -> bool:
        """Yes."""
        return True

    # For who wants to know what becomes of it

    async def wait_room(self) -> None:
        """Wait until at most half of the queue is taken, or there is an `error`."""
        await self._until(lambda: self.error is not None or self._size <= self._limit // 2)

    async def wait_failed(self) -> None:
        """Wait until there is an `error`."""
        await self._until(lambda: self.error is not None)

    def finish(self, patience: float | None) -> bool:
        """Wait until all is written, or cannot be, but no longer than so many seconds; tell whether it is. What comes now is lost."""
        self.flush()
        with self._changed:
            self._finished = True
            self._changed.notify_all()
            return self._changed.wait_for(self._is_done, patience) and self.error is None and not self._lost

    def _is_done(self) -> bool:
        return self.error is not None or (not self._size and not self._picture and (self._in_trouble or not self._lost))

    async def _until(self, condition: Callable[[], bool]) -> None:
        await trio.lowlevel.checkpoint()
        token = trio.lowlevel.current_trio_token()
        while True:
            event = trio.Event()
            with self._changed:
                if condition():
                    return
                self._waiting.append(partial(token.run_sync_soon, event.set))
            await event.wait()

    # The queue

    def _put(self, text: str) -> None:
        data = text.encode(self.encoding, self.errors)
        if self.error is not None or self._finished:
            return
        if self._lost or self._size + len(data) > self._limit:
            self._lost += 1
            self.dropped += 1
        else:
            self._queue.append(data)
            self._size += len(data)
        self._changed.notify_all()

    def _take(self) -> tuple[bytes, int] | None:
        """What to write next, and how many lines it says are lost; None when all is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._lost or self._picture or self._finished)
            lines: list[bytes] = []
            size = 0
            while self._queue and size < _AT_ONCE:
                lines.append(self._queue.popleft())
                size += len(lines[-1])
            if lines:
                return b"".join(lines), 0
            if not self._lost:
                picture, self._picture = self._picture, b""
                self._size += len(picture)
                return (picture, 0) if picture else None
            told, self._lost = self._lost, 0
            note = f"{self._describe_lost(told)}\n".encode(self.encoding, self.errors)
            self._size += len(note)
            return note, told

    # The thread

    def _work(self) -> None:
        while self.error is None and (taken := self._take()) is not None:
            data, told = taken
            done, error = self._write(data)
            with self._changed:
                self._size -= len(data)
                news = error is not None and not self._in_trouble
                self._in_trouble = error is not None
                if error is not None:
                    missing = told or data[done:].count(b"\n") or 1
                    self._lost += missing
                    self.dropped += 0 if told else missing
                    if self._on_trouble is None or isinstance(error, BrokenPipeError):
                        self.error = error
                        self._queue.clear()
                        self._picture = b""
                        self._size = 0
                self._changed.notify_all()
                waiting, self._waiting = self._waiting, []
                ends = self.error is not None or (error is not None and self._finished)
            for tell in waiting:
                with suppress(trio.RunFinishedError):
                    tell()
            if ends:
                return
            if error is not None:
                if news and self._on_trouble is not None:
                    self._on_trouble(error)
                time.sleep(_RETRY)

    def _write(self, data: bytes) -> tuple[int, OSError | None]:
        """How many bytes were written, and what went wrong."""
        whole = memoryview(b"\n" + data if self._torn else data)
        written = 0
        while written < len(whole):
            try:
                written += os.write(self._descriptor, whole[written:])
            except BlockingIOError:  # somebody who shares the file has made it one that does not wait
                select.select([], [self._descriptor], [])
            except OSError as error:
                if written:
                    self._torn = whole[written - 1] != ord("\n")
                return max(0, written - (len(whole) - len(data))), error
        self._torn = False
        return len(data), None


@dataclass(slots=True)
class Outlets:
    """What stdout and stderr are meanwhile; None where there is no file below, as in tests."""

    stdout: Outlet | None
    stderr: Outlet | None
    hurry: bool = False
    """Whether to end within `AT_THE_END`, and lose what was not read by then."""

    async def wait_end(self, told: trio.Event) -> None:
        """Wait until the command is told to end, or stdout cannot be written any more. From then on there is a `hurry`."""

        async def first(wait: Callable[[], Awaitable[object]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(first, told.wait)
            if self.stdout is not None:
                nursery.start_soon(first, self.stdout.wait_failed)
        self.hurry = True

    def check(self) -> None:
        """Raise what stands in the way of writing to stdout: BrokenPipeError if nobody reads it any more, `Failure` for anything else."""
        if self.stdout is None or self.stdout.error is None:
            return
        raise self.stdout.error if isinstance(self.stdout.error, BrokenPipeError) else cannot_write(self.stdout.error)

    def finish(self) -> None:
        """Wait for what is still to be written."""
        end = time.monotonic() + AT_THE_END
        if self.stdout is not None:
            self.stdout.finish(AT_THE_END if self.hurry else None)
        if self.stderr is not None:
            self.stderr.finish(max(0.0, end - time.monotonic()))


@contextmanager
def outlets(lost: Callable[[int], str], *, trouble: Callable[[OSError], None] | None = None) -> Generator[Outlets]:
    """Let sys.stdout and sys.stderr be outlets for the length of a block. For `lost` and `trouble` of stdout see `Outlet`.

    At the end of the block it waits until all is written, or raises what `check` does; but if the block raises or is in a `hurry`, no
    longer than `AT_THE_END`, and what cannot be written then is lost.
    """
    both = Outlets(_outlet(sys.stdout, lost, trouble), _outlet(sys.stderr, _lost_of_log, _say_nothing))
    with ExitStack() as stack:
        if both.stdout is not None:
            stack.enter_context(redirect_stdout(cast("TextIO", both.stdout)))
        if both.stderr is not None:
            stack.enter_context(redirect_stderr(cast("TextIO", both.stderr)))
        try:
            yield both
        except BaseException:
            both.hurry = True
            raise
        finally:
            both.finish()
        if not both.hurry:
            both.check()


async def wait_room() -> None:
    """Wait until what a command has printed is read as far as that it may print more, so that nothing will be lost."""
    await trio.lowlevel.checkpoint()
    if isinstance(stdout := cast("object", sys.stdout), Outlet):
        await stdout.wait_room()


def _outlet(stream: TextIO, lost: Callable[[int], str], trouble: Callable[[OSError], None] | None) -> Outlet | None:
    with suppress(OSError):
        stream.flush()
        return Outlet(stream, lost, trouble=trouble)
    return None


def _lost_of_log(lines: int) -> str:
    return f"devp2p: {lines} lines of the log are missing here: nobody read them in time"


def _say_nothing(error: OSError) -> None:
    """Where the log cannot be written there is nobody to be told."""
