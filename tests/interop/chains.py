"""The chain of go-ethereum's conformance suites: where it lies, and what go-ethereum makes of it (geth/README.md, "chaintool")."""

import json
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import trio

from devp2p import PrivateKey, rlp
from tests.cli.processes import COMMAND, ROOT
from tests.interop.peers import BUILT, Program, running

CHAINTOOL = BUILT / "chaintool"
GO = Path(__file__).resolve().parent / "geth"

LENGTH = 600
CHAIN_ID = 3503995874084926
STATES = (-1, -2, -65, -128)
"""Whose states are exported, as from the end: the head, its parent, the one that geth syncs to before it executes blocks itself, and the
oldest that a peer may ask for (snap, "Data format")."""


@cache
def suite_files() -> Path:
    """The folder with genesis.json and chain.rlp, in the Go module of which the programs are built."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", "github.com/ethereum/go-ethereum"]
    module = subprocess.run(command, cwd=GO, capture_output=True, text=True, check=True).stdout.strip()
    return Path(module) / "cmd" / "devp2p" / "internal" / "ethtest" / "testdata"


def accounts() -> list[tuple[str, PrivateKey]]:
    """Addresses of accounts that have ether and no code, and their keys."""
    found = json.loads((suite_files() / "accounts.json").read_text())
    return [(address, PrivateKey(bytes.fromhex(found[address]["key"].removeprefix("0x")))) for address in sorted(found)]


def told(number: int = LENGTH) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a consensus client tells geth: of a block, and that it is the head."""
    payload = json.loads((suite_files() / "newpayload.json").read_text())[number]
    choice = json.loads((suite_files() / "headfcu.json").read_text())
    block = payload["params"][0]["blockHash"]
    choice["params"][0] = dict.fromkeys(choice["params"][0], block)
    return payload, choice


@dataclass(frozen=True)
class Exported:
    """A chain in files, as ``devp2p chain import`` takes them."""

    genesis: Path
    blocks: Path
    receipts: Path
    access_lists: Path
    states: dict[int, Path]
    """By the number of the block."""


def chaintool(*arguments: str) -> list[dict[str, Any]]:
    """Run a command to its end; what it printed."""
    ended = subprocess.run([str(CHAINTOOL), *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def export(directory: Path, *, states: tuple[int, ...] = STATES) -> Exported:
    """Let go-ethereum execute the chain, and write down what came of it."""
    genesis, blocks = suite_files() / "genesis.json", suite_files() / "chain.rlp"
    files = ["-genesis", str(genesis), "-chain", str(blocks), "-out", str(directory)]
    (told,) = chaintool("export", *files, "-states", ",".join(map(str, states)))
    assert told["head"] == told["receipts"] == LENGTH
    written = {int(number): Path(path) for number, path in told["states"].items()}
    return Exported(genesis, blocks, directory / "receipts.rlp", directory / "bals.rlp", written)


def imported(exported: Exported, database: Path) -> dict[str, Any]:
    """Make a chain file of it by ``devp2p chain import``; what that printed."""
    states = [f"--state={number}={path}" for number, path in exported.states.items()]
    files = [f"--genesis={exported.genesis}", f"--receipts={exported.receipts}", f"--bals={exported.access_lists}", *states]
    command = [*COMMAND, "chain", "import", "--json", str(database), str(exported.blocks), *files]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    printed: dict[str, Any] = json.loads(ended.stdout)
    return printed


def items(data: bytes, at: int = 0) -> Iterator[bytes]:
    """The encodings that stand one behind the other from `at` on."""
    while at < len(data):
        item, at = rlp.split_item(data, at)
        yield item


def elements(encoded: bytes) -> list[bytes]:
    """The encodings of what a list holds."""
    return list(items(encoded, rlp.list_bounds(encoded, 0, len(encoded))[0]))


@asynccontextmanager
async def serving(exported: Exported, *arguments: str) -> AsyncIterator[Program]:
    """Let go-ethereum serve the chain; its first event, "listening", is for the caller."""
    async with running(
        Program, [str(CHAINTOOL), "serve", "-genesis", str(exported.genesis), "-chain", str(exported.blocks), *arguments]
    ) as go:
        yield go


async def fetched(genesis: Path, enode: str, kinds: Sequence[str], *arguments: str) -> dict[str, dict[str, Any]]:
    """Let go-ethereum fetch from a node and check what it gets: "status", and each kind, with what it said of it."""
    command = [str(CHAINTOOL), "fetch", "-genesis", str(genesis), "-from", enode, "-what", ",".join(kinds), *arguments]
    ended = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    return {line.get("what", line["event"]): line for line in lines}
