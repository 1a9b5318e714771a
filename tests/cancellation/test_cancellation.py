"""Whatever is cancelled at whatever checkpoint, and whatever operation on a stream fails: nothing is left of it, and all goes on.

After each run: no link, task, place, token or slot is held; who was cancelled has ended within a second; nobody has swallowed a
cancellation; nothing was written after a write that was cut off; and a session between the same nodes can be had and works.
"""

from functools import cache
from pathlib import Path

import pytest
import trio

from devp2p import open_node
from tests.cancellation.harness import Play, pairs, play, sweep, told
from tests.cancellation.scenarios import ALL
from tests.cancellation.wires import KINDS
from tests.cancellation.world import KEYS, ask
from tests.chat import Chat
from tests.clocks import FairClock

CHECKPOINTS = {
    "start": 50,
    "dial": 34,
    "race": 45,
    "crossing dials": 55,
    "refused": 32,
    "no Hello": 25,
    "request": 14,
    "flood": 50,
    "flood in stock frames": 59,
    "hang-up": 26,
    "shutdown": 60,
    "shutdown while dialling": 13,
}
"""Points that each scenario has, at the least. More may come; if there are fewer, something is no longer visited: find out what."""
OPERATIONS = {
    ("start", "a"): 5,
    ("start", "b"): 4,
    ("dial", "a"): 5,
    ("dial", "b"): 4,
    ("race", "a"): 7,
    ("race", "b"): 5,
    ("crossing dials", "a"): 9,
    ("crossing dials", "b"): 9,
    ("refused", "a"): 8,
    ("refused", "b"): 7,
    ("no Hello", "b"): 7,
    ("request", "a"): 2,
    ("request", "b"): 2,
    ("flood", "a"): 10,
    ("flood", "b"): 3,
    ("flood in stock frames", "a"): 10,
    ("hang-up", "a"): 3,
    ("shutdown", "a"): 6,
    ("shutdown while dialling", "a"): 1,
}
"""The same for operations on streams."""
SCENARIOS = {scenario.name: scenario for scenario in ALL}
VICTIMS = [(scenario.name, victim) for scenario in ALL for victim in scenario.victims]


SOME = 6
"""In `make test` every sixth point is tried; all are in `make simulation`."""


@cache
def calm(name: str) -> Play:
    """An undisturbed run; one is as the other."""
    return play(SCENARIOS[name])


def check(name: str, victim: str, kind: str, points: int, some: slice) -> None:
    swept = sweep(SCENARIOS[name], victim, kind, some, calm(name))
    assert not swept.violations, "\n".join(swept.violations)
    assert swept.points >= points


@pytest.mark.parametrize(("name", "victim"), VICTIMS, ids=[", ".join(one) for one in VICTIMS])
def test_nothing_is_left_at_some_points_where_it_is_cancelled(name, victim):
    check(name, victim, "cancel", CHECKPOINTS[name], slice(VICTIMS.index((name, victim)) % SOME, None, SOME))


@pytest.mark.simulation
@pytest.mark.parametrize(("name", "victim"), VICTIMS, ids=[", ".join(one) for one in VICTIMS])
def test_nothing_is_left_wherever_it_is_cancelled(name, victim):
    check(name, victim, "cancel", CHECKPOINTS[name], slice(None))


@pytest.mark.parametrize(("name", "victim"), OPERATIONS, ids=[", ".join(one) for one in OPERATIONS])
def test_nothing_is_left_if_one_of_some_operations_on_a_stream_fails(name, victim):
    for number, kind in enumerate(KINDS):
        check(name, victim, kind, OPERATIONS[name, victim], slice(number, None, len(KINDS)))


@pytest.mark.simulation
@pytest.mark.parametrize(("name", "victim"), OPERATIONS, ids=[", ".join(one) for one in OPERATIONS])
def test_nothing_is_left_whichever_operation_on_a_stream_fails(name, victim):
    for kind in KINDS:
        check(name, victim, kind, OPERATIONS[name, victim], slice(None))


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_left_when_two_things_go_wrong(name):
    assert not (found := told(pairs(SCENARIOS[name], 8, 1, calm(name)))), "\n".join(found)


@pytest.mark.simulation
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_left_when_one_pair_of_many_goes_wrong(name):
    assert not (found := told(pairs(SCENARIOS[name], 50, 3, calm(name)))), "\n".join(found)


@pytest.mark.long
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_left_when_any_two_things_go_wrong(name):
    assert not (found := told(pairs(SCENARIOS[name], 2000, 2, calm(name)))), "\n".join(found)


class Alarm(trio.abc.Instrument):
    """Cancels a scope when the scheduler has made so many steps."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.steps = 0
        self.scope = trio.CancelScope()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        self.steps += 1
        if self.steps == self.at:
            self.scope.cancel()


def open_files() -> set[str]:
    return {entry.name for entry in Path("/dev/fd").iterdir()}


def test_over_tcp_no_socket_is_left_open_wherever_it_is_cancelled():
    """Over sockets the steps differ a little between runs; it is enough that all are tried until there are no more."""

    async def meet(alarm: Alarm) -> None:
        async with open_node(KEYS["a"], [Chat()], listen=["tcp://127.0.0.1:0"]) as one:
            with alarm.scope:
                async with open_node(KEYS["b"], [Chat()], listen=["tcp://127.0.0.1:0"]) as other:
                    await ask(await other.connect(one.record))
            with trio.fail_after(5):
                while one.connected:  # noqa: ASYNC110
                    await trio.sleep(0.001)

    alarm, at, before = Alarm(0), 0, open_files()
    while at == 0 or alarm.scope.cancel_called:
        at += 1
        alarm = Alarm(at)
        clock = FairClock()
        trio.run(meet, alarm, clock=clock, instruments=[alarm, clock])
        assert open_files() == before, f"cancelled at step {at}"
    assert at > 60
