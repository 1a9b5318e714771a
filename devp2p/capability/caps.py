"""Bandwidth caps: of a node, and of its capabilities, in each direction. They count whole frames, as they are on the wire.

A `Bandwidth` is what a node may use, a `Share` is what one session has of it in one direction, a `Gate` is where one stream waits.
Messages of the base protocol pass every gate, and are counted: who waits for others pays for them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import trio

from devp2p.bandwidth import Flow, Valve, Waiter

_QUANTUM: Final = 64 * 1024
BEGUN: Final = 1
"""How urgent the rest of a message is: after URGENT (0) ones, before those that have not begun. Peers do not wait long for a frame."""


def urgency_of(lane: int) -> int:
    """How urgent a message is that waits in a `Lane`."""
    return lane + 1 if lane else 0


class Direction:
    """The caps of one direction; each is None where there is none."""

    def __init__(self, whole: float | None, own: Mapping[str, float]) -> None:
        """Bytes a second for all sessions of the node together, and of them for the capabilities with these names."""
        self.whole: Valve | None = None if whole is None else Valve(whole)
        self.own: dict[str, Valve] = {name: Valve(rate) for name, rate in own.items()}

    @property
    def caps(self) -> Mapping[str, float]:
        """Bytes a second, by the capability's name; that of the whole node has the empty name."""
        return MappingProxyType({name: valve.rate for name, valve in self._valves.items()})

    def waits(self) -> Mapping[str, float]:
        """In how many seconds so far somebody had to wait for each."""
        now = trio.current_time()
        return MappingProxyType({name: valve.crowded(now) for name, valve in self._valves.items()})

    @property
    def _valves(self) -> dict[str, Valve]:
        return self.own if self.whole is None else {"": self.whole, **self.own}


class Bandwidth:
    """What all sessions of a node may use together."""

    def __init__(self, upload: Direction, download: Direction) -> None:
        self.upload = upload
        self.download = download


NO_CAPS: Final = Bandwidth(Direction(None, {}), Direction(None, {}))


class Share:
    """What one session has of a direction: it comes to its turn as any other session does, however many streams it has."""

    def __init__(self, direction: Direction, names: Iterable[str]) -> None:
        """`names`: of the shared capabilities, in the order of their indexes."""
        self._whole = None if direction.whole is None else (direction.whole, Flow())
        self._own = [None if (valve := direction.own.get(name)) is None else (valve, Flow()) for name in names]
        self._gates: list[Gate] = []
        self._is_over = False

    def gate(self, *indexes: int, whole: bool = True, own: bool = True, on_open: Callable[[], None] = lambda: None) -> "Gate | None":
        """Make a gate for one stream, with messages of these capabilities (of all, if none is named); None if they have no cap.

        `whole`, `own`: whether the node's cap holds there, and those of the capabilities. `on_open` is called when it may have opened.
        """
        caps = {index: cap for index, cap in enumerate(self._own) if own and cap is not None and (not indexes or index in indexes)}
        of_node = self._whole if whole else None
        if of_node is None and not caps:
            return None
        gate = Gate(of_node, caps, on_open, alone=len(indexes) == 1)
        self._gates.append(gate)
        if self._is_over:
            gate.release()
        return gate

    def release(self) -> None:
        """The session has begun to end: its gates are open from now on, and what passes them is counted."""
        self._is_over = True
        for gate in self._gates:
            gate.release()


class Shares:
    """What one session has of both directions."""

    def __init__(self, bandwidth: Bandwidth, names: Sequence[str]) -> None:
        """`names`: of the shared capabilities, in the order of their indexes."""
        self.upload: Share = Share(bandwidth.upload, names)
        self.download: Share = Share(bandwidth.download, names)

    def release(self) -> None:
        """The session has begun to end, and no cap is to hold up its farewell."""
        self.upload.release()
        self.download.release()


