"""How long an urgent message is on its way through a slow line that three other capabilities keep busy with messages of 10 MiB."""

import fcntl
import struct
import termios
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import trio

from devp2p import Address, Capability, Channel, Peer, PeerDisconnected, PrivateKey, PublicKey, open_node
from devp2p.transports import ByteLink, TcpTransport
from tools.bench.endpoints.basics import Blob, Options, make_payload
from tools.show.qos.relay import slow_line

_RATE: Final = 1_000_000.0  # bytes a second
_BUFFER: Final = 16 * 1024
_EVERY: Final = 0.045  # seconds between two of them
_WARM_UP: Final = 2.0  # seconds
_PADDING: Final = 500


@dataclass(frozen=True)
class Stamp:
    """An urgent message of 512 bytes, with the time at which it was given to the library."""

    nanoseconds: int
    padding: bytes = bytes(_PADDING)


class Stamped(Capability[Stamp]):
    """Sends stamps, or notes in milliseconds how long each took."""

    name, version = "stamp", 1
    messages = {0: Stamp}
    urgent = {Stamp}

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.channel: Channel[Stamp] | None = None

    async def run(self, peer: Peer, channel: Channel[Stamp]) -> None:  # noqa: ARG002
        """One session."""
        self.channel = channel
        async for stamp in channel:
            self.waits.append((time.perf_counter_ns() - stamp.nanoseconds) / 1e6)


class Busy(Capability[Blob]):
    """Sends without pause, or takes what comes."""

    version = 1
    messages = {0: Blob}

    def __init__(self, payload: bytes = b"") -> None:
        self._payload = payload

    async def run(self, peer: Peer, channel: Channel[Blob]) -> None:  # noqa: ARG002
        """One session."""
        with suppress(PeerDisconnected):
            while self._payload:
                await channel.send(Blob(self._payload))
            async for _ in channel:
                pass


class Noting(TcpTransport):
    """Remembers the socket that was dialled."""

    stream: trio.SocketStream | None = None

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
        """See `Transport`."""
        link = await super().dial(address, expect=expect)
        assert isinstance(link.stream, trio.SocketStream)  # noqa: S101  (over TCP)
        self.stream = link.stream
        return link


def _held(stream: trio.SocketStream, request: int) -> int:
    """Bytes that the system holds for a socket."""
    return int(struct.unpack("i", fcntl.ioctl(stream.socket.fileno(), request, bytes(4)))[0])


async def one_way(options: Options) -> dict[str, Any]:
    """``dpxqos-slow``: both nodes and the line in one process, which has little to do at this rate."""
    kinds = [type(f"Busy{number}", (Busy,), {"name": f"busy{number}"}) for number in range(3)]
    taker, giver, transport = Stamped(), Stamped(), Noting()
    payload = make_payload(options.beside, "random")
    buffered: list[float] = []
    async with open_node(PrivateKey.generate(), [taker, *(kind() for kind in kinds)], listen=["tcp://127.0.0.1:0"]) as there:
        port = there.addresses[0].port
        assert port is not None  # noqa: S101  (it listens there)
        async with (
            slow_line(port, _RATE, _BUFFER) as line,
            open_node(PrivateKey.generate(), [giver, *(kind(payload) for kind in kinds)], transports=[transport]) as here,
        ):
            await here.connect(f"enode://{there.enode.split('//')[1].split('@')[0]}@127.0.0.1:{line.port}")
            await trio.sleep(_WARM_UP)
            assert giver.channel is not None  # noqa: S101  (they are connected)
            assert transport.stream is not None  # noqa: S101  (as well)
            for _ in range(round(options.seconds / _EVERY)):
                buffered.append((_held(transport.stream, termios.TIOCOUTQ) + _held(line.accepted[0], termios.FIONREAD)) / _RATE * 1000)
                await giver.channel.send(Stamp(time.perf_counter_ns()))
                await trio.sleep(_EVERY)
            await trio.sleep(1)
    return {"waits": taker.waits, "buffered": buffered}
