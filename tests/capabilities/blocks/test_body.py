"""Bodies: what they decode from, and that nothing passes for a header's body but that body."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.blocks import Body, Header, Withdrawal, body_fault, transactions_root
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT, list_root

LEGACY = rlp.encode([1, 2, 21_000, bytes(20), 3, b"", 27, 4, 5])
TYPED = rlp.encode(b"\x02" + rlp.encode([1] * 12))
OMMER = rlp.encode([b"not", b"looked", b"into"])
WITHDRAWAL = Withdrawal(index=1, validator_index=2, address=b"a" * 20, amount=3)


def header_of(body: Body) -> Header:
    return Header(
        parent_hash=bytes(32),
        ommers_hash=keccak256(rlp.encode_list(b"".join(body.ommers))),
        coinbase=bytes(20),
        state_root=bytes(32),
        transactions_root=transactions_root(body.transactions),
        receipts_root=EMPTY_ROOT,
        number=1,
        gas_limit=30_000_000,
        timestamp=1,
        withdrawals_root=None if body.withdrawals is None else list_root(body.withdrawals),
    )


ITEMS = st.lists(st.sampled_from([LEGACY, TYPED]), max_size=4).map(tuple)
BODIES = st.builds(
    Body,
    ITEMS,
    st.lists(st.just(OMMER), max_size=2).map(tuple),
    st.none() | st.lists(st.just(WITHDRAWAL.raw), max_size=3).map(tuple),
)


@given(BODIES)
def test_that_bodies_come_back_and_fit_their_headers(body: Body) -> None:
    again = Body.decode(body.raw)
    assert again == body
    assert again.raw == body.raw
    assert body_fault(header_of(body), again) is None


@given(BODIES, BODIES)
def test_that_no_body_fits_the_header_of_another(one: Body, other: Body) -> None:
    assert (body_fault(header_of(one), other) is None) == (one == other)


@pytest.mark.parametrize(
    ("header_has", "body_has", "why"),
    [
        (Body((LEGACY,)), Body((TYPED,)), "its transactions have another root"),
        (Body((LEGACY, TYPED)), Body((TYPED, LEGACY)), "its transactions have another root"),
        (Body(ommers=(OMMER,)), Body(), "its ommers have another hash"),
        (Body(), Body(withdrawals=()), "it has withdrawals, and its header has no root of them"),
        (Body(withdrawals=()), Body(), "it has no withdrawals, and its header has a root of them"),
        (Body(withdrawals=()), Body(withdrawals=(WITHDRAWAL.raw,)), "its withdrawals have another root"),
    ],
)
def test_which_part_does_not_fit(header_has: Body, body_has: Body, why: str) -> None:
    assert body_fault(header_of(header_has), header_has) is None
    assert body_fault(header_of(header_has), body_has) == why


def test_that_a_legacy_transaction_has_one_encoding() -> None:
    # As a string in the list it would be the same leaf of the trie, and thus of the same root.
    disguised = Body((rlp.encode(LEGACY),))
    assert list_root([LEGACY]) == header_of(Body((LEGACY,))).transactions_root
    assert body_fault(header_of(Body((LEGACY,))), disguised) == "its transactions: neither a legacy transaction nor one with a type"


@pytest.mark.parametrize("item", [b"\x80", b"\x02", rlp.encode(b"\x80\xc0")])
def test_that_strings_that_are_no_envelopes_are_a_fault(item: bytes) -> None:
    assert body_fault(header_of(Body()), Body((item,))) == "its transactions: neither a legacy transaction nor one with a type"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "no bytes"),
        (b"\x80", "a byte string where a list belongs"),
        (b"\xc0", "a body, transactions: missing"),
        (b"\xc1\xc0", "a body, ommers: missing"),
        (b"\xc4\xc0\xc0\xc0\xc0", "more than three"),
        (b"\xc3\xc0\xc0\x80", "a body, withdrawals: a byte string"),
        (b"\xc6\xc0\xc3\xc0\xc0\xc0\xc0", "more than 2 items"),
        (b"\xc2\xc0\xc0\xc0", "bytes after"),
    ],
)
def test_that_other_bytes_are_refused(raw: bytes, why: str) -> None:
    with pytest.raises(DecodingError, match=why):
        Body.decode(raw)


def test_withdrawals() -> None:
    assert Withdrawal.decode(WITHDRAWAL.raw) == WITHDRAWAL
    with pytest.raises(DecodingError, match="a withdrawal, address: 19 bytes instead of 20"):
        Withdrawal.decode(rlp.encode([1, 2, bytes(19), 3]))
    with pytest.raises(DecodingError, match="more elements"):
        Withdrawal.decode(rlp.encode([1, 2, bytes(20), 3, 4]))
