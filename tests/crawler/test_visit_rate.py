"""How much computing a visit by RLPx takes: handshake, Hello, Status, farewell, with nodes of the library in another process.

It prints the figure and asks for none: how fast a machine is belongs to no test.
"""

import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from subprocess import PIPE

import pytest
import trio
from devp2p_crawler.model import Outcome
from devp2p_crawler.visiting import RlpxCaller, rlpx_caller, visit_rlpx

from devp2p import NodeRecord, PrivateKey

CALLERS, EACH = 20, 20
NODE = """
import trio
from devp2p import Limits, PrivateKey, open_node
from devp2p.capabilities.eth import eth

async def main():
    limits = Limits(pending_inbound=1000)
    options = {"listen": ["tcp://127.0.0.1:0"], "max_peers": 1000, "slots": {"eth": 1000}, "limits": limits}
    async with open_node(PrivateKey.generate(), eth(), **options) as node:
        print(node.record.enode, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@asynccontextmanager
async def a_node() -> AsyncIterator[NodeRecord]:
    process = await trio.lowlevel.open_process([sys.executable, "-c", NODE], stdout=PIPE)
    try:
        assert process.stdout is not None
        line = b""
        while b"\n" not in line:
            line += await process.stdout.receive_some(1000)
        yield NodeRecord.parse(line.decode())
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def visit_often(node: NodeRecord, caller: RlpxCaller, outcomes: Counter[Outcome]) -> None:
    for _ in range(EACH):
        outcomes[(await visit_rlpx(node, caller)).outcome] += 1


@pytest.mark.simulation
@pytest.mark.real_clock
async def test_a_visit_takes_little_computing(capsys: pytest.CaptureFixture[str]):
    callers = [
        rlpx_caller(crawl=bytes(16), key=PrivateKey.generate(), client_id="rate/1", connect=60, handshake=60, status=60)
        for _ in range(CALLERS)
    ]
    outcomes: Counter[Outcome] = Counter()
    async with a_node() as node:
        began = time.process_time()
        async with trio.open_nursery() as nursery:
            for caller in callers:
                nursery.start_soon(partial(visit_often, node, caller, outcomes))
        taken = (time.process_time() - began) / (CALLERS * EACH)
    assert outcomes == {Outcome.OK: CALLERS * EACH}
    with capsys.disabled():
        sys.stdout.write(f"\na visit by RLPx with Hello and Status: {1000 * taken:.2f} ms of one core, {1 / taken:.0f} a second\n")
