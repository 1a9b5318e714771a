"""``devp2p fetch`` from go-ethereum and a node of ours at once: what it writes is what go-ethereum has, and what geth can import."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.cli.processes import COMMAND, ROOT, running_node
from tests.interop.chains import LENGTH, Exported, serving
from tests.interop.geth_node import geth_node

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]


@asynccontextmanager
async def sources(exported: Exported, database: Path) -> AsyncIterator[list[str]]:
    """Two nodes that have the chain, as arguments."""
    async with serving(exported) as go, running_node("--chain", str(database), "--no-discovery") as ours:
        enodes = [(await go.event("listening"))["enode"], (await ours.event("listening"))["enode"]]
        yield [f"--from={enode}" for enode in enodes]


async def fetch(exported: Exported, *arguments: str) -> None:
    """Run the command to its end, which has to be a good one."""
    command = [*COMMAND, "fetch", f"--network={exported.genesis}", *arguments]
    ended = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr.decode()


async def test_what_is_fetched_is_what_go_ethereum_has_and_geth_imports_it(exported: Exported, database: Path, tmp_path: Path):
    blocks, receipts, headers = (tmp_path / name for name in ("blocks.rlp", "receipts.rlp", "headers.json"))
    async with sources(exported, database) as nodes:
        await fetch(exported, "blocks", f"1..{LENGTH}", *nodes, "--format=rlp", f"--output={blocks}")
        await fetch(exported, "receipts", f"1..{LENGTH}", *nodes, "--format=rlp", f"--output={receipts}")
        await fetch(exported, "headers", f"0..{LENGTH}", *nodes, "--format=json", f"--output={headers}")
    assert blocks.read_bytes() == exported.blocks.read_bytes()
    assert receipts.read_bytes() == exported.receipts.read_bytes()
    async with geth_node(exported.genesis, blocks) as geth:
        assert await geth.call("eth_blockNumber") == hex(LENGTH)
        ours = [json.loads(line) for line in headers.read_text().splitlines()]
        for number in (0, 1, 6, 12, 36, 300, LENGTH):  # of all forks
            assert ours[number] == await geth.call("eth_getHeaderByNumber", hex(number))
