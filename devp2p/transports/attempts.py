"""Attempts that race (RFC 8305, section 5): for transports whose address is a name with several IP addresses."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import trio

from devp2p.errors import HandshakeError
from devp2p.transports.links import Link

STAGGER: Final = 0.25
"""Seconds until the next attempt begins beside the last: the Connection Attempt Delay that RFC 8305 recommends."""

PlaceT = TypeVar("PlaceT")
LinkT = TypeVar("LinkT", bound=Link)


async def first_link(places: Sequence[PlaceT], dial: Callable[[PlaceT], Awaitable[LinkT]]) -> LinkT:
    """Dial places in their order, the next one when one has failed, or after 250 ms; the first link is the result, the others are given up.

    If all fail, raises what was wrong at the first: a HandshakeError if there was one, else OSError. OSError if there is no place.
    """
    if len(places) == 1:
        return await dial(places[0])
    links, faults, changed = list[LinkT](), list[OSError | HandshakeError](), trio.Event()

    async def attempt(place: PlaceT) -> None:
        try:
            links.append(await dial(place))
        except (OSError, HandshakeError) as error:
            faults.append(error)
        else:
            nursery.cancel_scope.cancel()
        changed.set()

    try:
        async with trio.open_nursery() as nursery:
            for place in places:
                changed = trio.Event()
                nursery.start_soon(attempt, place)
                with trio.move_on_after(STAGGER):
                    await changed.wait()
                if links:
                    break
    except BaseException:
        await _close(links)
        raise
    await _close(links[1:])
    if links:
        return links[0]
    raise min(faults, key=lambda fault: not isinstance(fault, HandshakeError), default=OSError("there is no such place"))


async def _close(links: Sequence[Link]) -> None:
    with trio.CancelScope(shield=True):
        for link in links:
            await link.aclose()
