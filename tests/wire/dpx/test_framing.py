"""Messages of all capabilities over one stream: whole or in chunks, within credit, and what breaks the rules."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p.errors import DecodingError, LocalProtocolError, RemoteProtocolError
from devp2p.keys import PrivateKey
from devp2p.wire import ALWAYS_FITS, BaseReceived, CapabilitySpec, MessageReceived, MessageSpace, base, compression
from devp2p.wire.dpx import (
    Accept,
    DpxFraming,
    Feature,
    Mode,
    Offer,
    Pact,
    Params,
    RecordOpener,
    RecordSealer,
    ResumeVerdict,
    Verdict,
    control,
    header,
)
from devp2p.wire.dpx.keys import Keys

FEATURES = Feature.CHACHA20_POLY1305 | Feature.MUX
SPECS = (CapabilitySpec("a", 1, (100_000, 50)), CapabilitySpec("b", 1, (100_000,)))
SPACE = MessageSpace(SPECS, [spec.offer for spec in SPECS])
PARAMS = Params(max_frame=1024, capability_window=8192, connection_window=20_000, reassembly=60_000, contexts=2)
KEYS = [bytes([number]) * 32 for number in range(2)]


def pair(*, compressed: bool = False, agreed: bool = True, params: Params = PARAMS) -> tuple[DpxFraming, DpxFraming]:
    """Two ends; the second has the `params`."""
    found: list[DpxFraming] = []
    offer = Offer(FEATURES, bytes(32), params=PARAMS)
    accept = Accept(FEATURES, bytes(32), Mode.PLAIN, b"", Verdict(ResumeVerdict.NONE_OFFERED), params)
    for initiated in (True, False):
        sealing, opening = KEYS if initiated else KEYS[::-1]
        pact = Pact(PrivateKey.generate().public_key, offer, accept, Keys(KEYS[0], KEYS[1], bytes(32), bytes(32)), initiated=initiated)
        found.append(DpxFraming(pact, RecordSealer(sealing, ChaCha20Poly1305), RecordOpener(opening, ChaCha20Poly1305)))
        if agreed:
            found[-1].agree(SPACE, compressed=compressed)
            found[-1].begin(100.0)
    return found[0], found[1]


def come(framing: DpxFraming, *pieces: bytes) -> list[MessageReceived | BaseReceived]:
    for piece in pieces:
        framing.receive_data(piece)
    found: list[MessageReceived | BaseReceived] = []
    while (message := framing.next_message()) is not None:
        found.append(message)
    return found


def frame(framing: DpxFraming, data: bytes, *numbers: int) -> bytes:
    """Any frame-data behind any header."""
    return framing._sealer.seal(header.encode(header.Header(*numbers)), data)


sizes = st.integers(0, 900) | st.sampled_from([1021, 1022, 1023, 1024, 1025])
messages = st.tuples(st.sampled_from([None, 0, 1]), sizes) | st.tuples(st.sampled_from([0, 1]), st.just(3000))


@settings(max_examples=50)
@given(st.lists(messages, max_size=8), st.booleans(), st.integers(1, 3000), st.randoms(use_true_random=False))
def test_what_is_sealed_comes_out_however_it_is_cut_on_the_way(sent, compressed, cut, chance) -> None:
    one, other = pair(compressed=compressed)
    for capability, size in sent:
        data = chance.randbytes(size)
        wire = b"".join(one.seal(capability, 0, data))
        (found,) = come(other, *(wire[at : at + cut] for at in range(0, len(wire), cut)))
        plain = compression.decompress(found.data, 10_000) if compressed else found.data
        assert plain == data
        if isinstance(found, MessageReceived):
            assert (found.capability, found.code, found.wire_size, found.compressed) == (capability, 0, len(wire), compressed)
            other.taken(found)
        come(one, *map(other.seal_control, other.ledgers.controls(0.0)))
        come(other, *map(one.seal_control, one.ledgers.controls(0.0)))
    assert other.ledgers.receiving.held == 0


def test_without_credit_nothing_can_be_sealed_and_nothing_is() -> None:
    one, other = pair()
    with pytest.raises(LocalProtocolError, match="takes no message of 9001 bytes at the moment"):
        one.seal(0, 0, bytes(9000))
    for _ in range(8):
        come(other, *one.seal(0, 0, bytes(1000)))
    with pytest.raises(LocalProtocolError, match="credit"):
        one.seal(0, 0, bytes(1000))
    assert len(come(other, *one.seal(1, 0, b"others"))) == 1


def test_what_the_peer_has_no_room_for_does_not_fit() -> None:
    one, _ = pair()
    assert one.always_fits < 60_000
    assert one.fits(0, 0, bytes(59_999))
    assert not one.fits(0, 0, bytes(60_000))
    usual, _ = pair(params=Params())
    assert usual.always_fits == ALWAYS_FITS


def test_before_the_hellos_only_small_messages_of_the_base_protocol_come() -> None:
    for data, numbers in ((b"\x80", (1,)), (control.encode(control.Pad(1)), (127,)), (bytes(600), (1, 1, 1000))):
        one, other = pair(agreed=False)
        with pytest.raises(RemoteProtocolError):
            come(other, frame(one, data, *numbers))
    one, other = pair(agreed=False)
    with pytest.raises(DecodingError, match="at most 2048 are allowed"):
        come(other, frame(one, bytes(2049), 0))


@pytest.mark.parametrize(
    ("data", "numbers"),
    [
        (b"\x80", (3,)),  # not shared
        (bytes(700), (3, 1, 1000)),
        (b"\x02", (1,)),  # no such message
        (b"\x01" + bytes(51), (1,)),  # larger than it may be
        (b"", (1,)),  # no code
        (b"\x80" + bytes(2048), (1,)),  # larger than a frame may be
        (bytes(600), (1, 5)),  # more of what was not begun
        (bytes(600), (1, 5, 600)),  # all of it in its first chunk
        (bytes(600), (1, 5, 70_000)),  # more than there is room for
        (bytes(600), (0, 5, 1000)),  # the base protocol knows no chunks
        (b"\x00\xc0", (127,)),  # no control message
    ],
)
def test_what_breaks_the_rules_is_an_error_of_the_peers(data: bytes, numbers: tuple[int, ...]) -> None:
    one, other = pair()
    with pytest.raises(RemoteProtocolError):
        come(other, frame(one, data, *numbers))


def test_frames_are_counted_but_for_control_messages() -> None:
    """Whoever marked a last message may still give credit."""
    one, other = pair()
    come(other, *one.seal(None, base.PING, b"\xc0"), one.seal_control(control.Pad(5)), *one.seal(0, 0, bytes(3000)))
    assert other.frames == 4
    assert list(other.controls) == [control.Pad(5)]


def test_credit_releases_and_refusals_are_told_to_who_drives_the_session() -> None:
    one, other = pair()
    come(other, *one.seal(0, 0, bytes(3000)))
    parts = list(one.seal(0, 0, bytes(4000)))
    come(other, parts[0])
    assert other.ledgers.receiving.refuse(1, 2)
    come(one, *map(other.seal_control, other.ledgers.controls(100.0)))
    assert one.refused == [control.Reset(1, 2, control.BUSY)]
    one.credited.clear()
    come(other, *parts[1:])
    come(one, *map(other.seal_control, other.ledgers.controls(100.0)))
    assert one.credited >= {1}


def test_what_came_before_anybody_kept_the_time_is_not_late() -> None:
    one, other = pair()
    other.now = 0.0
    come(other, frame(one, b"\x80" + bytes(600), 1, 1, 1000))
    other.begin(5000.0)
    assert other.expire() == []
    other.now = 5061.0
    assert other.expire() == [0]
    assert not other._wire_sizes
