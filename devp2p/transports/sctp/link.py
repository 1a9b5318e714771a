"""A link over SCTP: what drives the association, sees that the peer is still there, and ends both."""

import math
from collections.abc import Callable
from typing import Final, cast

import trio
from OpenSSL import SSL

from devp2p.addresses import Address
from devp2p.errors import RemoteProtocolError
from devp2p.keys import PublicKey
from devp2p.transports.driving import Driver
from devp2p.transports.sctp.association import Association
from devp2p.transports.sctp.datagrams import say_goodbye
from devp2p.transports.sctp.streams import SctpStream, Streams

QUIET: Final = 15.0
"""Seconds in which nothing has come before the peer is asked for a sign of life, again and again; mappings of NATs last longer."""
LOST: Final = 45.0
"""Seconds in which nothing has come before the peer counts as gone."""
LINGER: Final = 1.0
"""Seconds for which what was sent before `aclose` is still sent again until the peer has it."""

_CLOSED: Final = "the peer has closed the link"


class SctpLink:
    """See `MuxLink`. It runs in a system task of its own from `establish` until it is over."""

    def __init__(  # noqa: PLR0913  (what every link says of itself)
        self,
        channel: trio.DTLSChannel,
        *,
        local: Address,
        remote: Address,
        initiator: bool,
        peer: PublicKey,
        on_end: Callable[[bool], object],
    ) -> None:
        """`initiator`: the client of DTLS. `on_end` is called once the link is over, with whether it ever was up; nothing is sent then."""
        self.local: Address = local
        self.remote: Address = remote
        self.initiator: bool = initiator
        self.peer: PublicKey = peer
        self._channel = channel
        self._on_end = on_end
        clock = trio.current_time
        self._association = Association(is_client=initiator, on_message=self._take, clock=clock)
        self._streams = Streams(self._association, is_client=initiator, on_said=self._wake)
        self._driver = Driver(f"SCTP link with {remote}", self._run, self._end)
        self._sending = trio.lowlevel.ParkingLot()
        self._timer = trio.CancelScope()
        self._settled = trio.Event()  # it is up, or over
        self._heard = clock()
        self._asked = -math.inf
        self._was_up = False
        self._refused = False
        self._closes_by: float | None = None

    async def establish(self) -> None:
        """Shake hands by SCTP. trio.BrokenResourceError if that fails; once begun, the link has to be closed."""
        self._driver.hold()
        self._association.start()
        self._wake()
        await self._settled.wait()
        if self._streams.broken:
            raise trio.BrokenResourceError(self._streams.broken)

    def refused(self) -> None:
        """The peer does not want it; without a proof that it was the peer who said so, that counts only until it is established."""
        if not self._settled.is_set():
            self._refused = True
            self._wake()

    async def open(self) -> SctpStream:
        """See `MuxLink.open`."""
        return await self._streams.open()

    async def accept(self) -> SctpStream:
        """See `MuxLink.accept`."""
        return await self._streams.accept()

    async def aclose(self) -> None:
        """See `MuxLink.aclose`; what was sent before is delivered in the background, for a second at most."""
        if self._closes_by is None:
            self._closes_by = trio.current_time() + LINGER
            self._streams.close(tell=self._association.is_up)
            self._wake()
        await trio.lowlevel.checkpoint()

    # What runs

    async def _run(self) -> None:
        reason = _CLOSED
        try:
            async with trio.open_nursery() as nursery:
                for task in (self._receive, self._send, self._watch):
                    nursery.start_soon(task)
        except* RemoteProtocolError as group:
            reason = f"the peer broke the rules: {_first(group)}"
        except* (trio.BrokenResourceError, trio.ClosedResourceError, SSL.Error) as group:
            reason = f"the link broke: {_first(group)}"
        except* _Over as group:
            reason = str(_first(group))
        finally:
            self._streams.break_(reason)
            self._settled.set()
            with trio.move_on_after(LINGER, shield=True):
                await self._say_goodbye()

    async def _receive(self) -> None:
        while True:
            packet = await self._channel.receive()
            self._heard = trio.current_time()
            self._association.feed(packet)
            if self._association.is_up and not self._was_up:
                self._was_up = True
                self._settled.set()
            if self._association.is_over:
                raise _Over(_CLOSED)
            self._streams.look_again()
            self._wake()

    async def _send(self) -> None:
        packets = self._association.packets
        while True:
            while packets:
                await self._channel.send(packets.popleft())
            if self._closes_by is not None and (self._association.is_drained or not self._association.is_up):
                raise _Over("this end of the link is closed")
            if self._refused:
                raise _Over("the peer has refused it by an alert")
            await self._sending.park()

    async def _watch(self) -> None:
        """Do what is due at some time."""
        while True:
            with trio.CancelScope(deadline=self._next_deadline) as self._timer:
                await trio.sleep_forever()
            now = trio.current_time()
            self._association.tick()
            if self._association.is_over:
                raise _Over("the peer does not answer")
            if self._closes_by is not None and now >= self._closes_by:
                raise _Over("this end of the link is closed")
            if now >= self._heard + LOST:
                raise _Over(f"nothing has come for {LOST:g} s")
            if now >= max(self._heard, self._asked) + QUIET and self._association.is_up:
                self._asked = now
                self._association.ping()
            self._sending.unpark_all()

    @property
    def _next_deadline(self) -> float:
        ask = max(self._heard, self._asked) + QUIET if self._association.is_up else math.inf
        deadlines = self._association.deadline, self._closes_by, self._heard + LOST, ask
        return min(deadline for deadline in deadlines if deadline is not None)

    def _wake(self) -> None:
        """Something may have to be sent, now or later."""
        self._sending.unpark_all()
        self._timer.deadline = min(self._timer.deadline, self._next_deadline)

    def _take(self, number: int, message: bytes) -> None:
        if self._closes_by is None:
            self._streams.take(number, message)

    async def _say_goodbye(self) -> None:
        self._association.abort()
        packets = self._association.packets
        try:
            while packets:
                await self._channel.send(packets.popleft())
            await say_goodbye(self._channel)
        except (trio.BrokenResourceError, trio.ClosedResourceError, SSL.Error):
            pass

    def _end(self) -> None:
        self._streams.break_("the link is over")
        self._settled.set()
        self._channel.close()
        self._on_end(self._was_up)


class _Over(Exception):  # noqa: N818  (an end is no error)
    """The link has ended, and why."""


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """One of the exceptions in a group."""
    inner = group.exceptions[0]
    return _first(cast("BaseExceptionGroup[BaseException]", inner)) if isinstance(inner, BaseExceptionGroup) else inner
