"""The messages of Node Discovery Protocol v5.1: what the sealed part of a packet says (discv5-wire.md, "Protocol Messages").

    message = type (1 byte) || RLP list, the first element of which is the request's id (up to 8 bytes)

An answer repeats the id of its request. Elements behind the known ones are ignored.
"""

from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from devp2p import rlp
from devp2p.addresses import IpAddress, pack_ip, unpack_ip
from devp2p.errors import DecodingError, LocalProtocolError

RequestId: TypeAlias = Annotated[bytes, rlp.MaxLength(8)]
"""Chosen by whoever asks; any bytes, and leading zeros count."""
MAX_DISTANCE: Final = 256


@dataclass(frozen=True)
class Ping:
    """Asks whether a node is there."""

    request_id: RequestId
    enr_sequence: rlp.U64
    """Of the sender's record."""


@dataclass(frozen=True)
class Pong:
    """Answers a Ping."""

    request_id: RequestId
    enr_sequence: rlp.U64
    """Of the sender's record."""
    recipient_ip: bytes
    """4 or 16 bytes: where the Ping came from, which is how a node behind NAT learns its own address."""
    recipient_port: rlp.U16

    def __post_init__(self) -> None:
        """Refuse what is no address."""
        if len(self.recipient_ip) not in {4, 16}:
            raise ValueError(f"an IP address of {len(self.recipient_ip)} bytes")

    @classmethod
    def of(cls, request_id: bytes, enr_sequence: int, address: IpAddress | str, port: int) -> "Pong":
        """Make a Pong to an address or its text; ValueError if it is none."""
        return cls(request_id, enr_sequence, pack_ip(address), port)

    @property
    def recipient_address(self) -> IpAddress | None:
        """Where the Ping came from; IPv4 where it is mapped into IPv6."""
        return unpack_ip(self.recipient_ip)


@dataclass(frozen=True)
class FindNode:
    """Asks for the nodes at some logarithmic distances from the recipient, which is itself at distance 0."""

    request_id: RequestId
    distances: tuple[rlp.U16, ...]
    """0 to 256, in any order."""

    def __post_init__(self) -> None:
        """Refuse distances that do not exist."""
        if self.distances and max(self.distances) > MAX_DISTANCE:
            raise ValueError(f"the distance {max(self.distances)}, where {MAX_DISTANCE} is the greatest")


@dataclass(frozen=True)
class Nodes:
    """Answers a FindNode, in as many messages as it takes."""

    request_id: RequestId
    total: rlp.U64
    """How many messages answer this request."""
    records: tuple[rlp.Raw, ...]
    """For `Record.decode`, one by one: a bad record is not the fault of those beside it, and verifying a known one is a waste."""


@dataclass(frozen=True)
class TalkRequest:
    """Says something in another protocol."""

    request_id: RequestId
    protocol: bytes
    request: bytes


@dataclass(frozen=True)
class TalkResponse:
    """Answers a TalkRequest; empty if the protocol is unknown."""

    request_id: RequestId
    response: bytes


Message: TypeAlias = Ping | Pong | FindNode | Nodes | TalkRequest | TalkResponse
MESSAGES: Final[dict[int, type[Message]]] = {0x01: Ping, 0x02: Pong, 0x03: FindNode, 0x04: Nodes, 0x05: TalkRequest, 0x06: TalkResponse}
"""The messages by their type on the wire."""
_CODECS: Final = {kind: rlp.codec(cls) for kind, cls in MESSAGES.items()}
_KINDS: Final[dict[type, int]] = {cls: kind for kind, cls in MESSAGES.items()}


def encode_message(message: Message) -> bytes:
    """Encode a message, to be sealed; LocalProtocolError if it cannot be."""
    kind = _KINDS.get(type(message))
    if kind is None:
        raise LocalProtocolError(f"{type(message).__name__} is no message of discovery v5")
    return bytes([kind]) + _CODECS[kind].encode(message)


def decode_message(data: bytes) -> Message:
    """Read what a packet's message opened to; DecodingError for anything that is not a known message."""
    if not data:
        raise DecodingError("an empty message")
    codec = _CODECS.get(data[0])
    if codec is None:
        raise DecodingError(f"the unknown message type {data[0]:#04x}")
    return codec.decode(data, 1)
