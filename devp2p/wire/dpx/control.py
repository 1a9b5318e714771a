"""The control messages of dpx/1: what the two sides of a session tell each other beside their messages (dpx/1, section 5).

    frame-data = rlp(code) || rlp([...])            in frames of "capability" 127; never compressed, never in chunks

Those that are small have 64 bytes at most. A code that we do not know is `Unknown`, and further items in a list are ignored, so that a
later version may say more. `capability` is always a number as the wire has it: 1 to 126 by the place among the shared ones, and in a
`Delta` also `CONNECTION`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, TypeVar

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError

CONNECTION: Final = 127
"""Stands for the connection in a `Delta`, and in a frame's header for control messages themselves."""
LAST_CAPABILITY: Final = 126
LAST_CONTEXT: Final = 65535
MOST_CREDIT: Final = 2**31 - 1
SMALL_SIZE: Final = 64
"""Bytes that a control message has at most, but for padding and what introduces nodes."""
_INTRODUCTION_SIZE: Final = 2048

TOO_BIG, CANCEL, BUSY = 1, 2, 3
"""Why a context is reset. The code also says whose: `CANCEL` comes from the side that sends the message, all others from its receiver."""

_Key32: TypeAlias = Annotated[bytes, rlp.Length(32)]
_Nonce: TypeAlias = Annotated[bytes, rlp.Length(16)]
C = TypeVar("C")


def _within(value: int, least: int, most: int, what: str) -> None:
    """Raise ValueError, of which a decoder makes a DecodingError."""
    if not least <= value <= most:
        raise ValueError(f"{what} is a number from {least} to {most}, not {value}")


def _of_capability(value: int) -> None:
    _within(value, 1, LAST_CAPABILITY, "a capability")


def _of_context(value: int) -> None:
    _within(value, 1, LAST_CONTEXT, "a context")


@dataclass(frozen=True, slots=True)
class Delta:
    """The receiver gives credit: so many further bytes of bodies, of one capability or (`CONNECTION`) of all together."""

    capability: rlp.U8
    credit: rlp.U32

    def __post_init__(self) -> None:
        """ValueError for numbers that cannot be."""
        _within(self.capability, 1, CONNECTION, "a capability or the connection")
        _within(self.credit, 1, MOST_CREDIT, "credit")


@dataclass(frozen=True, slots=True)
class Reset:
    """A message in chunks ends before it is whole: its sender gives it up (`CANCEL`), or its receiver refuses it (any other code)."""

    capability: rlp.U8
    context: rlp.U16
    code: rlp.U8

    def __post_init__(self) -> None:
        """ValueError for numbers that cannot be."""
        _of_capability(self.capability)
        _of_context(self.context)
        _within(self.code, 1, 255, "a code")


@dataclass(frozen=True, slots=True)
class Weight:
    """What the sender of this would like to be sent more of: the other side multiplies its own weight by it."""

    capability: rlp.U8
    weight: rlp.U8

    def __post_init__(self) -> None:
        """ValueError for numbers that cannot be."""
        _of_capability(self.capability)
        _within(self.weight, 1, 255, "a weight")


@dataclass(frozen=True, slots=True)
class Pad:
    """So many bytes that mean nothing; zeros when we send them."""

    size: int


@dataclass(frozen=True, slots=True)
class _WirePad:
    zeros: bytes


@dataclass(frozen=True, slots=True)
class Shape:
    """How the sender shapes its own traffic (dpx/1, section 10)."""

    mode: rlp.U8
    cell: rlp.U32
    """Bytes of a cell."""
    rate_min: rlp.U64
    """Bytes a second."""
    rate_max: rlp.U64
    gap: rlp.U32
    """Milliseconds between two cells of cover, on average."""
    budget: rlp.U64
    """Bytes of cover in an hour, at most."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The sender keeps the secret of this session: what was shared before it is needed no more (dpx/1, section 7)."""

    generation: Annotated[bytes, rlp.MaxLength(16)] | None = None
    """Which secret it is, where that is said."""


@dataclass(frozen=True, slots=True)
class IntroductionRequest:
    """Asks to be introduced to other nodes that speak a capability (dpx/1, section 8)."""

    capability: rlp.U8
    count: rlp.U8

    def __post_init__(self) -> None:
        """ValueError for numbers that cannot be."""
        _of_capability(self.capability)
        _within(self.count, 1, 4, "how many introductions are asked for")


