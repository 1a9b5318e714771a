"""Who comes on a list for DNS: each rule, who is chosen among many, and what an attacker can do."""

from dataclasses import replace

import pytest
from devp2p_crawler.filters import RULES, ListRules, choose
from devp2p_crawler.model import Kind, Outcome

from devp2p import Record
from tests.crawler.known_nodes import DAY, START, key, known, signed

RULED = ListRules(seed="seed")


def at(number, ip, **entries):
    return known(number, Record.sign(key(number), 1, {"ip": ip, "tcp": 30303, "udp": 30303, **entries}))


def spread(count):
    return [at(number, f"8.{number // 250}.{number % 250}.1") for number in range(count)]


def other_key():
    node = known(1)
    return replace(node, record=signed(Record.sign(key(2), 1, {"ip": "8.0.1.9", "tcp": 1, "udp": 1})))


FAULTS = {
    "record": [
        at(1, "8.0.1.9", tcp=0),
        at(1, "8.0.1.9", udp=0),
        known(1, Record.sign(key(1), 1, {"tcp": 1, "udp": 1})),
        other_key(),
        replace(known(1), record=replace(signed(Record.sign(key(1), 1, {})), raw=b"\xc0")),
    ],
    "address": [
        at(1, "10.0.0.1"),
        at(1, "127.0.0.1"),
        at(1, "192.0.2.1"),
        replace(known(1), ip=bytes([8, 0, 1, 8])),
        replace(known(1), ip=b""),
    ],
    "dialable": [replace(known(1), outcomes={Kind.V4: Outcome.OK}), replace(known(1), outcomes={Kind.RLPX: Outcome.SILENT})],
    "age": [replace(known(1), last_ok=START + 7 * DAY - 1), replace(known(1), first_ok=None, last_ok=None)],
    "handshakes": [replace(known(1), handshakes=2)],
}


@pytest.mark.parametrize("rule", FAULTS)
def test_each_rule_removes_its_nodes_and_can_be_switched_off(rule):
    for node in FAULTS[rule]:
        chosen = choose([node], RULED)
        assert chosen.nodes == []
        assert chosen.removed == {rule: 1}
        others = frozenset(RULES) - {rule}
        assert choose([node], replace(RULED, off=others)).removed == {rule: 1}
        assert rule not in choose([node], replace(RULED, off=frozenset({rule}))).removed
    assert choose([known(1)], RULED).nodes == [known(1)]


def test_no_list_has_a_node_without_a_record():
    chosen = choose([replace(known(1), record=None)], replace(RULED, off=frozenset(RULES)))
    assert chosen.removed == {"unsigned": 1}


def test_bounds_are_exact():
    node = replace(known(1), handshakes=3, first_ok=START, last_ok=START + 7 * DAY)
    assert choose([node], RULED).nodes == [node]


def test_two_of_a_subnet_and_ten_of_an_autonomous_system():
    crowd = [at(number, f"8.8.8.{number + 1}") for number in range(20)]
    assert len(choose(crowd, RULED).nodes) == 2
    assert choose(crowd, RULED).removed == {"subnet": 18}
    rich = [replace(node, asn=64500) for node in spread(30)]
    assert choose(rich, RULED).removed == {"asn": 20}
    assert choose(spread(30), RULED).without_asn == 30
    assert len(choose(crowd, replace(RULED, off=frozenset({"subnet"}))).nodes) == 20
    assert len(choose(rich, replace(RULED, off=frozenset({"asn"}))).nodes) == 30
    six = [known(number, Record.sign(key(number), 1, {"ip6": f"2a01:7:1:{number}::1", "tcp": 1, "udp": 1})) for number in range(9)]
    six = [replace(node, ip=bytes.fromhex(f"2a0100070001{number:04x}0000000000000001")) for number, node in enumerate(six)]
    assert len(choose(six, RULED).nodes) == 2


def test_chance_chooses_by_the_seed_and_not_by_the_order():
    nodes = spread(60)
    first, again, other = (
        choose(order, replace(RULED, size=10, seed=seed)) for order, seed in ((nodes, "a"), (nodes[::-1], "a"), (nodes, "b"))
    )
    assert first.nodes == again.nodes
    assert first.nodes != other.nodes
    assert first.removed == {"size": 50}
    assert first.nodes == sorted(first.nodes, key=lambda node: node.node)


def test_nobody_who_came_this_week_or_is_of_one_network_takes_the_list():
    """400 nodes of an attacker in one autonomous system and twenty subnets, beside forty honest ones."""
    honest = spread(40)
    records = [Record.sign(key(100 + number), 1, {"ip": f"9.{number}.9.9", "tcp": 1, "udp": 1}) for number in range(20)]
    bought = [replace(known(100 + number % 20, records[number % 20]), asn=64666, said_at=number) for number in range(400)]
    chosen = choose([*honest, *bought], RULED)
    assert sum(node.asn == 64666 for node in chosen.nodes) == 10
    assert sum(node.asn is None for node in chosen.nodes) == 40
