"""The life of a session: its capabilities run until it ends, and how it ended. What moves bytes is its `line.Line`.

Theory of operation. The tasks of a session:

    line.send              shielded, so that a farewell can still be said
    work nursery
    ├─ line nursery        line.receive, line.keep_alive
    └─ capability.run      one task for each shared capability

Every way to end goes through `RunningSession.end`, and the first one wins: the peer's Disconnect, a fault of the peer, a capability that
returns or fails, silence, our own wish, cancellation from outside. It closes the channels, so that the capabilities see
PeerDisconnected; hands the line a last Disconnect; stops it receiving; and gives the capabilities a moment to finish.

Another line. `move` lets a session go on over another link. Each side stops sending, marks its last message on the old line, and sends on
the new one when it has the other's mark; so no message is lost, comes twice, or overtakes another. If the new link fails before a side has
both marks, it keeps the old one, and takes its mark back; nothing was sent over the new one by then. The old link is closed when both have
left it, since a mark that is still on its way would be lost with it.
"""

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

import trio

from devp2p.capability import AnyCapability, Budget, Channel, HeldUp, Inbox, Outbox, Peer, Shares, Turn
from devp2p.errors import DisconnectReason, LocalProtocolError, PeerDisconnected, RemoteProtocolError
from devp2p.limits import Limits
from devp2p.session.line import Line
from devp2p.session.lines import line_of
from devp2p.session.opening import Session
from devp2p.transports import facts_of
from devp2p.wire import MessageReceived, Outgoing, base

_MOST_DETAIL = 500  # characters of a complaint that are kept: a plugin may quote the message that it complains of

_logger = logging.getLogger(__name__)


async def run_session(
    session: Session,
    *,
    on_ready: Callable[[Peer, AnyCapability], None] = lambda _peer, _capability: None,
    on_start: "Callable[[RunningSession], None]" = lambda _: None,
) -> PeerDisconnected:
    """Run the shared capabilities until the session ends, close the link, and return how it ended.

    `on_ready` is told of each capability that becomes ready, `on_start` of the session, with its `Peer`, before any capability runs.
    """
    try:
        running = RunningSession(session, on_ready)
        on_start(running)
    except BaseException:
        await session.close()
        raise
    try:
        await running.run()
    finally:
        running.peer.gone(running.ending)
    return running.ending


