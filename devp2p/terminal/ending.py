"""How a command that runs until it is told to stop hears of it, and that it then ends.

The first SIGINT, SIGTERM or SIGHUP lets it end by itself: farewells are said, the book is written, sockets at paths are removed. Further
signals change nothing, since it does not take longer than `PATIENCE`: by then the process is gone, whatever keeps it, with status 1. A
command that may need longer gives itself more time, and lets the second signal end it.
"""

import faulthandler
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Final, TypeVar

import trio

from devp2p.terminal.output import Failure

T = TypeVar("T")

PATIENCE: Final = 2.0
"""Seconds from the first signal to the end of the process, beside those for which the machine was too busy to run it."""
_LAST_RESORT: Final = 8.0  # seconds more where it cannot be counted
_HANG_UP: Final = getattr(signal, "SIGHUP", None)
_SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


@contextmanager
def told_to_end(
    *, patience: float = PATIENCE, second: Callable[[], object] | None = None, hang_up: Callable[[], object] | None = None
) -> Generator[trio.Event]:
    """An event that is set when the process is told to end, by a signal that it does not ignore, as `nohup` has it ignore SIGHUP.

    `patience`: seconds from then to the end of the process, whatever keeps it. With `second`, a second such signal ends it at once, with
    the status that shells know of that signal; it is called before, in a thread of its own, and must not wait. `hang_up` is called in
    trio's thread at each SIGHUP, which then ends nothing. Neither may raise.
    """
    event, token = trio.Event(), trio.lowlevel.current_trio_token()
    heeded = [number for number in _SIGNALS if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN]
    if hang_up is not None and _HANG_UP is not None and _HANG_UP not in heeded:
        heeded.append(_HANG_UP)  # ignored as long as it would end the process
    told = False

    def hear(number: int) -> None:
        nonlocal told
        token.run_sync_soon(_wake_up)  # as trio's own wake-up would have done it, in whose place this is
        if number not in heeded:
            return
        if hang_up is not None and number == _HANG_UP:
            token.run_sync_soon(hang_up)
        elif not told:
            told = True
            threading.Thread(target=_end_by_force, args=(patience,), name="end", daemon=True).start()
            # If even threads get no turn any more, one without Python ends it. What it would write could wait for a reader.
            faulthandler.dump_traceback_later(patience + _LAST_RESORT, exit=True, file=os.open(os.devnull, os.O_WRONLY))
            token.run_sync_soon(event.set)
        elif second is not None:
            second()
            os._exit(128 + number)

    def listen() -> None:
        with reading:
            while data := reading.recv(1):
                with suppress(trio.RunFinishedError):
                    hear(data[0])

    # Python calls handlers of signals in its main thread, between two steps: never, if a capability keeps that waiting in C. So they are
    # heard by a thread, which the system's own handler tells by this socket.
    reading, writing = socket.socketpair()
    writing.setblocking(False)  # noqa: FBT003  (positional only)
    threading.Thread(target=listen, name="signals", daemon=True).start()
    wake_up_before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, _do_nothing) for number in heeded}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if told else signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(wake_up_before, warn_on_full_buffer=False)
        writing.close()


def _end_by_force(patience: float) -> None:
    """End the process when its time is up."""
    end, waited = time.monotonic() + patience, _waited_for_processor()
    while (left := end + _waited_for_processor() - waited - time.monotonic()) > 0:
        time.sleep(left)
    os._exit(1)


def _waited_for_processor() -> float:
    """Seconds for which the main thread could have run, but others did; 0 where the system does not tell (schedstat(5) of Linux)."""
    try:
        with open(f"/proc/self/task/{threading.main_thread().native_id}/schedstat", encoding="ascii") as file:  # noqa: PTH123  (quick)
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Python's handler of a signal: without any, the system would end the process, or not be told."""


def _wake_up() -> None:
    """Let the loop do a step, and Python call the handlers of signals."""


@dataclass(slots=True)
class Ending:
    """What is cancelled when a command is to end."""

    scope: trio.CancelScope
    """At first all that it does; it may put another in its place when there is something to be ended in order."""


async def run_until(told: Callable[[], Awaitable[object]], run: Callable[[Ending], Awaitable[T]]) -> T | None:
    """Run something until `told` returns or it ends; None if it was cancelled. A `Failure` comes out without a group."""
    result: T | None = None
    failure: Failure | None = None
    async with trio.open_nursery() as nursery:
        ending = Ending(nursery.cancel_scope)

        async def end() -> None:
            await told()
            ending.scope.cancel()

        nursery.start_soon(end)
        try:
            result = await run(ending)
        except Failure as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return result
