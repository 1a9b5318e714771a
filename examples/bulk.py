"""A capability that moves much data: numbered pieces, checked by whoever asked for them.

Two terminals show it. The first prints its enode; the second downloads 64 MiB from there and says how long that took:

    python examples/bulk.py
    python examples/bulk.py enode://...
"""

import functools
import hashlib
import sys
from dataclasses import dataclass

import trio

import devp2p
from devp2p import Capability, Channel, Peer, RemoteProtocolError, Request, Response
from devp2p.rlp import U8, U64, Bytes32

PIECE = 32 * 1024
"""The bytes of a piece."""
MOST = 8
"""How many pieces one request may ask for."""


@dataclass(frozen=True)
class GetPieces(Request["Pieces"]):
    first: U64
    count: U8


@dataclass(frozen=True)
class Pieces(Response):
    checksum: Bytes32
    pieces: tuple[bytes, ...]


BulkMessage = GetPieces | Pieces


class Bulk(Capability[BulkMessage]):
    name, version = "bulk", 1
    messages = {0x00: GetPieces, 0x01: Pieces}
    bulk = {Pieces}  # sent when nothing else waits, so that no chat is held up by it

    async def run(self, peer: Peer, channel: Channel[BulkMessage]) -> None:
        async for message in channel:
            match message:
                case GetPieces(first, count, request_id=number) if count <= MOST:
                    pieces = tuple(piece(first + offset) for offset in range(count))
                    await channel.send(Pieces(number, checksum(pieces), pieces))
                case GetPieces(count=count):
                    raise RemoteProtocolError(f"{peer} asked for {count} pieces at once")  # ends the session and tells the peer why


@functools.lru_cache(maxsize=256)
def piece(number: int) -> bytes:
    """What the piece with a number holds: noise if it is odd, and if it is even text, of which compression leaves little."""
    if number % 2:
        return hashlib.shake_128(b"%d" % number).digest(PIECE)
    return (b"This is piece %d. " % number * PIECE)[:PIECE]


def checksum(pieces: tuple[bytes, ...]) -> bytes:
    """One SHA-256 over all of them."""
    return hashlib.sha256(b"".join(pieces)).digest()


async def fetch(channel: Channel[BulkMessage], first: int, count: int) -> tuple[bytes, ...]:
    """Ask a peer for pieces, check them, and report what they are worth. RemoteProtocolError if they are not what was asked for."""
    answer = await channel.request(GetPieces(first, count))  # typed: Pieces
    if len(answer.pieces) != count or checksum(answer.pieces) != answer.checksum:
        channel.conduct.invalid(3, "pieces with a wrong checksum")
        raise RemoteProtocolError(f"pieces {first} to {first + count - 1} came wrong")
    channel.conduct.useful(sum(map(len, answer.pieces)), f"brought {count} pieces")
    return answer.pieces


async def main() -> None:
    key = devp2p.PrivateKey.generate()
    async with devp2p.open_node(key, [Bulk()], listen=["tcp://127.0.0.1:0"]) as node:
        if not sys.argv[1:]:
            print(f"listening at {node.enode}")
            await trio.sleep_forever()
        try:
            peer = await node.connect(sys.argv[1])
        except (ValueError, devp2p.DialError) as error:  # it is no enode, or nobody answers there
            print(error)
            return
        started = trio.current_time()
        for first in range(0, 2048, MOST):
            await fetch(peer[Bulk], first, MOST)
        seconds = trio.current_time() - started
        megabytes = peer.conduct(Bulk).useful / 1e6
        print(f"{megabytes:.1f} MB in {seconds:.2f} s: {megabytes / seconds:.1f} MB/s")


if __name__ == "__main__":
    try:
        trio.run(main)
    except* KeyboardInterrupt:
        pass  # Ctrl-C: every peer was told, and there is nothing to report
