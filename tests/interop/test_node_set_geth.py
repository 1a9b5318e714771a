"""nodes.json against go-ethereum's `devp2p nodeset`: it takes our files and gives them back to the byte, and its filters choose as ours."""

import random
import re
import subprocess
from pathlib import Path

import pytest
from devp2p_crawler.exports import node_set_lines, read_node_set
from devp2p_crawler.filters import Described, Filter, best, geth

from tests.crawler.known_nodes import random_nodes
from tests.interop.peers import DEVP2P

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("geth")]

NODES = 300


def go(*argv: object) -> str:
    ended = subprocess.run([str(DEVP2P), "nodeset", *map(str, argv)], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture
def nodes(tmp_path):
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201  (pytest shows it where a test fails)
    found = random_nodes(seed, NODES)
    (tmp_path / "nodes.json").write_text(text_of(found), "utf-8", newline="")
    return found


def text_of(nodes) -> str:
    return "".join(node_set_lines(nodes))


def test_go_ethereum_takes_our_file_and_gives_it_back_to_the_byte(nodes, tmp_path: Path):
    assert go("filter", tmp_path / "nodes.json") == text_of(nodes) == text_of(read_node_set(tmp_path / "nodes.json"))
    told = go("info", tmp_path / "nodes.json")
    assert f"Set contains {NODES} nodes." in told
    assert int(re.findall(r" secp256k1: (\d+)", told)[0]) == NODES


def test_a_set_of_nobody_is_the_same(tmp_path: Path):
    (tmp_path / "nodes.json").write_text(text_of([]), "utf-8")
    assert go("filter", tmp_path / "nodes.json") == text_of([])


FILTERS: list[tuple[str, str | None, Filter]] = [
    ("-ip", "8.0.0.0/5", geth.by_ip("8.0.0.0/5")),
    ("-ip", "10.168.0.0/15", geth.by_ip("10.168.0.0/15")),
    ("-ip", "127.0.0.0/8", geth.by_ip("127.0.0.0/8")),
    ("-ip", "2a01::/16", geth.by_ip("2a01::/16")),
    ("-ip", "::/0", geth.by_ip("::/0")),
    ("-ip", "0.0.0.0/0", geth.by_ip("0.0.0.0/0")),
    ("-ip", "::ffff:0:0/96", geth.by_ip("::ffff:0:0/96")),
    ("-min-age", "0s", geth.by_min_age("0s")),
    ("-min-age", "24h", geth.by_min_age("24h")),
    ("-min-age", "23h59m59.5s", geth.by_min_age("23h59m59.5s")),
    ("-min-age", "277h", geth.by_min_age("277h")),
    ("-eth-network", "mainnet", geth.by_eth_network("mainnet")),
    ("-eth-network", "sepolia", geth.by_eth_network("sepolia")),
    ("-eth-network", "hoodi", geth.by_eth_network("hoodi")),
    ("-les-server", None, geth.les_server),
    ("-snap", None, geth.snap),
    ("-dialable", None, geth.dialable),
]


@pytest.mark.parametrize("_turn", range(3))
def test_its_filters_and_ours_choose_the_same_nodes(nodes, tmp_path: Path, _turn: int):
    counts: dict[str, int] = {}
    for name, value, accepts in FILTERS:
        chosen = [node for node in nodes if accepts(Described(node))]
        counts[f"{name} {value}"] = len(chosen)
        assert go("filter", tmp_path / "nodes.json", name, *([] if value is None else [value])) == text_of(chosen), (name, value)
    assert sum(0 < count < NODES for count in counts.values()) >= 14, counts


@pytest.mark.parametrize("limit", [0, 1, 100, NODES - 1, NODES, 10_000])
def test_its_limit_and_ours_choose_the_same_nodes(nodes, tmp_path: Path, limit: int):
    answered = [node for node in nodes if node.score]  # of equal scores it takes any
    (tmp_path / "nodes.json").write_text(text_of(answered), "utf-8", newline="")
    assert go("filter", tmp_path / "nodes.json", "-limit", limit) == text_of(best(answered, limit))


def test_several_filters_choose_what_passes_all(nodes, tmp_path: Path):
    wanted = geth.by_eth_network("mainnet")
    chosen = [node for node in nodes if node.score and geth.dialable(Described(node)) and wanted(Described(node))]
    (tmp_path / "nodes.json").write_text(text_of([node for node in nodes if node.score]), "utf-8", newline="")
    assert go("filter", tmp_path / "nodes.json", "-dialable", "-limit", 9, "-eth-network", "mainnet") == text_of(best(chosen, 9))


def test_go_ethereum_reads_nodes_without_records_as_we_do(nodes, tmp_path: Path):
    """What its crawler writes of a bootnode that never answered, and its own spelling of it."""
    text = text_of(nodes[:3]).removesuffix("\n}")
    for number, where in enumerate(["@1.2.3.4:30303", "@1.2.3.4:30303?discport=30304", "@[2a01::1]:5", ""]):
        node = nodes[10 + number]
        text += f',\n    "{node.node.hex()}": {{"seq": 0, "record": "enode://{node.public_key.hex()}{where}"}}'
    (tmp_path / "nodes.json").write_text(f"{text}\n}}", "utf-8")
    ours = sorted(read_node_set(tmp_path / "nodes.json"), key=lambda node: node.node)
    assert sum(node.record is None for node in ours) == 4
    assert go("filter", tmp_path / "nodes.json") == text_of(ours)
