"""The life of trees that are read again and again: links and passes, what is missing, and roots that change."""

from dataclasses import replace

from devp2p.discovery.dns.events import DnsLimits, LinkFound, PassEnded, QueryFailed
from tests.discovery.zones import DOMAIN, EAGER, URL, Reading, Zone, published, record, records, tree, url


def test_linked_trees_are_read_too_each_once():
    """Two trees that link to each other, and to themselves: the specification's federation."""
    a, b, c = url("a.org"), url("b.org"), url("c.org")
    zone = Zone()
    zone.publish(tree(20, 1, [b, a]), "a.org")
    zone.publish(tree(20, 1, [a, c], start=100), "b.org")
    zone.publish(tree(20, 1, [b, url("A.ORG")], start=200), "c.org")
    reading = Reading(zone, a).run()
    assert {each.id for each in reading.found} == {each.id for start in (0, 100, 200) for each in records(20, start)}
    assert len(reading.found) == 60
    assert len(reading.asked) == len(zone.names)
    assert all(event.followed for event in reading.of(LinkFound))


def test_no_more_than_eight_linked_trees_are_read():
    zone = Zone()
    links = [url(f"{number}.org") for number in range(20)]
    zone.publish(tree(5, 1, links))
    for number, link in enumerate(links):
        zone.publish(tree(1, 1, [url(f"{number}.net")], start=number), link.domain)
    reading = Reading(zone).run()
    assert len({event.target for event in reading.of(LinkFound) if event.followed}) == 8
    assert not all(event.followed for event in reading.of(LinkFound))
    assert len(reading.of(PassEnded)) == 9


def test_trees_that_the_owner_named_get_half_of_all_queries():
    zone = Zone()
    links = [url(f"{number}.org") for number in range(8)]
    zone.publish(tree(300, 1, links))
    for link in links:
        zone.publish(tree(300), link.domain)
    reading = Reading(zone)
    reading.run(lambda: len(reading.asked) > 400)
    named = sum(name.endswith(DOMAIN) for name in reading.names())
    assert 170 < named < 250


def test_a_wrong_or_missing_root_ends_a_single_pass_soon():
    for texts, why in (
        (None, "no such name"),
        (["v=spf1"], "none of 1 texts is the root of a tree"),
        ([], "none of 0 texts"),
        ([tree(3).root.text.replace("seq=1", "seq=2")], "not signed by the key"),
        (["enrtree-root:v1 "], "not of the form"),
    ):
        zone = Zone()
        if texts is not None:
            zone.names[DOMAIN] = texts
        reading = Reading(zone).run()
        assert reading.names() == [DOMAIN] * 3
        assert why in reading.of(QueryFailed)[0].why
        assert reading.of(PassEnded) == [PassEnded(URL, None, 0, 0, 0, 0)]
        assert not reading.of(PassEnded)[0].complete


def test_a_failed_entry_gets_a_second_chance_after_all_others():
    zone = published(10)
    lost = next(name for name, texts in zone.names.items() if texts[0] == record(3).text)
    reading = Reading(zone, once=False)
    texts = zone.names.pop(lost)
    reading.run(lambda: lost in reading.names())
    zone.names[lost] = texts
    reading.run(1.0)
    assert len(reading.found) == 10
    assert reading.found[-1] == record(3)
    assert reading.of(PassEnded)[0].complete


def test_what_stays_away_is_given_up_and_told():
    zone = published(10)
    lost = next(name for name, texts in zone.names.items() if texts[0] == record(3).text)
    del zone.names[lost]
    reading = Reading(zone).run()
    assert reading.names().count(lost) == 2
    ended = reading.of(PassEnded)[0]
    assert (ended.records, ended.missing, ended.complete) == (9, 1, False)
    assert reading.names()[-1] == DOMAIN  # it could have been because of a new root


def test_after_five_failures_the_root_is_looked_at_and_a_new_one_taken():
    zone = published(40, 1)
    reading = Reading(zone)
    reading.run(lambda: len(reading.found) >= 10)
    zone.names.clear()
    zone.publish(tree(40, 2, start=500))
    before = len(reading.asked)
    reading.run()
    assert DOMAIN in reading.names()[before : before + 6]
    assert {each.id for each in records(40, 500)} <= {each.id for each in reading.found}
    ended = reading.of(PassEnded)[0]
    assert (ended.complete, ended.root, ended.records) == (True, tree(40, 2, start=500).root, 40)


def test_a_tree_that_changes_all_the_time_is_read_at_last():
    zone, sequence = Zone(), 1
    reading = Reading(zone, once=True)

    def change():
        nonlocal sequence
        if len(reading.asked) % 7 == 0:
            sequence += 1
            zone.names.clear()
            zone.publish(tree(40, sequence, start=50 * sequence))
        return len(reading.asked) > 1000

    change()
    reading.run(change)
    assert reading.client.done
    assert len(reading.asked) < 200


