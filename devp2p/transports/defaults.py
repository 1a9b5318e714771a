"""What a node has, and how its addresses may be written, when nobody says otherwise."""

from typing import Final

from devp2p.addresses import Address
from devp2p.transports.links import Transport
from devp2p.transports.tcp import TcpTransport
from devp2p.transports.unix import UnixTransport

DEFAULT_LISTEN: Final = Address("tcp", "*", 30303)
"""Where a node listens that others are to find."""


def default_transports() -> tuple[Transport, ...]:
    """The transports of a node that is given none: TCP and Unix sockets."""
    return TcpTransport(), UnixTransport()


def read_address(text: str) -> Address:
    """Read an address as people write it: without a scheme it is a TCP one. ValueError as `Address.parse`."""
    return Address.parse(text if "://" in text else f"{DEFAULT_LISTEN.scheme}://{text}")
