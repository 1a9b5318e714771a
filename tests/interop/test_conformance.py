"""go-ethereum's own conformance suites for eth, snap and snap/2 against a node of ours: every case of them, and all pass.

The node serves a chain file that ``devp2p chain import`` made of the suites' chain, with the pool of the library. What an engine would
tell it, the suites tell an endpoint of the harness, which hands it on by public calls.
"""

import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devp2p import Node, PrivateKey, open_node
from devp2p.capabilities.eth import eth
from devp2p.capabilities.eth.pool import TransactionPool
from devp2p.capabilities.ethereum.store import SqliteChain
from devp2p.capabilities.snap import snap
from devp2p.capability.definition import AnyCapability
from tests.cli.processes import running_node
from tests.interop.suites import ETH, SNAP, SNAP2, Engine, Outcome, engine_endpoint, run_suite

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("geth")]

CUSTODY = sum(1 << column for column in (7, 19, 33, 52, 68, 90, 111, 126))
"""What BlobTxAvailabilityFailure says that the consensus client keeps."""


@asynccontextmanager
async def node_and_engine(chain: SqliteChain, pool: TransactionPool) -> AsyncIterator[tuple[Node, Engine]]:
    """A node as it would be run, and the endpoint beside it."""

    async def on_head(block: bytes) -> None:
        await chain.set_head(block)
        await pool.refresh()

    capabilities: list[AnyCapability] = [*eth(chain, pool=pool), *snap(chain, chain)]
    async with (
        open_node(PrivateKey.generate(), capabilities, listen=["tcp://127.0.0.1:0"]) as node,
        engine_endpoint(on_head, pool.set_custody) as engine,
    ):
        yield node, engine


def failures(found: list[Outcome], cases: Sequence[str]) -> dict[str, str]:
    """What failed, and why; all cases have to be there, and none may have passed without having done anything."""
    assert [outcome.name for outcome in found] == list(cases)
    skipped = [outcome.name for outcome in found if "skip" in outcome.said]
    assert not skipped  # what needs eth/72 says so, and passes, if that has not been negotiated
    return {outcome.name: outcome.said for outcome in found if not outcome.passed}


@pytest.mark.parametrize(("suite", "cases"), [("eth-test", ETH), ("snap-test", SNAP), ("snap2-test", SNAP2)])
async def test_every_case_of_the_suite_passes(chain: SqliteChain, suite: str, cases: tuple[str, ...]):
    pool = TransactionPool(chain, chain)
    await pool.warm_up()
    async with node_and_engine(chain, pool) as (node, engine):
        found = await run_suite(suite, node.enode, engine)
    assert not failures(found, cases)
    if suite == "eth-test":
        assert {"engine_forkchoiceUpdatedV3", "engine_forkchoiceUpdatedV4"} <= set(engine.heard)
        assert pool.custody == CUSTODY


async def test_the_command_passes_all_that_is_about_its_chain(database: Path):
    async def on_head(block: bytes) -> None:
        raise AssertionError(f"these cases tell nothing to an engine, not {block.hex()}")

    async with (
        running_node("--chain", str(database), "--no-discovery") as ours,
        engine_endpoint(on_head, lambda _: None) as engine,
    ):
        enode = (await ours.event("listening"))["enode"]
        of_blocks = ETH[: ETH.index("LargeTxRequest")]
        found = await run_suite("eth-test", enode, engine, only=f"^({'|'.join(of_blocks)})$")
        assert not failures(found, of_blocks)
        assert not failures(await run_suite("snap-test", enode, engine), SNAP)
        assert not failures(await run_suite("snap2-test", enode, engine), SNAP2)
        status, said = await ours.end(signal.SIGTERM)
    assert status == 0
    assert all("different nodes came from the local address" in line for line in said.splitlines()), said
