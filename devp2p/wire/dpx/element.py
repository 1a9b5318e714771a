"""What auth and ack carry of dpx/1: the offer and the accept (dpx/1, section 1).

    offer  = ["dpx1", features, share (32), tokens, introductions, params]              in auth
    accept = ["dpx1", features, share (32), mode, sealed, verdict, params]              in ack, only if the auth had an offer

Either is one more element behind the specified ones: the first *list* whose first item is "dpx1", so that a later official field cannot be
taken for it. Peers that know nothing of it pass over it (EIP-8). Further items in either list are ignored.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeVar

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError

MAGIC: Final = b"dpx1"
ID_SIZE: Final = 16
SEALED_SIZE: Final = 48
MOST_TOKENS: Final = 2
MOST_INTRODUCTIONS: Final = 3
_MOST_RECORD: Final = 600  # bytes of one introduction, whose record has some 350 at most


class Feature(enum.IntFlag):
    """What a side can do. Bits that are not here mean nothing to us: an offer may have them, and an accept only what was offered."""

    CHACHA20_POLY1305 = 1
    """Records under ChaCha20-Poly1305: everybody can."""
    MUX = 2
    """Messages in chunks, under flow control."""
    RESUME = 4
    INTRODUCE = 8
    SHAPE = 16
    AES_256_GCM = 64
    """Records under AES-256-GCM, which are chosen if both sides can."""


REQUIRED: Final = Feature.CHACHA20_POLY1305 | Feature.MUX
"""What every side that speaks dpx/1 can do."""


class Mode(enum.IntEnum):
    """How a session begins. It enters all keys, as one byte."""

    PLAIN = 0
    INTRODUCED = 1
    RESUMED = 2
    """From the newest secret that the two share."""
    RESUMED_PREVIOUS = 3
    """From the one before it, as one side did not hear that the other had come to a newer."""


class ResumeVerdict(enum.IntEnum):
    """What a recipient says of the tokens that it was offered."""

    NONE_OFFERED = 0
    RESUMED = 1
    UNKNOWN = 2
    DOES_NOT_OPEN = 3


@dataclass(frozen=True, slots=True)
class Params:
    """What a side can take in, in bytes but for `contexts`: the other keeps to it."""

    connection_window: rlp.U32 = 4 * 1024 * 1024
    """Of the bodies of all capabilities together, before it gives more credit."""
    capability_window: rlp.U32 = 1024 * 1024
    """Of the bodies of one capability."""
    reassembly: rlp.U32 = 16 * 1024 * 1024 + 64 * 1024
    """Of messages in chunks of one capability that are not whole yet, or were not taken."""
    contexts: rlp.U16 = 64
    """How many such messages of one capability there may be at a time."""
    max_frame: rlp.U32 = 16 * 1024 + 64
    """Of one frame's data. A message of 16 KiB goes in one, with its code and what snappy adds to it, and not in two."""

    def __post_init__(self) -> None:
        """ValueError for what cannot be: a decoder makes a DecodingError of it."""
        if not 512 <= self.max_frame < 2**24:
            raise ValueError(f"max_frame is 512 to {2**24 - 1} bytes, not {self.max_frame}")
        if not 2 * self.max_frame <= self.capability_window < 2**31:
            raise ValueError(f"a capability's window is 2 * max_frame to {2**31 - 1} bytes, not {self.capability_window}")
        if not self.capability_window <= self.connection_window < 2**31:
            raise ValueError(f"a connection's window is that of a capability to {2**31 - 1} bytes, not {self.connection_window}")
        if not self.max_frame <= self.reassembly < 2**31:
            raise ValueError(f"reassembly is max_frame to {2**31 - 1} bytes, not {self.reassembly}")
        if not self.contexts:
            raise ValueError("contexts is 1 to 65535, not 0")


