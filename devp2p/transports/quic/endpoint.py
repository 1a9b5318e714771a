"""One UDP socket with all the connections at it: those that were dialled from there, and those that came there.

Theory of operation. One background task (`transports.driving`) receives. It takes what has come in batches, hands each datagram to the
connection whose id it bears, and lets each connection that got some answer once, for the whole batch; then it sleeps until something comes
or the earliest timer is due. What a user sends goes out at once, from the user's task.

Strangers. A datagram that belongs to nobody is kept only if it is the first packet of a client, in its due size. It is not decrypted; with
what follows it, as far as a handshake needs it, it waits as a `QuicIncoming` until somebody takes it up. Who sends such a packet need not
be where it says: so of those that have not shown it, few may wait or shake hands at once (`UNPROVED`) or come in a second, and others are
asked to come again with a token that only they have seen (Retry). Nothing is kept of these. No answer to what is not proved is larger
than what came; aioquic sees to the same (three times as much) within handshakes.
"""

import heapq
import logging
import math
import socket
from collections.abc import Callable
from itertools import count
from typing import Final

import trio
from aioquic.quic.configuration import QuicConfiguration

from devp2p.bandwidth import Bucket
from devp2p.bounded import Recent
from devp2p.transports.driving import Driver
from devp2p.transports.quic.conduit import KEEPALIVE, SCHEME, Conduit
from devp2p.transports.quic.core import Core
from devp2p.transports.quic.incoming import QuicIncoming
from devp2p.transports.quic.initial import (
    Initial,
    Tokens,
    destination_of,
    other_versions,
    read_initial,
    refusal,
)
from devp2p.transports.quic.port import Port
from devp2p.transports.sharing import SharedSocket
from devp2p.transports.sockets import Name, address_in

UNPROVED: Final = 16
"""Clients that wait or shake hands without having shown that they are where they say; of further ones that is asked first."""
HALF_OPEN: Final = 1024
"""All that wait or shake hands."""
UNPROVED_RATE: Final = 100.0
"""Such clients a second in the long run; of further ones it is asked, too."""
_UNPROVED_BURST: Final = 64
_REFUSALS: Final = 100.0  # clients a second that are told that they are refused; others find it out
_REFUSED: Final = 1024  # connections that were turned away, and whose repetitions are not looked at
_FORGOTTEN: Final = 10.0  # seconds for which that is so
_GRAVES: Final = 1024  # connections that we have closed, of which the peer may not know yet
_LASTS: Final = 3.0  # seconds for which it is told again

_logger = logging.getLogger(__name__)


class _Grave:
    """What is kept of a connection that we have closed."""

    __slots__ = ("farewell", "heard", "name")

    def __init__(self, farewell: bytes, name: Name) -> None:
        self.farewell = farewell
        self.name = name
        self.heard = 0


Offer = Callable[[QuicIncoming], bool]
"""Takes a connection that came, if it wants it."""


