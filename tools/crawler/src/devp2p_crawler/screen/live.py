"""The live screen: a new picture a second, for which nothing waits; what stays on the terminal is the summary."""

import io
import os
import select
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, redirect_stderr
from types import TracebackType
from typing import Final, Self, TextIO, cast

from rich.console import Console, RenderableType
from rich.screen import Screen

from devp2p.terminal import Outlet, write_text
from devp2p_crawler.model import Snapshot
from devp2p_crawler.screen.picture import picture
from devp2p_crawler.screen.plain import ending
from devp2p_crawler.screen.scene import History, Scene

_ENTER: Final = "\x1b[?1049h\x1b[?25l"  # the other screen, without a cursor
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_BEGIN, _END = "\x1b[?2026h\x1b[H", "\x1b[?2026l"  # what comes between is shown at once, by terminals that know this
_SMALLEST: Final = (20, 4)


class LiveView:
    """A view on the terminal that stdout is. While it is open, what is written to a stderr on a terminal is shown in it, and told after."""

    def __init__(self, stdout: Outlet) -> None:
        self._stdout = stdout
        self._scene: Scene | None = None
        self._history = History()
        self._snapshot = Snapshot(elapsed=0.0, left=None)
        self._messages = _Lines(self.say)
        self._stack = ExitStack()
        self._is_open = False

    def __enter__(self) -> Self:
        self._is_open = True
        self._stdout.write(_ENTER)
        self._stdout.flush()
        if sys.stderr.isatty():
            self._stack.enter_context(redirect_stderr(cast("TextIO", self._messages)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def begin(self, scene: Scene) -> None:
        """Draw what is known before anything has happened."""
        self._scene = scene
        self._draw()

    def tick(self, snapshot: Snapshot) -> None:
        """Draw a new picture."""
        self._snapshot = snapshot
        self._history.take(snapshot)
        self._draw()

    def say(self, text: str) -> None:
        """Show it with the next picture."""
        self._history.say(text)

    def close(self) -> None:
        """Leave the screen, and tell what came to stderr meanwhile."""
        if not self._is_open:
            return
        self._is_open = False
        self._stdout.show("")
        self._stdout.write(_LEAVE)
        self._stdout.flush()
        self._stack.close()
        for line in self._messages.kept:
            print(line, file=sys.stderr)

    def end(self, summary: Mapping[str, object]) -> None:
        """Print what stays."""
        self.close()
        for what, much in ending(summary):
            write_text(f"{what:<10} {much}", cast("TextIO", self._stdout))

    def leave_at_once(self) -> None:
        """Give the terminal back before the process is ended by force; called by any thread."""
        descriptor = self._stdout.fileno()
        if self._is_open and select.select([], [descriptor], [], 0)[1]:
            os.write(descriptor, f"{_END}{_LEAVE}".encode("ascii"))

    def _draw(self) -> None:
        if self._scene is None or not self._is_open:
            return
        columns, lines = size_of(self._stdout.fileno())
        content = picture(self._scene, self._snapshot, self._history, columns, lines)
        self._stdout.show(f"{_BEGIN}{drawn(content, columns, lines)}{_END}")


def drawn(content: RenderableType, columns: int, lines: int) -> str:
    """A screen full of it, with the colours that the terminal has (as rich finds out by the environment)."""
    console = Console(file=io.StringIO(), force_terminal=True, width=columns, height=lines, legacy_windows=False)
    with console.capture() as capture:
        console.print(Screen(content), end="")
    return capture.get().rstrip("\n")


def size_of(descriptor: int) -> tuple[int, int]:
    """Columns and lines of a terminal, at this moment."""
    try:
        size = os.get_terminal_size(descriptor)
    except OSError:
        return 80, 24
    return max(_SMALLEST[0], size.columns or 80), max(_SMALLEST[1], size.lines or 24)


class _Lines:
    """Takes text like a file, and tells each line of it; the first ones and the last ones are kept."""

    _MOST: Final = 100

    def __init__(self, tell: Callable[[str], object]) -> None:
        self.kept: list[str] = []
        self._tell = tell
        self._partial = ""

    def write(self, text: str) -> int:
        """Take text."""
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._tell(line)
            if len(self.kept) >= self._MOST:
                del self.kept[self._MOST // 2]
            self.kept.append(line)
        return len(text)

    def flush(self) -> None:
        """Nothing waits here."""

    def isatty(self) -> bool:
        """No: it takes no colours."""
        return False
