"""Broadcast: news that every node hears once, whoever knows whom.

A node passes on what it has not heard before, to all peers that do not have it yet as far as it knows. Terminals show it, as many as you
like, each connected to any other:

    python examples/gossip.py
    python examples/gossip.py enode://... "It rains in Lisbon."
"""

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import trio

import devp2p
from devp2p import Capability, Channel, Peer
from devp2p.rlp import U64, MaxLength


@dataclass(frozen=True)
class News:
    time: U64
    text: Annotated[str, MaxLength(280)]


class Known:
    """The news that came last; older ones are forgotten, so that nobody can fill our memory."""

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._news: dict[News, None] = {}

    def add(self, news: News) -> bool:
        """Whether they are new."""
        if news in self._news:
            return False
        self._news[news] = None
        if len(self._news) > self._most:
            del self._news[next(iter(self._news))]
        return True

    def __iter__(self) -> Iterator[News]:
        return iter(self._news)


class Gossip(Capability[News]):
    name, version = "gossip", 1
    messages = {0x00: News}

    def __init__(self) -> None:
        self.heard = Known()
        self._peers: dict[trio.MemorySendChannel[News], Known] = {}

    async def run(self, peer: Peer, channel: Channel[News]) -> None:
        send, queue = trio.open_memory_channel[News](64)
        known = self._peers[send] = Known()
        for news in [*self.heard][-64:]:  # a newcomer hears what came last
            known.add(news)
            send.send_nowait(news)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tell, channel, queue)
                async for news in channel:
                    known.add(news)
                    if self.publish(news):
                        print(f"{peer.id.hex()[:8]} says: {news.text}")
                        channel.conduct.useful(1, "was the first with news")  # a copy is worth nothing
        finally:
            del self._peers[send]

    def publish(self, news: News) -> bool:
        """Tell all peers that do not know it; False if we have heard it before."""
        if not self.heard.add(news):
            return False
        for send, known in self._peers.items():
            if known.add(news):
                with suppress(trio.WouldBlock):  # it is slow, and hears it from others: nobody waits for it
                    send.send_nowait(news)
        return True

    async def _tell(self, channel: Channel[News], queue: trio.MemoryReceiveChannel[News]) -> None:
        async for news in queue:
            await channel.send(news)


async def main() -> None:
    key, gossip = devp2p.PrivateKey.generate(), Gossip()
    async with devp2p.open_node(key, [gossip], listen=["tcp://127.0.0.1:0"]) as node:
        print(f"listening at {node.enode}")
        if sys.argv[1:]:
            try:
                await node.connect(sys.argv[1])
            except (ValueError, devp2p.DialError) as error:  # it is no enode, or nobody answers there
                print(error)
                return
            gossip.publish(News(int(time.time()), " ".join(sys.argv[2:]) or "Hello."))
        await trio.sleep_forever()


if __name__ == "__main__":
    try:
        trio.run(main)
    except* KeyboardInterrupt:
        pass  # Ctrl-C: every peer was told, and there is nothing to report
