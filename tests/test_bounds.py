"""docs/bounds.md names every bound of ours with its figure."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from devp2p import Limits
from devp2p.capabilities.eth.pool import PoolLimits
from devp2p.discovery.v4.bonds import Discv4Limits
from devp2p.discovery.v5.answers import Discv5Limits
from devp2p.wire.dpx import contexts, credit, ledgers, sender

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "bounds.md").read_text("utf-8")
SECTIONS = {"A session": Limits, "Discovery v4": Discv4Limits, "Discovery v5": Discv5Limits, "The transaction pool": PoolLimits}


def shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (
        f"{value // 2**20} MiB" if isinstance(value, int) and value >= 2**20 else f"{value:g}" if isinstance(value, float) else str(value)
    )


@pytest.mark.parametrize("title", SECTIONS)
def test_each_bound_is_there_with_its_figure_and_no_other(title: str) -> None:
    section = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    limits = SECTIONS[title]()
    expected = [(field.name, shown(getattr(limits, field.name))) for field in fields(limits) if field.name != "table"]
    assert re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, flags=re.MULTILINE) == expected


def test_each_bound_of_dpx_is_there_with_its_figure() -> None:
    section = TEXT.split("\n## A session over dpx/1\n")[1].split("\n## ")[0]
    ours = vars(ledgers) | vars(contexts) | vars(credit)
    told = re.findall(r"^\| `(\w+)` \| (\S+) \|", section, flags=re.MULTILINE)
    names = [
        name
        for name in ours
        if name.startswith(("CONTROLS_", "CANCELS_", "REFUSALS_", "MOST_", "LEAST_", "PATIENCE")) and name != "MOST_CREDIT"
    ]
    assert sorted(told) == sorted((name, shown(ours[name])) for name in names)
    assert f"every {sender._AT_LEAST_EVERY:g} s" in " ".join(section.split())
