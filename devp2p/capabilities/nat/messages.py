"""The messages of nat/1 (docs/spec/nat1.md, "Messages")."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Final, TypeAlias

from devp2p import Request, Response
from devp2p.rlp import U8, U16, U32, U64, Bytes32, MaxItems, MaxLength

MOST_ADDRESSES: Final = 8
MOST_ADDRESS: Final = 256
"""Bytes of an address."""
LEAST_DATA, MOST_DATA = 30_000, 100_000
"""How many bytes a server asks for before it calls an address that is not the one from which it was asked."""
PIECE: Final = 4096
"""Bytes of one `Data`."""


class Status(IntEnum):
    """What came of a call."""

    OK = 0
    """The node answered, and has seen the key of the call."""
    UNREACHABLE = 1
    """Nobody answers there."""
    FAILED = 2
    """Somebody does, who is not the node, or has hung up."""
    REFUSED = 3
    """The server calls nobody now."""
    NO_ADDRESS = 4
    """None of the addresses is one that the server would call."""


@dataclass(frozen=True)
class Observed:
    """From where the session of the receiver comes, as its peer sees it (0x00)."""

    ip: Annotated[bytes, MaxLength(16)]
    port: U16


@dataclass(frozen=True)
class DialMe(Request["DialResult"]):
    """Call one of these addresses, by the key that is the nonce (0x01)."""

    nonce: Bytes32
    addresses: Annotated[tuple[Annotated[str, MaxLength(MOST_ADDRESS)], ...], MaxItems(MOST_ADDRESSES)]


@dataclass(frozen=True)
class NeedData:
    """Before the address with this number is called, send so many bytes: it is not where you are (0x02)."""

    number: U64
    """The id of the request."""
    index: U8
    size: U32


@dataclass(frozen=True)
class Data:
    """A piece of them (0x03)."""

    number: U64
    data: Annotated[bytes, MaxLength(PIECE)]


@dataclass(frozen=True)
class DialResult(Response):
    """Which address was called, and what came of it (0x04)."""

    index: U8
    status: U8


NatMessage: TypeAlias = Observed | DialMe | NeedData | Data | DialResult
