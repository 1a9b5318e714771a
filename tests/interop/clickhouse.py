"""A ClickHouse server for tests: ClickHouse's own engine, of the package chdb, behind as much of its HTTP interface as its drivers use.

It runs in a process of its own on a loopback address, and breaks what it is told to break. Where the environment variable
DEVP2P_CRAWL_CLICKHOUSE names a server by its URL, tests that need no faults use that one instead.
"""

import base64
import contextlib
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

ROOT = Path(__file__).parents[2]
USER, PASSWORD = "crawler", "secret-word@:/"
FAULTS = ("cut before", "cut after", "error", "slow", "none")
_INSERT = re.compile(rb"\s*(INSERT INTO .*?)FORMAT\s+(\w+)\s", re.IGNORECASE | re.DOTALL)
_FORMAT = re.compile(r"FORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_OURS = {"query", "database", "query_id", "session_id", "compress", "decompress", "client_protocol_version", "wait_end_of_query"}


class Engine:
    """The engine, for one at a time."""

    def __init__(self, folder: str) -> None:
        self._session = import_module("chdb.session").Session(folder)
        self._folder = Path(folder)
        self._turn = threading.Lock()
        self._files = count()

    def run(self, statement: bytes, database: str, settings: dict[str, str]) -> tuple[bytes, str]:
        """What a statement gives, and in which format; RuntimeError with ClickHouse's text."""
        with self._turn:
            if database:
                self._session.query(f"USE `{database}`")
            for name, value in settings.items():
                with contextlib.suppress(Exception):  # of transport, which mean nothing to the engine
                    self._session.query(f"SET {name} = '{value}'")
            insert = _INSERT.match(statement)
            if insert is not None:
                return self._insert(insert[1].decode(), insert[2].decode(), statement[insert.end() :]), "TabSeparated"
            text = statement.decode()
            found = _FORMAT.search(text)
            form = found[1] if found else "TabSeparated"
            return self._session.query(_FORMAT.sub("", text), form).bytes(), form

    def _insert(self, head: str, form: str, data: bytes) -> bytes:
        if not data:
            return b""
        path = self._folder.with_name(f"{self._folder.name}.insert-{next(self._files)}")
        path.write_bytes(data)
        try:
            return bytes(self._session.query(f"{head} FROM INFILE '{path}' FORMAT {form}", "TabSeparated").bytes())
        finally:
            path.unlink()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    engine: Engine
    faults: list[str]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        data = self._read()
        if self.path == "/faults":
            self.faults[:] = json.loads(data)
            self._send(200, b"", {})
        else:
            self._answer(data)

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, data: bytes) -> None:
        parts = urlsplit(self.path)
        values = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.path == "/ping":
            self._send(200, b"Ok.\n", {})
            return
        if self.headers.get("Authorization") != f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}":
            self._fail("Code: 516. DB::Exception: crawler: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)", 403)
            return
        data = decoded(data, self.headers.get("Content-Encoding", ""))
        statement = b"\n".join(part for part in (values.get("query", "").encode(), data) if part)
        fault = self.faults.pop(0) if self.faults and _INSERT.match(statement) else "none"
        if fault == "slow":
            time.sleep(1)
        if fault == "cut before":
            self.close_connection = True
            return
        if fault == "error":
            self._fail("Code: 241. DB::Exception: Memory limit (total) exceeded. (MEMORY_LIMIT_EXCEEDED)", 500)
            return
        settings = {name: value for name, value in values.items() if name not in _OURS and not name.startswith("param_")}
        try:
            found, form = self.engine.run(statement, values.get("database", ""), settings)
        except Exception as error:  # noqa: BLE001  (the engine's own, of many kinds)
            self._fail(str(error), 500)
            return
        if fault == "cut after":
            self.close_connection = True
            return
        headers = {"X-ClickHouse-Format": form, "X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Query-Id": values.get("query_id", "q")}
        accepts = [one.strip() for one in self.headers.get("Accept-Encoding", "").split(",")]
        if values.get("enable_http_compression") == "1" and found:
            name = next((one for one in accepts if one in {"lz4", "zstd", "gzip"}), "")
            if name:
                headers["Content-Encoding"] = name
                found = encoded(found, name)
        self._send(200, found, headers)

    def _fail(self, text: str, status: int) -> None:
        code = re.match(r"Code: (\d+)", text)
        self._send(status, text.encode() + b"\n", {"X-ClickHouse-Exception-Code": code[1] if code else "1"})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data)), "X-ClickHouse-Summary": "{}"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def codec(encoding: str) -> Any:
    """What compresses and decompresses."""
    return gzip if encoding == "gzip" else import_module({"lz4": "lz4.frame", "zstd": "backports.zstd"}[encoding])


def decoded(data: bytes, encoding: str) -> bytes:
    return bytes(codec(encoding).decompress(data)) if encoding else data


def encoded(data: bytes, encoding: str) -> bytes:
    return bytes(codec(encoding).compress(data))


def main() -> None:
    """Serve until standard input ends; the port is said on standard output."""
    with tempfile.TemporaryDirectory(prefix="clickhouse-") as folder:
        Handler.engine, Handler.faults = Engine(folder), []
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        sys.stdin.read()
    os._exit(0)  # the engine has threads of its own


def client(url: str) -> Any:
    """A client of the driver, for what tests ask by themselves."""
    import clickhouse_connect  # noqa: PLC0415

    parts = urlsplit(url)
    return clickhouse_connect.get_client(
        interface="https" if parts.scheme == "clickhouses" else "http",
        host=parts.hostname or "",
        port=parts.port or 8123,
        username=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=parts.path.strip("/"),
        autogenerate_session_id=False,
    )


class Server:
    """A server as tests see it."""

    def __init__(self, url: str, port: int | None) -> None:
        self._url, self._port = url, port
        self._databases = count(1)

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{os.getpid()}_{next(self._databases)}"
        maker = client(self._url)
        maker.command(f"CREATE DATABASE {name}")
        maker.close()
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    def breaks(self, *faults: str) -> None:
        """What goes wrong with each of the next inserts, of FAULTS."""
        assert set(faults) <= set(FAULTS)
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/faults", json.dumps(faults).encode(), method="POST")
        urllib.request.urlopen(request).close()  # noqa: S310


@contextmanager
def running(*, real: bool = True) -> Iterator[Server]:
    """A server: a real one if there is one and it will do, else one of ours."""
    named = os.environ.get("DEVP2P_CRAWL_CLICKHOUSE")
    if named and real:
        yield Server(named, None)
        return
    line: list[Any] = [sys.executable, "-m", "tests.interop.clickhouse"]
    process = subprocess.Popen(line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Server(f"clickhouse://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/default", port)
    finally:
        process.communicate(timeout=60)


if __name__ == "__main__":
    main()
