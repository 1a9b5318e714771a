"""What the documents promise: their links lead somewhere, and the README's example runs as printed."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/**/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document):
    prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)  # `Known[int](10)` is no link
    for target in LINK.findall(prose):
        if "://" not in target and not target.startswith("#"):
            assert (document.parent / target.partition("#")[0]).exists(), f"{document.name} links to {target}"


@contextmanager
def started(command: list[str]) -> Iterator[Iterator[str]]:
    """Run a program; gives the lines it prints, and stops it at the end."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.kill()


def example_in_readme() -> str:
    blocks: list[str] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    return blocks[0]


def test_the_readme_shows_the_example_that_the_repository_holds():
    without_docstring = (ROOT / "examples/chat.py").read_text().split('"""\n\n', 1)[1]
    assert example_in_readme() == without_docstring


def test_the_readme_example_runs_as_printed(tmp_path):
    program = tmp_path / "chat.py"
    program.write_text(example_in_readme())
    command = [sys.executable, "-W", "error", "-u", str(program)]
    with started(command) as listener:
        enode = next(listener).removeprefix("listening at ").strip()
        with started([*command, enode]) as dialler:
            next(dialler)  # where it listens
            lines = [[next(listener), next(listener)], [next(dialler), next(dialler)]]
    for said in lines:
        assert any(re.search(r"devp2p\.py/\S+: hello$", line) for line in said)
        assert any(re.search(r"it is \d+ s past 1970 here$", line) for line in said)


@pytest.mark.parametrize("name", ["chat", "bulk", "pairwise", "gossip", "group"])
def test_the_examples_end_by_ctrl_c_without_a_traceback(name):
    command = [sys.executable, "-W", "error", "-u", str(ROOT / f"examples/{name}.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening at enode://")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (out, err, process.returncode) == ("", "", 0)


@pytest.mark.parametrize("name", ["chat", "bulk", "pairwise", "gossip"])
def test_the_examples_say_in_a_line_what_is_wrong_with_an_enode(name):
    command = [sys.executable, "-W", "error", "-u", str(ROOT / f"examples/{name}.py"), "foo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [line for line in (process.stdout.readline(), process.stdout.readline()) if not line.startswith("listening at ")]
        if name == "chat":
            process.send_signal(signal.SIGINT)  # the others end by themselves
        out, err = process.communicate()
    assert "".join([*lines, out]) == "a node is written enode://<public key>@<host>:<port> or enr:..., not 'foo'\n"
    assert not err


def test_every_make_target_that_the_documents_name_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"(?:^    |`)make ([a-z]+)", document.read_text(), re.MULTILINE))
        assert named <= targets, f"{document.name} names {named - targets}"
