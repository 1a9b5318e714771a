"""What a `Protocol` tells its owner, one by one through `next_event`: the ends of its operations, and news of ourselves.

Each operation ends in exactly one event.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from devp2p.addresses import Endpoint
from devp2p.discovery.table import Contact
from devp2p.records import Record


@dataclass(frozen=True, slots=True)
class Pong:
    """What a node has answered to a Ping."""

    seen_as: Endpoint
    """Where it says that the Ping came from: the IP address is empty if it does not know."""
    sequence: int | None
    """Of its record; None if it did not say."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An operation is over."""

    operation: int
    """The number that the method gave which began it."""


@dataclass(frozen=True, slots=True)
class PingResult(Ended):
    """`Protocol.ping` is over."""

    contact: Contact[Any]
    pong: Pong | None
    """None if the node was silent."""
    rtt: float
    """Seconds from the Ping to the Pong, or until we gave up; with the time for a handshake, if there was one."""


@dataclass(frozen=True, slots=True)
class RecordFound(Ended):
    """`Protocol.request_enr` or `Protocol.resolve` is over."""

    contact: Contact[Any] | None
    """The node, with what is known of it now; None if `resolve` has not found it, or what was found does not say where it is."""
    record: Record | None
    """What the node itself has said now, or less than ten minutes ago, or what a search has found; None if neither has."""


@dataclass(frozen=True, slots=True)
class LookupDone(Ended):
    """`Protocol.lookup` is over."""

    target: bytes
    """As it was asked for."""
    contacts: tuple[Contact[Any], ...]
    """The closest nodes that answered, closest first."""


@dataclass(frozen=True, slots=True)
class AddressChanged:
    """Enough others agree on where we are for it to belong into our record."""

    ipv4: Endpoint | None
    ipv6: Endpoint | None


@dataclass(frozen=True, slots=True)
class ClockDoubtful:
    """Many questions in a row had no answer at all, and packets that came were too old: this machine's clock is ahead.

    Packets of v4 are valid for 20 s only. There is one such event until somebody answers.
    """

    silences: int
    """Questions without an answer."""
    expired: int
    """Packets that meanwhile came and were too old by our clock."""


@dataclass(frozen=True, slots=True)
class NodeHeard:
    """A node has asked us something by itself, and proved that it is where it was heard. Only a `Protocol` that `asks_only` tells so."""

    contact: Contact[Any]


Event: TypeAlias = Ended | AddressChanged | ClockDoubtful | NodeHeard
"""The end of an operation of the owner's, news of ourselves, or of a node that came by itself."""
