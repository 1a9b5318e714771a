"""The life of a session: messages in both directions until it ends, and how it ended.

Theory of operation. The tasks of a session own what they touch, so there are no locks:

    writer              sole owner of the egress cipher and of send_all; shielded, so that a farewell can still be said
    work nursery
    ├─ line nursery
    │  ├─ reader        sole owner of the ingress cipher and of receive_some
    │  └─ keepalive     Ping, with a deadline for the Pong
    └─ capability.run   one task for each shared capability

Every way to end goes through `_Session.end`, and the first one wins: the peer's Disconnect, a fault of the peer, a capability that
returns or fails, silence, our own wish, cancellation from outside. It closes the channels, so that the capabilities see
PeerDisconnected; hands the writer a last Disconnect; stops the line; and gives the capabilities a moment to finish.
"""

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import trio

from devp2p.capability import AnyCapability, Arriving, Budget, Channel, Inbox, Outbox, Peer, Turn
from devp2p.errors import DisconnectReason, PeerDisconnected, RemoteProtocolError
from devp2p.session.opening import CHUNK, Session, hang_up
from devp2p.wire import Outgoing, base
from devp2p.wire import connection as wire

_EXCUSED = 4  # ping timeouts for which messages excuse a Pong that has not come; OpenEthereum waits as long for it
_MOST_DETAIL = 500  # characters of a complaint that are kept: a plugin may quote the message that it complains of

_logger = logging.getLogger(__name__)


async def run_session(
    session: Session,
    *,
    on_ready: Callable[[Peer, AnyCapability], None] = lambda _peer, _capability: None,
    on_peer: Callable[[Peer], None] = lambda _: None,
) -> PeerDisconnected:
    """Run the shared capabilities until the session ends, close the link, and return how it ended.

    `on_ready` is told of each capability that becomes ready, `on_peer` of the `Peer` before any capability runs.
    """
    try:
        run = _Session(session, on_ready)
        on_peer(run.peer)
    except BaseException:
        await session.close()
        raise
    try:
        await run.run()
    finally:
        run.peer.gone(run.ending)
    return run.ending


