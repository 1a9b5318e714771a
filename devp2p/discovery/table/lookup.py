"""One search for the nodes closest to a target (pure): whom to ask next, and when it is over.

discv4, section "Recursive Lookup"; discv5 theory, sections "Lookup" and "Lookup Protocol".

Theory of operation. Of the nodes heard of, the 16 closest are the frontier. At most three of them are being asked at a time, the closest
first; what they answer moves the frontier closer. A node that stays silent leaves the frontier at once, so that dead nodes neither hold the
search up nor end in its result. UDP loses datagrams, so it is asked again (at an endpoint that somebody else gave for it, if there is one),
but only when nobody else is left to ask, and only if it is close enough to matter. The search is over when the whole frontier has answered.

A node that answers may lie, and name as many made-up nodes as it likes, each closer than the last. So an answer counts up to 16 nodes, one
network up to two, the whole search keeps 256 at most, and asks a fixed number of times. The result are nodes that answered: nobody gets
into it by hearsay.
"""

import enum
from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic

from devp2p.addresses import SITE, is_local, network_of
from devp2p.discovery.table.contacts import Contact, Record
from devp2p.discovery.table.kademlia import BUCKET_SIZE, distance
from devp2p.errors import LocalProtocolError

ALPHA = 3
"""How many nodes are asked at a time."""
MAX_QUERIES = 128
"""How often a search asks, in all."""
ATTEMPTS = 3
"""How often it asks one node that stays silent; twice as often one that is there, but does not answer the question."""
PER_NETWORK = 2
"""How many nodes of one public network (`network_of`) it considers."""

_REMEMBERED = 256  # candidates; beyond it the farthest that nobody has asked yet are forgotten


def lookup_distances(target: bytes, node_id: bytes, count: int = 5) -> list[int]:
    """The logarithmic distances to ask a node for, so that it names nodes near `target`: its own distance from there, then greater ones.

    At its own distance lie all that are closer to the target than it is; at a greater one those that are as far from the target. What is
    left at 256 is filled with smaller ones, where those are that are about as far as itself. At least one and at most `count` of 0 to 256;
    0, which asks for the node's own record, only if the node is the target.
    """
    middle = distance(target, node_id)
    return [*range(middle, 257), *range(middle - 1, 0, -1)][:count]


class _State(enum.Enum):
    HEARD = enum.auto()
    ASKED = enum.auto()
    ANSWERED = enum.auto()
    SILENT = enum.auto()  # may be asked again
    FAILED = enum.auto()


@dataclass(slots=True, eq=False)
class _Candidate(Generic[Record]):
    contact: Contact[Record]
    away: int
    """The distance from the target, exact and not logarithmic."""
    hops: int
    """How many answers led to it."""
    state: _State = _State.HEARD
    tries: int = 0
    present: bool = False
    """It has shown since it was asked that it is there."""
    elsewhere: Contact[Record] | None = None
    """The first other endpoint that was given for it."""


