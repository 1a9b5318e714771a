"""Peer introduction: what one node signs about another for a third (dpx/1, section 8), and which records have been used.

An introducer tells an audience of a subject: "this key is that of a node that I know, and it takes you". The audience shows the record to
the subject when it dials it, and both trust each other a little from then on. A record is good for one audience, for an hour at most, and
once; it is no secret.

What a record is worth to the node that is shown it, besides being right, is decided in `peers.introductions`: whether it knows the
introducer, whether it wants to be introduced, and how often.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Annotated, ClassVar, Final, Protocol, Self

from devp2p import rlp
from devp2p.arguments import as_bytes, require, whole
from devp2p.bounded import Recent
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import NodeId, PrivateKey, PublicKey, keccak256, recover
from devp2p.wire.base import is_capability_name
from devp2p.wire.dpx.pact import Pact

LIFETIME: Final = 3600
"""The most seconds for which a record is good."""
SKEW: Final = 300
"""Seconds by which the clocks of two nodes may differ."""
MAX_GRADES: Final = 8
MAX_GRADE: Final = 7
MAX_RECORD: Final = 377
"""Bytes of the largest record."""
MOST_SHOWN: Final = 3
"""Records in one offer."""

_DOMAIN: Final = b"dpx-intro-v1"
_COMPRESSED: Final = (0x02, 0x03)
_REMEMBERED: Final = 4096  # records that were used


class IntroductionVerdict(enum.IntEnum):
    """What a subject says of a record, in its accept; the numbers are those of the wire."""

    OK = 0
    UNKNOWN_INTRODUCER = 1
    INVALID = 2
    """A bad signature, another audience or subject, not good at this time, or used before."""
    NO_CONSENT = 3
    """The subject does not let itself be introduced."""
    QUOTA = 4
    """Its introducer has introduced as many as it may, or too many peers are here by introduction."""


class Consent(enum.IntEnum):
    """Whom a node lets be introduced to it; the numbers are those of the wire."""

    NONE = 0
    KNOWN = 1
    """Those whom the introducer knows from earlier sessions."""
    ANY = 2
    """Those as well who were introduced to the introducer themselves."""


@dataclass(frozen=True, slots=True)
class Grade:
    """What an introducer says of its subject in one capability."""

    rlp_strict: ClassVar[bool] = True  # as in the record, which would be written otherwise than it was signed

    name: Annotated[str, rlp.MaxLength(8)]
    version: rlp.U64
    grade: rlp.U8
    """0 to 7, more is better."""

    def __post_init__(self) -> None:
        """LocalProtocolError for what cannot be."""
        if not is_capability_name(self.name):
            raise LocalProtocolError(f"a capability's name is 1 to 8 ASCII characters without spaces, not {self.name!r}")
        whole(self.grade, "a grade", 0, MAX_GRADE)


@dataclass(frozen=True, slots=True)
class IntroductionRecord:
    """A record as it is on the wire: ``[signature, subject, audience, introducer, issued, expires, seq, grades, nonce]``.

    `decode` says only that its parts are of the right sizes. `fault` finds what is wrong with it for one who is shown it, and costs
    next to nothing; `is_signed` costs a recovery, some 30 microseconds.
    """

    rlp_strict: ClassVar[bool] = True  # what is signed is all that there is

    signature: rlp.Bytes65
    """The introducer's, r || s || v, over keccak256("dpx-intro-v1" || rlp(all that follows))."""
    subject: Annotated[bytes, rlp.Length(33)]
    """The compressed public key of the node that is introduced."""
    audience: rlp.Bytes32
    """The node-ID of the node that may use the record."""
    introducer: Annotated[bytes, rlp.Length(33)]
    """The compressed public key of the node that signs."""
    issued: rlp.U64
    """Seconds since 1970, as `expires`."""
    expires: rlp.U64
    seq: rlp.U64
    """Of two records of an introducer for the same two nodes, the one with the larger number is the newer."""
    grades: Annotated[tuple[Grade, ...], rlp.MaxItems(MAX_GRADES)]
    nonce: Annotated[bytes, rlp.Length(16)]

    def __post_init__(self) -> None:
        """LocalProtocolError for keys or times that cannot be."""
        if self.subject[0] not in _COMPRESSED or self.introducer[0] not in _COMPRESSED:
            raise LocalProtocolError("a compressed public key begins with 2 or 3")
        if not self.issued < self.expires <= self.issued + LIFETIME:
            raise LocalProtocolError(f"an introduction is good for up to {LIFETIME} seconds, not {self.expires - self.issued}")

    @classmethod
    def sign(  # noqa: PLR0913  (all that a record says)
        cls,
        key: PrivateKey,
        subject: PublicKey,
        audience: NodeId,
        *,
        issued: int,
        seq: int,
        nonce: bytes,
        lifetime: int = LIFETIME,
        grades: Sequence[Grade] = (),
    ) -> Self:
        """Introduce `subject` to `audience` as the node with `key`; `nonce`: 16 random bytes, `issued`: seconds since 1970.

        LocalProtocolError for what cannot be in a record.
        """
        require(key, PrivateKey, "the introducer's key is a PrivateKey")
        require(subject, PublicKey, "the subject of an introduction is a PublicKey", "PublicKey.from_bytes(...) makes one")
        whole(lifetime, "the lifetime of an introduction", 1, LIFETIME)
        whole(issued, "the time of an introduction", 0, 2**63)
        named, introducer = as_bytes(audience, "the audience of an introduction", 32), key.public_key.compressed
        draft = cls(
            *(bytes(65), subject.compressed, named, introducer, issued, issued + lifetime, seq, tuple(grades)),
            as_bytes(nonce, "the nonce of an introduction", 16),
        )
        return replace(draft, signature=key.sign(draft._digest()))

    @classmethod
    def decode(cls, data: bytes | memoryview) -> "IntroductionRecord":
        """Read a record; DecodingError for anything else. Nothing is computed on the curve."""
        if len(data) > MAX_RECORD:
            raise DecodingError(f"an introduction of {len(data)} bytes, where {MAX_RECORD} are the most")
        return _RECORD.decode(data)

    def encode(self) -> bytes:
        """The record as one RLP item."""
        return _RECORD.encode(self)

    def fault(self, subject: PublicKey, audience: NodeId, now: float) -> str | None:
        """What is wrong with the record if it is to introduce `subject` to `audience` now, but for its signature; None if nothing is.

        ``now`` is in seconds since 1970.
        """
        if self.audience != audience:
            return "it is for another audience"
        if self.subject != subject.compressed:
            return "it introduces another node"
        if self.introducer == self.subject:
            return "a node does not introduce itself"
        if now < self.issued - SKEW:
            return "it is of a time to come"
        if now >= self.expires + SKEW:
            return "it has expired"
        return None

    def introducer_key(self) -> PublicKey:
        """The key of the node that signs; DecodingError if it is not a point of the curve."""
        return PublicKey.from_bytes(self.introducer)

    def is_signed(self) -> bool:
        """Whether the introducer that it names has signed it."""
        try:
            return recover(self._digest(), self.signature).compressed == self.introducer
        except DecodingError:
            return False

    def _digest(self) -> bytes:
        encoded = _RECORD.encode(self)
        start, end = rlp.list_bounds(encoded, 0, len(encoded))
        _, after = rlp.split_item(encoded, start)
        return keccak256(_DOMAIN + rlp.encode_list(encoded[after:end]))


