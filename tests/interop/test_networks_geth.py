"""A real geth and our networks: what it says of its chain in Status and in its record, and what `devp2p node --network` shows of that."""

import signal

import pytest

from devp2p import NodeRecord
from devp2p.capabilities.ethereum.networks import advertised_fork_id, load_genesis, serves_snap
from devp2p.capabilities.ethereum.store import SqliteChain
from tests.cli.processes import running_node
from tests.interop.chains import LENGTH, Exported
from tests.interop.geth_node import geth_node

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]


async def test_a_node_by_a_genesis_file_reaches_status_with_geth_and_shows_its_head(chain: SqliteChain, exported: Exported):
    """With nothing but the file it is at the first block, which geth accepts as that of a node that syncs."""
    genesis = load_genesis(exported.genesis)
    head = chain.head
    fork_id = chain.network.fork_id(head.number, head.timestamp)
    async with (
        geth_node(exported.genesis, exported.blocks) as geth,
        running_node("--network", str(exported.genesis), "--no-discovery", "--peer", geth.enode) as program,
    ):
        shown = await program.event("chain")
        assert (shown["network"]["genesis"], shown["head"]["number"]) == (f"0x{genesis.hash.hex()}", 0)
        assert (await geth.call("eth_getHeaderByNumber", "0x0"))["hash"] == shown["network"]["genesis"]
        connected = await program.event("connected")
        assert connected["client"].startswith("Geth/")
        ready = await program.event("ready")
        assert ready["status"] == {
            "network_id": genesis.network.network_id,
            "genesis": f"0x{genesis.hash.hex()}",
            "fork_id": {"hash": f"0x{fork_id.hash.hex()}", "next": fork_id.next},
            "head": {"number": LENGTH, "hash": f"0x{head.hash.hex()}"},
            "earliest": 0,
        }
        assert await program.end(signal.SIGINT) == (0, "")


async def test_the_record_of_geth_has_the_fork_id_of_its_head(chain: SqliteChain, exported: Exported):
    async with geth_node(exported.genesis, exported.blocks) as geth:
        record = NodeRecord.parse((await geth.call("admin_nodeInfo"))["enr"])
    assert advertised_fork_id(record) == chain.network.fork_id(chain.head.number, chain.head.timestamp)
    assert serves_snap(record)


async def test_geth_and_our_node_find_each_other_by_their_fork_ids(exported: Exported):
    """From the bootnode alone: whoever asks the other for its record first, dials, since the fork id in it fits."""
    alone = ("--nodiscover=false", "--nat", "extip:127.0.0.1", "--netrestrict", "127.0.0.0/8", "--bootnodes", "")
    async with (
        geth_node(exported.genesis, exported.blocks, *alone) as geth,
        running_node("--network", str(exported.genesis), "--bootnode", geth.enode) as program,
    ):
        ready = await program.event("ready")
        assert (ready["public_key"] in geth.enode, ready["status"]["head"]["number"]) == (True, LENGTH)
        assert await program.end(signal.SIGINT) == (0, "")
