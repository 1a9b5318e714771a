"""What a running node does about a book that fails: it says so once, goes on without it, and says when that is over.

A disk may be full, a file be removed or damaged while a node runs, and all of that may pass. So whoever uses the book tries again the
next time, which may be the next second: what fails each time is not worth a line each time.
"""

import logging
import time
from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import Final

from devp2p.errors import BookError

QUIET: Final = 600.0
"""Seconds for which the same is not said again."""

_logger = logging.getLogger(__name__)


class Trouble:
    """The troubles of one book."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, float] = {}
        self._there: set[str] = set()

    def survived(self, what: str) -> "Survived":
        """A context behind which one goes on if the book fails in it. `what` is not kept, or cannot be read, then."""
        return Survived(self, what)

    def say(self, what: str, error: BookError) -> None:
        """The book has failed."""
        now = self._clock()
        if what not in self._there and now - self._said.get(what, -inf) >= QUIET:
            self._said[what] = now
            self._there.add(what)
            _logger.warning("the book fails, and the node goes on without: %s: %s", what, error)

    def over(self, what: str) -> None:
        """It has not."""
        if what in self._there:
            self._there.discard(what)
            _logger.warning("the book works again: %s", what)


class Survived:
    """What `Trouble.survived` makes."""

    def __init__(self, trouble: Trouble, what: str) -> None:
        self._trouble = trouble
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> bool:
        if isinstance(error, BookError):
            self._trouble.say(self._what, error)
        elif error is None:
            self._trouble.over(self._what)
        return isinstance(error, BookError)
