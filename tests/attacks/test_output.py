"""Row O1: strangers who make a node print, while nobody reads what it prints."""

import fcntl
import io
import json
import signal
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio

from devp2p import Address, DialError, NodeRecord, PeerRefused, PrivateKey, RemoteProtocolError, open_node
from devp2p.cli import summaries
from devp2p.cli.news import JsonNews
from devp2p.cli.summaries import Summaries
from devp2p.errors import HandshakeError
from tests.chat import Chat
from tests.cli.processes import COMMAND, PATIENCE, ROOT, RunningNode

WITHOUT_DEFENCE = """
import sys
from contextlib import contextmanager
from devp2p.cli import main, node, summaries
from devp2p.terminal import outlet

@contextmanager
def none(*_, **__):
    yield outlet.Outlets(None, None)

node.outlets = none
summaries.REFUSALS = 10**9
sys.exit(main())
"""


@asynccontextmanager
async def node_that_nobody_reads(command: list[str]) -> AsyncIterator[tuple[trio.Process, dict[str, str]]]:
    """A node of which only the first line is read; its pipes are small."""
    start = partial(trio.run_process, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, cwd=ROOT)
    argv = ["node", "--json", "--log-level", "debug", "--listen", "127.0.0.1:0", "--capability", "tests.chat:Chat", "--metrics", "0"]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(partial(start, [*command, *argv, "--slots-every", "0.01"]))
        for pipe in (process.stdout, process.stderr):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, 4096)
        yield process, await RunningNode(process).event("listening")
        nursery.cancel_scope.cancel()


def unread(pipe: trio.abc.ReceiveStream) -> int:
    """Bytes in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)  # type: ignore[attr-defined]


async def fill(process: trio.Process, record: NodeRecord) -> None:
    """Send junk until both pipes are full, or one is and nobody answers any more: a busy machine may be the reason once."""
    assert process.stdout is not None
    assert process.stderr is not None
    full, silent = [False, False], 0
    while not all(full):
        with trio.move_on_after(1) as scope:
            async with await trio.open_tcp_stream("127.0.0.1", record.addresses[0].port or 0) as stream:
                await stream.send_all(bytes(1000))
                await stream.receive_some()
        full = [unread(pipe) > 3000 for pipe in (process.stdout, process.stderr)]
        silent = silent + 1 if scope.cancelled_caught else 0
        if any(full) and silent == 2:
            return


async def scrape(url: str) -> bytes:
    port = int(url.rpartition(":")[2].partition("/")[0])
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return b"".join([data async for data in stream])


@pytest.mark.real_clock
async def test_o1_a_node_whose_output_nobody_reads_serves_peers_and_metrics_and_ends_when_it_is_told_to():
    async with node_that_nobody_reads(COMMAND) as (process, listening):
        record = NodeRecord.parse(listening["enode"])
        await fill(process, record)
        async with open_node(PrivateKey.generate(), [Chat()]) as node:
            with trio.fail_after(PATIENCE):
                assert (await node.connect(record)).client_id
                assert (await scrape(listening["metrics"][0])).startswith(b"HTTP/1.1 200 OK")
        with trio.fail_after(PATIENCE):
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0


@pytest.mark.real_clock
async def test_o1_control_a_node_that_waits_for_its_reader_serves_nobody_and_ignores_the_signal():
    async with node_that_nobody_reads([sys.executable, "-c", WITHOUT_DEFENCE]) as (process, listening):
        record = NodeRecord.parse(listening["enode"])
        await fill(process, record)
        async with open_node(PrivateKey.generate(), [Chat()]) as node:
            with trio.move_on_after(0.5), suppress(DialError):
                await node.connect(record)
            assert not node.connected
        with trio.move_on_after(0.5):
            assert not await scrape(listening["metrics"][0])
        process.send_signal(signal.SIGTERM)
        with trio.move_on_after(0.5):
            pytest.fail(f"it has ended with {await process.wait()}")
        process.kill()


async def written_in_a_day(*, links_a_second: int, minutes: int) -> int:
    """Bytes of JSON for refusals of two kinds, by what so many minutes bring."""
    file = io.StringIO()
    news = Summaries(JsonNews(file))
    bad = HandshakeError("a handshake packet of 0 bytes, where 194 to 2048 are allowed")
    often = RemoteProtocolError("came again after 0.1 s, before the 30 s between two connections were over")
    refused = 0
    for second in range(60 * minutes):
        for number in range(links_a_second):
            news.happened(PeerRefused(Address("tcp", "203.0.113.5", 40000 + number), often if number % 2 else bad))
            refused += 1
        await trio.sleep(1)
        if second % 60 == 59:
            news.sum_up()
    told = [json.loads(line) for line in file.getvalue().splitlines()]
    left_out = sum(sum(one["counts"].values()) for one in told if one["event"] == "left_out")
    assert left_out + sum(one["event"] == "refused" for one in told) == refused
    return len(file.getvalue()) * 1440 // minutes


async def test_o1_refusals_are_summed_up_so_that_a_flood_of_them_does_not_fill_the_disk():
    assert await written_in_a_day(links_a_second=137, minutes=10) < 2 * 2**20
    assert await written_in_a_day(links_a_second=1, minutes=60) < 2 * 2**20


async def test_o1_control_told_one_by_one_they_do(monkeypatch):
    monkeypatch.setattr(summaries, "REFUSALS", 10**9)
    assert await written_in_a_day(links_a_second=137, minutes=1) > 2 * 2**30
