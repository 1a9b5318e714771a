"""Lists for DNS that a crawl exports, against go-ethereum's `devp2p dns`: it verifies our signature and publishes what we do."""

import json
import random
import subprocess
from pathlib import Path

import dns.rdatatype
import dns.zone
import pytest
from devp2p_crawler.cli import main
from devp2p_crawler.exports import node_set_lines
from dns.rdtypes.ANY.TXT import TXT

from tests.crawler.known_nodes import crawled, known
from tests.interop.peers import DEVP2P

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("geth")]

DOMAIN = "nodes.example.org"


def go(*argv: object, status: int = 0) -> str:
    ended = subprocess.run([str(DEVP2P), *map(str, argv)], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == status, ended.stderr
    return ended.stdout if status == 0 else ended.stderr


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201  (pytest shows it where a test fails)
    numbers = random.Random(seed).sample(range(10_000), 150)
    return crawled(tmp_path_factory.mktemp("crawl") / "crawl.db", [known(number) for number in numbers])


@pytest.fixture
def export(database: Path, tmp_path: Path):
    key = tmp_path / "tree.key"
    key.write_text("07" * 32)
    key.chmod(0o600)

    def export(form: str, out: object, *argv: object) -> None:
        signing = [] if form == "nodes.json" else ["--key", key, "--domain", DOMAIN, "--seed", "x"]
        words = ["export", "--db", database, "--format", form, out, *signing, *argv]
        assert main([str(word) for word in words]) == 0

    return export


@pytest.mark.parametrize("size", [1, 13, 14, 150])
def test_go_ethereum_verifies_our_list_and_publishes_the_same(export, tmp_path: Path, size: int):
    export("enrtree", f"{tmp_path / 'list'}/", "--size", size)
    export("enrtree", f"{tmp_path / 'list'}/", "--size", size)
    theirs = json.loads(go("dns", "to-txt", tmp_path / "list"))
    assert sum(text.startswith("enr:") for text in theirs.values()) == size
    assert " seq=2 " in theirs[DOMAIN]
    export("enrtree", tmp_path / "ours.json", "--size", size, "--seq", 2)
    assert json.loads((tmp_path / "ours.json").read_text()) == theirs
    export("zone", tmp_path / "ours.zone", "--size", size, "--seq", 2)
    zone = dns.zone.from_file(str(tmp_path / "ours.zone"), check_origin=False)
    assert zone.origin is not None
    found: dict[str, str] = {}
    for name, _, data in zone.iterate_rdatas(dns.rdatatype.TXT):
        assert isinstance(data, TXT)
        found[name.derelativize(zone.origin).to_text(omit_final_dot=True)] = b"".join(data.strings).decode()
    assert found == theirs


def test_go_ethereum_refuses_our_list_once_a_node_is_swapped(export, tmp_path: Path):
    """What the test above rests on."""
    export("enrtree", f"{tmp_path / 'list'}/", "--size", 20)
    (tmp_path / "list" / "nodes.json").write_text("".join(node_set_lines([known(20_000)])))
    assert "invalid signature" in go("dns", "to-txt", tmp_path / "list", status=1)


def test_the_nodes_of_a_database_come_back_from_go_ethereum_to_the_byte(export, tmp_path: Path):
    export("nodes.json", tmp_path / "nodes.json")
    assert go("nodeset", "filter", tmp_path / "nodes.json") == (tmp_path / "nodes.json").read_text()
    assert "Set contains 150 nodes." in go("nodeset", "info", tmp_path / "nodes.json")
