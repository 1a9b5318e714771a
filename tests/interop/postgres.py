"""A real PostgreSQL server for tests, of Debian's packages: on a socket in a folder of its own, with nothing but what a test puts there."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.interop.debian import PROGRAMS

_DATABASES = count(1)
_SETTINGS = ("fsync=off", "listen_addresses=", "max_connections=40", "shared_buffers=32MB", "log_min_messages=fatal", "timezone=Etc/UTC")


class Server:
    """A server that can be stopped and started again."""

    def __init__(self, folder: Path, user: str | None) -> None:
        path = PROGRAMS["postgresql"].path()
        assert path is not None, "no PostgreSQL: python tests/interop/debian.py postgresql"
        self._programs = Path(path).parent
        self._folder = folder
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "--pgdata", str(folder / "data"), "--auth", "trust", "--username", "crawler", "--encoding", "UTF8", "--no-sync")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(command, cwd=self._folder, user=self._user, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        settings = [part for setting in (*_SETTINGS, f"unix_socket_directories={self._folder}") for part in ("-c", setting)]
        command = [str(self._programs / "postgres"), "-D", str(self._folder / "data"), *settings]
        self._process = subprocess.Popen(
            command, cwd=self._folder, user=self._user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self._wait_ready()

    def _wait_ready(self) -> None:
        ready = [str(self._programs / "pg_isready"), "--host", str(self._folder), "--timeout", "1", "--quiet"]
        while subprocess.run(ready, check=False).returncode != 0:
            assert self._process is not None
            assert self._process.poll() is None, "PostgreSQL has ended"

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """By default a fast shutdown; SIGQUIT is a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait()

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test{next(_DATABASES)}"
        self._run("createdb", "--host", str(self._folder), "--username", "crawler", name)
        return f"postgresql://crawler:secret-word@/{name}?host={self._folder}"


@contextmanager
def running() -> Iterator[Server]:
    """A new server. It does not run as root, which PostgreSQL refuses."""
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a path of a socket must be short
    try:
        if user is not None:
            shutil.chown(folder, user)
        server = Server(folder, user)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
