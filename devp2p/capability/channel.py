"""What a capability talks through: a `Channel` of typed, ordered messages to one peer.

Messages are encoded by the task that sends them, so that a bad one raises where it was made, and decoded by the task that takes them,
in steps if they are large. Answers to `Channel.request` go past the inbox to whoever waits for them.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, cast

import trio
from typing_extensions import TypeVar

from devp2p import rlp
from devp2p.arguments import number
from devp2p.bounded import Recent
from devp2p.capability.budget import HeldUp
from devp2p.capability.messages import MessageTable, R, Request, Response
from devp2p.capability.queues import Inbox, Outbox, Turn
from devp2p.capability.receipts import Receipts, Taken
from devp2p.capability.traffic import Backlog, TrafficCounter
from devp2p.conduct import ConductReport
from devp2p.errors import LocalProtocolError, PeerDisconnected, RemoteProtocolError
from devp2p.limits import Limits
from devp2p.wire import ALWAYS_FITS, MessageReceived, Outgoing

M = TypeVar("M")

_SHORT = 2048
"""Bytes of a message that are decoded at once: they hold too few items to keep anybody waiting."""
_REMEMBERED = 1024  # request ids that were given up, or that a plugin chose itself, whose answers may yet come


class _Waiter:
    """A request that waits for its answer."""

    __slots__ = ("answer", "done", "expected", "received", "size", "tell")

    def __init__(self, expected: type[Response]) -> None:
        self.expected = expected
        self.answer: Response | None = None
        self.size = 0
        self.received: MessageReceived | None = None
        self.tell: Taken | None = None
        self.done = trio.Event()


class Channel(Generic[M]):
    """The messages of one capability to and from one peer.

    Iterate it for what comes, ``await channel.send(...)`` what goes. When the session ends, what had arrived can still be taken, then
    iteration and every other method raise `PeerDisconnected`.
    """

    def __init__(  # noqa: PLR0913  (made in one place, by the session)
        self,
        table: MessageTable,
        outbox: Outbox,
        inbox: Inbox,
        limits: Limits,
        *,
        index: int,
        fits: Callable[[int, int, bytes], bool],
        request_timeout: float,
        ready_at_once: bool,
    ) -> None:
        self.conduct: ConductReport = ConductReport()
        """Report the peer's conduct here."""
        self.traffic: TrafficCounter = TrafficCounter()
        """Counts what goes through the channel; the session reports it."""
        self._table = table
        self._outbox = outbox
        self._inbox = inbox
        self._index = index
        self._fits = fits
        self._request_timeout = request_timeout
        self._end: PeerDisconnected | None = None
        self._is_handle = ready_at_once
        self._handle: object = None
        self._ready = trio.Event()
        if ready_at_once:
            self._ready.set()
        self._next_id = 1
        self._waiters: dict[int, _Waiter] = {}
        self._abandoned: Recent[int, None] = Recent(_REMEMBERED)  # our own numbers, as the next: strangers cannot make them collide
        self._matched_by_plugin: Recent[int, None] = Recent(_REMEMBERED)
        self._asking = trio.Semaphore(limits.pending_requests)
        self._iterating: trio.lowlevel.Task | None = None
        self.always_fits: int = ALWAYS_FITS
        """Bytes of a message of which the line need not be asked whether it fits."""
        self.credit: Callable[[int], int | None] = _no_credit
        """How many bytes of a capability, by its index, the peer takes at the moment: see `session.line.Line.credit`."""
        self.receipts: Receipts = Receipts(inbox)
        """Tell the line what was taken of what it delivered."""

    # What a plugin calls

    async def send(self, message: M) -> None:
        """Queue a message; returns at once while there is room, else waits for it.

        The answer to a `Request` that is sent like this, with an id of the plugin's choice, comes as one of the messages that one
        iterates. Raises LocalProtocolError for a message that is not one of the capability's, does not fit its schema or is too large, and
        PeerDisconnected after the end.
        """
        await self._send(message)

    async def receive(self) -> M:
        """Take the next message, waiting for it. RemoteProtocolError if it does not fit its schema, PeerDisconnected after the end."""
        received = await self._inbox.get()
        receipts = self.receipts
        tell = None if receipts.taken is None else receipts.next()
        data = received.decompress()
        if len(data) <= _SHORT:
            if tell is not None:
                tell(received)
            return cast("M", self._table.decode(received.code, data))
        try:
            message = await self._decode_in_steps(received.code, data, self._inbox.turn)
        except trio.Cancelled:
            self._inbox.put_back(received)
            receipts.put_back(tell)
            raise
        receipts.give(tell, received)
        return cast("M", message)

    def __aiter__(self) -> "Channel[M]":
        return self

    async def __anext__(self) -> M:
        self._iterating = trio.lowlevel.current_task()
        return await self.receive()

    async def request(self, request: Request[R], *, timeout: float | None = None) -> R:  # noqa: ASYNC109  (it is counted, not only awaited)
        """Send a request and return its answer.

        `timeout` is in seconds from when the request is queued, by default the capability's ``request_timeout``; when it passes,
        trio.TooSlowError is raised, the timeout is counted in the peer's conduct, and an answer may still come, once, to be ignored. Raises
        LocalProtocolError in a task that iterates this channel: while it waited it could serve nobody, and two such peers would wait for
        each other for ever.
        """
        if self._end is not None:
            raise self._end.again()
        if self._iterating is trio.lowlevel.current_task():
            raise LocalProtocolError("request() would block the task that iterates the channel; start a task for it, or use receive()")
        if timeout is not None:
            number(timeout, "timeout of a request", zero=True, infinite=True)
        waiter = _Waiter(self._table.answer_to(request))
        limit = self._request_timeout if timeout is None else timeout
        async with self._asking:
            while self._matched_by_plugin.has(self._next_id):
                self._next_id += 1
            own_id, self._next_id = self._next_id, self._next_id + 1
            self._waiters[own_id] = waiter
            try:
                await self._send(dataclasses.replace(request, request_id=own_id), number=own_id)
                started = trio.current_time()
                with trio.move_on_after(limit):
                    await waiter.done.wait()
            finally:
                del self._waiters[own_id]
                self._inbox.release(waiter.size)
                if waiter.received is not None:
                    self.receipts.give(waiter.tell, waiter.received)
                if waiter.answer is None:
                    self._abandoned.set(own_id, None)
        if waiter.answer is not None:
            self.conduct.latency(trio.current_time() - started)
            return cast("R", waiter.answer)
        if self._end is not None:
            raise self._end.again()
        self.conduct.timed_out()
        raise trio.TooSlowError(f"no answer to {type(request).__name__} within {limit:g} s")

    def ready(self, handle: object) -> None:
        """Publish what ``peer[Capability]`` returns from now on; for capabilities that declare ``ready_within``.

        Raises LocalProtocolError the second time, PeerDisconnected after the end.
        """
        if self._end is not None:
            raise self._end.again()
        if self._ready.is_set():
            why = "declare ready_within to publish a handle" if self._is_handle else "the channel is ready already"
            raise LocalProtocolError(why)
        self._handle = handle
        self._ready.set()

    # What the session and the peer call

    @property
    def is_ready(self) -> bool:
        """Whether there is a handle that can be used."""
        return self._ready.is_set() and self._end is None

    @property
    def is_over(self) -> bool:
        """Whether the session, or this capability's part in it, has ended."""
        return self._end is not None

    async def wait_ready(self) -> None:
        """Wait for a handle; PeerDisconnected if the session ends first."""
        await self._ready.wait()
        if self._handle is None and not self._is_handle and self._end is not None:
            raise self._end.again()

    @property
    def handle(self) -> object:
        """What ``peer[Capability]`` is; LocalProtocolError before it is ready, PeerDisconnected after the end."""
        if self._end is not None:
            raise self._end.again()
        if self._is_handle:
            return self
        if self._handle is None:
            raise LocalProtocolError("the capability has not finished its handshake with this peer; await peer.ready(...)")
        return self._handle

    def offer(self, received: MessageReceived) -> bool:
        """Take a message from the session's reader into the inbox; False if it is an answer, or there is no room: see `deliver`."""
        return received.code not in self._table.answers and self._inbox.put(received)

    async def deliver(self, received: MessageReceived, turn: Turn) -> bool:
        """Take any message from the session's reader, and decode it if it is an answer; False if there is no room (see `wait_room`).

        `turn` is the reader's.

        Raises RemoteProtocolError for an answer to what was never asked.
        """
        if received.code not in self._table.answers:
            return self._inbox.put(received)
        data = received.decompress()
        number = rlp.first_uint(data)
        if not self._matched_by_plugin.has(number):
            await self._answer(received, data, number, turn)
            return True
        taken = self._inbox.put(received)
        if taken:
            self._matched_by_plugin.pop(number)
        return taken

    async def wait_room(self, received: MessageReceived, patience: float, held_up: HeldUp | None = None) -> bool:
        """Wait until there may be room for a message that was not taken; False if none was made for `patience` seconds."""
        with trio.move_on_after(patience) as scope:
            await self._inbox.wait_room(len(received.data), held_up)
        return not scope.cancelled_caught

    async def wait_usual(self, patience: float) -> None:
        """Wait until no more is unread than an inbox without credit holds; not while nothing is taken for `patience` seconds."""
        while self._inbox.is_beyond_bounds:
            with trio.move_on_after(patience) as scope:
                await self._inbox.wait_taken()
            if scope.cancelled_caught:
                return

    async def wait_taken(self) -> None:
        """Wait until all that was delivered has been taken, or nothing more can be."""
        await self._inbox.wait_empty()

    @property
    def backlog(self) -> Backlog:
        """What waits in its queues."""
        index, outbox = self._index, self._outbox
        return Backlog(len(self._inbox), self._inbox.bytes, *outbox.waiting(index), outbox.waiting_by_lane(index), self.credit(index))

    @property
    def oldest(self) -> MessageReceived | None:
        """The message that is taken next, if one waits."""
        return self._inbox.oldest

    @property
    def unread_bytes(self) -> int:
        """Bytes that have arrived and were not taken."""
        return self._inbox.bytes

    def close(self, end: PeerDisconnected) -> None:
        """Let everybody who waits know that the session has ended."""
        if self._end is None:
            self._end = end
            self._inbox.close(end)
            self._ready.set()
            for waiter in self._waiters.values():
                waiter.done.set()

    def retire(self) -> None:
        """The capability is done, and the session goes on: what the inbox holds, and what still comes, counts as taken."""
        self._inbox.discard(self.receipts.dropped)

    def discard(self) -> None:
        """Give back what the inbox holds, once nobody is left to read it, and let go of what may refer to this channel."""
        self._inbox.discard()
        self.receipts.begin(None)
        self._handle = self._iterating = None
        self._fits, self.credit = _nothing_fits, _no_credit

    async def _send(self, message: object, *, number: int | None = None) -> None:
        """Queue a message; `number` is the id that `request` gave it."""
        if self._end is not None:
            raise self._end.again()
        code, lane, data = self._table.encode(message)
        if len(data) > self.always_fits and not self._fits(self._index, code, data):
            if self._end is not None:
                raise self._end.again()
            raise LocalProtocolError(f"{self._table.spec.offer}: {type(message).__name__} of {len(data)} bytes does not fit into a frame")
        if number is None and isinstance(message, Request):
            if message.request_id in self._waiters or self._matched_by_plugin.has(message.request_id):
                raise LocalProtocolError(f"request id {message.request_id} is in use")
            self._matched_by_plugin.set(message.request_id, None)
        await self._outbox.put(Outgoing(code, data, self._index), lane)

    async def _decode_in_steps(self, code: int, data: bytes, turn: Turn) -> Any:  # noqa: ANN401  (the caller knows the type)
        """Decode a message of any size, and let other tasks have their turn meanwhile."""
        steps = self._table.decode_in_steps(code, data)
        if turn.is_over:  # to inflate a large one has taken long enough
            await turn.end()
        try:
            while True:
                next(steps)
                if turn.is_over:
                    await turn.end()
        except StopIteration as done:
            return done.value

    async def _answer(self, received: MessageReceived, data: bytes, number: int, turn: Turn) -> None:
        """Give an answer to whoever waits for it."""
        waiter = self._waiters.get(number)
        if waiter is None and self._abandoned.has(number):
            self._abandoned.pop(number)  # it comes too late, but once it may
            self.receipts.give(self.receipts.taken, received)
            return
        if waiter is None or waiter.answer is not None:
            raise RemoteProtocolError(f"an answer came to request {number}, for which nobody waits")
        is_short = len(data) <= _SHORT
        answer: Any = self._table.decode(received.code, data) if is_short else await self._decode_in_steps(received.code, data, turn)
        if self._waiters.get(number) is not waiter:
            self._abandoned.pop(number)  # it was given up meanwhile
            self.receipts.give(self.receipts.taken, received)
            return
        if type(answer) is not waiter.expected:
            raise RemoteProtocolError(f"request {number} wants a {waiter.expected.__name__}, not a {type(answer).__name__}")
        waiter.answer = answer
        waiter.size = len(received.data)
        if self.receipts.taken is not None:
            waiter.received, waiter.tell = received, self.receipts.taken
        self._inbox.reserve(waiter.size)
        waiter.done.set()


def _no_credit(_index: int) -> int | None:
    return None


def _nothing_fits(_index: int, _code: int, _data: bytes) -> bool:
    return False
