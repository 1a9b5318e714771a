"""docs/plugins.md is true: the plugin that it writes, put together from its blocks, installs, passes its own tests, and runs."""

import json
import re
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/plugins.md").read_text("utf-8")
BLOCK = re.compile(r"^`([\w./]+)`(?:, continued)?:\n\n```\w+\n(.*?)```", re.MULTILINE | re.DOTALL)


def files() -> dict[str, str]:
    """What the page writes: each file by its name, with all its parts."""
    found: dict[str, list[str]] = {}
    for name, part in BLOCK.findall(PAGE):
        found.setdefault(name, []).append(part)
    return {name: "\n\n".join(parts) for name, parts in found.items()}


def install(folder: Path) -> None:
    """Install the plugin as its author does it, in an environment of its own that sees all that this one has."""
    for name, text in files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", ".venv"], cwd=folder, check=True)
    python = str(folder / ".venv/bin/python")
    (packages,) = (folder / ".venv/lib").glob("python*/site-packages")
    (packages / "here.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", *offline, "-e", "."], cwd=folder, check=True)


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[Iterator[str]]:
    """Run Python in the plugin's environment; gives the lines it prints, and stops it at the end."""
    command = [str(folder / ".venv/bin/python"), "-u", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.send_signal(signal.SIGKILL)


def test_each_block_of_code_belongs_to_a_file():
    assert len(BLOCK.findall(PAGE)) == len(re.findall(r"^```\w", PAGE, re.MULTILINE)) == 6
    assert [*files()] == ["pyproject.toml", "weather.py", "tests/test_weather.py", "station.py"]


def test_the_plugin_installs_passes_its_tests_and_runs_as_printed(tmp_path):
    folder = tmp_path / "weather"
    install(folder)

    command = [str(folder / ".venv/bin/python"), "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "9 passed" in done.stdout

    arguments = ["-m", "devp2p.cli", "node", "--json", "--capability", "weather", "--listen", "127.0.0.1:0", "--no-discovery"]
    with started(folder, *arguments) as lines:
        assert json.loads(next(lines))["capabilities"] == ["weather/1", "weather/2"]

    with started(folder, "station.py") as first:
        enode = next(first).removeprefix("listening at ").strip()
        with started(folder, "station.py", enode) as second:
            next(second)
            assert "place='Lisbon'" in next(second)
            assert "place='Lisbon'" in next(first)
