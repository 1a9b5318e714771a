"""The messages of relay/1 (docs/spec/relay1.md, "Messages")."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Final, TypeAlias

from devp2p import Request, Response
from devp2p.rlp import U8, U32, U64, Bytes64, MaxItems, MaxLength

MOST_DATA: Final = 16 * 1024
"""Bytes of a circuit in one message."""
MOST_ADDRESSES: Final = 8
"""Of a relay, where it can be dialled."""
MOST_ADDRESS: Final = 512
"""Bytes of one of them."""
WINDOW: Final = 128 * 1024
"""Bytes that may be on their way in one direction of a circuit, before who receives them has taken any."""


Observed: TypeAlias = Annotated[str, MaxLength(256)]
"""Where the relay sees a client, as the address of a transport; empty where it is of no use."""


class Code(IntEnum):
    """How a request went."""

    OK = 0
    NO_RESERVATION = 1
    """Of the node that was asked for."""
    PERMISSION_DENIED = 2
    LIMIT = 3
    FAILED = 4


class Closing(IntEnum):
    """Why nothing more comes of a circuit."""

    END = 0
    """Its sender has nothing more to send; the other direction goes on."""
    CLOSED = 1
    """By the other end, both directions."""
    LIMIT = 2
    """The relay grants no more time, or bytes."""
    LOST = 3
    """The relay has lost the other end."""


@dataclass(frozen=True)
class Limit:
    """What a relay grants to each circuit; 0 is for no limit."""

    seconds: U32 = 0
    size: U64 = 0
    """Bytes, in each direction."""


@dataclass(frozen=True)
class Reserve(Request["Reserved"]):
    """A place for circuits to us; asked for again, it is renewed (0x00)."""


@dataclass(frozen=True)
class Reserved(Response):
    """The answer (0x01). All behind `code` counts only if that is OK."""

    code: U8
    expire: U64 = 0
    """In Unix time."""
    addresses: Annotated[tuple[Annotated[str, MaxLength(MOST_ADDRESS)], ...], MaxItems(MOST_ADDRESSES)] = ()
    """Where the relay can be dialled, as enode URLs."""
    voucher: Annotated[bytes, MaxLength(256)] = b""
    limit: Limit = Limit()
    observed: Observed = ""


@dataclass(frozen=True)
class Connect:
    """A circuit to the node with a key, please (0x02). The circuit has the number of this request."""

    number: U64
    target: Bytes64


@dataclass(frozen=True)
class Incoming:
    """Somebody wants a circuit to us (0x03). Nothing proves that it is who the relay says."""

    number: U64
    initiator: Bytes64
    limit: Limit


@dataclass(frozen=True)
class Status:
    """The answer to `Connect`, and to `Incoming` (0x04)."""

    number: U64
    code: U8
    limit: Limit = Limit()
    observed: Observed = ""
    """By the relay, of the one who has asked for the circuit."""


@dataclass(frozen=True)
class Data:
    """Bytes of a circuit (0x05)."""

    number: U64
    data: Annotated[bytes, MaxLength(MOST_DATA)]


@dataclass(frozen=True)
class Window:
    """So many bytes of a circuit may be sent beyond those that might already (0x06)."""

    number: U64
    credit: U32


@dataclass(frozen=True)
class Close:
    """Nothing more of a circuit comes from here (0x07): see `Closing`."""

    number: U64
    code: U8


RelayMessage: TypeAlias = Reserve | Reserved | Connect | Incoming | Status | Data | Window | Close
