"""`Frontier`: who is visited next, where several crawlers share that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from devp2p_crawler.model import Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A node that one crawler has been given to visit, until it settles that or its lease ends."""

    node: bytes
    """The node-ID, 32 bytes."""
    public_key: bytes
    """64 bytes."""
    ip: bytes
    """4 or 16 bytes; empty if only the key is known."""
    udp: int
    tcp: int
    record: bytes | None
    """The newest record of it, as RLP."""
    attempts: int
    """Visits in a row without an answer."""
    last_ok: int | None
    """Microseconds since 1970: when it answered last."""


class Frontier(Protocol):
    """Nodes and when each is due, shared by crawlers: no node is given to two of them at a time.

    All methods raise SinkError if the store cannot be reached; what was to be written is then to be handed over again.
    """

    async def sighted(self, sightings: Sequence[Sighting]) -> None:
        """Enter nodes that are not there yet, due at once; of known ones note where they are said to be."""
        ...

    @property
    def seconds(self) -> float:
        """For how long a lease lasts that is not renewed."""
        ...

    async def lease(self, count: int, *, before: int | None = None) -> list[Target]:
        """Take up to so many nodes that are due, the longest due first. Nobody else is given them while the lease lasts.

        `before`: only those that were due by then, in microseconds since 1970.
        """
        ...

    async def outstanding(self, *, before: int | None = None) -> int:
        """How many of those are left, leased to anybody or not."""
        ...

    async def settle(self, due: Mapping[bytes, int]) -> None:
        """These nodes were visited: give them back, each due at a time in microseconds since 1970."""
        ...

    async def renew(self) -> None:
        """Let all that is leased last longer; to be called more often than every third of a lease."""
        ...

    async def release(self) -> None:
        """Give back what is leased and not settled, due as before."""
        ...

    async def close(self) -> None:
        """Give back what is leased and not settled, due as before, and let go of connections."""
        ...
