"""``python -m tools.bench.visits``: how much computing the crawler's visits by RLPx take, to a node of the library in another process."""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio
from devp2p_crawler.model import Outcome
from devp2p_crawler.visiting import RlpxCaller, rlpx_caller, visit_rlpx

from devp2p import NodeRecord, PrivateKey

CALLERS: Final = 20
"""Visits at a time. Each has a key of its own, as a node takes one session from a key."""
EACH: Final = 20
_PATIENCE: Final = 60.0  # seconds for each step of a visit: what is measured is computing, and no machine is too slow for it
_NODE: Final = """
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


async def measure(callers: int = CALLERS, each: int = EACH) -> tuple[Counter[Outcome], float]:
    """What came of the visits, and the seconds of processor time that all of them took here; what the node spends is not in it."""
    calling = [
        rlpx_caller(
            crawl=bytes(16), key=PrivateKey.generate(), client_id="rate/1", connect=_PATIENCE, handshake=_PATIENCE, status=_PATIENCE
        )
        for _ in range(callers)
    ]
    outcomes = Counter[Outcome]()
    async with _a_node() as node:
        began = time.process_time()
        async with trio.open_nursery() as nursery:
            for caller in calling:
                nursery.start_soon(partial(_visit_often, node, caller, each, outcomes))
        return outcomes, time.process_time() - began


@asynccontextmanager
async def _a_node() -> AsyncIterator[NodeRecord]:
    process = await trio.lowlevel.open_process([sys.executable, "-c", _NODE], stdout=subprocess.PIPE)
    try:
        line = b""
        while b"\n" not in line:
            more = await process.stdout.receive_some(1000) if process.stdout is not None else b""
            if not more:
                raise RuntimeError("the node that was to be visited has ended")
            line += more
        yield NodeRecord.parse(line.decode())
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def _visit_often(node: NodeRecord, caller: RlpxCaller, each: int, outcomes: Counter[Outcome]) -> None:
    for _ in range(each):
        outcomes[(await visit_rlpx(node, caller)).outcome] += 1


def main(arguments: list[str] | None = None) -> int:
    """Print a line of JSON: the visits that brought Hello and Status, those that did not, and the seconds of processor time."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.visits", description="Visit a node by RLPx, again and again.")
    parser.add_argument("--callers", type=int, default=CALLERS, metavar="N", help=f"visits at a time (default: {CALLERS})")
    parser.add_argument("--each", type=int, default=EACH, metavar="N", help=f"visits of each, one after the other (default: {EACH})")
    options = parser.parse_args(arguments)
    outcomes, seconds = trio.run(measure, options.callers, options.each)
    print(json.dumps({"visits": outcomes.pop(Outcome.OK, 0), "failed": outcomes.total(), "seconds": seconds}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
