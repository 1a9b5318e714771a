"""Dials: `Dialer` reaches a node while its caller waits, `BackgroundDials` the nodes that the policy chose for a free place.

The policy decides which nodes to dial. It is told what becomes of each dial, and the book keeps it.
"""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from devp2p.capability import Peer
from devp2p.errors import DialError, DisconnectReason, HandshakeError, PeerDisconnected, RemoteProtocolError
from devp2p.keys import NodeId
from devp2p.node.policy import Policy
from devp2p.node.roster import Roster
from devp2p.node.sessions import Sessions
from devp2p.peers import kind_of
from devp2p.records import NodeRecord
from devp2p.session import LocalNode, Session, call
from devp2p.transports import Carriers

if TYPE_CHECKING:  # a node without a book does not import it
    from devp2p.book import Book

DIALS_AT_ONCE: Final = 16

_logger = logging.getLogger(__name__)

Connect: TypeAlias = Callable[[NodeRecord], Awaitable[Peer]]
"""Dials a node and returns its peer with the session running, or raises DialError."""


class Dialer:
    """Reaches nodes: by a race of their addresses, with one dial at a time to a node."""

    def __init__(self, local: LocalNode, policy: Policy, roster: Roster, sessions: Sessions, carriers: Carriers) -> None:
        self._local = local
        self._policy = policy
        self._roster = roster
        self._sessions = sessions
        self._carriers = carriers
        self._over: dict[NodeId, trio.Event] = {}
        """For each dial under way, what is set when it is over."""
        self._reaching: set[trio.CancelScope] = set()
        self._closed = False
        self.dials: int = 0
        """Attempts to reach a node, for whatever reason."""
        self.failures: Counter[str] = Counter()
        """Those of them that led to no session, by `peers.kind_of`."""

    def close(self) -> None:
        """The node ends: so do dials, those that a task outside of its nursery waits for among them."""
        self._closed = True
        for scope in self._reaching:
            scope.cancel()

    async def reach(self, record: NodeRecord) -> Peer:
        """Dial a node, or find that it is connected, and return the peer with its capabilities running; else DialError."""
        if record.public_key == self._local.key.public_key:
            raise DialError("that is this node itself", target=record, reason=DisconnectReason.CONNECTED_TO_SELF)
        while (peer := self._roster.get(record.public_key)) is None and record.id in self._over:
            await self._over[record.id].wait()
        if peer is not None:
            await trio.lowlevel.checkpoint()
            return peer
        self._over[record.id] = trio.Event()
        self._policy.candidates.reached_for.add(record.id)
        self.dials += 1
        scope = trio.CancelScope()
        self._reaching.add(scope)
        try:
            with scope:
                if not self._closed:
                    return await self._connect(record)
        except DialError as error:
            self.failures[kind_of(error)] += 1
            raise
        finally:
            self._reaching.discard(scope)
            self._policy.candidates.reached_for.discard(record.id)
            self._over.pop(record.id).set()
        raise DialError("the node has ended", target=record)

    async def _connect(self, record: NodeRecord) -> Peer:
        try:
            peer = await self._sessions.begin(await self._called(record))
        except PeerDisconnected as error:
            if (other := self._roster.get(record.public_key)) is not None:
                return other  # it dialled us at the same time, and that link was the one to stay
            raise DialError(f"{record.enode}: {error.detail if error.hung_up else error}", target=record, reason=error.reason) from error
        except RemoteProtocolError as error:
            raise DialError(f"{record.enode}: {error}", target=record) from error
        except trio.TooSlowError:
            within = f"within {self._local.limits.handshake_timeout:g} s"
            raise DialError(f"{record.enode}: no handshake and Hello {within}", target=record) from None
        self._policy.candidates.reached(record)
        return peer

    async def _called(self, record: NodeRecord) -> Session:
        """Call a node; a second time at once, without secrets from before, if its first record was not authentic (dpx/1, section 7)."""
        resumption = None if self._local.dpx is None else self._local.dpx.resumption
        try:
            return await call(record, self._local, self._carriers)
        except HandshakeError:
            if resumption is None or not resumption.wants_plain(record.public_key):
                raise
        return await call(record, self._local, self._carriers)


class BackgroundDials:
    """Dials for free places, which nobody waits for. They run in the node's nursery."""

    def __init__(self, connect: Connect, policy: Policy, book: "Book | None", nursery: trio.Nursery, over: Callable[[], None]) -> None:
        """`over` is called whenever one is over."""
        self._connect = connect
        self._policy = policy
        self._book = book
        self._nursery = nursery
        self._over = over
        self.begun: int = 0
        """How many there were."""
        self.failed: int = 0
        """How many of them led to no session."""

    @property
    def is_busy(self) -> bool:
        """Whether so many are under way that the next one has to wait."""
        return len(self._policy.candidates.dialling) >= DIALS_AT_ONCE

    def begin(self, record: NodeRecord) -> None:
        """Begin to dial a node."""
        self.begun += 1
        self._policy.candidates.begin_dial(record)
        self._nursery.start_soon(self._dial, record)

    async def _dial(self, record: NodeRecord) -> None:
        self._note("dialled", record)
        try:
            await self._connect(record)
        except DialError as error:
            self.failed += 1
            delay = self._policy.dial_failed(record, error)
            self._note("failed", record, kind_of(error))
            _logger.debug("%s: %s; not again for %.0f s", record.enode, error, delay)
        else:
            self._note("connected", record)
        finally:
            self._policy.candidates.dial_over(record)
        self._over()

    def _note(self, what: str, record: NodeRecord, kind: str = "") -> None:
        """Write into the book what became of a dial. Its clock is the system's, as what is in it outlives us."""
        if self._book is None:
            return
        now = time.time()
        with self._book.trouble.survived("what becomes of dials"):
            if what == "dialled":
                self._book.dialled(record.id, now)
            elif what == "connected":
                self._book.connected(record.id, now)
            else:
                self._book.failed(record.id, kind, now)
