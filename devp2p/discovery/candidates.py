"""Nodes that one could dial, from several sources, one after the other (pure; ``now`` is passed in).

A source that has many nodes, or that a stranger can fill, must not crowd out the others: each has a buffer of its own, and they are taken
from in turn. A node that was given is not given again for a while, whichever source names it.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from devp2p.bounded import Recent
from devp2p.records import NodeRecord

WINDOW: Final = 30.0
"""Seconds for which a node is not given again."""
BUFFER: Final = 64
"""Candidates of one source that may wait."""

_REMEMBERED = 4096  # nodes that were given

Filter: TypeAlias = Callable[[NodeRecord], bool]
"""Says whether a node is wanted."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that one could dial."""

    record: NodeRecord
    source: str
    """Who named it: ``v4``, ``v5``, ``dns``, ``book`` or ``bootnode``; in the pool also ``own``, ``user`` and ``anchor``."""


class Mixer:
    """Candidates that wait to be taken, at most `buffer` of each source."""

    def __init__(self, filters: Sequence[Filter] = (), *, window: float = WINDOW, buffer: int = BUFFER) -> None:
        """Only nodes that pass all `filters` are given. They are asked twice, as what they go by may change while a node waits."""
        self._filters = tuple(filters)
        self._buffer = buffer
        self._sources: OrderedDict[str, deque[Candidate]] = OrderedDict()  # in the order in which they are asked next
        self._waiting: set[bytes] = set()
        self._given: Recent[bytes, None] = Recent(_REMEMBERED, window)

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, candidate: Candidate, now: float) -> bool:
        """A source has named a node; return whether it now waits to be taken."""
        node_id = candidate.record.id
        buffer = self._sources.setdefault(candidate.source, deque())
        if node_id in self._waiting or self._given.has(node_id, now) or len(buffer) >= self._buffer or not self._passes(candidate):
            return False
        buffer.append(candidate)
        self._waiting.add(node_id)
        return True

    def take(self, now: float) -> Candidate | None:
        """The next candidate, from the source that has not had its turn for longest; None if there is none."""
        for source, buffer in tuple(self._sources.items()):
            while buffer:
                candidate = buffer.popleft()
                self._waiting.discard(candidate.record.id)
                if self._passes(candidate):
                    self._sources.move_to_end(source)
                    self._given.set(candidate.record.id, None, now)
                    return candidate
        return None

    def _passes(self, candidate: Candidate) -> bool:
        return all(wanted(candidate.record) for wanted in self._filters)
