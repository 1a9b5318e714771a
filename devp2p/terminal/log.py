"""How the log of a command looks: one line for each record, and few records of a kind, whatever strangers do."""

import logging
import time
from collections import Counter
from typing import Any, Final

from devp2p.bounded import Throttle
from devp2p.wire import printable

AT_FIRST: Final = 10
"""How many warnings of a kind are logged at first; then one a minute."""


def log_to_stderr(level: str) -> None:
    """Log what is of a level or above."""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter())
    handler.addFilter(Repetitions())
    logging.basicConfig(level=level.upper(), handlers=[handler])


class Repetitions(logging.Filter):
    """Lets few warnings pass that come from the same line of code, since strangers may be able to bring about any number of them.

    The next one that passes says how many did not. What is below a warning is logged by wish, and passes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._throttle = Throttle(1 / 60, AT_FIRST)
        self._left_out: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is logged."""
        if record.levelno < logging.WARNING:
            return True
        fault = record.exc_info[0].__qualname__ if record.exc_info and record.exc_info[0] else ""
        kind = f"{record.pathname}:{record.lineno} {fault}"
        if not self._throttle.allows(kind.encode(), time.monotonic()):
            self._left_out[kind] += 1
            return False
        if left_out := self._left_out.pop(kind, 0):
            record.msg, record.args = f"{record.getMessage()} ({left_out} more of this kind were not logged)", ()
        return True


class LogFormatter(logging.Formatter):
    """Keeps a stranger's text, which may also be in an exception's message, from passing for a line of the log: tracebacks are indented."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (as logging calls it)
        """One line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802  (as above)
        """Lines that none of a log's looks like."""
        return "\n".join(f"  {printable(line)}" for line in super().formatException(ei).split("\n"))
