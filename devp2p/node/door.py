"""The way of an accepted link until it is a session or refused: what it may take up meanwhile, and when it has to make room.

Theory of operation. Three stages, each of which costs more than the one before and lets in less:

1. Unheard. A link waits until its auth has come, whole (or its question for our key, if we tell it); it costs a file, a task and at most
   two kilobytes, or by WebSocket eight of HTTP headers. Nothing holds up the listener: when there are too many
   (`Limits.unheard_inbound`), the oldest of the most crowded network makes room. An honest caller speaks as soon as it is connected, and
   so needs to stay for one journey of a packet only.
2. Shaking hands, which costs computations on the curve: `Limits.pending_inbound` places, of which one network has few. While others wait
   for a place, a link that has not said a valid Hello after `Limits.crowded_timeout` makes room.
3. Proved. A link that has said Hello gives its place back as soon as it is admitted, refused, or has to wait: a refused one may take a
   second to hang up, and the second link of a connected node three to be chosen, and neither keeps anybody else out.
"""

import logging
from collections.abc import Generator
from contextlib import contextmanager

import trio

from devp2p.errors import Devp2pError, HandshakeError, PeerDisconnected, RemoteProtocolError
from devp2p.keys import PublicKey
from devp2p.limits import Limits
from devp2p.node.events import PeerRefused, told
from devp2p.node.roster import Roster
from devp2p.node.sessions import Sessions
from devp2p.peers import MANY, Admission, Caller, Neighbours, Unheard
from devp2p.session import LocalNode, Session, close_link, hear, open_session
from devp2p.transports import Arrival, file_limit, is_shown, scheme_of

_logger = logging.getLogger(__name__)


class Door:
    """Takes the accepted links of a node, and counts those that are no sessions yet. Its tasks run in the node's nursery."""

    def __init__(self, local: LocalNode, sessions: Sessions, roster: Roster, nursery: trio.Nursery) -> None:
        self._local = local
        self._sessions = sessions
        self._roster = roster
        self._nursery = nursery
        self._neighbours = Neighbours()
        self.limits: Limits = local.limits
        limits = local.limits
        self.admission: Admission = Admission(limits)
        self.unheard: Unheard[Visit] = Unheard(int(max(1, min(limits.unheard_inbound, file_limit() / 2))))
        self.places: trio.Semaphore = trio.Semaphore(limits.pending_inbound)
        self.unproved: dict[Visit, None] = {}
        """Those that shake hands and have not come to their Hello, the oldest first."""
        self._faulty: set[str] = set()
        """Schemes of which a transport has raised what it may not."""
        self.hurried: set[Visit] = set()
        """As many of them as wait for a place; these have `Limits.crowded_timeout` only."""
        self.farewells: int = 0
        """Refused ones that are told so."""

    @property
    def waiting(self) -> int:
        """Links that are not sessions yet, nor refused."""
        return len(self.unheard) + self.limits.pending_inbound - self.places.value

    async def take_in(self, link: Arrival) -> None:
        """Take an accepted link. It never waits, so that the listener need not."""
        try:
            visit = self.knock(link)
        except RemoteProtocolError as error:
            self._roster.publish(PeerRefused(link.remote, told(error)))
            self._nursery.start_soon(close_link, link)
        else:
            self._nursery.start_soon(self._serve, link, visit)

    async def _serve(self, link: Arrival, visit: "Visit") -> None:
        key: PublicKey | None = None
        try:
            session = await self._hear(link, visit)
            key = session.public_key
            await self._sessions.begin(session, farewell=visit.farewell, on_wait=visit.leave, came=visit.came)
        except (RemoteProtocolError, PeerDisconnected) as error:
            _logger.debug("link from %s failed: %s", link.remote, error)
            self._roster.publish(PeerRefused(link.remote, told(error), key))
        finally:
            visit.leave()

    async def _hear(self, link: Arrival, visit: "Visit") -> Session:
        """Shake hands with the caller, for as long as nobody else needs the place; RemoteProtocolError or PeerDisconnected else."""
        try:
            with visit.scope:
                undecided = scheme_of(link) is None
                heard = await hear(link, reveal_key=self._local.reveal_key)
                if undecided:
                    self._require(visit.caller, self.admission.heard(visit.caller, trio.current_time(), heard.link.remote.scheme))
                await visit.begin()
                session = await open_session(link, self._local, heard=heard, farewell=visit.farewell)
                visit.proved()
                if not visit.caller.shown:  # by its handshake it is
                    remote = session.link.remote
                    caller = self.admission.identify(remote)
                    self._require(caller, self.admission.knock(caller, trio.current_time(), remote.scheme))
                self._look_for_a_proxy(session, visit)
                return session
        except trio.TooSlowError:
            pass  # as if our own scope had ended first
        except BaseException as error:
            await close_link(link)
            self._contain(error, link)
            raise
        await close_link(link)
        raise RemoteProtocolError(visit.turned_out)

    def _contain(self, error: BaseException, link: Arrival) -> None:
        """Let a stray exception end this one link; what strangers make a transport raise must not end the node, unless it is `strict`."""
        if isinstance(error, Devp2pError) or not isinstance(error, Exception):
            return
        scheme = link.remote.scheme
        if isinstance(error, OSError):  # such as that there are no more descriptors
            raise HandshakeError(f"the system could not go on with a link of {scheme}: {error}") from None
        if not self._local.strict:
            if scheme not in self._faulty:  # strangers could have any number of them logged
                self._faulty.add(scheme)
                _logger.error(
                    "the transport of %s failed at a link from %s, which ends; not told again", scheme, link.remote, exc_info=error
                )
            raise HandshakeError(f"the transport of {scheme} failed: {type(error).__name__}") from None

    def _look_for_a_proxy(self, session: Session, visit: "Visit") -> None:
        """Warn of an address that hides where strangers come from."""
        remote = session.link.remote
        if visit.caller.exempt and remote.port is not None and self._neighbours.note(visit.caller.host, session.public_key.node_id):
            _logger.warning(
                "%d different nodes came from the local address %s, which is exempt from the limits on addresses: if a proxy or NAT hides"
                " where they come from, let it keep their addresses, or set limit_local_addresses (devp2p node --limit-local-addresses)",
                MANY,
                remote.host,
            )

    def knock(self, link: Arrival) -> "Visit":
        """Take in a link; RemoteProtocolError if it may not stay. Every visit that begins must `leave` later."""
        now, caller = trio.current_time(), self.admission.identify(link.remote, shown=is_shown(link))
        self._require(caller, self.admission.knock(caller, now, scheme_of(link)))
        visit = Visit(self, caller, now)
        makes_room = self.unheard.add(visit, caller.subnet)
        if makes_room is not None:
            makes_room.turn_out("no handshake when others needed the place")
        return visit

    def _require(self, caller: Caller, refusal: str | None) -> None:
        """RemoteProtocolError with a refusal, unless a link is awaited from there."""
        if refusal is not None and not self._sessions.lets_come(caller.host):
            raise RemoteProtocolError(refusal)

    async def take_place(self, visit: "Visit") -> None:
        """Wait for a place among those who shake hands."""
        try:
            self.places.acquire_nowait()
        except trio.WouldBlock:
            self._hurry(1)
            await self.places.acquire()
        visit.began(trio.current_time())
        self.unproved[visit] = None
        self._hurry(0)

    def _hurry(self, more: int) -> None:
        """For each one that waits for a place, and so many more, let the next oldest that has one hurry."""
        waiting = self.places.statistics().tasks_waiting + more
        for visit in [*self.unproved][: max(0, waiting - len(self.hurried))]:
            del self.unproved[visit]
            self.hurried.add(visit)
            visit.hurry()

    def forget(self, visit: "Visit") -> None:
        """It is no longer one that could make room."""
        self.unheard.discard(visit)
        self.unproved.pop(visit, None)
        self.hurried.discard(visit)


