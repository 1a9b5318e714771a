"""One crawl at a time writes a file; others may read it, and merge into it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from devp2p_crawler.cli import main
from devp2p_crawler.model import Batch
from devp2p_crawler.stores import SinkError, SqliteStore, holding

from devp2p.terminal import Exit
from tests.crawler import rows

NODE = (
    "enode://"
    "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
)
KILLED = """
import sys, time
from devp2p_crawler.stores.holding import Hold
hold = Hold(sys.argv[1])
print("held", flush=True)
time.sleep(600)
"""


def test_a_second_crawl_is_refused_and_told_by_whom(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "crawl.db"
    with SqliteStore.for_crawl(path) as store:
        for other in (path, tmp_path / "." / "crawl.db"):
            with pytest.raises(SinkError, match=rf"another crawl is writing .*crawl\.db \(process {os.getpid()}\): wait until"):
                SqliteStore.for_crawl(other)
        for argv in (["crawl", "--bootnode", f"{NODE}@127.0.0.1:1"], ["monitor", "--bootnode", f"{NODE}@127.0.0.1:1"]):
            assert main([*argv, "--db", str(path), "--listen", "127.0.0.1:0", "--for", "1"]) == Exit.FAILED
            said = capsys.readouterr().err
            assert said.startswith(f"devp2p-crawl: another crawl is writing {path}")
            assert said.count("\n") == 1
        store.write(Batch(visits=[rows.visit()]))
        with SqliteStore.open_reading(path) as reader, SqliteStore.create_or_open(path) as merged:
            assert len([*reader.nodes()]) == len([*merged.nodes()]) == 1
        SqliteStore.for_crawl(tmp_path / "other.db").close()
    SqliteStore.for_crawl(path).close()
    assert sorted(found.name for found in tmp_path.iterdir()) == ["crawl.db", "other.db"]


def test_through_a_link_it_is_the_same_file(tmp_path: Path):
    (tmp_path / "link.db").symlink_to(tmp_path / "crawl.db")
    with SqliteStore.for_crawl(tmp_path / "crawl.db"), pytest.raises(SinkError, match="another crawl"):
        SqliteStore.for_crawl(tmp_path / "link.db")


def test_who_is_killed_holds_nothing(tmp_path: Path):
    path = tmp_path / "crawl.db"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(SinkError, match=rf"\(process {process.pid}\)"):
            SqliteStore.for_crawl(path)
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / f"crawl.db{holding.SUFFIX}").exists()
    SqliteStore.for_crawl(path).close()
    assert [found.name for found in tmp_path.iterdir()] == ["crawl.db"]


def test_a_file_beside_that_was_just_removed_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever opened it before its owner removed it has locked what nobody else will ever see."""
    path, first = str(tmp_path / "crawl.db"), holding.Hold(str(tmp_path / "crawl.db"))
    opening = os.open
    looked = list[str]()

    def open_and_lose(name: str, flags: int, mode: int) -> int:
        descriptor = opening(name, flags, mode)
        if not looked:
            first.release()
        looked.append(name)
        return descriptor

    monkeypatch.setattr(os, "open", open_and_lose)
    second = holding.Hold(path)
    assert len(looked) == 2
    with pytest.raises(SinkError, match="another crawl"):
        holding.Hold(path)
    second.release()
    second.release()


def test_what_is_wrong_with_a_place_is_said_as_ever(tmp_path: Path):
    with pytest.raises(SinkError, match="there is no directory"):
        SqliteStore.for_crawl(tmp_path / "no" / "crawl.db")
    with pytest.raises(SinkError, match="is a directory"):
        SqliteStore.for_crawl(tmp_path)
    assert not [*tmp_path.iterdir()]
