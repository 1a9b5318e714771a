import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p.addresses import Endpoint
from devp2p.discovery.table.contacts import Contact
from devp2p.discovery.table.kademlia import distance
from devp2p.discovery.table.lookup import ALPHA, ATTEMPTS, MAX_QUERIES, Lookup, lookup_distances
from devp2p.errors import LocalProtocolError
from tests.discovery.nodes import Node, closest_of, endpoint_of, make_nodes

TARGET = bytes(32)


def at(away: int, place: int | None = None, seq: int = 0) -> Node:
    """The node at a distance from TARGET."""
    return Contact(away.to_bytes(32), endpoint_of(away % 2**15 if place is None else place), seq, None)


def drive(lookup: Lookup[None], answer: Callable[[Node], Iterable[Node] | None]) -> list[Node]:
    """Ask until the search is over; `answer` gives None for silence. Return whom was asked, in order."""
    asked: list[Node] = []
    waiting: list[Node] = []
    while not lookup.done:
        new = lookup.queries()
        waiting += new
        asked += new
        assert 0 < len(waiting) <= ALPHA
        node = waiting.pop(0)
        nodes = answer(node)
        if nodes is None:
            lookup.failed(node)
        else:
            lookup.answered(node, nodes)
    assert lookup.queries() == []
    return asked


def test_it_finds_the_closest_of_nodes_that_know_only_some():
    chance = random.Random(1)
    nodes = make_nodes(500, chance)
    friends = {node.id: chance.sample(nodes, 60) + closest_of(nodes, node.id, 20) for node in nodes}

    def find(target: bytes) -> None:
        lookup: Lookup[None] = Lookup(target, nodes[:3])
        asked = drive(lookup, lambda node: closest_of(friends[node.id], target))
        assert lookup.result == closest_of(nodes, target)
        assert lookup.asked == len(asked) < 40
        assert 1 <= lookup.hops <= 6

    for _ in range(20):
        find(chance.randbytes(32))


def test_without_seeds_it_is_over_at_once():
    lookup: Lookup[None] = Lookup(TARGET, [])
    assert lookup.done
    assert (lookup.queries(), lookup.result, lookup.hops, lookup.asked) == ([], [], 0, 0)


def test_the_result_are_those_that_answered():
    lookup: Lookup[None] = Lookup(TARGET, [at(away) for away in range(1, 21)])
    drive(lookup, lambda node: [] if node.id[-1] % 2 else None)
    assert lookup.result == [at(away) for away in range(1, 21, 2)]


def test_silent_nodes_are_asked_again_when_nobody_else_is_left():
    lookup: Lookup[None] = Lookup(TARGET, [at(away) for away in range(1, 6)])
    asked = drive(lookup, lambda node: None if node == at(2) else [])
    assert asked == [at(1), at(2), at(3), at(4), at(5)] + [at(2)] * (ATTEMPTS - 1)


def test_silent_nodes_too_far_away_to_matter_are_left_alone():
    lookup: Lookup[None] = Lookup(TARGET, [at(1000)])
    near = [at(away) for away in range(1, 17)]
    answers = {at(1000): [at(900), at(800)], at(900): None, at(800): near}
    asked = drive(lookup, lambda node: answers.get(node, []))
    assert lookup.result == near
    assert asked.count(at(900)) == 1


def test_an_answer_that_comes_too_late_still_counts():
    lookup: Lookup[None] = Lookup(TARGET, [at(5)], attempts=1)
    [node] = lookup.queries()
    lookup.failed(node)
    lookup.failed(node)
    assert (lookup.done, lookup.result) == (True, [])
    lookup.answered(node, [at(3)])
    lookup.answered(node, [at(2)])  # said twice: the first counts
    assert lookup.result == [at(5)]
    assert lookup.queries() == [at(3)]
    assert not lookup.done


def test_answers_of_nodes_that_were_not_asked_are_our_fault():
    lookup: Lookup[None] = Lookup(TARGET, [at(away) for away in range(1, 6)])
    for stranger in (at(77), at(1)):
        with pytest.raises(LocalProtocolError):
            lookup.answered(stranger, [])
        with pytest.raises(LocalProtocolError):
            lookup.failed(stranger)


def test_we_are_not_asked_ourselves():
    lookup: Lookup[None] = Lookup(TARGET, [at(9)], own_id=at(1).id)
    assert drive(lookup, lambda _: [at(1), at(9)]) == [at(9)]


def test_made_up_nodes_that_come_ever_closer_do_not_keep_it_busy_for_ever():
    step = iter(range(10**9))

    def closer(_: Node) -> list[Node]:
        place = next(step)
        return [Contact((2**256 - 1 >> place + 1).to_bytes(32), endpoint_of(place * 16 + port), 0, None) for port in range(1)] * 40

    lookup: Lookup[None] = Lookup(TARGET, [at(2**255)], max_queries=50)
    assert len(drive(lookup, closer)) == 50


