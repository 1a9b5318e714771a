"""The three capabilities. Who has dialled sends, and asks; who was dialled takes, and answers."""

import os
from dataclasses import dataclass, field

import trio

from devp2p import Capability, Channel, Peer, Request, Response
from devp2p.capability import AnyCapability
from devp2p.rlp import U64
from tools.show.qos.plan import BULK, CHAT, FLOOD, Load

_PATIENCE = 60.0  # seconds that an answer is waited for: longer than the show


@dataclass
class Diary:
    """What both ends have seen. Times are seconds since the beginning."""

    load: Load
    go: trio.Event = field(default_factory=trio.Event)
    began: float = 0.0
    floods: list[tuple[float, float | None]] = field(default_factory=list[tuple[float, float | None]])
    """When each large message was queued, and when it had arrived."""
    flood_bytes: int = 0
    """As the following: what has arrived."""
    bulk_bytes: int = 0
    answers: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """When each question was asked, and how long its answer took."""
    open: dict[float, None] = field(default_factory=dict[float, None])
    """When the questions were asked that have no answer yet."""

    def begin(self) -> None:
        """It begins now."""
        self.began = trio.current_time()
        self.go.set()

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return trio.current_time() - self.began


@dataclass(frozen=True)
class Large:
    """A message that takes the line for seconds."""

    data: bytes


@dataclass(frozen=True)
class Piece:
    """One of many, for which nobody is in a hurry."""

    data: bytes


@dataclass(frozen=True)
class Ask(Request["Tell"]):
    """A question that somebody waits for."""

    number: U64


@dataclass(frozen=True)
class Tell(Response):
    """Its answer."""

    number: U64


class Flood(Capability[Large]):
    """A large message every few seconds."""

    name, version = FLOOD, 1
    messages = {0: Large}
    max_message_size = 16 * 2**20 - 1

    def __init__(self, diary: Diary) -> None:
        self._diary = diary

    async def run(self, peer: Peer, channel: Channel[Large]) -> None:
        """Send, or take."""
        diary = self._diary
        if peer.inbound:
            async for message in channel:
                diary.flood_bytes += len(message.data)
                index = next(index for index, (_, arrived) in enumerate(diary.floods) if arrived is None)
                diary.floods[index] = (diary.floods[index][0], diary.now)
            return
        data = os.urandom(diary.load.flood_size)  # which no compression makes smaller
        await diary.go.wait()
        while True:
            diary.floods.append((diary.now, None))
            await channel.send(Large(data))
            await trio.sleep_until(diary.began + len(diary.floods) * diary.load.flood_every)


class Bulk(Capability[Piece]):
    """Pieces without a pause, each of which is sent when nothing else waits."""

    name, version = BULK, 1
    messages = {0: Piece}
    bulk = {Piece}

    def __init__(self, diary: Diary) -> None:
        self._diary = diary

    async def run(self, peer: Peer, channel: Channel[Piece]) -> None:
        """Send, or take."""
        if peer.inbound:
            async for message in channel:
                self._diary.bulk_bytes += len(message.data)
            return
        data = os.urandom(self._diary.load.bulk_size)
        await self._diary.go.wait()
        while True:
            await channel.send(Piece(data))  # waits while enough of them are queued


class Chat(Capability[Ask | Tell]):
    """Small questions at a steady beat, whether the answers come or not."""

    name, version = CHAT, 1
    messages = {0: Ask, 1: Tell}
    urgent = {Ask, Tell}
    request_timeout = _PATIENCE

    def __init__(self, diary: Diary) -> None:
        self._diary = diary

    async def run(self, peer: Peer, channel: Channel[Ask | Tell]) -> None:
        """Ask, or answer."""
        if peer.inbound:
            async for message in channel:
                if isinstance(message, Ask):
                    await channel.send(Tell(message.request_id, message.number))
            return
        await self._diary.go.wait()
        number = 0
        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(self._ask, channel, number)
                number += 1
                await trio.sleep_until(self._diary.began + number * self._diary.load.chat_every)

    async def _ask(self, channel: Channel[Ask | Tell], number: int) -> None:
        diary = self._diary
        asked = diary.now
        diary.open[asked] = None
        await channel.request(Ask(number))
        del diary.open[asked]
        diary.answers.append((asked, diary.now - asked))


def capabilities(diary: Diary) -> list[AnyCapability]:
    """All three, with one diary."""
    return [Flood(diary), Bulk(diary), Chat(diary)]
