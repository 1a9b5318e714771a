"""The relay and the switch do to bytes and datagrams what they are told to, and nothing else."""

import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.lowlevel

from tests.relay import GOOD, Air, Line, TcpRelay, tcp_relay, udp_switch

pytestmark = pytest.mark.real_clock

NOISE = random.Random(1).randbytes(200_000)


@asynccontextmanager
async def joined(there: Line = GOOD, back: Line = GOOD) -> AsyncIterator[tuple[TcpRelay, trio.SocketStream, trio.SocketStream]]:
    """The relay, and the two ends of one connection through it: who dialled, and who was dialled."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with (
        listener,
        tcp_relay(listener.socket.getsockname()[1], there=there, back=back) as relay,
        await trio.open_tcp_stream("127.0.0.1", relay.port) as one,
        await listener.accept() as other,
    ):
        yield relay, one, other


async def pour(data: bytes, stream: trio.SocketStream) -> None:
    try:
        await stream.send_all(data)
        await stream.send_eof()
    except trio.BrokenResourceError:
        pass


async def drain(stream: trio.SocketStream) -> tuple[bytes, bool]:
    """All that comes, and whether it came to a good end."""
    heard = b""
    try:
        while data := await stream.receive_some():
            heard += data
    except trio.BrokenResourceError:
        return heard, False
    return heard, True


async def carried(source: trio.SocketStream, sink: trio.SocketStream, data: bytes = NOISE) -> tuple[bytes, bool, float]:
    """What arrives, whether it came to a good end, and how long that took."""
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pour, data, source)
        heard, good = await drain(sink)
    return heard, good, trio.current_time() - started


async def test_a_good_line_carries_everything_both_ways():
    async with joined() as (_, one, other):
        assert (await carried(one, other))[:2] == (NOISE, True)
        assert (await carried(other, one))[:2] == (NOISE, True)


async def test_delay_and_jitter_keep_the_order():
    async with joined(there=Line(delay=0.1, jitter=0.1)) as (_, one, other):
        heard, good, took = await carried(one, other)
        assert (heard, good) == (NOISE, True)
        assert took >= 0.1


async def test_a_slow_line_is_slow():
    async with joined(back=Line(rate=400_000)) as (_, one, other):
        heard, _, took = await carried(other, one)
        assert heard == NOISE
        assert took >= 0.45


async def test_a_stall_passes():
    async with joined(there=Line(stall_after=50_000, stall=0.3)) as (_, one, other):
        heard, _, took = await carried(one, other)
        assert heard == NOISE
        assert took >= 0.3


@pytest.mark.parametrize("cut", ["reset", "end"])
async def test_a_cut_comes_after_just_so_many_bytes(cut):
    async with joined(there=Line(cut_after=10_000, cut=cut)) as (_, one, other):
        heard, good, _ = await carried(one, other, NOISE[:10_000])
        assert good is (cut == "end")
        assert heard == NOISE[:10_000] if cut == "end" else NOISE.startswith(heard)  # a reset may overtake what was not read yet


@pytest.mark.parametrize("cut", ["reset", "end"])
async def test_what_there_is_can_be_cut(cut):
    async with joined() as (relay, one, other):
        await one.send_all(b"abc")
        assert await other.receive_some() == b"abc"
        relay.cut(cut)
        assert [await drain(end) for end in (one, other)] == [(b"", cut == "end")] * 2


async def test_a_half_open_connection_is_silent_in_one_direction():
    async with joined(there=Line(silent_after=1000)) as (_, one, other):
        heard = b""
        with trio.move_on_after(0.3) as patience:
            await pour(NOISE, one)
            while True:
                heard += await other.receive_some()
        assert patience.cancelled_caught, "no end comes either"
        assert heard == NOISE[:1000]
        assert (await carried(other, one))[:2] == (NOISE, True)


async def test_silence_can_fall_later():
    async with joined() as (relay, one, other):
        await one.send_all(b"abc")
        assert await other.receive_some() == b"abc"
        relay.silence(back=False)
        await one.send_all(b"def")
        with trio.move_on_after(0.2) as patience:
            await other.receive_some()
        assert patience.cancelled_caught


async def fates(air: Air, count: int, seed: int = 1) -> list[int]:
    """Send numbered datagrams from one node to another; the numbers that arrive."""
    async with udp_switch(air, seed=seed) as switch:
        ports = [await switch.open_port() for _ in range(2)]
        socks = [trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for sock, port in zip(socks, ports, strict=True):
            await sock.bind(("127.0.0.1", 0))
            switch.attach(port, sock.getsockname()[1])
        arrived: list[int] = []

        async def listen() -> None:
            while True:
                data, sender = await socks[1].recvfrom(100)
                assert sender == ("127.0.0.1", ports[0]), "it comes from the public port"
                arrived.append(int.from_bytes(data))

        with socks[0], socks[1]:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                for number in range(count):
                    await socks[0].sendto(number.to_bytes(2), ("127.0.0.1", ports[1]))
                    while switch.carried + switch.lost <= number:
                        await trio.lowlevel.checkpoint()
                await trio.sleep(0.2 + air.delay + air.jitter)
                nursery.cancel_scope.cancel()
        return arrived


async def test_datagrams_go_through_a_good_switch():
    assert await fates(Air(), 300) == list(range(300))


async def test_some_datagrams_are_lost_and_with_one_seed_the_same():
    first, again, other = await fates(Air(loss=0.2), 500), await fates(Air(loss=0.2), 500), await fates(Air(loss=0.2), 500, seed=2)
    assert first == again != other
    assert 350 < len(first) < 450


async def test_some_datagrams_come_twice():
    arrived = await fates(Air(duplication=0.2), 300)
    assert 330 < len(arrived) < 390
    assert set(arrived) == set(range(300))


async def test_datagrams_overtake_one_another():
    arrived = await fates(Air(jitter=0.05), 300)
    assert arrived != sorted(arrived) == list(range(300))
