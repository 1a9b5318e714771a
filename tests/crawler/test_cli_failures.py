"""What `devp2p-crawl crawl` says of what it cannot do, and of what it would do."""

from pathlib import Path

import pytest
from devp2p_crawler.cli import main
from devp2p_crawler.model import Batch
from devp2p_crawler.stores import SinkError, SqliteStore

from devp2p import PrivateKey
from devp2p.terminal import Exit
from tests.cli.processes import closed_port

NODE = f"enode://{bytes(PrivateKey.generate().public_key).hex()}@{closed_port()}"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--listen", "192.0.2.1:0"], "cannot listen at"),
        (["--metrics", "192.0.2.1:1"], "cannot serve metrics at 192.0.2.1:1: "),
        (["--db", "/dev/null/x.db"], "there is no folder /dev/null"),
        (["--db", __file__], "is damaged or no database of a crawl"),
        (["--input", __file__], "--input: "),
    ],
)
def test_what_cannot_be_opened_is_one_line(argv: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    db = [] if "--db" in argv else ["--db", str(tmp_path / "x.db")]
    assert main(["crawl", "--bootnode", NODE, *db, *argv]) in {Exit.FAILED, Exit.USAGE}
    said = capsys.readouterr().err
    assert said.startswith("devp2p-crawl: ")
    assert told in said
    assert said.count("\n") == 1


def test_a_dry_run_says_what_would_be_done_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no.txt").write_text("192.0.2.0/24\n")
    argv = [
        "crawl",
        "--db",
        "x.db",
        "--network",
        "mainnet",
        "--opt-out",
        "no.txt",
        "--contact",
        "me@example.org",
        "--for",
        "60",
        "--dry-run",
    ]
    assert main(argv) == Exit.OK
    told = capsys.readouterr().out
    assert "crawl mainnet by v4 and v5, as devp2p-crawler/0.1.0.dev0 (+me@example.org)" in told
    assert "0 nodes and 1 networks of no.txt" in told
    assert "x.db, which will be made" in told
    assert not (tmp_path / "x.db").exists()


@pytest.mark.real_clock
def test_rows_that_cannot_be_written_are_told_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full(_store: SqliteStore, _batch: Batch) -> None:
        raise SinkError("the disk is full")

    argv = ["crawl", "--db", str(tmp_path / "x.db"), "--listen", "127.0.0.1:0"]
    assert main(argv) == Exit.OK  # with room, nothing is missing
    assert "missing" not in capsys.readouterr().out
    monkeypatch.setattr(SqliteStore, "write", full)
    monkeypatch.setattr("devp2p_crawler.stores.writer._LAST_TRIES", 0.1)
    assert main(argv) == Exit.FAILED
    told = capsys.readouterr()
    assert "missing    1 rows that could not be written" in told.out
    assert "the disk is full" in told.err
