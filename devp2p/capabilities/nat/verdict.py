"""What follows from what servers say, and from who has called us (pure).

A server's word that it could not reach us is only a word, and so is which of our addresses it has called. So a verdict takes more than
three servers of different networks. Each has one vote on an address, its latest, for some time.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from devp2p import SITE, Address

AGREEING: Final = 4
"""So many networks have to agree: more than three."""
WINDOW: Final = 3 * 3600.0
"""Seconds for which a vote counts."""
_MOST_ADDRESSES: Final = 32
_MOST_VOTES: Final = 64


class Verdict(Enum):
    """Whether others reach us."""

    UNKNOWN = "unknown"
    PUBLIC = "public"
    """At one of our addresses, at least."""
    PRIVATE = "private"
    """At none of those that were tried."""


@dataclass(frozen=True, slots=True)
class Reachability:
    """What is known of how others reach this node."""

    verdict: Verdict = Verdict.UNKNOWN
    addresses: tuple[Address, ...] = ()
    """Those at which they do."""
    unreachable: tuple[Address, ...] = ()
    """Those at which they do not."""


@dataclass(slots=True)
class _Votes:
    """On one address: by network, what was said and when; the oldest first."""

    by_network: dict[bytes, tuple[bool, float]] = field(default_factory=dict[bytes, tuple[bool, float]])

    def count(self, now: float) -> tuple[int, int]:
        """Of those that still count: who reached it, and who did not."""
        reached = [word for word, since in self.by_network.values() if now - since < WINDOW]
        return sum(reached), len(reached) - sum(reached)


class Votes:
    """The votes on all our addresses."""

    def __init__(self, agreeing: int = AGREEING) -> None:
        self._agreeing = agreeing
        self._votes: dict[Address, _Votes] = {}

    def add(self, server: Address, address: Address, *, reached: bool, now: float) -> None:
        """Take in what came of a call by a server."""
        if address not in self._votes and len(self._votes) >= _MOST_ADDRESSES:
            del self._votes[next(iter(self._votes))]
        votes = self._votes.setdefault(address, _Votes()).by_network
        network = server.network(SITE)
        votes.pop(network, None)
        if len(votes) >= _MOST_VOTES:
            del votes[next(iter(votes))]
        votes[network] = (reached, now)

    def has_voted(self, server: Address, address: Address, now: float, within: float) -> bool:
        """Whether a server's network has said something of an address lately."""
        votes = self._votes.get(address)
        vote = None if votes is None else votes.by_network.get(server.network(SITE))
        return vote is not None and now - vote[1] < within

    def keep_only(self, addresses: set[Address]) -> None:
        """Forget what is none of our addresses any more."""
        self._votes = {address: votes for address, votes in self._votes.items() if address in addresses}

    def reachability(self, now: float) -> Reachability:
        """What follows."""
        reached, unreachable = list[Address](), list[Address]()
        for address, votes in self._votes.items():
            yes, no = votes.count(now)
            if yes >= self._agreeing and yes > no:
                reached.append(address)
            elif no >= self._agreeing and no > yes:
                unreachable.append(address)
        is_private = bool(unreachable) and len(unreachable) == len(self._votes)
        verdict = Verdict.PUBLIC if reached else Verdict.PRIVATE if is_private else Verdict.UNKNOWN
        return Reachability(verdict, tuple(reached), tuple(unreachable))
