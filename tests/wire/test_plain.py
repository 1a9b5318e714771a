"""Frames without a cipher: any cut of the stream, and what a peer that the link has proved can (not) do all the same."""

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.wire.plain import SLICE, PlainOpener, PlainSealer

GIANT = 11 * 2**20


def seal_all(frames: list[bytes]) -> bytes:
    return b"".join(b"".join(PlainSealer().seal(frame)) for frame in frames)


def drain(opener: PlainOpener) -> list[bytes]:
    frames = []
    while (frame := opener.next_frame()) is not None:
        frames.append(bytes(frame))
    return frames


def feed(opener: PlainOpener, stream: bytes, cuts: list[int]) -> list[bytes]:
    frames = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        opener.receive_data(stream[start:end])
        frames += drain(opener)
    return frames


frame_lists = st.lists(st.binary(min_size=1, max_size=100) | st.binary(min_size=1, max_size=3000), min_size=1, max_size=6)


def test_a_frame_is_its_size_and_its_data():
    assert seal_all([b"\x02\xc0"]) == b"\0\0\2\x02\xc0"
    assert PlainOpener.wire_size(2) == 5


@pytest.mark.parametrize("size", [SLICE - 4, SLICE - 3, SLICE - 2, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE, 300_000])
@pytest.mark.parametrize("head", [b"\x10", b"\x81\x90", b""])
def test_long_frames_are_given_in_slices_of_the_same_bytes(head, size):
    body = random.Random(size).randbytes(size - len(head))
    pieces = list(PlainSealer().seal(head, body))
    assert b"".join(pieces) == size.to_bytes(3) + head + body
    assert all(len(piece) == SLICE for piece in pieces[:-1])
    assert 0 < len(pieces[-1]) <= SLICE + 3


@given(frame_lists, st.data())
def test_any_cut_of_the_stream_gives_the_same_frames(frames, data):
    stream = seal_all(frames)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    opener = PlainOpener()
    assert feed(opener, stream, cuts) == frames
    assert not opener.in_frame
    assert opener.unfinished == 0


@given(frame_lists)
def test_byte_by_byte_gives_the_same_frames(frames):
    stream = seal_all(frames)
    assert feed(PlainOpener(), stream, list(range(1, len(stream)))) == frames


def test_a_long_frame_comes_back_however_it_is_cut():
    frames = [random.Random(1).randbytes(300_000), b"\x02\xc0"]
    stream = seal_all(frames)
    for step in (1000, SLICE, 2 * SLICE, len(stream)):
        assert feed(PlainOpener(), stream, list(range(step, len(stream), step))) == frames


def test_a_frame_is_the_callers_to_keep():
    opener = PlainOpener()
    whole, rest = seal_all([b"first"]), seal_all([b"in pieces"])
    opener.receive_data(whole + rest[:5])
    first = opener.next_frame()
    assert opener.next_frame() is None
    opener.receive_data(rest[5:])
    second = opener.next_frame()
    opener.receive_data(seal_all([b"another one"]))
    assert (first, bytes(second or b""), drain(opener)) == (b"first", b"in pieces", [b"another one"])


def test_in_frame_says_whether_more_must_come_and_unfinished_how_much_is_held():
    opener, stream = PlainOpener(), seal_all([bytes(100)])
    seen = []
    for at in range(len(stream)):
        opener.receive_data(stream[at : at + 1])
        if at < len(stream) - 1:
            assert opener.next_frame() is None
            seen.append((opener.in_frame, opener.unfinished))
    assert seen[:3] == [(True, 1), (True, 2), (True, 0)]
    assert seen[3:] == [(True, held) for held in range(1, 100)]
    assert len(drain(opener)) == 1
    assert (opener.in_frame, opener.unfinished) == (False, 0)


@pytest.mark.parametrize("size", [0, 1025, MAX_MESSAGE_SIZE])
def test_a_size_that_is_not_allowed_is_refused_before_the_data_and_ends_the_stream(size):
    opener = PlainOpener()
    opener.max_size = 1024
    opener.receive_data(seal_all([b"good"]) + size.to_bytes(3))
    assert opener.next_frame() == b"good"
    with pytest.raises(DecodingError, match=f"a frame of {size} bytes, where 1 to 1024 are allowed"):
        opener.next_frame()
    for act in (opener.next_frame, lambda: opener.receive_data(b"more")):
        with pytest.raises(LocalProtocolError, match="failed before"):
            act()


def test_the_largest_size_comes_through_and_a_new_maximum_holds_from_the_next_frame_on():
    opener = PlainOpener()
    opener.receive_data(seal_all([bytes(MAX_MESSAGE_SIZE)])[:1000])
    assert opener.next_frame() is None
    opener.max_size = 1
    opener.receive_data(bytes(MAX_MESSAGE_SIZE + 3 - 1000) + b"\0\0\1a\0\0\2")
    assert len(opener.next_frame() or b"") == MAX_MESSAGE_SIZE
    assert opener.next_frame() == b"a"
    with pytest.raises(DecodingError):
        opener.next_frame()


@pytest.mark.parametrize("parts", [(b"", b""), (b"\x10", bytes(MAX_MESSAGE_SIZE)), (b"", bytes(MAX_MESSAGE_SIZE + 1))])
def test_what_no_frame_can_hold_is_our_mistake(parts):
    with pytest.raises(LocalProtocolError, match="a frame holds 1 to"):
        PlainSealer().seal(*parts)


def test_who_stops_lets_go_of_what_has_come():
    opener = PlainOpener()
    opener.receive_data(seal_all([bytes(100_000)])[:50_000])
    assert opener.next_frame() is None
    assert opener.unfinished == 50_000 - 3
    opener.stop()
    assert (opener.in_frame, opener.unfinished) == (False, 0)
    with pytest.raises(LocalProtocolError):
        opener.next_frame()


def grown(act) -> int:
    tracemalloc.start()
    try:
        kept = act()
        size, _ = tracemalloc.get_traced_memory()
        assert kept is not None
        return size
    finally:
        tracemalloc.stop()


def test_an_announced_giant_costs_what_it_brings():
    def announce() -> PlainOpener:
        opener = PlainOpener()
        opener.receive_data(GIANT.to_bytes(3) + bytes(1000))
        assert opener.next_frame() is None
        return opener

    assert grown(announce) < 8 * 1024


def test_what_waits_holds_only_what_it_weighs():
    """A small frame that came with much else must not keep all of it."""
    stream = seal_all([bytes(20), bytes(60_000)])

    def keep_the_small() -> list[object]:
        kept: list[object] = []
        for _ in range(50):
            opener = PlainOpener()
            opener.receive_data(bytes(stream))
            kept.append(opener.next_frame())
        return kept

    assert grown(keep_the_small) < 50 * 1024


def test_a_long_frame_in_tiny_pieces_costs_little_more_than_its_bytes():
    data = seal_all([bytes(200_000)])[:-1]

    def drip() -> PlainOpener:
        opener = PlainOpener()
        for at in range(0, len(data), 10):
            opener.receive_data(data[at : at + 10])
            assert opener.next_frame() is None
        return opener

    assert grown(drip) < 260_000
