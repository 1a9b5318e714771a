"""Visits by those who call us: nodes behind NAT, which no call of ours reaches, are seen in no other way.

Each is heard as one that we call, and told goodbye. Anybody can call, so what that may take up is bounded: so many links at a time, of
which the oldest of the most crowded network makes room for a newcomer, and one link of each address in a while.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Final

import trio

from devp2p import Arrival, Devp2pError, Listener, NodeRecord, PublicKey, open_session
from devp2p_crawler.model import Kind, Visit
from devp2p_crawler.visiting.hearing import RlpxCaller, hear_out, packed, take_leave

_REMEMBERED: Final = 4096
"""Addresses whose last call is kept in mind; the oldest are forgotten first."""
_NETWORK: Final = {4: 3, 16: 8}
"""Length of an address -> bytes of the network that its links count for, an IPv4 /24 or IPv6 /64."""
_HOST: Final = {4: 4, 16: 8}
"""The same for whom calls are counted: one host has a whole /64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundLimits:
    """What callers may take up."""

    links: int = 64
    """At a time."""
    again: float = 30.0
    """Seconds between two calls from one IPv4 address or IPv6 /64; addresses that are not of the Internet may call at any time."""


@dataclass(slots=True)
class InboundCounts:
    """What became of calls."""

    accepted: int = 0
    heard: int = 0
    """Visits: those that said Hello."""
    failed: int = 0
    """That did not, or broke rules before."""
    turned_away: int = 0
    """That came again too soon, or made room for others."""


class Inbound:
    """Takes calls: `serve` it with a listener of `devp2p.listen`."""

    def __init__(self, caller: RlpxCaller, on_visit: Callable[[Visit, PublicKey], None], *, limits: InboundLimits | None = None) -> None:
        """`on_visit` is told of each visit, and of the key of the node that came; it must not wait."""
        self.counts: InboundCounts = InboundCounts()
        self._caller = caller
        self._on_visit = on_visit
        self._limits = limits or InboundLimits()
        self._came: dict[bytes, float] = {}
        self._networks: Counter[bytes] = Counter()
        self._links: dict[trio.CancelScope, bytes] = {}  # the oldest first, and their networks

    async def serve(self, listener: Listener) -> None:
        """Take calls until cancelled; then listening is over."""
        async with trio.open_nursery() as nursery:
            await listener.serve(partial(self._take_in, nursery))

    async def _take_in(self, nursery: trio.Nursery, link: Arrival) -> None:
        """Take an accepted link, or close it; it never waits for its peer, so that the listener need not."""
        self.counts.accepted += 1
        ip = packed(link.remote)
        if self._comes_too_soon(ip):
            self.counts.turned_away += 1
            await link.aclose()
            return
        scope = trio.CancelScope()
        self._links[scope] = network = ip[: _NETWORK.get(len(ip))]
        self._networks[network] += 1
        if len(self._links) > self._limits.links:
            self._make_room()
        nursery.start_soon(self._visit, link, scope, ip)

    def _comes_too_soon(self, ip: bytes) -> bool:
        if not ip or not ip_address(ip).is_global:
            return False
        host, now = ip[: _HOST[len(ip)]], trio.current_time()
        last = self._came.pop(host, None)
        too_soon = last is not None and now - last < self._limits.again
        self._came[host] = last if too_soon and last is not None else now
        if len(self._came) > _REMEMBERED:
            del self._came[next(iter(self._came))]
        return too_soon

    def _make_room(self) -> None:
        (crowded, _), *_ = self._networks.most_common(1)
        oldest = next(scope for scope, network in self._links.items() if network == crowded)
        self._leave(oldest)
        oldest.cancel()

    def _leave(self, scope: trio.CancelScope) -> None:
        """A link is gone, or has to go."""
        network = self._links.pop(scope, None)
        if network is not None:
            self._networks[network] -= 1
            if not self._networks[network]:
                del self._networks[network]

    async def _visit(self, link: Arrival, scope: trio.CancelScope, ip: bytes) -> None:
        try:
            with scope:
                await self._hear(link, ip)
        except (Devp2pError, trio.TooSlowError):
            self.counts.failed += 1
        finally:
            self._leave(scope)
        if scope.cancelled_caught:
            self.counts.turned_away += 1

    async def _hear(self, link: Arrival, ip: bytes) -> None:
        began, since = self._caller.now(), trio.current_time()
        session = await open_session(link, self._caller.local)  # closes the link if it fails
        try:
            key = session.public_key
            if key == self._caller.local.key.public_key:
                return
            outcome, said = await hear_out(session, NodeRecord(key), self._caller)
            ended = began + round((trio.current_time() - since) * 1e6)
            said = await take_leave(session, said)
        finally:
            await session.close()
        self.counts.heard += 1
        visit = Visit(
            crawl=self._caller.crawl,
            node=bytes(key.node_id),
            kind=Kind.INBOUND,
            began=began,
            ended=ended,
            outcome=outcome,
            ip=ip,
            port=link.remote.port or 0,
            said=said,
        )
        self._on_visit(visit, key)
