"""Who makes room among links that have said nothing."""

from hypothesis import given
from hypothesis import strategies as st

from devp2p.peers.unheard import Unheard


def test_the_oldest_of_the_most_crowded_network_makes_room() -> None:
    links = Unheard[str](4)
    assert [links.add(*each) for each in (("a1", b"a"), ("b1", b"b"), ("b2", b"b"), ("c1", b"c"))] == [None] * 4
    assert links.add("d1", b"d") == "b1"
    assert links.add("d2", b"d") == "a1", "where none is more crowded, whoever came first"
    assert links.add("e1", b"e") == "d1"
    assert len(links) == 4
    assert "d1" not in links._where
    assert "d2" in links._where


def test_one_that_is_renewed_counts_as_the_newest_of_its_network() -> None:
    links = Unheard[str](2)
    links.add("a1", b"a")
    links.add("a2", b"a")
    links.renew("a1")
    assert links.add("b1", b"b") == "a2"


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=200), st.integers(1, 8))
def test_whatever_comes_and_goes_the_bound_holds_and_the_most_crowded_pays(moves: list[tuple[int, int]], most: int) -> None:
    links, model = Unheard[int](most), dict[int, int]()
    for link, network in moves:
        if link in model:
            links.discard(link)
            links.discard(link)
            del model[link]
        else:
            counts = [list(model.values()).count(each) for each in range(6)]
            gone = links.add(link, bytes([network]))
            assert (gone is not None) == (len(model) == most)
            if gone is not None:
                assert counts[model[gone]] == max(counts)
                same = [each for each in model if model[each] == model[gone]]
                assert gone == same[0]
                del model[gone]
            model[link] = network
        assert len(links) == len(model)
        assert links._where.keys() == model.keys()
    for link in model:
        links.discard(link)
    assert (len(links), links._networks, links._crowds) == (0, {}, [])
