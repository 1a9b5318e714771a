"""The specification's tables, examples and diagrams are what the code has."""

import sys

from tests.wire.dpx import pages


def test_all_parts_of_the_page_are_as_the_code_has_them():
    page = pages.PAGE.read_text("utf-8")
    assert sorted(part[2] for part in pages.PART.finditer(page)) == sorted(pages.PARTS)
    assert pages.stale(page) == []


def test_the_tool_tells_a_stale_page_and_mends_it(tmp_path, monkeypatch, capsys):
    right = pages.PAGE.read_text("utf-8")
    monkeypatch.setattr(pages, "PAGE", tmp_path / "dpx1.md")
    pages.PAGE.write_text(right.replace("| 64 | AES_256_GCM", "| 32 | AES_256_GCM"), "utf-8")
    monkeypatch.setattr(sys, "argv", ["pages"])
    assert pages.main() == 1
    monkeypatch.setattr(sys, "argv", ["pages", "--write"])
    assert pages.main() == 0
    assert pages.PAGE.read_text("utf-8") == right
    assert capsys.readouterr().out == "different: features\n"
