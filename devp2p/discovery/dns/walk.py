"""Where the reading of one tree stands: which entries are known, which are still to be asked for (pure; used by `DnsClient`)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from devp2p.discovery.dns.events import DnsLimits, PassEnded
from devp2p.discovery.dns.tree import Root, TreeUrl

_KEY: Final = 12  # bytes of a hash that tell entries apart: the shortest that a branch may name one by
_LONGEST_RETRY: Final = 300.0


class Walk:
    """One half of a tree on the way from its top to its leaves. Each entry is asked for twice at most, however often branches name it."""

    __slots__ = ("_again", "_depths", "_in_order", "_second_round", "_waiting", "asked", "missing")

    def __init__(self, top: bytes, *, in_order: bool) -> None:
        """`in_order` takes the leaves in the order of the tree, else any entry is as likely to be the next as any other."""
        self._depths = {top[:_KEY]: 1}
        self._waiting = [top]
        self._again: list[bytes] = []
        self._second_round = False
        self._in_order = in_order
        self.asked: int = 0
        """Entries that somebody is asking for now."""
        self.missing: int = 0
        """Entries that were given up."""

    def __len__(self) -> int:
        """Entries that are known of."""
        return len(self._depths)

    @property
    def waiting(self) -> bool:
        """Whether there is an entry to ask for now."""
        return bool(self._waiting)

    @property
    def unread(self) -> int:
        """Entries that are known of, and neither there nor given up."""
        return len(self._waiting) + len(self._again) + self.asked

    def take(self, random: Callable[[], float]) -> bytes:
        """The next entry to ask for."""
        self.asked += 1
        last = len(self._waiting) - 1
        chosen = last if self._in_order else int(random() * len(self._waiting))
        self._waiting[chosen], self._waiting[last] = self._waiting[last], self._waiting[chosen]
        return self._waiting.pop()

    def put_back(self, entry: bytes) -> None:
        """An entry that was taken was not asked for after all."""
        self.asked -= 1
        self._waiting.append(entry)

    def found(self) -> None:
        """An entry that was taken is there."""
        self.asked -= 1
        self._next_round()

    def failed(self, entry: bytes) -> None:
        """An entry that was taken could not be had: it gets a second chance when all others have had their first."""
        self.asked -= 1
        if self._second_round:
            self.missing += 1
        else:
            self._again.append(entry)
        self._next_round()

    def descend(self, parent: bytes, children: tuple[bytes, ...], room: int, depth: int) -> int:
        """A branch has these children. At most `room` new ones, and none deeper than `depth`, are taken in; gives how many were not."""
        below = self._depths[parent[:_KEY]] + 1
        new: list[bytes] = []
        left_out = 0
        for child in children:
            if child[:_KEY] in self._depths:
                continue
            if below > depth or len(new) >= room:
                left_out += 1
                continue
            self._depths[child[:_KEY]] = below
            new.append(child)
        self._waiting += reversed(new)  # the first is the next one
        return left_out

    def _next_round(self) -> None:
        if self._again and not self._waiting and not self.asked:
            self._waiting, self._again, self._second_round = self._again[::-1], [], True


@dataclass(slots=True, eq=False)
class ReadTree:
    """A tree that is read, again and again."""

    url: TreeUrl
    linked: bool
    """It is read because another tree links to it."""
    root: Root | None = None
    root_due: float = float("-inf")
    """When to ask for the root."""
    root_asked: bool = False
    root_failures: int = 0
    """In a row."""
    resting: bool = True
    """Between two passes: nothing is done until the root is due."""
    finished: bool = False
    """There will be no further pass."""
    records: Walk | None = None
    links: Walk | None = None
    targets: set[str] = field(default_factory=set[str])
    """The identities of the trees that it links to, as far as they are read, when its links were last read."""
    new_targets: set[str] = field(default_factory=set[str])
    """The same as far as its links are read now."""
    failures: int = 0
    """Entries that could not be had since the root was asked for."""
    in_a_row: int = 0
    """The same, since an entry was there."""
    restarts: int = 0
    found: int = 0
    invalid: int = 0
    left_out: int = 0
    doubtful: bool = False
    """Entries are missing, and it is not known yet whether that is because there is a new root."""
    _links_taken_over: bool = False
    _turns: int = 0

    def __len__(self) -> int:
        """Entries that are known of."""
        return sum(len(walk) for walk in (self.records, self.links) if walk is not None)

    @property
    def waiting(self) -> bool:
        """Whether there is an entry to ask for now."""
        return any(walk is not None and walk.waiting for walk in (self.records, self.links))

    def next_walk(self) -> Walk:
        """The half to read on in: both in turn, so that neither holds up the other. Only if something is `waiting`."""
        halves = [walk for walk in (self.links, self.records) if walk is not None and walk.waiting]
        self._turns += 1
        return halves[self._turns % len(halves)]

    @property
    def all_targets(self) -> set[str]:
        """The trees that it links to by what is known so far."""
        return self.targets | self.new_targets

    def doubt(self, now: float) -> None:
        """Entries are missing: see whether the root has changed, unless it could not be had itself."""
        self.failures = 0
        if not self.root_failures:
            self.doubtful = True
            self.root_due = min(self.root_due, now)

    def accept_root(self, root: Root, now: float, limits: DnsLimits) -> None:
        """Take a root that is valid: begin a pass, or go on with the one that is under way, which may have to begin anew in part."""
        old, self.root = self.root, root
        self.root_asked = self.doubtful = False
        self.root_due, self.root_failures, self.failures = now + limits.recheck, 0, 0
        if self.resting or old is None:
            self.resting = False
            self.in_a_row = self.restarts = self.found = self.invalid = self.left_out = 0
            self._read_records(root)
            self._read_links(root)
        elif (old.records, old.links) != (root.records, root.links):
            if self.restarts == limits.restarts:
                self.root = old  # read on in what was there
                return
            self.restarts += 1
            self.in_a_row = 0
            if old.records != root.records:
                self._read_records(root)
            if old.links != root.links:
                self._read_links(root)

    def reject_root(self, now: float, limits: DnsLimits) -> None:
        """There is no root to be had that is valid; what is under way goes on with the last one."""
        self.root_asked = self.doubtful = False
        self.failures = 0
        self.root_failures += 1
        self.root_due = now + min(limits.root_retry * 2 ** min(self.root_failures - 1, 16), _LONGEST_RETRY)

    def take_over_links(self) -> bool:
        """All links are read: those found now replace those of before, unless some are missing. False if that was so already."""
        if self._links_taken_over or self.links is None or self.links.missing:
            return False
        self._links_taken_over = True
        self.targets = self.new_targets
        return True

    def end_pass(self) -> PassEnded:
        """Rest until the root is due, and forget what was read."""
        missing = sum(walk.missing + walk.unread for walk in (self.records, self.links) if walk is not None)
        ended = PassEnded(self.url, self.root, self.found, missing, self.invalid, self.left_out)
        self.resting, self.records, self.links = True, None, None
        self.root_asked = self.doubtful = False
        return ended

    def _read_records(self, root: Root) -> None:
        self.records, self.found = Walk(root.records, in_order=False), 0

    def _read_links(self, root: Root) -> None:
        self.links, self.new_targets, self._links_taken_over = Walk(root.links, in_order=True), set(), False
