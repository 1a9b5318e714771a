"""A peer of a node that speaks dpx/1 and keeps to nothing: any frame, any control message, and it hears what comes as it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, Node, Peer, PeerDisconnected, PrivateKey, rlp
from devp2p.wire import base
from devp2p.wire.dpx import Ledgers, control, header
from devp2p.wire.dpx.control import CONNECTION, Control, Unknown
from tests.chat import Chat, ChatMessage, chat
from tests.dpx_scripts import DpxScript
from tests.wires import WIRES, Network

SAY, BLOB = 0, 3
"""Codes of `Chat`, which is the only capability: number 1."""
FRAME = 16 * 1024


def blob(size: int, *, code: int = BLOB, declared: int = 1000) -> bytes:
    """The beginning of a message in chunks: its code, the size that snappy declares, and junk, `size` bytes in all."""
    start = rlp.encode(code) + _varint(declared)
    return start + bytes(size - len(start))


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80]) + _varint(number >> 7)


class Raw:
    """See above."""

    def __init__(self, script: DpxScript, peer: Peer) -> None:
        self.peer = peer
        """The node's side of the session."""
        self.told: list[Control | Unknown] = []
        """Control messages that came."""
        self.frames: list[tuple[header.Header, bytes]] = []
        """Frames of capabilities that came."""
        self.reason: int | None = None
        """Of the Disconnect that came."""
        self._session: Any = peer._end.__self__  # type: ignore[attr-defined]
        self._stream, self._framing = script.stream, script.framing

    @property
    def ledgers(self) -> Ledgers:
        """The node's."""
        found: Ledgers = self._session._line._ledgers
        return found

    @property
    def timeouts(self) -> int:
        """As the node counts them."""
        found: int = self._session._by_index[0][1].conduct.total.timeouts
        return found

    async def frame(self, data: bytes, capability: int = 1, context: int = 0, total: int = 0) -> None:
        """Send one frame."""
        await self.send(self.sealed(data, capability, context, total))

    def sealed(self, data: bytes, capability: int = 1, context: int = 0, total: int = 0) -> bytes:
        """One frame, which is to be sent next."""
        return self._framing._sealer.seal(header.encode(header.Header(capability, context, total)), data)

    async def send(self, data: bytes) -> None:
        """Send bytes, if the node still hears any; give it the time to act on them."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._stream.send_all(data)
        await wait_all_tasks_blocked()

    async def tell(self, *controls: Control) -> None:
        """Send control messages."""
        await self.send(b"".join(self.sealed(control.encode(each), CONNECTION) for each in controls))

    async def hear(self) -> None:
        """Take in what has come."""
        with trio.move_on_after(0.01), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self._stream.receive_some(2**20):
                self._framing.receive_data(data)
                while (record := self._framing._opener.next_record()) is not None:
                    self._take(header.decode(record[0]), bytes(record[1]))

    def cut_off(self) -> None:
        """Be gone without a word."""
        self._stream._incoming.break_()  # type: ignore[attr-defined]
        self._stream._outgoing.end()  # type: ignore[attr-defined]

    def _take(self, head: header.Header, data: bytes) -> None:
        if head.capability == CONNECTION:
            self.told.append(control.decode(data))
        elif head.capability != header.BASE:
            self.frames.append((head, data))
        elif data[0] == base.DISCONNECT:
            self.reason = base.decode_disconnect(data[1:], compressed=True)

    @property
    def end(self) -> PeerDisconnected | None:
        """How the session ends, as soon as the node has begun to end it."""
        found: PeerDisconnected | None = self._session._end
        return found


async def raw_peer(network: Network, node: Node, key: PrivateKey | None = None) -> Raw:
    """One more peer of a node."""
    key = key or PrivateKey.generate()
    script = await network.peer(node, [Chat()], key=key)
    assert isinstance(script, DpxScript)
    await script.begin()
    await wait_all_tasks_blocked()
    peer = node.roster.get(key.public_key)
    assert peer is not None
    return Raw(script, peer)


async def asleep(_: Peer, __: Channel[ChatMessage]) -> None:
    """A capability that takes nothing."""
    await trio.sleep_forever()


@asynccontextmanager
async def attacked(capability: Chat | None = None, **options: Any) -> AsyncIterator[tuple[Node, Raw]]:
    """A node, and one such peer."""
    network = WIRES["dpx"].network()
    options = {"strict": False, **options}
    async with network.running(capabilities=[capability or chat()], **options) as node:
        raw = await raw_peer(network, node)
        try:
            yield node, raw
        finally:
            raw.cut_off()
