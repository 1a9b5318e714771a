"""The rules of the crawler's house: it is built on the library's public names, and a file imports only from lower floors."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import devp2p_crawler

ROOT = Path(devp2p_crawler.__file__).parent
PUBLIC = {"devp2p", "devp2p.rlp", "devp2p.terminal", "devp2p.metrics"}
FLOORS = [line.split() for line in re.findall(r"^    (\w+(?: \w+)*)  +\S", devp2p_crawler.__doc__ or "", re.MULTILINE)]
PLACES = {name: floor for floor, names in enumerate(FLOORS) for name in names}
PURE = {"model", "analysis", "filters", "frontier"}
IMPURE = {"trio", "time", "socket", "random", "secrets", "sqlite3", "threading"}
MOST_LINES = 400


def imports(path: Path) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "", tuple(alias.name for alias in node.names)


def is_public(module: str) -> bool:
    return module in PUBLIC or bool(re.fullmatch(r"devp2p\.capabilities\.\w+(\.\w+)?", module))


def faults() -> Iterator[str]:
    for path in sorted(ROOT.rglob("*.py")):
        where = path.relative_to(ROOT)
        folder = where.parts[0].removesuffix(".py")
        if folder.startswith("__"):
            continue
        if folder not in PLACES:
            yield f"{where}: give {folder} a floor in devp2p_crawler/__init__.py"
            continue
        if len(path.read_text("utf-8").splitlines()) > MOST_LINES:
            yield f"{where}: more than {MOST_LINES} lines: split it"
        for line, module, _names in imports(path):
            top = module.partition(".")[0]
            if folder in PURE and top in IMPURE:
                yield f"{where}:{line}: {folder} is pure, and imports {module}"
            if top == "devp2p" and not is_public(module):
                yield f"{where}:{line}: {module} is no public name of the library"
            if top in {"tools", "tests", "examples"}:
                yield f"{where}:{line}: {module} is no part of the distribution"
            if top == "devp2p_crawler" and "." in module:
                other = module.split(".")[1]
                if PLACES[other] > PLACES[folder] or (PLACES[other] == PLACES[folder] and other != folder):
                    yield f"{where}:{line}: {folder} stands below {other}, or beside it"
                if other != folder and module.count(".") > 1:
                    yield f"{where}:{line}: import {other} by its face, devp2p_crawler.{other}"


def test_the_crawler_is_built_as_its_first_page_says():
    assert len(FLOORS) >= 6
    assert list(faults()) == []
