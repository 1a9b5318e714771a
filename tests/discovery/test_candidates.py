"""Candidates from several sources: whose turn it is, who is left out, and what may wait."""

from hypothesis import given
from hypothesis import strategies as st

from devp2p.addresses import Address
from devp2p.discovery.candidates import WINDOW, Candidate, Mixer
from devp2p.keys import PrivateKey
from devp2p.records.node_record import NodeRecord

NODES = [NodeRecord(PrivateKey.from_bytes(n.to_bytes(32, "big")).public_key, (Address("tcp", f"9.9.9.{n}", 30303),)) for n in range(1, 100)]


def sources(mixer: Mixer, now: float = 0.0) -> list[str]:
    """The sources of all that waits, in the order in which it is given."""
    given = []
    while (candidate := mixer.take(now)) is not None:
        given.append(candidate.source)
    return given


def test_sources_have_their_turns_however_many_nodes_they_have():
    mixer = Mixer()
    for node in NODES[:20]:
        mixer.offer(Candidate(node, "v4"), 0.0)
    for node in NODES[20:23]:
        mixer.offer(Candidate(node, "dns"), 0.0)
    mixer.offer(Candidate(NODES[23], "bootnode"), 0.0)
    assert sources(mixer)[:8] == ["v4", "dns", "bootnode", "v4", "dns", "v4", "dns", "v4"]


def test_a_source_that_had_its_turn_comes_after_those_that_are_new():
    mixer = Mixer()
    mixer.offer(Candidate(NODES[0], "v4"), 0.0)
    mixer.offer(Candidate(NODES[1], "v4"), 0.0)
    assert mixer.take(0.0) is not None
    mixer.offer(Candidate(NODES[2], "v5"), 0.0)
    mixer.offer(Candidate(NODES[3], "v5"), 0.0)
    assert sources(mixer) == ["v4", "v5", "v5"]


def test_a_flood_from_one_source_is_bounded_and_leaves_room_for_others():
    mixer = Mixer(buffer=5)
    assert sum(mixer.offer(Candidate(node, "dns"), 0.0) for node in NODES[:50]) == 5
    assert mixer.offer(Candidate(NODES[60], "v5"), 0.0)
    assert len(mixer) == 6


def test_a_node_is_given_once_whoever_names_it_until_the_window_is_over():
    mixer = Mixer()
    assert mixer.offer(Candidate(NODES[0], "v4"), 0.0)
    assert not mixer.offer(Candidate(NODES[0], "v5"), 0.0)  # it waits
    candidate = mixer.take(1.0)
    assert candidate is not None
    assert (candidate.record, candidate.source) == (NODES[0], "v4")
    assert not mixer.offer(Candidate(NODES[0], "v5"), WINDOW)  # it was given
    assert mixer.offer(Candidate(NODES[0], "v5"), 1.0 + WINDOW)


def test_a_filter_is_asked_before_a_node_waits_and_again_before_it_is_given():
    unwanted = {NODES[0].id}
    mixer = Mixer([lambda node: node.id not in unwanted])
    assert not mixer.offer(Candidate(NODES[0], "v4"), 0.0)
    assert mixer.offer(Candidate(NODES[1], "v4"), 0.0)
    assert mixer.offer(Candidate(NODES[2], "v4"), 0.0)
    unwanted.add(NODES[1].id)  # it was connected meanwhile
    candidate = mixer.take(0.0)
    assert candidate is not None
    assert candidate.record == NODES[2]
    assert mixer.take(0.0) is None
    unwanted.clear()
    assert mixer.offer(Candidate(NODES[1], "v4"), 0.0)  # what was not given may come again at once


def test_all_filters_have_to_agree():
    mixer = Mixer([lambda node: node.id != NODES[0].id, lambda node: node.id != NODES[1].id])
    assert [mixer.offer(Candidate(node, "v4"), 0.0) for node in NODES[:3]] == [False, False, True]


ACTIONS = st.lists(st.tuples(st.sampled_from(["v4", "v5", "dns", ""]), st.integers(0, 8), st.floats(0, 20)), max_size=60)


@given(ACTIONS)
def test_whatever_happens_no_node_is_given_twice_within_the_window_and_buffers_stay_small(actions):
    mixer = Mixer(buffer=3)
    now, given_at = 0.0, dict[bytes, float]()
    for source, number, passed in actions:
        now += passed
        if source:
            mixer.offer(Candidate(NODES[number], source), now)
        elif (candidate := mixer.take(now)) is not None:
            assert now - given_at.get(candidate.record.id, -WINDOW) >= WINDOW
            given_at[candidate.record.id] = now
        assert len(mixer) <= 9
