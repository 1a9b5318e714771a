"""One QUIC connection at a socket, and the link that it is once the peer is proved.

A `Conduit` belongs to its endpoint (`endpoint.py`), which brings the datagrams and calls `take_events` and `flush`. Its streams call
`flush` themselves, so that what is sent goes out in the same step, without a switch of tasks.
"""

import math
from collections import deque
from typing import Final, Protocol

import trio
from aioquic.quic import events
from aioquic.quic.packet import QuicErrorCode

from devp2p.addresses import Address
from devp2p.errors import DecodingError, HandshakeError
from devp2p.keys import PublicKey
from devp2p.transports.certificates import key_in_chain
from devp2p.transports.links import DIRECT
from devp2p.transports.quic.core import ALPN, IDLE, Core
from devp2p.transports.quic.names import is_loopback
from devp2p.transports.quic.streams import QuicStream
from devp2p.transports.sockets import Name, address_in

SCHEME: Final = "quic"
KEEPALIVE: Final = 10.0
"""Seconds without a datagram after which the peer is asked whether it is there; NATs forget a way after 30 or more."""
_BIG: Final = 16 * 1024 - 64  # bytes of a datagram within this machine; a packet says its length in 14 bits
_CRYPTO_ERROR: Final = int(QuicErrorCode.CRYPTO_ERROR)


class Outlet(Protocol):
    """The endpoint that a connection is at."""

    def flush(self, conduit: "Conduit") -> None:
        """Send what there is to be sent, and wake up when it wants to."""

    def add_id(self, conduit: "Conduit", cid: bytes) -> None:
        """From now on datagrams for this id are the connection's."""

    def drop_id(self, conduit: "Conduit", cid: bytes) -> None:
        """And now no more."""

    def let_go(self, conduit: "Conduit") -> None:
        """Nobody needs it any more."""


