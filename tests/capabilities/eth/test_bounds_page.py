"""docs/bounds.md says every bound of eth as the code has it."""

import re
from pathlib import Path

import pytest

from devp2p.capabilities.eth import Eth, answers, capability, peer, serving
from devp2p.capabilities.eth.messages import bounds

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "bounds.md").read_text("utf-8")
SECTION = PAGE.split("\n## Blocks between peers\n")[1].split("\n## ")[0]
ROWS = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", SECTION, flags=re.MULTILINE)
UNITS = {"": 1, "s": 1, "KiB": 2**10, "MiB": 2**20, "MB": 10**6}
CODE = vars(answers) | vars(capability) | vars(peer) | vars(serving) | vars(bounds) | vars(Eth)


@pytest.mark.parametrize(("name", "told"), ROWS)
def test_the_page_has_the_figure_of_the_code(name, told):
    number, _, unit = told.partition(" ")
    assert int(number) * UNITS[unit] == CODE[name]


def test_the_page_has_every_bound():
    modules = (answers, capability, peer, serving, bounds)
    named = {name for module in modules for name, value in vars(module).items() if name[0].isalpha() and isinstance(value, int | float)}
    assert named - {"KIB", "UNIT", "CELL_SIZE", "EACH"} <= {name for name, _ in ROWS}
