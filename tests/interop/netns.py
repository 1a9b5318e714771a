"""A laboratory of network namespaces, without root where the kernel lets it: tests that need routers, NATs and hosts of their own.

A scenario is a function in a test's file that takes a `Lab`. The test runs it by `inside(__file__, "name")`: in a process of its own, in
which everything is root of nothing but its namespaces (``unshare -Urnm``; ``unshare -nm`` where users may not make namespaces, and we are
root). Whatever it starts ends with it.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@cache
def how() -> tuple[str, ...] | None:
    """The command that gives a program namespaces of its own; None if there is none."""
    for flags in ("-Urnm", "-nm"):
        command = ("unshare", flags, "--propagation", "private", "--kill-child")
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if subprocess.run([*command, "ip", "link", "set", "lo", "up"], capture_output=True, timeout=20, check=False).returncode == 0:
                return command
    return None


def why_not() -> str | None:
    """Why there can be no namespaces here, in one line; None if there can."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return "network namespaces need unshare and ip: apt-get install util-linux iproute2"
    if how() is None:
        return "this kernel makes no network namespaces for us: neither `unshare -Urnm` nor, as root, `unshare -nm` works"
    return None


def inside(path: str, scenario: str, *arguments: str, seconds: float = 60) -> str:
    """Run a scenario of a file in a laboratory, and return what it printed; AssertionError with that if it fails, or cannot be run."""
    reason = why_not()
    assert reason is None, reason
    command = [*(how() or ()), sys.executable, "-m", "tests.interop.netns", path, scenario, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, cwd=ROOT)
    assert done.returncode == 0, f"{scenario} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Lab:
    """Namespaces, the wires between them, and the programs in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """For files of the scenario; gone at the end."""
        self._programs: list[subprocess.Popen[bytes]] = []

    def add(self, *names: str) -> None:
        """Make namespaces."""
        for name in names:
            _run("ip", "netns", "add", name)
            self.run(name, "ip", "link", "set", "lo", "up")

    def wire(self, one: tuple[str, str, Sequence[str]], other: tuple[str, str, Sequence[str]]) -> None:
        """Join two namespaces: of each its name, what the interface is called there, and its addresses with their prefix lengths."""
        _run("ip", "link", "add", one[1], "netns", one[0], "type", "veth", "peer", "name", other[1], "netns", other[0])
        for name, interface, addresses in (one, other):
            for address in addresses:
                nodad = ["nodad"] if ":" in address else []
                self.run(name, "ip", "address", "add", address, "dev", interface, *nodad)
            self.run(name, "ip", "link", "set", interface, "up")

    def router(self, name: str) -> None:
        """Let a namespace forward packets."""
        self.run(name, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")

    def command(self, name: str, *arguments: str) -> list[str]:
        return ["ip", "netns", "exec", name, *arguments]

    def run(self, name: str, *arguments: str, seconds: float = 30) -> str:
        """Run a program in a namespace to its end; its output."""
        return _run(*self.command(name, *arguments), seconds=seconds)

    def start(self, name: str, *arguments: str, log: str) -> subprocess.Popen[bytes]:
        """Start a program in a namespace, whose output goes to a file of the scenario's folder."""
        with (self.folder / log).open("ab") as out:
            program = subprocess.Popen(self.command(name, *arguments), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self._programs.append(program)
        return program

    def log(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8", "replace")

    def stop(self, program: subprocess.Popen[bytes], *, kill: bool = False) -> None:
        """End a program, and wait until it has."""
        if kill:
            program.kill()
        else:
            program.terminate()
        try:
            program.wait(10)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait(10)

    def close(self) -> None:
        for program in self._programs:
            if program.poll() is None:
                self.stop(program, kill=True)


def _run(*command: str, seconds: float = 30) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"`{' '.join(command)}` failed ({done.returncode}): {done.stdout}{done.stderr}"
    return done.stdout


def until(what: str, true: "object", *, seconds: float = 20) -> object:
    """Ask again and again until something is true, and return that; AssertionError if it never is."""
    assert callable(true)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.1)
    raise AssertionError(f"never: {what}")


@contextlib.contextmanager
def _opened() -> Iterator[Lab]:
    _run("mount", "-t", "tmpfs", "none", "/run")  # where `ip netns` keeps its names
    _run("ip", "link", "set", "lo", "up")
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        try:
            yield lab
        finally:
            lab.close()


def main(path: str, scenario: str, *arguments: str) -> None:
    spec = importlib.util.spec_from_file_location("scenario_file", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    os.environ["PYTHONUNBUFFERED"] = "1"
    with _opened() as lab:
        getattr(module, scenario)(lab, *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
