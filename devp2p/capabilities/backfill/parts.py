"""Which bodies, or receipts, to ask whom for, pure."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

from devp2p.capabilities.ethereum.blocks import Header

P = TypeVar("P", bound=Hashable)

WINDOW = 2048
"""Blocks that are known to be wanted at a time; the others wait in the journal."""


class Parts(Generic[P]):
    """The blocks of which one part, the body or the receipts, is wanted.

    What a peer leaves out is asked for elsewhere. An answer that breaks off may have been cut where it was long enough, so its rest may be
    asked of anybody. A gap says that the peer does not have it. So does an answer of nothing, of all that it was asked for; or, where
    answers end at what is missing, as those with receipts do, of the first (`ends_at_gaps`).
    """

    def __init__(self, *, ends_at_gaps: bool = False) -> None:
        self._ends_at_gaps = ends_at_gaps
        self._wanted: dict[int, Header] = {}  # by number, those that nobody is asked for
        self._asked = 0
        self._lacking: dict[int, set[P]] = {}

    @property
    def room(self) -> int:
        """How many more blocks `add` may be given."""
        return max(0, WINDOW - len(self._wanted) - self._asked)

    def __len__(self) -> int:
        return len(self._wanted) + self._asked

    def add(self, headers: Iterable[Header]) -> None:
        """So many more blocks are wanted."""
        self._wanted.update((header.number, header) for header in headers)

    def take(self, peer: P, most: int) -> tuple[Header, ...]:
        """Choose what to ask a peer for; nothing, if it has none of what is wanted."""
        chosen: list[Header] = []
        for number, header in self._wanted.items():
            if peer not in self._lacking.get(number, ()):
                chosen.append(header)
                if len(chosen) == most:
                    break
        for header in chosen:
            del self._wanted[header.number]
        self._asked += len(chosen)
        return tuple(chosen)

    def put(self, peer: P, asked: Sequence[Header], brought: Sequence[bool]) -> None:
        """Take in which of the blocks it was asked for a peer has brought."""
        self._asked -= len(asked)
        last = max((place for place, came in enumerate(brought) if came), default=1 if self._ends_at_gaps else len(asked))
        for place, (header, came) in enumerate(zip(asked, brought, strict=True)):
            if came:
                self._lacking.pop(header.number, None)
                continue
            if place < last:
                self._lacking.setdefault(header.number, set()).add(peer)
            self._wanted[header.number] = header

    def give_back(self, asked: Sequence[Header]) -> None:
        """The peer did not answer: anybody may be asked."""
        self._asked -= len(asked)
        self.add(asked)

    def forgive(self) -> None:
        """All peers may be asked again for what they did not have."""
        self._lacking.clear()
