"""An SCTP association without input and output: aiortc's RTCSctpTransport, with what it needs around it.

Theory of operation. aiortc is written for asyncio, but of asyncio its SCTP needs a clock, timers, and somebody who runs coroutines that
never wait, since what it sends only goes into a queue here. So `_Loop` is all that there is of an event loop: no thread, no second loop
beside trio's, and nothing that would run by itself. The owner feeds packets, takes packets, and looks at the clock when a timer is due.

Of aiortc, names are used that it calls private, all of them here; tests/interop/test_sctp_aiortc.py names each. And some things are left to
whoever uses its SCTP: to look at what the peer sends (`vetting`), to keep to the room that the receiver has, to bound what waits.
"""

import asyncio
import heapq
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any, Final, TypeAlias, cast

import trio
from aiortc.rtcsctptransport import HeartbeatChunk, RTCSctpCapabilities, RTCSctpTransport

from devp2p.errors import RemoteProtocolError
from devp2p.transports.sctp.vetting import LEAST_FRAGMENT, MOST_MESSAGE, Standing, is_sound

PORT: Final = 5000
"""SCTP's ports mean nothing inside DTLS, and both sides have to use the same (RFC 8261; what WebRTC uses)."""
MOST_IN_FLIGHT: Final = 192 * 1024
"""Bytes that are sent and not acknowledged: what a receiver's UDP socket holds by default."""
MOST_QUEUED: Final = 64 * 1024
"""Bytes of all streams that wait for their turn to be sent; beyond it `has_room` is false."""
MOST_UNACKNOWLEDGED: Final = 1024
"""Fragments that are sent and not acknowledged; beyond it `has_room` is false. Half of what a receiver takes ahead."""
MOST_INCOMPLETE: Final = 4096
"""Fragments that are kept since something before them is missing."""
MOST_PIECES: Final = MOST_MESSAGE // LEAST_FRAGMENT
"""Fragments of one message."""
MOST_PACKETS: Final = 2048
"""Packets that wait for the socket; more are lost."""

_FRAGMENT: Final = 1160  # bytes of data in a full packet of aiortc's
_MOST_TIMERS: Final = 64
_SACKED_TOGETHER: Final = 2
_SACK_DELAY: Final = 0.02  # seconds
_States = RTCSctpTransport.State
_ENDING = _States.SHUTDOWN_PENDING, _States.SHUTDOWN_SENT, _States.SHUTDOWN_RECEIVED, _States.SHUTDOWN_ACK_SENT


Step: TypeAlias = Coroutine[Any, Any, object]
"""A coroutine that never waits."""


@contextmanager
def _running(loop: asyncio.AbstractEventLoop) -> Generator[None]:
    """Let a loop be the one that asyncio knows of.

    Once trio-asyncio has been imported, asyncio asks it instead wherever trio runs.
    """
    if trio.lowlevel.in_trio_task() and (other := sys.modules.get("trio_asyncio")) is not None:
        current: ContextVar[asyncio.AbstractEventLoop | None] = other.current_loop
        token = current.set(loop)
        try:
            yield
        finally:
            current.reset(token)
        return
    before = asyncio._get_running_loop()  # noqa: SLF001  (for implementers of loops: asyncio's documentation)
    asyncio._set_running_loop(loop)  # noqa: SLF001  (the same)
    try:
        yield
    finally:
        asyncio._set_running_loop(before)  # noqa: SLF001  (the same)


