"""Which headers to ask whom for: nothing is kept that is not linked to the anchor, and everything is found that anybody has."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p.capabilities.backfill.span import AHEAD, PIECE, Piece, Span
from devp2p.capabilities.ethereum.blocks import Header
from tests.capabilities.backfill.chain import headers

CHAIN = headers(700)
FORGED = headers(700, salt=1)


def downwards(piece: Piece, chain=CHAIN):
    return chain[piece.first : piece.last + 1][::-1]


def take(span: Span[str], peer: str, most: int = PIECE) -> Piece:
    """What a peer is asked for; there is something."""
    piece = span.take(peer, most)
    assert piece is not None
    return piece


def test_a_range_is_asked_for_from_its_top_in_pieces_of_which_a_bounded_number_is_ahead():
    span: Span[str] = Span(100, 100 + PIECE * (AHEAD + 5) - 1, bytes(32))
    pieces = [span.take("anna", PIECE) for _ in range(AHEAD + 3)]
    assert pieces[:2] == [Piece(span.edge - PIECE + 1, span.edge), Piece(span.edge - 2 * PIECE + 1, span.edge - PIECE)]
    assert None not in pieces[:AHEAD]
    assert pieces[AHEAD:] == [None] * 3


def test_what_comes_out_of_order_waits_for_what_is_above_it():
    span: Span[str] = Span(0, 599, CHAIN[599].hash)
    top, below, last = (take(span, peer) for peer in ("anna", "bert", "anna"))
    assert last == Piece(0, 600 - 2 * PIECE - 1)
    assert span.put("bert", below, downwards(below)).headers == []
    assert span.put("anna", top, downwards(top)).headers == downwards(Piece(below.first, 599))
    assert not span.is_done
    span.put("anna", last, downwards(last))
    assert span.is_done


def test_a_piece_that_is_not_linked_to_what_is_above_it_names_its_bringer_and_is_asked_for_elsewhere():
    span: Span[str] = Span(0, 9, CHAIN[9].hash)
    piece = take(span, "liar")
    assert piece == Piece(0, 9)
    found = span.put("liar", piece, downwards(piece, FORGED))
    assert (found.headers, found.liars) == ([], ["liar"])
    assert span.take("liar", PIECE) is None
    assert span.take("anna", PIECE) == piece
    assert span.put("anna", piece, downwards(piece)).headers == downwards(piece)


def test_of_two_that_do_not_fit_the_lower_one_is_wrong():
    span: Span[str] = Span(0, PIECE + 9, CHAIN[PIECE + 9].hash)
    top, below = take(span, "anna"), take(span, "liar")
    span.put("liar", below, downwards(below, FORGED))
    assert span.put("anna", top, downwards(top)).liars == ["liar"]


def test_who_brings_only_the_beginning_or_nothing_leaves_the_rest_to_others():
    span: Span[str] = Span(0, 9, CHAIN[9].hash)
    piece = take(span, "anna")
    assert len(span.put("anna", piece, downwards(piece)[:4]).headers) == 4
    assert span.take("anna", PIECE) == Piece(0, 5), "an answer may be cut, so the rest may be asked of the same"
    span.put("anna", Piece(0, 5), [])
    assert span.take("anna", PIECE) is None
    assert span.take("bert", 2) == Piece(4, 5)
    span.give_back("bert", Piece(4, 5), blame=False)
    span.forgive()
    assert span.take("anna", PIECE) == Piece(4, 5)


def test_what_all_wait_for_a_second_peer_is_asked_for_and_the_first_to_bring_it_counts():
    chain = headers(PIECE * AHEAD + 10)
    span: Span[str] = Span(0, len(chain) - 1, chain[-1].hash)
    slow = take(span, "slow")
    for _ in range(AHEAD - 1):
        piece = take(span, "anna")
        assert span.put("anna", piece, downwards(piece, chain)).headers == []
    assert take(span, "anna") == slow, "nothing else may be asked for, however long this takes"
    assert span.take("bert", PIECE) is None, "two are enough"
    assert len(span.put("anna", slow, downwards(slow, chain)).headers) == AHEAD * PIECE
    assert span.put("slow", slow, downwards(slow, chain)[:1]).headers == [], "too late, and no fault"
    last = take(span, "slow")
    span.put("slow", last, downwards(last, chain))
    assert span.is_done


def test_the_second_may_bring_less_or_lies_as_well():
    for answer, liars in ((0, []), (3, []), (-1, ["anna"])):
        span: Span[str] = Span(0, 9, CHAIN[9].hash)
        piece = take(span, "slow")
        assert take(span, "anna") == piece
        brought = downwards(piece, FORGED) if answer < 0 else downwards(piece)[:answer]
        assert span.put("anna", piece, brought).liars == liars
        span.give_back("slow", piece, blame=False)
        rest = take(span, "bert")
        span.put("bert", rest, downwards(rest))
        assert (rest, span.is_done) == (Piece(0, 9 - max(0, answer)), True)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), last=st.integers(0, 699), first=st.integers(0, 699))
def test_whatever_peers_do_all_headers_are_found_while_one_of_them_is_honest(seed, last, first):
    first, chance = min(first, last), random.Random(seed)
    span: Span[str] = Span(first, last, CHAIN[last].hash)
    found: list[Header] = []
    under_way: list[tuple[str, Piece]] = []
    for _ in range(10_000):
        if span.is_done:
            break
        peer = chance.choice(["honest", "lazy", "liar"])
        if under_way and chance.random() < 0.6:
            peer, piece = under_way.pop(chance.randrange(len(under_way)))
            brought = downwards(piece, FORGED if peer == "liar" else CHAIN)
            if peer == "lazy":
                brought = brought[: chance.randrange(len(brought) + 1)]
            if chance.random() < 0.1:
                span.give_back(peer, piece, blame=False)
            else:
                verified = span.put(peer, piece, brought)
                found += verified.headers
                assert set(verified.liars) <= {"liar"}
        elif taken := span.take(peer, chance.randint(1, PIECE)):
            under_way.append((peer, taken))
    assert found == downwards(Piece(first, last))
