"""Type checkers infer what plugin authors rely on, and find the slips that they should.

tests/typing holds code that is only ever checked. `make types` runs mypy and pyright over it; here mypy alone does, in two ways: as the
files stand, there is no error, and without their `type: ignore` marks there is one in each marked line, of the kind that is named there.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "tests" / "typing").glob("*.py"))
MARK = re.compile(r"\s*# type: ignore\[([a-z-]+)\]")
ERROR = re.compile(r"^([^:]+):(\d+): error: .*\[([a-z-]+)\]$", re.MULTILINE)


def errors(*paths: Path, cache: Path) -> set[tuple[str, int, str]]:
    """Run mypy with the settings of the project; the errors it finds as (file's name, line, kind)."""
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--no-pretty",
        "--cache-dir",
        str(cache),
    ]
    done = subprocess.run(
        [*command, *map(str, paths)], cwd=ROOT, env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, 1}, f"mypy could not run:\n{done.stdout}{done.stderr}"
    found = {(Path(name).name, int(line), kind) for name, line, kind in ERROR.findall(done.stdout)}
    assert bool(found) == (done.returncode == 1), done.stdout
    return found


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


def test_what_should_type_check_does(cache: Path) -> None:
    assert FILES
    assert errors(*FILES, cache=cache) == set()


def test_what_should_not_type_check_does_not(cache: Path, tmp_path: Path) -> None:
    expected = set()
    for file in FILES:
        lines = file.read_text("utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            if (mark := MARK.search(line)) is not None:
                expected.add((file.name, number, mark[1]))
                lines[number - 1] = MARK.sub("", line)
        (tmp_path / file.name).write_text("\n".join(lines) + "\n", "utf-8")
    assert {(name, kind) for name, _, kind in expected} >= {("api.py", "arg-type"), ("api.py", "override"), ("api.py", "attr-defined")}
    assert errors(*sorted(tmp_path.glob("*.py")), cache=cache) == expected
