"""The packets of Node Discovery Protocol v4, with EIP-8's tolerance and EIP-868's record numbers (discv4.md, "Wire Protocol").

    packet    = hash || signature || type || data                   98 to 1280 bytes, one UDP datagram
    hash      = keccak256(signature || type || data)                32 bytes
    signature = sign(keccak256(type || data))                       65 bytes r || s || v

`encode` and `decode` are for whole datagrams. What a stranger sends is judged in the order of what that costs: size, hash, layout, and only
then the signature, which costs more than all the rest. Elements behind the known ones and bytes behind the list are ignored, and so is the
version in a Ping. Whether a packet has expired is a question for `is_expired`, and whether to act on it one for the protocol.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from devp2p import rlp
from devp2p.addresses import IpAddress, pack_ip, require_ip_size, unpack_ip
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import PrivateKey, PublicKey, keccak256, recover

if TYPE_CHECKING:
    from typing_extensions import Buffer

VERSION: Final = 4
MAX_PACKET: Final = 1280
"""The largest packet, in bytes."""
MAX_NEIGHBORS: Final = 12
"""How many `Neighbor` a packet holds whatever their addresses are."""
_HASH: Final = 32
_TYPE: Final = _HASH + 65
MIN_PACKET: Final = _TYPE + 1
"""Below this many bytes there is no place for a packet's type."""


@dataclass(frozen=True)
class Endpoint:
    """Where a node can be reached, as one side sees it."""

    ip: bytes
    """4 or 16 bytes; empty if the sender does not know."""
    udp: rlp.U16
    tcp: rlp.U16

    def __post_init__(self) -> None:
        """Refuse what is no address."""
        require_ip_size(self.ip)

    @classmethod
    def of(cls, address: IpAddress | str | None, udp: int, tcp: int = 0) -> "Endpoint":
        """Make an endpoint of an address or its text; ValueError if it is none."""
        return cls(pack_ip(address), udp, tcp)

    @property
    def address(self) -> IpAddress | None:
        """The address, if there is one; IPv4 where it is mapped into IPv6."""
        return unpack_ip(self.ip)


@dataclass(frozen=True)
class Neighbor:
    """A node that another one tells of."""

    ip: bytes
    """4 or 16 bytes; empty if the sender does not know."""
    udp: rlp.U16
    tcp: rlp.U16
    public_key: rlp.Bytes64
    """Not checked to be a point of the curve: `PublicKey.from_bytes` does."""

    def __post_init__(self) -> None:
        """Refuse what is no address."""
        require_ip_size(self.ip)

    @classmethod
    def of(cls, public_key: PublicKey, address: IpAddress | str, udp: int, tcp: int) -> "Neighbor":
        """Make a neighbour of an address or its text; ValueError if it is none."""
        return cls(pack_ip(address), udp, tcp, bytes(public_key))

    @property
    def address(self) -> IpAddress | None:
        """The address, if there is one; IPv4 where it is mapped into IPv6."""
        return unpack_ip(self.ip)


@dataclass(frozen=True)
class Ping:
    """Asks whether a node is there, and says where the sender is."""

    version: int = field(default=VERSION, kw_only=True)
    """Whatever it is: a mismatch must be ignored."""
    sender: Endpoint
    """Hardly ever true behind NAT: the datagram's own address counts, and only `Endpoint.tcp` of this one is of use."""
    recipient: Endpoint
    expiration: rlp.U64
    """Absolute, in seconds since 1970."""
    enr_sequence: rlp.U64 | None = None
    """Of the sender's record (EIP-868)."""


@dataclass(frozen=True)
class Pong:
    """Answers a Ping, which proves that the sender gets what is sent to its address."""

    recipient: Endpoint
    """Where the Ping came from: how a node behind NAT learns its own address."""
    ping_hash: rlp.Bytes32
    expiration: rlp.U64
    enr_sequence: rlp.U64 | None = None
    """Of the sender's record (EIP-868)."""