@pytest.mark.parametrize("answers", [True, False], ids=["that answer", "that are silent"])
def test_made_up_nodes_are_bounded_in_number(answers):
    chance = random.Random(3)
    most = 0
    lookup: Lookup[None] = Lookup(TARGET, [at(2**255)])

    def liar(node: Node) -> list[Node] | None:
        nonlocal most
        most = max(most, len(lookup._known))
        if node != at(2**255) and not answers and chance.random() < 0.9:
            return None
        aim = int.from_bytes(node.id) // 2
        return [Contact(chance.randrange(aim // 4, aim).to_bytes(32), endpoint_of(chance.randrange(2**20)), 0, None) for _ in range(1000)]

    asked = drive(lookup, liar)
    assert len(asked) <= MAX_QUERIES
    assert most <= 256 + MAX_QUERIES
    assert len(lookup._networks) <= most


def test_one_answer_counts_sixteen_nodes():
    lookup: Lookup[None] = Lookup(TARGET, [at(1000)])
    drive(lookup, lambda node: [at(away) for away in range(100, 0, -1)] if node == at(1000) else [])
    assert lookup.result == [at(away) for away in range(85, 101)]


def test_those_behind_the_sixteen_closest_are_not_asked():
    lookup: Lookup[None] = Lookup(TARGET, [at(away) for away in range(1, 30)])
    assert drive(lookup, lambda _: []) == lookup.result == [at(away) for away in range(1, 17)]


def test_one_network_cannot_crowd_out_the_others():
    def sybil(away: int) -> Node:
        return Contact(away.to_bytes(32), Endpoint(bytes([66, 6, 6, away]), 30303), 0, None)

    honest = [at(away) for away in range(200, 220)]

    def answer(_: Node) -> list[Node]:
        return [*(sybil(away) for away in range(2, 16)), at(200)]

    lookup: Lookup[None] = Lookup(TARGET, honest)
    drive(lookup, answer)
    assert lookup.result == [sybil(2), sybil(3), *honest[:14]]
    control: Lookup[None] = Lookup(TARGET, honest, per_network=None)
    drive(control, answer)
    assert control.result == [*(sybil(away) for away in range(2, 16)), *honest[:2]]
    wanted: Lookup[None] = Lookup(sybil(15).id, honest)  # who looks for one node finds it in any neighbourhood
    drive(wanted, answer)
    assert wanted.result[0] == sybil(15)


def test_a_lan_may_have_as_many_as_it_likes():
    lan = [Contact(away.to_bytes(32), Endpoint(bytes([192, 168, 0, away]), 30303), 0, None) for away in range(1, 17)]
    lookup: Lookup[None] = Lookup(TARGET, lan)
    drive(lookup, lambda _: lan)
    assert lookup.result == lan


def test_a_liar_cannot_hide_a_node_behind_a_wrong_endpoint():
    right, wrong = at(1, place=10), at(1, place=666)
    lookup: Lookup[None] = Lookup(TARGET, [at(50), at(60)])

    def answer(node: Node) -> list[Node] | None:
        if node == at(50):
            return [wrong]
        return [right] if node == at(60) else None if node == wrong else []

    drive(lookup, answer)
    assert lookup.result == [right, at(50), at(60)]


def test_the_newer_record_of_a_node_is_believed():
    lookup: Lookup[None] = Lookup(TARGET, [at(50), at(60), at(70), at(1000, place=1, seq=1)])
    first = lookup.queries()
    assert at(1000, place=1, seq=1) not in first
    lookup.answered(first[0], [at(1000, place=2, seq=2)])
    assert lookup.queries() == [at(1000, place=2, seq=2)]


@settings(max_examples=40)
@given(st.data(), st.randoms(use_true_random=False), st.integers(1, 5), st.integers(1, 4))
def test_whatever_happens_it_ends_and_keeps_its_bounds(data, chance, alpha, attempts):
    pool = [at(1 + place, place=place // 3) for place in range(60)]
    lookup: Lookup[None] = Lookup(TARGET, chance.sample(pool, 5), alpha=alpha, attempts=attempts, own_id=pool[0].id)
    flying: list[Node] = []
    asked: list[bytes] = []
    answered: set[bytes] = set()
    silent: list[Node] = []
    while not lookup.done:
        new = lookup.queries()
        flying += new
        asked += [node.id for node in new]
        assert len(flying) <= alpha
        assert len({node.id for node in flying}) == len(flying)
        node = flying.pop(chance.randrange(len(flying)))
        if data.draw(st.booleans()):
            lookup.answered(node, chance.sample(pool, chance.randrange(30)))
            answered.add(node.id)
        else:
            lookup.failed(node)
            silent.append(node)
        if silent and chance.random() < 0.2 and (late := chance.choice(silent)).id not in {node.id for node in flying}:
            lookup.answered(late, chance.sample(pool, 3))
            answered.add(late.id)
    assert pool[0].id not in asked
    assert max(map(asked.count, asked)) <= attempts
    assert len(asked) == lookup.asked <= MAX_QUERIES
    assert [node.id for node in lookup.result] == sorted(answered)[:16]
    counts = [sum(c.contact.endpoint.ip[:3] == network for c in lookup._candidates) for network in lookup._networks]
    assert counts == list(lookup._networks.values())


@pytest.mark.parametrize(
    ("middle", "expected"),
    [
        (256, [256, 255, 254, 253, 252]),
        (254, [254, 255, 256, 253, 252]),
        (200, [200, 201, 202, 203, 204]),
        (1, [1, 2, 3, 4, 5]),
        (0, [0, 1, 2, 3, 4]),
    ],
)
def test_the_distances_to_ask_for(middle, expected):
    node = (1 << middle >> 1).to_bytes(32)
    assert distance(TARGET, node) == middle
    assert lookup_distances(TARGET, node) == expected
    assert lookup_distances(TARGET, node, 1) == expected[:1]
    many = lookup_distances(TARGET, node, 300)
    assert len(set(many)) == len(many) >= 256
    assert all(0 <= wanted <= 256 for wanted in many)
