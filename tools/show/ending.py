"""How a show ends before its time: somebody tells it to, or nobody is left who watches."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio


async def await_signals(interrupt: Callable[[], None]) -> None:
    """Interrupt the show at each signal that asks for its end."""
    wanted = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    with trio.open_signal_receiver(*wanted) as signals:
        async for _ in signals:
            interrupt()


@contextmanager
def unless_nobody_watches(interrupt: Callable[[], None]) -> Iterator[None]:
    """End the show in order once its terminal is closed, or the reader of its output gone."""
    try:
        yield
    except OSError:
        interrupt()
