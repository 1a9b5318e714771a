"""relay/1 with one peer: circuits through it, and across us to it.

Numbers. Who opens a circuit numbers it: the side that has dialled the session by odd numbers, the other by even ones, each larger than the
one before. So a number that was used means a circuit that is over, whose last messages may still be on their way, and any other is a fault.
"""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import trio

from devp2p import Address, Channel, DecodingError, Peer, PublicKey, RemoteProtocolError
from devp2p.capabilities.relay.circuit import CircuitStream
from devp2p.capabilities.relay.lines import End, Line, Lines
from devp2p.capabilities.relay.messages import (
    Close,
    Code,
    Connect,
    Data,
    Incoming,
    RelayMessage,
    Reserve,
    Reserved,
    Status,
    Window,
)
from devp2p.capabilities.relay.voucher import Voucher

_MOST_INCOMING = 16
"""Circuits through one relay that others may have to us at a time."""
_ANSWER_TIME = 15.0  # seconds for a relay to say what became of a circuit; it gives the other node ten

OnCircuit = Callable[[CircuitStream, PublicKey], None]
"""Told of a circuit that somebody has made to us, and who that is, as the relay says."""


class Server(Protocol):
    """The relay's side, see `serving.Relaying`."""

    def reserve(self, hop: "Hop", request: Reserve) -> Reserved:
        """Answer a request for a reservation."""
        ...

    def connect(self, hop: "Hop", request: Connect) -> None:
        """Answer a request for a circuit, now or later."""

    def gone(self, hop: "Hop") -> None:
        """The session is over."""


class Hop:
    """relay/1 with one peer; ``peer[Relay]``."""

    def __init__(self, peer: Peer, channel: Channel[RelayMessage], key: PublicKey, server: Server) -> None:
        """`key` is our own."""
        self.peer: Peer = peer
        self.lines: Lines = Lines(channel.send)
        self.ended: trio.Event = trio.Event()
        self.observed: Address | None = None
        """Where the peer, being a relay, sees us, as it says."""
        self._channel = channel
        self._key = key
        self._server = server
        self._next = 2 if peer.inbound else 1
        self._last = 0  # that the peer has used
        self._ends: dict[int, End] = {}
        self._incoming: set[int] = set()
        self._on_circuit: OnCircuit | None = None

    @property
    def key(self) -> bytes:
        """The peer's key, as messages name it."""
        return bytes(self.peer.public_key)

    def new_line(self) -> Line:
        """A line for a circuit that we open."""
        self._next += 2
        return Line(self.lines, self._next - 2)

    def add(self, number: int, end: End) -> None:
        """Let an end take what comes of a circuit."""
        self._ends[number] = end

    def drop(self, number: int) -> None:
        """No message of a circuit counts any more."""
        self._ends.pop(number, None)
        self._incoming.discard(number)

    # What we ask of the peer

    async def connect(self, target: PublicKey) -> CircuitStream:
        """Make a circuit to a node through the peer.

        ConnectionRefusedError that says why there is none, PeerDisconnected after the end of the session, trio.TooSlowError.
        """
        if self.ended.is_set():
            raise ConnectionRefusedError("the session with the relay is over")
        line = self.new_line()
        stream = CircuitStream(line, self.drop)
        self.add(line.number, stream)
        try:
            line.open(Connect(line.number, bytes(target)))
            with trio.fail_after(_ANSWER_TIME):
                await stream.wait_open()
        except BaseException:
            with trio.CancelScope(shield=True):
                await stream.aclose()
            raise
        return stream

    async def reserve(self) -> float:
        """Reserve a place at the peer, or renew it: in how many seconds it ends.

        ConnectionRefusedError that says why there is none, RemoteProtocolError for a relay that lies about it, PeerDisconnected after the
        end of the session, trio.TooSlowError.
        """
        answer = await self._channel.request(Reserve())
        if answer.code != Code.OK:
            known = answer.code in set(Code)
            raise ConnectionRefusedError(f"the relay grants no reservation: {Code(answer.code).name if known else answer.code}")
        try:
            voucher = Voucher.open(answer.voucher)
        except DecodingError as error:
            raise RemoteProtocolError(f"the voucher of a reservation: {error}") from None
        if voucher != Voucher(self.key, bytes(self._key), answer.expire):
            raise RemoteProtocolError("the voucher of a reservation is for another relay, node or time")
        self._note(answer.observed)
        return answer.expire - time.time()

    @asynccontextmanager
    async def taking(self, on_circuit: OnCircuit) -> AsyncGenerator[None]:
        """Accept circuits through the peer."""
        if self._on_circuit is not None:
            raise ConnectionRefusedError("this node listens at that relay already")
        self._on_circuit = on_circuit
        try:
            yield
        finally:
            self._on_circuit = None

    # What comes

    async def run(self) -> None:
        """Take what comes, for as long as the session lasts."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.lines.run)
                async for message in self._channel:
                    self._take(message)
                    await self.lines.wait_room()
        finally:
            self.ended.set()
            self._server.gone(self)
            for end in [*self._ends.values()]:
                end.lost()
            self._ends.clear()
            self.lines.shut()

    def _take(self, message: RelayMessage) -> None:
        match message:
            case Reserve():
                self.lines.reply(self._server.reserve(self, message))
            case Connect(number):
                self._begin(number)
                self._server.connect(self, message)
            case Incoming(number):
                self._begin(number)
                self._accept(message)
            case Status(number):
                if (end := self._end_of(number)) is not None:
                    self._note(message.observed)
                    end.answered(message)
            case Data(number, data):
                if (end := self._end_of(number)) is not None:
                    end.received(data)
            case Window(number, credit):
                if (end := self._end_of(number)) is not None:
                    end.granted(credit)
            case Close(number, code):
                if (end := self._end_of(number)) is not None:
                    end.closed(code)
            case Reserved():
                pass  # goes to who waits for it

    def _note(self, observed: str) -> None:
        with suppress(ValueError):
            address = Address.parse(observed)
            self.observed = address if address.ip else self.observed

    def _begin(self, number: int) -> None:
        """The peer uses a new number."""
        if number % 2 == self._next % 2 or number <= self._last:
            raise RemoteProtocolError(f"circuit {number} is not a new number of this peer's")
        self._last = number

    def _end_of(self, number: int) -> End | None:
        ours = number % 2 == self._next % 2
        if number not in self._ends and number >= (self._next if ours else self._last + 1):
            raise RemoteProtocolError(f"circuit {number} was never opened")
        return self._ends.get(number)

    def _accept(self, message: Incoming) -> None:
        try:
            initiator = PublicKey.from_bytes(message.initiator)
        except DecodingError as error:
            raise RemoteProtocolError(f"a circuit from no key: {error}") from None
        on_circuit = self._on_circuit
        if on_circuit is None or len(self._incoming) >= _MOST_INCOMING:
            self.lines.reply(Status(message.number, Code.PERMISSION_DENIED if on_circuit is None else Code.LIMIT))
            return
        line = Line(self.lines, message.number)
        stream = CircuitStream(line, self.drop, is_open=True)
        self.add(message.number, stream)
        self._incoming.add(message.number)
        line.open(Status(message.number, Code.OK))
        on_circuit(stream, initiator)