@dataclass(frozen=True)
class FindNode:
    """Asks for the nodes closest to a target."""

    target: rlp.Bytes64
    """In the form of a public key, though it need not be one; what counts is its hash."""
    expiration: rlp.U64


@dataclass(frozen=True)
class Neighbors:
    """Answers a FindNode; 16 nodes take two packets."""

    nodes: tuple[Neighbor, ...]
    expiration: rlp.U64


@dataclass(frozen=True)
class ENRRequest:
    """Asks for the recipient's record (EIP-868)."""

    expiration: rlp.U64


@dataclass(frozen=True)
class ENRResponse:
    """Answers an ENRRequest."""

    request_hash: rlp.Bytes32
    record: rlp.Raw
    """For `Record.decode`, which verifies it; its key must be the one that signed the packet."""


Packet: TypeAlias = Ping | Pong | FindNode | Neighbors | ENRRequest | ENRResponse
PACKETS: Final[dict[int, type[Packet]]] = {0x01: Ping, 0x02: Pong, 0x03: FindNode, 0x04: Neighbors, 0x05: ENRRequest, 0x06: ENRResponse}
"""The packets by their type on the wire."""
_CODECS: Final = {kind: rlp.codec(cls) for kind, cls in PACKETS.items()}
_KINDS: Final[dict[type, int]] = {cls: kind for kind, cls in PACKETS.items()}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A packet, who has signed it, and the hash that an answer refers to."""

    packet: Packet
    public_key: PublicKey
    hash: bytes


def encode(packet: Packet, key: PrivateKey, *, size: int = 0) -> tuple[bytes, bytes]:
    """Sign a packet: the datagram, and its 32-byte hash. LocalProtocolError if it is too large or cannot be encoded.

    A datagram of less than `size` bytes is filled up with zeros, which every recipient ignores (EIP-8).
    """
    kind = _KINDS.get(type(packet))
    if kind is None:
        raise LocalProtocolError(f"{type(packet).__name__} is no packet of discovery v4")
    body = (bytes([kind]) + _CODECS[kind].encode(packet)).ljust(size - _TYPE, b"\0")
    signed = key.sign(keccak256(body)) + body
    if _HASH + len(signed) > MAX_PACKET:
        raise LocalProtocolError(f"a {type(packet).__name__} of {_HASH + len(signed)} bytes, where {MAX_PACKET} are allowed")
    packet_hash = keccak256(signed)
    return packet_hash + signed, packet_hash


def decode(data: "Buffer") -> Decoded:
    """Read a datagram and recover who has signed it; DecodingError for anything that is not a packet."""
    data = bytes(data)
    packet_hash = check_hash(data)
    codec = _CODECS.get(data[_TYPE])
    if codec is None:
        raise DecodingError(f"the unknown packet type {data[_TYPE]:#04x}")
    packet = codec.decode(rlp.split_item(data, MIN_PACKET)[0])
    public_key = recover(keccak256(data[_TYPE:]), data[_HASH:_TYPE])
    return Decoded(packet, public_key, packet_hash)


def check_hash(data: bytes) -> bytes:
    """Check a datagram's size and hash, and return the hash; DecodingError if it is not of this protocol.

    `decode` does this first. On its own it is for whoever wants to recognise replays, or what else uses the port, before paying for more.
    """
    if not MIN_PACKET <= len(data) <= MAX_PACKET:
        raise DecodingError(f"a packet of {len(data)} bytes, where {MIN_PACKET} to {MAX_PACKET} are allowed")
    packet_hash = data[:_HASH]
    if packet_hash != keccak256(data[_HASH:]):
        raise DecodingError("the packet's hash is wrong")
    return packet_hash


def is_expired(packet: Packet, now: float) -> bool:
    """Tell whether a packet is too old to act on; ``now`` in seconds since 1970. An ENRResponse is tied to its request instead.

    A number of 2**63 or more is a time before 1970: go-ethereum reads it as signed, and so its conformance tests send such.
    """
    return not isinstance(packet, ENRResponse) and not now <= packet.expiration < 2**63
