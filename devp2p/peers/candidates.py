"""Nodes that may be dialled some day, whoever named them, and the words for why one is not dialled (pure; bounded).

Who was one of our best before a restart (an anchor), and who has served us before, stays while others come and go; of these the
oldest goes first.
"""

import enum
from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from devp2p.records import NodeRecord

if TYPE_CHECKING:  # the policy is imported when a node is opened
    from devp2p.peers.slots import SlotCandidate

POOL: Final = 512
"""Nodes that are kept."""


class WhyNot(enum.Enum):
    """Why a node is not dialled; the values are words for metrics and JSON, ``str()`` gives them for people."""

    OURSELVES = "ourselves"
    STATIC_OR_TRUSTED = "static_or_trusted"
    """It stands outside of all slots: static peers are dialled by what keeps them connected."""
    NO_ADDRESS = "no_address"
    NO_TRANSPORT = "no_transport"
    """We have none for any of its addresses."""
    NO_PORT = "no_port"
    """It says port 0: it takes no connections."""
    UNWANTED = "unwanted"
    """No capability wants it, by what its record says."""
    CONNECTED = "connected"
    DIALLED_NOW = "dialled_now"
    """A dial of it is under way."""
    BANNED = "banned"
    LEFT_ALONE = "left_alone"
    """For a while, after a dial that failed or a session that ended."""
    HOST_LEFT_ALONE = "host_left_alone"
    """Its host was dialled just now, or for too many nodes."""

    def __str__(self) -> str:
        return self.value.replace("_", " ")


def undialable(record: NodeRecord, schemes: Collection[str]) -> WhyNot | None:
    """Why a node can never be dialled by transports for some schemes; None if one of its addresses can be dialled."""
    if not record.addresses:
        return WhyNot.NO_ADDRESS
    reachable = [address for address in record.addresses if address.scheme in schemes]
    if not reachable:
        return WhyNot.NO_TRANSPORT
    return None if any(address.is_dialable for address in reachable) else WhyNot.NO_PORT


@dataclass(slots=True)
class Known:
    """A node of the pool."""

    record: NodeRecord
    source: str
    """Who named it first."""
    capabilities: tuple[str, ...]
    """Those of ours that want it, by what its record says."""
    anchor: bool = False
    introduced: bool = False
    """Whether a peer has introduced us to it, and it was not dialled since."""
    served: bool = False
    """Whether we have had a session with it."""
    tries: int = 0
    """How many times it was dialled."""
    why_not: WhyNot | None = None
    """Why it was not to be dialled when the candidates were looked at the last time."""
    seen_as: "SlotCandidate | None" = None
    """What the policy of slots looks at, as long as nothing of it has changed."""


class Pool:
    """The nodes, by their IDs."""

    def __init__(self, size: int = POOL) -> None:
        self._size = size
        self._nodes: OrderedDict[bytes, Known] = OrderedDict()  # by how long ago they were named

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Known]:
        return iter(self._nodes.values())

    @property
    def is_full(self) -> bool:
        """Whether another node takes the place of one."""
        return len(self._nodes) >= self._size

    def get(self, node_id: bytes) -> Known | None:
        """The node with an ID."""
        return self._nodes.get(node_id)

    def offer(
        self, record: NodeRecord, source: str, capabilities: tuple[str, ...], *, anchor: bool = False, introduced: bool = False
    ) -> Known:
        """A node was named, perhaps again: its record may be a newer one."""
        node_id = record.id
        known = self._nodes.get(node_id)
        if known is None:
            if self.is_full:
                self._make_room()
            known = self._nodes[node_id] = Known(record, source, capabilities)
        else:
            known.record, known.capabilities, known.seen_as = record, capabilities, None
            self._nodes.move_to_end(node_id)
        if anchor and not known.anchor:
            known.anchor, known.seen_as = True, None
        if introduced and not known.introduced:
            known.introduced, known.seen_as = True, None
        return known

    def _make_room(self) -> None:
        oldest = next((node_id for node_id, known in self._nodes.items() if not (known.anchor or known.served)), None)
        del self._nodes[next(iter(self._nodes)) if oldest is None else oldest]
