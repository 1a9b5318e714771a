"""For the tests of capabilities: two nodes without sockets, and a peer that does exactly what a test tells it to.

`two_nodes` connects two nodes in memory, both ``strict``, so that an exception in a capability fails the test. `scripted_peer` runs one
such node and gives the other end of the session to the test, which can send it anything: typed messages, raw ones, broken frames, or
nothing at all. Under ``trio.testing.MockClock(autojump_threshold=0)`` neither ever waits in real time.

    async with two_nodes([Chat()], [Chat()]) as (alice, bob):
        time = await alice.connected[0][Chat].request(GetTime("utc"))

    async with scripted_peer([Chat()]) as (node, peer):
        await peer.send_message(Say("hello"))
        assert await peer.receive_message() == Say("hello")
        await peer.send(0x10, b"no RLP")
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
"""

import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.abc import HalfCloseableStream

from devp2p import rlp
from devp2p.arguments import several
from devp2p.capability import AnyCapability, MessageTable
from devp2p.errors import DisconnectReason, LocalProtocolError, describe_reason
from devp2p.keys import PrivateKey, PublicKey
from devp2p.limits import MAX_MESSAGE_SIZE, Limits
from devp2p.node import Node, PeerConnected, PeerRefused, open_node
from devp2p.records import NodeRecord
from devp2p.transports import MemoryTransport
from devp2p.wire import CapabilityVersion, Hello, MessageSpace, base, compression
from devp2p.wire.rlpx import Entropy, FrameOpener, FrameSealer, Handshake, secrets

__all__ = ["MemoryTransport", "ScriptedPeer", "scripted_peer", "two_nodes"]

_CHUNK = 64 * 1024


@asynccontextmanager
async def two_nodes(
    left: Iterable[AnyCapability], right: Iterable[AnyCapability], *, limits: Limits | None = None, strict: bool = True
) -> AsyncGenerator[tuple[Node, Node], None]:
    """Run two nodes that are connected to each other in memory; the first has dialled the second.

    With `strict` (unlike in `open_node` the default) a stray exception of a capability leaves the block, in an ExceptionGroup.
    """
    network = MemoryTransport()
    async with (
        open_node(
            PrivateKey.generate(), left, listen=["memory://left"], client_id="left", limits=limits, transports=[network], strict=strict
        ) as one,
        open_node(
            PrivateKey.generate(), right, listen=["memory://right"], client_id="right", limits=limits, transports=[network], strict=strict
        ) as other,
    ):
        events = other.events()
        await one.connect(other.record)
        while other.roster.get(one.public_key) is None:
            await anext(events)
        yield one, other


@asynccontextmanager
async def scripted_peer(
    capabilities: Iterable[AnyCapability],
    *,
    offers: Iterable[AnyCapability] | None = None,
    limits: Limits | None = None,
    strict: bool = True,
) -> AsyncGenerator[tuple[Node, "ScriptedPeer"], None]:
    """Run a node with `capabilities`, and a `ScriptedPeer` that has dialled it and finished the Hellos.

    The peer `offers` the same capabilities unless told otherwise; it only uses their tables and never runs them.
    """
    capabilities = several(capabilities, "capabilities")
    network = MemoryTransport()
    key = PrivateKey.generate()
    async with open_node(key, capabilities, listen=["memory://node"], limits=limits, transports=[network], strict=strict) as node:
        peer = await ScriptedPeer.dial(network, node.record, capabilities if offers is None else offers)
        try:
            events = node.events()
            await peer.begin()
            async for event in events:
                if isinstance(event, PeerConnected | PeerRefused):
                    break
            yield node, peer
        finally:
            await trio.aclose_forcefully(peer.stream)


