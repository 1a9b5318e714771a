"""ARCHITECTURE.md is true of the code: what it names exists where it says so, its walks are short, and its tree has every folder."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from tokenize import NAME, STRING, tokenize

import pytest

from tests.test_architecture import FLOORS, statements

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
PYTHON = [path for top in ("devp2p", "tools", "examples", "tests") for path in sorted((ROOT / top).rglob("*.py"))]
MOST_HOPS = 7
ENTRY = re.compile(r"    ( *)(\S+(?: \S+)*)  +\S")
QUOTED = re.compile(r"`([^`]+)`")
IDENTIFIER = re.compile(r"[A-Za-z_]\w*(\.\w+)*(\(\))?")


def blocks() -> list[list[str]]:
    """The runs of indented lines, each as its lines."""
    return [found.splitlines() for found in re.findall(r"(?:^    .+\n)+", PAGE, re.MULTILINE)]


def tree() -> dict[Path, str]:
    """Each file and folder that the tree names, and the line in which it does."""
    (lines,) = (block for block in blocks() if block[0].strip() == "devp2p/")
    found, around = dict[Path, str](), [(-1, ROOT)]
    for line in lines:
        match = ENTRY.match(line)
        indent, names = (len(match[1]), match[2]) if match else (len(line) - len(line.lstrip()) - 4, line.strip())
        while around[-1][0] >= indent:
            around.pop()
        for name in names.split(" "):
            found[around[-1][1] / name] = line
        if names.endswith("/"):
            around.append((indent, around[-1][1] / names.rpartition(" ")[2]))
    return found


def walks() -> dict[str, list[str]]:
    """The hops of each walk, by its title."""
    part = PAGE.partition("\n## Walks\n")[2].partition("\n## ")[0]
    titled = [walk.partition("\n")[::2] for walk in part.split("\n### ")[1:]]
    return {
        title: [" ".join(hop.split()) for hop in re.findall(r"^\d\. ((?:.+\n)(?:   .+\n)*)", text, re.MULTILINE)] for title, text in titled
    }


def path_of(name: str) -> Path:
    """A path of the page: below devp2p/, unless it begins with another folder."""
    return ROOT / name if name.partition("/")[0] in {"devp2p", "tests", "tools", "examples", "docs"} else ROOT / "devp2p" / name


def defined_in(path: Path) -> set[str]:
    """What a file defines: names, and ``Class.name`` of what is in a class."""
    found = set[str]()

    def take(nodes: list[ast.stmt], prefix: str) -> None:
        for node in nodes:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                take(node.body, f"{node.name}.")
            for target in node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []:
                found.update(prefix + name.id for name in ast.walk(target) if isinstance(name, ast.Name))

    take(ast.parse(path.read_text("utf-8")).body, "")
    return found


def words_of_code() -> set[str]:
    """All names in the code and all words in its texts, but not those in docstrings and comments."""
    words = set[str]()
    for path in PYTHON:
        if path.is_relative_to(ROOT / "tests") and path.parent.name not in {"wire", "tests"}:
            continue
        with path.open("rb") as file:
            for token in tokenize(file.readline):
                if token.type == NAME or (token.type == STRING and not token.string.startswith('"""')):
                    words.update(re.findall(r"\w+", token.string))
    return words


def test_what_the_tree_names_is_there_and_each_folder_of_the_library_is_in_it():
    named = tree()
    assert len(named) > 80
    for path, line in named.items():
        assert path.exists(), f"{path.relative_to(ROOT)}: {line}"
    folders = {path.parent for path in (ROOT / "devp2p").rglob("__init__.py")}
    missing = {str(path.relative_to(ROOT)) for path in folders - named.keys()}
    assert not missing, f"the tree lacks {missing}"


def test_folders_of_the_library_whose_files_the_tree_names_are_named_whole():
    named = tree()
    folders = {path.parent for path in named if path.suffix == ".py" and path.is_relative_to(ROOT / "devp2p")}
    assert len(folders) > 8
    for folder in folders:
        missing = {path.name for path in folder.glob("*.py") if path not in named and not path.stem.startswith("__")}
        assert not missing, f"{folder.relative_to(ROOT)}: the tree lacks {missing}"


def test_the_floors_are_those_that_are_held():
    (floors,) = (block for block in blocks() if block[0].strip().startswith("allocator"))
    present = {"devp2p", *(path.stem for path in (ROOT / "devp2p").iterdir())}
    assert [line.split() for line in floors] == [[name for name in names if name in present] for names in FLOORS]


def test_the_walks_are_there():
    titles = ["A byte in", "A message out", "A message in chunks", "A resumed handshake", "An introduction"]
    titles += ["A dial over another transport", "A relayed session that goes direct", "A candidate", "A rating"]
    titles += ["A block asked of a peer", "A request served", "A transaction in"]
    newcomers = ["transport", "framing", "base message", "metric", "Prometheus metric", "command"]
    assert list(walks()) == titles + [f"A newcomer who adds a {what}" for what in newcomers]


@pytest.mark.parametrize("title", walks())
def test_each_walk_is_short_and_each_hop_names_what_its_file_defines(title):
    hops = walks()[title]
    assert 3 <= len(hops) <= MOST_HOPS
    for hop in hops:
        path = None
        for name in QUOTED.findall(hop.partition(":")[0]):
            if "/" in name or name.endswith(".py"):
                path = path_of(name)
                assert path.is_file(), hop
            else:
                assert path is not None, f"no file before {name}: {hop}"
                assert name in defined_in(path), f"{name} is not in {path.relative_to(ROOT)}"
        assert path is not None, f"a hop names a file before its colon: {hop}"


def test_the_tasks_are_defined_where_anything_is():
    (diagram,) = (block for block in blocks() if block[0].strip().startswith("open_node"))
    tasks = re.findall(r"─ (\S+) ", "\n".join(diagram))
    named = [task for task in tasks if task not in {"root", "work"}]
    defined = {name for path in (ROOT / "devp2p").rglob("*.py") for name in defined_in(path)}
    assert len(named) >= 11
    assert not set(named) - defined


def test_each_name_and_file_that_the_page_quotes_is_in_the_code():
    words = words_of_code()
    for quoted in QUOTED.findall(PAGE):
        if re.fullmatch(r"[\w/]+(\.py|/)", quoted):
            assert path_of(quoted).exists() or any(path.name == quoted for path in PYTHON), quoted
        elif IDENTIFIER.fullmatch(quoted):
            names = quoted.removesuffix("()").split(".")
            assert words.issuperset(names) or resolve_name(quoted), quoted


def prose_of(path: Path) -> Iterator[str]:
    """A document, or the docstrings and comments of a program; nothing of what names no program anywhere."""
    text = path.read_text("utf-8")
    if ".py" not in text:
        return
    if path.suffix != ".py":
        yield text
        return
    yield from re.findall(r"(?:^|\s)# .*", text)
    for node in statements(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def test_no_prose_names_a_program_that_is_not_there():
    others = {
        "docs/bounds.md",
        "CHANGELOG.md",
        "docs/plugins.md",
        "docs/eth.md",
        "docs/transports.md",
    }  # they are not here, are gone, or the reader writes them
    documents = [path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")) if str(path.relative_to(ROOT)) not in others]
    there = [f"/{path.relative_to(ROOT)}" for path in PYTHON]
    checked = 0
    for path in (*documents, *PYTHON):
        for text in prose_of(path):
            for name in re.findall(r"(?<![\w/.*-])[\w/-]+\.py\b", text):
                checked += 1
                assert any(one.endswith(f"/{name}") for one in there), f"{path.relative_to(ROOT)} names {name}"
    assert checked > 100