class Endpoint:
    """See above. It lives as long as a listener or a connection holds it."""

    def __init__(self, sock: socket.socket) -> None:
        self.port: Port = Port(sock, self._unreachable)
        self.driver: Driver = Driver(f"QUIC at {address_in(SCHEME, self.port.name).where}", self._run, self._end)
        self.on_incoming: Offer | None = None
        """Who takes what strangers begin; without, nothing of theirs is kept."""
        self.configuration: Callable[[], QuicConfiguration] | None = None
        """How to answer them."""
        self.dropped: int = 0
        """Datagrams that belonged to nobody."""
        self._known: dict[bytes, Conduit] = {}
        self._beginning: dict[tuple[bytes, Name], QuicIncoming] = {}
        """Connections that clients began, by what these call them."""
        self._unproved = 0
        self._strangers = Bucket(UNPROVED_RATE, _UNPROVED_BURST)
        self._refusals = Bucket(_REFUSALS, _REFUSALS)
        self._guest: SharedSocket | None = None
        self._refused: Recent[tuple[bytes, Name], None] = Recent(_REFUSED, _FORGOTTEN)
        self._graves: Recent[bytes, _Grave] = Recent(_GRAVES, _LASTS)
        self._tokens = Tokens()
        self._timers: list[tuple[float, int]] = []
        self._alarms: dict[int, Conduit] = {}
        """Whom they are for; a timer that comes before its connection wants it is set again."""
        self._numbers = count()
        self._sleep = trio.CancelScope()

    @property
    def is_over(self) -> bool:
        """Whether the socket is closed."""
        return self.driver.is_over

    # What is done with it

    def dial(self, name: Name, configuration: QuicConfiguration) -> Conduit:
        """Begin a connection to a place that the socket can reach."""
        core = Core(configuration)
        self.driver.hold()
        conduit = Conduit(self, core, name, self.port.local(SCHEME, name), initiator=True)
        self.add_id(conduit, core.host_cid)
        core.connect(name, trio.current_time())
        self.flush(conduit)
        return conduit

    def respond(self, incoming: QuicIncoming) -> Conduit:
        """Begin to shake hands with one that came."""
        assert self.configuration is not None  # noqa: S101  (nothing comes without)
        core = Core(self.configuration(), original=incoming.original, retried=incoming.retried)
        self.driver.hold()
        conduit = Conduit(self, core, incoming.name, incoming.local, initiator=False)
        self.add_id(conduit, core.host_cid)
        now = trio.current_time()
        for data in incoming.take():
            self._hand(conduit, data, incoming.name, now)
        if core.has_begun:
            conduit.take_events()
            self.flush(conduit)
        else:
            conduit.lose("its first packet cannot be read")
        return conduit

    def share(self) -> SharedSocket | None:
        """Let somebody else have what belongs to no connection; None if somebody has it already."""
        if self._guest is not None:
            return None
        self.driver.hold()
        self._guest = SharedSocket(self.port.socket, self.port.send, self._take_new, self._unshare)
        return self._guest

    def _unshare(self) -> None:
        self._guest = None
        self.driver.release()

    def settled(self, incoming: QuicIncoming, *, refused: bool) -> None:
        """One that came has become a link, or will not; then it is told so once, and its repetitions are not looked at."""
        if self._beginning.pop(incoming.key, None) is None:
            return
        if not incoming.shown:
            self._unproved -= 1
        if refused and not self.is_over:
            now = trio.current_time()
            self._refused.set(incoming.key, None, now)
            if not incoming.has_begun and self._refusals.level(now) > 0:
                self._refusals.take(1, now)
                self.port.send(refusal(incoming.initial), incoming.name)

    # What connections call

    def flush(self, conduit: Conduit) -> None:
        """See `Outlet.flush`."""
        if self.is_over or conduit.is_lost:
            return
        core, now = conduit.core, trio.current_time()
        try:
            datagrams = core.datagrams_to_send(now)
            due = core.get_timer()
        except Exception as error:  # noqa: BLE001  (whatever a peer has made of it: the others go on)
            self._failed(conduit, error)
            return
        for data, name in datagrams:
            self.port.send(data, name)
        if core.is_dead:
            self._bury(conduit, [data for data, _ in datagrams])
            return
        self._arm(conduit, math.inf if due is None else min(due, conduit.ping_at))

    def add_id(self, conduit: Conduit, cid: bytes) -> None:
        """See `Outlet.add_id`."""
        self._known[cid] = conduit
        conduit.ids.add(cid)

    def drop_id(self, conduit: Conduit, cid: bytes) -> None:
        """See `Outlet.drop_id`."""
        self._known.pop(cid, None)
        conduit.ids.discard(cid)

    def let_go(self, conduit: Conduit) -> None:
        """See `Outlet.let_go`."""
        self._forget(conduit)
        self.driver.release()

    # The task

    async def _run(self) -> None:
        while True:
            with trio.CancelScope(deadline=self._timers[0][0] if self._timers else math.inf) as self._sleep:
                await self.port.wait_readable()
            now = trio.current_time()
            touched = self._receive(now)
            self._fire(touched, now)
            for conduit in touched:
                conduit.take_events()
                self.flush(conduit)

    def _end(self) -> None:
        self.port.close()
        for conduit in {*self._known.values()}:
            conduit.lose("its socket was closed")
        self._known.clear()
        self._timers.clear()
        self._alarms.clear()
        self._beginning.clear()

    def _receive(self, now: float) -> dict[Conduit, None]:
        touched: dict[Conduit, None] = {}
        for data, name in self.port.receive():
            cid = destination_of(data)
            conduit = None if cid is None else self._known.get(cid)
            if conduit is not None:
                self._hand(conduit, data, name, now)
                touched[conduit] = None
            elif cid is not None and (grave := self._graves.get(cid, now)) is not None:
                self._say_again(grave, name)
            elif cid is not None and (incoming := self._beginning.get((cid, name))) is not None:
                if incoming.conduit is None:
                    incoming.queue(data)
                else:
                    self._hand(incoming.conduit, data, name, now)
                    touched[incoming.conduit] = None
            elif self._guest is not None:
                self._guest.take(data, name)
            else:
                self._take_new(data, name)
        return touched

    def _hand(self, conduit: Conduit, data: bytes, name: Name, now: float) -> None:
        if conduit.shaken:
            conduit.ping_at = now + KEEPALIVE
        try:
            conduit.core.receive_datagram(data, name, now)
        except Exception as error:  # noqa: BLE001  (as above)
            self._failed(conduit, error)

    def _take_new(self, data: bytes, name: Name) -> None:
        """Look at a datagram of nobody's."""
        initial = read_initial(data) if self.on_incoming is not None else None
        now = trio.current_time()
        if initial is None or self._refused.has((initial.destination, name), now):
            self.dropped += 1
        elif not initial.is_known:
            self.port.send(other_versions(initial), name)
        else:
            self._begin(initial, data, name, now)

    def _begin(self, initial: Initial, data: bytes, name: Name, now: float) -> None:
        original = self._tokens.original(initial, name, now)
        if original is None and (self._unproved >= UNPROVED or self._strangers.level(now) <= 0):
            self.port.send(self._tokens.retry(initial, name, now), name)
            return
        if len(self._beginning) >= HALF_OPEN or self.on_incoming is None:
            self.dropped += 1
            return
        incoming = QuicIncoming(self, initial, name, self.port.local(SCHEME, name), original=original)
        incoming.queue(data)
        self._beginning[incoming.key] = incoming
        if not incoming.shown:
            self._unproved += 1
            self._strangers.take(1, now)
        if not self.on_incoming(incoming):
            self.settled(incoming, refused=False)
            self.dropped += 1

    def _fire(self, touched: dict[Conduit, None], now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            _, number = heapq.heappop(self._timers)
            conduit = self._alarms.pop(number, None)
            if conduit is None:
                continue
            conduit.queued = math.inf
            if conduit.due > now:
                self._queue(conduit, conduit.due)
                continue
            if conduit.ping_at <= now:
                conduit.ping_at = now + KEEPALIVE
                conduit.core.send_ping(0)
            try:
                if conduit.core.get_timer() is not None:
                    conduit.core.handle_timer(now)
            except Exception as error:  # noqa: BLE001  (as above)
                self._failed(conduit, error)
            touched[conduit] = None

    def _arm(self, conduit: Conduit, due: float) -> None:
        conduit.due = due
        if due < conduit.queued:
            self._queue(conduit, due)

    def _queue(self, conduit: Conduit, due: float) -> None:
        self._alarms.pop(conduit.alarm, None)
        conduit.queued, conduit.alarm = due, next(self._numbers)
        self._alarms[conduit.alarm] = conduit
        heapq.heappush(self._timers, (due, conduit.alarm))
        if due < self._sleep.deadline:  # noqa: PLR1730  (to set it costs more than to look)
            self._sleep.deadline = due

    def _forget(self, conduit: Conduit) -> None:
        for cid in conduit.ids:
            self._known.pop(cid, None)
        conduit.ids.clear()
        self._alarms.pop(conduit.alarm, None)
        conduit.due = conduit.queued = math.inf

    def _failed(self, conduit: Conduit, error: Exception) -> None:
        _logger.warning("a connection with %s failed: %r", conduit.remote, error)
        conduit.lose("it failed within our own code")
        self._forget(conduit)

    def _bury(self, conduit: Conduit, farewell: list[bytes]) -> None:
        """Keep of a connection that is over what tells the peer so, if it goes on, and nothing else."""
        cid = conduit.core.host_cid
        self._forget(conduit)
        conduit.gone()
        if farewell:
            self._graves.set(cid, _Grave(farewell[0], conduit.name), trio.current_time())

    def _say_again(self, grave: "_Grave", name: Name) -> None:
        """Repeat that a connection is over, ever more seldom (RFC 9000, section 10.2.1)."""
        grave.heard += 1
        if name == grave.name and not grave.heard & (grave.heard - 1):
            self.port.send(grave.farewell, name)

    def _unreachable(self, name: Name, error: OSError) -> None:
        """Give up connections that were dialled to a place where nobody listens; others are left to their timeouts."""
        for conduit in {*self._known.values()}:
            if conduit.initiator and not conduit.shaken and not conduit.core.has_begun and conduit.name == name:
                conduit.lose(f"nobody was reached: {error.strerror}", error)
