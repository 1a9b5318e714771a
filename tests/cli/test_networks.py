"""--network and --chain: a public network by its name, one's own by its genesis file, and a chain to serve."""

import json
import signal
import tomllib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from devp2p import PrivateKey, open_node
from devp2p.capabilities.eth import Eth, eth
from devp2p.capabilities.ethereum import GenesisChain
from devp2p.capabilities.ethereum.networks import NETWORKS, load_genesis
from devp2p.capabilities.ethereum.store import Importer, SqliteChain
from devp2p.cli import main, plugins
from devp2p.cli.networks import Served, network_chain, open_served
from devp2p.terminal.output import Exit, Failure
from tests.chat import Chat
from tests.cli.processes import ROOT, running_node

GENESIS: dict[str, Any] = {
    "config": {"chainId": 1337, "londonBlock": 0, "shanghaiTime": 100},
    "gasLimit": "0x47b760",
    "difficulty": "0x1",
    "alloc": {"0x00000000000000000000000000000000000000aa": {"balance": "5"}},
}
ETH, SNAP = "devp2p.capabilities.eth:eth", "devp2p.capabilities.snap:snap"
KEY = PrivateKey.generate()


@pytest.fixture
def genesis(tmp_path: Path) -> str:
    path = tmp_path / "genesis.json"
    path.write_text(json.dumps(GENESIS))
    return str(path)


@pytest.fixture
def database(tmp_path: Path, genesis: str) -> str:
    with Importer.open(tmp_path / "chain.db", load_genesis(genesis)):
        return str(tmp_path / "chain.db")


def test_a_public_network():
    for name, network in NETWORKS.items():
        assert network_chain(name).network == network


def test_a_genesis_file(genesis, tmp_path, capsys):
    assert network_chain(genesis).network.chain_id == 1337
    path = tmp_path / "other.json"
    path.write_text(json.dumps({**GENESIS, "config": {"chainId": 7, "zugTime": 5}}))
    assert network_chain(str(path)).network.chain_id == 7
    why = "no such upgrade is known here, so no fork id has it, and peers that know it may refuse this node"
    assert capsys.readouterr().err == f"devp2p: {path}: config.zugTime: {why}\n"


def test_what_is_neither(tmp_path):
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"config": {}}')
    for text, why in [
        ("rinkeby", f"--network rinkeby: this is neither a public network ({', '.join(NETWORKS)}) nor a genesis file that is there"),
        (str(tmp_path), f"--network: cannot read {tmp_path}: is a directory"),
        (str(wrong), f"--network: {wrong}: alloc: it is missing"),
    ]:
        with pytest.raises(Failure) as caught:
            network_chain(text)
        assert str(caught.value) == why


def test_a_chain_that_does_not_fit_the_network(database, genesis, tmp_path):
    with ExitStack() as stack:
        assert open_served(genesis, database, stack).state is not None
        with pytest.raises(Failure, match=r"--network hoodi begins with the block 0xbbe31.*, but --chain .*chain.db with 0x"):
            open_served("hoodi", database, stack)
        with pytest.raises(Failure, match=r"there is no .*nothing.db") as caught:
            open_served(None, str(tmp_path / "nothing.db"), stack)
        assert caught.value.status == Exit.FAILED


def test_which_capabilities_run():
    first: Any = network_chain("hoodi")
    alone, whole = Served(first), Served(first, first, from_file=True)
    assert alone.capabilities([]) == [ETH]
    assert alone.capabilities(["chat"]) == ["chat"]  # as before there was eth
    assert alone.capabilities(["eth"]) == ["eth"]
    assert whole.capabilities([]) == [ETH, SNAP]
    assert whole.capabilities(["chat", "snap"]) == ["chat", "snap", ETH]
    assert Served(first, from_file=True).capabilities([ETH]) == [ETH]


def test_functions_that_make_capabilities_get_the_chain(database):
    """And those of this project are registered as any plugin's are."""
    registered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["devp2p.capabilities"]
    assert (registered["eth"], registered["snap"]) == (ETH, SNAP)
    with SqliteChain.open(database) as chain:
        made = plugins.load([ETH, SNAP], Served(chain, chain).arguments)
    assert [str(one.table().spec.offer) for one in made] == ["eth/69", "eth/70", "eth/71", "eth/72", "snap/1", "snap/2"]


def test_a_chain_that_is_missing_is_explained(capsys):
    first: Any = network_chain("hoodi")
    with pytest.raises(Failure, match=r"snap\(\) wants arguments .*'chain'\); --network NAME or GENESIS.json, or --chain DB, says which"):
        plugins.load([SNAP])
    with pytest.raises(Failure, match=r"snap\(\) wants arguments .*'state'\); --chain DB names a chain with the state of one of its last"):
        plugins.load([SNAP], Served(first).arguments)
    assert main(["node", "--network", "atlantis", "--listen", "127.0.0.1:0"]) == Exit.USAGE
    assert "--network atlantis: this is neither a public network" in capsys.readouterr().err


@pytest.mark.real_clock
async def test_a_process_that_serves_a_chain_says_what_it_has_and_what_its_peers_have(genesis, database):
    hash_ = f"0x{load_genesis(genesis).hash.hex()}"
    async with running_node("--network", genesis, "--chain", database, "--no-discovery") as program:
        listening = await program.event("listening")
        assert listening["capabilities"] == ["eth/69", "eth/70", "eth/71", "eth/72", "snap/1", "snap/2"]
        chain = await program.event("chain")
        fork_id = chain["network"]["fork_id"]
        assert chain["network"] == {"network_id": 1337, "chain_id": 1337, "genesis": hash_, "fork_id": {**fork_id, "next": 100}}
        assert (chain["head"], chain["earliest"], chain["state"]) == ({"number": 0, "hash": hash_, "timestamp": 0}, 0, True)
        async with open_node(KEY, [*eth(GenesisChain.of(load_genesis(genesis))), Chat()]) as node:
            peer = await node.connect(listening["enode"])
            handle = await peer.ready(Eth)
            assert handle.head == 0
            (header,) = await handle.headers(0, 5)
            assert f"0x{header.hash.hex()}" == hash_
            ready = await program.event("ready")
            assert ready["capability"] == "eth/72"
            assert ready["status"] == {
                "network_id": 1337,
                "genesis": hash_,
                "fork_id": fork_id,
                "head": {"number": 0, "hash": hash_},
                "earliest": 0,
            }
        assert await program.end(signal.SIGINT) == (0, "")
