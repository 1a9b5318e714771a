"""The wire formats of devp2p as pure state: bytes in, values and bytes out (sans-IO).

Nothing here reads a socket, a clock or a source of randomness; times and random bytes are arguments.
"""

from devp2p.wire import base, compression, connection
from devp2p.wire.base import BASE_LENGTH, CapabilityVersion, Hello, printable
from devp2p.wire.connection import Connection, HelloReceived, MessageReceived, PingReceived
from devp2p.wire.messages import CapabilitySpec, MessageSpace
from devp2p.wire.schedule import Lane, Outgoing, Schedule

__all__ = [
    "BASE_LENGTH",
    "CapabilitySpec",
    "CapabilityVersion",
    "Connection",
    "Hello",
    "HelloReceived",
    "Lane",
    "MessageReceived",
    "MessageSpace",
    "Outgoing",
    "PingReceived",
    "Schedule",
    "base",
    "compression",
    "connection",
    "printable",
]