class ScriptedPeer:
    """One end of an RLPx connection that has no rules of its own.

    Nothing happens by itself: what comes waits until the test receives it, Pings among it, and what a test sends is not checked.
    """

    def __init__(
        self,
        stream: HalfCloseableStream,
        capabilities: Iterable[AnyCapability] = (),
        *,
        call: PublicKey | None = None,
        key: PrivateKey | None = None,
    ) -> None:
        """`stream`: any byte stream to the other end; `call`: the other's key if we are the initiator, None to wait for its auth."""
        self.stream = stream
        self.key: PrivateKey = key or PrivateKey.generate()
        self._tables: dict[CapabilityVersion, MessageTable] = {}
        self._owners: dict[type[Any], list[CapabilityVersion]] = {}
        for capability in capabilities:
            table = capability.table()
            self._tables[table.spec.offer] = table
            for kind in capability.messages.values():
                self._owners.setdefault(kind, []).append(table.spec.offer)
        self.hello: Hello = Hello("scripted", tuple(self._tables), self.key.public_key)
        """What `say_hello` says; replace it to say something else."""
        self.compressed: bool = False
        """Whether messages are compressed; so they are once the other's Hello was heard."""
        self.space: MessageSpace = MessageSpace((), ())
        """The layout of message ids, once the other's Hello was heard."""
        self._call = call
        self._sealer: FrameSealer | None = None
        self._opener: FrameOpener | None = None

    @classmethod
    async def dial(
        cls, network: MemoryTransport, record: NodeRecord, capabilities: Iterable[AnyCapability] = (), *, key: PrivateKey | None = None
    ) -> "ScriptedPeer":
        """Reach a node in memory, and say nothing yet."""
        link = await network.dial(record.addresses[0], expect=record.public_key)
        return cls(link.stream, capabilities, call=record.public_key, key=key)

    async def begin(self) -> Hello:
        """Shake hands and exchange Hellos; return the other's."""
        await self.shake_hands()
        await self.say_hello()
        return await self.hear_hello()

    async def shake_hands(self) -> None:
        """Exchange auth and ack, so that frames can be sent."""
        handshake, agreement = Handshake(self.key, Entropy.draw(os.urandom), remote=self._call), None
        await self.stream.send_all(handshake.data_to_send())
        while agreement is None:
            agreement = handshake.receive_data(await self._receive_some())
        await self.stream.send_all(handshake.data_to_send())
        keys = secrets(agreement)
        self._sealer = FrameSealer(keys)
        self._opener = FrameOpener(keys, MAX_MESSAGE_SIZE)
        self._opener.receive_data(handshake.trailing)

    async def say_hello(self) -> None:
        """Send ``self.hello``."""
        await self.send(base.HELLO, base.encode_hello(self.hello), compress=False)

    async def hear_hello(self) -> Hello:
        """Receive the other's Hello, which settles compression and the layout of message ids."""
        code, data = await self.receive()
        if code != base.HELLO:
            raise LocalProtocolError(f"the script wants a Hello here, and message {code:#x} came")
        theirs = base.decode_hello(data)
        self.compressed = min(theirs.version, self.hello.version) >= base.SNAPPY_VERSION
        self.space = MessageSpace([table.spec for table in self._tables.values()], theirs.capabilities)
        return theirs

    # Sending

    async def send_message(self, message: object) -> None:
        """Send a message of a shared capability."""
        owners = self._owners.get(type(message), ())
        for spec, offset in zip(self.space.shared, self.space.offsets, strict=True):
            if spec.offer in owners:
                code, _, data = self._tables[spec.offer].encode(message)
                await self.send(offset + code, data)
                return
        raise LocalProtocolError(f"no shared capability has a message {type(message).__name__}")

    async def send(self, code: int, data: bytes = base.EMPTY_LIST, *, compress: bool | None = None) -> None:
        """Send a message by its id on the wire (a first capability's begin at 0x10); `data` is any bytes, as a rule RLP.

        It is compressed as agreed, unless `compress` says otherwise.
        """
        squeeze = self.compressed if compress is None else compress
        await self.send_frame(rlp.encode(code) + (compression.compress(data) if squeeze else data))

    async def send_frame(self, frame_data: bytes) -> None:
        """Send any 1 byte to 16 MiB - 1 as one properly sealed frame."""
        await self.stream.send_all(self.seal(frame_data))

    def seal(self, frame_data: bytes) -> bytes:
        """Seal a frame without sending it: send it in parts, or damaged, by ``stream.send_all``. Frames must go out in this order."""
        if self._sealer is None:
            raise LocalProtocolError("frames come after shake_hands()")
        return b"".join(self._sealer.seal(frame_data))

    async def ping(self) -> None:
        """Send a Ping."""
        await self.send(base.PING)

    async def pong(self) -> None:
        """Send a Pong."""
        await self.send(base.PONG)

    async def disconnect(self, reason: int = DisconnectReason.REQUESTED) -> None:
        """Send a Disconnect with any reason."""
        await self.send(base.DISCONNECT, base.encode_disconnect(reason))

    # Receiving

    async def receive(self) -> tuple[int, bytes]:
        """Receive the next message of any kind as (id on the wire, its RLP); trio.EndOfChannel when the other has closed the link."""
        opener = self._opener
        if opener is None:
            raise LocalProtocolError("frames come after shake_hands()")
        while (frame := opener.next_frame()) is None:
            opener.receive_data(await self._receive_some())
        code, start = rlp.split_uint(frame)
        data = bytes(frame[start:])
        return code, compression.decompress(data, MAX_MESSAGE_SIZE) if self.compressed else data

    async def receive_message(self) -> Any:  # noqa: ANN401  (whatever the capabilities define)
        """Receive the next message of a shared capability, decoded; Pings that come before it are answered."""
        while True:
            code, data = await self.receive()
            if code == base.PING:
                await self.pong()
            elif code == base.DISCONNECT:
                raise trio.EndOfChannel(f"a Disconnect came: {describe_reason(base.decode_disconnect(data, compressed=False))}")
            elif code >= base.BASE_LENGTH:
                index, relative, _ = self.space.locate(code)
                return self._tables[self.space.shared[index].offer].decode(relative, data)

    async def receive_disconnect(self) -> int:
        """Ignore all that comes until a Disconnect does, and return its reason; trio.EndOfChannel if the link closes without one."""
        while True:
            code, data = await self.receive()
            if code == base.DISCONNECT:
                return base.decode_disconnect(data, compressed=False)

    async def receive_end(self) -> None:
        """Ignore all that comes until the other closes the link."""
        try:
            while True:
                await self._receive_some()
        except trio.EndOfChannel:
            pass

    async def _receive_some(self) -> bytes | bytearray:
        try:
            data = await self.stream.receive_some(_CHUNK)
        except trio.BrokenResourceError as error:
            raise trio.EndOfChannel("the link broke") from error
        if not data:
            raise trio.EndOfChannel("the other end has closed the link")
        return data