@dataclass(frozen=True, slots=True)
class Introduction:
    """Introduces a node: its ENR, and the record that the receiver is to show there. Both are lists, as their encoding."""

    enr: rlp.Raw
    record: rlp.Raw

    def __post_init__(self) -> None:
        """ValueError for items that are no lists."""
        if min(self.enr[:1], self.record[:1]) < b"\xc0":
            raise ValueError("an ENR and a record are lists")


@dataclass(frozen=True, slots=True)
class IntroductionConsent:
    """To whom the receiver may introduce the sender: to `subject`, a compressed public key, or to anybody if that is empty."""

    subject: Annotated[bytes, rlp.MaxLength(33)]
    mode: rlp.U8
    enr: rlp.Raw | None = None
    """The sender's own record, which the receiver gives to those whom it introduces to it."""

    def __post_init__(self) -> None:
        """ValueError for what is no key."""
        if len(self.subject) not in {0, 33}:
            raise ValueError(f"a compressed public key has 33 bytes, not {len(self.subject)}")
        if self.enr is not None and self.enr[:1] < b"\xc0":
            raise ValueError("an ENR is a list")


@dataclass(frozen=True, slots=True)
class IntroductionNote:
    """Tells a node whom it was introduced to, so that it expects him."""

    audience: _Key32
    """keccak256 of the public key of the node that may come."""
    nonce: _Nonce
    """Of the record that it will show."""
    expires: rlp.U64
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class GoAway:
    """The sender ends the session, and why: a reason of the base protocol's Disconnect."""

    code: rlp.U8


@dataclass(frozen=True, slots=True)
class Release:
    """The receiver has let go of a message in chunks: what its total has reserved is free, and its context may be used again."""

    capability: rlp.U8
    context: rlp.U16

    def __post_init__(self) -> None:
        """ValueError for numbers that cannot be."""
        _of_capability(self.capability)
        _of_context(self.context)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A control message of a later version, which is ignored."""

    code: int


Control: TypeAlias = (
    Delta
    | Reset
    | Weight
    | Pad
    | Shape
    | Committed
    | IntroductionRequest
    | Introduction
    | IntroductionConsent
    | IntroductionNote
    | GoAway
    | Release
)


class _Kind(NamedTuple):
    code: int
    decode: Callable[[bytes | memoryview, int], Control]
    encode: Callable[[Any], bytes]
    max_size: int


def _kind(code: int, kind: type[Control], max_size: int = SMALL_SIZE) -> _Kind:
    codec = rlp.codec(kind)
    return _Kind(code, codec.decode, codec.encode, max_size)


_PAD: Final = rlp.codec(_WirePad)


def _decode_pad(data: bytes | memoryview, at: int) -> Pad:
    return Pad(len(_PAD.decode(data, at).zeros))


def _encode_pad(pad: Pad) -> bytes:
    return _PAD.encode(_WirePad(bytes(pad.size)))


_KINDS: Final[dict[type[Control], _Kind]] = {
    Delta: _kind(0x00, Delta),
    Reset: _kind(0x01, Reset),
    Weight: _kind(0x02, Weight),
    Pad: _Kind(0x03, _decode_pad, _encode_pad, 2**24),
    Shape: _kind(0x04, Shape),
    Committed: _kind(0x05, Committed),
    IntroductionRequest: _kind(0x06, IntroductionRequest),
    Introduction: _kind(0x07, Introduction, _INTRODUCTION_SIZE),
    IntroductionConsent: _kind(0x08, IntroductionConsent, _INTRODUCTION_SIZE),
    IntroductionNote: _kind(0x09, IntroductionNote, _INTRODUCTION_SIZE),
    GoAway: _kind(0x0A, GoAway),
    Release: _kind(0x0D, Release),
}
_BY_CODE: Final = {kind.code: kind for kind in _KINDS.values()}


def encode(control: Control) -> bytes:
    """The frame-data of a control message. LocalProtocolError for what none may hold."""
    kind = _KINDS[type(control)]
    data = rlp.encode(kind.code) + kind.encode(control)
    if len(data) > kind.max_size:
        raise LocalProtocolError(f"{type(control).__name__} takes {len(data)} bytes where {kind.max_size} are allowed")
    return data


def decode(data: bytes | memoryview) -> Control | Unknown:
    """Read the frame-data of a control message; DecodingError if it is malformed, or larger than such a message may be."""
    code, start = rlp.split_uint(data)
    kind = _BY_CODE.get(code)
    if kind is None:
        return Unknown(code)
    if len(data) > kind.max_size:
        raise DecodingError(f"control message {code:#x} has {len(data)} bytes where {kind.max_size} are allowed")
    return kind.decode(data, start)
