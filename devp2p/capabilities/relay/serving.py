"""The relay's side: who has a reservation, and circuits across it.

Theory of operation. Credit goes from end to end: who receives bytes gives credit, the relay only hands it on, and holds both ends to it. So
what waits here for a slow end is one window at most, while the session from which it came is read on; and a circuit counts until all that
waits of it has gone, or nobody is left to take it. What it is for nobody here can see: the two ends shake hands over it.

A peer that is itself relayed gets nothing: chains of relays would multiply what one node can use, and hide where it is.
"""

import math
import time
from collections.abc import Callable
from typing import Final

import trio

from devp2p import HOST, LinkFacts, PrivateKey, RemoteProtocolError, Throttle
from devp2p.capabilities.relay.hop import Hop
from devp2p.capabilities.relay.limits import RelayLimits
from devp2p.capabilities.relay.lines import Line, require_credit
from devp2p.capabilities.relay.messages import (
    WINDOW,
    Closing,
    Code,
    Connect,
    Incoming,
    Limit,
    Reserve,
    Reserved,
    Status,
)
from devp2p.capabilities.relay.voucher import Voucher

SCHEME: Final = "relay"
"""Of addresses that lead through a relay, and so the transport of relayed links."""
_RESERVE_BURST = 5
_CONNECT_BURST = 16


class _Client:
    """What the relay keeps of one peer, while its session lasts."""

    def __init__(self, limits: RelayLimits) -> None:
        self.expire = -math.inf  # of its reservation, on trio's clock
        self.host = b""
        self.circuits = 0
        self.reserves = Throttle(limits.reserve_rate, _RESERVE_BURST, remembered=1)
        self.connects = Throttle(limits.connect_rate, _CONNECT_BURST, remembered=1)


class Relaying:
    """Reservations and circuits of a relay. It does nothing while it is off."""

    def __init__(self, limits: RelayLimits, addresses: Callable[[], tuple[str, ...]]) -> None:
        """`addresses`: where this node can be dialled, as enode URLs, no more than `Reserved` may have."""
        self.is_on: bool = False
        self.key: PrivateKey | None = None
        self.nursery: trio.Nursery | None = None
        self.limits: RelayLimits = limits
        self.circuits: int = 0
        """Circuits across this relay, those that are asked for among them."""
        self.relayed_bytes: int = 0
        """What went over all of them so far."""
        self._addresses = addresses
        self._clients: dict[Hop, _Client] = {}
        self._by_key: dict[bytes, Hop] = {}

    @property
    def reservations(self) -> int:
        """How many there are."""
        now = trio.current_time()
        return sum(client.expire > now for client in self._clients.values())

    def reserve(self, hop: Hop, request: Reserve) -> Reserved:
        """See `hop.Server`."""
        client, limits = self._client(hop), self.limits
        key = self.key
        if not self.is_on or key is None or is_relayed(hop.peer.link):
            return Reserved(request.request_id, Code.PERMISSION_DENIED)
        now, host = trio.current_time(), hop.peer.link.remote.network(HOST)
        if not client.reserves.allows(b"", now) or (client.expire <= now and not self._has_room(host, now)):
            return Reserved(request.request_id, Code.LIMIT)
        client.expire, client.host = now + limits.reservation_time, host
        self._by_key[hop.key] = hop
        expire = int(time.time()) + limits.reservation_time
        voucher = Voucher(bytes(key.public_key), hop.key, expire)
        return Reserved(request.request_id, Code.OK, expire, self._addresses(), voucher.sign(key), limits.limit, observed_of(hop))

    def connect(self, hop: Hop, request: Connect) -> None:
        """See `hop.Server`."""
        target = self._by_key.get(request.target)
        code = self._why_not(hop, target)
        if code is not Code.OK or target is None or self.nursery is None:
            hop.lines.reply(Status(request.number, code))
            return
        self.nursery.start_soon(Crossing(self, hop, request.number, target).run)

    def gone(self, hop: Hop) -> None:
        """See `hop.Server`."""
        self._clients.pop(hop, None)
        if self._by_key.get(hop.key) is hop:
            del self._by_key[hop.key]

    def began(self, hops: tuple[Hop, Hop]) -> None:
        """A circuit counts from now on."""
        self.circuits += 1
        for hop in hops:
            self._client(hop).circuits += 1

    def over(self, hops: tuple[Hop, Hop]) -> None:
        """A circuit does not count any more."""
        self.circuits -= 1
        for hop in hops:
            if hop in self._clients:
                self._clients[hop].circuits -= 1

    def _client(self, hop: Hop) -> _Client:
        if hop not in self._clients:
            self._clients[hop] = _Client(self.limits)
        return self._clients[hop]

    def _has_room(self, host: bytes, now: float) -> bool:
        others = [client.host for client in self._clients.values() if client.expire > now]
        return len(others) < self.limits.reservations and others.count(host) < self.limits.reservations_per_host

    def _why_not(self, hop: Hop, target: Hop | None) -> Code:
        client, limits, now = self._client(hop), self.limits, trio.current_time()
        if not self.is_on or self.nursery is None or is_relayed(hop.peer.link) or target is hop:
            return Code.PERMISSION_DENIED
        if not client.connects.allows(b"", now) or self.circuits >= limits.circuits or client.circuits >= limits.circuits_per_peer:
            return Code.LIMIT
        if target is None or self._client(target).expire <= now:
            return Code.NO_RESERVATION
        return Code.LIMIT if self._client(target).circuits >= limits.circuits_per_peer else Code.OK


