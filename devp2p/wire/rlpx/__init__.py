"""RLPx: the handshake (EIP-8), and frames."""

from devp2p.wire.rlpx import ecies
from devp2p.wire.rlpx.frames import FrameOpener, FrameSealer, frame_size
from devp2p.wire.rlpx.handshake import MAX_PACKET, Entropy, Initiator, Recipient, Secrets, missing_of_auth
from devp2p.wire.rlpx.replays import SeenAuths

__all__ = [
    "MAX_PACKET",
    "Entropy",
    "FrameOpener",
    "FrameSealer",
    "Initiator",
    "Recipient",
    "Secrets",
    "SeenAuths",
    "ecies",
    "frame_size",
    "missing_of_auth",
]
