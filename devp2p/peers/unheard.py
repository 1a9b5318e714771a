"""Inbound links of which no whole auth has come (pure): so many are kept, and this says which one makes room for a newcomer.

The oldest of the most crowded network does. An honest node speaks as soon as it is connected, so it needs its place here for one journey
of a packet only; a host that opens many links without a word competes with itself first.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Unheard(Generic[T]):
    """A bounded set of links, each of a network."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._networks: dict[bytes, dict[T, None]] = {}  # the links of each, the oldest first
        self._where: dict[T, bytes] = {}
        self._crowds: list[dict[bytes, None]] = []  # the networks that have 1, 2, 3 ... links; the last one is not empty

    def __len__(self) -> int:
        return len(self._where)

    def add(self, link: T, network: bytes) -> T | None:
        """Take in a link, and return the one that has to go for it, if there are too many."""
        makes_room = None
        if len(self._where) >= self.most:
            makes_room = next(iter(self._networks[next(iter(self._crowds[-1]))]))
            self.discard(makes_room)
        links = self._networks.setdefault(network, {})
        self._count(network, len(links), len(links) + 1)
        links[link] = None
        self._where[link] = network
        return makes_room

    def renew(self, link: T) -> None:
        """Let a link that is here count as the newest of its network."""
        links = self._networks[self._where[link]]
        del links[link]
        links[link] = None

    def discard(self, link: T) -> None:
        """Let a link go, if it is here."""
        network = self._where.pop(link, None)
        if network is None:
            return
        links = self._networks[network]
        del links[link]
        self._count(network, len(links) + 1, len(links))
        if not links:
            del self._networks[network]

    def _count(self, network: bytes, before: int, now: int) -> None:
        """Note that a network has another number of links."""
        if before:
            del self._crowds[before - 1][network]
        if now > len(self._crowds):
            self._crowds.append({})
        if now:
            self._crowds[now - 1][network] = None
        while self._crowds and not self._crowds[-1]:
            self._crowds.pop()
