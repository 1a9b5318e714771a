"""Checks of what peers have answered, which compute hashes and roots of megabytes, without holding up the loop."""

from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

import trio

from devp2p import DecodingError, Turn
from devp2p.rlp import item_end, list_bounds

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

AT_ONCE: Final = 128 * 1024
"""Bytes that are hashed, or made a trie of, in a millisecond or so, if they are what they usually are; more of them go to a thread.

Most blocks are smaller. To hand one of 90 KB to a thread and take it back costs a tenth of its check, and while the thread has the lock of
the interpreter, the loop waits for it anyway.
"""
EACH: Final = 256
"""As many bytes as one item of a list costs at least: tiny ones, of which a liar makes many, cost what a transaction does."""

_threads = trio.CapacityLimiter(1)  # they compute, so two of them would only hold the interpreter's lock for longer


def cost(raw: bytes, depth: int = 1) -> int:
    """Say what it costs to check a list in RLP, in bytes of a usual one, as far as that matters for `AT_ONCE`.

    `depth` is 1 for a list of items that count, and 2 for a list of such lists.
    """
    return len(raw) if len(raw) > AT_ONCE else max(len(raw), EACH * _count(raw, depth))


def _count(raw: bytes, depth: int) -> int:
    """Count items, up to about as many as make the cost exceed `AT_ONCE`. What cannot be counted is for the check to refuse."""
    most, count = AT_ONCE // EACH, 0
    try:
        at, end = list_bounds(raw, 0, len(raw)) if raw else (0, 0)
        while at < end and count <= most:
            start, at = at, item_end(raw, at, end)
            count += 1 if depth == 1 else 1 + _count(raw[start:at], depth - 1)
    except DecodingError:
        pass
    return count


class Checks:
    """A series of checks by one task: small ones are done at once, and others have their turn in between; large ones go to a thread."""

    def __init__(self) -> None:
        self._turn = Turn()
        self._turn.begin()

    async def run(self, cost: int, check: Callable[[*Ts], T], *args: *Ts) -> T:
        """Return what `check` returns, which costs as much as to check so many usual bytes."""
        if cost > AT_ONCE:
            found = await trio.to_thread.run_sync(check, *args, limiter=_threads)
            self._turn.begin()
            return found
        if self._turn.is_over:
            await self._turn.end()
        return check(*args)
