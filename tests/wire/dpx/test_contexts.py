"""What comes in over dpx/1: each rule that a peer may break, messages put together, and what is held meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError, RemoteProtocolError
from devp2p.wire import compression
from devp2p.wire.dpx import Contexts, Params
from devp2p.wire.dpx.contexts import MOST_DRIBBLES
from devp2p.wire.dpx.control import CONNECTION, TOO_BIG, Delta, Release, Reset

OURS = Params(connection_window=8192, capability_window=4096, reassembly=10_000, contexts=2, max_frame=1024)
SIZES = ((10_000, 0, 700), (10_000,))


def contexts(ours: Params = OURS, sizes: tuple[tuple[int, ...], ...] = SIZES, *, compressed: bool = False) -> Contexts:
    return Contexts(ours, sizes, compressed=compressed)


def body(size: int, code: int = 0) -> bytes:
    return rlp.encode(code) + bytes(place % 251 for place in range(size - 1))


def told(receiving: Contexts, now: float = 0.0) -> list[object]:
    return [*receiving.controls(now)]


def credited(receiving: Contexts) -> None:
    """Give back what is due, and look at nothing of it."""
    receiving.controls(0.0)


# Messages


@given(st.binary(min_size=1025, max_size=6000), st.integers(512, 1024), st.booleans(), st.booleans())
def test_a_message_in_chunks_comes_out_as_it_went_in(message, size, compressed, views):
    whole = rlp.encode(0) + (bytes(compression.compress(message)) if compressed else message)
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    if len(pieces) < 2:
        return
    receiving = contexts(compressed=compressed)
    kind = memoryview if views else bytes
    assert receiving.first(1, 7, len(whole), kind(pieces[0]), 0.0)
    for piece in pieces[1:-1]:
        assert receiving.more(1, 7, kind(piece), 0.0) is None
        credited(receiving)
    assert receiving.held == len(whole) - len(pieces[-1])
    read = receiving.more(1, 7, kind(pieces[-1]), 0.0)
    assert read is not None
    assert (read.capability, read.context, read.code, read.size, read.total) == (1, 7, 0, 10_000, len(whole))
    assert (compression.decompress(read.data, read.size) if compressed else read.data) == message
    assert receiving.held == 0
    credited(receiving)
    receiving.release(1, 7)
    assert Release(1, 7) in told(receiving)


def test_messages_of_one_capability_and_of_others_interleave():
    receiving = contexts()
    first, second, third = body(2000), body(1500, 0), body(1300)
    receiving.first(1, 1, 2000, first[:600], 0.0)
    receiving.first(1, 2, 1500, second[:600], 0.0)
    receiving.normal(1, 100)
    receiving.first(2, 1, 1300, third[:600], 0.0)
    assert receiving.held == 1800
    assert receiving.more(1, 1, first[600:1200], 0.0) is None
    read = [receiving.more(2, 1, third[600:], 0.0), receiving.more(1, 2, second[600:], 0.0), receiving.more(1, 1, first[1200:], 0.0)]
    assert [each and bytes(each.data) for each in read] == [third[1:], second[1:], first[1:]]


# Credit


def test_chunks_are_credited_as_they_come_and_whole_messages_when_they_are_taken():
    receiving = contexts()
    receiving.normal(1, 1024)
    receiving.normal(1, 1023)
    assert not receiving.has_controls
    receiving.taken(1, 1024)
    assert not receiving.has_controls, "less than half a window"
    receiving.first(1, 1, 3000, body(1024), 0.0)
    assert receiving.has_controls
    assert told(receiving) == [Delta(CONNECTION, 2048), Delta(1, 2048)]
    assert not receiving.has_controls
    receiving.taken(1, 1023)
    receiving.more(1, 1, bytes(1024), 0.0)
    assert not receiving.has_controls
    receiving.first(2, 1, 3000, body(1024), 0.0)
    assert told(receiving) == [Delta(CONNECTION, 3071)], "the connection's is given back even if no capability's is due"


def test_the_connection_has_room_for_all_capabilities_at_once():
    """However many of them are held up, the last one can go on."""
    receiving = contexts(sizes=((10_000,),) * 5)
    assert receiving.has_controls
    assert told(receiving) == [Delta(CONNECTION, 5 * 4096 - 8192)]
    for capability in range(1, 5):
        for _ in range(4):
            receiving.normal(capability, 1024)
    for _ in range(20):
        receiving.normal(5, 1024)
        receiving.taken(5, 1024)
        receiving.controls(0.0)
    assert not contexts().has_controls, "two have enough from the start"


def test_credit_that_is_withheld_is_given_later_and_that_of_the_connection_at_once():
    receiving = contexts()
    receiving.withhold(1, credit=True)
    receiving.first(1, 1, 9000, body(1024), 0.0)
    receiving.more(1, 1, bytes(1024), 0.0)
    assert told(receiving) == [Delta(CONNECTION, 2048)]
    assert not receiving.has_controls
    receiving.more(1, 1, bytes(1024), 0.0)
    receiving.withhold(1, credit=False)
    assert receiving.has_controls
    assert told(receiving) == [Delta(1, 3072)]


@pytest.mark.parametrize(
    "frame",
    [
        lambda receiving: receiving.normal(1, 25),
        lambda receiving: receiving.first(1, 2, 900, body(25), 0.0),
        lambda receiving: receiving.more(1, 1, bytes(25), 0.0),
    ],
    ids=["normal", "first", "more"],
)
def test_a_frame_beyond_its_credit_is_an_error(frame):
    receiving = contexts()
    receiving.first(1, 1, 9000, body(1024), 0.0)
    for size in (1024, 1024, 1000):
        receiving.normal(1, size)
    with pytest.raises(RemoteProtocolError, match="beyond its credit of 24"):
        frame(receiving)


def test_the_window_of_the_connection_counts_too():
    receiving = contexts(sizes=((10_000,),) * 3, ours=Params(8192, 4096, 10_000, 2, 1024))
    for capability in (1, 2):
        for _ in range(4):
            receiving.normal(capability, 1024)
    with pytest.raises(RemoteProtocolError, match="beyond its credit of 0"):
        receiving.normal(3, 1)  # before it could know that the window is larger
    told(receiving)
    receiving.normal(3, 1024)


# Rules


def test_capabilities_are_shared_ones():
    receiving = contexts()
    for capability in (0, 3, 127):
        with pytest.raises(RemoteProtocolError, match="not shared"):
            receiving.normal(capability, 1)
        with pytest.raises(RemoteProtocolError, match="not shared"):
            receiving.first(capability, 1, 1000, body(600), 0.0)
        with pytest.raises(RemoteProtocolError, match="not shared"):
            receiving.more(capability, 1, b"x", 0.0)


def test_a_chunk_belongs_to_an_open_context():
    receiving = contexts()
    with pytest.raises(RemoteProtocolError, match="a chunk for context 1 of capability 1, which is not open"):
        receiving.more(1, 1, b"x", 0.0)
    receiving.first(1, 1, 1000, body(600), 0.0)
    with pytest.raises(RemoteProtocolError, match="not open"):
        receiving.more(2, 1, b"x", 0.0)
    receiving.more(1, 1, bytes(400), 0.0)
    for data in (b"x", b""):
        with pytest.raises(RemoteProtocolError, match="not open"):
            receiving.more(1, 1, data, 0.0)


def test_a_first_chunk_opens_a_context_that_is_free():
    receiving = contexts()
    receiving.first(1, 1, 1000, body(600), 0.0)
    with pytest.raises(RemoteProtocolError, match="which is not released"):
        receiving.first(1, 1, 1000, body(600), 0.0)
    receiving = contexts()
    receiving.first(1, 1, 1000, body(600), 0.0)
    receiving.more(1, 1, bytes(400), 0.0)
    with pytest.raises(RemoteProtocolError, match="which is not released"):
        receiving.first(1, 1, 1000, body(600), 0.0)
    receiving.release(1, 1)
    with pytest.raises(RemoteProtocolError, match="which is not released"):
        receiving.first(1, 1, 1000, body(600), 0.0)  # before it can have heard of it
    told(receiving)
    assert receiving.first(1, 1, 1000, body(600), 0.0)


@pytest.mark.parametrize("total", [0, 599, 600])
def test_a_first_chunk_is_not_all_of_its_message(total):
    with pytest.raises(RemoteProtocolError, match="it is no chunk"):
        contexts().first(1, 1, total, body(600), 0.0)


def test_what_is_announced_fits_into_the_room_for_reassembly():
    with pytest.raises(RemoteProtocolError, match="more than the 10000 bytes for reassembly"):
        contexts().first(1, 1, 10_001, body(600), 0.0)
    receiving = contexts()
    receiving.first(1, 1, 6000, body(600), 0.0)
    with pytest.raises(RemoteProtocolError, match="for reassembly"):
        receiving.first(1, 2, 4001, body(600), 0.0)
    assert contexts().first(2, 1, 10_000, body(600), 0.0)


def test_only_so_many_contexts_are_open_or_unreleased():
    receiving = contexts()
    receiving.first(1, 1, 700, body(600), 0.0)
    receiving.more(1, 1, bytes(100), 0.0)
    receiving.first(1, 2, 700, body(600), 0.0)
    assert receiving.first(2, 3, 700, body(600), 0.0)
    with pytest.raises(RemoteProtocolError, match="more than 2 contexts"):
        receiving.first(1, 3, 700, body(600), 0.0)
    receiving.refuse(1, 2)
    with pytest.raises(RemoteProtocolError, match="more than 2 contexts"):
        receiving.first(1, 3, 700, body(600), 0.0)


def test_a_message_has_no_more_data_than_announced():
    receiving = contexts()
    receiving.first(1, 1, 1000, body(600), 0.0)
    with pytest.raises(RemoteProtocolError, match="more data than the 1000 bytes"):
        receiving.more(1, 1, bytes(401), 0.0)
    receiving = contexts()
    receiving.first(1, 1, 1000, body(600), 0.0)
    receiving.refuse(1, 1)
    with pytest.raises(RemoteProtocolError, match="more data than the 1000 bytes"):
        receiving.more(1, 1, bytes(401), 0.0)


def test_a_message_has_a_code_that_is_defined_and_says_how_large_it_is():
    for code in (1, 3, 2**40):
        with pytest.raises(RemoteProtocolError, match=f"defines no message {code:#x}"):
            contexts().first(1, 1, 1000, body(600, code), 0.0)
    for data in (b"", b"\xc0", b"\x00" + bytes([0x80] * 9)):
        with pytest.raises(DecodingError):
            contexts(compressed=True).first(1, 1, 1000, data, 0.0)


def test_a_message_above_its_limit_is_refused_before_it_is_held():
    receiving = contexts()
    assert not receiving.first(1, 1, 702, body(600, 2), 0.0)
    assert receiving.held == 0
    assert told(receiving) == [Reset(1, 1, TOO_BIG)]
    assert receiving.more(1, 1, bytes(102), 0.0) is None
    assert told(receiving) == [Release(1, 1)]
    assert receiving.first(1, 1, 701, body(600, 2), 0.0)


def test_what_snappy_declares_is_judged_by_the_first_chunk():
    def announced(declared: int, total: int) -> bool:
        size = bytes([declared & 0x7F | 0x80, declared >> 7]) if declared >= 0x80 else bytes([declared])
        return contexts(compressed=True).first(1, 1, total, b"\x02" + size + bytes(600), 0.0)

    assert announced(700, 604)
    assert not announced(701, 604)
    assert not announced(16_000, 604)
    most = 1 + 700 + 700 // 6 + 32  # what snappy makes of 700 bytes at most, and the code
    assert announced(700, most)
    assert not announced(700, most + 1), "it would be held, and could not inflate to what it declares"


def test_dribbles_are_counted():
    """Also of refused messages, and over all of a session."""
    receiving = contexts()
    receiving.first(1, 1, 9000, body(600), 0.0)
    receiving.first(2, 1, 10_000, body(600), 0.0)
    receiving.refuse(1, 1)
    for number in range(MOST_DRIBBLES):
        receiving.more(number % 2 + 1, 1, b"", 0.0)
    with pytest.raises(RemoteProtocolError, match="more than 256 chunks of less than 512 bytes"):
        receiving.more(2, 1, bytes(511), 0.0)


def test_the_last_chunk_of_a_message_is_as_small_as_it_must():
    receiving = contexts()
    for _ in range(2 * MOST_DRIBBLES):
        receiving.first(1, 1, 513, body(512), 0.0)
        receiving.more(1, 1, b"x", 0.0)
        receiving.release(1, 1)
        credited(receiving)
    for _ in range(MOST_DRIBBLES):
        receiving.first(1, 1, 512, body(511), 0.0)
        receiving.more(1, 1, b"x", 0.0)
        receiving.release(1, 1)
        credited(receiving)
    with pytest.raises(RemoteProtocolError, match="chunks of less than 512 bytes"):
        receiving.first(1, 1, 512, body(511), 0.0)


def test_a_message_is_released_once_and_only_when_it_is_whole():
    receiving = contexts()
    receiving.first(1, 1, 1000, body(600), 0.0)
    with pytest.raises(LocalProtocolError, match="no message to be released"):
        receiving.release(1, 1)
    receiving.more(1, 1, bytes(400), 0.0)
    receiving.release(1, 1)
    with pytest.raises(LocalProtocolError, match="no message to be released"):
        receiving.release(1, 1)
    assert told(receiving) == [Release(1, 1)]
    with pytest.raises(LocalProtocolError, match="no message to be released"):
        receiving.release(1, 1)


# Memory


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(2, 12_000), st.integers(1, 1100)), max_size=60))
def test_a_capability_holds_at_most_its_room_and_its_window(steps):
    """Whatever comes and is not taken: partial messages, whole ones in chunks, whole ones in frames."""
    receiving = contexts()
    kept = {1: 0, 2: 0}  # what the application has not taken
    for capability, context, total, size in steps:
        try:
            match total % 3:
                case 0:
                    receiving.normal(capability, size)
                    kept[capability] += size
                case 1:
                    receiving.first(capability, context, total, body(size), 0.0)
                case _:
                    if (whole := receiving.more(capability, context, bytes(size), 0.0)) is not None:
                        kept[capability] += whole.total
        except RemoteProtocolError:
            break
        receiving.controls(0.0)
        partial = {1: 0, 2: 0}
        for (each, _), incoming in receiving._contexts.items():
            partial[each] += len(incoming.buffer)
        assert receiving.held == sum(partial.values())
        assert all(partial[each] + kept[each] <= OURS.reassembly + OURS.capability_window for each in kept)