class _Session:
    """The running tasks of a session, and how it comes to its end."""

    def __init__(self, session: Session, on_ready: Callable[[Peer, AnyCapability], None]) -> None:
        self._link = session.link
        self._stream = session.stream
        self._connection = session.connection
        self._limits = session.local.limits
        self._strict = session.local.strict
        self._on_ready = on_ready
        tables = session.local.tables
        shared = [tables[spec.offer] for spec in self._connection.space.shared]
        self._outbox = Outbox([capability.weight for capability, _ in shared], self._limits)
        budget = session.local.budget or Budget(self._limits.total_inbox_bytes)
        self._by_index: list[tuple[AnyCapability, Channel[Any]]] = []
        for index, (capability, table) in enumerate(shared):
            channel: Channel[Any] = Channel(
                table,
                self._outbox,
                Inbox(*capability.inbox_limits(self._limits), budget),
                self._limits,
                index=index,
                offset=self._connection.space.offsets[index],
                compressed=self._connection.compressed,
                request_timeout=capability.request_timeout,
                ready_at_once=capability.ready_within is None,
            )
            self._by_index.append((capability, channel))
        self._running = len(shared)
        self._end: PeerDisconnected | None = None
        self._work = trio.CancelScope()
        self._line = trio.CancelScope()
        self._writing = trio.CancelScope(shield=True)
        self._written = trio.Event()
        self._pinged = trio.Event()
        self._ponged = trio.Event()
        self._ping_tokens = float(self._limits.ping_burst)
        self._ping_time = -math.inf
        self._held_up = -math.inf
        """Until when the reader last waited for a full inbox; infinity while it does."""
        self._turn = Turn()  # the reader's
        self._arriving = Arriving(self._limits, budget, self.end)
        self.peer = Peer(
            session.hello, session.link.remote, self._by_index, inbound=session.inbound, since=trio.current_time(), end=self.end
        )

    @property
    def ending(self) -> PeerDisconnected:
        """How the session ended."""
        return self._end or PeerDisconnected(DisconnectReason.CLIENT_QUITTING, by_remote=False)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
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
        tell = not end.by_remote
        last = Outgoing(base.DISCONNECT, base.encode_disconnect(end.reason)) if tell else None
        self._outbox.finish(end, last, flush=flush)
        for _, channel in self._by_index:
            channel.close(end)
        self._line.cancel()
        self._work.deadline = trio.current_time() + self._limits.closing_timeout / 2

    async def _close(self) -> None:
        """Let the writer say farewell, for as long as it may take, and close the link."""
        with trio.CancelScope(shield=True):
            with trio.move_on_after(self._limits.closing_timeout):
                await self._written.wait()
                if not self.ending.by_remote:
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the peer may be faster
                        await hang_up(self._stream)
            self._writing.cancel()
            await self._link.aclose()
        for _, channel in self._by_index:
            channel.discard()

    # The writer

    async def _write(self) -> None:
        with self._writing:
            try:
                await self._write_all()
            except trio.TooSlowError:
                self._lost(f"the peer took no data for {self._limits.write_timeout:g} s", by_remote=False)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._lost("the link broke")
            finally:
                self._written.set()

    async def _write_all(self) -> None:
        while (message := await self._outbox.get()) is not None:
            batch = bytearray()
            while message is not None:
                size = 0
                for piece in self._connection.seal(message.code, message.data):
                    batch += piece
                    size += len(piece)
                    if len(batch) >= CHUNK:
                        await self._send_all(batch)
                        batch = bytearray()
                if message.capability is not None:
                    self._by_index[message.capability][1].traffic.sent(size)
                elif message.code == base.PING:
                    self._pinged.set()
                message = self._outbox.get_nowait()
            if batch:
                await self._send_all(batch)

    async def _send_all(self, data: bytearray) -> None:
        with trio.fail_after(self._limits.write_timeout):
            await self._stream.send_all(memoryview(data))

    # The line

    async def _run_line(self) -> None:
        with self._line:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read)
                nursery.start_soon(self._keep_alive)

    async def _read(self) -> None:
        try:
            while await self._take_events():
                data = await self._receive()
                if not data:
                    self._lost("the peer hung up")
                    return
                try:
                    self._connection.receive_data(data)
                except RemoteProtocolError:
                    await self._take_events()  # what came before the fault still counts; it may be a farewell, or a fault of its own
                    raise
                self._arriving.hold(self._connection.unfinished)
        except RemoteProtocolError as error:
            self._fault(error)
        except trio.TooSlowError:
            self._fault(RemoteProtocolError("a frame came too slowly", reason=DisconnectReason.NETWORK_ERROR))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._lost("the link broke")
        finally:
            self._connection.stop_receiving()
            self._arriving.close()

    async def _receive(self) -> bytes | bytearray:
        """Wait for data; inside a frame, no longer than the limits for slow frames allow (TooSlowError)."""
        if not self._connection.in_frame:
            return await self._stream.receive_some(CHUNK)
        started = trio.current_time()
        with trio.fail_after(self._arriving.patience(self._connection.frames)):
            data = await self._stream.receive_some(CHUNK)
        self._arriving.progressed(len(data), trio.current_time() - started)
        return data

    async def _take_events(self) -> bool:
        """Act on what has arrived; False once the session is over."""
        self._turn.begin()
        while (event := self._connection.next_event()) is not None:
            match event:
                case wire.MessageReceived():
                    channel = self._by_index[event.capability][1]
                    channel.traffic.received(event.wire_size)
                    if not channel.offer(event):
                        await self._deliver(event)
                case wire.PingReceived():
                    self._pong()
                case wire.PongReceived():
                    self._ponged.set()
                case wire.DisconnectReceived():
                    await self._wait_taken()
                    self.end(PeerDisconnected(event.reason, by_remote=True))
                case _:
                    pass
        return self._end is None

    async def _deliver(self, event: wire.MessageReceived) -> None:
        """Give an answer to who waits for it, or a message to a capability whose inbox is full.

        A full inbox holds the link up; if it stays full, the session ends with a reason that names the capability.
        """
        capability, channel = self._by_index[event.capability]
        started = trio.current_time()
        if self._turn.is_over:
            await self._turn.end()
        try:
            while not await channel.deliver(event, self._turn):
                self._held_up = math.inf
                if await channel.wait_room(event, self._limits.inbox_patience):
                    continue
                if self._connection.farewell is not None:  # it has left, and said why
                    self.end(PeerDisconnected(self._connection.farewell, by_remote=True))
                else:
                    detail = f"{capability.name}/{capability.version} left {channel.unread_bytes} bytes unread"
                    self.end(PeerDisconnected(DisconnectReason.SUBPROTOCOL_ERROR, by_remote=False, detail=detail))
        except Exception as error:  # noqa: BLE001  (an answer is decoded here, by classes of the plugin's)
            self._judge(capability, error)
        if self._held_up == math.inf:
            self._held_up = trio.current_time()
            self._excuse_pings(started)

    async def _wait_taken(self) -> None:
        """Give the capabilities a moment to take what the peer sent before it left: after the end they could not even greet it."""
        with trio.move_on_after(self._limits.closing_timeout / 2):
            for _, channel in self._by_index:
                await channel.wait_taken()

    def _pong(self) -> None:
        self._earn_pings(trio.current_time())
        if self._ping_tokens < 1:
            raise RemoteProtocolError("too many pings")
        self._ping_tokens -= 1
        self._outbox.put_base(base.PONG, base.EMPTY_LIST)

    def _excuse_pings(self, since: float) -> None:
        """Let Pings come at once that were sent while we read nothing."""
        self._earn_pings(since)
        self._ping_time = trio.current_time()
        self._ping_tokens += (self._ping_time - since) * self._limits.ping_rate

    def _earn_pings(self, now: float) -> None:
        """Let the bucket of Pings fill up to its brim; what is above that, after a time in which we read nothing, runs out as fast."""
        earned, brim = (now - self._ping_time) * self._limits.ping_rate, self._limits.ping_burst
        tokens, self._ping_time = self._ping_tokens, now
        self._ping_tokens = min(brim, tokens + earned) if tokens <= brim else max(brim, tokens - earned)

    async def _keep_alive(self) -> None:
        limits = self._limits
        while True:
            await trio.sleep(limits.ping_interval)
            self._pinged, self._ponged = trio.Event(), trio.Event()
            self._outbox.put_base(base.PING, base.EMPTY_LIST)
            await self._pinged.wait()  # it may have to stand behind a large message; writes have a deadline of their own
            if not await self._wait_ponged():
                detail = f"no pong within {limits.ping_timeout:g} s"
                self.end(PeerDisconnected(DisconnectReason.PING_TIMEOUT, by_remote=False, detail=detail))
                return

    async def _wait_ponged(self) -> bool:
        """Wait for the Pong as long as something excuses that it has not come: False if nothing does.

        It may stand behind messages that our own capability is slow to take, behind one large message that is still coming (both have
        limits of their own), and for a while behind others: many clients have one queue for all that they send.
        """
        asked, frames, excused = trio.current_time(), self._connection.frames, 0
        while True:
            with trio.move_on_after(self._limits.ping_timeout):
                await self._ponged.wait()
                self.peer.latency = trio.current_time() - asked
                return True
            before, frames = frames, self._connection.frames
            held_up = self._held_up + self._limits.ping_timeout > trio.current_time()
            if not held_up and not (self._connection.in_frame and frames == before):
                excused += 1
                if frames == before or excused >= _EXCUSED:
                    return False

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
            channel.discard()

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
                self._fault(leaf)
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

    # Ends

    def _fault(self, error: RemoteProtocolError) -> None:
        detail = str(error)
        if len(detail) > _MOST_DETAIL:
            detail = f"{detail[:_MOST_DETAIL]}…"
        _logger.info("%r broke the rules: %s", self.peer, base.printable(detail))
        self.end(PeerDisconnected(error.reason, by_remote=False, detail=detail))

    def _lost(self, detail: str, *, by_remote: bool = True) -> None:
        if self._connection.farewell is not None:
            return  # the peer has left, as it said: the reader delivers what came before the farewell, and then ends the session
        self.end(PeerDisconnected(DisconnectReason.NETWORK_ERROR, by_remote=by_remote, detail=detail))


def _leaves(error: BaseException) -> list[BaseException]:
    """The exceptions in a group, and in the groups in it; of any other exception, itself."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    group = cast("BaseExceptionGroup[BaseException]", error)
    return [leaf for inner in group.exceptions for leaf in _leaves(inner)]
