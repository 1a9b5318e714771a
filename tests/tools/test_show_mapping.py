"""The crawl at the end of the show: what is said where it does not come about."""

import sys
from pathlib import Path

import pytest
import trio

from devp2p import PrivateKey
from tests.cli.processes import closed_port
from tools.show import mapping
from tools.show.board import Board
from tools.show.mapping import Map, NoMapError, crawl
from tools.show.summary import summary_lines, summary_of

NOBODY = f"enode://{bytes(PrivateKey.generate().public_key).hex()}@"


async def test_without_the_crawler_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mapping, "find_spec", lambda _: None)
    with pytest.raises(NoMapError, match="pip install"):
        await crawl(NOBODY + closed_port(), tmp_path)


@pytest.mark.real_clock
async def test_what_the_crawler_says_is_passed_on(tmp_path: Path):
    with pytest.raises(NoMapError, match=r"^devp2p-crawl crawl: --bootnode: "):
        await crawl("enode://nobody", tmp_path)


@pytest.mark.real_clock
async def test_a_program_that_does_not_start_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    with pytest.raises(NoMapError, match="did not start"):
        await crawl(NOBODY + closed_port(), tmp_path)


async def test_a_folder_that_cannot_be_made_is_told_of(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NoMapError, match="no crawl: "):
        await crawl(NOBODY + closed_port(), tmp_path / "file" / "out")


@pytest.mark.real_clock
async def test_ctrl_c_meanwhile_leaves_no_process_behind(tmp_path: Path):
    with trio.move_on_after(0.2):
        await crawl(NOBODY + closed_port(), tmp_path)
    with trio.fail_after(60):
        while any(str(tmp_path) in _line(one) for one in Path("/proc").glob("[0-9]*")):  # noqa: ASYNC110, ASYNC240  (they are processes)
            await trio.sleep(0.05)


def _line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text(errors="replace")
    except OSError:
        return ""


def test_the_summary_has_the_crawl_and_where_its_report_lies(tmp_path: Path):
    told = {"found": 30, "alive": 29, "hellos": 28, "seconds": 4.2, "recall_estimate": 0.987}
    found = Map(told, tmp_path / "network.html")
    assert found.line == "30 nodes found in 4 s, 29 answered, 28 said who they are, 98.7 % of those in reach by its own estimate"
    summary = summary_of(Board([], seed=1, pace=1), 0.0)
    assert not any(line.startswith("crawl") for line in summary_lines(summary))
    summary["crawl"] = {"line": found.line, "report": str(found.report)}
    assert [line.split(None, 1)[1] for line in summary_lines(summary) if line.startswith(("crawl", "report"))] == [
        found.line,
        str(found.report),
    ]