_RECORD: Final = rlp.codec(IntroductionRecord)


class Introductions(Protocol):
    """A node's part in introductions, as its handshakes ask for it."""

    def records_for(self, remote: PublicKey, /) -> tuple[bytes, ...]:
        """The records that introduce us to a node, to be shown in our offer: three at most."""
        ...

    def verdicts(self, remote: PublicKey, records: Sequence[bytes], /) -> tuple[IntroductionVerdict, ...]:
        """What we say of each record that what claims to be `remote` shows us. Nothing changes by it: nothing is proved."""
        ...

    def proved(self, pact: Pact, /) -> str:
        """The peer has proved itself. If it is introduced, say by whom, as in "introduced by 1f2e…"; else nothing."""
        ...


class UsedRecords:
    """The records that have been used, as long as they could be used again, and the number of the newest for each two nodes.

    A record counts as used when the node that has shown it has proved itself, not before: anybody can send an auth in another's name.
    """

    def __init__(self, size: int = _REMEMBERED) -> None:
        """Of more than `size` the first that were used are forgotten."""
        self._nonces: Recent[bytes, None] = Recent(size, LIFETIME + 2 * SKEW)
        self._newest: Recent[bytes, int] = Recent(size, LIFETIME + 2 * SKEW)

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._nonces)

    def fault(self, record: IntroductionRecord, now: float) -> str | None:
        """Why a record may not be used; None if it may. ``now`` is on any clock that is never set."""
        if self._nonces.has(record.introducer + record.nonce, now):
            return "it was used before"
        newest = self._newest.get(_parties(record), now)
        return None if record.seq > (-inf if newest is None else newest) else "a newer one was used"

    def use(self, record: IntroductionRecord, now: float) -> None:
        """A record was used by one who has proved to be its audience."""
        self._nonces.set(record.introducer + record.nonce, None, now)
        self._newest.set(_parties(record), record.seq, now)


def _parties(record: IntroductionRecord) -> bytes:
    return record.introducer + record.audience + record.subject
