"""What every transport must stand, over each of `WAYS`: being cancelled, and somebody who spoils it, at any stage."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import TypeAlias

import pytest
import trio

from devp2p import DialError, Limits, MuxLink, Node, PrivateKey
from tests.chat import Chat, GetTime
from tests.transports.linking import (
    ALICE,
    ENDS,
    SOON,
    Linking,
    cancelled_at,
    flood,
    node_of,
    open_files,
    open_linking,
    some_of,
    until_it_ends,
)
from tests.transports.middle import HOWS, Fault, between
from tests.transports.ways import Case, Ground, cases, node_at, open_ground

# Cancelled

Attempt: TypeAlias = Callable[[Linking, int], Awaitable[int]]


async def _goes_on(linking: Linking) -> None:
    """Links can be had as before."""
    with trio.fail_after(SOON):
        async with linking.pair() as (ours, theirs):
            await ours.stream.send_all(b"ping")
            assert await theirs.receive(4) == b"ping"
            await theirs.stream.send_all(b"pong")
            assert await ours.receive(4) == b"pong"


async def _dial_and_wait(linking: Linking) -> None:
    """Dial somebody who breaks off, and notice it."""
    with suppress(*ENDS):
        end = await linking.dial()
        await until_it_ends(end)
        await end.link.aclose()


async def _accept_all(linking: Linking) -> None:
    """Accept links of somebody who breaks them off, and notice it."""
    while True:
        with suppress(*ENDS):
            end = await linking.accept()
            await until_it_ends(end)
            await end.link.aclose()


async def _turn_away_all(linking: Linking) -> None:
    async for arrival in linking.arrivals:
        await arrival.aclose()


async def _cancelled_dial(linking: Linking, step: int) -> int:
    """Dial, but be cancelled at a step, if it is not 0; how many it took."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_accept_all, linking)
        end, steps = await cancelled_at(step, linking.dial)
        if end is not None:
            await end.link.aclose()
        await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    return steps


async def _cancelled_accept(linking: Linking, step: int) -> int:
    """The same for the accepting side."""
    async with trio.open_nursery() as others:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_dial_and_wait, linking)
            end, steps = await cancelled_at(step, linking.accept)
            if end is not None:
                await end.link.aclose()
            others.start_soon(_turn_away_all, linking)
        others.cancel_scope.cancel()
    return steps


@pytest.mark.parametrize("case", cases(once=True))
@pytest.mark.parametrize("attempt", [_cancelled_dial, _cancelled_accept], ids=["dial", "accept"])
async def test_cancelled_at_any_step_of_its_beginning_a_link_leaves_nothing(case: Case, attempt: Attempt, tmp_path: Path) -> None:
    async with open_linking(case, tmp_path) as linking:
        with trio.fail_after(2 * SOON):
            steps = await attempt(linking, 0)
            files = open_files()
            for step in some_of(steps, case.way.stops):
                await attempt(linking, step)
        await _goes_on(linking)
        assert open_files() <= files + 2


@pytest.mark.parametrize("case", cases(once=True))
async def test_receiving_may_be_cancelled_and_loses_nothing(case: Case, tmp_path: Path) -> None:
    async with open_linking(case, tmp_path) as linking, linking.pair() as (ours, theirs):
        received = bytearray()
        text = bytes(range(200))

        async def send() -> None:
            for byte in text:
                await ours.stream.send_all(byte.to_bytes(1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            with trio.fail_after(SOON):
                turn = 0
                while len(received) < len(text):
                    turn += 1
                    data, _ = await cancelled_at(turn % 3, partial(theirs.stream.receive_some, 3))
                    received += data or b""
        assert bytes(received) == text


@pytest.mark.parametrize("case", cases(lambda way: way.native_mux, once=True))
async def test_opening_and_accepting_streams_may_be_cancelled(case: Case, tmp_path: Path) -> None:
    async with open_linking(case, tmp_path) as linking, linking.pair() as (ours, theirs):
        assert isinstance(ours.link, MuxLink)
        assert isinstance(theirs.link, MuxLink)
        for step in (1, 2, 3):
            await cancelled_at(step, ours.link.open)
            with trio.move_on_after(0.01):
                await theirs.link.accept()
        stream = await ours.link.open()
        await stream.send_all(b"last")
        with trio.fail_after(SOON):
            while True:  # those that were opened before come first
                accepted = await theirs.link.accept()
                with trio.move_on_after(0.5):
                    assert await accepted.receive_some(4) == b"last"
                    break


@pytest.mark.parametrize("case", cases(once=True))
async def test_a_link_whose_sender_was_cancelled_can_be_closed(case: Case, tmp_path: Path) -> None:
    async with open_linking(case, tmp_path) as linking:
        async with linking.pair() as (ours, theirs):
            with trio.move_on_after(0.1):
                await flood(ours.stream)
            with trio.fail_after(SOON):
                await ours.link.aclose()
                await until_it_ends(theirs)
        await _goes_on(linking)


# Spoiled


async def _visit(ground: Ground, alice: Node, fault: Fault | None) -> dict[bool, int]:
    """Be a peer of Alice's by way of somebody who spoils it; how much has passed until a request was answered."""
    key = PrivateKey.generate()
    limits = Limits(dial_timeout=1.5, handshake_timeout=1.5, ping_interval=0.3, ping_timeout=0.3)
    async with (
        between(ground.way.carrier or "", alice.addresses[0], fault) as middle,
        node_of(ground, key, Chat(), limits) as bob,
    ):
        with suppress(DialError):
            peer = await bob.connect(node_at(ALICE, middle.address))
            if fault is None:
                assert (await peer[Chat].request(GetTime("abc"))).seconds == 3
                return dict(middle.passed)
            with trio.fail_after(SOON):
                await peer.wait_ended()
        assert not list(bob.connected)
    return {}


@pytest.mark.parametrize("case", cases(lambda way: way.carrier is not None, once=True))
async def test_what_is_spoiled_at_any_stage_ends_and_harms_nobody_else(case: Case, tmp_path: Path) -> None:
    limits = Limits(handshake_timeout=1.5, ping_interval=0.3, ping_timeout=0.3, closing_timeout=0.3)
    async with (
        open_ground(case.way, case.text, tmp_path) as ground,
        node_of(ground, ALICE, Chat(), limits, listens=True) as alice,
    ):
        passed = await _visit(ground, alice, None)
        with trio.fail_after(5 * SOON):
            async with trio.open_nursery() as nursery:
                for how, to_node in product(HOWS, (True, False)):
                    for after in some_of(passed[to_node], case.way.stops // 2):
                        nursery.start_soon(_visit, ground, alice, Fault(to_node, after - 1, how))
            while list(alice.connected) or alice._door.waiting:  # noqa: ASYNC110
                await trio.sleep(0.02)
        assert await _visit(ground, alice, None)
