"""Tests with sockets do not depend on how busy the machine is."""

import time

import pytest
import trio
import trio.lowlevel

from tests.clocks import LOOK, FairClock


async def stand_still() -> None:
    """Do a thing within 0.1 s while the machine stands still for 0.3 s."""
    with trio.fail_after(0.1):
        time.sleep(0.3)  # noqa: ASYNC251  (so it is for a process whose turn it is not)
        await trio.sleep(0.01)


def test_time_for_which_the_machine_stands_still_does_not_count():
    clock = FairClock()
    trio.run(stand_still, clock=clock, instruments=[clock])


def test_control_by_the_clock_of_the_machine_it_does():
    with pytest.raises(trio.TooSlowError):
        trio.run(stand_still)


def test_what_is_slept_and_computed_counts_and_no_sleep_is_shorter_than_it_was_meant_to_be():
    async def main() -> float:
        before = trio.current_time()
        await trio.sleep(5 * LOOK)
        until = time.thread_time() + LOOK
        while time.thread_time() < until:
            pass
        return trio.current_time() - before

    clock, began = FairClock(), time.perf_counter()
    assert trio.run(main, clock=clock, instruments=[clock]) >= 6 * LOOK
    assert time.perf_counter() - began >= 6 * LOOK


@pytest.mark.real_clock
async def test_tests_with_the_mark_real_clock_have_it():
    with trio.fail_after(0.1):
        time.sleep(0.2)  # noqa: ASYNC251
        await trio.lowlevel.checkpoint()
