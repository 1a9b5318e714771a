"""A capability that our nodes share with the go-ethereum test peer: ask for the SHA-256 of some bytes (tests/interop/geth/README.md)."""

import hashlib
from dataclasses import dataclass

from devp2p import Capability, Channel, Peer, RemoteProtocolError, Request, Response
from devp2p.rlp import Bytes32
from tools.show.plan import SLOTS


@dataclass(frozen=True)
class GetDigest(Request["Digest"]):
    """Bytes to digest."""

    data: bytes


@dataclass(frozen=True)
class Digest(Response):
    """Their SHA-256."""

    digest: Bytes32


EchoMessage = GetDigest | Digest


class Echo(Capability[EchoMessage]):
    """Version 1 has eight message ids, of which this side uses the two of one kind of request."""

    name, version = "echo", 1
    messages = {0x02: GetDigest, 0x03: Digest}
    length = 8
    slots = SLOTS
    request_timeout = 2.0

    async def run(self, peer: Peer, channel: Channel[EchoMessage]) -> None:  # noqa: ARG002  (it answers all peers alike)
        """Answer every request."""
        async for message in channel:
            match message:
                case GetDigest(data, request_id=number):
                    await channel.send(Digest(number, hashlib.sha256(data).digest()))
                case _:
                    pass  # answers go to whoever asked


async def ask(channel: Channel[EchoMessage], data: bytes) -> None:
    """Ask a peer for a digest, check it, and report what it is worth. RemoteProtocolError if it is wrong."""
    answer = await channel.request(GetDigest(data))  # typed: Digest; the time it takes is reported by itself
    if answer.digest != hashlib.sha256(data).digest():
        channel.conduct.invalid(3, "a wrong digest")
        raise RemoteProtocolError("a wrong digest")
    channel.conduct.useful(1, "digested")
