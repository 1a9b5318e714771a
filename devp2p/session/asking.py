"""Messages of a session that does not run: for whoever asks a peer what it is, says something itself at most, and leaves.

No capability runs, no Ping is sent, and nothing is queued: one message comes, or goes, at a time.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import trio
from trio.abc import HalfCloseableStream

from devp2p.capability import MessageTable
from devp2p.errors import DisconnectReason, LocalProtocolError, PeerDisconnected, RemoteProtocolError
from devp2p.wire import Connection, DisconnectReceived, MessageReceived, PingReceived, base

_CHUNK = 16 * 1024
_MOST = 256 * 1024
"""Bytes that are read for one message: a peer that sends more before it wants more than a look."""
_MOST_PINGS = 32
"""Pings that are answered meanwhile."""


async def next_message(stream: HalfCloseableStream, connection: Connection, tables: Sequence[MessageTable]) -> Any:  # noqa: ANN401
    """Wait for the next message of a shared capability, and answer Pings meanwhile. See `Session.receive`."""
    received = pings = 0
    while True:
        while (event := connection.next_event()) is not None:
            match event:
                case MessageReceived():
                    return tables[event.capability].decode(event.code, event.decompress())
                case PingReceived():
                    pings += 1
                    if pings > _MOST_PINGS:
                        raise RemoteProtocolError("too many pings")
                    await _send_all(stream, connection.seal(base.PONG, base.EMPTY_LIST))
                case DisconnectReceived(reason):
                    raise PeerDisconnected(reason, by_remote=True)
                case _:
                    pass
        if received > _MOST:
            raise RemoteProtocolError(f"{received} bytes came, and no message of a capability among them")
        try:
            data = await stream.receive_some(_CHUNK)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if not data:
            raise PeerDisconnected(DisconnectReason.NETWORK_ERROR, by_remote=True, detail="the peer hung up")
        received += len(data)
        try:
            connection.receive_data(data)
        except RemoteProtocolError:
            if connection.farewell is None and not connection.has_messages:  # else what came before the fault counts
                raise


async def send_message(stream: HalfCloseableStream, connection: Connection, tables: Sequence[MessageTable], message: object) -> None:
    """Send a message of a shared capability. See `Session.send`."""
    for index, table in enumerate(tables):
        if table.has(message):
            code, _, data = table.encode(message)
            await _send_all(stream, connection.framing.seal(index, code, data))
            return
    shared = ", ".join(str(table.spec.offer) for table in tables) or "nothing"
    raise LocalProtocolError(f"{type(message).__name__} is no message of what is shared with the peer: {shared}")


async def _send_all(stream: HalfCloseableStream, pieces: Iterable[bytes]) -> None:
    try:
        for piece in pieces:
            await stream.send_all(piece)
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise PeerDisconnected(DisconnectReason.NETWORK_ERROR, by_remote=True, detail=str(error) or "the link broke") from None
