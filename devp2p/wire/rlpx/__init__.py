"""RLPx: the handshake (EIP-8) with its extensions, what is agreed in it, and frames."""

from devp2p.wire.rlpx import ecies
from devp2p.wire.rlpx.agreement import Agreement, Secrets, secrets
from devp2p.wire.rlpx.extension import Combined, Contained, Extension
from devp2p.wire.rlpx.frames import FrameOpener, FrameSealer, rlpx_framing
from devp2p.wire.rlpx.handshake import Entropy, Handshake, Initiator, Padding, Recipient, missing_of_auth
from devp2p.wire.rlpx.packets import ACK_ROOM, AUTH_ROOM, MAX_PACKET, MIN_AUTH, Ack, Auth
from devp2p.wire.rlpx.replays import SeenAuths

__all__ = [
    "ACK_ROOM",
    "AUTH_ROOM",
    "MAX_PACKET",
    "MIN_AUTH",
    "Ack",
    "Agreement",
    "Auth",
    "Combined",
    "Contained",
    "Entropy",
    "Extension",
    "FrameOpener",
    "FrameSealer",
    "Handshake",
    "Initiator",
    "Padding",
    "Recipient",
    "Secrets",
    "SeenAuths",
    "ecies",
    "missing_of_auth",
    "rlpx_framing",
    "secrets",
]
