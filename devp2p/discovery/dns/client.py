"""Reading node lists in DNS (EIP-1459), sans-IO: `DnsClient` says which name to look up next, and makes records of the answers.

    next_query(now), next_timer()               what it wants to know, and when to ask it again
    answered, failed, put_back                  what came of a query: every one ends in one of these, in any order
    next_event()                                what it found, to be asked for after each of those

Theory of operation. A tree is read in passes. A pass begins with the root, whose signature must be that of the key in the URL, and whose
sequence number must not be lower than one that was there before. From there on every entry proves itself by its hash, so that it does not
matter who answers. Records are looked up in random order, as the specification recommends: so clients spread over a tree, and those of a
stranger who has many nodes side by side in it come no earlier than others. When all is read, the next pass begins half an hour after the
root was last seen; and it is for the owner to ask no further while it needs no nodes.

Whoever signs a tree, or answers for its domain, can still waste our time, and there is a bound to each way (`DnsLimits`): queries by rate,
trees by depth and number of entries, links to further trees by number, roots that change by restarts of a pass, entries that are not there
by how many may be missing in a row. Trees that the owner named get at least half of all queries, however many others they link to.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from devp2p.discovery.dns.events import DnsLimits, Event, LinkFound, QueryFailed, RecordFound
from devp2p.discovery.dns.tree import MAX_TEXT, ROOT_PREFIX, Branch, Root, TreeUrl, entry_name, has_hash, parse_entry
from devp2p.discovery.dns.walk import ReadTree, Walk
from devp2p.errors import DecodingError

_TEXTS: Final = 32  # of one answer that are looked at
_SEQUENCES: Final = 256  # trees whose sequence numbers are remembered


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A name to look up."""

    name: str
    tree: ReadTree
    walk: Walk | None
    """None: it is for the root."""
    entry: bytes = b""
    """The hash of the entry."""


