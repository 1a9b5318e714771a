"""SCTP's streams share what room there is in turns, without sockets."""

import pytest
import trio
import trio.testing

from devp2p.transports.sctp import streams as wire
from tests.transports.test_sctp import opened


async def test_streams_take_turns_when_there_is_little_room() -> None:
    made, ours, _ = await opened()
    other = await made.ends[0].open()
    made.carry_all()
    await made.ends[1].accept()
    made.carry_all()
    made.room = 2
    seen = list[int]()
    async with trio.open_nursery() as nursery:
        for stream in (ours, other):
            nursery.start_soon(stream.send_all, bytes(10 * wire.MOST_DATA))
        for _ in range(12):
            await trio.sleep(0.1)
            seen += [number for number, _ in made.sent[0]]
            made.carry(0)
    # The first to come fills what room there is; from then on each has one in two.
    assert sorted(seen) == sorted([ours.number, other.number] * 10)
    for at in range(2, 16, 2):
        assert {*seen[at : at + 2]} == {ours.number, other.number}, seen


async def test_a_turn_that_is_not_taken_is_passed_on() -> None:
    made, ours, _ = await opened()
    other = await made.ends[0].open()
    made.carry_all()
    made.room = 0

    async def broken_off() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await ours.send_all(b"first")

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broken_off)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(other.send_all, b"second")
            await trio.testing.wait_all_tasks_blocked()
            await ours.aclose()
            made.room = 10
            made.ends[0].look_again()
    assert made.sent[0][-1] == (other.number, b"\x01second")
