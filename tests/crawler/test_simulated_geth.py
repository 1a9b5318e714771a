"""go-ethereum's `devp2p` takes simulated nodes for nodes: it talks to them, crawls them, and its conformance suites find no fault."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import trio

from tests.interop.geth_discovery import devp2p
from tests.interop.peers import DEVP2P
from tools.crawler.simulated import Simulated, running
from tools.crawler.simulated.population import Plan, Population

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]

HOSTS = ("--listen1", "127.0.0.1", "--listen2", "127.0.0.2")


@pytest.fixture(autouse=True)
def geth() -> None:
    if not DEVP2P.is_file():
        pytest.fail("not built: devp2p; run `python tests/interop/build.py devp2p`, or `make interop`")


async def failing(*command: str) -> list[str]:
    """Run a conformance suite; what of it has failed."""
    with trio.fail_after(60):
        ended = await trio.run_process([str(DEVP2P), *command], capture_stdout=True, stderr=subprocess.STDOUT, check=False)
    outcomes = re.findall(r"^((?:not )?ok) \d+ (\S+)", ended.stdout.decode(), re.MULTILINE)
    assert len(outcomes) > 7, ended.stdout.decode()
    return [name for outcome, name in outcomes if outcome != "ok"]


async def test_its_conformance_suites_find_no_fault():
    async with running(nodes=12, seed=2, dead=0, liars=0, tar_pits=0, bombs=0, round_trip=(1, 3)) as network:
        assert await failing("discv4", "test", "--tap", *HOSTS, "--remote", network.enode) == []
        assert await failing("discv5", "test", "--tap", *HOSTS, network.enr) == []


async def crawled(network: Simulated, version: int, seconds: int, to: Path) -> dict[str, dict[str, object]]:
    arguments = ("--parallel", "32", "--timeout", f"{seconds}s", "--bootnodes", network.enr, "--addr", "127.0.0.1:0", str(to))
    await devp2p(f"discv{version}", "crawl", *arguments, within=seconds + 30)
    found: dict[str, dict[str, object]] = json.loads(await trio.Path(to).read_text())
    return found


async def test_it_asks_them_and_crawls_them(tmp_path: Path):
    async with running(nodes=120, seed=4, dead=0.1, liars=0.02, fakes=100) as network:
        members = {
            member.id.hex(): member for member in Population(Plan(nodes=120, seed=4, dead=0.1, liars=0.02), network.about["ports"]).members
        }
        assert "node responded to ping" in await devp2p("discv4", "ping", network.enode)
        assert network.enr in await devp2p("discv4", "requestenr", network.enode)
        assert "<nil>" in await devp2p("discv5", "ping", network.enr)
        found = {version: await crawled(network, version, 8, tmp_path / f"{version}.json") for version in (4, 5)}
        summary = await network.end()
    for version, nodes in found.items():
        assert len(nodes) > 30
        for node, told in nodes.items():
            assert members[node].reachable
            assert told["record"] == members[node].record.text
        assert summary["recall"][f"v{version}"] * network.reachable >= len(nodes) - 1
        assert summary["questions"][f"v{version} FindNode"]["count"] > 10
    assert summary["void"] is None