class _Loop:
    """As much of an event loop as `RTCSctpTransport` uses: see above."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.time: Callable[[], float] = clock
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self._ready: deque[Step] = deque()
        self._runs = False

    def run(self, step: Step) -> None:
        """Run a coroutine, and all that it leads to; within another one, after that."""
        self._ready.append(step)
        if self._runs:
            return
        self._runs = True
        try:
            with _running(self.as_asyncio):
                while self._ready:
                    self._take(self._ready.popleft())
        finally:
            self._runs = False
            while self._ready:
                self._ready.popleft().close()

    @property
    def as_asyncio(self) -> asyncio.AbstractEventLoop:
        """What asyncio takes it for."""
        return cast("asyncio.AbstractEventLoop", self)

    @property
    def deadline(self) -> float | None:
        """When the next timer is due."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    async def call_due(self) -> None:
        """Call what is due now."""
        now = self.time()
        while (deadline := self.deadline) is not None and deadline <= now:
            handle = heapq.heappop(self._timers)[2]
            handle._run()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (it is for loops to run them)

    def _take(self, step: Step) -> None:
        try:
            step.send(None)
        except StopIteration:
            return
        step.close()
        raise RuntimeError(f"aiortc waits for something in {step}, which it never did: another release of it is needed")

    # What asyncio and aiortc call

    def get_debug(self) -> bool:
        """See asyncio."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """See asyncio; it is told of a timer that failed."""
        raise RuntimeError(f"aiortc: {context.get('message')}: {context.get('exception')!r}")

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        """See asyncio."""
        when = self.time() + delay
        handle = asyncio.TimerHandle(when, callback, args, self.as_asyncio)
        if len(self._timers) >= _MOST_TIMERS:  # five are running at most; the others were cancelled
            self._timers = [timer for timer in self._timers if not timer[2].cancelled()]
            heapq.heapify(self._timers)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is left in the heap until it would be due, or until there are too many."""

    def create_task(self, coro: Step, **_: object) -> "asyncio.Future[None]":
        """See asyncio."""
        self._ready.append(coro)
        return asyncio.Future[None](loop=self.as_asyncio)


class _Carrier:
    """What `RTCSctpTransport` takes for its DTLS."""

    def __init__(self, *, is_client: bool, packets: deque[bytes]) -> None:
        self.state: str = "connected"
        self.transport: object = self  # ICE, of which the role is asked
        self.role: str = "controlling" if is_client else "controlled"
        self._role = "client" if is_client else "server"
        self._packets = packets

    def _register_data_receiver(self, receiver: object) -> None:
        """The association gets packets by `Association.feed`."""

    def _unregister_data_receiver(self, receiver: object) -> None:
        """The same."""

    async def _send_data(self, data: bytes) -> None:
        if len(self._packets) < MOST_PACKETS:
            self._packets.append(data)


class _Sctp(RTCSctpTransport):
    """Messages come out as they are, without data channels; and whoever uses it sees, and bounds, what aiortc keeps to itself."""

    def __init__(self, carrier: _Carrier, loop: _Loop, on_message: Callable[[int, bytes], None]) -> None:
        super().__init__(cast("Any", carrier), PORT)
        self._own_loop = loop
        self._on_message = on_message
        self._local_partial_reliability = False
        self._held = 0  # SACKs
        self._hold: asyncio.TimerHandle | None = None

    @property
    def association_state(self) -> RTCSctpTransport.State:
        return self._association_state

    @property
    def is_settled(self) -> bool:
        """Whether the peer has answered our INIT, so that what comes may be data, and no INIT of its own is of use any more."""
        return self._last_received_tsn is not None and self._association_state not in {_States.CLOSED, _States.COOKIE_WAIT}

    @property
    def queued(self) -> int:
        """Fragments that wait to be sent."""
        return len(self._outbound_queue)

    @property
    def unacknowledged(self) -> int:
        """Fragments that were sent."""
        return len(self._sent_queue)

    @property
    def is_overrun(self) -> bool:
        """Whether the peer has sent more in pieces than it may; where nothing is missing, a stream has no more than a message can have."""
        sizes = [len(stream.reassembly) for stream in self._inbound_streams.values()]
        return (
            self._advertised_rwnd < 0 or sum(sizes) > MOST_INCOMPLETE or (not self._sack_misordered and max(sizes, default=0) > MOST_PIECES)
        )

    def measure(self, standing: Standing) -> None:
        """Say by what the next packet is to be judged."""
        standing.established = self.is_settled
        standing.last_received = self._last_received_tsn or 0
        standing.next_sent = self._local_tsn

    def keep_to(self, window: int) -> None:
        """Have no more on its way than the peer has room for; aiortc's own does not look at that."""
        self._cwnd = min(self._cwnd, max(_FRAGMENT, min(MOST_IN_FLIGHT, window)))

    async def take(self, packet: bytes) -> None:
        await self._handle_data(packet)

    async def say(self, stream: int, message: bytes) -> None:
        await self._send(stream, 0, message)

    async def ask(self) -> None:
        heartbeat = HeartbeatChunk()
        heartbeat.params.append((1, b"devp2p"))
        await self._send_chunk(heartbeat)

    async def _receive(self, stream_id: int, pp_id: int, data: bytes) -> None:  # noqa: ARG002  (as aiortc calls it)
        self._on_message(stream_id, data)

    async def _send_sack(self) -> None:
        """Acknowledge every second packet, or after a moment (RFC 9260, section 6.2); at once when something is missing or came twice."""
        self._held += 1
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None
        if self._held < _SACKED_TOGETHER and not self._sack_misordered and not self._sack_duplicates:
            self._sack_needed = False
            self._hold = self._own_loop.call_later(_SACK_DELAY, self._sack_after_all)
            return
        self._held = 0
        await super()._send_sack()

    def _sack_after_all(self) -> None:
        if self._held and self._association_state is not _States.CLOSED:
            self._held = _SACKED_TOGETHER
            self._own_loop.run(self._send_sack())


