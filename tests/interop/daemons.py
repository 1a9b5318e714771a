"""Programs of Debian's that listen at a port, each as a process of its own."""

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop import debian


def need(*names: str) -> None:
    """Install what is missing of `debian.PROGRAMS`; if that is impossible, the test fails and says what to do."""
    for name in names:
        try:
            debian.install(name)
        except debian.InstallError as error:
            pytest.fail(str(error))


def program(name: str) -> str:
    path = debian.PROGRAMS[name].path()
    assert path is not None, f"no {name}: python tests/interop/debian.py {name}"
    return path


def free_port(host: str) -> int:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def listening(command: Sequence[str], host: str, port: int, log: Path) -> Iterator[None]:
    """Run it for the length of the block, which begins when it listens; what it says is in `log`."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        for _ in range(500):
            assert process.poll() is None, log.read_text("utf-8", "replace")
            try:
                socket.create_connection((host, port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.02)
        else:
            raise AssertionError(f"{command[0]} does not listen: {log.read_text('utf-8', 'replace')}")
        yield
    finally:
        process.terminate()
        process.wait()
