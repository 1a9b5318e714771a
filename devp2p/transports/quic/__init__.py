"""QUIC: one native stream for each capability, over UDP, with both sides proved by certificates."""

from devp2p.transports.quic.conduit import QuicLink
from devp2p.transports.quic.incoming import QuicIncoming
from devp2p.transports.quic.streams import QuicStream
from devp2p.transports.quic.transport import QuicListener, QuicTransport

__all__ = ["QuicIncoming", "QuicLink", "QuicListener", "QuicStream", "QuicTransport"]
