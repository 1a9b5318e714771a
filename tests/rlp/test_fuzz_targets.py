"""The fuzz targets hold for what Hypothesis thinks of."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from devp2p import rlp
from tests.fuzz import rlp_targets
from tests.fuzz.rlp_targets import Everything, Inner, Nested
from tests.rlp.shapes import almost_rlp, trees

small = st.integers(0, 2)
inner: st.SearchStrategy[Any] = st.tuples(small, st.text(max_size=2), st.booleans()).map(list) | st.lists(trees, max_size=4)
kinds: list[st.SearchStrategy[Any]] = [
    st.integers(0, 300),
    st.integers(0, 255),
    st.integers(0, 4095),
    st.binary(max_size=41),
    st.just(b"four"),
    st.binary(min_size=1, max_size=1),
    st.just([5, b"b"]),
    inner,
    st.lists(inner, max_size=2),
    st.lists(st.just(b"four"), max_size=3),
    trees,
    st.lists(inner, max_size=20),
]
likely: st.SearchStrategy[Any] = st.tuples(*kinds).map(list)
nearly = likely | st.tuples(likely, st.lists(trees, max_size=3)).map(lambda pair: pair[0] + pair[1])
messages = nearly.map(rlp.encode) | st.tuples(small, st.lists(small, max_size=4)).map(rlp.encode) | inner.map(rlp.encode)
inputs = almost_rlp | messages | trees.map(rlp.encode)
spoiled = st.tuples(inputs, st.integers(0, 300), st.binary(max_size=2)).map(
    lambda edit: edit[0][: edit[1]] + edit[2] + edit[0][edit[1] + 1 :]
)


@given(inputs | spoiled)
def test_decode(data):
    rlp_targets.fuzz_rlp_decode(data)


@given(inputs | spoiled)
def test_typed(data):
    rlp_targets.fuzz_rlp_typed(data)


@given(inputs | spoiled)
def test_lazy(data):
    rlp_targets.fuzz_rlp_lazy(data)


def test_the_targets_reach_what_they_are_for():
    """An input that every class takes exists, so the invariants are not empty."""
    first = Inner(1, "a", flag=True)
    whole = Everything(1, 2, 3, b"", b"four", b"1", (5, b"b"), first, (first,), (b"four",), b"\xc0", rlp.Lazy([first]), 9, (b"\x05",))
    for value in (first, whole, Nested(1, 2, reverse=False, extra=b"x")):
        rlp_targets.fuzz_rlp_typed(rlp.codec(type(value)).encode(value))
