"""What holds for every command: help, exit statuses, and ends that are not the program's fault."""

import os
import subprocess
import sys

import pytest

import devp2p.cli
from devp2p import __version__
from devp2p.cli import main
from devp2p.terminal.output import Exit, Failure, write_json, write_text
from tests.cli.processes import COMMAND, ROOT

COMMANDS = [[], ["chain"], ["chain", "import"], ["chain", "info"], ["key"], ["key", "generate"], ["key", "inspect"], ["ping"], ["node"]]
NOT_FOR_HELP = {"importlib.metadata", "email", "zipfile", "asyncio", "rlp", "rich", "sqlite3"}  # slow to import


def exit_status(argv: list[str]) -> object:
    with pytest.raises(SystemExit) as exited:
        main(argv)
    return exited.value.code


def use_command(monkeypatch: pytest.MonkeyPatch, run) -> None:
    """Let `devp2p ping` do something else."""
    monkeypatch.setattr(devp2p.cli.ping, "configure", lambda parser: parser.set_defaults(run=run))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("columns", ["80", "100", "200"])
def test_help_says_what_a_command_is_for_and_fits_the_terminal(command, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    assert exit_status([*command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: {' '.join(['devp2p', *command])} ")
    assert "\nexamples:\n  devp2p " in text
    assert ("exit codes:\n  0  " in text) is (command not in ([], ["chain"], ["key"]))
    assert max(map(len, text.splitlines())) <= min(int(columns), 100)


def test_version(capsys):
    assert exit_status(["--version"]) == 0
    assert capsys.readouterr().out == f"devp2p {__version__}\n"


@pytest.mark.parametrize("command", [[], ["key"], ["pong"], ["ping", "--jso"], ["ping"]], ids=" ".join)
def test_a_command_that_is_none_is_a_usage_error(command, capsys):
    assert exit_status(command) == Exit.USAGE
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("usage: devp2p ")


def test_failure_is_one_line_without_traceback(monkeypatch, capsys):
    def run(_):
        raise Failure("nobody\nis \x1b[31mthere", Exit.REFUSED)

    use_command(monkeypatch, run)
    assert main(["ping"]) == Exit.REFUSED
    assert capsys.readouterr() == ("", "devp2p: nobody\\nis \\x1b[31mthere\n")


def test_a_bug_shows_its_traceback(monkeypatch):
    use_command(monkeypatch, lambda _: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        main(["ping"])


@pytest.mark.parametrize("in_groups", [False, True])
@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141)])
def test_interrupts_and_readers_that_left_end_it_quietly(error, status, in_groups, monkeypatch, capsys):
    def run(_):
        raise BaseExceptionGroup("", [BaseExceptionGroup("", [error])]) if in_groups else error

    use_command(monkeypatch, run)
    assert main(["ping"]) == status
    assert capsys.readouterr() == ("", "")


def test_an_interrupt_does_not_hide_a_bug(monkeypatch):
    def run(_):
        raise BaseExceptionGroup("", [KeyboardInterrupt(), ZeroDivisionError()])

    use_command(monkeypatch, run)
    with pytest.raises(BaseExceptionGroup):
        main(["ping"])


@pytest.mark.parametrize("argv", [["key", "generate"], ["--help"]], ids=" ".join)
def test_a_reader_that_leaves_is_no_error(argv):
    """`devp2p ... | true`: the reader is gone before anything is written."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([*COMMAND, *argv], stdout=writing, stderr=subprocess.PIPE, check=False, cwd=ROOT, env=environment)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_help_imports_nothing_that_takes_long():
    program = (
        "import sys, devp2p; before = set(sys.modules); from devp2p.cli import main\n"
        "try: main(['node', '--help'])\n"
        "finally: print(*set(sys.modules) - before, file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    imported = set(ended.stderr.split())
    assert "devp2p.cli.node" in imported
    assert not imported & NOT_FOR_HELP


def test_a_name_that_the_terminal_cannot_show_is_no_error():
    program = "import sys; from devp2p.cli import main; from devp2p.terminal import output; sys.argv = ['devp2p', 'ping']\n"
    program += "try: main()\nexcept SystemExit: pass\n"
    program += "output.write_text('\\u00d0\\u039e')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    assert ended.stdout == "\\xd0\\u039e\n"


def test_what_a_stranger_says_cannot_steer_the_terminal(capsys):
    write_text("a\x1b[2J\u202eb\n\x7f")
    write_json({"client": "a\x1b[2J\u202eb\n\x7f\x9b"})
    assert capsys.readouterr().out == ('a\\x1b[2J\\u202eb\\n\\x7f\n{"client": "a\\u001b[2J\\u202eb\\n\\u007f\\u009b"}\n')
