"""Messages in frames: on a stream that all capabilities share, and on one that a capability has for itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.errors import DecodingError, LocalProtocolError, RemoteProtocolError
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.wire import base, compression
from devp2p.wire.framing import ALWAYS_FITS, BaseReceived, FrameFraming, Framing, MessageReceived
from devp2p.wire.messages import CapabilitySpec, MessageSpace
from devp2p.wire.plain import plain_framing

SPECS = [CapabilitySpec("aaa", 1, (100, 0, 3000)), CapabilitySpec("bbb", 7, (1000,)), CapabilitySpec("ccc", 2, (50, 60, 70, 80))]
SPACE = MessageSpace(SPECS, [spec.offer for spec in SPECS])


def plain(index: int | None = None, *, compressed: bool = True) -> FrameFraming:
    """The framing of a stream of all, or of one of them."""
    framing = plain_framing()
    framing.agree(SPACE if index is None else SPACE.alone(index), compressed=compressed)
    return framing


def sealed(framing: Framing, capability: int | None, code: int, data: bytes) -> bytes:
    return b"".join(framing.seal(capability, code, data))


def refused(framing: FrameFraming, stream: bytes, complaint: str) -> None:
    framing.receive_data(stream)
    with pytest.raises(RemoteProtocolError, match=complaint):
        framing.next_message()


messages = st.sampled_from(
    [(index, code, size) for index, spec in enumerate(SPECS) for code, size in enumerate(spec.sizes) if size]
).flatmap(lambda one: st.tuples(st.just(one[0]), st.just(one[1]), st.binary(max_size=one[2])))


@given(messages, st.booleans(), st.booleans())
def test_a_message_comes_as_it_went_on_either_kind_of_stream(message, own, compressed):
    index, code, data = message
    ours, theirs = [plain(index if own else None, compressed=compressed) for _ in range(2)]
    assert ours.compressed == compressed
    stream = sealed(ours, index, code, data)
    theirs.receive_data(stream)
    found = theirs.next_message()
    assert isinstance(found, MessageReceived)
    assert (found.capability, found.code, found.decompress(), found.wire_size) == (index, code, data, len(stream))
    assert found.size == SPECS[index].sizes[code]
    assert theirs.next_message() is None
    assert theirs.frames == 1


@pytest.mark.parametrize("index", range(3))
def test_on_a_stream_of_its_own_ids_begin_at_the_same_for_each(index):
    data = sealed(plain(index, compressed=False), index, 0, b"\xc0")
    assert data == b"\0\0\2\x10\xc0"
    assert SPACE.alone(index).offsets == (0x10, 0x10, 0x10)
    assert SPACE.alone(index).max_size == max(SPECS[index].sizes)


@pytest.mark.parametrize(("index", "code"), [(0, 0x11), (0, 0x13), (1, 0x11), (2, 0x14), (2, 0x7F), (2, 2**63)])
def test_on_a_stream_of_its_own_an_id_that_it_does_not_define_is_of_nobody(index, code):
    offer = SPECS[index].offer
    head = bytes([code]) if code < 0x80 else b"\x88" + code.to_bytes(8)
    refused(plain(index), (len(head) + 3).to_bytes(3) + head + b"\x01\x00\xc0", f"{offer} defines no message {code - 0x10:#x}")


@pytest.mark.parametrize("code", [base.HELLO, base.DISCONNECT, base.PING, base.PONG, base.LAST, 0x0F])
def test_messages_of_the_base_protocol_come_as_such_wherever_they_are(code):
    for framing in (plain(), plain(1)):
        framing.receive_data(sealed(plain(), None, code, b"\xc0"))
        assert framing.next_message() == BaseReceived(code, compression.compress(b"\xc0"))


def test_before_the_hellos_every_message_is_one_of_the_base_protocol_and_small():
    framing = plain_framing()
    framing.receive_data(sealed(plain_framing(), None, 0x50, b"\xc0"))
    assert framing.next_message() == BaseReceived(0x50, b"\xc0")
    refused(framing, (base.BASE_MESSAGE_SIZE + 1).to_bytes(3), "a frame of 2049 bytes")


@pytest.mark.parametrize("index", range(3))
def test_frames_are_as_large_as_the_largest_message_of_the_capability_may_be(index):
    largest = max(*SPECS[index].sizes, base.BASE_MESSAGE_SIZE)
    bound = largest + largest // 6 + 41
    framing = plain(index)
    framing.receive_data(bound.to_bytes(3))
    assert framing.next_message() is None
    assert framing.in_frame
    refused(plain(index), (bound + 1).to_bytes(3), "a frame of")


@pytest.mark.parametrize("compressed", [True, False])
def test_a_message_above_its_size_is_refused_before_it_is_inflated(compressed):
    frame = sealed(plain(0, compressed=compressed), 0, 0, bytes(101))
    with pytest.raises(DecodingError, match="aaa/1 message 0x0 has 101 bytes where 100 are allowed"):
        give(plain(0, compressed=compressed), frame)


def give(framing: FrameFraming, data: bytes) -> None:
    framing.receive_data(data)
    framing.next_message()


def test_who_stops_receiving_can_still_seal():
    framing = plain(1)
    framing.receive_data(b"\0\0\5\x10")
    assert framing.next_message() is None
    assert framing.in_frame
    framing.stop_receiving()
    assert (framing.in_frame, framing.unfinished) == (False, 0)
    assert sealed(framing, None, base.PING, b"\xc0")


def test_what_fits_is_told_before_it_is_sealed():
    noise = bytes(range(256)) * (MAX_MESSAGE_SIZE // 256 + 1)
    for framing in (plain(compressed=False), plain(2, compressed=False)):
        assert framing.fits(2, 0, noise[:ALWAYS_FITS])
        assert framing.fits(2, 0, noise[: MAX_MESSAGE_SIZE - 1])
        assert not framing.fits(2, 0, noise[:MAX_MESSAGE_SIZE])
        with pytest.raises(LocalProtocolError, match="does not fit into a frame"):
            framing.seal(2, 0, noise[:MAX_MESSAGE_SIZE])
        with pytest.raises(LocalProtocolError, match="does not fit into a frame"):
            framing.seal(2, 0, bytes(MAX_MESSAGE_SIZE + 1))
    assert plain().fits(0, 0, bytes(MAX_MESSAGE_SIZE)), "it shrinks"
