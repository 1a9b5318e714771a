"""Each range is taken if and only if it is true."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import DecodingError
from devp2p.capabilities.ethereum.tries import check_range, check_range_in_steps, ordered_root
from tests.capabilities.tries.range_cases import HONEST, LAST, LIES, MANY, ZERO, Case, Trie, lie, moved


def verdict(case: Case) -> bool | None:
    try:
        return check_range(case.root, case.start, case.leaves, case.proof)
    except DecodingError:
        return None


@pytest.mark.parametrize("name", HONEST)
def test_what_is_true_is_taken(name):
    assert check_range(HONEST[name].root, HONEST[name].start, HONEST[name].leaves, HONEST[name].proof) is HONEST[name].more


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_refused_and_its_honest_twin_taken(name):
    case = lie(name)
    assert verdict(HONEST[LIES[name][0]]) is not None
    with pytest.raises(DecodingError):
        check_range(case.root, case.start, case.leaves, case.proof)


def test_no_proof_stands_for_all_leaves_from_the_start_on():
    """go-ethereum takes a whole trie without a proof whatever was asked for; the protocol sends no proof only from 00..00 on."""
    whole = HONEST["all, without a proof"]
    for start, expected in ((ZERO, False), (whole.leaves[0][0], False), (moved(whole.leaves[0][0], 1), None), (LAST, None)):
        assert verdict(Case(whole.root, start, whole.leaves, (), more=None)) is expected


def test_keys_of_several_lengths_have_no_ranges():
    """States have none, and go-ethereum takes care of nothing but the range there: a value in a branch would be left out unseen."""
    trie = Trie({b"\x11": b"1", b"\x12": b"2", b"\x12\x34": b"3", b"\x12\x56": b"4"})
    for start in (b"\x12", b"\x12\x34"):
        assert verdict(Case(trie.root, start, trie.case(start, 9).leaves, tuple(trie.nodes.values()), more=None)) is None
        with pytest.raises(DecodingError, match="several lengths"):
            check_range(trie.root, start, (), trie.nodes.values())
    whole = HONEST["all, without a proof"]
    assert verdict(Case(whole.root, bytes(31), whole.leaves, (), more=None)) is None
    alike = Trie({b"\x11\x00": b"1", b"\x12\x34": b"3", b"\x12\x56": b"4"})
    assert verdict(alike.case(b"\x12\x34", 9)) is False
    assert verdict(alike.case(b"\x12", 9)) is None


def test_a_gap_that_leaves_one_child_of_a_branch_is_named():
    trie = Trie({b"\x12\x00": b"1", b"\x12\x50": b"2", b"\x30\x00": b"3"})
    honest = trie.case(b"\x12\x20", 9)
    assert verdict(honest) is False
    with pytest.raises(DecodingError, match="a single node, at 120, "):
        check_range(trie.root, honest.start, honest.leaves[1:], honest.proof)


def test_a_refusal_is_short_whatever_was_sent():
    huge = bytes(10**5)
    for start, leaves in ((ZERO, [(huge, b"1")]), (LAST, [(huge, b"1")]), (ZERO, [(ZERO, b"1"), (huge, b"1")]), (ZERO, [(ZERO, huge)])):
        for proof in ((), MANY.nodes.values()):
            with pytest.raises(DecodingError) as error:
                check_range(MANY.root, start, leaves, proof)
            assert len(str(error.value)) < 250


@pytest.mark.parametrize("start", range(5))
def test_where_more_leaves_are_is_told(start):
    """go-ethereum's TestHasRightElement."""
    keys = [key for key, _ in MANY.leaves]
    for first, last, more in ((0, 1, True), (0, 10, True), (50, 100, True), (50, 300, False), (299, 300, False), (0, 300, False)):
        origin = [keys[first], moved(keys[first], -1), ZERO if first == 0 else keys[first], keys[first][:20].ljust(32, b"\0"), keys[first]][
            start
        ]
        if first and origin <= keys[first - 1]:
            continue
        assert verdict(MANY.case(origin, last - first)) is more


KEYS = st.binary(min_size=2, max_size=2) | st.lists(st.sampled_from(b"\x00\x01\x10\xff"), min_size=2, max_size=2).map(bytes)
VALUES = st.binary(min_size=1, max_size=3) | st.binary(min_size=30, max_size=40)
TRIES = st.dictionaries(KEYS, VALUES, max_size=20).map(Trie)


@settings(max_examples=60)
@given(TRIES, KEYS, st.integers(0, 20))
def test_every_honest_range_is_taken(trie, start, count):
    case = trie.case(start, max(count, 1))
    assert verdict(case) is case.more


@settings(max_examples=150)
@given(TRIES, KEYS, st.data())
def test_of_all_ranges_only_the_true_are_taken_whatever_the_proof_holds(trie, start, data):
    """With all nodes of the trie as its proof, and leaves that are true but for some changes."""
    true = [leaf for leaf in trie.leaves if leaf[0] >= start]
    given = list(true[: data.draw(st.integers(0, len(true)))])
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(given)))
        given[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.lists(st.tuples(KEYS, VALUES) | st.sampled_from(trie.leaves or [(b"", b"")]), max_size=2)
        )
    expected = None
    if given == true[: len(given)] and (given or not true):
        expected = len(given) < len(true)
    assert verdict(Case(trie.root, start, tuple(given), tuple(trie.nodes.values()), more=None)) is expected


@settings(max_examples=40)
@given(TRIES, KEYS, st.integers(1, 20), st.data())
def test_a_proof_needs_each_of_its_nodes(trie, start, count, data):
    """But for the root of a whole trie, since no proof is a proof of that."""
    case = trie.case(start, count)
    if len(case.proof) < 2:
        return
    kept = data.draw(st.integers(0, len(case.proof) - 1))
    assert verdict(Case(case.root, start, case.leaves, case.proof[:kept] + case.proof[kept + 1 :], more=None)) is None


@given(
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=32),
    st.lists(st.tuples(st.binary(max_size=33), st.binary(max_size=9))),
    st.lists(st.binary()),
)
def test_any_bytes_give_an_answer(root, start, leaves, proof):
    verdict(Case(root, start, tuple(leaves), tuple(proof), more=None))


def test_steps_are_short():
    """Whoever has other things to do can do them after every 32 leaves: some 300 microseconds."""
    case = HONEST["all, with a proof"]
    steps = check_range_in_steps(case.root, case.start, case.leaves, [*case.proof, *(bytes([number]) for number in range(100))])
    assert len(list(steps)) >= (100 + len(case.proof) + len(case.leaves)) // 32 - 1
    small = tuple((number.to_bytes(32), b"1") for number in range(1024))  # of which 17 are in one node
    assert len(list(check_range_in_steps(ordered_root(small), ZERO, small, ()))) == 32
