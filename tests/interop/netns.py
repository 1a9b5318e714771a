"""A laboratory of network namespaces, without root where the kernel lets it: tests that need routers, NATs and hosts of their own.

A scenario is a function in a test's file that takes a `Lab`. The test runs it by `inside(__file__, "name")`: in a process of its own, in
which everything is root of nothing but its namespaces (``unshare -Urnm``; ``unshare -nm`` where users may not make namespaces, and we are
root). Whatever it starts ends with it. Python's modules are run by forks of that process, which has imported already what they need: a
laboratory has many programs, and most of what each would do is import the library.
"""

import contextlib
import ctypes
import importlib
import importlib.util
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest

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


def outcomes(request: pytest.FixtureRequest, path: str, *, at_once: int = 6, seconds: float = 120) -> Iterator[Callable[[str], str]]:
    """For a fixture of a module: what scenarios printed, each named by the parameter ``case`` of a test, such as ``scenario_x argument``.

    Those of the tests that are run begin at once, so many at a time, since they mostly wait.
    """
    calls = [getattr(item, "callspec", None) for item in request.session.items if item.path == request.path]
    cases = [call.params["case"] for call in calls if call is not None and "case" in call.params]
    with ThreadPoolExecutor(at_once) as pool:
        running = {case: pool.submit(inside, path, *case.split(), seconds=seconds) for case in cases}
        yield lambda case: running[case].result()
        for left in running.values():
            left.cancel()


class Forked:
    """A module of Python that runs in a fork of this process, in a namespace; to be used as a `subprocess.Popen`."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], out: int, err: int) -> None:
        """`out` and `err`: files that it writes to."""
        importlib.import_module(module)  # here, so that the next one need not
        sys.stdout.flush()
        self.returncode: int | None = None
        self.pid = os.fork()
        if not self.pid:
            os._exit(_run_module(name, module, arguments, out, err))

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a module of Python", timeout)
            time.sleep(0.02)
        return code

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


Program = subprocess.Popen[bytes] | Forked
_CLONE_NEWNET = 0x40000000


def _run_module(name: str, module: str, arguments: Sequence[str], out: int, err: int) -> int:
    """In a fork: run a module to its end, and give its exit status."""
    os.dup2(out, 1)
    os.dup2(err, 2)
    namespace = os.open(f"/run/netns/{name}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
        return 99
    sys.argv = [module, *arguments]
    del sys.modules[module]  # or runpy warns that it is there already
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  (it is told where programs tell it, and nothing of it may go on in the fork)
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
    return 0


def _is_module(arguments: Sequence[str]) -> bool:
    return tuple(arguments[:2]) == (sys.executable, "-m")


class Lab:
    """Namespaces, the wires between them, and the programs in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """For files of the scenario; gone at the end."""
        self._programs: list[Program] = []

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
        if _is_module(arguments):
            return self._run_module(name, arguments, seconds)
        return _run(*self.command(name, *arguments), seconds=seconds)

    def _run_module(self, name: str, arguments: Sequence[str], seconds: float) -> str:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            program = Forked(name, arguments[2], arguments[3:], out.fileno(), err.fileno())
            self._programs.append(program)
            code = program.wait(seconds)
            out.seek(0)
            err.seek(0)
            output = out.read().decode()
            assert code == 0, f"`{' '.join(arguments)}` failed ({code}): {output}{err.read().decode()}"
        return output

    def start(self, name: str, *arguments: str, log: str) -> Program:
        """Start a program in a namespace, whose output goes to a file of the scenario's folder."""
        program: Program
        with (self.folder / log).open("ab") as out:
            if _is_module(arguments):
                program = Forked(name, arguments[2], arguments[3:], out.fileno(), out.fileno())
                self._programs.append(program)
                return program
            program = subprocess.Popen(self.command(name, *arguments), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self._programs.append(program)
        return program

    def log(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8", "replace")

    def told(self, name: str) -> list[dict[str, Any]]:
        """The objects of JSON that a program has written to its log, each in a line; the last one may not be whole yet."""
        return [json.loads(line) for line in self.log(name).splitlines() if line.startswith("{") and line.endswith("}")]

    def stop(self, program: Program, *, kill: bool = False) -> None:
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


def until(what: str, true: Callable[[], object], *, seconds: float = 20) -> object:
    """Ask again and again until something is true, and return that; AssertionError if it never is."""
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
    for needed in getattr(module, "PRELOADED", ()):
        importlib.import_module(needed)
    with _opened() as lab:
        getattr(module, scenario)(lab, *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