class DnsClient:
    """A reader of trees. `sequences` is for the owner to keep, and to give to the next client."""

    def __init__(
        self,
        urls: Iterable[TreeUrl],
        *,
        random: Callable[[], float],
        sequences: Mapping[str, int] | None = None,
        once: bool = False,
        limits: DnsLimits | None = None,
    ) -> None:
        """Read the trees at `urls`, and those that they link to; with `once` in one pass, at the end of which the client is `done`.

        `random` gives numbers from 0 to below 1 which nobody else should be able to predict.
        """
        self._trees = {url.identity: ReadTree(url, linked=False) for url in urls}
        self._random = random
        self._once = once
        self._limits = limits or DnsLimits()
        self.sequences: dict[str, int] = dict(sequences or {})
        """The highest sequence number of each tree that was ever seen, by `TreeUrl.identity`: an older tree is not accepted."""
        self._events: deque[Event] = deque()
        self._spent_until = float("-inf")  # when the queries so far would be over, at the permitted rate

    @property
    def done(self) -> bool:
        """Whether all is read that there is to be read. There may still be events to take."""
        return all(tree.finished for tree in self._trees.values())

    def next_event(self) -> Event | None:
        """Take the oldest event."""
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        """When to call `next_query`; in the past if that should be at once. None while there is nothing to ask before an answer comes."""
        due = [self._due(tree) for tree in self._trees.values()]
        first = min((time for time in due if time is not None), default=None)
        return None if first is None else max(first, self._permitted_at)

    def next_query(self, now: float) -> Query | None:
        """The name to look up now, if there is one, and the rate permits it."""
        if now < self._permitted_at:
            return None
        # A root first: it decides about what else there is.
        tree = next((tree for tree in self._trees.values() if self._root_due(tree) <= now), None)
        if tree is None:
            tree = self._choose([tree for tree in self._trees.values() if tree.waiting])
            if tree is None:
                return None
            walk = tree.next_walk()
            entry = walk.take(self._random)
            query = Query(entry_name(entry, tree.url.domain), tree, walk, entry)
        else:
            tree.root_asked = True
            query = Query(tree.url.domain, tree, None)
        self._spent_until = max(self._spent_until, now) + 1 / self._limits.rate
        return query

    def answered(self, query: Query, texts: Sequence[str], now: float) -> None:
        """A lookup gave these texts, each of which is one TXT record, its strings joined."""
        if not self._matters(query):
            return
        texts = texts[:_TEXTS]
        if query.walk is None:
            self._take_root(query, texts, now)
        else:
            text = next((text for text in texts if text.isascii() and len(text) <= MAX_TEXT and has_hash(text, query.entry)), None)
            if text is None:
                self._fail(query, f"none of {len(texts)} texts has the hash", now)
            else:
                self._take_entry(query, query.walk, text, now)

    def failed(self, query: Query, why: str, now: float) -> None:
        """A lookup gave nothing, and this one line says why."""
        if self._matters(query):
            self._fail(query, why, now)

    def put_back(self, query: Query) -> None:
        """A lookup was broken off: it is as if it had not been asked for, except that it counts in the rate."""
        if not self._matters(query):
            return
        if query.walk is None:
            query.tree.root_asked = False
        else:
            query.walk.put_back(query.entry)

    # ------------------------------------------------------------------------------------------------------------------ what to ask

    @property
    def _permitted_at(self) -> float:
        return self._spent_until - (self._limits.burst - 1) / self._limits.rate

    def _due(self, tree: ReadTree) -> float | None:
        due = float("-inf") if tree.waiting else self._root_due(tree)
        return None if due == float("inf") else due

    def _root_due(self, tree: ReadTree) -> float:
        return float("inf") if tree.finished or tree.root_asked else tree.root_due

    def _choose(self, trees: list[ReadTree]) -> ReadTree | None:
        named = [tree for tree in trees if not tree.linked]
        linked = [tree for tree in trees if tree.linked]
        if named and linked:
            trees = named if self._random() < 0.5 else linked
        return trees[int(self._random() * len(trees))] if trees else None

    def _matters(self, query: Query) -> bool:
        """Whether a query is for something that is still being read."""
        tree = query.tree
        if self._trees.get(tree.url.identity) is not tree:
            return False
        return tree.root_asked if query.walk is None else query.walk in (tree.records, tree.links)

    # ---------------------------------------------------------------------------------------------------------------- what was said

    def _take_root(self, query: Query, texts: Sequence[str], now: float) -> None:
        tree = query.tree
        roots: list[Root] = []
        why = f"none of {len(texts)} texts is the root of a tree"
        for text in texts:
            if not text.startswith(ROOT_PREFIX):
                continue
            try:
                roots.append(self._verified(Root.parse(text), tree.url))
            except DecodingError as error:
                why = str(error)
        if not roots:
            self._fail(query, why, now)
            return
        root = max(roots, key=lambda root: root.sequence)
        self._remember(tree.url.identity, root.sequence)
        tree.accept_root(root, now, self._limits)
        self._settle(tree, now)

    def _verified(self, root: Root, url: TreeUrl) -> Root:
        if not root.is_signed_by(url.public_key):
            raise DecodingError("the root is not signed by the key in the URL")
        highest = self.sequences.get(url.identity, 0)
        if root.sequence < highest:
            raise DecodingError(f"the root has the sequence number {root.sequence}, where {highest} was there before")
        return root

    def _take_entry(self, query: Query, walk: Walk, text: str, now: float) -> None:
        """An entry that is signed: if it makes no sense, to ask for it again, or for the root, would not help."""
        tree = query.tree
        tree.in_a_row = 0
        is_link_half = walk is tree.links
        try:
            entry = parse_entry(text)
            if not isinstance(entry, Branch) and isinstance(entry, TreeUrl) != is_link_half:
                raise DecodingError(f"a {'record' if is_link_half else 'link'} in the wrong half of the tree")
        except DecodingError as error:
            tree.invalid += 1
            self._events.append(QueryFailed(tree.url, query.name, str(error)))
        else:
            if isinstance(entry, Branch):
                tree.left_out += walk.descend(query.entry, entry.children, self._room(tree), self._limits.depth)
            elif isinstance(entry, TreeUrl):
                self._events.append(LinkFound(tree.url, entry, self._follow(entry, tree)))
            else:
                tree.found += 1
                self._events.append(RecordFound(tree.url, entry))
        walk.found()
        self._settle(tree, now)

    def _fail(self, query: Query, why: str, now: float) -> None:
        tree, limits = query.tree, self._limits
        self._events.append(QueryFailed(tree.url, query.name, why))
        if query.walk is None:
            tree.reject_root(now, limits)
            if self._once and tree.root is None and tree.root_failures >= limits.root_attempts:
                self._end_pass(tree)
            else:
                self._settle(tree, now)
            return
        query.walk.failed(query.entry)
        tree.failures += 1
        tree.in_a_row += 1
        if tree.in_a_row >= limits.patience:
            if not tree.root_failures:  # else it is likely that nothing can be looked up, and the root says when that is over
                tree.root_due = now + limits.recheck
            self._end_pass(tree)
            return
        if tree.failures >= limits.failures:
            tree.doubt(now)
        self._settle(tree, now)

    # ------------------------------------------------------------------------------------------------------------ passes and links

    def _settle(self, tree: ReadTree, now: float) -> None:
        """See whether that was the last entry of the links, or of the tree."""
        if tree.links is None or tree.records is None:
            return
        if not tree.links.unread and tree.take_over_links() and not self._once:
            self._drop_unlinked()
        if tree.links.unread or tree.records.unread:
            return
        if tree.failures:
            tree.doubt(now)  # a root that has changed meanwhile brings what was missing
        if not tree.doubtful:
            self._end_pass(tree)

    def _end_pass(self, tree: ReadTree) -> None:
        self._events.append(tree.end_pass())
        tree.finished = self._once

    def _room(self, tree: ReadTree) -> int:
        room = self._limits.entries - len(tree)
        if tree.linked:
            room = min(room, self._limits.linked_entries - sum(len(each) for each in self._trees.values() if each.linked))
        return max(0, room)

    def _follow(self, target: TreeUrl, source: ReadTree) -> bool:
        """Read a tree that another one links to, if there is room for it. False if there is not."""
        identity = target.identity
        if identity not in self._trees:
            if sum(tree.linked for tree in self._trees.values()) >= self._limits.linked_trees:
                return False
            self._trees[identity] = ReadTree(target, linked=True)
        source.new_targets.add(identity)
        return True

    def _drop_unlinked(self) -> None:
        """Forget the trees to which no chain of links leads any more from those that the owner named."""
        reached: set[str] = set()
        new = {identity for identity, tree in self._trees.items() if not tree.linked}
        while new:
            reached |= new
            new = {target for identity in new if identity in self._trees for target in self._trees[identity].all_targets} - reached
        self._trees = {identity: tree for identity, tree in self._trees.items() if identity in reached}

    def _remember(self, identity: str, sequence: int) -> None:
        self.sequences.pop(identity, None)
        self.sequences[identity] = sequence  # as the newest of those that are remembered
        if len(self.sequences) > _SEQUENCES:
            named = {identity for identity, tree in self._trees.items() if not tree.linked}
            oldest = next((each for each in self.sequences if each not in named), None)
            if oldest is not None:
                del self.sequences[oldest]