class Visit:
    """A link on its way to a session."""

    def __init__(self, door: Door, caller: Caller, now: float) -> None:
        timeout = door.limits.handshake_timeout
        self.scope: trio.CancelScope = trio.CancelScope(deadline=now + timeout)
        """What to do in it until the Hello; it is cancelled when that takes too long, or when others need the place."""
        self.turned_out: str = f"no handshake and Hello within {timeout:g} s"
        """Why it was cancelled."""
        self.caller: Caller = caller
        self.came: float = now
        self._door = door
        self._counts = False
        self._has_place = False
        self._since = now

    def turn_out(self, reason: str) -> None:
        """Make room for others."""
        self.turned_out = reason
        self.scope.cancel()

    def hurry(self) -> None:
        """Others wait for a place."""
        timeout = self._door.limits.crowded_timeout
        if self._since + timeout < self.scope.deadline:
            self.turned_out = f"no handshake and Hello within {timeout:g} s, while others wait for a place"
            self.scope.deadline = self._since + timeout

    async def begin(self) -> None:
        """The auth has come: wait for a place to shake hands. RemoteProtocolError if its network has enough."""
        await trio.lowlevel.checkpoint_if_cancelled()  # another may have got its place in the moment in which the auth came
        refusal = self._door.admission.begin(self.caller)
        if refusal is not None:
            raise RemoteProtocolError(refusal)
        self._counts = True
        self._door.unheard.renew(self)
        await self._door.take_place(self)

    def began(self, now: float) -> None:
        """It has a place."""
        self._has_place = True
        self._since = now
        self._door.unheard.discard(self)

    def proved(self) -> None:
        """The Hello has come: it need not make room any more."""
        self._door.forget(self)

    def leave(self) -> None:
        """Give everything back that is not yet."""
        self._door.forget(self)
        if self._has_place:
            self._has_place = False
            self._door.places.release()
        if self._counts:
            self._counts = False
            self._door.admission.release(self.caller)

    @contextmanager
    def farewell(self) -> Generator[bool]:
        """It is refused: see `session.Farewell`."""
        self.leave()
        self._door.farewells += 1
        try:
            yield self._door.farewells <= self._door.limits.pending_inbound
        finally:
            self._door.farewells -= 1
