"""Attempts that race (RFC 8305, section 5): dials to the addresses of a node, and to the IP addresses of a name."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import trio

from devp2p.errors import HandshakeError
from devp2p.transports.links import Link

STAGGER: Final = 0.25
"""Seconds until the next attempt begins beside the last: the Connection Attempt Delay that RFC 8305 recommends."""

PlaceT = TypeVar("PlaceT")
ResultT = TypeVar("ResultT")
LinkT = TypeVar("LinkT", bound=Link)


async def first_of(
    places: Sequence[PlaceT], attempt: Callable[[PlaceT], Awaitable[ResultT | None]], close: Callable[[ResultT], Awaitable[None]]
) -> ResultT | None:
    """Make attempts at places in their order, the next one when one has come to nothing, or after 250 ms; the first result is the one.

    `attempt` returns None where it comes to nothing, and remembers why, if anybody is to know. What else has begun is given up: cancelled,
    or closed if it stood in the same moment.
    """
    if len(places) == 1:
        return await attempt(places[0])
    found, changed = list[ResultT](), trio.Event()

    async def begin(place: PlaceT) -> None:
        if not found:  # one may have come to stand since this was begun
            result = await attempt(place)
            if result is not None:
                found.append(result)
        if found:
            nursery.cancel_scope.cancel()
        changed.set()

    try:
        async with trio.open_nursery() as nursery:
            for place in places:
                changed = trio.Event()
                nursery.start_soon(begin, place)
                with trio.move_on_after(STAGGER):
                    await changed.wait()
                if found:
                    break
    except BaseException:
        await _close(found, close)
        raise
    await _close(found[1:], close)
    return found[0] if found else None


async def first_link(places: Sequence[PlaceT], dial: Callable[[PlaceT], Awaitable[LinkT]]) -> LinkT:
    """Dial places as `first_of` attempts them.

    If all fail, raises what was wrong at the first: a HandshakeError if there was one, else OSError. OSError if there is no place.
    """
    faults = list[OSError | HandshakeError]()

    async def attempt(place: PlaceT) -> LinkT | None:
        try:
            return await dial(place)
        except (OSError, HandshakeError) as error:
            faults.append(error)
            return None

    link = await first_of(places, attempt, _close_link)
    if link is None:
        raise min(faults, key=lambda fault: not isinstance(fault, HandshakeError), default=OSError("there is no such place"))
    return link


async def _close_link(link: Link) -> None:
    await link.aclose()


async def _close(found: Sequence[ResultT], close: Callable[[ResultT], Awaitable[None]]) -> None:
    with trio.CancelScope(shield=True):
        for one in found:
            await close(one)
