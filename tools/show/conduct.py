"""How the nodes of the show serve: the three capabilities, with the qualities and the moods of a `NodePlan`.

This is the other side of what is measured; a node that only asks needs none of it.
"""

import hashlib
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import trio

from devp2p import Channel, Peer
from devp2p.capability import AnyCapability
from examples.bulk import MOST, PIECE, Bulk, BulkMessage, GetPieces, Pieces, checksum, piece
from tools.show.echo import Digest, Echo, EchoMessage, GetDigest
from tools.show.news import Item, News, NewsMessage, item
from tools.show.plan import BULK, ECHO, LIVELY, NEWS, SLOTS, Mood, NodePlan, Tempo

BULK_RATE = 256 * 1024
"""Bytes a second that the best serve to each of their peers."""
ECHO_RATE = 20.0
"""Answers a second that the best give to each of their peers, which pause as `LIVELY` says between an answer and the next question."""
_NOBODY_ASKED = 2**60  # a request id

_dice = random.Random()  # noqa: S311  (no secret is thrown with it)


def capabilities_of(plan: NodePlan, tempo: Tempo = LIVELY, clock: Callable[[], float] = time.time) -> list[AnyCapability]:
    """What a node offers, serving as planned; `clock` is that of the news."""
    echo = EchoWithJunk if plan.breaks else EchoByPlan
    makers: Mapping[str, Callable[[], AnyCapability]] = {
        BULK: lambda: BulkByPlan(plan, tempo),
        ECHO: lambda: echo(plan, tempo),
        NEWS: lambda: NewsByPlan(plan, tempo, clock),
    }
    return [makers[capability]() for capability in plan.qualities]


class _Manner:
    """When a node does what."""

    def __init__(self, plan: NodePlan, tempo: Tempo) -> None:
        self._plan = plan
        self._tempo = tempo

    def mood(self, peer: Peer) -> Mood:
        return self._plan.mood((trio.current_time() - peer.since) / self._tempo.patience)


class BulkByPlan(Bulk):
    """Serves pieces at a rate."""

    slots = SLOTS
    request_timeout = 5.0

    def __init__(self, plan: NodePlan, tempo: Tempo = LIVELY) -> None:
        self._manner = _Manner(plan, tempo)
        self._delay = PIECE / (BULK_RATE * plan.qualities[BULK])

    async def run(self, peer: Peer, channel: Channel[BulkMessage]) -> None:
        """Answer every request, or do what the mood says."""
        async for message in channel:
            match message, self._manner.mood(peer):
                case GetPieces(first, count, request_id=number), Mood.SERVE if count <= MOST:
                    await trio.sleep(count * self._delay)
                    pieces = tuple(piece(first + offset) for offset in range(count))
                    await channel.send(Pieces(number, checksum(pieces), pieces))
                case GetPieces(request_id=number), Mood.LIE:
                    await trio.sleep(self._delay)
                    await channel.send(Pieces(number, bytes(32), (_dice.randbytes(PIECE),)))
                case GetPieces(), Mood.BREAK:
                    await channel.send(Pieces(_NOBODY_ASKED, bytes(32), ()))
                case _:
                    pass


class EchoByPlan(Echo):
    """Answers after a while."""

    def __init__(self, plan: NodePlan, tempo: Tempo = LIVELY) -> None:
        self._manner = _Manner(plan, tempo)
        self._delay = max(0.0, 1 / (ECHO_RATE * plan.qualities[ECHO]) - LIVELY.echo_pause)

    async def run(self, peer: Peer, channel: Channel[EchoMessage]) -> None:
        """Answer every request, or do what the mood says."""
        async for message in channel:
            match message, self._manner.mood(peer):
                case GetDigest(data, request_id=number), Mood.SERVE:
                    await trio.sleep(self._delay)
                    await channel.send(Digest(number, hashlib.sha256(data).digest()))
                case GetDigest(request_id=number), Mood.LIE:
                    await trio.sleep(self._delay)
                    await channel.send(Digest(number, _dice.randbytes(32)))
                case GetDigest(), Mood.BREAK:
                    await self.break_rules(channel)
                case _:
                    pass

    async def break_rules(self, channel: Channel[EchoMessage]) -> None:
        """For those that know how."""


@dataclass(frozen=True)
class Junk:
    """Bytes under an id that stands for nothing."""

    noise: bytes


class EchoWithJunk(EchoByPlan):
    """Can send what is none of the capability's messages."""

    messages = {**Echo.messages, 0x07: Junk}

    async def break_rules(self, channel: Channel[EchoMessage]) -> None:
        """Send it."""
        await channel.send(cast("EchoMessage", Junk(_dice.randbytes(64))))


class NewsByPlan(News):
    """Tells some of the news, after a while; reads them only as an observer."""

    def __init__(self, plan: NodePlan, tempo: Tempo = LIVELY, clock: Callable[[], float] = time.time) -> None:
        super().__init__(reads=plan.observer, clock=clock, interval=tempo.news_interval)
        self._manner = _Manner(plan, tempo)
        self._share = plan.qualities[NEWS]
        self._lag = math.sqrt(1 - self._share) / 2

    async def pass_on(self, peer: Peer, channel: Channel[NewsMessage], number: int) -> None:
        """Tell an item, if it is one of those that this node hears of; or do what the mood says."""
        match self._manner.mood(peer):
            case Mood.SERVE if _dice.random() < self._share:
                await self.sleep_until(number * self.interval + self._lag)
                await channel.send(item(number))
            case Mood.LIE:
                await channel.send(Item(number, "The end is near", _dice.randbytes(32)))
            case _:
                pass
