"""``devp2p-crawl report``: what it writes, and what it says instead."""

import sys
from contextlib import closing

import pytest
from devp2p_crawler.cli import main, report
from devp2p_crawler.report import plots
from devp2p_crawler.report.svg import inline
from devp2p_crawler.stores import SqliteStore

from tests.crawler import mmdb
from tests.crawler.generated import Shape, batches
from tests.crawler.report.test_page import EMPTY_SVG


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("crawls") / "crawl.db"
    with closing(SqliteStore.create_or_open(path)) as store:
        for batch in batches(Shape(nodes=12, crawls=1, rounds=1, vantages=("home",))):
            store.write(batch)
    return path


def told(capsys) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    return str(line)


def test_it_replaces_the_page_and_leaves_nothing_else(database, tmp_path):
    out = tmp_path / "out.html"
    out.write_text("old")
    assert main(["report", "--db", str(database), "--title", "Test network", str(out)]) == 0
    page = out.read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "<h1>Test network</h1>" in page
    assert page.rstrip().endswith("</html>")
    assert [path.name for path in tmp_path.iterdir()] == ["out.html"]


def test_geoip_files_say_where_nodes_are(database, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(plots, "plot", lambda name, title, text, *_: inline(EMPTY_SVG, name, title, text))  # drawing takes a second
    geo, out = tmp_path / "geo.mmdb", tmp_path / "out.html"
    known = {"country": {"iso_code": "FI"}, "autonomous_system_number": 64500, "autonomous_system_organization": "<b>Net"}
    geo.write_bytes(mmdb.database({"0.0.0.0/1": known, "128.0.0.0/1": known}, 4))
    assert main(["report", "--db", str(database), "--geo", str(geo), str(out)]) == 0
    page = out.read_text("utf-8")
    assert "AS64500" in page
    assert "&lt;b&gt;Net" in page
    geo.write_text("no such file")
    assert main(["report", "--db", str(database), "--geo", str(geo), str(out)]) == 1
    assert "geo.mmdb" in told(capsys)
    assert out.read_text("utf-8") == page


def test_a_file_that_is_missing_is_named(tmp_path, capsys):
    assert main(["report", "--db", str(tmp_path / "none.db"), str(tmp_path / "out.html")]) == 1
    assert "none.db" in told(capsys)


def test_a_place_that_cannot_be_written_is_named(database, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "_page", lambda *_: "a page")
    assert main(["report", "--db", str(database), str(tmp_path / "nowhere" / "out.html")]) == 1
    assert "nowhere/out.html" in told(capsys)


def test_a_title_that_is_too_long_is_refused(database, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["report", "--db", str(database), "--title", "x" * 121, str(tmp_path / "out.html")])
    assert "1 to 120 characters, not 121" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_what_is_not_installed_is_named_with_what_installs_it(database, tmp_path, capsys, monkeypatch, missing):
    for name in [name for name in sys.modules if name.startswith("devp2p_crawler.report") or name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["report", "--db", str(database), str(tmp_path / "out.html")]) == 2
    assert told(capsys) == f"devp2p-crawl: report needs {missing}, which is not installed: pip install 'devp2p-crawler[report]'"
