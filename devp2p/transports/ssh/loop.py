"""An asyncio loop on top of trio, for as long as somebody needs one.

asyncssh starts tasks of asyncio during key exchange and authentication, and they need a loop. There is one in a run of trio, in a system
task, since links outlive the calls that made them; it begins with the first connection and ends with the last.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from importlib import import_module
from typing import Any, Final, TypeAlias

import trio

from devp2p.transports.driving import Driver

# It has no types of its own.
_module: Any = import_module("trio_asyncio")
_open_loop: Callable[[], AbstractAsyncContextManager[asyncio.AbstractEventLoop]] = _module.open_loop
_current_loop: ContextVar[asyncio.AbstractEventLoop | None] = _module.current_loop


def _leave_others_alone() -> None:
    """Let asyncio outside of trio be what it was: trio-asyncio, imported, would give all of this process loops that run trio.

    It keeps the policy of a thread in an attribute that is None by default, and stands back where it is not.
    """
    policies: Any = import_module("trio_asyncio._loop")
    type(policies._faked_policy).policy = policies._original_policy  # noqa: SLF001  (there is no other way)


_leave_others_alone()

Drive: TypeAlias = Callable[[asyncio.AbstractEventLoop], Awaitable[None]]

_logger = logging.getLogger(__name__)


class _Holder:
    """One loop, from its first task to its last."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.nursery: trio.Nursery | None = None
        self.ready = trio.Event()
        self.driver = Driver("the asyncio loop of SSH", self._run, self.ready.set)

    async def _run(self) -> None:
        async with _open_loop() as loop:
            loop.set_exception_handler(_told)
            async with trio.open_nursery() as nursery:
                self.loop, self.nursery = loop, nursery
                self.ready.set()
                await trio.sleep_forever()

    async def drive(self, drive: Drive) -> None:
        assert self.loop is not None  # noqa: S101  (it has begun)
        _current_loop.set(self.loop)
        try:
            await drive(self.loop)
        except Exception:
            _logger.exception("a connection of SSH has failed")
        finally:
            self.driver.release()


_HOLDER: Final[trio.lowlevel.RunVar[_Holder]] = trio.lowlevel.RunVar("the asyncio loop of SSH")


async def start(drive: Drive) -> None:
    """Start `drive(loop)` as a task of its own, which outlives the caller; what it raises is told to the log."""
    try:
        holder = _HOLDER.get()
    except LookupError:
        holder = None
    if holder is None or not holder.driver.is_usable:
        holder = _Holder()
        _HOLDER.set(holder)
    holder.driver.hold()
    try:
        await holder.ready.wait()
        if holder.nursery is None:
            raise OSError("SSH needs an asyncio loop, which could not be started")
    except BaseException:
        holder.driver.release()
        raise
    holder.nursery.start_soon(holder.drive, drive, name="devp2p: an SSH connection")


def _told(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    _logger.error("SSH: %s", context.get("message"), exc_info=context.get("exception"))
