"""Blocks and state between two nodes of a chain: fetched from go-ethereum and served to it, beside go-ethereum to itself.

The chains are made by go-ethereum once and kept in build/bench: some thousand headers, and blocks of 90 KB with transactions whose data is
half zeros, half random. Both sides check all that they fetch by hashes and roots, and the processes of both are new in each run.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.bench.figures import Row, compare
from tools.bench.plan import Benchmark, Plan
from tools.bench.sides import ROOT, BenchError, Side

_CHAINTOOL = ROOT / "build" / "interop" / "chaintool"
_PATIENCE = 90.0  # seconds until a process has something to say: go-ethereum executes the whole chain first
OURS = Side("devp2p", (sys.executable, "-m", "tools.bench.endpoints.blockchain"))
THEIRS = Side("go-ethereum", (str(_CHAINTOOL),))


@dataclass(frozen=True)
class Made:
    """A chain to measure with."""

    blocks: int
    transactions: int
    accounts: int

    def files(self) -> Path:
        """The folder with genesis.json, chain.rlp and chain.db, which are made if they are not there."""
        folder = ROOT / "build" / "bench" / f"chain-{self.blocks}-{self.transactions}-{self.accounts}"
        if not (folder / "chain.db").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            size = ["-blocks", str(self.blocks), "-transactions", str(self.transactions), "-accounts", str(self.accounts)]
            _run_through([str(_CHAINTOOL), "generate", "-out", str(folder), *size])
            source = ["-genesis", str(folder / "genesis.json"), "-chain", str(folder / "chain.rlp")]
            exported = json.loads(_run_through([str(_CHAINTOOL), "export", *source, "-states", "-1", "-out", str(folder)]))
            ((number, state),) = exported["states"].items()
            unfinished = folder / "unfinished.db"
            unfinished.unlink(missing_ok=True)
            imported = [str(unfinished), str(folder / "chain.rlp"), f"--genesis={folder / 'genesis.json'}", f"--state={number}={state}"]
            _run_through([sys.executable, "-m", "devp2p.cli", "chain", "import", *imported])
            unfinished.rename(folder / "chain.db")
        return folder


def _run_through(command: list[str]) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)  # noqa: S603  (our own programs)
    if ended.returncode:
        raise BenchError(f"`{' '.join(command[:4])}` failed: {(ended.stderr.strip() or 'it says nothing').splitlines()[-1]}")
    return ended.stdout


def _build() -> None:
    """Build what has go-ethereum's chain in it."""
    _run_through([sys.executable, str(ROOT / "tests" / "interop" / "build.py"), "chaintool"])


def fetched(client: Side, genesis: Path, enode: str, kinds: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """What one side says of fetching from a node, for each kind of data."""
    wanted = tuple(kinds)
    with client.run("fetch", "--genesis", str(genesis), "--from", enode, "--what", ",".join(wanted)) as process:
        process.line(_PATIENCE)  # the peer's Status
        return {kind: process.line(_PATIENCE) for kind in wanted}


@dataclass(frozen=True)
class Fetching:
    """Some kinds of data of one chain, fetched from go-ethereum and served to it."""

    made: Made
    kinds: Mapping[str, tuple[str, str]]
    """For each kind of data the name that its rows begin with, and their unit."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of its rows."""
        return tuple(f"{name}/{way}" for name, _ in self.kinds.values() for way in ("fetched", "served"))

    def measure(self, plan: Plan) -> Iterator[Row]:
        """Its rows; BenchError without Go, since all of them are of sessions with go-ethereum."""
        if plan.peer is None:
            raise BenchError("it needs go-ethereum on the other side")
        _build()
        folder = self.made.files()
        genesis = folder / "genesis.json"
        figures: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in self.names}
        with ExitStack() as running:
            theirs = running.enter_context(THEIRS.run("serve", "-genesis", str(genesis), "-chain", str(folder / "chain.rlp")))
            enode = theirs.line(_PATIENCE)["enode"]
            for _ in range(plan.repeats):
                with OURS.run("serve", "--database", str(folder / "chain.db")) as ours:
                    served = fetched(THEIRS, genesis, ours.line(_PATIENCE)["enode"], self.kinds)
                mine = fetched(OURS, genesis, enode, self.kinds)
                between = fetched(THEIRS, genesis, enode, self.kinds)
                for kind, (name, unit) in self.kinds.items():
                    for way, found in (("fetched", mine), ("served", served)):
                        ours_, peers = figures[f"{name}/{way}"]
                        ours_.append(_rate(found[kind], unit))
                        peers.append(_rate(between[kind], unit))
        for kind_name, unit in self.kinds.values():
            for way in ("fetched", "served"):
                yield compare(f"{kind_name}/{way}", unit, "higher", *figures[f"{kind_name}/{way}"])


def _rate(report: Mapping[str, Any], unit: str) -> float:
    """Items a second, or megabytes."""
    return float(report["bytes"] / 1e6 if unit == "MB/s" else report["items"]) / float(report["seconds"])


def benchmarks() -> Iterable[Benchmark]:
    """All of them, in the order of the table."""
    parts = (
        Fetching(Made(8000, 0, 10), {"headers": ("eth/headers", "headers/s")}),
        Fetching(Made(400, 150, 50_000), {"bodies": ("eth/bodies", "MB/s"), "accounts": ("snap/accounts", "accounts/s")}),
    )
    yield from (Benchmark(part.names, part.measure) for part in parts)