class Association:
    """One association; `on_message` is called with the number of a stream and a message that came on it, whole and in order."""

    def __init__(self, *, is_client: bool, on_message: Callable[[int, bytes], None], clock: Callable[[], float]) -> None:
        """`is_client`: of DTLS. `clock` gives seconds."""
        self.packets: deque[bytes] = deque()
        """What is to be sent."""
        self._loop = _Loop(clock)
        self._standing = Standing()
        made = list[_Sctp]()

        async def make() -> None:
            made.append(_Sctp(_Carrier(is_client=is_client, packets=self.packets), self._loop, on_message))

        self._loop.run(make())  # it asks for the running loop
        self._sctp = made[0]

    def start(self) -> None:
        """Begin; both sides do so."""
        self._loop.run(self._sctp.start(RTCSctpCapabilities(maxMessageSize=0), PORT))

    @property
    def is_up(self) -> bool:
        """Whether messages can be sent."""
        return self._sctp.association_state is _States.ESTABLISHED

    @property
    def is_over(self) -> bool:
        """Whether it has ended, by the peer's will or ours, or is about to."""
        return self._sctp.state == "closed" or self._sctp.association_state in _ENDING

    @property
    def deadline(self) -> float | None:
        """When `tick` is to be called, by the clock."""
        return self._loop.deadline

    @property
    def has_room(self) -> bool:
        """Whether another message may be given to `send`."""
        return self._sctp.queued * _FRAGMENT < MOST_QUEUED and self._sctp.unacknowledged < MOST_UNACKNOWLEDGED

    @property
    def is_drained(self) -> bool:
        """Whether all that was sent is acknowledged."""
        return not self._sctp.queued and not self._sctp.unacknowledged

    def feed(self, packet: bytes) -> None:
        """Take a packet. RemoteProtocolError if the peer breaks the rules."""
        sctp, standing = self._sctp, self._standing
        sctp.measure(standing)
        if not is_sound(packet, standing):
            return
        try:
            self._loop.run(sctp.take(packet))
        except RemoteProtocolError:
            raise
        except Exception as error:
            raise RemoteProtocolError(f"an SCTP packet that makes no sense: {type(error).__name__} {error}") from error
        sctp.keep_to(standing.window)
        if sctp.is_overrun:
            raise RemoteProtocolError("more messages of SCTP in pieces than anybody has room for")
        if sctp.queued + sctp.unacknowledged > MOST_INCOMPLETE:
            raise RemoteProtocolError("more is asked for over SCTP than is taken")

    def send(self, stream: int, message: bytes) -> None:
        """Send a message of at least one byte."""
        self._loop.run(self._sctp.say(stream, message))

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self._loop.run(self._sctp.ask())

    def tick(self) -> None:
        """Do what is due."""
        self._loop.run(self._loop.call_due())

    def abort(self) -> None:
        """End it, and tell the peer."""
        self._loop.run(self._sctp.stop())
