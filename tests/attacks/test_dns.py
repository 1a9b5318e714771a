"""Row D21 of THREATS.md: trees that are made to do harm, read over a resolver of their owner's choice.

At most three queries a second after a burst of ten, bounded memory, an end; and the records of honest trees all the same. That no tree is
rolled back is in test_dns_rollback.py. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import itertools
import random
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import TypeVar

import pytest
import trio

from devp2p.discovery.dns.client import DnsClient
from devp2p.discovery.dns.events import DnsLimits, Event, LinkFound, PassEnded, QueryFailed, RecordFound
from devp2p.discovery.dns.source import DnsSource, LookupFailed, records
from devp2p.discovery.dns.tree import MAX_TEXT, Branch, TreeUrl, entry_name, hash_of
from tests.discovery.zones import DOMAIN, EAGER, KEY, URL, Zone, assert_rate_kept, record, tree, url

T = TypeVar("T")

EMPTY = "enrtree-branch:"


class Lying(Zone):
    """A resolver that can answer anything."""

    def __init__(self, lie: Callable[[str], Sequence[str] | None]) -> None:
        super().__init__()
        self.lie = lie

    def answer(self, name: str) -> Sequence[str]:
        lie = self.lie(name)
        return super().answer(name) if lie is None else lie


async def read_all(zone: Zone, *urls: TreeUrl, limits: DnsLimits | None = None) -> list[Event]:
    """Everything that happens in a single pass, which has to end, and to keep to the rate."""
    source = DnsSource(urls or [URL], zone, once=True, limits=limits)
    events: list[Event] = []
    while (event := await source.next_event()) is not None:
        events.append(event)
    bounds = limits or DnsLimits()
    assert_rate_kept([time for time, _ in zone.asked], bounds.rate, bounds.burst)
    return events


def of(events: list[Event], kind: type[T]) -> list[T]:
    return [event for event in events if isinstance(event, kind)]


async def test_d21_an_honest_tree_is_read_at_the_permitted_rate():
    zone = Zone()
    zone.publish(tree(100))
    begun = trio.current_time()
    assert len(of(await read_all(zone), RecordFound)) == 100
    assert trio.current_time() - begun == pytest.approx((len(zone.names) - 10) / 3)


async def test_d21_control_without_a_rate_it_is_read_at_once():
    zone = Zone()
    zone.publish(tree(100))
    begun = trio.current_time()
    assert len(of(await read_all(zone, limits=EAGER), RecordFound)) == 100
    assert trio.current_time() == begun


async def test_d21_slow_answers_do_not_add_up_to_a_larger_burst():
    zone = Zone()
    zone.publish(tree(100))
    source = DnsSource([URL], zone)
    zone.delay = 4.0
    for _ in range(20):
        await anext(source)
    zone.delay = 0.0
    await trio.sleep(1000.0)
    for _ in range(80):
        await anext(source)
    assert_rate_kept([time for time, _ in zone.asked])


async def read_linked(seed: int, limits: DnsLimits | None = None) -> list[Event]:
    """Read two of thirty trees that link to each other, and to themselves, in every way."""
    rng = random.Random(seed)
    zone = Zone()
    domains = [f"n{number}.org" for number in range(30)]
    for number, domain in enumerate(domains):
        links = [url(target) for target in rng.sample(domains, 6)]
        zone.publish(tree(2, 1, [*links, url(domain), url(domain.upper())], start=2 * number), domain)
    return await read_all(zone, url("n0.org"), url("n1.org"), limits=limits)


@pytest.mark.parametrize("seed", range(5))
async def test_d21_trees_that_link_to_each_other_in_every_way_come_to_an_end(seed):
    events = await read_linked(seed)
    ended = of(events, PassEnded)
    assert len({event.url.identity for event in ended}) == len(ended) == 10
    assert all(event.complete for event in ended)
    assert len({event.target.identity for event in of(events, LinkFound) if event.followed} | {url("n0.org").identity}) <= 10


async def test_d21_control_without_a_bound_on_links_all_thirty_are_read():
    assert len(of(await read_linked(0, DnsLimits(linked_trees=10**9)), PassEnded)) == 30


def deep_chain() -> Zone:
    zone = Zone()
    top = zone.add(record(1).text)
    for _ in range(1000):
        top = zone.add(Branch((top,)).text)
    zone.sign(top, zone.add(EMPTY))
    return zone


async def test_d21_control_without_a_bound_on_depth_a_chain_is_read_to_its_end():
    zone = deep_chain()
    assert len(of(await read_all(zone, limits=DnsLimits(depth=10**9)), RecordFound)) == 1
    assert len(zone.asked) == 1 + 1001 + 1


async def test_d21_a_deep_chain_is_cut():
    zone = deep_chain()
    events = await read_all(zone)
    assert len(zone.asked) == 1 + 8 + 1
    assert of(events, PassEnded)[0].left_out == 1


@cache
def giant_tree() -> tuple[bytes, dict[str, str]]:
    """The top and all branches, by label, of a tree with 280 000 leaves, 23 to a branch, of which none is there."""
    numbers = itertools.count()
    level = [b"".join((bytes(6), next(numbers).to_bytes(6))) for _ in range(23**4)]
    texts: dict[str, str] = {}
    while len(level) > 1:
        branches = [Branch(tuple(level[start : start + 23])).text for start in range(0, len(level), 23)]
        level = [hash_of(text)[:12] for text in branches]
        texts |= {entry_name(entry, ""): text for entry, text in zip(level, branches, strict=True)}
    return level[0], texts


HASTY = DnsLimits(rate=1e9, burst=10**9, patience=10**9, failures=10**9)


def giants(count: int) -> Lying:
    """The giant tree at several domains, the first of which links to the others."""
    top, texts = giant_tree()

    def answer(name: str) -> Sequence[str] | None:
        text = texts.get(name.partition(".")[0] + ".")
        return None if text is None else [text]

    zone = Lying(answer)
    links = [zone.add(url(f"n{number}").text, "n0") for number in range(1, count)]
    zone.sign(top, zone.add(Branch(tuple(links)).text, "n0"), domain="n0")
    for number in range(1, count):
        zone.sign(top, zone.add(EMPTY, f"n{number}"), domain=f"n{number}")
    return zone


async def test_d21_giant_trees_cost_a_bounded_number_of_queries():
    limits = DnsLimits(entries=300, linked_entries=600)
    zone = giants(9)
    events = await read_all(zone, url("n0"), limits=limits)
    ended = of(events, PassEnded)
    assert len(ended) == 9
    assert not any(event.complete for event in ended)
    assert len(zone.asked) < 2 * (300 + 600) + 200


def entries_known(limits: DnsLimits, enough: int) -> tuple[int, int]:
    """Read giant trees, as fast as can be, until so many of their entries are known of, and then a little more.

    How many are known of, and in how many bytes at most.
    """
    zone = giants(9)
    client = DnsClient([url("n0")], random=random.Random(1).random, limits=limits)
    known = more = 0
    tracemalloc.start()
    try:
        while known < enough or more < 500:
            more += known >= enough
            query = client.next_query(0.0)
            assert query is not None
            try:
                client.answered(query, zone.answer(query.name), 0.0)
            except LookupFailed as failure:
                client.failed(query, str(failure), 0.0)
            while client.next_event() is not None:
                pass
            known = sum(map(len, client._trees.values()))
        return known, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_d21_giant_trees_cost_a_bounded_number_of_bytes():
    """A twentieth of the limits that hold by default, with which they would be 64 MiB at most."""
    known, peak = entries_known(replace(HASTY, entries=2_500, linked_entries=5_000), 7_500)
    assert known == 7_500
    assert peak < 3.2 * 2**20


@pytest.mark.simulation
def test_d21_control_without_a_bound_on_entries_there_are_ever_more():
    known, _ = entries_known(replace(HASTY, entries=10**9, linked_entries=10**9), 7_500)
    assert known > 9_000


async def test_d21_nobody_waits_for_names_that_are_not_there():
    """A signed tree, of which the resolver has no name below the second level."""
    zone = giants(1)
    texts = [text for text in giant_tree()[1].values() if len(text) < MAX_TEXT][-24:]
    labels = {entry_name(hash_of(text)[:12], "n0") for text in texts}
    zone.lie = lambda name: None if name not in labels else next([text] for text in texts if entry_name(hash_of(text)[:12], "n0") == name)
    events = await read_all(zone, url("n0"))
    assert not of(events, PassEnded)[0].complete
    assert len(zone.asked) < 300


async def test_d21_endless_silence_comes_to_an_end():
    zone = Zone()
    zone.publish(tree(1000))
    root = zone.names[DOMAIN]
    zone.names.clear()
    zone.names[DOMAIN] = root
    begun = trio.current_time()
    await read_all(zone)
    assert trio.current_time() - begun < 300
    zone.delay = 1e9
    with pytest.raises(LookupFailed, match=r"could not be read completely: .*no answer within 5 s"):
        await anext(records(URL, zone))


async def test_d21_a_resolver_that_lies_about_every_entry_gives_no_record():
    honest = Zone()
    honest.publish(tree(50))
    rng = random.Random(1)
    texts = [texts[0] for texts in honest.names.values()]
    zone = Lying(lambda name: None if name == DOMAIN else [rng.choice(texts), record(999).text])
    zone.names = honest.names
    events = await read_all(zone)
    assert record(999) not in [event.record for event in of(events, RecordFound)]
    assert not of(events, PassEnded)[0].complete
    assert len(zone.asked) < 200


@pytest.mark.parametrize("size", [MAX_TEXT + 1, 65_535])
async def test_d21_texts_of_any_size_and_number_are_survived(size):
    zone = Lying(lambda name: None if name == DOMAIN else ["enr:" + "A" * size, *(["enrtree-branch:" + "A," * (size // 2)] * 1000)])
    zone.publish(tree(20))
    events = await read_all(zone)
    assert of(events, RecordFound) == []
    assert "none of 32 texts has the hash" in of(events, QueryFailed)[0].why
    huge = Lying(lambda name: ["enrtree-root:v1 " + "A" * size] * 1000 if name == DOMAIN else None)
    assert of(await read_all(huge), PassEnded)[0].root is None


async def test_d21_a_branch_that_is_longer_than_dns_can_bear_is_none_even_if_it_is_signed():
    zone = Zone()
    children = tuple(zone.add(record(number).text) for number in range(1000))
    zone.sign(zone.add(Branch(children).text), zone.add(EMPTY))
    events = await read_all(zone)
    assert of(events, RecordFound) == []
    assert of(events, PassEnded)[0].missing == 1


async def test_d21_a_signer_who_changes_the_root_at_every_look_keeps_nobody_for_ever():
    """And takes the entries of the old root away each time, so that there is a look soon."""
    sequence = itertools.count(1)

    def change(name: str) -> Sequence[str] | None:
        if name == DOMAIN:
            zone.names.clear()
            number = next(sequence)
            zone.publish(tree(100, number, start=100 * (number % 20)))
        elif random.Random(name).random() < 0.5:
            return []
        return None

    zone = Lying(change)
    events = await read_all(zone)
    assert len(of(events, PassEnded)) == 1
    assert len(zone.asked) < 1000


async def test_d21_an_honest_tree_is_read_whatever_others_it_links_to():
    """Eight hostile trees beside it take half of the queries, not more."""
    zone = giants(9)
    zone.publish(tree(100, 1, [url(f"n{number}") for number in range(1, 9)]))
    source = DnsSource([URL], zone)
    found = [await anext(source) for _ in range(100)]
    assert {each.id for each in found} == {each.id for each in tree(100).records}
    assert len(zone.asked) < 400
    assert_rate_kept([time for time, _ in zone.asked])


async def test_d21_waiting_for_a_record_may_be_cancelled_at_any_point():
    zone = Zone()
    zone.delay = 0.3
    zone.publish(tree(40))
    source = DnsSource([URL], zone, once=True)
    rng = random.Random(1)
    found = []
    while True:
        with trio.move_on_after(rng.random() / 2):
            try:
                found.append(await anext(source))
            except StopAsyncIteration:
                break
    assert len({each.id for each in found}) == len(found) == 40
    assert_rate_kept([time for time, _ in zone.asked])


async def test_d21_a_fault_of_the_resolver_itself_is_not_hidden_where_faults_are_looked_for():
    def fall_over(name: str) -> None:
        raise ZeroDivisionError(name)

    zone = Lying(fall_over)
    zone.publish(tree(3))
    source = DnsSource([URL], zone, once=True, strict=True)
    with pytest.raises(ZeroDivisionError):
        await anext(source)
    zone.lie = lambda _: None
    assert len([each async for each in source]) == 3


async def test_d21_records_gives_what_there_is_and_then_says_what_is_missing():
    zone = Zone()
    zone.publish(tree(30, 1, [url("gone.org")]))
    assert len([each async for each in records(URL, zone)]) == 30  # a linked tree that is gone is no fault of this one
    del zone.names[next(name for name, texts in zone.names.items() if texts[0] == record(3).text)]
    incomplete = records(URL, zone)
    assert len([await anext(incomplete) for _ in range(29)]) == 29
    with pytest.raises(LookupFailed, match=r"could not be read completely: .*\.nodes\.example\.org: there is no such name"):
        await anext(incomplete)
    with pytest.raises(LookupFailed, match=r"could not be read completely: nowhere\.org: there is no such name"):
        await anext(records(TreeUrl(KEY.public_key, "nowhere.org"), zone))
