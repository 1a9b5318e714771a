"""A peer that does exactly what a test tells it to."""

import os
from collections.abc import Iterable
from typing import Any

import trio
from trio.abc import HalfCloseableStream

from devp2p import rlp
from devp2p.capability import AnyCapability, MessageTable
from devp2p.errors import DisconnectReason, LocalProtocolError, describe_reason
from devp2p.keys import PrivateKey, PublicKey
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.records import NodeRecord
from devp2p.testing.streams import Streams
from devp2p.transports import Link, Transport
from devp2p.wire import CapabilityVersion, Hello, MessageSpace, base, compression, plain_framing
from devp2p.wire.rlpx import Entropy, Extension, Handshake


class ScriptedPeer:
    """One end of a session that has no rules of its own, over a link of any kind.

    Nothing happens by itself: what comes waits until the test receives it, Pings among it, and what a test sends is not checked. On a link
    with streams of its own messages go to, and come from, the stream that they belong to, but have the ids that they have on one stream.
    """

    def __init__(
        self,
        link: Link | HalfCloseableStream,
        capabilities: Iterable[AnyCapability] = (),
        *,
        call: PublicKey | None = None,
        key: PrivateKey | None = None,
        extension: Extension | None = None,
    ) -> None:
        """`link`: to the other end, or any byte stream, which proves nobody.

        Where RLPx shakes hands, `call` is the other's key if we are the initiator, or None to wait for its auth, and `extension` speaks for
        us. `key` must be the one that the link proves, if it proves any.
        """
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
        self._streams = Streams(link)
        self._call = call
        self._extension = extension
        self._handshake: Handshake | None = None

    @classmethod
    async def dial(
        cls,
        network: Transport,
        record: NodeRecord,
        capabilities: Iterable[AnyCapability] = (),
        *,
        key: PrivateKey | None = None,
        extension: Extension | None = None,
    ) -> "ScriptedPeer":
        """Reach a node, by the first of its addresses, and say nothing yet."""
        link = await network.dial(record.addresses[0], expect=record.public_key)
        peer = cls(link, capabilities, call=record.public_key, key=key, extension=extension)
        await peer._streams.begin()
        return peer

    @property
    def stream(self) -> HalfCloseableStream:
        """The link's only stream, or its first one."""
        return self._streams.first.stream

    def stream_of(self, code: int) -> HalfCloseableStream:
        """The stream that a message goes to, by its id: on a link with streams of its own, that of its capability, if it is open."""
        return self._streams.owner(code).stream

    async def aclose(self) -> None:
        """Close the link at once."""
        if self._handshake is not None:
            self._handshake.failed()  # if nothing was heard
        await self._streams.aclose()

    async def begin(self) -> Hello:
        """Shake hands, exchange Hellos and open streams, where that is to be done; return the other's Hello."""
        await self.shake_hands()
        await self.say_hello()
        theirs = await self.hear_hello()
        await self.open_streams()
        return theirs

    async def shake_hands(self) -> None:
        """Exchange auth and ack, so that frames can be sent; on a link that has proved its peer they can be without."""
        await self._streams.begin()
        first = self._streams.first
        if self._streams.is_proved:
            first.framing = plain_framing()
            return
        self._handshake = handshake = Handshake(self.key, Entropy.draw(os.urandom), remote=self._call, extension=self._extension)
        agreement = None
        await first.stream.send_all(handshake.data_to_send())
        while agreement is None:
            agreement = handshake.receive_data(await self._streams.receive_some())
        await first.stream.send_all(handshake.data_to_send())
        first.framing = handshake.framing()
        first.framing.receive_data(handshake.trailing)

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
        self._streams.agree(self.space)
        return theirs

    async def open_streams(self) -> None:
        """On a link with streams of its own, give each shared capability its stream; nothing happens on any other."""
        await self._streams.open_own()

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
        owner, _ = self._streams.place(frame_data)
        await owner.stream.send_all(self.seal(frame_data))

    def seal(self, frame_data: bytes) -> bytes:
        """Seal a frame without sending it: send it in parts, or damaged, by ``stream_of(code).send_all``.

        Frames of one stream must go out in this order.
        """
        owner, placed = self._streams.place(frame_data)
        return owner.seal(placed)

    async def ping(self) -> None:
        """Send a Ping."""
        await self.send(base.PING)

    async def pong(self) -> None:
        """Send a Pong."""
        await self.send(base.PONG)

    async def disconnect(self, reason: int = DisconnectReason.REQUESTED) -> None:
        """Send a Disconnect with any reason. Streams of capabilities are ended first, as whoever leaves does."""
        for own in self._streams.own:
            await own.stream.send_eof()
        await self.send(base.DISCONNECT, base.encode_disconnect(reason))

    # Receiving

    async def receive(self) -> tuple[int, bytes]:
        """Receive the next message of any kind as (id on the wire, its RLP); trio.EndOfChannel when the other has closed the link.

        A Disconnect comes after what was said before it on the streams of capabilities.
        """
        while (message := self._streams.next_message()) is None:
            await self._streams.receive_some()
        if self._handshake is not None:
            self._handshake.proved()
        code, data = message
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
                await self._streams.receive_some(keep=False)
        except trio.EndOfChannel:
            pass
