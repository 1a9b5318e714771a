"""Flow control never stands still, loses no credit, and holds no more than its bounds: in every state that small sessions can reach.

The model is in `model`. Two other rules, which look as good, get stuck in it.
"""

from collections.abc import Iterator
from itertools import product

import pytest

from devp2p.wire.dpx import Contexts, Whole
from tests.wire.dpx.model import UNIT, Found, Mix, explore

LANES = ((0, 0, 0, 0), (0, 1, 0, 1), (0, 1, 2, 3))
"""All in one lane; two lanes by turns; any order at all."""


Bounds = tuple[int, int, int]
"""Window, reassembly, contexts."""


def mixes(sizes: tuple[int, ...], bounds: tuple[Bounds, ...], faults: int = 0, *, count: int = 4, in_lanes=LANES) -> Iterator[Mix]:
    """All that can be sent in `count` messages, in each way that lanes allow; `faults`: how often each side may reset one."""
    for chosen, lanes, (window, reassembly, contexts) in product(product(sizes, repeat=count), in_lanes, bounds):
        if max(chosen) <= reassembly:
            messages = tuple((1, lane, size) for lane, size in zip(lanes, chosen, strict=False))
            yield Mix(messages, window, reassembly, contexts, faults, faults)


def explored(chosen: Iterator[Mix], receiver: type[Contexts] = Contexts, *, checked: bool = True) -> tuple[int, int, int]:
    """States in all, stuck ones in all, and in how many mixes the bound of memory was reached."""
    found = [(explore(mix, receiver, checked=checked), mix) for mix in chosen]
    return sum(each.states for each, _ in found), sum(each.stuck for each, _ in found), sum(_is_full(each, mix) for each, mix in found)


def _is_full(found: Found, mix: Mix) -> bool:
    return found.most_held == (mix.reassembly + mix.window) * UNIT


@pytest.mark.simulation
def test_no_small_session_comes_to_a_standstill():
    """Two messages, either side of which may reset one at any moment, and four without resets."""
    states, stuck, full = explored(mixes((1, 3), ((2, 4, 2),), 1, count=2))
    more, also_stuck, also_full = explored(mixes((1, 2), ((2, 4, 2),), in_lanes=LANES[1:2]))
    assert (stuck, also_stuck) == (0, 0)
    assert states + more > 15_000
    assert full + also_full > 0, "the bound of memory is never reached, so that it shows nothing"


class Withholding(Contexts):
    """A rule without reservations: the credit of a message's tail, as much as a window, is withheld until the application takes it."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.withheld: dict[tuple[int, int], int] = {}
        self.now_withheld = 0

    def first(self, capability, context, total, data, now):
        self._withhold((capability, context), total, 0, len(data))
        return super().first(capability, context, total, data, now)

    def more(self, capability, context, data, now) -> Whole | None:
        incoming = self._contexts[capability, context]
        self._withhold((capability, context), incoming.total, incoming.total - incoming.left, len(data))
        return super().more(capability, context, data, now)

    def release(self, capability, context) -> None:
        super().release(capability, context)
        self._owe(capability, self.withheld.pop((capability, context)))

    def _withhold(self, key, total, at, size) -> None:
        credited = max(0, total - self.ours.capability_window)
        self.now_withheld = size - max(0, min(size, credited - at))
        self.withheld[key] = self.withheld.get(key, 0) + self.now_withheld

    def _owe(self, capability, size) -> None:
        size -= self.now_withheld
        self.now_withheld = 0
        super()._owe(capability, size)


def test_control_if_the_tail_of_a_message_is_withheld_until_it_is_taken_two_messages_wait_for_each_other():
    _, stuck, _ = explored(mixes((1, 3), ((2, 6, 2),), count=2), Withholding, checked=False)
    assert stuck > 0
    _, stuck, _ = explored(mixes((1, 3), ((2, 6, 2),), count=2))
    assert stuck == 0


def beside_sleepers() -> Iterator[Mix]:
    """The applications of capabilities 1 and 2 take nothing, and fill their windows; 3 has to send what it can all the same."""
    asleep = tuple((capability, capability, 1) for capability in (1, 1, 2, 2))
    yield Mix((*asleep, (3, 3, 3), (3, 3, 1)), 2, 3, 1, taking=(3,))


class HalfOfItsOwn(Contexts):
    """A rule that looks as good: credit of the connection is given back half of *its* window at a time."""

    def _owe(self, capability, size) -> None:
        for place, half in ((0, len(self._sizes) * self.ours.capability_window // 2), (capability, self.ours.capability_window // 2)):
            self._owed[place] += size
            if self._owed[place] >= half and place not in self._due:
                self._due.append(place)


@pytest.mark.simulation
def test_capabilities_that_take_nothing_hold_up_no_other():
    states, stuck, _ = explored(beside_sleepers())
    assert stuck == 0
    assert states > 1000


@pytest.mark.simulation
def test_control_if_half_of_the_connections_window_is_owed_at_a_time_they_do():
    _, stuck, _ = explored(beside_sleepers(), HalfOfItsOwn, checked=False)
    assert stuck > 0


@pytest.mark.simulation
@pytest.mark.parametrize("window", [2, 3])
def test_no_session_of_four_messages_comes_to_a_standstill(window: int):
    states, stuck, _ = explored(mixes((1, 2, 3), ((window, 3, 1), (window, 4, 2))))
    assert stuck == 0
    assert states > 150_000


@pytest.mark.simulation
@pytest.mark.parametrize(("window", "reassembly"), [(2, 4), (3, 6)])
def test_nor_one_in_which_either_side_resets_a_message(window: int, reassembly: int):
    states, stuck, _ = explored(mixes((1, 3), ((window, reassembly, 2),), 1, in_lanes=LANES[1:2]))
    assert stuck == 0
    assert states > 30_000
