"""The lock files hold whatever is asked for, and install as they are, however much is released later.

Those marked `index` install from a package index: the Makefile makes a new environment with each Python at hand, while the index also has
release 9999 of every package.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {path.stem: path.read_text("utf-8") for path in (ROOT / "requirements").glob("*.txt")}
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CRAWLER: dict[str, Any] = tomllib.loads((ROOT / "tools" / "crawler" / "pyproject.toml").read_text("utf-8"))
OURS = {"trio-devp2p", "devp2p-crawler"}
"""What is installed from here."""
GROUPS = {"test": ("build", "test", "show"), **{name: (name,) for name in ("fuzz", "interop", "libp2p", "lint", "lock")}}
"""The groups of pyproject.toml that each lock file is made for; that of `test` holds the project's own requirements, too."""
# Without those of `make interop`, whose engine of ClickHouse is as large as all others, and which CI installs itself.
STAMPS = (".venv/.installed", ".venv/.installed-fuzz", ".venv/.installed-lint")
OLD_ENOUGH = (3, 11)


def pinned(lock: str) -> dict[str, list[Requirement]]:
    """The requirements of a lock file by name; there are several of one name if their markers differ."""
    found: dict[str, list[Requirement]] = {}
    for line in re.findall(r"^[a-z0-9].*?(?= \\$)", LOCKS[lock], re.MULTILINE | re.IGNORECASE):
        requirement = Requirement(line)
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def version(requirement: Requirement) -> str:
    """The one version that a pin allows."""
    (specifier,) = requirement.specifier
    assert specifier.operator == "==", requirement
    return specifier.version


def asked_for(lock: str) -> list[Requirement]:
    lines: list[str] = [line for group in GROUPS[lock] for line in PROJECT["dependency-groups"][group]]
    if lock == "test":
        for project in (PROJECT["project"], CRAWLER["project"]):
            lines += project["dependencies"]
            lines += [line for extra, asked in project["optional-dependencies"].items() if extra != "sctp" for line in asked]
    return [asked for asked in map(Requirement, lines) if asked.name not in OURS]


def test_there_is_a_lock_file_for_each_of_these():
    assert set(LOCKS) == set(GROUPS)
    assert {*PROJECT["dependency-groups"]} == {group for groups in GROUPS.values() for group in groups} | {"dev"}


