"""The base protocol, "p2p": Hello, Disconnect, Ping and Pong (RLPx, section '"p2p" Capability').

Hello travels uncompressed; what follows it is compressed where both sides speak version 5 (EIP-706). Decoding is lenient where the
specification or the field asks for it: additional elements of a Hello are ignored, capabilities with impossible names are dropped, and
every form of Disconnect that peers are known to send is understood.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from devp2p import rlp
from devp2p.errors import DecodingError, DisconnectReason, LocalProtocolError, RemoteProtocolError
from devp2p.keys import PublicKey
from devp2p.wire import compression

HELLO, DISCONNECT, PING, PONG = 0x00, 0x01, 0x02, 0x03
"""Message ids of the base protocol."""
LAST = 0x0F
"""Says that it is the last message on this line, since its sender goes on over another one that the two have opened (`session`, "move").

It carries a number, as a list of one: a line of several streams marks them all with the same. 0 takes back what was marked before.

One of the ids that are reserved; between two nodes that have agreed on it by a capability of theirs, and never sent to any other.
"""
BASE_LENGTH = 0x10
"""Ids below it belong to the base protocol; capabilities begin here."""
BASE_MESSAGE_SIZE = 2048
"""The largest message of the base protocol, in bytes, compressed or not."""
PROTOCOL_VERSION = 5
"""The version of the base protocol that we speak."""
SNAPPY_VERSION = 5
"""The first version with compression."""
EMPTY_LIST = b"\xc0"
"""What Ping and Pong carry."""

_MAX_NAME = 8
_MAX_CLIENT_ID = 256  # characters that are kept of a client's name
_MAX_OFFERS = 64


@dataclass(frozen=True, slots=True, order=True)
class CapabilityVersion:
    """One capability as a Hello lists it; prints as ``eth/69``."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True)
class Hello:
    """What a node says of itself when a session begins (RLPx, "Hello (0x00)").

    ``client_id`` is a stranger's text: pass it through `printable` before it reaches a terminal or a log.
    """

    client_id: str
    capabilities: tuple[CapabilityVersion, ...]
    public_key: PublicKey
    version: int = PROTOCOL_VERSION
    listen_port: int = 0


@dataclass(frozen=True)
class _WireCapability:
    name: bytes
    version: rlp.U256


@dataclass(frozen=True)
class _WireHello:
    version: rlp.U64
    client_id: bytes
    capabilities: Annotated[tuple[_WireCapability, ...], rlp.MaxItems(_MAX_OFFERS)]
    listen_port: rlp.U64
    public_key: bytes


_WIRE_HELLO = rlp.codec(_WireHello)


def is_capability_name(name: str) -> bool:
    """Whether `name` is a capability's name: 1 to 8 printable ASCII characters."""
    return 0 < len(name) <= _MAX_NAME and name.isascii() and name.isprintable() and " " not in name


def encode_hello(hello: Hello) -> bytes:
    """The data of a Hello message: an RLP list, uncompressed.

    LocalProtocolError if peers would refuse it: a name or number that cannot be, too many capabilities, too many bytes.
    """
    for offer in hello.capabilities:
        if not is_capability_name(offer.name):
            raise LocalProtocolError(f"a capability's name is 1 to {_MAX_NAME} ASCII characters without spaces, not {offer.name!r}")
    offers = tuple(_WireCapability(offer.name.encode("ascii"), offer.version) for offer in hello.capabilities)
    client_id = hello.client_id.encode("utf-8", "replace")
    data = _WIRE_HELLO.encode(_WireHello(hello.version, client_id, offers, hello.listen_port, bytes(hello.public_key)))
    if len(data) >= BASE_MESSAGE_SIZE:  # its id takes a byte too
        raise LocalProtocolError(f"a Hello of {len(data)} bytes, where {BASE_MESSAGE_SIZE - 1} are allowed; the client's name is too long")
    return data


def decode_hello(data: bytes | memoryview) -> Hello:
    """Read a Hello's data; `DecodingError` if malformed, INVALID_IDENTITY if its key is no public key."""
    wire = _WIRE_HELLO.decode(data)
    try:
        if len(wire.public_key) != 64:  # other places allow other formats
            raise DecodingError(f"it has {len(wire.public_key)} bytes, not 64")
        public_key = PublicKey.from_bytes(wire.public_key)
    except DecodingError as error:
        raise RemoteProtocolError(f"Hello names no public key: {error}", reason=DisconnectReason.INVALID_IDENTITY) from None
    offers = ((item.name.decode("ascii", "replace"), item.version) for item in wire.capabilities)
    capabilities = tuple(CapabilityVersion(name, version) for name, version in offers if is_capability_name(name) and version < 2**64)
    client_id = wire.client_id[: 4 * _MAX_CLIENT_ID].decode("utf-8", "replace")[:_MAX_CLIENT_ID]
    return Hello(client_id, capabilities, public_key, wire.version, wire.listen_port)


def printable(text: str) -> str:
    """A stranger's text made safe for terminals and logs: control, format and direction characters become escapes."""
    return "".join(character if character.isprintable() else character.encode("unicode_escape").decode("ascii") for character in text)


def encode_disconnect(reason: int) -> bytes:
    """The data of a Disconnect message, uncompressed."""
    return rlp.encode([reason])


def decode_disconnect(data: bytes | memoryview, *, compressed: bool) -> int:
    """The reason in a Disconnect's data, whatever form it has; an absent or unreadable one counts as REQUESTED.

    Peers send a list with the reason, an empty list, the bare number or nothing at all, and some send it uncompressed even after
    Hello (Nethermind's "too many peers"). Never raises: a peer that says goodbye badly still says goodbye.
    """
    forms = [data]
    if compressed:
        with suppress(DecodingError):
            forms.insert(0, compression.decompress(data, BASE_MESSAGE_SIZE))
    for form in forms:
        try:
            return _read_reason(form)
        except DecodingError:
            continue
    return DisconnectReason.REQUESTED


def encode_last(number: int) -> bytes:
    """The data of a LAST message, uncompressed."""
    return rlp.encode([number])


def decode_last(data: bytes | memoryview, *, compressed: bool) -> int:
    """The number in a LAST's data; 0 for anything else, since to most nodes the id has no meaning and may have any."""
    try:
        return rlp.first_uint(compression.decompress(data, BASE_MESSAGE_SIZE) if compressed else data)
    except DecodingError:
        return 0


def _read_reason(data: bytes | memoryview) -> int:
    if not data:
        return DisconnectReason.REQUESTED
    item = rlp.decode(data)
    while isinstance(item, tuple):
        if not item:
            return DisconnectReason.REQUESTED
        item = item[0]
    if len(item) > 1:
        raise DecodingError(f"a disconnect reason is one byte, not {len(item)}")
    return item[0] if item else DisconnectReason.REQUESTED
