"""`CellFetcher`: asks peers for the cells of blob transactions."""

import logging
from collections.abc import Iterable
from itertools import chain

import trio

from devp2p import LocalProtocolError
from devp2p.capabilities.eth.pool.columns import ALL, CELL
from devp2p.capabilities.eth.pool.limits import PoolLimits
from devp2p.capabilities.eth.pool.peering import PeerState
from devp2p.capabilities.eth.pool.sidecars import Sidecars

_logger = logging.getLogger(__name__)


class CellFetcher:
    """What is asked of each peer, by the plan that `Sidecars` has."""

    def __init__(self, sidecars: Sidecars, limits: PoolLimits) -> None:
        self._sidecars = sidecars
        self._limits = limits

    async def next_answer(self, state: PeerState) -> list[bytes]:
        """Wait until there is something to ask a peer for, ask, and return which transactions have what they need now.

        RemoteProtocolError for an answer that is not one, or whose cells are wrong.
        """
        plan, now = self._sidecars.plan, trio.current_time()
        names, columns = plan.next_request(state, now)
        if not names:
            deadline = plan.next_time(state, now)
            await state.fetch_cells.heard(float("inf") if deadline is None else deadline)
            return []
        has_all = all(plan.offers(state, name) == ALL for name in names)
        try:
            with trio.fail_after(self._limits.fetch_timeout):
                answer = await state.peer.fetch_cells(names, columns)
        except trio.TooSlowError:
            state.peer.conduct.timed_out()
            self.wake(plan.brought(state, names, {}))
            return []
        try:
            found = await self._sidecars.take(names, columns, answer)
        except LocalProtocolError as error:  # what proves has failed, for which the peer can do nothing
            _logger.warning("cells of %d blob transactions are lost: %s", len(names), error)
            self.wake(plan.brought(state, names, {}))
            return []
        brought = answer[2]
        cells = sum(map(len, chain.from_iterable(rows.values() for rows in found.values())))
        if cells:
            state.peer.conduct.useful(cells * CELL / 1024, f"brought {cells} cells")
        if has_all and found and brought != columns and len(found) == 1:
            state.peer.conduct.invalid(1, "left out cells that it had announced")
        self.wake(plan.brought(state, names, dict.fromkeys(found, brought)))
        return [name for name in found if plan.is_complete(name)]

    @staticmethod
    def wake(states: Iterable[PeerState]) -> None:
        """Let peers be asked."""
        for state in states:
            state.fetch_cells.ring()