class Lookup(Generic[Record]):
    """A search. Ask those of `queries`, tell of each `answered` or `failed`, and go on until it is `done`."""

    def __init__(  # noqa: PLR0913  (only the first two are needed)
        self,
        target: bytes,
        seeds: Iterable[Contact[Record]],
        *,
        own_id: bytes | None = None,
        alpha: int = ALPHA,
        k: int = BUCKET_SIZE,
        attempts: int = ATTEMPTS,
        max_queries: int = MAX_QUERIES,
        per_network: int | None = PER_NETWORK,
    ) -> None:
        """Search for the `k` nodes closest to the 32-byte `target`, from `seeds` on (usually the closest of our table, live or not).

        `own_id` is never asked. `per_network` None, for those who want every node there is, drops that limit; local addresses are exempt.
        """
        self.target = target
        self._number = int.from_bytes(target, "big")
        self._own_id = own_id
        self._alpha, self._k, self._attempts, self._max_queries, self._per_network = alpha, k, attempts, max_queries, per_network
        self._known: dict[bytes, _Candidate[Record]] = {}
        self._candidates: list[_Candidate[Record]] = []  # closest first, without those that failed
        self._networks: dict[bytes, int] = {}
        self._in_flight = 0
        self._asked = 0
        for contact in seeds:
            self._hear(contact, 0)

    def queries(self) -> list[Contact[Record]]:
        """The nodes to ask now, each of which counts as asked from here on; empty while enough are, and when the search is over."""
        now: list[Contact[Record]] = []
        while self._in_flight < self._alpha and (candidate := next(self._next(), None)) is not None:
            if candidate.state is _State.SILENT and candidate.elsewhere is not None:
                elsewhere, candidate.elsewhere = candidate.elsewhere, candidate.contact
                self._move(candidate, elsewhere)
            candidate.state = _State.ASKED
            candidate.tries += 1
            self._asked += 1
            self._in_flight += 1
            now.append(candidate.contact)
        return now

    def answered(self, node: Contact[Record], nodes: Iterable[Contact[Record]]) -> None:
        """`node`, which was asked, has named `nodes` (checked as the protocol demands); an answer that comes too late still counts."""
        candidate = self._asked_candidate(node)
        if candidate.state is _State.ANSWERED:
            return
        if candidate.state is _State.ASKED:
            self._in_flight -= 1
        elif candidate.state is _State.FAILED:
            insort(self._candidates, candidate, key=_by_distance)
            self._count(candidate, 1)
        candidate.state = _State.ANSWERED
        for contact, _ in zip(nodes, range(self._k), strict=False):
            self._hear(contact, candidate.hops + 1)
        self._forget()

    def failed(self, node: Contact[Record], *, present: bool = False) -> None:
        """`node`, which was asked, has stayed silent, or its answer was not fit to be used. `present`: but it is there."""
        candidate = self._asked_candidate(node)
        if candidate.state is not _State.ASKED:
            return
        self._in_flight -= 1
        candidate.present |= present
        if candidate.tries < self._attempts * (2 if candidate.present else 1):
            candidate.state = _State.SILENT
        else:
            candidate.state = _State.FAILED
            self._candidates.remove(candidate)
            self._count(candidate, -1)

    @property
    def done(self) -> bool:
        """Whether the search is over."""
        return not self._in_flight and next(self._next(), None) is None

    @property
    def result(self) -> list[Contact[Record]]:
        """The up to `k` closest nodes that have answered, closest first."""
        return [candidate.contact for candidate in self._answered()][: self._k]

    @property
    def asked(self) -> int:
        """How many times somebody was asked."""
        return self._asked

    @property
    def hops(self) -> int:
        """How many answers, one after the other, led to the closest node that has answered; 0 if it was a seed."""
        return next((candidate.hops for candidate in self._answered()), 0)

    def _answered(self) -> Iterator[_Candidate[Record]]:
        return (candidate for candidate in self._candidates if candidate.state is _State.ANSWERED)

    def _next(self) -> Iterator[_Candidate[Record]]:
        """Whom to ask, the best first; those asked meanwhile have another state and are no longer among them."""
        if self._asked >= self._max_queries:
            return
        size = 0
        silent: list[_Candidate[Record]] = []
        for candidate in self._candidates:
            if candidate.state is _State.SILENT:
                silent.append(candidate)
                continue
            if candidate.state is _State.HEARD:
                yield candidate
            size += 1
            if size == self._k:
                break
        yield from silent

    def _asked_candidate(self, node: Contact[Record]) -> _Candidate[Record]:
        candidate = self._known.get(node.id)
        if candidate is None or not candidate.tries:
            raise LocalProtocolError("this lookup has not asked that node")
        return candidate

    def _hear(self, contact: Contact[Record], hops: int) -> None:
        """Somebody named a node."""
        if contact.id == self._own_id:
            return
        known = self._known.get(contact.id)
        if known is not None:
            self._hear_again(known, contact)
            return
        candidate = _Candidate(contact, int.from_bytes(contact.id, "big") ^ self._number, hops)
        # Who looks for one node wants it whatever its neighbours are.
        if self._is_crowded(contact) and contact.id != self.target:
            return
        self._known[contact.id] = candidate
        insort(self._candidates, candidate, key=_by_distance)
        self._count(candidate, 1)

    def _hear_again(self, candidate: _Candidate[Record], contact: Contact[Record]) -> None:
        """Somebody named a node that is known: take a newer record of one not asked yet, and remember another endpoint in case of need."""
        if contact.endpoint == candidate.contact.endpoint:
            return
        if candidate.state is _State.HEARD and contact.seq > candidate.contact.seq:
            self._move(candidate, contact)
        elif candidate.elsewhere is None:
            candidate.elsewhere = contact

    def _move(self, candidate: _Candidate[Record], contact: Contact[Record]) -> None:
        self._count(candidate, -1)
        candidate.contact = contact
        self._count(candidate, 1)

    def _forget(self) -> None:
        """Keep to the bound on candidates: the farthest go, except those that were asked."""
        surplus = len(self._candidates) - _REMEMBERED
        if surplus > 0:
            heard = [candidate for candidate in self._candidates if candidate.state is _State.HEARD]
            gone = {candidate.contact.id for candidate in heard[-surplus:]}
            for candidate in heard[-surplus:]:
                del self._known[candidate.contact.id]
                self._count(candidate, -1)
            self._candidates = [candidate for candidate in self._candidates if candidate.contact.id not in gone]

    def _is_crowded(self, contact: Contact[Record]) -> bool:
        ip = contact.endpoint.ip
        return self._per_network is not None and self._networks.get(network_of(ip, SITE), 0) >= self._per_network and not is_local(ip)

    def _count(self, candidate: _Candidate[Record], change: int) -> None:
        network = network_of(candidate.contact.endpoint.ip, SITE)
        self._networks[network] = self._networks.get(network, 0) + change
        if not self._networks[network]:
            del self._networks[network]


def _by_distance(candidate: _Candidate[Record]) -> int:
    return candidate.away
