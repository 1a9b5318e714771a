"""``devp2p-crawl serve``: the report and a JSON API on a file of crawls, live, by HTTP."""

import argparse
import sqlite3
import time
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import trio

from devp2p import Address
from devp2p.terminal import Exit, Failure, explain, host_name, listen_address, seconds, told_to_end, write_text
from devp2p_crawler.cli.geo import add_geo
from devp2p_crawler.figures import Findings, gather
from devp2p_crawler.places import Places, PlacesError, open_places
from devp2p_crawler.stores import SinkError, SqliteStore

SUMMARY = "serve the report and a read-only JSON API by HTTP"
DESCRIPTION = """\
Serve a file of crawls by HTTP until interrupted: the report at /, a JSON API
below /api/, its description at /openapi.json, and figures for Prometheus at
/metrics. It only reads, and a crawl may go on writing meanwhile.

It listens on this machine alone, unless told otherwise, and answers requests
for its IP address, for localhost, and for the names that --name tells it.
Anyone who can reach it can read the file: put a proxy with a password before
it where that is not wanted.
"""
EPILOG = """\
It needs pip install 'devp2p-crawler[serve]'.

examples:
  devp2p-crawl serve --db crawl.db
  devp2p-crawl serve --db crawl.db --listen 0.0.0.0:8080 --name map.example
  curl 'http://127.0.0.1:8030/api/nodes?client=geth&alive=true&limit=10'

exit codes:
  0  it was interrupted
  1  the file cannot be read, or the address not be listened at
  2  wrong arguments, or what it needs is not installed
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--db", metavar="FILE", required=True, help="the file of crawls")
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        type=listen_address,
        default=Address("tcp", "127.0.0.1", 8030),
        help="where (default: 127.0.0.1:8030)",
    )
    parser.add_argument(
        "--name", metavar="NAME", type=host_name, action="append", default=[], help="a host name under which it may be asked for"
    )
    add_geo(parser)
    parser.add_argument("--fresh", metavar="SECONDS", type=seconds, default=15.0, help="how old the report may be (default: 15)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    try:
        import hypercorn.trio  # noqa: PLC0415  (other commands need not wait for these, nor have them)
        from hypercorn.config import Config  # noqa: PLC0415

        from devp2p_crawler.report import render  # noqa: PLC0415
        from devp2p_crawler.serving import Live, Reader, application  # noqa: PLC0415
    except ModuleNotFoundError as error:
        name = str(error.name).partition(".")[0]
        raise Failure(f"serve needs {name}, which is not installed: pip install 'devp2p-crawler[serve]'") from None
    try:
        SqliteStore.open_reading(arguments.db).close()
        with _places(arguments.geo):
            pass
    except (SinkError, PlacesError) as error:
        raise Failure(str(error), Exit.FAILED) from None
    serve_by_http = cast("Any", hypercorn.trio).serve  # its types and Starlette's say the same of an application in other words
    config = Config()
    host = "0.0.0.0" if arguments.listen.host == "*" else arguments.listen.host  # noqa: S104  (as the user asks)
    config.bind = [f"{f'[{host}]' if ':' in host else host}:{arguments.listen.port or 0}"]
    config.accesslog = config.errorlog = None
    config.loglevel = "WARNING"
    config.h11_max_incomplete_size = 16_384
    config.keep_alive_timeout = 15.0
    config.graceful_timeout = 1.0
    config.include_server_header = False

    def gathered(connection: sqlite3.Connection) -> Findings:
        with _places(arguments.geo) as places:
            return gather(connection, places)

    async def main() -> None:
        reader = Reader(arguments.db)
        live = Live(reader, lambda found: render(found, written=time.time_ns() // 1000), gather=gathered, fresh=arguments.fresh)
        app = application(reader, live, names=arguments.name)
        with told_to_end() as told:
            async with trio.open_nursery() as nursery:
                binds = await nursery.start(partial(serve_by_http, app, config, shutdown_trigger=told.wait))
                for bind in binds:
                    write_text(f"The report is at {bind}/, the API at {bind}/openapi.json. Interrupt ends it.")

    try:
        trio.run(main)
    except* OSError as group:
        cause = _first(group)
        raise Failure(f"cannot listen at {config.bind[0]}: {explain(cause)}", Exit.FAILED) from None
    return Exit.OK


def _places(paths: list[Path]) -> AbstractContextManager[Places | None]:
    return open_places(paths) if paths else nullcontext()


def _first(group: BaseExceptionGroup[OSError]) -> OSError:
    """The first error in a group."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
