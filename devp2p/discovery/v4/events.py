"""What a `Discv4` tells its owner, one by one through `next_event`: the ends of the operations that the owner began, and news of ourselves.

An operation is known by the number that the method gave which began it. Each ends in exactly one event.
"""

from dataclasses import dataclass
from typing import TypeAlias

from devp2p.discovery.external_address import AddressChanged
from devp2p.discovery.v4.nodes import Node
from devp2p.discovery.v4.packets import Pong
from devp2p.records import Record


@dataclass(frozen=True, slots=True)
class PingResult:
    """`Discv4.ping` is over."""

    operation: int
    contact: Node
    pong: Pong | None
    """None if the node was silent."""
    rtt: float
    """Seconds from the Ping to the Pong, or until we gave up."""


@dataclass(frozen=True, slots=True)
class RecordFound:
    """`Discv4.request_enr` or `Discv4.resolve` is over."""

    operation: int
    contact: Node | None
    """The node, with its ENR in `record.enr` if there is one; None if `resolve` has not found it."""
    record: Record | None
    """What the node itself has said now, or less than ten minutes ago; None if it did not."""


@dataclass(frozen=True, slots=True)
class LookupDone:
    """`Discv4.lookup` is over."""

    operation: int
    target: bytes
    """64 bytes, as it was asked for."""
    contacts: tuple[Node, ...]
    """The closest nodes that answered, closest first."""


@dataclass(frozen=True, slots=True)
class ClockDoubtful:
    """Many questions in a row had no answer at all, and packets that came were too old: this machine's clock is ahead.

    Packets are valid for 20 s only. There is one such event until somebody answers.
    """

    silences: int
    """Questions without an answer."""
    expired: int
    """Packets that meanwhile came and were too old by our clock."""


Event: TypeAlias = PingResult | RecordFound | LookupDone | AddressChanged | ClockDoubtful
