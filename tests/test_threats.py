"""THREATS.md keeps its word: every row is there, every test that it names exists, and a row has a test of its own and a control."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
TEXT = (ROOT / "THREATS.md").read_text("utf-8")

LAST = {"D": 23, "H": 11, "F": 17, "X": 21, "E": 11, "P": 7, "O": 2, "C": 10}
NAMED = re.compile(r"`([a-z0-9_/]+\.py)::(\w+)`")


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each row, by its first one."""
    lines = [line for line in text.splitlines() if re.match(r"\| [A-Z]\d+ \|", line)]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert len({row[0] for row in cells}) == len(cells), "a row is there twice"
    return {row[0]: row[1:] for row in cells}


@cache
def collected_in(path: Path) -> set[str]:
    """The names that pytest collects from a file: test functions, and what is assigned to a name such as TestStates."""
    names = set[str]()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in names if name.startswith(("test_", "Test"))}


THREATS = rows(TEXT)
TRANSPORTS = [row for row in THREATS if row.startswith("T")]
"""Each transport has ten numbers, from a multiple of ten on, so that one can get a row without the others."""
ROWS = [*(f"{letter}{number}" for letter, last in LAST.items() for number in range(1, last + 1)), *TRANSPORTS]


def named_by(row: str) -> set[str]:
    return {name for _, name in NAMED.findall(THREATS[row][-1])}


def numbers_of(name: str) -> set[str]:
    """``test_d11_d16_...`` is of the rows D11 and D16."""
    found = re.match(r"[Tt]est_?((?:[a-z]\d+_?)+)", name.replace("TestD", "test_d"))
    return {each.upper() for each in re.findall(r"[a-z]\d+", found[1])} if found else set()


def test_every_row_is_there_and_no_other():
    assert list(THREATS) == ROWS
    for row, cells in THREATS.items():
        assert len(cells) == 3, f"{row} has {len(cells)} cells behind its number"
        assert all(cells[:2]), f"{row} says too little"


def test_the_rows_of_each_transport_are_in_order():
    numbers = [int(row[1:]) for row in TRANSPORTS]
    assert numbers == sorted(numbers)
    assert all(number % 10 == 0 or number - 1 in numbers for number in numbers)


def test_every_named_test_exists():
    for path, name in NAMED.findall(TEXT):
        assert (TESTS / path).exists(), f"there is no {path}"
        assert name in collected_in(TESTS / path), f"there is no {name} in {path}"


def test_nothing_else_is_named_like_a_test():
    assert len(NAMED.findall(TEXT)) == TEXT.count("::")


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_a_test_and_a_control_of_its_own(row):
    own = {name for name in named_by(row) if row in numbers_of(name)}
    assert any("control" not in name for name in own)
    assert any("control" in name for name in own) is (row != "H9")  # there is no defence of ours against a weakness of the protocol


def test_each_attack_is_named_after_a_row():
    for path in sorted((TESTS / "attacks").glob("test_*.py")):
        for name in collected_in(path):
            assert numbers_of(name) <= set(ROWS), f"{path.name}::{name} is of no row"


def test_the_names_of_attacks_are_read_right():
    names = ("test_d1_x", "test_d11_d16_control_x", "test_d2d_x", "test_no_row", "TestD15", "Testing")
    assert [sorted(numbers_of(name)) for name in names] == [["D1"], ["D11", "D16"], ["D2"], [], ["D15"], []]


def test_what_is_wrong_would_be_noticed(tmp_path):
    assert rows("| D1 | a | b | `x.py::test_y` |\n| --- |\nD2") == {"D1": ["a", "b", "`x.py::test_y`"]}
    with pytest.raises(AssertionError, match="twice"):
        rows("| D1 | a | b | |\n| D1 | a | b | |")
    module = tmp_path / "test_x.py"
    module.write_text("def test_a(): ...\nasync def test_b(): ...\nTestC = object\ndef c(): ...\nclass D:\n    def test_d(self): ...\n")
    assert collected_in(module) == {"test_a", "test_b", "TestC"}
