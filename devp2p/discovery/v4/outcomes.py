"""What an `Exchange` of discovery v4 tells whoever runs it: how its questions ended, and whom it heard from (pure).

`Purpose` is whatever the questions were given: it comes back with the answer, and is not looked at on the way. Each question has one end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from devp2p.discovery.v4.nodes import Node
from devp2p.discovery.v4.packets import Pong
from devp2p.records import Record

Purpose = TypeVar("Purpose")


@dataclass(frozen=True, slots=True)
class PingEnded(Generic[Purpose]):
    """A Ping was answered, or not."""

    contact: Node
    pong: Pong | None
    rtt: float
    purposes: Sequence[Purpose]
    incoming: bool
    """It only answered a Ping of a node that we knew nothing of."""


@dataclass(frozen=True, slots=True)
class NodesEnded(Generic[Purpose]):
    """A FindNode was answered, or not."""

    contact: Node
    nodes: Sequence[Node] | None
    """What passed; None if there was no answer."""
    present: bool
    """The node has answered something: our Ping, if not the question."""
    purposes: Sequence[Purpose]


@dataclass(frozen=True, slots=True)
class RecordEnded(Generic[Purpose]):
    """An ENRRequest was answered, or not."""

    contact: Node
    record: Record | None
    purposes: Sequence[Purpose]


@dataclass(frozen=True, slots=True)
class Heard:
    """A node with an endpoint proof has sent a Ping, and said the number of its record if that is not None."""

    contact: Node
    sequence: int | None


Outcome: TypeAlias = PingEnded[Purpose] | NodesEnded[Purpose] | RecordEnded[Purpose] | Heard