class Gate:
    """Where one stream waits for bandwidth; see `Share.gate`. One task uses it.

    It asks `may_pass` and `is_open` as late as possible, chooses what to send, and says what it `spent`. If it found nothing, it parks.
    """

    def __init__(
        self, whole: tuple[Valve, Flow] | None, own: dict[int, tuple[Valve, Flow]], on_open: Callable[[], None], *, alone: bool
    ) -> None:
        """`alone`: whether one capability has the stream for itself, so that it holds up nobody else."""
        self._on_open = on_open
        self._alone = alone
        self._opened = trio.lowlevel.ParkingLot()
        self._whole = None if whole is None else (*whole, Waiter(whole[1], self._wake))
        self._own = {index: (valve, flow, Waiter(flow, self._wake)) for index, (valve, flow) in own.items()}
        self._all = [*([self._whole] if self._whole is not None else []), *self._own.values()]
        self._refused: set[Waiter] = set()
        self._owing: set[int] = set()
        self._is_released = False
        slowing = [valve for valve, _, _ in self._all if alone or valve is (whole and whole[0])]
        self.quantum: int = min((valve.quantum for valve in slowing), default=_QUANTUM)
        """Bytes that should be written, or read, in one step."""

    def may_pass(self, index: int, urgency: int) -> bool:
        """Whether a message of a capability may pass by that capability's own cap; `is_open` tells of the node's."""
        return self._asks(self._own.get(index), urgency)

    def is_open(self, urgency: int) -> bool:
        """Whether something may pass by the node's cap."""
        return self._asks(self._whole, urgency)

    def _asks(self, at: tuple[Valve, Flow, Waiter] | None, urgency: int) -> bool:
        if at is None or self._is_released:
            return True
        valve, _, waiter = at
        if valve.may_pass(waiter, urgency, trio.current_time()):
            self._refused.discard(waiter)
            return True
        self._refused.add(waiter)
        return False

    def room(self) -> int:
        """How many bytes may pass by the node's cap without a debt."""
        return 2**62 if self._whole is None or self._is_released else self._whole[0].room(trio.current_time())

    def spent(self, index: int | None, size: int) -> None:
        """So many bytes of a capability have passed, or, with None, of anything else."""
        if self._whole is not None:
            self._whole[0].spend(self._whole[1], size, trio.current_time())
        if index is not None:
            self.spent_own(index, size)

    def spent_own(self, index: int, size: int) -> None:
        """The same where the node's cap was told before."""
        if (own := self._own.get(index)) is not None:
            own[0].spend(own[1], size, trio.current_time())
            self._owing.add(index)

    async def park(self, lot: trio.lowlevel.ParkingLot | None = None) -> None:
        """Wait until it may be the turn of what was refused, or until somebody wakes who parks in `lot`. Ask again then, or `leave`."""
        now = trio.current_time()
        for valve, _, waiter in self._all:
            if waiter in self._refused:
                valve.join(waiter, now)
            else:
                valve.leave(waiter, now)
        self._refused.clear()
        try:
            with trio.CancelScope(deadline=min(valve.due(waiter, now) for valve, _, waiter in self._all)):
                await (self._opened if lot is None else lot).park()
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Nothing waits here any more."""
        now = trio.current_time()
        self._refused.clear()
        for valve, _, waiter in self._all:
            valve.leave(waiter, now)

    def release(self) -> None:
        """Be open from now on."""
        self._is_released = True
        self.leave()
        self._wake()

    async def wait(self, index: int, urgency: int = BEGUN) -> None:
        """Wait until the next piece of a message may pass.

        The capability's own cap holds up its next message, and not this one, behind which those of others wait.
        """
        while not ((not self._alone or self.may_pass(index, urgency)) and self.is_open(urgency)):
            await self.park()
        self.leave()

    @property
    def is_paid(self) -> bool:
        """Whether nothing is owed for what has passed: then more may be read."""
        self._owing = {index for index in self._owing if not self.may_pass(index, BEGUN)}
        return self.is_open(BEGUN) and not self._owing

    async def wait_paid(self) -> None:
        """Wait until nothing is owed for what was read."""
        while not self.is_paid:
            await self.park()
        self.leave()

    def _wake(self) -> None:
        self._opened.unpark_all()
        self._on_open()