class Conduit:
    """A connection that has begun."""

    def __init__(self, outlet: Outlet, core: Core, name: Name, local: Address, *, initiator: bool) -> None:
        self.core: Core = core
        self.local: Address = local
        self.initiator: bool = initiator
        self.remote: Address = address_in(SCHEME, name)
        """Where the peer is now: its NAT may give it another address, or it may move itself."""
        self.name: Name = name
        self.ids: set[bytes] = set()
        self.due: float = math.inf
        """When the endpoint has to look after it, and when it will at first do so."""
        self.queued: float = math.inf
        self.alarm: int = -1
        self.ping_at: float = math.inf
        self.shaken: bool = False
        self.fault: OSError | None = None
        """Why nobody was reached, as the system told."""
        self._outlet = outlet
        self._streams: dict[int, QuicStream] = {}
        self._arrived: deque[QuicStream] = deque()
        self._next_remote = 1 if initiator else 0
        self._closed = False
        self._lost = ""
        self._told_gone = False
        self._held = True
        self._changed = trio.lowlevel.ParkingLot()

    # What the endpoint calls

    def take_events(self) -> None:
        """Take in what has come."""
        core = self.core
        while (event := core.next_event()) is not None:
            if isinstance(event, events.StreamDataReceived):
                if (stream := self._stream(event.stream_id)) is not None:
                    stream.feed(event.data, ended=event.end_stream)
            elif isinstance(event, events.StreamReset):
                if (stream := self._stream(event.stream_id)) is not None:
                    stream.reset_by_peer(event.error_code)
            elif isinstance(event, events.StopSendingReceived):
                if (stream := self._stream(event.stream_id)) is not None:
                    stream.stopped_by_peer()
            elif isinstance(event, events.HandshakeCompleted):
                self._shook_hands()
            elif isinstance(event, events.ConnectionIdIssued):
                self._outlet.add_id(self, event.connection_id)
            elif isinstance(event, events.ConnectionIdRetired):
                self._outlet.drop_id(self, event.connection_id)
        if core.end is None and core.is_in_pieces:
            core.close(error_code=QuicErrorCode.PROTOCOL_VIOLATION, reason_phrase="too many pieces")
        if core.end is not None:
            self.gone()
            return
        for stream in [*self._streams.values()]:
            if not core.has(stream.number) and stream.is_over:
                del self._streams[stream.number]
            else:
                stream.look_again()
        if self._changed and core.may_open:
            self._changed.unpark_all()
        if (name := core.get_peer_address()) is not None and name != self.name:
            self.name, self.remote = name, address_in(SCHEME, name)

    def _shook_hands(self) -> None:
        self.shaken = True
        self.ping_at = trio.current_time() + KEEPALIVE
        self.core.settle()
        if is_loopback(self.name):
            self.core.enlarge_datagrams(_BIG)
        self._changed.unpark_all()

    def lose(self, reason: str, fault: OSError | None = None) -> None:
        """It cannot go on, and nothing can be said to the peer."""
        if not self._lost:
            self._lost, self.fault = reason, fault
            self.gone()
            self._let_go()

    @property
    def is_lost(self) -> bool:
        """Whether it went without a word."""
        return bool(self._lost)

    def gone(self) -> None:
        """It has ended: let all know who wait."""
        if not self._told_gone:
            self._told_gone = True
            self._changed.unpark_all()
            for stream in self._streams.values():
                stream.gone()

    def _stream(self, number: int) -> QuicStream | None:
        stream = self._streams.get(number)
        while stream is None and number % 4 == self._next_remote % 4 and number >= self._next_remote:
            made = QuicStream(self, self._next_remote)  # those of lower numbers are open too (RFC 9000, section 2.1)
            self._streams[self._next_remote] = made
            self._arrived.append(made)
            self._next_remote += 4
            stream = self._streams.get(number)
            self._changed.unpark_all()
        return stream

    # What links and streams call

    def flush(self) -> None:
        """See `streams.Carrier`."""
        self._outlet.flush(self)

    def why_not(self) -> Exception | None:
        """See `streams.Carrier`."""
        if self._closed:
            return trio.ClosedResourceError("this end of the link is closed")
        if self._lost:
            return trio.BrokenResourceError(self._lost)
        if self.core.end is None:
            return None
        code, reason = self.core.end
        if reason == "Idle timeout":
            return trio.BrokenResourceError(f"nothing came from the peer for {IDLE:g} s")
        return trio.BrokenResourceError(
            "the peer has closed the connection" if not code else f"the connection failed: {_told(code, reason)}"
        )

    async def wait_shaken(self) -> PublicKey:
        """Wait for the handshake, and give the key that the peer has proved. Raises as `Incoming.upgrade`, and HandshakeError if none."""
        await trio.lowlevel.checkpoint()
        while not self.shaken:
            if (gone := self.why_not()) is not None:
                broke_rules = self.core.end is not None and self.core.end[0] >= _CRYPTO_ERROR
                if not self._closed and (broke_rules or not (self.initiator or self.core.has_begun)):
                    raise HandshakeError(str(gone))
                raise gone
            await self._changed.park()
        if self.core.alpn != ALPN:
            raise HandshakeError(f"the peer speaks {self.core.alpn or 'no protocol that it names'}, not {ALPN}")
        try:
            return key_in_chain(self.core.certificates)
        except DecodingError as error:
            self.core.bad_certificate("bad certificate")
            raise HandshakeError(f"the peer proves no key: {error}") from None

    async def open(self) -> QuicStream:
        """See `MuxLink.open`."""
        await trio.lowlevel.checkpoint()
        while True:
            if (gone := self.why_not()) is not None:
                raise gone
            if self.core.may_open:
                break
            await self._changed.park()
        number = self.core.begin_stream()
        stream = self._streams[number] = QuicStream(self, number)
        return stream

    async def accept(self) -> QuicStream:
        """See `MuxLink.accept`."""
        await trio.lowlevel.checkpoint()
        while not self._arrived:
            if (gone := self.why_not()) is not None:
                raise gone
            await self._changed.park()
        if self._closed:
            raise trio.ClosedResourceError("this end of the link is closed")
        stream = self._arrived.popleft()
        self.core.accepted()
        stream.accepted()
        self.flush()  # the peer may be waiting to open another one
        return stream

    def close(self) -> None:
        """Close it at once, and say so to the peer; harmless if that is done already."""
        if self._closed:
            return
        self._closed = True
        for stream in self._streams.values():
            stream.drop()
        self.gone()
        if not self._lost:
            self.core.close(error_code=QuicErrorCode.NO_ERROR)
            self._outlet.flush(self)
            self._let_go()

    def _let_go(self) -> None:
        if self._held:
            self._held = False
            self._outlet.let_go(self)


def _told(code: int, reason: str) -> str:
    if code >= _CRYPTO_ERROR:
        return f"TLS alert {code - _CRYPTO_ERROR}" + (f", {reason}" if reason else "")
    known = QuicErrorCode(code).name.lower().replace("_", " ") if code in set(QuicErrorCode) else f"code {code}"
    return f"{known}, {reason}" if reason else known


class QuicLink:
    """A connection whose peer is proved; each of its streams is one of QUIC's."""

    def __init__(self, conduit: Conduit, peer: PublicKey) -> None:
        self.peer: PublicKey = peer
        self.path: str = DIRECT
        self._conduit = conduit

    @property
    def initiator(self) -> bool:
        """Whether we have dialled."""
        return self._conduit.initiator

    @property
    def local(self) -> Address:
        """Our own end."""
        return self._conduit.local

    @property
    def remote(self) -> Address:
        """Where the peer is now; this follows it when it moves."""
        return self._conduit.remote

    async def open(self) -> QuicStream:
        """See `MuxLink.open`."""
        return await self._conduit.open()

    async def accept(self) -> QuicStream:
        """See `MuxLink.accept`."""
        return await self._conduit.accept()

    async def aclose(self) -> None:
        """See `MuxLink.aclose`: what was not sent yet is lost."""
        self._conduit.close()
        await trio.lowlevel.checkpoint()
