"""The wire formats of devp2p as pure state: bytes in, values and bytes out (sans-IO).

Nothing here reads a socket, a clock or a source of randomness; times and random bytes are arguments. `rlpx` is the handshake and the frames
of RLPx, `plain` frames for links that need no cipher; an `Opening` comes to a `Connection`, which runs over any `Framing`.
"""

from devp2p.wire import base, compression
from devp2p.wire.base import BASE_LENGTH, CapabilityVersion, Hello, printable
from devp2p.wire.connection import (
    Connection,
    DisconnectReceived,
    Event,
    HelloReceived,
    LastReceived,
    PingReceived,
    PongReceived,
    State,
)
from devp2p.wire.framing import ALWAYS_FITS, BaseReceived, FrameFraming, Framing, MessageReceived, Opener, Sealer
from devp2p.wire.messages import CapabilitySpec, Ids, MessageSpace
from devp2p.wire.opening import AnyHandshake, HandshakeCompleted, Opening
from devp2p.wire.plain import plain_framing
from devp2p.wire.schedule import Lane, Outgoing, Schedule

__all__ = [
    "ALWAYS_FITS",
    "BASE_LENGTH",
    "AnyHandshake",
    "BaseReceived",
    "CapabilitySpec",
    "CapabilityVersion",
    "Connection",
    "DisconnectReceived",
    "Event",
    "FrameFraming",
    "Framing",
    "HandshakeCompleted",
    "Hello",
    "HelloReceived",
    "Ids",
    "Lane",
    "LastReceived",
    "MessageReceived",
    "MessageSpace",
    "Opener",
    "Opening",
    "Outgoing",
    "PingReceived",
    "PongReceived",
    "Schedule",
    "Sealer",
    "State",
    "base",
    "compression",
    "plain_framing",
    "printable",
]
