"""Tables as they are filled, beside tables that grew: by go-ethereum's lookups, in a network that its nodes join and leave."""

import random
from statistics import mean, quantiles

import pytest

from tools.crawler.simulated.population import BUCKETS, Contact, Member, Plan, Population, Ring
from tools.crawler.simulated.tables import BUCKET_SIZE, Bucket, Filling, Table

pytestmark = pytest.mark.simulation

NODES, ROUNDS, LEAVING = 400, 6, 0.15


def population(nodes: int) -> Population:
    return Population(Plan(nodes=nodes, seed=11, dead=0, liars=0, tar_pits=0, bombs=0), [1, 2, 3])


class Growth:
    """A network whose nodes look each other up, as go-ethereum's do, and ping whom they know."""

    def __init__(self, joining: list[Member], dice: random.Random) -> None:
        self.joining = joining
        self.dice = dice
        self.nodes: dict[int, Member] = {}
        self.tables: dict[int, Table] = {}

    def join(self) -> None:
        member = self.joining.pop()
        self.tables[member.number] = Table(member.number, [Bucket([], []) for _ in range(BUCKETS)])
        self.nodes[member.number] = member
        self.refresh(member)

    def leave(self) -> None:
        """Somebody goes, and those who know it find out when they ping it."""
        gone = self.dice.choice([*self.nodes])
        del self.nodes[gone], self.tables[gone]
        for table in self.tables.values():
            for bucket in table.buckets:
                bucket.replacements = [contact for contact in bucket.replacements if contact.number != gone]
            table.revalidated(gone, alive=False)

    def refresh(self, member: Member) -> None:
        self._meet(self.tables[member.number], self.nodes[self.dice.choice([*self.nodes])])
        for target in (member.number, *(self.dice.getrandbits(256) for _ in range(3))):
            self._look_up(member, target)

    def _look_up(self, searcher: Member, target: int) -> None:
        """go-ethereum's lookup (p2p/discover/lookup.go): ask the closest 16 that are known, until all of them were asked."""
        own = self.tables[searcher.number]
        closest = {contact.number: contact for contact in own.closest(target)}
        asked = {searcher.number}
        while waiting := [number for number in sorted(closest, key=lambda number: number ^ target)[:BUCKET_SIZE] if number not in asked]:
            asked.add(waiting[0])
            other = self.tables[waiting[0]]
            answer = other.closest(target)
            self._meet(other, searcher)
            for contact in answer:
                self._meet(own, contact)
                if contact.number != searcher.number:
                    closest[contact.number] = contact

    @staticmethod
    def _meet(table: Table, contact: Contact) -> None:
        if table.add_inbound(contact):
            table.revalidated(contact.number, alive=True)


def likeness(tables: dict[int, Table], nodes: list[Member]) -> tuple[float, float, list[float]]:
    """What a crawler would notice: entries of a table, the share of near nodes that are known, and tenths of how many know a node."""
    ring: Ring[Member] = Ring(nodes)
    known_by = dict.fromkeys(tables, 0)
    for table in tables.values():
        for bucket in table.buckets:
            for contact in bucket.entries:
                known_by[contact.number] += 1
    near = known = 0
    for number, table in tables.items():
        for distance in range(241, 257):
            there = ring.at(number, distance)
            if len(there) <= BUCKET_SIZE:
                near += len(there)
                known += len(table.at_distance(distance))
    return mean(known_by.values()), known / near, quantiles(known_by.values(), n=10)


def test_tables_are_filled_as_they_would_have_grown():
    growth = Growth(population(3 * NODES).members, random.Random(3))
    for _ in range(NODES):
        growth.join()
    for _ in range(ROUNDS):
        for _ in range(round(NODES * LEAVING)):
            growth.leave()
            growth.join()
        for member in [*growth.nodes.values()]:
            growth.refresh(member)
    ours = population(NODES)
    filling = Filling(ours.ring)
    tables = {member.number: filling.table(member, random.Random(member.index)) for member in ours.members}

    entries, near, tenths = likeness(tables, ours.members)
    entries_grown, near_grown, tenths_grown = likeness(growth.tables, [*growth.nodes.values()])
    shown = f"filled {entries:.1f} {tenths}, grown {entries_grown:.1f} {tenths_grown}"
    assert near == 1, shown
    assert near_grown > 0.9, shown
    assert entries == pytest.approx(entries_grown, rel=0.1), shown
    assert [tenth / entries for tenth in tenths] == pytest.approx([tenth / entries_grown for tenth in tenths_grown], abs=0.25), shown
