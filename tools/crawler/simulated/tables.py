"""The routing tables of simulated nodes (pure): go-ethereum's buckets, as they are in a network that has run for long.

The rules are those of go-ethereum 1.17 (p2p/discover/table.go): 17 buckets of 16 entries, one for each logarithmic distance from 256 to
241, and one for all that is nearer; 10 replacements a bucket, the newest first. Who comes when its bucket is full becomes a replacement,
and who stops answering makes room for one of them. Its limits on addresses do not hold for loopback ones. Answers to others tell of entries
that were seen alive.

How tables are filled. A go-ethereum node that starts looks up its own ID and three random ones, and again every 15 to 30 minutes; others
meet it when they do so, or it them. So it comes to know *all* nodes near itself: whatever is in the last buckets, where fewer exist than
fit. Of distant buckets it meets far more than 16; the first that answer stay as long as they do so, and each that leaves is followed by a
replacement. So the entries of a full bucket are chosen by chance, and nodes that have been there for long are chosen more often: where
nodes come and go, a node is known by others about in proportion to its age, which is how it is done here
(tests/crawler/test_simulated_growth.py lets tables grow, and compares).
Revalidation asks one node of the whole table every 4.5 s on average; a table has some 170 entries, so it comes past a dead one after about
13 minutes. Each table has forgotten the dead with the probability that follows from when they died, and has others in their place.

While the simulation runs nobody dies or is forgotten: the tables stand still, but for who comes from outside and asks.
"""

import math
import random
from array import array
from collections.abc import Iterator
from typing import Final

from tools.crawler.simulated.population import BUCKETS, NEAREST, Contact, Kind, Member, Ring

BUCKET_SIZE: Final = 16
REPLACEMENTS: Final = 10
REVALIDATED_WITHIN: Final = 780.0
"""Seconds until revalidation comes to an entry, on average."""
_TRIED: Final = 3 * (BUCKET_SIZE + REPLACEMENTS)  # of a bucket that could be much larger: some are dead and forgotten, some too young


class Bucket:
    """Nodes at one distance."""

    __slots__ = ("entries", "replacements")

    def __init__(self, entries: list[Contact], replacements: list[Contact]) -> None:
        self.entries = entries
        """In the order in which they came."""
        self.replacements = replacements
        """Newest first."""


class Table:
    """The table of one node for one version of discovery."""

    def __init__(self, owner: int, buckets: list[Bucket]) -> None:
        """`owner` is a node-ID as a number, `buckets` are there from the most distant to the nearest."""
        self.owner = owner
        self.buckets = buckets
        self.unproved: set[int] = set()
        """The node-IDs of entries that have not answered yet; others are not told of them."""

    def closest(self, target: int, count: int = BUCKET_SIZE) -> list[Contact]:
        """The entries closest to a node-ID: what FindNode of v4 is answered."""
        found: list[Contact] = []
        for bucket in self._by_distance_from(target):
            found += [contact for contact in bucket if contact.number not in self.unproved]
            if len(found) >= count:
                break
        found.sort(key=lambda contact: contact.number ^ target)
        return found[:count]

    def _by_distance_from(self, target: int) -> Iterator[list[Contact]]:
        """All entries in groups, of which each is closer to `target` than the next."""
        home = _place((target ^ self.owner).bit_length())
        yield self.buckets[home].entries
        yield [contact for bucket in self.buckets[home + 1 :] for contact in bucket.entries]
        for bucket in reversed(self.buckets[:home]):
            yield bucket.entries

    def at_distance(self, distance: int) -> list[Contact]:
        """The entries of one bucket, 1 to 256: what FINDNODE of v5 is answered. All distances below 241 mean the same bucket."""
        return [contact for contact in self._at(distance).entries if contact.number not in self.unproved]

    def add_inbound(self, contact: Contact) -> bool:
        """Take in a node that has proved where it is; True if it became an entry, which has to be pinged before others are told of it."""
        if contact.number == self.owner:
            return False
        bucket = self._at((contact.number ^ self.owner).bit_length())
        for place, known in enumerate(bucket.entries):
            if known.number == contact.number:
                bucket.entries[place] = contact
                return False
        if len(bucket.entries) < BUCKET_SIZE:
            bucket.replacements = [known for known in bucket.replacements if known.number != contact.number]
            bucket.entries.append(contact)
            self.unproved.add(contact.number)
            return True
        if all(known.number != contact.number for known in bucket.replacements):
            bucket.replacements = [contact, *bucket.replacements][:REPLACEMENTS]
        return False

    def revalidated(self, number: int, *, alive: bool) -> None:
        """An entry was pinged: it stays, or the bucket lets it go and takes a replacement."""
        self.unproved.discard(number)
        if alive:
            return
        bucket = self._at((number ^ self.owner).bit_length())
        before = len(bucket.entries)
        bucket.entries = [contact for contact in bucket.entries if contact.number != number]
        if len(bucket.entries) < before and bucket.replacements:
            follower = bucket.replacements.pop(number % len(bucket.replacements))
            bucket.entries.append(follower)

    def _at(self, distance: int) -> Bucket:
        return self.buckets[_place(distance)]


def _place(distance: int) -> int:
    """Which bucket is for the nodes at a distance."""
    return BUCKETS - 1 if distance <= NEAREST else 256 - distance


class Filling:
    """Fills the tables of one network."""

    def __init__(self, ring: Ring[Member]) -> None:
        self._ring = ring
        # By place in the ring, in one piece of memory each: these are looked at some six hundred times for each table.
        self._kept = array("d", [1.0 if node.kind is not Kind.DEAD else math.exp(-node.dead_for / REVALIDATED_WITHIN) for node in ring])
        self._ages = array("d", [node.age for node in ring])

    def table(self, owner: Member, dice: random.Random) -> Table:
        """The table that a node has come to in a network that has lived for long."""
        ring, number = self._ring, owner.number
        buckets = [self._bucket(ring.at(number, distance), number, dice) for distance in range(256, NEAREST, -1)]
        buckets.append(self._bucket(ring.within(number, NEAREST), number, dice))
        return Table(number, buckets)

    def _bucket(self, there: range, owner: int, dice: random.Random) -> Bucket:
        kept, ages, chance = self._kept, self._ages, dice.random
        old: list[int] = []
        young: list[int] = []
        for index in _met(there, dice):
            if chance() >= kept[index]:
                continue  # it is dead, and forgotten
            (old if chance() < ages[index] else young).append(index)
            if len(old) > BUCKET_SIZE + REPLACEMENTS:
                break
        members = self._ring.nodes
        nodes: list[Contact] = [
            node for node in map(members.__getitem__, (old + young)[: BUCKET_SIZE + REPLACEMENTS + 1]) if node.number != owner
        ]
        del nodes[BUCKET_SIZE + REPLACEMENTS :]
        return Bucket(nodes[:BUCKET_SIZE], nodes[BUCKET_SIZE:])


def _met(there: range, dice: random.Random) -> Iterator[int]:
    """Some of many, or all of few, in the order in which they are met."""
    size, start, chance = len(there), there.start, dice.random
    if size < 4 * _TRIED:
        yield from dice.sample(there, min(size, _TRIED))
        return
    met: set[int] = set()
    while len(met) < _TRIED:
        index = start + int(chance() * size)
        if index not in met:
            met.add(index)
            yield index
