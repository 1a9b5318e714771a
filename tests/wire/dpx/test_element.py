"""The elements of dpx/1 in auth and ack."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.wire.dpx import (
    Accept,
    Feature,
    Mode,
    Offer,
    Params,
    ResumeVerdict,
    Token,
    Verdict,
    decode_accept,
    decode_offer,
    encode_accept,
    encode_offer,
    find,
)

features = st.integers(0, sum(Feature)).map(lambda bits: Feature(bits & sum(Feature)))
shares = st.binary(min_size=32, max_size=32)
sealed = st.binary(min_size=48, max_size=48)
records = st.lists(st.binary(max_size=200), max_size=5).map(rlp.encode)


@st.composite
def any_params(draw: st.DrawFn) -> Params:
    frame = draw(st.integers(512, 2**24 - 1))
    capability = draw(st.integers(2 * frame, 2**31 - 1))
    return Params(
        draw(st.integers(capability, 2**31 - 1)), capability, draw(st.integers(frame, 2**31 - 1)), draw(st.integers(1, 65535)), frame
    )


offers = st.builds(
    Offer,
    features,
    shares,
    st.lists(st.builds(Token, st.binary(min_size=16, max_size=16), sealed), max_size=2).map(tuple),
    st.lists(records, max_size=3).map(tuple),
    any_params(),
)


@st.composite
def accepts(draw: st.DrawFn) -> Accept:
    mode = draw(st.sampled_from(Mode))
    codes = tuple(draw(st.lists(st.integers(0, 255), max_size=3)))
    resumed = mode in {Mode.RESUMED, Mode.RESUMED_PREVIOUS}
    verdict = ResumeVerdict.RESUMED if resumed else draw(st.sampled_from([one for one in ResumeVerdict if one != ResumeVerdict.RESUMED]))
    return Accept(draw(features), draw(shares), mode, draw(sealed) if resumed else None, Verdict(verdict, codes), draw(any_params()))


@given(offers)
def test_an_offer_comes_back_as_it_was(offer: Offer) -> None:
    assert decode_offer(encode_offer(offer)) == offer


@given(accepts())
def test_an_accept_comes_back_as_it_was(accept: Accept) -> None:
    assert decode_accept(encode_accept(accept)) == accept


@given(st.lists(st.binary(max_size=40) | st.lists(st.binary(max_size=40), max_size=3), max_size=4), offers)
def test_our_element_is_found_among_others(others: list[bytes | list[bytes]], offer: Offer) -> None:
    encoded = [rlp.encode(other) for other in others if not isinstance(other, list) or other[:1] != [b"dpx1"]]
    mine = encode_offer(offer)
    assert find([*encoded, mine, rlp.encode([b"dpx1", 1])]) == mine
    assert find(encoded) is None


def test_a_string_with_our_name_is_not_our_element() -> None:
    assert find([rlp.encode(b"dpx1"), rlp.encode([b"dpx2"]), rlp.encode([[b"dpx1"]])]) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for decode in (decode_offer, decode_accept):
        with contextlib.suppress(DecodingError):
            decode(data)
    find([data])


@given(offers, st.integers(1, 4))
def test_further_items_are_ignored(offer: Offer, count: int) -> None:
    items = rlp.decode(encode_offer(offer))
    assert isinstance(items, tuple)
    assert decode_offer(rlp.encode([*items, *[b"later"] * count])) == offer


def test_feature_bits_that_we_do_not_know_are_kept() -> None:
    unknown = Feature(1 | 2**20)
    assert decode_offer(encode_offer(Offer(unknown, bytes(32)))).features == unknown
    assert decode_accept(encode_accept(Accept(unknown, bytes(32)))).features == unknown


@pytest.mark.parametrize(
    "params", [{"max_frame": 511}, {"capability_window": 32767}, {"connection_window": 2**17}, {"contexts": 0}, {"reassembly": 1000}]
)
def test_params_that_nobody_could_keep_to_are_refused(params: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"is|are"):
        Params(**params)


def test_an_offer_with_such_params_is_malformed() -> None:
    items = rlp.decode(encode_offer(Offer(Feature(1), bytes(32))))
    assert isinstance(items, tuple)
    with pytest.raises(DecodingError):
        decode_offer(rlp.encode([*items[:-1], [1, 1, 1, 1, 1]]))


def test_an_accept_that_contradicts_itself_is_refused() -> None:
    items = rlp.decode(encode_accept(Accept(Feature(1), bytes(32))))
    assert isinstance(items, tuple)
    for mode, resume in ((2, 1), (0, 1), (2, 0), (4, 0), (0, 4)):
        with pytest.raises(DecodingError):
            decode_accept(rlp.encode([*items[:3], mode, [], [resume, []], items[6]]))
    with pytest.raises(LocalProtocolError):
        encode_accept(Accept(Feature(1), bytes(32), Mode.RESUMED))


def test_the_text_form_of_an_offer_or_accept_does_not_show_the_share():
    share = bytes(range(65, 97))
    for element in (Offer(Feature(3), share), Accept(Feature(3), share)):
        assert "ABCDEF" not in repr(element)
