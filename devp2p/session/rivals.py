"""What becomes of a second link to a node with which there is a session: the peer chooses between the two."""

from collections.abc import Awaitable, Callable

import trio

from devp2p.errors import PeerDisconnected, RemoteProtocolError
from devp2p.session.opening import Session


async def wait_for_choice(session: Session, left: Callable[[], Awaitable[None]], patience: float) -> bool:
    """Wait until the first link has ended (`left` returns); False if the peer does not choose this one for `patience` seconds.

    Raises what `Session.wait_farewell` raises if this link ends meanwhile.
    """
    lost: list[Exception] = []

    async def watch_second(scope: trio.CancelScope) -> None:
        try:
            await session.wait_farewell()
        except (PeerDisconnected, RemoteProtocolError) as error:  # caught here, since a nursery would wrap it in a group
            lost.append(error)
            scope.cancel()

    with trio.move_on_after(patience) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_second, nursery.cancel_scope)
            await left()
            nursery.cancel_scope.cancel()
    if lost:
        raise lost[0]
    return not scope.cancelled_caught
