"""Nodes that may be dialled some day, whoever named them (pure; bounded).

Who was one of our best before a restart (an anchor), and who has served us before, stays while others come and go; of these the
oldest goes first.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from devp2p.records import NodeRecord

POOL: Final = 512
"""Nodes that are kept."""


@dataclass(slots=True)
class Known:
    """A node of the pool."""

    record: NodeRecord
    source: str
    """Who named it first."""
    capabilities: tuple[str, ...]
    """Those of ours that want it, by what its record says."""
    anchor: bool = False
    served: bool = False
    """Whether we have had a session with it."""
    tries: int = 0
    """How many times it was dialled."""


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

    def offer(self, record: NodeRecord, source: str, capabilities: tuple[str, ...], *, anchor: bool = False) -> Known:
        """A node was named, perhaps again: its record may be a newer one."""
        node_id = record.id
        known = self._nodes.get(node_id)
        if known is None:
            if self.is_full:
                self._make_room()
            known = self._nodes[node_id] = Known(record, source, capabilities)
        else:
            known.record, known.capabilities = record, capabilities
            self._nodes.move_to_end(node_id)
        known.anchor = known.anchor or anchor
        return known

    def _make_room(self) -> None:
        oldest = next((node_id for node_id, known in self._nodes.items() if not (known.anchor or known.served)), None)
        del self._nodes[next(iter(self._nodes)) if oldest is None else oldest]
