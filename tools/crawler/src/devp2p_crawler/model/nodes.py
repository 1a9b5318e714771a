"""What is known of a node: sightings, records, and the sum of all visits."""

from dataclasses import dataclass

from devp2p_crawler.model.visits import Kind, Outcome, Said


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Somebody (a node, a bootnode list, a DNS tree, the node itself by calling us) has told where a node is.

    Of each node, vantage and place there is one: `first` is the earliest time and `last` the latest.
    """

    node: bytes
    """The node-ID, 32 bytes."""
    public_key: bytes
    """64 bytes."""
    vantage: str
    ip: bytes
    """4 or 16 bytes; empty if only the key is known."""
    udp: int
    tcp: int
    first: int
    """Microseconds since 1970, UTC."""
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRecord:
    """A node's own record (EIP-778), whose signature was checked."""

    node: bytes
    sequence: int
    raw: bytes
    """Its RLP, at most 300 bytes."""
    seen: int
    """Microseconds since 1970, UTC: when it was first seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNode:
    """A node as all visits, sightings and records together have it; what `filter`, `export` and `report` work on.

    It follows from those alone, in whatever order they came (`devp2p_crawler.stores` computes it), so that merged databases agree.
    """

    node: bytes
    public_key: bytes
    first_seen: int
    """Microseconds since 1970, UTC, as all times here: the first sighting or visit."""
    last_seen: int
    first_ok: int | None
    """The first visit in which it was alive; None if there was none."""
    last_ok: int | None
    last_visit: int | None
    score: int
    """As go-ethereum counts: one more for each visit by UDP in which it answered, and half for each in which it did not."""
    record: SignedRecord | None
    """The newest one."""
    ip: bytes
    """Where it answered last; without an answer what was told last. 4 or 16 bytes, or empty."""
    udp: int
    tcp: int
    said: Said | None
    """The parts that it said last; None if it never said a Hello."""
    said_at: int | None
    outcomes: dict[Kind, Outcome]
    """Of the latest visit of each kind."""
    rtt: int | None
    """Microseconds: the least of the latest visits."""
    handshakes: int
    """Visits by RLPx, either way, that brought a Hello."""
    vantages: frozenset[str]
    """Which crawlers have seen it alive."""
    country: str | None = None
    asn: int | None = None
    organisation: str | None = None
