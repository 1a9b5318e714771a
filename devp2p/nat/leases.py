"""Which mappings a node has of its router, when each is to be renewed, and what may be published of them (pure).

RFC 6886, section 3.3, and RFC 6887, section 11.2.1: a mapping is renewed when half of its life is over, and after each failure when half of
the rest is. What a router says is judged before it is believed: an address that nobody could reach, a lifetime of no use, a port 0.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from devp2p.addresses import Endpoint, scope_of, unmapped
from devp2p.nat.settings import is_believable

LIFETIME: Final = 7200
"""Seconds for which a mapping is asked; RFC 6886 recommends two hours."""
LEAST_LIFETIME: Final = 60
"""A mapping of fewer seconds is not worth the questions that it costs, and whoever gives it wants us to ask."""
LEAST_WAIT: Final = 4.0
"""Seconds between two tries to renew one mapping."""
FIRST_RETRY: Final = 30.0
LAST_RETRY: Final = 600.0
"""Seconds until a mapping that was not given is asked for again, the first time and at most."""
GRACE: Final = 15.0
"""Seconds for which a mapping is still published that the router has probably forgotten: it is being made anew."""


class NatError(Exception):
    """A router or server that gives us nothing, and why."""


@dataclass(frozen=True, slots=True, order=True)
class Wanted:
    """A port of ours that is to be reached from outside."""

    protocol: str
    """``tcp`` or ``udp``."""
    port: int

    def __str__(self) -> str:
        return f"{self.protocol.upper()} port {self.port}"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a router has answered, as it did."""

    external: bytes
    """The address from outside, packed."""
    port: int
    lifetime: float
    """Seconds; infinite for a mapping that stays until it is removed."""


def judged(grant: Grant) -> Grant:
    """A grant as far as it is believed; NatError for what cannot be true or is of no use."""
    external = unmapped(grant.external)
    if len(external) == 16:
        raise NatError(f"the router names {_shown(external)} as its external address, where mappings are of IPv4")
    if not is_believable(external):
        scope = scope_of(external).name.lower()
        raise NatError(f"the router names {_shown(external)} as its external address, which is {scope}: nobody outside reaches it")
    if not 0 < grant.port <= 65535:
        raise NatError(f"the router gives the external port {grant.port}")
    if grant.lifetime < LEAST_LIFETIME:
        raise NatError(f"the router gives a mapping for {grant.lifetime:g} s, where {LEAST_LIFETIME} are the least that is of use")
    # What is longer than was asked for is no promise: routers start again all the time.
    return Grant(external, grant.port, min(grant.lifetime, LIFETIME))


def _shown(ip: bytes) -> str:
    return str(Endpoint(ip, 0)).rpartition(":")[0] if len(ip) in {4, 16} else repr(ip)


@dataclass(slots=True)
class _Lease:
    """One mapping: what we have of it, and when to ask again."""

    due: float
    grant: Grant | None = None
    expires: float = math.inf
    failures: int = 0


class Leases:
    """The mappings of one router."""

    def __init__(self, wanted: Iterable[Wanted], now: float) -> None:
        """`wanted` are asked for at once; `now` and all other times are seconds of one clock."""
        self._leases = {one: _Lease(now) for one in dict.fromkeys(wanted)}

    def next_due(self) -> float:
        """When there is something to do: to ask for a mapping, or to give one up."""
        return min((min(lease.due, lease.expires) for lease in self._leases.values()), default=math.inf)

    def due(self, now: float) -> list[Wanted]:
        """What is to be asked for now. Whoever asks says what came of it: `granted` or `failed`."""
        self._expire(now)
        return [one for one, lease in self._leases.items() if lease.due <= now]

    def published(self, now: float) -> dict[Wanted, Endpoint]:
        """Which of our ports are reached where."""
        self._expire(now)
        return {one: Endpoint(lease.grant.external, lease.grant.port) for one, lease in self._leases.items() if lease.grant is not None}

    def suggestion(self, wanted: Wanted) -> int:
        """The external port to ask for: the one that we had, or the same as within."""
        lease = self._leases[wanted]
        return wanted.port if lease.grant is None else lease.grant.port

    def add(self, wanted: Wanted, now: float) -> None:
        """Want one more."""
        self._leases.setdefault(wanted, _Lease(now))

    def granted(self, wanted: Wanted, grant: Grant, now: float) -> None:
        """The router has made or renewed a mapping; NatError if what it says is not believed, which counts as a failure."""
        try:
            believed = judged(grant)
        except NatError:
            self.failed(wanted, now)
            raise
        lease = self._leases[wanted]
        lease.grant, lease.failures = believed, 0
        lease.expires = now + believed.lifetime
        lease.due = now + believed.lifetime / 2

    def failed(self, wanted: Wanted, now: float) -> None:
        """The router has not."""
        lease = self._leases[wanted]
        lease.failures += 1
        if lease.grant is not None:
            lease.due = now + max(LEAST_WAIT, (lease.expires - now) / 2)
        else:
            lease.due = now + min(LAST_RETRY, FIRST_RETRY * 2 ** min(lease.failures - 1, 10))

    def forgotten(self, now: float) -> None:
        """The router has started again, or has another address: everything is to be made anew, and is not true for long."""
        for lease in self._leases.values():
            lease.due = now
            if lease.grant is not None:
                lease.expires = min(lease.expires, now + GRACE)

    def withdrawn(self, now: float) -> None:
        """The router is gone, and with it what it gave."""
        for lease in self._leases.values():
            lease.grant, lease.expires, lease.due = None, math.inf, now

    def _expire(self, now: float) -> None:
        for lease in self._leases.values():
            if lease.expires <= now:
                lease.grant, lease.expires = None, math.inf
                lease.due = min(lease.due, now)
