"""What a `DnsClient` tells its owner, one by one through `next_event`, and the bounds that it keeps to (pure)."""

from dataclasses import dataclass
from typing import TypeAlias

from devp2p.arguments import check_bounds
from devp2p.discovery.dns.tree import Root, TreeUrl
from devp2p.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsLimits:
    """The bounds of reading trees. Times are in seconds."""

    rate: float = 3.0
    """DNS queries a second, for all trees together."""
    burst: int = 10
    """Queries at once, after a while without any."""
    depth: int = 8
    """Entries on the way from a root to a leaf; thirteen children a branch make that enough for hundreds of millions."""
    entries: int = 50_000
    """Entries of one tree that are read in one pass."""
    linked_trees: int = 8
    """Trees that are read because others link to them, in all."""
    linked_entries: int = 100_000
    """Entries of all these trees together."""
    recheck: float = 1800.0
    """How long a root is taken for the newest, and the time from one pass to the next."""
    failures: int = 5
    """Entries that could not be had until it is time to see whether the root has changed."""
    patience: int = 20
    """The same in a row until a pass is broken off."""
    root_attempts: int = 3
    """How often a root is asked for in a client that makes one pass only."""
    root_retry: float = 5.0
    """When a root is asked for again that could not be had; each time twice as long, up to five minutes."""
    restarts: int = 3
    """How often a pass begins anew because the root has changed."""

    def __post_init__(self) -> None:
        check_bounds(self, frozenset({"linked_trees", "linked_entries", "root_retry", "restarts"}))


@dataclass(frozen=True, slots=True)
class RecordFound:
    """A tree has this node."""

    url: TreeUrl
    record: Record


@dataclass(frozen=True, slots=True)
class LinkFound:
    """A tree has a link, here in the order of the tree."""

    url: TreeUrl
    target: TreeUrl
    followed: bool
    """False where there are too many linked trees already. True also where the target is being read in any case."""


@dataclass(frozen=True, slots=True)
class QueryFailed:
    """Something that a tree should have could not be had."""

    url: TreeUrl
    name: str
    """The DNS name."""
    why: str
    """What the resolver said, or what was wrong with the answer: one printable line."""


@dataclass(frozen=True, slots=True)
class PassEnded:
    """A tree has been read as far as it could be."""

    url: TreeUrl
    root: Root | None
    """None if there is none to be had that is valid and not older than one that was there before."""
    records: int
    """Records that were found."""
    missing: int
    """Entries that could not be had."""
    invalid: int
    """Entries that are signed, but make no sense."""
    left_out: int
    """Entries that were too deep or too many."""

    @property
    def complete(self) -> bool:
        """Whether all of the tree was read, but for what makes no sense."""
        return self.root is not None and not self.missing and not self.left_out


Event: TypeAlias = RecordFound | LinkFound | QueryFailed | PassEnded
