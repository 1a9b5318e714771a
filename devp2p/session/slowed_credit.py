"""Credit given late (dpx/1, section 6): so a cap on what one capability receives holds up nobody else over one stream."""

from collections.abc import Callable
from functools import partial

import trio

from devp2p.capability import Gate, Share
from devp2p.wire.dpx import Contexts


class SlowedCredit:
    """Withholds a capability's credit for as long as it has received more than its cap lets it."""

    def __init__(self, download: Share, receiving: Contexts, on_credit: Callable[[], None]) -> None:
        """`on_credit` is called when there may be credit to be given again."""
        gates = [(index, download.gate(index, whole=False)) for index in range(len(receiving.came) - 1)]
        self._gates = {index: gate for index, gate in gates if gate is not None}
        self._receiving = receiving
        self._on_credit = on_credit
        self._counted = [0] * len(receiving.came)
        self._charged = trio.lowlevel.ParkingLot()

    def charge(self) -> None:
        """Count what has come."""
        for index, gate in self._gates.items():
            came = self._receiving.came[index + 1]
            if came > self._counted[index]:
                gate.spent_own(index, came - self._counted[index])
                self._counted[index] = came
                if not gate.is_paid:
                    self._receiving.withhold(index + 1, credit=True)
                    self._charged.unpark_all()

    async def run(self) -> None:
        """Give credit again when it is paid for."""
        async with trio.open_nursery() as nursery:
            for index, gate in self._gates.items():
                nursery.start_soon(partial(self._pay, index, gate))

    async def _pay(self, index: int, gate: Gate) -> None:
        while True:
            await gate.wait_paid()
            self._receiving.withhold(index + 1, credit=False)
            self._on_credit()
            await self._charged.park()
