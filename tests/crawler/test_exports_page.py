"""docs/crawler-exports.md names every filter, format, column and rule, and no other."""

import argparse
import re
from pathlib import Path

from devp2p_crawler.cli import export
from devp2p_crawler.cli import filter as filter_
from devp2p_crawler.exports import COLUMNS
from devp2p_crawler.filters import RULES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "crawler-exports.md").read_text("utf-8")


def rows(head):
    """The first cells of a table."""
    table = PAGE.partition(f"\n| {head} |")[2].partition("\n\n")[0]
    return [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[2:]]


def options(command):
    parser = argparse.ArgumentParser(add_help=False)
    command.configure(parser)
    return [action.option_strings[0] for action in parser._actions if action.option_strings], parser


def test_the_page_has_each_filter():
    assert [*(row.strip("`").partition(" ")[0] for row in rows("filter")), "--geo"] == options(filter_)[0]


def test_the_page_has_each_column():
    assert re.findall(r"`(\w+)`", " ".join(rows("column"))) == [column.name for column in COLUMNS]


def test_the_page_has_each_rule_and_format():
    assert rows("rule") == list(RULES)
    names, parser = options(export)
    assert all(f"`--no-{rule}`" in PAGE and f"--no-{rule}" in names for rule in RULES)
    (formats,) = (action.choices for action in parser._actions if action.dest == "format")
    assert set(formats or ()) == set(re.findall(r"`([\w.]+)`", " ".join(re.findall(r"^- (`.*?):", PAGE, re.MULTILINE))))
