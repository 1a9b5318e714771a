"""One attempt of either side to reach the other directly.

Both act at the same moment, as far as the way through the relay tells. Of several links that come about one is taken: the initiator's side
makes links to all addresses, and opens one of them, the first; it says so over the session, and both go on. So what is open on the other
side by then is that link.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import trio

from devp2p import Address, ByteLink, Devp2pError, Link, Successor
from devp2p.capabilities.punch.holes import connect_from
from devp2p.capabilities.punch.limits import PunchLimits
from devp2p.capabilities.punch.targets import DATAGRAMS, STREAMS

_NUDGE = 0.01, 0.2  # seconds between two datagrams, at random
_NUDGE_BYTES = 32
_BEHIND = 0.05  # seconds that we dial behind the initiator, whose SYN our listener had better take where no NAT stops it


class Round:
    """One attempt."""

    def __init__(self, successor: Successor, listening: Sequence[Address], targets: Sequence[Address], limits: PunchLimits) -> None:
        self._successor = successor
        self._listening = listening
        self._targets = targets
        self._limits = limits

    async def initiate(self) -> bool:
        """The initiator's part: make links to all addresses at once, and open the first; whether there is one."""
        links: list[Link] = []
        try:
            await self._make(links)
        except BaseException:  # nobody opens the first one any more
            await _close(links)
            raise
        await _close(links[1:])
        return bool(links) and await self._open(links[0])

    async def _make(self, links: list[Link]) -> None:
        """Make links to all addresses at once, until there is one, or it was tried long enough."""
        with trio.move_on_after(self._limits.patience):
            async with trio.open_nursery() as nursery:

                async def make(target: Address) -> None:
                    with suppress(OSError, ValueError, Devp2pError):
                        links.append(await self._link(target))
                        nursery.cancel_scope.cancel()

                for target in self._targets:
                    nursery.start_soon(make, target)

    async def respond(self) -> None:
        """The other part: let in what comes from these addresses, until a link is open, or it was tried long enough."""
        with trio.move_on_after(self._limits.patience):
            async with trio.open_nursery() as nursery:
                for target in self._targets:
                    self._successor.expect(target)
                    nursery.start_soon(self._nudge if target.scheme in DATAGRAMS else self._answer, target)
                await self._successor.arrived()
                nursery.cancel_scope.cancel()

    async def _link(self, target: Address) -> Link:
        if target.scheme in STREAMS:
            return await connect_from(self._listening, target, initiator=True)
        return await self._successor.dial(target)

    async def _answer(self, target: Address) -> None:
        await trio.sleep(_BEHIND)
        with suppress(OSError):
            link: ByteLink = await connect_from(self._listening, target, initiator=False)
            await self._open(link)

    async def _nudge(self, target: Address) -> None:
        with suppress(OSError, ValueError):
            for _ in range(self._limits.nudges):
                await self._successor.nudge(target, secrets.token_bytes(_NUDGE_BYTES))
                await trio.sleep(_NUDGE[0] + (_NUDGE[1] - _NUDGE[0]) * secrets.randbelow(1000) / 1000)

    async def _open(self, link: Link) -> bool:
        try:
            await self._successor.open(link)
        except (trio.TooSlowError, Devp2pError):  # it hangs up, say, or whoever is there is not our peer
            return False
        return True


async def _close(links: Sequence[Link]) -> None:
    with trio.CancelScope(shield=True):
        for link in links:
            await link.aclose()


async def within(seconds: float, wait: Callable[[], Awaitable[object]]) -> bool:
    """Whether something came in time."""
    with trio.move_on_after(seconds) as scope:
        await wait()
    return not scope.cancelled_caught
