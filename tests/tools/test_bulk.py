"""examples/bulk.py: what is asked for comes, what comes wrong is found out, and who asks for too much is sent away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from devp2p import Channel, DisconnectReason, Node, Peer, PrivateKey, RemoteProtocolError, open_node
from devp2p.transports.memory import MemoryTransport
from examples.bulk import MOST, PIECE, Bulk, BulkMessage, GetPieces, Pieces, checksum, fetch, piece


class Liar(Bulk):
    async def run(self, peer: Peer, channel: Channel[BulkMessage]) -> None:  # noqa: ARG002
        async for message in channel:
            if isinstance(message, GetPieces):
                await channel.send(Pieces(message.request_id, bytes(32), (b"lie",) * message.count))


class Miser(Bulk):
    async def run(self, peer: Peer, channel: Channel[BulkMessage]) -> None:  # noqa: ARG002
        async for message in channel:
            if isinstance(message, GetPieces):
                await channel.send(Pieces(message.request_id, checksum(()), ()))


@asynccontextmanager
async def connected(server: Bulk) -> AsyncIterator[tuple[Node, Peer]]:
    """A node, and its peer that runs `server`."""
    network = MemoryTransport()
    async with (
        open_node(PrivateKey.generate(), [server], listen=["memory://server"], transports=[network], strict=True) as far,
        open_node(PrivateKey.generate(), [Bulk()], transports=[network], strict=True) as near,
    ):
        yield near, await near.connect(far.enode)


def run(test: object) -> None:
    trio.run(test, clock=MockClock(autojump_threshold=0))  # type: ignore[arg-type]


def test_pieces_come_and_count_as_useful() -> None:
    async def main() -> None:
        async with connected(Bulk()) as (_, peer):
            assert await fetch(peer[Bulk], 3, MOST) == tuple(map(piece, range(3, 3 + MOST)))
            assert await fetch(peer[Bulk], 0, 0) == ()
            assert peer.conduct(Bulk).useful == MOST * PIECE
            assert peer.conduct(Bulk).invalid == 0

    run(main)


def test_pieces_have_one_size_and_differ() -> None:
    assert {len(piece(number)) for number in range(10)} == {PIECE}
    assert len({piece(number) for number in range(10)}) == 10


@pytest.mark.parametrize("server", [Liar, Miser])
def test_wrong_pieces_are_found_out(server: type[Bulk]) -> None:
    async def main() -> None:
        async with connected(server()) as (_, peer):
            with pytest.raises(RemoteProtocolError, match="pieces 3 to 4 came wrong"):
                await fetch(peer[Bulk], 3, 2)
            assert peer.conduct(Bulk).useful == 0
            assert peer.conduct(Bulk).invalid == 3

    run(main)


def test_who_asks_for_too_much_is_sent_away() -> None:
    async def main() -> None:
        async with connected(Bulk()) as (_, peer):
            with pytest.raises(Exception, match="peer ended the session"):
                await fetch(peer[Bulk], 0, MOST + 1)
            end = await peer.wait_ended()
            assert (end.reason, end.by_remote) == (DisconnectReason.PROTOCOL_BREACH, True)

    run(main)