class Crossing:
    """A circuit across this relay."""

    def __init__(self, relaying: Relaying, hop: Hop, number: int, target: Hop) -> None:
        self.limit: Limit = relaying.limits.limit
        self.is_open: bool = False
        self.over: trio.Event = trio.Event()
        """Nothing more is taken from either side."""
        self.relaying: Relaying = relaying
        self._answered = trio.Event()
        self._hops = hop, target
        self.caller: Side = Side(self, hop, Line(hop.lines, number))
        self.callee: Side = Side(self, target, target.new_line())
        relaying.began(self._hops)
        for side in (self.caller, self.callee):
            side.hop.add(side.line.number, side)
        self.callee.line.open(Incoming(self.callee.line.number, hop.key, self.limit))

    async def run(self) -> None:
        """See to its deadlines, until it is over and all that waited has gone."""
        try:
            with trio.move_on_after(self.relaying.limits.answer_time):
                await self._answered.wait()
            if not self.is_open:
                self.refuse(Code.FAILED)
            with trio.move_on_after(self.limit.seconds or math.inf):
                await self.over.wait()
            self.end(Closing.LIMIT)
            for side in (self.caller, self.callee):
                await side.line.wait_over()
        finally:
            self.relaying.over(self._hops)

    def answer(self, side: "Side", status: Status) -> None:
        """The one who is called has answered."""
        if side is not self.callee or self._answered.is_set():
            raise RemoteProtocolError("a Status for a circuit that was not asked for, or answered already")
        if status.code != Code.OK:
            self.refuse(Code(status.code) if status.code in {Code.PERMISSION_DENIED, Code.LIMIT} else Code.FAILED)
        else:
            self.is_open = True
            self.caller.credit = self.callee.credit = WINDOW
            self.caller.line.open(Status(self.caller.line.number, Code.OK, self.limit, observed_of(self.caller.hop)))
        self._answered.set()

    def refuse(self, code: Code) -> None:
        """It never opens."""
        if not self.over.is_set():
            self.caller.hop.lines.reply(Status(self.caller.line.number, code))
            self.caller.line.cut()
            if self._answered.is_set():
                self.callee.line.cut()
            else:
                self.callee.line.close(Closing.CLOSED)  # behind the Incoming, which may not have gone yet
            self._finish()
            self._answered.set()

    def end(self, code: Closing) -> None:
        """End it for both sides."""
        if not self.over.is_set():
            for side in (self.caller, self.callee):
                side.line.close(code)
            self._finish()

    def lose(self, side: "Side") -> None:
        """The session with one side is over."""
        side.line.cut()
        if not self.is_open:
            self.refuse(Code.FAILED)
        elif not self.over.is_set():
            side.other.line.close(Closing.LOST)
            self._finish()

    def close(self, side: "Side", code: int) -> None:
        """One side sends no more."""
        other = side.other
        if not self.is_open:  # the caller has given up
            self.refuse(Code.FAILED)
        elif code == Closing.END:
            side.has_ended = True
            other.line.close(Closing.END)
            if other.has_ended:
                self._finish()
        else:
            other.line.close(Closing.CLOSED)
            side.line.cut()
            self._finish()

    def _finish(self) -> None:
        self.over.set()
        for side in (self.caller, self.callee):
            side.hop.drop(side.line.number)


class Side:
    """One of the two sides of a circuit; the `lines.End` there."""

    def __init__(self, crossing: Crossing, hop: Hop, line: Line) -> None:
        self.hop: Hop = hop
        self.line: Line = line
        self.credit: int = 0
        """Bytes that it may send."""
        self.has_ended: bool = False
        self._crossing = crossing
        self._sent = 0

    @property
    def other(self) -> "Side":
        """The side across."""
        crossing = self._crossing
        return crossing.callee if self is crossing.caller else crossing.caller

    def answered(self, status: Status) -> None:
        """See `End`."""
        self._crossing.answer(self, status)

    def received(self, data: bytes) -> None:
        """See `End`."""
        self.credit -= len(data)
        require_credit(self.credit)
        if self.has_ended:
            raise RemoteProtocolError("bytes of a circuit behind its end")
        self._sent += len(data)
        crossing = self._crossing
        if crossing.limit.size and self._sent > crossing.limit.size:
            crossing.end(Closing.LIMIT)
            return
        crossing.relaying.relayed_bytes += len(data)
        self.other.line.put(data)

    def granted(self, credit: int) -> None:
        """See `End`."""
        other = self.other
        other.credit += credit
        if other.credit + len(self.line.data) > WINDOW or not self._crossing.is_open:
            raise RemoteProtocolError("credit for more bytes of a circuit than a window has")
        other.line.grant(credit)

    def closed(self, code: int) -> None:
        """See `End`."""
        self._crossing.close(self, code)

    def lost(self) -> None:
        """See `End`."""
        self._crossing.lose(self)


def is_relayed(link: LinkFacts) -> bool:
    """Whether a session goes through a relay."""
    return link.transport == SCHEME


def observed_of(hop: Hop) -> str:
    """Where a client is seen from here, to be told to it."""
    address = hop.peer.address
    return str(address) if address.ip and not is_relayed(hop.peer.link) else ""