@dataclass(frozen=True, slots=True)
class Token:
    """One secret that the sender says the two share: its name, and the share of this handshake sealed under it."""

    id: Annotated[bytes, rlp.Length(ID_SIZE)]
    sealed: Annotated[bytes, rlp.Length(SEALED_SIZE)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a recipient says of all that it was offered beside the profile itself."""

    resume: ResumeVerdict
    introductions: tuple[int, ...] = ()
    """One code for each record, in their order; 0 for one that was taken."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What an initiator offers."""

    features: Feature
    share: bytes = field(repr=False)
    """32 random bytes, the initiator's part of the session's keys."""
    tokens: tuple[Token, ...] = ()
    """For resumption: the newest secret first, and then perhaps the one before it."""
    introductions: tuple[bytes, ...] = ()
    """Signed records, each as its RLP encoding."""
    params: Params = Params()


@dataclass(frozen=True, slots=True)
class Accept:
    """What a recipient answers."""

    features: Feature
    share: bytes = field(repr=False)
    mode: Mode = Mode.PLAIN
    sealed: bytes | None = None
    """The share, sealed under the secret that is resumed from; None if none is."""
    verdict: Verdict = Verdict(ResumeVerdict.NONE_OFFERED)
    params: Params = Params()


@dataclass(frozen=True, slots=True)
class _WireOffer:
    magic: bytes
    features: rlp.U64
    share: rlp.Bytes32
    tokens: Annotated[tuple[Token, ...], rlp.MaxItems(MOST_TOKENS)]
    introductions: Annotated[tuple[rlp.Raw, ...], rlp.MaxItems(MOST_INTRODUCTIONS)]
    params: Params


@dataclass(frozen=True, slots=True)
class _WireVerdict:
    resume: rlp.U8
    introductions: Annotated[tuple[rlp.U8, ...], rlp.MaxItems(MOST_INTRODUCTIONS)]


@dataclass(frozen=True, slots=True)
class _WireAccept:
    magic: bytes
    features: rlp.U64
    share: rlp.Bytes32
    mode: rlp.U8
    sealed: Annotated[tuple[bytes, ...], rlp.MaxItems(1)]
    verdict: _WireVerdict
    params: Params


_OFFER = rlp.codec(_WireOffer)
_ACCEPT = rlp.codec(_WireAccept)
_Enum = TypeVar("_Enum", Mode, ResumeVerdict)


def find(elements: Iterable[bytes]) -> bytes | None:
    """The first element that claims to be of dpx/1, as its encoding, or None."""
    start = rlp.encode(MAGIC)
    for element in elements:
        if element[:1] >= b"\xc0":
            head = 1 if element[0] < 0xF8 else element[0] - 0xF6
            if element[head : head + len(start)] == start:
                return element
    return None


def encode_offer(offer: Offer) -> bytes:
    """The element of an auth. LocalProtocolError for what no offer may hold."""
    return _OFFER.encode(_WireOffer(MAGIC, int(offer.features), offer.share, offer.tokens, offer.introductions, offer.params))


def decode_offer(element: bytes) -> Offer:
    """Read the element of an auth; DecodingError if it is malformed, and then it counts as absent."""
    wire = _OFFER.decode(element)
    if any(len(record) > _MOST_RECORD or record[:1] < b"\xc0" for record in wire.introductions):
        raise DecodingError(f"an introduction is a list of at most {_MOST_RECORD} bytes")
    return Offer(Feature(wire.features), wire.share, wire.tokens, wire.introductions, wire.params)


def encode_accept(accept: Accept) -> bytes:
    """The element of an ack. LocalProtocolError for what no accept may hold."""
    if (accept.sealed is not None) != (accept.mode in {Mode.RESUMED, Mode.RESUMED_PREVIOUS}):
        raise LocalProtocolError("an accept has a sealed share if, and only if, it resumes a session")
    verdict = _WireVerdict(accept.verdict.resume, accept.verdict.introductions)
    sealed = () if accept.sealed is None else (accept.sealed,)
    return _ACCEPT.encode(_WireAccept(MAGIC, int(accept.features), accept.share, accept.mode, sealed, verdict, accept.params))


def decode_accept(element: bytes) -> Accept:
    """Read the element of an ack; DecodingError if it is malformed."""
    wire = _ACCEPT.decode(element)
    mode, resume = _one_of(Mode, wire.mode, "mode"), _one_of(ResumeVerdict, wire.verdict.resume, "verdict on resumption")
    resumed = mode in {Mode.RESUMED, Mode.RESUMED_PREVIOUS}
    if resumed != (resume is ResumeVerdict.RESUMED) or resumed != bool(wire.sealed):
        raise DecodingError("mode, verdict and sealed share of an accept contradict each other")
    if any(len(sealed) != SEALED_SIZE for sealed in wire.sealed):
        raise DecodingError(f"a sealed share has {SEALED_SIZE} bytes")
    sealed = wire.sealed[0] if wire.sealed else None
    verdict = Verdict(resume, wire.verdict.introductions)
    return Accept(Feature(wire.features), wire.share, mode, sealed, verdict, wire.params)


def _one_of(kind: type[_Enum], value: int, what: str) -> _Enum:
    try:
        return kind(value)
    except ValueError:
        raise DecodingError(f"{value} is no {what} of dpx/1") from None
