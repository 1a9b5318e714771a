"""Circuits as byte streams: what trio wants of a stream, and what their credit does."""

from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import check_half_closeable_stream

from devp2p import PublicKey
from devp2p.capabilities.relay import Relay
from devp2p.capabilities.relay.circuit import CircuitStream
from devp2p.capabilities.relay.messages import WINDOW
from tests.capabilities.relay.three import Three, open_three, until


async def circuit(three: Three) -> tuple[CircuitStream, CircuitStream]:
    """Both ends of a circuit across a relay."""
    ends: list[CircuitStream] = []

    def take(stream: CircuitStream, _: PublicKey) -> None:
        ends.append(stream)

    called, calling = [await node.connected[0].ready(Relay) for node in (three.other, three.one)]
    async with called.taking(take):
        if not three.relays[0].relaying.reservations:
            await called.reserve()
        ends.append(await calling.connect(three.other.public_key))
    first, second = ends
    return second, first


async def test_a_circuit_is_a_stream_as_trio_wants_them() -> None:
    async with open_three(reserve=False) as three:

        async def make() -> tuple[Any, Any]:
            return await circuit(three)

        with trio.fail_after(300):
            await check_half_closeable_stream(make, None)


async def test_who_takes_nothing_holds_the_sender_up_and_nobody_else() -> None:
    async with open_three(reserve=False) as three:
        (one, other), (second, its_other) = await circuit(three), await circuit(three)
        sent: list[int] = []

        async def send() -> None:
            for _ in range(1000):
                await one.send_all(bytes(10_000))
                sent.append(10_000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.sleep(1)
            assert WINDOW - 10_000 <= sum(sent) <= WINDOW, "the window is full"
            await second.send_all(b"x" * 50_000)
            got = b""
            while len(got) < 50_000:
                got += await its_other.receive_some()
            for _ in range(200):
                await other.receive_some(1000)
            await trio.sleep(1)
            assert WINDOW + 100_000 <= sum(sent) <= WINDOW + 200_000, "as much more as was taken"
            nursery.cancel_scope.cancel()
        assert three.relays[0].relaying.circuits == 2


@pytest.mark.parametrize("which", [0, 1])
async def test_what_was_sent_before_a_close_still_comes(which: int) -> None:
    async with open_three(reserve=False) as three:
        ends = await circuit(three)
        await ends[which].send_all(b"last words")
        await ends[which].aclose()
        await until(lambda: three.relays[0].relaying.circuits == 0)
        assert await ends[1 - which].receive_some() == b"last words"
        assert await ends[1 - which].receive_some() == b""
        with pytest.raises(trio.BrokenResourceError):
            await ends[1 - which].send_all(b"?")


async def test_calls_that_are_given_up_or_come_to_nothing_leave_nothing_behind() -> None:
    async with open_three(reserve=False) as three:
        calling, called = three.one.connected[0], three.other.connected[0]
        hop = await calling.ready(Relay)
        relaying = three.relays[0].relaying
        await (await called.ready(Relay)).reserve()
        with pytest.raises(ConnectionRefusedError, match="permit"):
            await hop.connect(three.other.public_key)  # it has a reservation, and does not listen

        async def connect() -> None:
            with suppress(ConnectionRefusedError):
                await hop.connect(three.other.public_key)

        for steps in range(0, 30, 3):
            async with (await called.ready(Relay)).taking(lambda stream, _: stream.abandon()):
                with trio.move_on_after(10) as scope:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(connect)
                        for _ in range(steps):
                            await trio.lowlevel.checkpoint()
                        nursery.cancel_scope.cancel()
                assert not scope.cancelled_caught
                await trio.sleep(5)
        await until(lambda: relaying.circuits == 0)
        assert not hop._ends
        assert calling.ended is called.ended is None
