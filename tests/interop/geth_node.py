"""A real geth with a chain of its own: made of files, run, asked and told what its consensus client would tell it, over its IPC socket."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

from tests.interop.peers import BUILT, PATIENCE

GETH = BUILT / "geth"

_QUIET = ("--cache", "16", "--verbosity", "3")
_PORTS = ("--port", "0", "--authrpc.port", "0", "--maxpeers", "20")
_ALONE = ("--nodiscover", "--nat", "none")
_LOOPBACK = ("--bootnodes", "", "--discovery.dns", "", "--nat", "extip:127.0.0.1", "--netrestrict", "127.0.0.0/8")
_FOUND = ("--discovery.v4", "--discovery.v5", *_LOOPBACK)
_GRACE = 20.0  # seconds until a geth that was told to end is killed
_CHUNK = 64 * 1024


class RpcError(Exception):
    """What geth answered instead of a result."""


class Geth:
    """A running geth."""

    enode: str
    id: str

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._ids = iter(range(1, 1_000_000))

    async def call(self, method: str, *params: object) -> Any:
        """Call a method of any of its APIs; "engine" is among them, without a token."""
        async with await trio.open_unix_socket(str(self._socket)) as stream:
            request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
            await stream.send_all(json.dumps(request).encode() + b"\n")
            answer = bytearray()
            with trio.fail_after(PATIENCE):
                while not answer.endswith(b"\n"):
                    answer += await stream.receive_some(_CHUNK)
        answered = json.loads(answer)
        if "error" in answered:
            raise RpcError(f"{method}: {answered['error']}")
        return answered["result"]

    async def follow(self, payload: Mapping[str, Any], choice: Mapping[str, Any]) -> str:
        """Tell it of a block and that it is the head, by requests as the consensus client would send; what it said of the latter."""
        await self.call(payload["method"], *payload["params"])
        told = await self.call(choice["method"], *choice["params"])
        return str(told["payloadStatus"]["status"])

    async def until(self, method: str, *params: object, be: Any) -> None:
        """Ask again and again until the answer is `be`."""
        end, answer = trio.current_time() + PATIENCE, None
        while trio.current_time() < end:
            if (answer := await self.call(method, *params)) == be:
                return
            await trio.sleep(0.1)
        raise AssertionError(f"{method} is {answer} after {PATIENCE:g} s")


@asynccontextmanager
async def geth_node(
    genesis: Path, blocks: Path | None, *arguments: str, sync: str = "full", discovery: bool = False
) -> AsyncIterator[Geth]:
    """Run a geth for the length of the block, with the chain of a genesis file and of a file of blocks, or without blocks.

    With `discovery` it takes part in both versions of that, on loopback addresses, and knows nobody to begin with.
    """
    if not GETH.is_file():
        raise AssertionError("not built: geth; run `python tests/interop/build.py geth`, or `make interop`")
    directory = Path(tempfile.mkdtemp(prefix="geth-"))  # a short path, as that of a socket has to be
    try:
        await _run_through("--datadir", str(directory), "init", str(genesis))
        if blocks is not None:
            await _run_through("--datadir", str(directory), "import", str(blocks))
        network = str(json.loads(await trio.Path(genesis).read_text())["config"]["chainId"])
        options = ["--datadir", str(directory), "--networkid", network, "--syncmode", sync, *_QUIET, *_PORTS]
        options += [*(_FOUND if discovery else _ALONE), *arguments]
        with (directory / "log").open("wb") as log:
            async with trio.open_nursery() as nursery:
                run = partial(trio.run_process, [str(GETH), *options], stdout=log, stderr=log, check=False, deliver_cancel=_end)
                process = await nursery.start(run)
                try:
                    yield await _ready(process, directory)
                except BaseException as error:
                    error.add_note(f"geth's log ends:\n{(directory / 'log').read_text()[-3000:]}")
                    raise
                finally:
                    nursery.cancel_scope.cancel()
    finally:
        shutil.rmtree(directory)


async def _run_through(*arguments: str) -> None:
    """Run geth to its end, which has to be a good one."""
    ended = await trio.run_process([str(GETH), *_QUIET, *arguments], capture_stdout=True, stderr=subprocess.STDOUT, check=False)
    assert ended.returncode == 0, ended.stdout.decode()


async def _ready(process: trio.Process, directory: Path) -> Geth:
    """Wait until it answers, and until it listens."""
    geth = Geth(directory / "geth.ipc")
    with trio.fail_after(PATIENCE):
        while True:
            assert process.returncode is None, (directory / "log").read_text()
            try:
                info = await geth.call("admin_nodeInfo")
            except OSError:
                await trio.sleep(0.05)
                continue
            if info["ports"]["listener"]:
                geth.enode, geth.id = info["enode"], info["id"]
                return geth
            await trio.sleep(0.05)


async def _end(process: trio.Process) -> None:
    process.terminate()
    with trio.move_on_after(_GRACE):
        await process.wait()
        return
    process.kill()
