"""The way out for a line's bytes: its deadline, and how fast it says the way is."""

import math

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from devp2p.session.egress import Egress, RateMeter
from devp2p.transports import UNSENT, unsent_for
from devp2p.transports.memory import MemoryStream, memory_stream_pair

PIECE = 16 * 1024


async def drain(stream: MemoryStream, rate: float, *, step: float = 0.01) -> None:
    """A line of so many bytes a second, behind a buffer."""
    while True:
        await trio.sleep(step)
        await stream.receive_some(max(1, int(rate * step)))


@pytest.mark.parametrize("rate", [50_000, 1_000_000, 5_000_000])
async def test_the_rate_is_that_of_a_line_which_is_the_bottleneck(rate: int) -> None:
    ours, theirs = memory_stream_pair()
    egress = Egress(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain, theirs, rate)
        while trio.current_time() < 5:
            await egress.send(bytes(PIECE))
        nursery.cancel_scope.cancel()
    assert 0.9 < egress.rate / rate < 1.1


async def test_a_line_that_is_never_the_bottleneck_has_no_rate() -> None:
    ours, theirs = memory_stream_pair()
    egress = Egress(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain, theirs, 1_000_000)
        for _ in range(200):
            await egress.send(bytes(1000))
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert egress.rate == math.inf


@pytest.mark.parametrize(("before", "after"), [(2_000_000, 200_000), (200_000, 2_000_000)])
async def test_the_rate_follows_the_line_within_seconds(before: int, after: int) -> None:
    ours, theirs = memory_stream_pair()
    egress = Egress(ours)
    async with trio.open_nursery() as nursery:
        draining = await nursery.start(start_draining, theirs, before)
        while trio.current_time() < 5:
            await egress.send(bytes(PIECE))
        draining.cancel()
        nursery.start_soon(drain, theirs, after)
        changed = trio.current_time()
        while trio.current_time() < changed + 8:
            await egress.send(bytes(PIECE))
        nursery.cancel_scope.cancel()
    assert 0.8 < egress.rate / after < 1.2


async def start_draining(stream: MemoryStream, rate: float, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
    with trio.CancelScope() as scope:
        task_status.started(scope)
        await drain(stream, rate)


async def test_what_the_peer_does_not_take_in_time_is_too_slow() -> None:
    ours, _ = memory_stream_pair()
    egress = Egress(ours, timeout=20)
    with pytest.raises(trio.TooSlowError):
        await egress.send(bytes(100_000))
    assert trio.current_time() == 20


async def test_a_cancelled_send_is_cancelled_and_not_too_slow() -> None:
    ours, _ = memory_stream_pair()
    with trio.move_on_after(5) as scope:
        await Egress(ours, timeout=20).send(bytes(100_000))
    assert scope.cancelled_caught


# The meter


@given(
    rate=st.floats(2e4, 5e7),
    buffer=st.integers(16, 256).map(lambda kib: kib * 1024),
    sizes=st.lists(st.integers(1024, 65536), min_size=150, max_size=150),
)
def test_sizes_of_writes_and_of_the_buffer_do_not_matter(rate: float, buffer: int, sizes: list[int]) -> None:
    """A buffer of which a line takes bytes evenly."""
    meter, now, held = RateMeter(), 0.0, 0.0
    last = now
    for size in sizes * 4:
        held = max(0.0, held - (now - last) * rate)
        last = now
        wait = max(0.0, (held + size - buffer) / rate)
        meter.sent(size, now, now + wait)
        held += size
        now += wait + 1e-5
    assert math.isinf(meter.rate) or 0.85 < meter.rate / rate < 1.15


def test_a_line_that_has_become_fast_is_found_out_though_it_is_never_full_again() -> None:
    meter = RateMeter()
    for second in range(4):
        meter.sent(50_000, float(second), second + 1.0)
    assert meter.rate == 50_000
    now = 10.0
    for _ in range(2000):
        meter.sent(8192, now, now + 0.0005)
        now += 0.0005
    assert meter.rate > 5_000_000


def test_small_frames_in_a_busy_loop_tell_nothing() -> None:
    meter = RateMeter()
    for second in range(4):
        meter.sent(1_000_000, float(second), second + 1.0)
    for turn in range(100):  # each write waits for other tasks
        meter.sent(64, 10 + turn * 0.1, 10 + turn * 0.1 + 0.003)
    assert meter.rate == 1_000_000


@given(st.floats(min_value=0, allow_nan=False))
def test_the_system_holds_what_the_line_carries_in_a_moment(rate: float) -> None:
    unsent = unsent_for(rate)
    assert 4096 <= unsent <= UNSENT
    assert unsent.bit_count() == 1
    assert unsent <= max(4096, rate * 0.016) < 2 * unsent or unsent == UNSENT


@pytest.mark.real_clock
@pytest.mark.skipif(not hasattr(trio.socket, "TCP_NOTSENT_LOWAT"), reason="the system has no such option")
async def test_a_slow_line_lets_the_system_hold_less_and_a_fast_one_more_again() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener, await trio.open_tcp_stream(*listener.socket.getsockname()) as stream, await listener.accept() as other:
        egress = Egress(stream)
        found = []
        for rate in (1_000_000.0, 1_000_000_000.0):
            egress._meter.rate = rate
            await egress.send(b"data")
            found.append(stream.getsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NOTSENT_LOWAT))
        assert await other.receive_some() == b"datadata"
    assert found == [8192, UNSENT]
