"""A visit by UDP: is the node there, what does it say of itself, and whom does it know; by v4 or v5.

By v4 one Ping makes the endpoint proof for both questions, for those around the node itself and for its record. By v5 one question has
all of it: distance 0 is the node's own record, and the handshake goes along.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import trio

from devp2p import Discovery, NodeRecord
from devp2p_crawler.model import Kind, Outcome, Visit

_PAUSE: Final = 0.3  # seconds before a question is asked again


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpVisit:
    """What came of it."""

    visit: Visit
    node: NodeRecord | None
    """The node with the record that it gave; None if it gave none."""
    named: tuple[NodeRecord, ...]
    """The nodes that it named."""
    lost: int
    """Questions that it did not answer though it had just answered another."""
    answered: int


class UdpVisitor:
    """Visits nodes for one crawl."""

    def __init__(self, discovery: Discovery, crawl: bytes, now: Callable[[], int]) -> None:
        """`now` gives microseconds since 1970."""
        self._discovery, self._crawl, self._now = discovery, crawl, now

    async def by_v4(self, node: NodeRecord) -> UdpVisit:
        """Ask a node, by v4, whether it is there, for those around it, and for its record."""
        began, start = self._now(), trio.current_time()
        rtt: float | None = None
        named: tuple[NodeRecord, ...] | None = None
        record: NodeRecord | None = None

        async def find() -> None:
            nonlocal named
            named = await self._discovery.find_nodes(node, node.public_key, version=4)

        async def ask_record() -> None:
            nonlocal record
            record = await self._discovery.request_enr(node, version=4)

        async def ping() -> None:
            nonlocal rtt
            pinged = await self._discovery.ping(node, version=4)
            rtt = None if pinged is None else pinged.rtt

        async with trio.open_nursery() as nursery:  # all begin at once, and share the one Ping
            for ask in (find, ask_record, ping):
                nursery.start_soon(ask)
        alive = rtt is not None or named is not None or record is not None
        lost = (named is None) + (record is None) if alive else 0
        if lost:  # it is there: an answer was lost, or our proof came too late
            await trio.sleep(_PAUSE)
            async with trio.open_nursery() as nursery:
                for ask, is_missing in ((find, named is None), (ask_record, record is None)):
                    if is_missing:
                        nursery.start_soon(ask)
        answered = (named is not None) + (record is not None)
        told = None if named is None else len(named)
        visit = self._visit(node, Kind.V4, began, start, rtt, told, alive=alive)
        return UdpVisit(visit=visit, node=record, named=named or (), lost=lost, answered=answered)

    async def by_v5(self, node: NodeRecord, distances: Sequence[int]) -> UdpVisit:
        """Ask a node, by v5, for its own record and those at some distances from it."""
        began, start = self._now(), trio.current_time()
        named = await self._discovery.find_nodes(node, [0, *distances], version=5)
        # The first answer of a stranger is its WHOAREYOU, the second that to the question.
        rtt = None if named is None else (trio.current_time() - start) / 2
        own = next((one for one in named or () if one.id == node.id), None)
        others = tuple(one for one in named or () if one.id != node.id)
        visit = self._visit(node, Kind.V5, began, start, rtt, None if named is None else len(others), alive=named is not None)
        return UdpVisit(visit=visit, node=own, named=others, lost=int(named is not None and own is None), answered=int(own is not None))

    def _visit(  # noqa: PLR0913, PLR0917  (what a row has)
        self, node: NodeRecord, kind: Kind, began: int, start: float, rtt: float | None, told: int | None, *, alive: bool
    ) -> Visit:
        host, port = node.udp_endpoints[0]
        return Visit(
            crawl=self._crawl,
            node=node.id,
            kind=kind,
            began=began,
            ended=began + int((trio.current_time() - start) * 1_000_000),
            outcome=Outcome.OK if alive else Outcome.SILENT,
            ip=ip_address(host).packed,
            port=port,
            rtt=None if rtt is None else int(rtt * 1_000_000),
            told=told,
        )
