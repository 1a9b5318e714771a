"""What drives the bytes of a session: reads, writes, keeps alive. It knows no capability, and the session knows no streams.

Theory of operation. A `Line` gets what is to be sent from the session's `Outbox`, and gives what comes to its `Side`; how, is its own
business. `stream_line` does all of it over one byte stream, as RLPx does, `mux_line` over one for each capability.

A line may be replaced while the session runs (`running.RunningSession.move`). Its last message is then marked (`wire.base.LAST`), so that
the receiver knows when it has everything.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Protocol

import trio
from trio.abc import HalfCloseableStream

from devp2p import wire
from devp2p.capability import Arriving, Budget, Channel, Gate, Outbox, Shares, Turn
from devp2p.errors import DisconnectReason, PeerDisconnected, RemoteProtocolError
from devp2p.limits import Limits
from devp2p.session.opening import CHUNK, Session


class Side(Protocol):
    """What a line knows of the session that it serves."""

    limits: Limits
    budget: Budget
    outbox: Outbox
    """What is to be sent."""
    shares: Shares
    """What the session has of the node's bandwidth."""

    @property
    def is_over(self) -> bool:
        """Whether the session has begun to end."""
        ...

    def channel(self, index: int, /) -> Channel[Any]:
        """The channel of a shared capability."""
        ...

    async def deliver(self, message: wire.MessageReceived, turn: Turn) -> bool:
        """Give a message that `Channel.offer` did not take to its capability; False if there is no room for it. `turn` is the caller's."""
        ...

    async def wait_room(self, message: wire.MessageReceived, patience: float) -> bool:
        """Wait until there may be room for a message; after `patience` seconds the session ends, for that capability's sake: False.

        With more patience than ``limits.inbox_patience`` the session also ends when others need what it takes of the node's budget.
        """
        ...

    def give_up(self, index: int, /) -> None:
        """End the session, for the sake of others that need the room: a capability has left unread what came to it."""

    async def wait_taken(self) -> None:
        """Wait a moment until the capabilities have taken what was delivered."""

    def alive(self, latency: float) -> None:
        """The peer has answered a Ping after so many seconds."""

    def end(self, end: PeerDisconnected) -> None:
        """Begin to end the session; only the first call counts."""

    def fault(self, error: RemoteProtocolError) -> None:
        """The peer broke the rules."""

    def lost(self, detail: str, *, by_remote: bool = True) -> None:
        """The peer is gone, and did not say why."""


class Line(Protocol):
    """Moves the messages of one session. Each method is called by one task at a time."""

    @property
    def farewell(self) -> int | None:
        """The reason of the peer's Disconnect, once it has come."""
        ...

    async def send(self) -> bool:
        """Send what the outbox gives until it gives None; then, if it `is_paused`, mark that nothing more comes over this line.

        False if that is all: the session has ended and all is sent, or the link is broken; True if it was paused, and may go on.
        """
        ...

    async def receive(self) -> None:
        """Deliver what comes until the link ends, and tell the session how it did."""

    async def keep_alive(self) -> None:
        """See that the peer is there, and end the session if it is not."""

    async def wait_last(self) -> None:
        """Wait until the peer has marked its last message on this line, and all before it was delivered."""

    @property
    def always_fits(self) -> int:
        """Bytes of a message of which any can be sent, so that nobody need ask whether it `fits`."""
        ...

    def fits(self, index: int, code: int, data: bytes) -> bool:
        """Whether a message of a capability can be sent at all."""
        ...

    def credit(self, index: int) -> int | None:
        """How many bytes of a capability's messages the peer takes at the moment; None on a line where it has no say."""
        ...

    @property
    def taken(self) -> Callable[[wire.MessageReceived], None] | None:
        """Is told that a capability has taken a message: the very object that this line delivered, which may be of a class of its own.

        None if it need not know; then nothing is done for each message.
        """
        ...

    async def hang_up(self) -> None:
        """Close our direction, and wait until the peer has closed its own."""

    async def aclose(self) -> None:
        """Close the link at once, cancelled or not."""


LineMaker = Callable[[Session, Side], Line]
"""Makes the line of a session; its class does."""


@contextmanager
def receiving(side: Side) -> Generator[None]:
    """Tell the session what ended the receiving of a stream."""
    try:
        yield
    except RemoteProtocolError as error:
        side.fault(error)
    except trio.TooSlowError:
        side.fault(RemoteProtocolError("a frame came too slowly", reason=DisconnectReason.NETWORK_ERROR))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        side.lost("the link broke")


@contextmanager
def sending(side: Side) -> Generator[None]:
    """Tell the session what ended the sending over a stream."""
    try:
        yield
    except trio.TooSlowError:
        side.lost(f"the peer took no data for {side.limits.write_timeout:g} s", by_remote=False)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        side.lost("the link broke")


class Incoming:
    """The bytes of one stream, with the limits for slow frames."""

    def __init__(self, stream: HalfCloseableStream, source: "wire.Connection | wire.Framing", side: Side, gate: Gate | None = None) -> None:
        """`source`: what takes the bytes, and says how far its frames have come. `gate`: what counts them."""
        self._stream = stream
        self._gate = gate
        self._most = CHUNK if gate is None else gate.quantum
        self._source = source
        self._arriving = Arriving(side.limits, side.budget, side.end)

    async def receive(self) -> bytes | bytearray:
        """Wait for data, empty at the end; inside a frame, no longer than the limits for slow frames allow (TooSlowError)."""
        if not self._source.in_frame:
            data = await self._stream.receive_some(self._most)
        else:
            started = trio.current_time()
            with trio.fail_after(self._arriving.patience(self._source.frames)):
                data = await self._stream.receive_some(self._most)
            self._arriving.progressed(len(data), trio.current_time() - started)
        if self._gate is not None:
            self._gate.spent(None, len(data))
        return data

    def hold(self) -> None:
        """Count what is held of a frame that is not complete."""
        self._arriving.hold(self._source.unfinished)

    def close(self) -> None:
        """Nothing more is received."""
        self._arriving.close()
