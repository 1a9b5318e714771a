"""Checks of what peers have answered, which compute hashes and roots of megabytes, without holding up the loop."""

from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

import trio

from devp2p import Turn

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

AT_ONCE: Final = 64 * 1024
"""Bytes that are hashed, or made a trie of, in a millisecond or so; more of them go to a thread."""

_threads = trio.CapacityLimiter(1)  # they compute, so two of them would only hold the interpreter's lock for longer


class Checks:
    """A series of checks by one task: small ones are done at once, and others have their turn in between; large ones go to a thread."""

    def __init__(self) -> None:
        self._turn = Turn()
        self._turn.begin()

    async def run(self, size: int, check: Callable[[*Ts], T], *args: *Ts) -> T:
        """Return what `check` does, which works on so many bytes."""
        if size > AT_ONCE:
            found = await trio.to_thread.run_sync(check, *args, limiter=_threads)
            self._turn.begin()
            return found
        if self._turn.is_over:
            await self._turn.end()
        return check(*args)
