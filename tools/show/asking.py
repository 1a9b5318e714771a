"""What an observer asks of its peers, again and again, and what it keeps count of. How they behave goes into their conduct."""

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import trio

from devp2p import Node, Peer, PeerDisconnected, RemoteProtocolError
from devp2p.capability import AnyCapability
from examples.bulk import Bulk, fetch
from tools.show.echo import Echo, ask
from tools.show.plan import LIVELY, Tempo

_PIECES = 256  # of them downloads are made
_ASKED = 256  # bytes to digest

_dice = random.Random()  # noqa: S311  (no secret is thrown with it)


@dataclass
class Tally:
    """What an observer got so far."""

    bulk_bytes: int = 0
    bulk_requests: int = 0
    echo_answers: int = 0
    wrong: int = 0
    timeouts: int = 0
    latencies: list[float] = field(default_factory=list)
    """Of echo, in seconds; whoever takes them begins a new list."""


class Asking:
    """Asks every peer of a node, beginning as soon as a capability is ready."""

    def __init__(self, node: Node, tempo: Tempo = LIVELY) -> None:
        self.tally = Tally()
        self._tempo = tempo
        self._node = node

    async def run(self) -> None:
        """Go on until the node closes."""
        questions = (Bulk, self._download, self._tempo.bulk_pause), (Echo, self._ask_digest, self._tempo.echo_pause)
        async with trio.open_nursery() as nursery:
            for capability, exchange, pause in questions:
                if any(isinstance(own, capability) for own in self._node.capabilities):
                    nursery.start_soon(self._with_each, capability, exchange, pause)

    async def _with_each(self, capability: type[AnyCapability], exchange: Callable[[Peer], Awaitable[None]], pause: float) -> None:
        async with trio.open_nursery() as nursery:
            async for peer in self._node.peers(capability):
                nursery.start_soon(self._repeat, peer, exchange, pause)

    async def _repeat(self, peer: Peer, exchange: Callable[[Peer], Awaitable[None]], pause: float) -> None:
        """Do the same again and again for as long as the session lasts."""
        with suppress(PeerDisconnected):
            while True:
                try:
                    await exchange(peer)
                except trio.TooSlowError:
                    self.tally.timeouts += 1
                except RemoteProtocolError:
                    self.tally.wrong += 1
                await trio.sleep(pause)

    async def _download(self, peer: Peer) -> None:
        pieces = await fetch(peer[Bulk], _dice.randrange(_PIECES), 1)
        self.tally.bulk_requests += 1
        self.tally.bulk_bytes += sum(map(len, pieces))

    async def _ask_digest(self, peer: Peer) -> None:
        asked = trio.current_time()
        await ask(peer[Echo], _dice.randbytes(_ASKED))
        self.tally.latencies.append(trio.current_time() - asked)
        self.tally.echo_answers += 1
