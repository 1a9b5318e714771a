"""TCP connections as transports dial them: straight to an address, or by way of a proxy."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias, cast

import trio
from trio.abc import HalfCloseableStream

from devp2p.addresses import Address
from devp2p.transports.links import DIRECT
from devp2p.transports.sockets import address_in


@dataclass(frozen=True, slots=True)
class Connection:
    """A TCP connection that was dialled or accepted."""

    stream: HalfCloseableStream
    local: Address
    """Our end, with the scheme of the transport that it is for."""
    remote: Address
    """The peer's, as observed; behind a proxy the address that was asked for, since nobody sees another."""
    path: str = DIRECT
    """How it leads there: "direct", or by which proxy (see `LinkFacts.path`)."""


Connect: TypeAlias = Callable[[Address], Awaitable[Connection]]
"""Makes a TCP connection to the host and port of an address of any scheme. Raises OSError if nobody answers."""


async def connect_tcp(address: Address) -> Connection:
    """Connect, trying every IP address of a DNS name. Raises OSError if nobody answers."""
    try:
        stream = await trio.open_tcp_stream(address.host, address.port or 0)
    except OSError as error:
        raise _what_happened(error) from None
    try:
        return connection_of(stream, address.scheme)
    except OSError:
        await trio.aclose_forcefully(stream)
        raise


def connection_of(stream: trio.SocketStream, scheme: str, path: str = DIRECT) -> Connection:
    """What a connected socket says of its two ends; OSError if it is gone already."""
    local, remote = stream.socket.getsockname(), stream.socket.getpeername()
    return Connection(stream, address_in(scheme, local), address_in(scheme, remote), path)


def _what_happened(error: OSError) -> OSError:
    """The system's own error where trio says only that all attempts have failed; of several different ones, all in words."""
    cause: object = error.__cause__
    if not isinstance(cause, ExceptionGroup):
        return error
    attempts = cast("ExceptionGroup[OSError]", cause).exceptions
    numbers = {cast("OSError", attempt).errno or 0 for attempt in attempts}
    reasons = [OSError(number, os.strerror(number)) for number in sorted(numbers)]
    return reasons[0] if len(reasons) == 1 else OSError("; ".join(reason.strerror or "" for reason in reasons))
