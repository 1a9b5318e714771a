"""Reading trees, step by step and without DNS: what is asked when, what is made of answers, and what comes after the end."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p.discovery.dns.client import DnsClient, Query
from devp2p.discovery.dns.events import DnsLimits, LinkFound, PassEnded, QueryFailed
from devp2p.discovery.dns.tree import Branch, Root, TreeUrl, entry_name, make_tree
from devp2p.keys import keccak256
from tests.discovery.zones import DOMAIN, KEY, URL, Reading, Zone, published, record, tree, url


@settings(max_examples=40)
@given(
    st.sets(st.integers(0, 400), max_size=60),
    st.lists(st.sampled_from(["a.example.org", "b.example.org", "C.example.org", "d"]), unique=True),
    st.integers(0, 2**64 - 1),
    st.integers(0, 100),
)
def test_what_was_signed_is_read(numbers, links, sequence, seed):
    made = make_tree(map(record, numbers), map(url, links), sequence, KEY)
    zone = Zone()
    zone.publish(made)
    reading = Reading(zone, seed=seed, limits=DnsLimits(rate=1e6, burst=10**6, linked_trees=0)).run()
    assert sorted(reading.found, key=lambda each: each.id) == list(made.records)
    assert [event.target for event in reading.of(LinkFound)] == [url(link) for link in links]
    assert reading.of(PassEnded) == [PassEnded(URL, made.root, len(numbers), 0, 0, 0)]
    assert reading.of(PassEnded)[0].complete
    assert len(reading.asked) == len(zone.names) + (not numbers and not links)  # each name once, but for one that is both halves
    assert reading.client.sequences == {URL.identity: sequence}


def test_records_come_in_random_order():
    zone = published(100)
    orders = {tuple(each.id for each in Reading(zone, seed=seed).run().found) for seed in range(5)}
    assert len(orders) == 5
    for order in orders:
        assert len({node_id[0] >> 5 for node_id in order[:20]}) > 3  # not one branch after the other, whose records are neighbours


def test_links_and_records_are_read_in_turn():
    """So that a tree with endless links keeps nobody from its records, nor the other way round."""
    zone = Zone()
    zone.publish(tree(300, 1, [url(f"{number}.example.org") for number in range(300)]))
    reading = Reading(zone)
    reading.run(lambda: len(reading.asked) > 200)
    assert 60 < len(reading.found) < 110
    assert 60 < len(reading.of(LinkFound)) < 110


def test_other_texts_beside_an_entry_do_no_harm():
    zone = published(10)
    for texts in zone.names.values():
        texts[:0] = [
            "v=spf1 -all",
            "enrtree-branch:",
            "enrtree-root:v1 nonsense",
            "enr:",
            "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
            "\udcff",
        ]
    assert Reading(zone).run().of(PassEnded)[0].complete


def test_of_several_roots_the_newest_valid_one_counts():
    zone, newer = published(3, 1), tree(4, 2)
    zone.publish(newer)
    old, forged = tree(3, 1).root.text, newer.root.text.replace("seq=2", "seq=9")
    zone.names[DOMAIN] = [old, newer.root.text, forged, old]
    assert len(Reading(zone).run().found) == 4


def test_an_older_tree_is_refused_also_after_a_restart():
    first = Reading(published(3, 7)).run()
    assert first.client.sequences == {URL.identity: 7}
    second = Reading(published(3, 6), sequences=first.client.sequences).run()
    assert second.found == []
    assert "sequence number 6, where 7 was there before" in second.of(QueryFailed)[0].why
    assert second.client.sequences == {URL.identity: 7}
    assert len(Reading(published(4, 7), sequences=first.client.sequences).run().found) == 4  # the same number is no step back


def test_nobody_raises_the_number_of_a_tree_but_its_signer():
    """A tree of another key at the same domain, to which anyone can link, has its own number."""
    stranger = KEY.from_bytes(bytes(31) + b"\x08")
    zone = published(3, 7, [TreeUrl(stranger.public_key, DOMAIN)])
    zone.names[DOMAIN].append(make_tree([], [], 2**64 - 1, stranger).root.text)
    reading = Reading(zone).run()
    assert reading.client.sequences[URL.identity] == 7
    assert len(Reading(zone, sequences=reading.client.sequences).run().found) == 3


def test_the_memory_for_sequence_numbers_is_bounded():
    old = {url(f"{number}.org").identity: 1 for number in range(256)}
    client = Reading(published(3, 7), sequences=old).run().client
    assert len(client.sequences) == 256
    assert client.sequences[URL.identity] == 7


def test_the_rate_is_kept_and_told():
    reading = Reading(published(50), limits=DnsLimits())
    reading.run()
    times = [time for time, _ in reading.asked]
    assert times[:10] == [0.0] * 10
    assert all(abs(time - (number + 1) / 3) < 1e-9 for number, time in enumerate(times[10:]))


def test_a_text_that_has_not_the_hash_is_as_good_as_none():
    zone = published(10)
    for name, texts in zone.names.items():
        if texts[0] == record(3).text:
            zone.names[name] = [record(99).text]
    reading = Reading(zone).run()
    assert record(99) not in reading.found
    assert "none of 1 texts has the hash" in reading.of(QueryFailed)[0].why
    assert reading.of(PassEnded)[0].missing == 1


def test_a_lookup_that_was_broken_off_is_made_again():
    reading = Reading(published(20))
    rng = random.Random(3)
    while not reading.client.done:
        query = reading.ask()
        assert query is not None
        if rng.random() < 0.5:
            reading.client.put_back(query)
        else:
            reading.answer(query)
    assert len(reading.found) == 20
    assert reading.of(PassEnded)[0].complete


def test_lookups_may_overlap_and_end_in_any_order():
    zone = published(100, 1, [url("a.org")])
    zone.publish(tree(30, start=200), "a.org")
    reading = Reading(zone)
    rng = random.Random(4)
    under_way: list[Query] = []
    while not reading.client.done:
        while len(under_way) < 8 and (query := reading.ask()) is not None:
            under_way.append(query)
        reading.answer(under_way.pop(rng.randrange(len(under_way))))
    assert len(reading.found) == 130
    assert under_way == []


def test_answers_that_nobody_waits_for_any_more_change_nothing():
    zone = published(60)
    reading = Reading(zone, once=False)
    reading.run(lambda: len(reading.found) > 3)
    old = [query for _ in range(4) if (query := reading.ask()) is not None]
    zone.names.clear()
    zone.publish(tree(60, 2, start=500))
    reading.run(1.0)
    assert reading.of(PassEnded)[-1].complete
    count = len(reading.events)
    for query in old:
        reading.client.failed(query, "too late", reading.now)
        reading.client.answered(query, [record(1).text], reading.now)
        reading.client.put_back(query)
    assert reading.client.next_event() is None
    assert len(reading.events) == count
    assert reading.client.next_timer() == 1800.0


def test_what_is_signed_but_makes_no_sense_is_told_and_passed_over():
    zone = Zone()
    branch = zone.add(url("a.org").text)
    children = [zone.add(text) for text in (record(1).text, "enr:AAAA", "enrtree-branch:1", "x", record(2).text)]
    zone.sign(zone.add(Branch((*children, branch)).text), zone.add(record(3).text))
    reading = Reading(zone).run()
    ended = reading.of(PassEnded)[0]
    assert {each.id for each in reading.found} == {record(1).id, record(2).id}
    assert (ended.invalid, ended.missing, ended.complete, reading.of(LinkFound)) == (5, 0, True, [])
    whys = " ".join(event.why for event in reading.of(QueryFailed))
    assert "a link in the wrong half" in whys
    assert "a record in the wrong half" in whys
    assert reading.names().count(DOMAIN) == 1


def test_an_entry_by_many_hashes_is_read_once():
    zone = Zone()
    leaf = record(1).text
    full = keccak256(leaf.encode())
    children = tuple(full[:size] for size in range(12, 26))
    for child in children:
        zone.names[entry_name(child, DOMAIN)] = [leaf]
    zone.sign(zone.add(Branch(children).text), zone.add("enrtree-branch:"))
    reading = Reading(zone).run()
    assert reading.found == [record(1)]


def test_a_chain_of_branches_ends_at_the_eighth():
    zone = Zone()
    top = zone.add(record(1).text)
    for _ in range(7):
        top = zone.add(Branch((top,)).text)
    zone.sign(top, zone.add("enrtree-branch:"))
    assert Reading(zone).run().of(PassEnded)[0].complete
    zone.sign(zone.add(Branch((top, zone.add(record(2).text))).text), zone.add("enrtree-branch:"))
    reading = Reading(zone).run()
    ended = reading.of(PassEnded)[0]
    assert (reading.found, ended.left_out, ended.complete) == ([record(2)], 1, False)


def test_without_trees_there_is_nothing_to_do():
    client = DnsClient([], random=random.random)
    assert (client.done, client.next_timer(), client.next_query(0.0), client.next_event()) == (True, None, None, None)


def test_a_root_says_nothing_about_its_own_hashes():
    """A root whose halves are one and the same entry, or not there at all."""
    zone = Zone()
    both = zone.add("enrtree-branch:")
    zone.sign(both, both)
    assert Reading(zone).run().of(PassEnded)[0].complete
    zone.sign(bytes(16), bytes(16))
    ended = Reading(zone).run().of(PassEnded)[0]
    assert (ended.missing, isinstance(ended.root, Root)) == (2, True)
