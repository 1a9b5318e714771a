"""Many idle peers in one process: dials a node over and over, each time with a new key, and keeps the sessions alive.

It works without nodes, so that it weighs little and serves either side's server. After each hundred sessions it says how many there
are and waits for a line on stdin.
"""

import resource
import sys
from typing import Any

import trio

from devp2p import PrivateKey
from devp2p.session import CHUNK
from devp2p.wire import Connection, PingReceived, base
from tools.bench.endpoints import bare
from tools.bench.endpoints.basics import Options, emit

STEP = 100


def raise_file_limit() -> None:
    """Allow as many open files as the system lets us."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def dial(options: Options) -> dict[str, Any]:
    """``idle-dial``: open ``--size`` sessions and keep them until killed."""
    async with trio.open_nursery() as nursery:
        for number in range(1, options.size + 1):
            stream = await bare.dial(options.record)
            connection = await bare.connect(stream, PrivateKey.generate(), options)
            nursery.start_soon(_keep, stream, connection)
            if number % STEP == 0:
                emit({"sessions": number})
                await trio.to_thread.run_sync(sys.stdin.readline)
        await trio.sleep_forever()


async def _keep(stream: trio.SocketStream, connection: Connection) -> None:
    while data := await stream.receive_some(CHUNK):
        connection.receive_data(data)
        while (event := connection.next_event()) is not None:
            if isinstance(event, PingReceived):
                await stream.send_all(b"".join(connection.seal(base.PONG, base.EMPTY_LIST)))
    raise SystemExit("the server closed an idle session")
