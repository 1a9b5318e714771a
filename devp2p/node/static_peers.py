"""Keeps static peers connected: dials each again, with growing delays, whenever there is no session with it."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from devp2p.errors import DialError
from devp2p.node.events import DialFailed, Event, told
from devp2p.peers import Backoff
from devp2p.records import NodeRecord

if TYPE_CHECKING:  # the dialer is imported when a node is opened
    from devp2p.node.dialer import Connect


async def keep_connected(record: NodeRecord, connect: "Connect", publish: Callable[[Event], None]) -> None:
    """Dial a node, and again after each end, until cancelled."""
    backoff = Backoff(random.random)
    while True:
        try:
            peer = await connect(record)
        except DialError as error:
            delay = backoff.failed(error)
            publish(DialFailed(record, told(error), delay))
        else:
            end = await peer.wait_ended()
            delay = backoff.ended(end, trio.current_time() - peer.since)
        await trio.sleep(delay)
