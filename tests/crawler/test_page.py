"""docs/crawler.md is true: its commands run as printed, over the simulated network that it starts."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from devp2p_crawler import screen
from devp2p_crawler.cli import _COMMANDS, main
from devp2p_crawler.cli.options import OPTIONS
from devp2p_crawler.frontier import Politeness

from devp2p.terminal import Exit
from tests.cli.processes import ROOT
from tools.crawler.pictures import SIZES, simulated

PAGE = (ROOT / "docs/crawler.md").read_text("utf-8")
METHODOLOGY = (ROOT / "tools/crawler/METHODOLOGY.md").read_text("utf-8")
README = (ROOT / "tools/crawler/README.md").read_text("utf-8")
COMMANDS = re.findall(r"^    (devp2p-crawl .*)", PAGE, re.MULTILINE)
SIMULATED = re.search(r"^    python -m tools\.crawler\.simulated --nodes (\d+) --seed (\d+)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where all commands of the page have been run, one after the other; what each printed is in a file of its number."""
    folder = tmp_path_factory.mktemp("page")
    assert SIMULATED
    with simulated(int(SIMULATED[1]), int(SIMULATED[2])) as enode, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, command in enumerate(COMMANDS):
            with (folder / f"{number}.out").open("w") as out, (folder / f"{number}.err").open("w") as err:
                patch.setattr("sys.stdout", out)
                patch.setattr("sys.stderr", err)
                status = main(shlex.split(command.replace("enode://…", enode))[1:])
            (folder / f"{number}.status").write_text(str(int(status)))
        yield folder


def told(folder: Path, of: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the first command that begins so."""
    number = next(index for index, command in enumerate(COMMANDS) if command.startswith(f"devp2p-crawl {of}"))
    status, out, err = ((folder / f"{number}.{part}").read_text() for part in ("status", "out", "err"))
    return int(status), out, err


def test_the_commands_are_those_that_are_looked_at():
    used = [command.split()[1] for command in COMMANDS]
    assert used == ["crawl", "info", "resume", "report", "export", "export", "filter", "filter", "probe", "crawl"]
    assert SIMULATED


@pytest.mark.simulation
def test_the_crawl_finds_the_network(folder: Path):
    status, out, _ = told(folder, "crawl")
    assert status == Exit.OK
    assert "everybody was visited" in out
    found = re.search(r"^dialled +(\d+), and (\d+) said who they are", out, re.MULTILINE)
    assert found
    assert int(found[2]) > 80
    assert re.search(r"^clients .*Geth", out, re.MULTILINE)


@pytest.mark.simulation
def test_the_file_is_whole_and_nothing_is_to_go_on_with(folder: Path):
    assert "whole      yes" in re.sub(r" +", " ", told(folder, "info")[1]).replace("whole yes", "whole      yes")
    status, _, err = told(folder, "resume")
    assert status == Exit.FAILED
    assert "is complete" in err


@pytest.mark.simulation
def test_the_report_and_the_exports_are_there(folder: Path):
    assert told(folder, "report")[0] == Exit.OK
    assert "<html" in (folder / "network.html").read_text()[:1000]
    assert len((folder / "network.html").read_bytes()) < 3_000_000
    nodes = json.loads((folder / "nodes.json").read_text())
    assert len(nodes) > 80
    assert len((folder / "nodes.csv").read_text().splitlines()) > len(nodes)
    assert len(json.loads(told(folder, "filter nodes.json")[1])) == 10
    assert json.loads(told(folder, "filter network.db")[1])


@pytest.mark.simulation
def test_the_probe_and_the_plan_say_what_they_should(folder: Path):
    status, out, _ = told(folder, "probe")
    assert status == Exit.OK
    assert "verdict: it can be called" in out
    status, out, _ = told(folder, "crawl --db mainnet.db")
    assert status == Exit.OK
    assert "(+you@example.org)" in out
    assert not (folder / "mainnet.db").exists()


def test_the_file_of_options_has_options():
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert not tomllib.loads(text).keys() - {option.name for option in OPTIONS}


def test_the_pictures_are_there_and_fetch_nothing():
    for name in SIZES:
        assert f"]({name})" in PAGE
        picture = (ROOT / "docs" / name).read_text("utf-8")
        assert "devp2p-crawl" in picture
        assert not re.search(r"url\((?!#)|@import|<script|href=", picture)


def test_the_bounds_that_are_told_are_those_that_hold():
    bounds, page, methodology = Politeness(), " ".join(PAGE.split()), " ".join(METHODOLOGY.split())
    assert (bounds.packets_per_second, bounds.burst, bounds.packets_per_minute) == (1, 20, 60)
    assert "one datagram a second over long, 20 at once after a pause, 60 in any minute" in methodology
    assert (bounds.nodes_per_host, bounds.dials_per_host, bounds.dials_per_node, bounds.window) == (3, 3, 1, 600)
    assert "three different nodes in ten minutes, three connections in ten minutes, one call to a node in ten minutes" in methodology
    assert "(../tools/crawler/METHODOLOGY.md#politeness)" in page


def test_each_command_is_in_the_readme():
    assert set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)) == set(_COMMANDS)
    assert Path(screen.__file__).with_name("grafana.json").exists()
