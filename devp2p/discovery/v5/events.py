"""What a `Discv5` tells its owner, one by one through `next_event`: the ends of the operations that the owner began, and news of ourselves.

An operation is known by the number that the method gave which began it. Each ends in exactly one event.
"""

from dataclasses import dataclass
from typing import TypeAlias

from devp2p.discovery.external_address import AddressChanged
from devp2p.discovery.table import Contact
from devp2p.discovery.v5.messages import Pong
from devp2p.records import Record


@dataclass(frozen=True, slots=True)
class PingResult:
    """`Discv5.ping` is over."""

    operation: int
    contact: Contact[Record]
    pong: Pong | None
    """None if the node was silent."""


@dataclass(frozen=True, slots=True)
class NodesFound:
    """`Discv5.find_node` is over."""

    operation: int
    contact: Contact[Record]
    records: tuple[Record, ...]
    """All that came and passed: verified, of a distance that was asked for, each node once, none of them ourselves."""
    complete: bool
    """Whether every message came that was announced; False too if the node was silent, or did not keep to the rules."""


@dataclass(frozen=True, slots=True)
class TalkAnswered:
    """`Discv5.talk` is over."""

    operation: int
    contact: Contact[Record]
    response: bytes | None
    """None if the node was silent; empty from one that does not know the protocol."""


@dataclass(frozen=True, slots=True)
class LookupDone:
    """`Discv5.lookup` is over."""

    operation: int
    target: bytes
    contacts: tuple[Contact[Record], ...]
    """The closest nodes that answered, closest first."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """`Discv5.resolve` is over."""

    operation: int
    record: Record
    """The newest that was found; the one that was given, if there is no newer one."""
    confirmed: bool
    """Whether the node itself or a search gave it, so that it is not just the one that was known before."""


Event: TypeAlias = PingResult | NodesFound | TalkAnswered | LookupDone | Resolved | AddressChanged
