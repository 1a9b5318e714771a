"""The beginning of a session: handshake and Hellos over a link, under one deadline (RLPx, "Initial Handshake" and "Hello")."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio
from trio.abc import HalfCloseableStream

from devp2p import wire
from devp2p.capability import AnyCapability, MessageTable
from devp2p.errors import DisconnectReason, HandshakeError, LocalProtocolError, PeerDisconnected, RemoteProtocolError
from devp2p.keys import PublicKey
from devp2p.limits import Limits
from devp2p.session.asking import next_message, send_message
from devp2p.session.local import LocalNode
from devp2p.session.progress import Progress
from devp2p.transports import Arrival, Incoming, Link, MuxLink, require_peer
from devp2p.trust import Profile
from devp2p.wire import base
from devp2p.wire.dpx import Answering, Asking, DpxFraming, Pact, PreludeEntropy, missing_of_request
from devp2p.wire.rlpx import MAX_PACKET, Entropy, Handshake, missing_of_auth

CHUNK = 64 * 1024
"""Bytes that are read, sealed and written in one step, so that the loop stays responsive beside large messages."""
_MOST_LOOKED_AT = 256 * 1024  # bytes, of what comes over a link whose session does not run

Farewell = Callable[[], AbstractContextManager[bool]]
"""Entered when a peer is refused and left when it is gone; says whether there is time to wait until the peer hangs up."""


def with_time() -> AbstractContextManager[bool]:
    """The farewell of whoever has no reason to hurry."""
    return nullcontext(True)  # noqa: FBT003  (positional only)


@dataclass(frozen=True, eq=False)
class Session:
    """A link whose two ends have shaken hands and exchanged Hellos; `run_session` takes it from here."""

    link: Link
    stream: HalfCloseableStream
    """The link's only stream, or its first one."""
    connection: wire.Connection
    local: LocalNode
    hello: base.Hello
    inbound: bool

    @property
    def public_key(self) -> PublicKey:
        """The peer's key, proved."""
        return self.hello.public_key

    @property
    def profile(self) -> Profile:
        """What the two sides speak, and why the peer is trusted."""
        return self.connection.framing.profile

    @property
    def pact(self) -> Pact | None:
        """What came of the handshake in dpx/1; None if the two sides do not speak it."""
        framing = self.connection.framing
        return framing.pact if isinstance(framing, DpxFraming) else None

    @property
    def shared(self) -> list[tuple[AnyCapability, MessageTable]]:
        """The shared capabilities of ours, with their messages, in the order of their indexes."""
        return [self.local.tables[spec.offer] for spec in self.connection.space.shared]

    async def receive(self) -> Any:  # noqa: ANN401  (one of the messages of the shared capabilities)
        """Take the next message of a shared capability, for whoever asks a peer what it is and runs no session; Pings are answered.

        PeerDisconnected when the peer leaves, RemoteProtocolError when it breaks the rules, or sends much and no message: then close or
        `refuse`. LocalProtocolError on a link with streams of its own, and in a session of dpx/1 (`local_node` with dpx=False has none).
        Set a deadline around it. `run_session` does not see what was taken here.
        """
        return await next_message(self.stream, self.connection, self._tables)

    async def send(self, message: object) -> None:
        """Send a message of a shared capability in a session that does not run. Raises as `receive`, and LocalProtocolError for others."""
        await send_message(self.stream, self.connection, self._tables, message)

    @property
    def _tables(self) -> list[MessageTable]:
        if isinstance(self.link, MuxLink) or self.pact is not None:
            raise LocalProtocolError(
                "only run_session moves messages where capabilities have streams or credit: call with dpx=False, by TCP"
            )
        return [table for _, table in self.shared]

    async def refuse(self, reason: int, *, farewell: Farewell = with_time) -> int | None:
        """Tell the peer that there will be no session, and why, give it a moment to hang up, and close.

        Returns the reason that the peer gave itself by then, None if it gave none. One that did so before us is told nothing.
        """
        try:
            with farewell() as may_wait, suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the peer may be gone already
                await _say_goodbye(self.stream, self.connection, reason, self.local.limits, may_wait=may_wait)
        finally:
            await self.close()
        return self.connection.farewell

    async def close(self) -> None:
        """Close the link at once."""
        await close_link(self.link)

    async def wait_farewell(self) -> None:
        """Wait for the peer to end a session that does not run yet: raises PeerDisconnected when it does.

        What else arrives is kept for `run_session`, up to a bound beyond which nothing is read. A farewell behind messages is kept
        with them: a peer that leaves and comes again at once does not lose what it said meanwhile.
        """
        received = 0
        while True:
            farewell, has_messages = self.connection.farewell, self.connection.has_messages
            if farewell is not None and not has_messages:  # perhaps it came with the Hello
                raise PeerDisconnected(farewell, by_remote=True)
            if farewell is not None or received >= _MOST_LOOKED_AT:
                await trio.sleep_forever()
            try:
                data = await self.stream.receive_some(CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if not data:
                raise PeerDisconnected(DisconnectReason.NETWORK_ERROR, by_remote=True, detail="the peer hung up")
            received += len(data)
            self.connection.receive_data(data)


@dataclass(frozen=True, eq=False)
class Heard:
    """What an accepted link has sent before anything was computed: a whole auth, or request for our key, or what can be neither.

    Of what is no link yet, and computes to become one, nothing was read: its peer has begun.
    """

    link: Arrival
    stream: HalfCloseableStream | None = None
    data: bytes = b""


async def hear(link: Arrival, *, reveal_key: bool = False) -> Heard:
    """Wait until the peer of an accepted link has sent its auth. Nothing is computed, and no more is kept than an auth may have.

    With `reveal_key` it may ask for our key instead (`dpx.prelude`); give the same to `open_session` by its `LocalNode`.
    A link that has proved its peer needs no auth: there it is waited for its first stream only. Raises PeerDisconnected for a peer that
    hung up, HandshakeError for one that begins as no peer does; the link is for the caller to close.
    """
    try:
        if isinstance(link, Incoming):
            if await link.hear():
                return Heard(link)
            link = await link.upgrade()
        stream, data = await _first_stream(link), bytearray()
        missing = missing_of_request if reveal_key else missing_of_auth
        while link.peer is None and missing(data):
            more = await stream.receive_some(4 + MAX_PACKET - len(data))
            if not more:
                raise _lost("the peer hung up during the handshake")
            data += more
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise _lost(str(error) or "the link broke") from None
    return Heard(link, stream, bytes(data))


async def open_session(  # noqa: PLR0913  (who calls, who listens and who watches give one or two of them)
    link: Arrival,
    local: LocalNode,
    *,
    expect: PublicKey | None = None,
    ask_key: bool = False,
    heard: Heard | None = None,
    farewell: Farewell = with_time,
    progress: Progress | None = None,
) -> Session:
    """Shake hands over a link and exchange Hellos, within ``limits.handshake_timeout`` for both together.

    A link that has proved its peer gets no handshake, and frames without a cipher. Over any other its initiator must say which key it
    `expect`s, since RLPx cannot call a node whose key it does not know; or it may `ask_key`: then whoever is there is asked for its key
    first, and whatever key it is, the session is with that (dpx/1, section 9). `heard` is what `hear` returned, if it was asked; `farewell`
    is entered before a peer is told what is wrong with it; `progress` is told how far things have come. The link is closed if this fails:
    RemoteProtocolError for a peer that broke the rules, PeerDisconnected for one that said goodbye or hung up, trio.TooSlowError for one
    that took too long.
    """
    progress = progress or Progress()
    try:
        with trio.fail_after(local.limits.handshake_timeout):
            if heard is not None:
                link = heard.link
            if isinstance(link, Incoming):
                if heard is None:
                    await link.hear()
                link, heard = await link.upgrade(), None
            return await _open(link, local, expect, heard, farewell, progress, ask_key=ask_key)
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        await close_link(link)
        raise _lost(str(error) or "the link broke") from None
    except BaseException:
        await close_link(link)
        raise


async def _open(  # noqa: PLR0913, PLR0917  (what `open_session` was given)
    link: Link,
    local: LocalNode,
    expect: PublicKey | None,
    heard: Heard | None,
    farewell: Farewell,
    progress: Progress,
    *,
    ask_key: bool,
) -> Session:
    """The same over a link."""
    opening: wire.Opening | None = None
    progress.asks_key = link.initiator and expect is None and link.peer is None
    progress.begin("handshake" if link.peer is None else "hello")
    try:
        if progress.asks_key:
            if not ask_key:
                raise LocalProtocolError("the initiator of a handshake must know the key of the node it calls, or ask for it: ask_key=True")
            if local.dpx is None:
                raise LocalProtocolError("to ask a node for its key takes dpx/1, which this one does not speak (dpx=False)")
        opening = wire.Opening(local.hello, local.specs, link.peer or _handshake(link, local, expect))
        stream = await _first_stream(link) if heard is None or heard.stream is None else heard.stream
        if link.peer is not None:
            progress.remote = link.peer
            require_peer(link.peer, expect, link.remote)
        try:
            theirs = await _exchange_hellos(stream, opening, b"" if heard is None else heard.data, progress, initiator=link.initiator)
        except HandshakeError:
            raise
        except RemoteProtocolError as error:
            with farewell() as may_wait, suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # it may have hung up since
                await stream.send_all(opening.data_to_send())
                assert opening.connection is not None  # noqa: S101  (of what comes before, only HandshakeErrors are raised)
                await _say_goodbye(stream, opening.connection, error.reason, local.limits, may_wait=may_wait)
            raise
        assert opening.connection is not None  # noqa: S101  (a Hello came out of it)
        return Session(link, stream, opening.connection, local, theirs, inbound=not link.initiator)
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise _lost(str(error) or "the link broke", opening, progress if link.initiator else None) from None
    finally:
        if opening is not None:
            opening.close()


def _handshake(link: Link, local: LocalNode, expect: PublicKey | None) -> wire.AnyHandshake:
    def is_new(point: bytes) -> bool:
        return local.seen_auths.is_new(point, trio.current_time())

    def begin(remote: PublicKey | None, prelude: bytes = b"") -> Handshake:
        return Handshake(local.key, Entropy.draw(os.urandom), remote=remote, extension=local.contained, is_new=is_new, prelude=prelude)

    if link.initiator:
        return Asking(PreludeEntropy.draw(os.urandom), begin) if expect is None else begin(expect)
    if local.reveal_key:
        return Answering(local.key, PreludeEntropy.draw(os.urandom), partial(begin, None), is_new=is_new)
    return begin(None)


async def _first_stream(link: Link) -> HalfCloseableStream:
    if isinstance(link, MuxLink):
        return await (link.open() if link.initiator else link.accept())
    return link.stream


def _lost(detail: str, opening: wire.Opening | None = None, progress: Progress | None = None) -> PeerDisconnected:
    """A link is gone, and the peer has not said why; `progress` is that of a call of ours."""
    if progress is not None and opening is not None and opening.connection is None:
        detail = f"{detail}: {progress.why_silent}"
    return PeerDisconnected(DisconnectReason.NETWORK_ERROR, by_remote=True, detail=detail)


async def _exchange_hellos(
    stream: HalfCloseableStream, opening: wire.Opening, data: bytes | bytearray, progress: Progress, *, initiator: bool
) -> wire.Hello:
    """`data` has been received already."""
    broken = False
    while True:
        outgoing = opening.data_to_send()
        if outgoing and not broken:
            try:
                await stream.send_all(outgoing)
            except trio.BrokenResourceError:
                broken = True  # what the peer said before it closed may tell why it did; but nothing can be written any more
        while (event := opening.next_event()) is not None:
            progress.note(event)
            if isinstance(event, wire.HelloReceived) and not broken:
                return event.hello
            if isinstance(event, wire.DisconnectReceived):
                raise PeerDisconnected(event.reason, by_remote=True)
        if not data and not (data := await stream.receive_some(CHUNK)):
            raise _lost("the peer hung up during the handshake", opening, progress if initiator else None)
        try:
            opening.receive_data(data)
        except RemoteProtocolError:
            while (event := opening.next_event()) is not None:  # what came before the fault
                progress.note(event)
            if broken:
                raise _lost("the link broke", opening, progress if initiator else None) from None
            raise
        if isinstance(opening.handshake, Asking):
            progress.remote = opening.handshake.remote
        data = b""


async def _say_goodbye(stream: HalfCloseableStream, connection: wire.Connection, reason: int, limits: Limits, *, may_wait: bool) -> None:
    """Send a Disconnect unless one has come, and wait for the peer to hang up, for a second in all; do not wait if there is no time for it.

    If a Disconnect comes now, the connection knows its reason.
    """
    received = 0

    def look_at(data: bytes | bytearray) -> None:
        nonlocal received
        received += len(data)
        if received <= _MOST_LOOKED_AT:
            with suppress(RemoteProtocolError):  # it owes us nothing any more
                connection.receive_data(data)

    with trio.move_on_after(limits.closing_timeout):
        if connection.farewell is None:
            with suppress(trio.BrokenResourceError):  # what it said before it hung up can still be read
                for piece in connection.seal(base.DISCONNECT, base.encode_disconnect(reason)):
                    await stream.send_all(piece)
        if may_wait:
            await hang_up(stream, look_at)


async def hang_up(stream: HalfCloseableStream, look_at: Callable[[bytes | bytearray], None] = lambda _: None) -> None:
    """Close our direction and wait for the peer to close its own.

    A socket closed with unread input would reset the connection, and the peer might never see our Disconnect (RLPx, "Disconnect
    (0x01)": peers get a fighting chance to disconnect themselves).
    """
    await stream.send_eof()
    while data := await stream.receive_some(CHUNK):
        look_at(data)


async def close_link(link: Arrival) -> None:
    """Close a link at once, cancelled or not."""
    with trio.CancelScope(shield=True):
        await link.aclose()