class RunningSession:
    """A session whose capabilities run, and how it comes to its end. `run_session` makes it."""

    def __init__(self, session: Session, on_ready: Callable[[Peer, AnyCapability], None]) -> None:
        self.limits: Limits = session.local.limits
        self.budget: Budget = session.local.budget or Budget(self.limits.total_inbox_bytes)
        """What the bytes that have come, and were not taken, are counted in."""
        shared = session.shared
        self.outbox: Outbox = Outbox([capability.weight for capability, _ in shared], self.limits)
        """What the capabilities want to send."""
        self.shares: Shares = Shares(session.local.bandwidth, [capability.name for capability, _ in shared])
        self._strict, self._on_ready = session.local.strict, on_ready
        self._public_key = session.public_key
        self._offers = session.connection.space.shared
        self._by_index: list[tuple[AnyCapability, Channel[Any]]] = []
        for index, (capability, table) in enumerate(shared):
            channel: Channel[Any] = Channel(
                table,
                self.outbox,
                Inbox(*capability.inbox_limits(self.limits), self.budget),
                self.limits,
                index=index,
                fits=self._fits,
                request_timeout=capability.request_timeout,
                ready_at_once=capability.ready_within is None,
            )
            self._by_index.append((capability, channel))
        self.channel: Callable[[int], Channel[Any]] = [channel for _, channel in self._by_index].__getitem__
        """The channel of a shared capability, by its index."""
        self._running = len(shared)
        self._end: PeerDisconnected | None = None
        self._work = trio.CancelScope()
        self._receiving = trio.CancelScope()
        self._writing = trio.CancelScope(shield=True)
        self._written = trio.Event()
        self._moving, self._marking = False, trio.CancelScope()
        self._moves_last = False  # it has ended with more to send, and moves first
        self._stopped, self._go_on = trio.Event(), trio.Event()  # nothing is sent over a line that is to be left; set but while it moves
        self._go_on.set()
        self._left = trio.Event()  # nothing is received any more over a line that was left
        self._line: Line = self._use(session)
        self.peer: Peer = Peer(
            session.hello,
            facts_of(session.link),
            self._by_index,
            inbound=session.inbound,
            since=trio.current_time(),
            profile=session.profile,
            end=self.end,
        )
        """The other end, as capabilities see it."""

    @property
    def is_over(self) -> bool:
        """Whether it has begun to end, and receives no more."""
        return self._end is not None and not self._moves_last

    @property
    def ending(self) -> PeerDisconnected:
        """How the session ended."""
        return self._end or PeerDisconnected(DisconnectReason.CLIENT_QUITTING, by_remote=False)

    async def run(self) -> None:
        """Run until the end."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send)
            try:
                with self._work:
                    async with trio.open_nursery() as work:
                        work.start_soon(self._run_line)
                        for capability, channel in self._by_index:
                            work.start_soon(self._announce, capability, channel)
                            work.start_soon(self._run_capability, capability, channel)
            finally:
                self.end(self.ending)
                await self._close()

    def end(self, end: PeerDisconnected, *, flush: bool = False) -> None:
        """Begin to end the session; only the first call counts. With `flush`, what is queued is still sent."""
        if self._end is not None:
            return
        self._end = end
        last = None if end.by_remote else Outgoing(base.DISCONNECT, base.encode_disconnect(end.reason))
        self.outbox.finish(end, last, flush=flush)
        for _, channel in self._by_index:
            channel.close(end)
        self.shares.release()
        soon = trio.current_time() + self.limits.closing_timeout / 2
        self._moves_last = flush and self._moving and self._stopped.is_set()  # the peer may have left the old line already
        if self._moves_last:
            self._marking.deadline = min(self._marking.deadline, soon)
        else:
            self._go_on.set()
            self._receiving.cancel()
        self._work.deadline = soon

    async def _close(self) -> None:
        """Let the line say farewell, for as long as it may take, and close it."""
        with trio.CancelScope(shield=True):
            with trio.move_on_after(self.limits.closing_timeout):
                await self._written.wait()
                if not self.ending.by_remote:
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the peer may be faster
                        await self._line.hang_up()
            self._writing.cancel()
            await self._line.aclose()
        for _, channel in self._by_index:
            channel.discard()
        del self._line  # which holds this session: objects that hold each other would wait for the garbage collector

    # The line

    async def _send(self) -> None:
        with self._writing:
            try:
                while await self._line.send():
                    if self.outbox.is_paused:
                        self._stopped.set()
                    await self._go_on.wait()
            finally:
                self._written.set()

    async def _run_line(self) -> None:
        line = None
        while self._line is not line and self._end is None:
            line = self._line
            try:
                with trio.CancelScope() as self._receiving:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(line.receive)
                        nursery.start_soon(line.keep_alive)
            finally:
                self._left.set()

    async def move(self, other: Session) -> bool:
        """Go on over another link to the same peer, who does the same; False if that link failed first, and this one is kept.

        `other`: opened over that link, and not running; it is closed if it is not taken. LocalProtocolError if it is with another peer,
        shares other capabilities, or another move is under way. PeerDisconnected if the session ends meanwhile.

        Who cancels this, or waits for longer than ``limits.handshake_timeout``, keeps the old link. If the peer has left it just then, the
        session ends.
        """
        if self._end is not None:
            await other.close()
            raise self._end.again()
        if other.public_key != self._public_key or other.connection.space.shared != self._offers or self._moving:
            await other.close()
            raise LocalProtocolError("a session moves to another link of the same peer with the same capabilities, one at a time")
        old, self._moving, self._stopped, self._go_on = self._line, True, trio.Event(), trio.Event()
        both = trio.Event()
        try:
            self.outbox.pause()
            await self._wait_marked(old, other, both)
        finally:
            self._moving = False
            taken = both.is_set() and not self.is_over
            self._moves_last = False
            if taken:
                self._left = trio.Event()
                self._line = self._use(other)
                self.peer.moved(facts_of(other.link), other.profile)
            else:
                self.outbox.put_base(base.LAST, base.encode_last(0))  # the mark, if it was sent, must not count in a later move
            if taken or self._end is not None:
                self._receiving.cancel()
            self.outbox.resume()
            self._go_on.set()
            await (self._leave(old) if taken else self._give_up(other))
        if self._end is not None and not taken:
            raise self._end.again()
        return taken

    async def _leave(self, old: Line) -> None:
        """Close the old line when the peer has left it, too: our mark may still be on its way, and is lost with the link."""
        with trio.move_on_after(self.limits.closing_timeout, shield=True):
            await self._left.wait()
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the peer may be faster
                await old.hang_up()
        await old.aclose()

    async def _give_up(self, other: Session) -> None:
        """Close a new line that is not taken. A peer that has taken it has left the old one, and hears here how the session ended."""
        if self._end is not None and not self._end.by_remote:
            with trio.move_on_after(self.limits.closing_timeout / 2, shield=True):
                await other.refuse(self._end.reason)
        await other.close()

    async def _wait_marked(self, old: Line, other: Session, both: trio.Event) -> None:
        """Wait until `both` sides have sent their last message on the old line, or the new link has failed."""

        async def watch(scope: trio.CancelScope) -> None:
            with suppress(PeerDisconnected, RemoteProtocolError):
                await other.wait_farewell()
            scope.cancel()

        async def watch_end(scope: trio.CancelScope) -> None:
            await self._written.wait()
            scope.cancel()

        with trio.move_on_after(self.limits.handshake_timeout) as self._marking:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch, nursery.cancel_scope)
                nursery.start_soon(watch_end, nursery.cancel_scope)
                await self._stopped.wait()
                await old.wait_last()
                both.set()
                nursery.cancel_scope.cancel()

    def _fits(self, index: int, code: int, data: bytes) -> bool:
        return self._line.fits(index, code, data)

    def _use(self, session: Session) -> Line:
        line = line_of(session, self)
        for _, channel in self._by_index:
            channel.receipts.begin(line.taken)
            channel.always_fits, channel.credit = line.always_fits, line.credit
        return line

    # What the line tells: see `line.Side`

    async def deliver(self, message: MessageReceived, turn: Turn) -> bool:
        """Give a message to its capability, or an answer to who waits for it; False if there is no room. `turn` is the caller's."""
        capability, channel = self._by_index[message.capability]
        try:
            return await channel.deliver(message, turn)
        except Exception as error:  # noqa: BLE001  (an answer is decoded here, by classes of the plugin's)
            self._judge(capability, error)
            return True

    async def wait_room(self, message: MessageReceived, patience: float) -> bool:
        """Wait until there may be room for a message.

        If none was made for `patience` seconds, the session ends with a reason that names the capability: False. With more patience than
        ``limits.inbox_patience`` it also ends when others need what it takes of the node's budget.
        """
        (capability, channel), most = self._by_index[message.capability], self.limits.inbox_patience
        give_up = partial(self.give_up, message.capability)
        held_up = HeldUp(len(message.data), trio.current_time() + most, give_up) if patience > most else None
        if not (found := await channel.wait_room(message, patience, held_up)):
            self._leave_unread(capability, channel)
        return found

    def give_up(self, index: int) -> None:
        """See `line.Side`."""
        self._leave_unread(*self._by_index[index])
        self.channel(index).discard()

    def _leave_unread(self, capability: AnyCapability, channel: Channel[Any]) -> None:
        if self._line.farewell is not None:  # it has left, and said why
            self.end(PeerDisconnected(self._line.farewell, by_remote=True))
        else:
            detail = f"{capability.name}/{capability.version} left {channel.unread_bytes} bytes unread"
            self.end(PeerDisconnected(DisconnectReason.SUBPROTOCOL_ERROR, by_remote=False, detail=detail))

    async def wait_taken(self) -> None:
        """Give the capabilities a moment to take what the peer sent before it left: after the end they could not even greet it."""
        with trio.move_on_after(self.limits.closing_timeout / 2):
            for _, channel in self._by_index:
                await channel.wait_taken()

    def alive(self, latency: float) -> None:
        """The peer has answered a Ping after so many seconds."""
        self.peer.latency = latency

    def fault(self, error: RemoteProtocolError) -> None:
        """The peer broke the rules: the session ends with the error's reason."""
        detail = str(error)
        if len(detail) > _MOST_DETAIL:
            detail = f"{detail[:_MOST_DETAIL]}…"
        _logger.info("%r broke the rules: %s", self.peer, base.printable(detail))
        self.end(PeerDisconnected(error.reason, by_remote=False, detail=detail))

    def lost(self, detail: str, *, by_remote: bool = True) -> None:
        """The peer is gone, and did not say why."""
        if self._end is not None or self._line.farewell is not None:
            return  # the peer has left, as it said: the line delivers what came before the farewell, and then ends the session
        self.end(PeerDisconnected(DisconnectReason.NETWORK_ERROR, by_remote=by_remote, detail=detail))

    # The capabilities

    async def _run_capability(self, capability: AnyCapability, channel: Channel[Any]) -> None:
        try:
            await capability.run(self.peer, channel)
        except BaseException as error:  # noqa: BLE001  (a plugin's fault ends this session and no other; see _deliver for the other place)
            self._judge(capability, error)
        self._running -= 1
        if not capability.optional or not self._running:
            detail = f"{capability.name}/{capability.version} is done"
            self.end(PeerDisconnected(DisconnectReason.REQUESTED, by_remote=False, detail=detail), flush=True)
        else:
            over = PeerDisconnected(DisconnectReason.REQUESTED, by_remote=False, detail=f"{capability.name} is done with this peer")
            channel.close(over)
            channel.retire()

    async def _announce(self, capability: AnyCapability, channel: Channel[Any]) -> None:
        within = math.inf if capability.ready_within is None else capability.ready_within
        try:
            with trio.fail_after(within):
                await channel.wait_ready()
        except trio.TooSlowError:
            detail = f"{capability.name}/{capability.version} was not ready within {within:g} s"
            self.end(PeerDisconnected(DisconnectReason.SUBPROTOCOL_ERROR, by_remote=False, detail=detail))
        except PeerDisconnected:
            pass  # it will never be ready
        else:
            self._on_ready(self.peer, capability)

    def _judge(self, capability: AnyCapability, error: BaseException) -> None:
        """Turn what came out of a plugin into the session's end; what is not the session's to handle goes on."""
        where = f"{capability.name}/{capability.version}"
        passing: list[BaseException] = []
        for leaf in _leaves(error):
            if isinstance(leaf, RemoteProtocolError):
                self.fault(leaf)
            elif isinstance(leaf, PeerDisconnected) and self._end is not None:
                pass  # it let the end of its channel end it, as most do
            elif not isinstance(leaf, Exception):
                passing.append(leaf)  # cancellation, KeyboardInterrupt
            elif self._strict:
                raise error
            else:
                _logger.error("%s failed; its session with %r ends", where, self.peer, exc_info=leaf)
                detail = f"{where} failed: {type(leaf).__name__}"
                self.end(PeerDisconnected(DisconnectReason.SUBPROTOCOL_ERROR, by_remote=False, detail=detail))
        if passing:
            raise passing[0] if len(passing) == 1 else BaseExceptionGroup(where, passing)


def _leaves(error: BaseException) -> list[BaseException]:
    """The exceptions in a group, and in the groups in it; of any other exception, itself."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    group = cast("BaseExceptionGroup[BaseException]", error)
    return [leaf for inner in group.exceptions for leaf in _leaves(inner)]
