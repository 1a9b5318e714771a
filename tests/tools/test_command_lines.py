"""Every program in tools/ explains itself when it is asked, and refuses what it cannot do, before it begins work that takes minutes."""

import importlib
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parent.parent.parent / "tools"
PROGRAMS = sorted(
    ".".join(["tools", *path.relative_to(TOOLS).with_suffix("").parts]).removesuffix(".__main__")
    for path in TOOLS.rglob("*.py")
    if '__name__ == "__main__"' in path.read_text("utf-8")
)
SLOW = ["tools.bench", "tools.bench.flood", "tools.bench.knocks", "tools.hops", "tools.show", "tools.show.seeds", "tools.show.simulation"]


def run(program: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a program as ``python -m`` does; it has to end by argparse's SystemExit."""
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    for name in (program, f"{program}.__main__"):  # else runpy warns
        sys.modules.pop(name, None)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(program, run_name="__main__", alter_sys=False)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_all_programs_are_looked_at():
    assert set(SLOW) <= set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_says_what_it_does_instead_of_doing_it(program, monkeypatch, capsys):
    assert run(program, "--help", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out.startswith("usage: ")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_refuses_an_option_that_it_does_not_know(program, monkeypatch, capsys):
    assert run(program, "--no-such-option", monkeypatch=monkeypatch) == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        ("tools.hops", ["--out", "/no/such/plot.svg"], "a file in a directory that exists is wanted, not '/no/such/plot.svg'"),
        ("tools.show.seeds", ["--out", "/"], "a file in a directory that exists is wanted, not '/'"),
        ("tools.show.simulation", ["--out", "/no/such/plot.svg"], "a file in a directory that exists is wanted"),
        ("tools.show", ["--nodes", "1"], "--nodes is "),
        ("tools.bench", ["--repeat", "0"], "--repeat is 1 or more"),
        ("tools.bench.flood", ["--rate", "0"], "--rate is 1 to 1000000"),
        ("tools.bench.flood", ["--hosts", "0"], "--hosts is 1 to "),
        ("tools.bench.flood", ["--seconds", "-1"], "--seconds is 1 to 3600"),
        ("tools.bench.flood", ["flood"], "flood needs the node's record: --target enr:..."),
        ("tools.bench.knocks", ["--rate", "0"], "--rate is 1 to 1000000"),
        ("tools.bench.knocks", ["--networks", "0"], "--networks is 1 to "),
        ("tools.bench.knocks", ["--seconds", "-1"], "--seconds is 1 to 3600"),
        ("tools.bench.knocks", ["silent"], "silent needs the node: --target enode://..."),
    ],
)
def test_a_program_says_what_is_wrong_with_an_argument(program, arguments, message, monkeypatch, capsys):
    assert run(program, *arguments, monkeypatch=monkeypatch) == 2
    assert message in capsys.readouterr().err


def test_what_is_no_result_of_the_benchmarks_is_said_in_one_line(tmp_path, capsys):
    main = importlib.import_module("tools.bench.__main__").main
    for content, message in ((None, "run the benchmarks first"), ("[", "is no result of these benchmarks"), ("[1]", "is no result")):
        path = tmp_path / "bench.json"
        if content is not None:
            path.write_text(content)
        assert main(["--write-docs", "--output", str(path)]) == 1
        told = capsys.readouterr().err
        assert message in told
        assert told.count("\n") == 1


def test_it_is_the_same_from_a_shell():
    done = subprocess.run([sys.executable, "-m", "tools.hops", "--help"], capture_output=True, text=True, check=False, cwd=TOOLS.parent)
    assert done.returncode == 0
    assert "It takes about a minute" in done.stdout


@pytest.mark.parametrize("program", ["tools.hops", "tools.show.simulation"])
def test_ctrl_c_ends_what_takes_minutes_at_once_and_without_a_traceback(program, tmp_path):
    command = [sys.executable, "-u", "-m", program, "--out", str(tmp_path / "plot.svg")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=TOOLS.parent, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("| ")  # the head of its table, so it has begun
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the program
        assert "Traceback" not in process.communicate()[1]
    assert process.returncode == 130
    assert not (tmp_path / "plot.svg").exists()
