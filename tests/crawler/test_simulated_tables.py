"""The tables of simulated nodes keep go-ethereum's rules, and are filled as they are in a network that has run for long."""

import random
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from tools.crawler.simulated.population import BUCKETS, NEAREST, Asker, Contact, Kind, Member, Plan, Population, Ring
from tools.crawler.simulated.tables import BUCKET_SIZE, REPLACEMENTS, Bucket, Filling, Table

NUMBERS = st.integers(0, 2**256 - 1)


@cache
def population() -> Population:
    return Population(Plan(nodes=1200, seed=5), [1, 2, 3])


@cache
def filling() -> Filling:
    return Filling(population().ring)


def table_of(member: Member) -> Table:
    return filling().table(member, random.Random(member.index))


def asker(number: int) -> Asker:
    return Asker(number, b"", b"")


def near(owner: int, offset: int) -> int:
    """A node-ID that is about 2**offset away."""
    return owner ^ (1 << offset)


@given(NUMBERS, st.lists(st.integers(0, 255), max_size=60), NUMBERS)
def test_the_closest_are_those_that_are_closest(owner: int, offsets: list[int], target: int):
    table = Table(owner, [Bucket([], []) for _ in range(BUCKETS)])
    for index, offset in enumerate(offsets):
        table.add_inbound(asker(near(owner, offset) ^ (index if offset > 8 else 0)))
    entries = {contact.number for bucket in table.buckets for contact in bucket.entries}
    assert table.closest(target) == []  # none of them was seen alive
    for number in entries:
        table.revalidated(number, alive=True)
    assert [contact.number for contact in table.closest(target)] == sorted(entries, key=lambda number: number ^ target)[:BUCKET_SIZE]


def test_buckets_are_of_one_distance_each_and_never_too_full():
    for member in population().members[::40]:
        table = table_of(member)
        for place, bucket in enumerate(table.buckets):
            nodes: list[Contact] = [*bucket.entries, *bucket.replacements]
            distances = {(node.number ^ member.number).bit_length() for node in nodes}
            assert distances <= {256 - place} if place < BUCKETS - 1 else max(distances, default=0) <= NEAREST
            assert len(bucket.entries) <= BUCKET_SIZE
            assert len(bucket.replacements) <= REPLACEMENTS
            assert not bucket.replacements or len(bucket.entries) == BUCKET_SIZE
            assert len({node.number for node in nodes}) == len(nodes)
            assert member.number not in {node.number for node in nodes}


def test_a_node_knows_all_that_live_near_it_and_everybody_is_known():
    ring: Ring[Member] = population().ring
    known: set[int] = set()
    for member in population().members:
        table = table_of(member)
        known |= {contact.number for bucket in table.buckets for contact in bucket.entries}
        for distance in range(241, 257):
            there = [ring[index] for index in ring.at(member.number, distance)]
            if len(there) <= BUCKET_SIZE:
                alive = {node.number for node in there if node.kind is not Kind.DEAD}
                assert alive <= {contact.number for contact in table.at_distance(distance)}
    assert {member.number for member in population().members if member.reachable} <= known


def test_the_dead_are_known_less_the_longer_they_are_dead():
    members = population().members
    dead = {member.number: member.dead_for for member in members if member.kind is Kind.DEAD}
    named = [
        dead[contact.number]
        for member in members[::3]
        for contact in table_of(member).closest(member.number ^ 2**255)
        if contact.number in dead
    ]
    entries = sum(len(table_of(member).closest(member.number ^ 2**255)) for member in members[::3])
    lately = sum(1 for age in named if age < 300)
    long_ago = sum(1 for age in named if age > 1500)
    assert lately > 2 * long_ago > 0
    assert 0.1 < len(named) / entries < 0.35


def test_who_comes_from_outside_is_told_of_when_it_was_seen_alive_and_forgotten_when_it_was_not():
    owner = population().bootnode
    table = table_of(owner)
    newcomer = asker(near(owner.number, 200))
    assert table.add_inbound(newcomer)
    assert not table.add_inbound(newcomer)
    assert newcomer not in table.closest(newcomer.number)
    table.revalidated(newcomer.number, alive=True)
    assert table.closest(newcomer.number)[0] == newcomer
    table.revalidated(newcomer.number, alive=False)
    assert newcomer not in table.closest(newcomer.number)

    distant = asker(near(owner.number, 255))
    assert not table.add_inbound(distant)  # its bucket is full
    assert table.buckets[0].replacements[0] == distant
    assert len(table.buckets[0].replacements) == REPLACEMENTS
    leaving = table.buckets[0].entries[3]
    table.revalidated(leaving.number, alive=False)
    assert len(table.buckets[0].entries) == BUCKET_SIZE
    assert leaving not in table.buckets[0].entries
