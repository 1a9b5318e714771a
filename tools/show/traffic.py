"""What a node of the demonstration says to its peers: lines of chat, questions, downloads; and what it keeps count of."""

import hashlib
import itertools
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import trio

from devp2p import Conduct, Node, Peer, PeerDisconnected, RemoteProtocolError
from devp2p.capability import AnyCapability
from examples.bulk import MOST, Bulk, fetch
from examples.chat import Chat, GetTime, Say
from tools.show.echo import Echo, GetDigest
from tools.show.line import Line
from tools.show.reports import NodeReport, PeerReport

_PAUSE = {Chat: 0.05, Bulk: 0.1, Echo: 0.25}  # seconds between an answer and the next question to the same peer, on average
_dice = random.Random()  # noqa: S311  (no secret is thrown with it)
_PIECES = 256  # of them downloads are made
_ASKED = 1024  # bytes to digest
_QUESTIONS_PER_LINE = 6
_LINES = (
    "does anybody have piece 7?",
    "I do; ask away",
    "blocks are late today",
    "and yet they come",
    "what time is it on your side?",
    "the same as on yours, I hope",
    "nice weather on the loopback",
    "my inbox is empty again",
)


@dataclass
class Tally:
    """What a node has done so far; see `NodeReport` for the fields."""

    messages: int = 0
    chat_requests: int = 0
    bulk_requests: int = 0
    bulk_bytes: int = 0
    wrong: int = 0
    timeouts: int = 0
    latencies: list[float] = field(default_factory=list)

    def report(self, node: Node, line: Line) -> NodeReport:
        """The sum so far; the latencies start anew."""
        latencies, self.latencies = self.latencies, []
        return NodeReport(
            messages=self.messages,
            chat_requests=self.chat_requests,
            bulk_requests=self.bulk_requests,
            bulk_bytes=self.bulk_bytes,
            bytes_in=line.bytes_in,
            bytes_out=line.bytes_out,
            wrong=self.wrong,
            timeouts=self.timeouts,
            latencies_ms=tuple(round(seconds * 1000, 2) for seconds in latencies),
            peers=tuple(map(describe, node.connected)),
        )


def describe(peer: Peer) -> PeerReport:
    """One session as it stands."""
    chat, bulk, echo = (_conduct(peer, capability) for capability in (Chat, Bulk, Echo))
    return PeerReport(
        peer=peer.id.hex(),
        client=peer.client_id,
        inbound=peer.inbound,
        transport=transport_of(peer),
        capabilities=tuple(f"{capability.name}/{capability.version}" for capability in peer.capabilities),
        lines=int(chat.useful),
        useful=int(bulk.useful),
        chat_ms=_milliseconds(chat.latency),
        bulk_ms=_milliseconds(bulk.latency),
        echo_ms=_milliseconds(echo.latency),
        ping_ms=_milliseconds(peer.latency),
        faults=chat.invalid + bulk.invalid + echo.invalid,
        timeouts=chat.timeouts + bulk.timeouts + echo.timeouts,
    )


def transport_of(peer: Peer) -> str:
    """``tcp4``, ``tcp6`` or ``unix``."""
    if peer.address.scheme == "tcp":
        return "tcp6" if ":" in peer.address.host else "tcp4"
    return peer.address.scheme


def _conduct(peer: Peer, capability: type[AnyCapability]) -> Conduct:
    try:
        return peer.conduct(capability)
    except KeyError:  # not shared
        return Conduct()


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


class Traffic:
    """Begins to talk with every peer of a node as soon as a capability is ready; `pace` 2 means half the pauses."""

    def __init__(self, node: Node, pace: float) -> None:
        self.tally = Tally()
        self._node = node
        self._pace = pace

    async def run(self) -> None:
        """Talk until the node closes."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._with_each, Chat, self._chat)
            nursery.start_soon(self._with_each, Bulk, self._download)
            nursery.start_soon(self._with_each, Echo, self._ask_digests)

    async def _with_each(self, capability: type[AnyCapability], exchange: Callable[[Peer, int], Awaitable[None]]) -> None:
        async with trio.open_nursery() as nursery:
            async for peer in self._node.peers(capability):
                nursery.start_soon(self._repeat, peer, _PAUSE[capability] / self._pace, exchange)

    async def _repeat(self, peer: Peer, pause: float, exchange: Callable[[Peer, int], Awaitable[None]]) -> None:
        """Do the same again and again, with pauses of irregular length, for as long as the session lasts."""
        with suppress(PeerDisconnected):
            for turn in itertools.count():
                try:
                    await exchange(peer, turn)
                except trio.TooSlowError:
                    self.tally.timeouts += 1
                except RemoteProtocolError:
                    self.tally.wrong += 1
                await trio.sleep(pause * _dice.uniform(0.5, 1.5))

    async def _chat(self, peer: Peer, turn: int) -> None:
        channel = peer[Chat]
        if turn % _QUESTIONS_PER_LINE == _QUESTIONS_PER_LINE - 1:
            await channel.send(Say(_dice.choice(_LINES)))
            self.tally.messages += 1
            return
        asked = trio.current_time()
        await channel.request(GetTime("utc"))
        self.tally.latencies.append(trio.current_time() - asked)
        self.tally.chat_requests += 1
        self.tally.messages += 2

    async def _download(self, peer: Peer, turn: int) -> None:  # noqa: ARG002
        count = _dice.randint(1, MOST)
        pieces = await fetch(peer[Bulk], _dice.randrange(_PIECES - count), count)
        self.tally.bulk_requests += 1
        self.tally.bulk_bytes += sum(map(len, pieces))
        self.tally.messages += 2

    async def _ask_digests(self, peer: Peer, turn: int) -> None:  # noqa: ARG002
        data = _dice.randbytes(_ASKED)
        answer = await peer[Echo].request(GetDigest(data))
        self.tally.messages += 2
        if answer.digest != hashlib.sha256(data).digest():
            peer[Echo].rate.invalid(3, "a wrong digest")
            raise RemoteProtocolError("a wrong digest")
