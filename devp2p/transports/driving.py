"""What runs the links of a transport that has more to do than its calls: datagrams that come, timers, another library's own loop.

Theory of operation. A link outlives the call that made it, and belongs to no nursery of its user's. So what drives it is a system task of
trio's, one for each socket (or whatever is shared), which lives as long as somebody holds it: a listener does, and so does each link. When
the last of them lets go the task is cancelled, and what it drives is closed. What goes wrong in it is logged, and ends it as well: a
system task that raises would end the whole program.
"""

import logging
from collections.abc import Awaitable, Callable

import trio

_logger = logging.getLogger(__name__)


class Driver:
    """A background task that runs while somebody holds it, once."""

    def __init__(self, name: str, run: Callable[[], Awaitable[object]], on_end: Callable[[], object]) -> None:
        """`run` is what to do, for ever; `on_end` is called when that is over, for whatever reason, and must not raise or wait."""
        self._name = name
        self._run = run
        self._on_end = on_end
        self._scope = trio.CancelScope()
        self._holders = 0
        self._begun = False
        self.is_over: bool = False
        """Whether it runs no more; then nobody may hold it again."""

    @property
    def is_usable(self) -> bool:
        """Whether it may be held."""
        return not self.is_over and not self._scope.cancel_called

    def hold(self) -> None:
        """Keep it running; the first one starts it. trio.ClosedResourceError if it has ended already."""
        if not self.is_usable:
            raise trio.ClosedResourceError(f"{self._name} has ended")
        self._holders += 1
        if not self._begun:
            self._begun = True
            trio.lowlevel.spawn_system_task(self._main, name=self._name)

    def release(self) -> None:
        """One that has held it needs it no more."""
        self._holders -= 1
        if not self._holders:
            self._scope.cancel()

    async def _main(self) -> None:
        try:
            with self._scope:
                await self._run()
        except* Exception:  # besides a cancellation, too
            _logger.exception("%s failed, and what it drove is closed", self._name)
        finally:
            self.is_over = True
            self._on_end()
