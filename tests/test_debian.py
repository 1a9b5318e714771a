"""What tests/interop says where Debian's packages are missing, and cannot be installed: one line, with what to do."""

import os
from pathlib import Path

import pytest

from tests.interop import debian

GONE = debian.Program("/nowhere/gone-[0-9]*", ("gone-package", "gone-fonts"))


@pytest.fixture(autouse=True)
def missing(monkeypatch, tmp_path):
    monkeypatch.setitem(debian.PROGRAMS, "gone", GONE)
    monkeypatch.setenv("PATH", str(tmp_path))


def apt(directory: Path, script: str) -> None:
    path = directory / "apt-get"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def told(capsys) -> str:
    assert debian.main(["gone"]) == 1
    return str(capsys.readouterr().err.splitlines()[-1])


def test_a_system_that_is_not_debian_is_told_which_file_is_missing(capsys):
    assert told(capsys) == (
        "error: gone is missing, which Debian's packages gone-package gone-fonts bring: install it so that /nowhere/gone-[0-9]* is there; "
        "this system has no apt-get"
    )


def test_who_may_not_install_is_told_the_command(capsys, tmp_path, monkeypatch):
    apt(tmp_path, "exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert told(capsys).endswith("run `apt-get install gone-package gone-fonts` as root; this user cannot")


def test_what_apt_get_says_is_passed_on(capsys, tmp_path, monkeypatch):
    apt(tmp_path, 'echo "Reading lists"; echo "E: Unable to locate package gone-package"; exit 100')
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert told(capsys).endswith("(exit status 100): E: Unable to locate package gone-package")


def test_packages_that_bring_something_else_are_a_fault(capsys, tmp_path, monkeypatch):
    apt(tmp_path, "exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert told(capsys) == "error: gone-package gone-fonts are installed, and still there is no /nowhere/gone-[0-9]*"


def test_the_newest_of_several_versions_is_taken(tmp_path):
    for version in ("14", "15"):
        (tmp_path / version).touch()
    assert debian.Program(f"{tmp_path}/1[0-9]", ()).path() == f"{tmp_path}/15"
