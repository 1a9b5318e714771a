"""A capability without requests: who has subscribed is told the news, and the first peer that brings an item has been useful.

The news make themselves: item number n exists from the time on at which the clock shows n intervals. What it says is a matter of
computation, and so everybody can tell a true one, as if its author had signed it.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import trio

from devp2p import Capability, Channel, Peer, RemoteProtocolError
from devp2p.rlp import U64, Bytes32
from tools.show.plan import SLOTS

INTERVAL = 0.2
"""Seconds between two items."""
_STALE = 40  # items; older ones are no news
_WHAT = ("Rain", "Bread", "A comet", "The ferry", "Nothing", "A parade", "The fog", "Chess")
_DOES = ("is late", "arrives", "costs more", "is seen again", "is over", "wins", "begins at noon", "was expected")


@dataclass(frozen=True)
class Subscribe:
    """Tell me the news."""


@dataclass(frozen=True)
class Item:
    """A piece of news."""

    number: U64
    text: str
    seal: Bytes32


NewsMessage = Subscribe | Item


def latest(now: float, interval: float = INTERVAL) -> int:
    """The number of the newest item; `now` is seconds since 1970."""
    return int(now / interval)


def item(number: int) -> Item:
    """The item with a number."""
    seal = hashlib.sha256(b"news %d" % number).digest()
    return Item(number, f"{_WHAT[seal[0] % len(_WHAT)]} {_DOES[seal[1] % len(_DOES)]}", seal)


class News(Capability[NewsMessage]):
    """One newspaper for all peers of a node: what the first has brought, the others bring in vain."""

    name, version = "news", 1
    messages = {0x00: Subscribe, 0x01: Item}
    slots = SLOTS

    def __init__(self, *, reads: bool = True, clock: Callable[[], float] = time.time, interval: float = INTERVAL) -> None:
        """`reads`: whether to subscribe; `clock` gives seconds since 1970; `interval`: those between two items."""
        self.interval = interval
        self._reads = reads
        self._clock = clock
        self._read: OrderedDict[int, None] = OrderedDict()
        self.first = 0
        """Items that were news."""
        self.again = 0
        """Items that another peer had brought, or that came too late."""
        self.forged = 0

    async def run(self, peer: Peer, channel: Channel[NewsMessage]) -> None:
        """Tell the news to who asks for them, read what comes."""
        told = False
        async with trio.open_nursery() as nursery:
            if self._reads:
                await channel.send(Subscribe())
            async for message in channel:
                match message:
                    case Subscribe() if told:
                        raise RemoteProtocolError(f"{peer} subscribes twice")
                    case Subscribe():
                        told = True
                        nursery.start_soon(self.tell, peer, channel)
                    case Item():
                        self._take(channel, message)

    async def tell(self, peer: Peer, channel: Channel[NewsMessage]) -> None:
        """Tell every item from now on."""
        number = latest(self._clock(), self.interval)
        while True:
            number += 1
            await self.sleep_until(number * self.interval)
            await self.pass_on(peer, channel, number)

    async def pass_on(self, peer: Peer, channel: Channel[NewsMessage], number: int) -> None:  # noqa: ARG002  (it tells all peers alike)
        """Tell an item."""
        await channel.send(item(number))

    async def sleep_until(self, moment: float) -> None:
        """Wait until so many seconds past 1970."""
        await trio.sleep(max(0.0, moment - self._clock()))

    def _take(self, channel: Channel[NewsMessage], message: Item) -> None:
        """Judge an item, and report what it is worth."""
        newest = latest(self._clock(), self.interval)
        if message.number > newest or message != item(message.number):
            self.forged += 1
            channel.conduct.invalid(3, "forged news")
        elif message.number <= newest - _STALE or message.number in self._read:
            self.again += 1
        else:
            self.first += 1
            self._read[message.number] = None
            channel.conduct.useful(1, f"was first: {message.text}")
            while len(self._read) > 2 * _STALE:
                self._read.popitem(last=False)
