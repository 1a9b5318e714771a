"""What auth and ack hold (RLPx, "Initial Handshake"; EIP-8): the list inside each packet, and how much room it has for extensions."""

from dataclasses import dataclass
from typing import Final

from devp2p import rlp
from devp2p.wire.rlpx import ecies

MAX_PACKET: Final = 2048
"""The largest auth or ack, not counting its size prefix; the figure that other implementations have, too."""
VERSION: Final = b"\x04"
"""What both lists give as their version, as its encoding."""


@dataclass(frozen=True, repr=False)
class Auth:
    """The list in an auth, whose values must be of these sizes. Its text form shows none of them: the nonce is a secret of two nodes."""

    signature: rlp.Bytes65
    """By the initiator's ephemeral key, which the recipient finds from it."""
    public_key: rlp.Bytes64
    """The initiator's static key."""
    nonce: rlp.Bytes32
    version: rlp.Raw
    """Whatever it is: a mismatch must be ignored."""
    elements: rlp.Rest = ()
    """What follows the specified values, each as its RLP encoding: there extensions ride."""


@dataclass(frozen=True, repr=False)
class Ack:
    """The list in an ack."""

    ephemeral_key: rlp.Bytes64
    """The recipient's."""
    nonce: rlp.Bytes32
    version: rlp.Raw
    elements: rlp.Rest = ()


AUTH: Final = rlp.codec(Auth)
ACK: Final = rlp.codec(Ack)
MIN_AUTH: Final = ecies.OVERHEAD + len(AUTH.encode(Auth(bytes(65), bytes(64), bytes(32), VERSION)))
MIN_ACK: Final = ecies.OVERHEAD + len(ACK.encode(Ack(bytes(64), bytes(32), VERSION)))
AUTH_ROOM: Final = MAX_PACKET - MIN_AUTH - 1  # a long list's head has one more byte
"""How many bytes the elements of an auth may have together."""
ACK_ROOM: Final = MAX_PACKET - MIN_ACK - 1
"""The same for an ack."""
