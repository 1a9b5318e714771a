"""docs/eth.md is true: its commands and programs run as printed, over a chain that a node serves; and counts are those of the suites."""

import json
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devp2p import keccak256
from devp2p.capabilities.ethereum.networks import NETWORKS
from devp2p.cli import main
from tests.capabilities.chains import CONTRACT, build_chain
from tests.cli.processes import COMMAND, ROOT
from tests.interop.suites import ETH, SNAP, SNAP2

PAGE = (ROOT / "docs/eth.md").read_text("utf-8")
CONFORMANCE = (ROOT / "docs/conformance.md").read_text("utf-8")
PROGRAMS: dict[str, str] = dict(re.findall(r"^`(\w+\.py)`:\n\n```python\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = re.findall(r"^    (devp2p .*)", PAGE, re.MULTILINE)
CHAIN = build_chain(8)
LAST = CHAIN.head.header.number


@contextmanager
def started(folder: Path, *command: str) -> Iterator[str]:
    """Run a program; gives the first line that it prints, and stops it at the end."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page takes for given, what it writes, and the chain file that its first commands make."""
    folder = tmp_path_factory.mktemp("page")
    CHAIN.write(folder).states[LAST].rename(folder / "state.json")
    (folder / "sender.key").write_text(bytes(CHAIN.keys[0]).hex())
    for name, text in PROGRAMS.items():
        (folder / name).write_text(text, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in COMMANDS[:2]:
            assert main(shlex.split(command)[1:]) == 0
    return folder


@pytest.fixture(scope="module")
def enode(folder: Path) -> Iterator[str]:
    """Of a node that the page's third command runs."""
    program, *arguments = shlex.split(COMMANDS[2])
    assert (program, arguments[0]) == ("devp2p", "node")
    with started(folder, *COMMAND, *arguments, "--json", "--listen", "127.0.0.1:0", "--no-discovery") as line:
        said = json.loads(line)
        assert said["capabilities"] == ["eth/69", "eth/70", "eth/71", "eth/72", "snap/1", "snap/2"]
        yield said["enode"]


def printed(name: str, folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The lines that one of the programs prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(folder / name), run_name="__main__")
    return capsys.readouterr().out.splitlines()


def test_each_block_of_code_and_each_command_is_run_here():
    assert [*PROGRAMS] == ["ask.py", "walk.py", "serve.py", "send.py", "fill.py"]
    assert len(re.findall(r"^```\w", PAGE, re.MULTILINE)) == len(PROGRAMS)
    assert [command.split()[1] for command in COMMANDS] == ["chain", "chain", "node", "fetch", "fetch", "fetch"]


def test_ask(folder: Path, enode: str, capsys: pytest.CaptureFixture[str]):
    senders = {f"0x{number}": [one.sender.hex() for one in CHAIN.blocks[number].transactions] for number in (LAST, LAST - 1, LAST - 2)}
    lines = printed("ask.py", folder, capsys, enode)
    assert [line.split()[:2] for line in lines] == [[str(number), CHAIN.blocks[number].hash.hex()] for number in (LAST, LAST - 1, LAST - 2)]
    assert all(str(told) in line for told, line in zip(senders.values(), lines, strict=True))


def test_walk(folder: Path, enode: str, capsys: pytest.CaptureFixture[str]):
    wanted = sorted(
        [keccak256(address).hex(), str(holding.balance), str(len(holding.storage))] for address, holding in CHAIN.head.state.items()
    )
    assert [line.split() for line in printed("walk.py", folder, capsys, enode)] == wanted
    assert CHAIN.head.state[CONTRACT].storage


def test_send(folder: Path, enode: str, capsys: pytest.CaptureFixture[str]):
    (line,) = printed("send.py", folder, capsys, enode)
    assert re.fullmatch(r"the peer has [0-9a-f]{64}", line)


def test_fill(folder: Path, enode: str, capsys: pytest.CaptureFixture[str]):
    lines = printed("fill.py", folder, capsys, str(LAST), enode)
    assert lines == [f"{block.header.number} {len(block.receipts)} receipts" for block in CHAIN.blocks[1:]]


def test_fetch(folder: Path, enode: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    told: list[str] = []
    for command in COMMANDS[3:]:
        assert main(shlex.split(command.replace("enode://…", enode).replace("0..99", f"0..{LAST}"))[1:]) == 0
        told.append(capsys.readouterr().out)
    headers, blocks, receipts = told
    assert [json.loads(line)["hash"] for line in headers.splitlines()] == [f"0x{block.hash.hex()}" for block in CHAIN.blocks]
    assert (blocks, (folder / "blocks.rlp").read_bytes()) == ("", CHAIN.chain_file())
    assert len(receipts.splitlines()) == 1 + len(CHAIN.blocks[7].receipts)


def test_serve(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    with started(folder, sys.executable, "-W", "error", "serve.py") as line:
        enode = line.removeprefix("listening at ").strip()
        assert main(["fetch", "blocks", "1..", "--network", "genesis.json", "--from", enode, "--format=rlp", "-o", "served.rlp"]) == 0
        assert (folder / "served.rlp").read_bytes() == CHAIN.chain_file()


def test_the_networks_are_those_that_are_known():
    told = re.search(r"`NETWORKS` has (.*?);", PAGE, re.DOTALL)
    assert told
    assert re.findall(r"`(\w+)`", told[1]) == [*NETWORKS]


def test_the_cases_of_the_suites_are_counted_as_they_are():
    for suite, cases in (("eth-test", ETH), ("snap-test", SNAP), ("snap2-test", SNAP2)):
        row = re.search(rf"^\| `{suite}`.*\| (\d+) \| (\d+) \|$", CONFORMANCE, re.MULTILINE)
        assert row, suite
        assert int(row[1]) == int(row[2]) == len(cases)
    every = len(ETH) + len(SNAP) + len(SNAP2)
    assert f"| {every} of {every} cases pass |" in PAGE
    assert f"**All {every} cases\npass" in CONFORMANCE
    assert f"All {every} cases of go-ethereum's own suites" in " ".join((ROOT / "README.md").read_text("utf-8").split())
