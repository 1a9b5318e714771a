"""What the nodes of this library offer to the other clients: "echo" and "blob", message for message as in geth/README.md."""

import hashlib
import math
from dataclasses import dataclass

import trio

from devp2p import Capability, Channel, Peer, Request, Response, rlp

LARGEST_PAYLOAD = 2**24 - 1  # bytes: RLPx, "Framing", has three bytes for the size of a frame


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@dataclass(frozen=True)
class Echo:
    """Comes back as `Echoed`."""

    data: bytes


@dataclass(frozen=True)
class Echoed:
    data: bytes


@dataclass(frozen=True)
class Ask(Request["Answer"]):
    """Asked by us."""

    data: bytes


@dataclass(frozen=True)
class Answer(Response):
    digest: rlp.Bytes32


@dataclass(frozen=True)
class TheirAsk(Request["TheirAnswer"]):
    """The same, asked by the go-ethereum peer."""

    data: bytes


@dataclass(frozen=True)
class TheirAnswer(Response):
    digest: rlp.Bytes32


# Plain bytes are what the other clients can send at any size: one RLP string.
EchoMessage = Echo | Echoed | Ask | Answer | TheirAsk | TheirAnswer | bytes


class Talk:
    """What a test says to one peer, and what it hears from it."""

    def __init__(self, channel: Channel[EchoMessage]) -> None:
        self.channel = channel
        self.hear, self._echoes = trio.open_memory_channel[bytes](math.inf)
        self.swallow, self._sunk = trio.open_memory_channel[bytes](math.inf)

    async def echo(self, data: bytes) -> bytes:
        """Send data and return what comes back."""
        await self.channel.send(Echo(data))
        return await self.next_echo()

    async def next_echo(self) -> bytes:
        """Wait for what comes back next."""
        return await self._echoes.receive()

    async def ask(self, data: bytes) -> bytes:
        """Send a request and return the answer, which is the hash of `data`."""
        return (await self.channel.request(Ask(data=data))).digest

    async def send(self, data: bytes) -> None:
        """Send what the peer only reports."""
        await self.channel.send(data)

    async def sunk(self) -> bytes:
        """Wait for the next of what the peer sends of that kind."""
        return await self._sunk.receive()


class Echoing(Capability[EchoMessage, Talk]):
    """Answers and reports what comes; its handle is for the test."""

    name, version = "echo", 1
    messages = {0: Echo, 1: Echoed, 2: Ask, 3: Answer, 4: bytes, 5: TheirAsk, 6: TheirAnswer}
    length = 8
    ready_within = 5.0
    request_timeout = 30.0
    max_message_size = LARGEST_PAYLOAD

    async def run(self, peer: Peer, channel: Channel[EchoMessage]) -> None:  # noqa: ARG002  (all peers are equal here)
        talk = Talk(channel)
        channel.ready(talk)
        with talk.hear, talk.swallow:  # at the end, whoever listens to them must hear of it
            async for message in channel:
                match message:
                    case Echo(data):
                        await channel.send(Echoed(data))
                    case Echoed(data):
                        await talk.hear.send(data)
                    case Ask(data, request_id=number):
                        await channel.send(Answer(number, sha256(data)))
                    case TheirAsk(data, request_id=number):
                        await channel.send(TheirAnswer(number, sha256(data)))
                    case bytes():
                        await talk.swallow.send(message)


@dataclass(frozen=True)
class AskVersion:
    marker: int


@dataclass(frozen=True)
class UsedVersion:
    version: int


@dataclass(frozen=True)
class Blob:
    data: bytes


class Store:
    """What both versions of "blob" share."""

    def __init__(self) -> None:
        self.used: list[tuple[int, int]] = []
        """Version that ran here, and version that the peer says runs there; one for each session."""
        self.more = trio.lowlevel.ParkingLot()


class BlobV1(Capability[AskVersion | UsedVersion | Blob]):
    """Asks which version the peer believes in."""

    name, version = "blob", 1
    messages = {0: Blob, 1: AskVersion, 2: UsedVersion}
    length = 4

    def __init__(self, store: Store) -> None:
        self.store = store

    async def run(self, peer: Peer, channel: Channel[AskVersion | UsedVersion | Blob]) -> None:  # noqa: ARG002
        await channel.send(AskVersion(7))
        async for message in channel:
            match message:
                case AskVersion():
                    await channel.send(UsedVersion(self.version))
                case UsedVersion(version):
                    self.store.used.append((self.version, version))
                    self.store.more.unpark_all()
                case Blob():
                    pass


class BlobV2(BlobV1):
    """The next version, with more message ids, so that what stands behind it in the message space moves."""

    version = 2
    length = 6


class Unheard(Capability[Blob]):
    """What nobody else has."""

    name, version = "unheard", 1
    messages = {0: Blob}

    async def run(self, peer: Peer, channel: Channel[Blob]) -> None:
        raise AssertionError(f"{peer} shares what it cannot know of: {channel}")
