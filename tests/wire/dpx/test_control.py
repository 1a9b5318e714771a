"""Control messages of dpx/1: what is written is read back, the layout is the specified one, and strangers' bytes are refused as such."""

from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.wire.dpx import control
from devp2p.wire.dpx.control import (
    Committed,
    Control,
    Delta,
    GoAway,
    Introduction,
    IntroductionConsent,
    IntroductionNote,
    IntroductionRequest,
    Pad,
    Release,
    Reset,
    Shape,
    Unknown,
    Weight,
)

bytes_of = lambda size: st.binary(min_size=size, max_size=size)  # noqa: E731
u8, u32, u64 = st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
capabilities, contexts, some = st.integers(1, 126), st.integers(1, 65535), st.integers(1, 255)
lists = st.lists(st.binary(max_size=40), max_size=8).map(rlp.encode)
KINDS: dict[type, st.SearchStrategy[Control]] = {
    Delta: st.builds(Delta, st.integers(1, 127), st.integers(1, 2**31 - 1)),
    Reset: st.builds(Reset, capabilities, contexts, some),
    Weight: st.builds(Weight, capabilities, some),
    Pad: st.builds(Pad, st.integers(0, 2000)),
    Shape: st.builds(Shape, u8, u32, u64, u64, u32, u64),
    Committed: st.builds(Committed, st.none() | st.binary(max_size=16)),
    IntroductionRequest: st.builds(IntroductionRequest, capabilities, st.integers(1, 4)),
    Introduction: st.builds(Introduction, lists, lists),
    IntroductionConsent: st.builds(IntroductionConsent, st.just(b"") | bytes_of(33), u8, st.none() | lists),
    IntroductionNote: st.builds(IntroductionNote, bytes_of(32), bytes_of(16), u64),
    GoAway: st.builds(GoAway, u8),
    Release: st.builds(Release, capabilities, contexts),
}
controls = st.one_of(*KINDS.values())


def test_no_kind_is_left_out():
    assert set(KINDS) == set(get_args(Control))


@given(controls)
def test_what_is_written_is_read_back(sent):
    data = control.encode(sent)
    assert control.decode(data) == sent
    assert control.decode(memoryview(data)) == sent
    assert len(data) <= 64 or isinstance(sent, Pad | Introduction | IntroductionConsent)


@pytest.mark.parametrize(
    ("sent", "code", "items"),
    [
        (Delta(127, 2**31 - 1), 0x00, [127, 2**31 - 1]),
        (Reset(126, 65535, control.BUSY), 0x01, [126, 65535, 3]),
        (Weight(1, 255), 0x02, [1, 255]),
        (Pad(3), 0x03, [bytes(3)]),
        (Shape(2, 1024, 0, 10**6, 50, 2**20), 0x04, [2, 1024, 0, 10**6, 50, 2**20]),
        (Committed(), 0x05, []),
        (Committed(b"g"), 0x05, [b"g"]),
        (IntroductionRequest(1, 4), 0x06, [1, 4]),
        (Introduction(rlp.encode([b"enr"]), rlp.encode([b"record"])), 0x07, [[b"enr"], [b"record"]]),
        (IntroductionConsent(b"", 2), 0x08, [b"", 2]),
        (IntroductionConsent(b"", 2, rlp.encode([b"enr"])), 0x08, [b"", 2, [b"enr"]]),
        (IntroductionNote(bytes(32), bytes(16), 7), 0x09, [bytes(32), bytes(16), 7]),
        (GoAway(2), 0x0A, [2]),
        (Release(1, 2), 0x0D, [1, 2]),
    ],
)
def test_the_layout_is_the_specified_one(sent, code, items):
    assert control.encode(sent) == rlp.encode(code) + rlp.encode(items)


@given(controls.filter(lambda sent: not isinstance(sent, Committed | IntroductionConsent)), st.lists(st.binary(max_size=4), max_size=3))
def test_a_later_version_may_say_more(sent, more):
    data = control.encode(sent)
    code, start = rlp.split_uint(data)
    items = rlp.decode(data[start:])
    longer = rlp.encode(code) + rlp.encode([*items, *more])
    if len(longer) <= 64:
        assert control.decode(longer) == sent


def test_what_is_committed_may_carry_more():
    assert control.decode(rlp.encode(0x05) + rlp.encode([bytes(16), [b"more"], 1])) == Committed(bytes(16))


@given(st.integers(0x0E, 2**64 - 1) | st.sampled_from([0x0B, 0x0C]), st.binary(max_size=300))
def test_a_code_that_we_do_not_know_is_no_error(code, data):
    assert control.decode(rlp.encode(code) + data) == Unknown(code)


@given(st.binary(max_size=100))
@example(b"")
@example(b"\x80")
@example(b"\x80\xc0")
@example(b"\x03\xc1\xc0")
def test_any_bytes_are_a_control_message_or_a_decoding_error(data):
    try:
        read = control.decode(data)
    except DecodingError:
        return
    if isinstance(read, Unknown):
        assert rlp.split_uint(data)[0] == read.code
    else:
        assert control.decode(control.encode(read)) == read


@pytest.mark.parametrize(
    ("code", "items"),
    [
        (0x00, [0, 1]),
        (0x00, [128, 1]),
        (0x00, [1, 0]),
        (0x00, [1, 2**31]),
        (0x01, [127, 1, 1]),
        (0x01, [0, 1, 1]),
        (0x01, [1, 0, 1]),
        (0x01, [1, 65536, 1]),
        (0x01, [1, 1, 0]),
        (0x02, [1, 0]),
        (0x02, [127, 1]),
        (0x03, [[]]),
        (0x05, [bytes(17)]),
        (0x06, [1, 5]),
        (0x07, [b"enr", []]),
        (0x07, [[], b"record"]),
        (0x08, [bytes(32), 1]),
        (0x0D, [1, 0]),
        (0x0D, [127, 1]),
    ],
)
def test_numbers_that_cannot_be_are_refused(code, items):
    with pytest.raises(DecodingError):
        control.decode(rlp.encode(code) + rlp.encode(items))


def test_a_control_message_is_small():
    """Whatever is behind its fields is ignored, but is not a place for bytes outside of all credit."""
    fits = rlp.encode(0x02) + rlp.encode([1, 1, bytes(57)])
    assert len(fits) == 64
    assert control.decode(fits) == Weight(1, 1)
    with pytest.raises(DecodingError, match="64 are allowed"):
        control.decode(rlp.encode(0x02) + rlp.encode([1, 1, bytes(58)]))
    with pytest.raises(LocalProtocolError, match="2048 are allowed"):
        control.encode(Introduction(rlp.encode([bytes(1100)]), rlp.encode([bytes(1100)])))


def test_padding_is_of_any_size_and_of_any_bytes():
    assert control.decode(control.encode(Pad(16000))) == Pad(16000)
    assert control.decode(rlp.encode(0x03) + rlp.encode([b"not zeros"])) == Pad(9)


def test_numbers_of_ours_that_cannot_be_are_refused_where_they_are_written():
    with pytest.raises(ValueError, match="from 1 to 126, not 127"):
        Reset(127, 1, control.CANCEL)
