"""Requests of discovery v5.1 that wait for an answer, and the handshakes they have to go through (discv5-theory.md, "Handshake Steps").

Theory of operation. With a session, a request is sent and waits. Without one, the first request to a remote becomes the *opener*, and all
further ones wait for it:

    HELD        not sent while the remote proves to us who it is     -> its handshake:  sent under the new keys; after 0.5 s:  sent anyway
    PROVOKING   sent under no key that the remote has, for 0.7 s     -> WHOAREYOU:  sent again, in the handshake packet, and PROVING
    PROVING     waits for its answer, for 1 s                        -> anything under the new keys:  those that wait are sent
    SENT        within a session, for 0.7 s                          -> WHOAREYOU (the remote has lost it):  PROVING

A remote that sent us what we cannot open has no keys of ours, and is about to make new ones. If our packet reached it after its handshake
packet left, it would open under neither: some (Rust's discv5) then end the session and all their requests. So a request is held back
while we challenge its remote; but once only and not for long, since anybody can make us challenge a remote by a packet in its name.

When an opener gets no answer, the next of those that waited behind it tries. A WHOAREYOU that names an earlier packet to the same remote
also counts: a node that is asked again while it waits for a proof repeats its WHOAREYOU, and the first one may have been lost.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Generic, TypeAlias, TypeVar

from devp2p.addresses import Endpoint
from devp2p.bounded import Recent, Timers
from devp2p.discovery.protocol import RandomBytes
from devp2p.discovery.table import Contact
from devp2p.discovery.v5.messages import FindNode, Nodes, Ping, Pong, TalkRequest, TalkResponse, encode_message
from devp2p.discovery.v5.nodes import NodesAnswer
from devp2p.discovery.v5.packets import Packet, WhoAreYou
from devp2p.discovery.v5.sessions import PacketSessions, Remote
from devp2p.errors import LocalProtocolError
from devp2p.records import Record

Question: TypeAlias = Ping | FindNode | TalkRequest
Answer: TypeAlias = Pong | Nodes | TalkResponse
Outbox: TypeAlias = list[tuple[bytes, Endpoint]]
Purpose = TypeVar("Purpose")

_ANSWERS: Final[dict[type, type]] = {Ping: Pong, FindNode: Nodes, TalkRequest: TalkResponse}
_HOLD: Final = 0.5  # seconds that a handshake of the remote may take from our challenge on


class Stage(enum.Enum):
    """How far a request has come."""

    SENT = enum.auto()
    HELD = enum.auto()
    PROVOKING = enum.auto()
    PROVING = enum.auto()
    WAITING = enum.auto()


@dataclass(slots=True, eq=False)
class Request(Generic[Purpose]):
    """A question, to whom and why."""

    contact: Contact[Record]
    remote: Remote
    message: Question
    purpose: Purpose
    began: float
    nodes: NodesAnswer | None
    """What has come of the answer to a FINDNODE."""
    stage: Stage = Stage.WAITING
    due: float | None = None
    """When it has waited long enough."""


@dataclass(slots=True, eq=False)
class _Opening(Generic[Purpose]):
    """A handshake that we began, or provoke."""

    opener: Request[Purpose]
    waiting: list[Request[Purpose]]


class Requests(Generic[Purpose]):
    """All requests of a node that wait for an answer, by remote and request-id."""

    def __init__(  # noqa: PLR0913  (`Exchange` puts it together, and nobody else)
        self,
        sessions: PacketSessions,
        outbox: Outbox,
        random_bytes: RandomBytes,
        *,
        response_timeout: float,
        handshake_timeout: float,
        remembered: int,
    ) -> None:
        """What is to be sent is put into `outbox`. Timeouts are seconds; `remembered` as in `Discv5Limits`."""
        self._sessions, self._outbox, self._random_bytes = sessions, outbox, random_bytes
        self._response_timeout, self._handshake_timeout = response_timeout, handshake_timeout
        self._pending: dict[Remote, dict[bytes, Request[Purpose]]] = {}
        self._openings: dict[Remote, _Opening[Purpose]] = {}
        self._nonces: Recent[bytes, Request[Purpose]] = Recent(remembered)
        self._timers: Timers[Request[Purpose]] = Timers()
        # Of the same nodes one is told again and again, and most of the work on a record is its signature.
        self._decode = lru_cache(maxsize=remembered)(Record.decode)

    def __len__(self) -> int:
        return sum(map(len, self._pending.values()))

    def ask(
        self, contact: Contact[Record], make: Callable[[bytes], Question], purpose: Purpose, own_id: bytes, now: float
    ) -> Request[Purpose]:
        """Send a question, which `make` makes of the request-id, as soon as there is a session for it."""
        if contact.id != contact.record.id:
            raise LocalProtocolError("a contact with the record of another node")
        message = make(self._request_id())
        remote = Remote(contact.record.id, contact.endpoint)
        nodes = NodesAnswer(contact, message.distances, own_id, self._decode) if isinstance(message, FindNode) else None
        request = Request(contact, remote, message, purpose, now, nodes)
        self._pending.setdefault(remote, {})[message.request_id] = request
        self._send(request, now)
        return request

    def expects(self, remote: Remote) -> bool:
        """Whether anything was asked of a remote and not yet answered."""
        return remote in self._pending

    def match(self, remote: Remote, message: Answer) -> Request[Purpose] | None:
        """The request that a message answers, if there is one."""
        request = self._pending.get(remote, {}).get(message.request_id)
        return request if request is not None and _ANSWERS[type(request.message)] is type(message) else None

    def put_off(self, request: Request[Purpose], now: float) -> None:
        """Wait as long again: a part of the answer has come."""
        self._timers.set(request, now + self._response_timeout)

    def finish(self, request: Request[Purpose], now: float) -> None:
        """Wait no longer for an answer."""
        self._forget(request)
        for other in self._close(request):  # there is no session all the same, so it was some old answer
            self._send(other, now)

    def challenged(self, packet: Packet, header: WhoAreYou, endpoint: Endpoint, own_record: Record, now: float) -> None:
        """A WHOAREYOU came: prove who we are, if it answers what we sent to that endpoint."""
        named = self._nonces.get(header.nonce)
        if named is None or named.remote.endpoint != endpoint:
            return
        self._nonces.pop(header.nonce)
        remote = named.remote
        opening = self._openings.get(remote)
        if opening is None:
            if not self._is_pending(named):
                return
            opening = self._openings[remote] = _Opening(named, [])
        elif opening.opener.stage not in {Stage.PROVOKING, Stage.HELD}:
            return
        request = opening.opener
        request.stage = Stage.PROVING
        record = request.contact.record
        own = own_record.encode() if header.enr_sequence < own_record.sequence else b""
        datagram = self._sessions.prove(packet, remote, record, own, encode_message(request.message))
        for other in self._pending[remote].values():
            if other.stage is Stage.SENT:  # the remote cannot read it
                self._wait(other, opening)
        if datagram is None:  # too long a message: a Ping, whose answer nobody waits for, opens the session for it
            ping = encode_message(Ping(self._request_id(), own_record.sequence))
            datagram = self._sessions.prove(packet, remote, record, own, ping)
            opening.waiting.insert(0, request)
        if datagram is not None:
            self._outbox.append((datagram, endpoint))
        self._timers.set(request, now + self._handshake_timeout)

    def confirmed(self, remote: Remote, now: float) -> None:
        """There are new keys for a remote, which it is known to have: send what waits for them."""
        opening = self._openings.pop(remote, None)
        if opening is None:
            return
        if opening.opener.stage in {Stage.PROVOKING, Stage.HELD}:  # the remote's own handshake was faster
            opening.waiting.insert(0, opening.opener)
        else:
            opening.opener.stage = Stage.SENT
        for request in opening.waiting:
            if self._is_pending(request):
                self._send(request, now)

    def next_timer(self) -> float | None:
        """When `expired` has something to do."""
        return self._timers.next()

    def expired(self, now: float) -> list[Request[Purpose]]:
        """The requests that have waited long enough, and are over."""
        gone: list[Request[Purpose]] = []
        for request in self._timers.due(now):
            if request.stage is Stage.HELD:
                for held in [request, *self._close(request)]:
                    self._send(held, now, hold=False)
                continue
            self._forget(request)
            gone.append(request)
            for other in self._close(request):
                if now - other.began < self._response_timeout:
                    self._send(other, now)
                else:
                    self._forget(other)
                    gone.append(other)
        return gone

    def _request_id(self) -> bytes:
        """Eight random bytes, of which the first is not 0: some read the ID as a number, and answer without the zeros before it."""
        first, *others = self._random_bytes(8)
        return bytes([first or 1, *others])

    def _send(self, request: Request[Purpose], now: float, *, hold: bool = True) -> None:
        opening = self._openings.get(request.remote)
        if opening is not None:
            self._wait(request, opening)
            return
        challenged = self._sessions.challenged_at(request.remote, now) if hold else None
        if challenged is not None and now < challenged + _HOLD:
            request.stage = Stage.HELD
            self._openings[request.remote] = _Opening(request, [])
            self._timers.set(request, challenged + _HOLD)
            return
        datagram, nonce, in_session = self._sessions.seal_request(request.remote, encode_message(request.message))
        request.stage = Stage.SENT if in_session else Stage.PROVOKING
        if not in_session:
            self._openings[request.remote] = _Opening(request, [])
        self._nonces.set(nonce, request)
        self._outbox.append((datagram, request.remote.endpoint))
        self._timers.set(request, now + self._response_timeout)

    def _wait(self, request: Request[Purpose], opening: _Opening[Purpose]) -> None:
        request.stage, request.due = Stage.WAITING, None
        opening.waiting.append(request)

    def _close(self, request: Request[Purpose]) -> list[Request[Purpose]]:
        """A request is over: if it was an opener, its opening is too, and those that waited for it are given."""
        opening = self._openings.get(request.remote)
        if opening is None or opening.opener is not request:
            return []
        del self._openings[request.remote]
        return [other for other in opening.waiting if self._is_pending(other)]

    def _forget(self, request: Request[Purpose]) -> None:
        request.due = None
        pending = self._pending[request.remote]
        del pending[request.message.request_id]
        if not pending:
            del self._pending[request.remote]

    def _is_pending(self, request: Request[Purpose]) -> bool:
        return self._pending.get(request.remote, {}).get(request.message.request_id) is request
