"""go-ethereum's ``devp2p`` command, for discovery. It must be given bootnodes, or it would call those of the main network."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from devp2p import NodeRecord
from tests.interop.peers import DEVP2P, PATIENCE


async def devp2p(*arguments: str, within: float = PATIENCE) -> str:
    """Run the command to its end, which must be a good one; returns what it says.

    It waits half a second for an answer, by its own clock, which is too short on a machine that is busy just then: it may try five times.
    """
    for tries_left in reversed(range(5)):
        with trio.fail_after(within):
            ended = await trio.run_process([str(DEVP2P), *arguments], capture_stdout=True, stderr=subprocess.STDOUT, check=False)
        shown = ended.stdout.decode()
        if ended.returncode == 0:
            return shown
        assert tries_left, shown
        assert "RPC timeout" in shown
    raise AssertionError


@asynccontextmanager
async def listening(version: int, bootnode: str, host: str = "127.0.0.1") -> AsyncIterator[NodeRecord]:
    """A node that has discovery `version` (4 or 5) and nothing else."""
    where = f"[{host}]:0" if ":" in host else f"{host}:0"
    command = [str(DEVP2P), f"discv{version}", "listen", "--addr", where, "--extaddr", host, "--bootnodes", bootnode]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        shown = b""
        with trio.fail_after(PATIENCE):
            while b"\n" not in shown:
                shown += await process.stdout.receive_some(4096)
        yield NodeRecord.parse(shown.decode().split()[0])
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
