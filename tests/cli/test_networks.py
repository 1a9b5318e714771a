"""--network: a public network by its name, or one's own by its genesis file."""

import json

import pytest

from devp2p.capabilities.ethereum.networks import NETWORKS
from devp2p.cli.networks import network_chain
from devp2p.cli.output import Failure

GENESIS = {"config": {"chainId": 1337, "londonBlock": 0}, "gasLimit": "0x47b760", "difficulty": "0x1", "alloc": {}}


def test_a_public_network():
    for name, network in NETWORKS.items():
        assert network_chain(name).network == network


def test_a_genesis_file(tmp_path, capsys):
    path = tmp_path / "genesis.json"
    path.write_text(json.dumps(GENESIS))
    assert network_chain(str(path)).network.chain_id == 1337
    path.write_text(json.dumps({**GENESIS, "config": {"chainId": 7, "zugTime": 5}}))
    assert network_chain(str(path)).network.chain_id == 7
    why = "no such upgrade is known here, so no fork id has it, and peers that know it may refuse this node"
    assert capsys.readouterr().err == f"devp2p: {path}: config.zugTime: {why}\n"


def test_what_is_neither(tmp_path):
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"config": {}}')
    for text, why in [
        (
            "rinkeby",
            "--network rinkeby: this is neither a public network (mainnet, sepolia, hoodi, holesky) nor a genesis file that is there",
        ),
        (str(tmp_path), f"--network: cannot read {tmp_path}: is a directory"),
        (str(wrong), f"--network: {wrong}: alloc: it is missing"),
    ]:
        with pytest.raises(Failure) as caught:
            network_chain(text)
        assert str(caught.value) == why