@pytest.mark.parametrize("lock", GROUPS)
def test_each_pin_is_one_version_with_hashes_and_no_address(lock):
    assert "://" not in LOCKS[lock]
    assert "--index" not in LOCKS[lock]
    entries = re.split(r"^(?=[a-z0-9])", LOCKS[lock], flags=re.MULTILINE | re.IGNORECASE)[1:]
    pins = [requirement for many in pinned(lock).values() for requirement in many]
    assert len(pins) == len(entries) > 0
    assert all(version(requirement) for requirement in pins)
    assert all("--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("lock", GROUPS)
def test_what_pyproject_asks_for_is_pinned(lock):
    pins = pinned("test") | pinned(lock)
    for requirement in asked_for(lock):
        allowed = [version(pin) for pin in pins.get(canonicalize_name(requirement.name), [])]
        assert allowed, f"requirements/{lock}.txt does not pin {requirement}: make lock"
        assert any(requirement.specifier.contains(each, prereleases=True) for each in allowed), f"{requirement}, but {allowed}: make lock"


def test_make_test_collects_all_tests_without_the_requirements_of_interop():
    only = {canonicalize_name(asked.name) for asked in asked_for("interop")} - pinned("test").keys()
    assert only == {"aiortc", "chdb", "playwright"}
    imported_late = {ROOT / "tests/interop/sctp_ends.py"}  # by a fixture
    for path in sorted({*(ROOT / "tests").rglob("*.py")} - imported_late):
        for node in ast.parse(path.read_text("utf-8")).body:
            assert not (isinstance(node, ast.ImportFrom) and (node.module or "").endswith("sctp_ends")), (
                f"{path}:{node.lineno}: import it late"
            )
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not only & {name.partition(".")[0] for name in names}, f"{path}:{node.lineno}: import it where it is used"


def test_no_command_of_the_makefile_lets_pip_choose_a_version():
    text = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ")
    assert "--no-deps" in re.findall(r"^INSTALL := (.*)$", text, re.MULTILINE)[0]
    assert "--require-hashes" in re.findall(r"^INSTALL_LOCKED := (.*)$", text, re.MULTILINE)[0]
    commands = [line for line in text.splitlines() if line.startswith("\t") and re.search(r"\bpip\b", line)]
    commands = [line for line in commands if "pip compile" not in line]
    assert len(commands) >= 5
    for command in commands:
        assert re.search(r"\$\((INSTALL_LOCKED|INSTALL\) --no-build-isolation)", command), command


# What follows installs


def pythons() -> list[str]:
    """The newest interpreter of each version from 3.11 on, on the PATH or from pyenv."""
    found: dict[tuple[int, ...], str] = {}
    at_hand = [shutil.which(f"python3.{minor}") for minor in range(OLD_ENOUGH[1], 20)]
    for path in [*filter(None, at_hand), *map(str, sorted(Path.home().glob(".pyenv/versions/3.*/bin/python")))]:
        told = subprocess.run([path, "-IS", "-c", "import sys; print(*sys.version_info[:3])"], capture_output=True, text=True, check=False)
        if told.returncode == 0:
            found[tuple(map(int, told.stdout.split()))] = path
    return [*{number[:2]: path for number, path in sorted(found.items()) if number >= OLD_ENOUGH}.values()]


@pytest.fixture(scope="session")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place where pip finds release 9999 of all that is pinned, and of pip itself."""
    place = tmp_path_factory.mktemp("later")
    for name in {"pip", "setuptools", *(name for lock in LOCKS for name in pinned(lock))}:
        stem = f"{name.replace('-', '_')}-9999"
        with zipfile.ZipFile(place / f"{stem}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 9999\n")
            wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return place


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What `make install` needs of this repository."""
    for name in ("Makefile", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("requirements", "devp2p", "tools/crawler"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(tree: Path, later: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where later releases are at hand.

    Nothing is built from source, which would ask for yet other packages, nor compiled to byte code, which takes pip longer than all else.
    """
    environment = {key: value for key, value in os.environ.items() if key not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "VIRTUAL_ENV"}}
    environment |= {"PIP_FIND_LINKS": f"{os.environ.get('PIP_FIND_LINKS', '')} {later}", "PIP_ONLY_BINARY": ":all:", "PIP_NO_COMPILE": "1"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.index
@pytest.mark.parametrize("python", pythons())
def test_all_lock_files_install_as_pinned_while_there_are_later_releases_of_everything(python, tree, later):
    done = run(tree, later, "make", *STAMPS, f"PYTHON={python}")
    assert done.returncode == 0, done.stdout + done.stderr
    listed = run(tree, later, ".venv/bin/python", "-m", "pip", "list", "--format=json")
    installed = {canonicalize_name(each["name"]): each["version"] for each in json.loads(listed.stdout)}
    pins = {lock: pinned(lock) for lock in ("test", "fuzz", "lint")}
    allowed = {name: {version(pin) for lock in pins.values() for pin in lock.get(name, [])} for name in set().union(*pins.values())}
    for name in installed.keys() - {"pip", "setuptools"} - OURS:
        assert installed[name] in allowed[name]
    always = {name for lock in pins.values() for name, many in lock.items() if any(pin.marker is None for pin in many)}
    assert len(always) > 30
    assert always <= installed.keys()
    found = run(tree, later, ".venv/bin/python", "-m", "pip", "install", "--dry-run", "pytest", "--upgrade")
    assert "Would install pytest-9999" in found.stdout  # control: pip sees them, and would take them


@pytest.mark.index
def test_what_a_lock_file_lacks_is_named_with_what_to_do(tree, later):
    lines = re.split(r"^(?=[a-z0-9])", LOCKS["test"], flags=re.MULTILINE)[1:]
    entries = {canonicalize_name(line.partition("==")[0]): line for line in lines}
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["build"]]
    kept = {canonicalize_name(Requirement(line).name) for line in wanted}
    for _ in range(9):  # what those need, and so on, and none of what tests need
        kept |= {name for name, entry in entries.items() if kept & {*re.findall(r"^ +#(?: via)? +([^ \n]+)$", entry, re.MULTILINE)}}
    assert "sortedcontainers" in kept
    assert len(kept) < len(entries) / 2
    (tree / "requirements" / "test.txt").write_text("".join(entries.get(name, "") for name in kept - {"sortedcontainers"}), "utf-8")
    done = run(tree, later, "make", "install")
    assert done.returncode == 2
    lacking = {line for line in done.stderr.splitlines() if "which is not installed" in line and not line.startswith("devp2p-crawler")}
    assert len(lacking) == 1, lacking
    assert "requires sortedcontainers, which is not installed." in lacking.pop()
    assert "make lock" in done.stderr
    assert not (tree / STAMPS[0]).exists()
