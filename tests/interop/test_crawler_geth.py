"""The crawler's visits and probes of a real geth, beside what that says of itself."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from devp2p_crawler.analysis import Client, StepState, parse_client
from devp2p_crawler.cli import main
from devp2p_crawler.crawling import CrawlSettings, run_crawl
from devp2p_crawler.model import Kind, Outcome, Visit
from devp2p_crawler.stores import SqliteStore
from devp2p_crawler.visiting import Inbound, Probe, probe, rlpx_caller, visit_rlpx

from devp2p import Address, NodeRecord, PrivateKey, PublicKey, Record, listen
from devp2p.capabilities.ethereum.networks import EthEntry, load_genesis
from tests.interop.chains import LENGTH, suite_files
from tests.interop.geth_node import Geth, geth_node
from tests.interop.peers import PATIENCE, geth_peer
from tools.crawler.simulated import running

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]
CALLER = rlpx_caller(
    crawl=bytes(16), key=PrivateKey.generate(), client_id="crawler/1", connect=PATIENCE, handshake=PATIENCE, status=PATIENCE
)


@asynccontextmanager
async def a_geth() -> AsyncIterator[tuple[Geth, dict[str, Any]]]:
    """A geth with a chain and discovery, and what it says of itself."""
    async with geth_node(suite_files() / "genesis.json", suite_files() / "chain.rlp", discovery=True) as geth:
        yield geth, await geth.call("admin_nodeInfo")


def check_said(visit: Visit, info: dict[str, Any], block: dict[str, Any]) -> None:
    said, chain = visit.said, info["protocols"]["eth"]
    assert visit.outcome is Outcome.OK
    assert said is not None
    assert said.client == info["name"]
    assert {name.partition("/")[0] for name in said.capabilities} == set(info["protocols"])
    assert said.network_id == chain["network"]
    assert (said.genesis, said.head) == (bytes.fromhex(chain["genesis"][2:]), bytes.fromhex(chain["head"][2:]))
    assert said.head_number == int(block["number"], 16) == LENGTH
    network = load_genesis(suite_files() / "genesis.json").network
    fork_id = network.fork_id(LENGTH, int(block["timestamp"], 16))
    assert (said.fork_hash, said.fork_next) == (fork_id.hash, fork_id.next)


async def test_a_geth_is_heard_as_it_says_itself():
    async with a_geth() as (geth, info):
        visit = await visit_rlpx(NodeRecord.parse(info["enode"]), CALLER)
        check_said(visit, info, await geth.call("eth_getBlockByNumber", "latest", False))  # noqa: FBT003
        assert await geth.call("net_peerCount") == "0x0"  # it never took us for a peer
    assert visit.kind is Kind.RLPX
    client = parse_client(info["name"])
    assert client is not None
    assert client == Client(
        name="geth",
        version="1.17.8",
        build=client.build,
        system="linux",
        architecture=client.architecture,
        language="Go",
        runtime=client.runtime,
    )


async def test_a_probe_of_a_geth_finds_what_it_says_of_itself():
    async with a_geth() as (geth, before):
        found: Probe = await probe(NodeRecord.parse(before["enode"]), CALLER)
        block = await geth.call("eth_getBlockByNumber", "latest", False)  # noqa: FBT003
        info = await geth.call("admin_nodeInfo")
    states = {step.name: step.state for step in found.steps}
    good = ("v4 ping", "v4 record", "v5 handshake", "v5 record", "tcp", "rlpx", "hello", "status", "dialable")
    assert {name: states[name] for name in good} == dict.fromkeys(good, StepState.OK)
    assert found.visit is not None
    check_said(found.visit, info, block)
    assert found.record is not None
    assert found.record.enr is not None
    assert found.record.enr.text == info["enr"]
    entry = found.record.enr.get_as("eth", EthEntry)
    assert entry is not None
    assert found.visit.said is not None
    assert (entry.fork_id.hash, entry.fork_id.next) == (found.visit.said.fork_hash, found.visit.said.fork_next)


async def test_the_command_tells_a_program_the_same(capsys: pytest.CaptureFixture[str]):
    async with a_geth() as (_, info):
        status = await trio.to_thread.run_sync(main, ["probe", "--json", "--timeout", str(PATIENCE), info["enr"]])
    told = json.loads(capsys.readouterr().out)
    assert (status, told["status"], told["id"], told["enr"]) == (0, "reached", info["id"], info["enr"])
    facts = {step["name"]: step.get("facts") for step in told["steps"]}
    assert facts["hello"]["client"] == info["name"]
    assert facts["status"]["genesis"] == info["protocols"]["eth"]["genesis"][2:]


async def test_a_geth_that_has_no_room_is_alive():
    async with geth_peer("--max-peers", "1") as go:
        visit = await visit_rlpx(NodeRecord.parse(go.enode), CALLER)
    assert visit.outcome is Outcome.TOO_MANY_PEERS


async def test_a_geth_that_calls_us_is_heard():
    visits: list[tuple[Visit, PublicKey]] = []
    heard = trio.Event()

    def on_visit(visit: Visit, key: PublicKey) -> None:
        visits.append((visit, key))
        heard.set()

    listener = await listen("tcp://127.0.0.1:0")
    async with a_geth() as (geth, info), trio.open_nursery() as nursery:
        nursery.start_soon(Inbound(CALLER, on_visit).serve, listener)
        await geth.call("admin_addPeer", NodeRecord(CALLER.local.key.public_key, listener.addresses).enode)
        with trio.fail_after(PATIENCE):
            await heard.wait()
        block = await geth.call("eth_getBlockByNumber", "latest", False)  # noqa: FBT003
        nursery.cancel_scope.cancel()
    ((visit, key),) = visits
    assert (visit.kind, bytes(key.node_id).hex()) == (Kind.INBOUND, info["id"])
    check_said(visit, info, block)


async def test_a_geth_among_simulated_nodes_is_found_as_it_says_itself(tmp_path: Path):
    """A whole crawl, of both: by UDP for its record, and by TCP for its Hello and Status."""
    async with a_geth() as (geth, info), running(nodes=60, seed=6) as network:
        settings = CrawlSettings(
            key=PrivateKey.generate(),
            bootnodes=(NodeRecord.parse(network.enr), NodeRecord.parse(info["enode"])),
            udp_listen=Address("udp", "127.0.0.1", 0),
        )
        with trio.fail_after(120):
            last = await run_crawl(settings, SqliteStore.create_or_open(tmp_path / "crawl.db"))
        block = await geth.call("eth_getBlockByNumber", "latest", False)  # noqa: FBT003
        assert await geth.call("net_peerCount") == "0x0"
        summary = await network.end()
    assert last.is_done
    assert summary["impolite"] == {}
    with SqliteStore.open_reading(tmp_path / "crawl.db") as store:
        found = next(node for node in store.nodes() if node.node.hex() == info["id"])
        visits = {visit.kind: visit for visit in store.visits(node=found.node) if visit.outcome is Outcome.OK}
    assert set(visits) == {Kind.V4, Kind.V5, Kind.RLPX}
    check_said(visits[Kind.RLPX], info, block)
    assert found.said == visits[Kind.RLPX].said
    assert found.record is not None
    assert Record.decode(found.record.raw).text == info["enr"]