def test_twenty_failures_in_a_row_break_a_pass_off():
    zone = published(200)
    zone.names = {name: texts for name, texts in zone.names.items() if not texts[0].startswith("enr:")}
    reading = Reading(zone, once=False)
    reading.run(1700.0)
    assert len(reading.asked) < 200  # all twice would be 418
    ended = reading.of(PassEnded)[0]
    assert not ended.complete
    assert ended.missing > 100
    zone.publish(tree(200))
    assert len(reading.run(1900.0).found) == 200


def test_a_missing_root_is_asked_for_less_and_less_often():
    zone = Zone()
    reading = Reading(zone, once=False).run(3600.0)
    gaps = [later - earlier for (earlier, _), (later, _) in zip(reading.asked, reading.asked[1:], strict=False)]
    assert gaps[:8] == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
    zone.publish(tree(3))
    assert len(reading.run(4000.0).found) == 3


def test_the_next_pass_begins_half_an_hour_after_the_root():
    zone = published(20)
    reading = Reading(zone, once=False).run(1799.0)
    assert len(reading.found) == 20
    assert len(reading.asked) == len(zone.names)
    zone.publish(tree(25, 2))
    reading.run(1801.0)
    assert len(reading.found) == 45
    assert [ended.root for ended in reading.of(PassEnded)] == [tree(20).root, tree(25, 2).root]


def test_a_pass_that_takes_long_looks_at_the_root_meanwhile():
    zone = published(400)
    slow = Reading(zone, limits=DnsLimits(rate=0.1, burst=1), once=False)
    slow.run(3700.0)
    assert slow.names().count(DOMAIN) == 3
    assert len(slow.asked) == len(set(slow.names())) + 2  # and goes on where it was


def test_a_tree_to_which_nobody_links_any_more_is_forgotten():
    a, b, c = url("a.org"), url("b.org"), url("c.org")
    zone = Zone()
    zone.publish(tree(3, 1, [b]), "a.org")
    zone.publish(tree(3, 1, [c], start=10), "b.org")
    zone.publish(tree(3, 1, [b], start=20), "c.org")
    reading = Reading(zone, a, once=False).run(60.0)
    assert len(reading.found) == 9
    zone.publish(tree(3, 2, []), "a.org")
    reading.run(3600.0)
    asked = len(reading.asked)
    reading.run(7300.0)
    assert not any(name.endswith(("b.org", "c.org")) for name in reading.names()[asked:])
    assert len(reading.found) > 12


def test_a_tree_stays_while_links_to_it_may_be_among_what_is_missing():
    a, b = url("a.org"), url("b.org")
    zone = Zone()
    zone.publish(tree(1, 1, [b, url("c.org")]), "a.org")
    zone.publish(tree(3, 1, start=10), "b.org")
    reading = Reading(zone, a, once=False).run(60.0)
    kept = zone.names
    zone.names = {name: texts for name, texts in kept.items() if texts[0] != b.text}
    reading.run(2000.0)
    asked = len(reading.asked)
    reading.run(5000.0)
    assert "b.org" in reading.names()[asked:]


def test_a_root_that_is_gone_is_not_asked_for_more_often_because_entries_are_gone_too():
    zone = published(100)
    reading = Reading(zone, once=False)
    reading.run(lambda: len(reading.found) >= 50)
    texts = zone.names.pop(DOMAIN)
    for name in [name for name, texts in zone.names.items() if texts[0].startswith("enr:")][::2]:
        del zone.names[name]
    reading.run(3.0)
    assert reading.names().count(DOMAIN) == 2
    zone.names[DOMAIN] = texts
    reading.run(6.0)
    assert reading.names().count(DOMAIN) > 2


def test_what_is_said_of_a_tree_that_was_forgotten_changes_nothing():
    a, b = url("a.org"), url("b.org")
    zone = Zone()
    zone.publish(tree(1, 1, [b]), "a.org")
    zone.publish(tree(300, 1, start=10), "b.org")
    limits = replace(EAGER, recheck=10.0)
    reading = Reading(zone, a, once=False, limits=limits)
    reading.run(lambda: len(reading.found) > 100)
    late = reading.ask()
    assert late is not None
    assert late.name.endswith("b.org")
    zone.publish(tree(1, 2, []), "a.org")
    reading.now = 10.0
    reading.run(lambda: len(reading.of(PassEnded)) == 2)
    count = len(reading.events)
    reading.answer(late)
    assert len(reading.events) == count
    reading.client.put_back(late)
    reading.run(60.0)
    assert {event.url for event in reading.of(PassEnded)} == {a}


def test_a_pass_that_is_broken_off_is_not_begun_again_by_a_root_that_was_on_its_way():
    reading = Reading(published(100), once=False)
    reading.run(lambda: len(reading.found) >= 40)
    under_way = [query for _ in range(25) if (query := reading.ask()) is not None]
    reading.now = 7.0
    for query in under_way[:5]:
        reading.client.failed(query, "no answer", 7.0)
    root = reading.ask()
    assert root is not None
    assert root.name == DOMAIN
    for query in under_way[5:]:
        reading.client.failed(query, "no answer", 7.0)
    reading.now = 8.0
    reading.answer(root)
    assert len(reading.of(PassEnded)) == 1
    assert reading.client.next_timer() == 1807.0
