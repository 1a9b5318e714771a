"""Frames: what the specification says byte for byte, any cut of the stream, and what a hostile peer can (not) do."""

import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p.errors import DecodingError, HandshakeError, LocalProtocolError
from devp2p.keys import Keccak256, keccak256
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.wire.rlpx.frames import SLICE, FrameOpener, FrameSealer
from tests.fuzz.wire_targets import secrets

AES, MAC, SEED = b"a" * 32, b"m" * 32, b"egress"


def xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


class SpecificationSealer:
    """The specification's formulas, word for word: all that was ever hashed is kept and hashed anew."""

    def __init__(self) -> None:
        self.egress = SEED
        self.keystream = Cipher(algorithms.AES(AES), modes.CTR(bytes(16))).encryptor()

    def aes_mac(self, block: bytes) -> bytes:
        return Cipher(algorithms.AES(MAC), modes.ECB()).encryptor().update(block)  # noqa: S305  (as specified)

    def digest(self) -> bytes:
        return keccak256(self.egress)

    def seal(self, data: bytes, header_data: bytes = b"\xc2\x80\x80", size: int | None = None) -> bytes:
        header = (len(data) if size is None else size).to_bytes(3, "big") + header_data
        header_ciphertext = self.keystream.update(header + bytes(16 - len(header)))
        self.egress += xor(self.aes_mac(self.digest()[:16]), header_ciphertext)
        header_mac = self.digest()[:16]
        ciphertext = self.keystream.update(data + bytes(-len(data) % 16))
        self.egress += ciphertext
        self.egress += xor(self.aes_mac(self.digest()[:16]), self.digest()[:16])
        return header_ciphertext + header_mac + ciphertext + self.digest()[:16]


def sealer() -> FrameSealer:
    return FrameSealer(secrets(egress=SEED))


def opener(max_size: int = MAX_MESSAGE_SIZE) -> FrameOpener:
    return FrameOpener(secrets(ingress=SEED), max_size)


def seal_all(frames: list[bytes]) -> bytes:
    one = sealer()
    return b"".join(b"".join(one.seal(frame)) for frame in frames)


def drain(one: FrameOpener) -> list[bytes]:
    frames = []
    while (frame := one.next_frame()) is not None:
        frames.append(bytes(frame))
    return frames


def feed(one: FrameOpener, stream: bytes, cuts: list[int]) -> list[bytes]:
    frames = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        one.receive_data(stream[start:end])
        frames += drain(one)
    return frames


frame_lists = st.lists(st.binary(min_size=1, max_size=100) | st.binary(min_size=1, max_size=3000), min_size=1, max_size=6)


@given(frame_lists)
def test_sealing_follows_the_specification(frames):
    reference = SpecificationSealer()
    assert seal_all(frames) == b"".join(reference.seal(frame) for frame in frames)


@pytest.mark.parametrize("size", [SLICE - 1, SLICE, SLICE + 1, 2 * SLICE - 48, 2 * SLICE - 32, 2 * SLICE, 200_001])
def test_long_frames_are_sealed_in_slices_to_the_same_bytes(size):
    data = random.Random(size).randbytes(size)
    reference, one, other = SpecificationSealer(), sealer(), opener()
    frames: list[tuple[bytes, bytes | memoryview]] = [
        (data, b""),
        (b"\x10", data[1:]),
        (data[:70_000], memoryview(data)[70_000:]),
        (b"after", b"wards"),
    ]
    for parts in frames:
        slices = list(one.seal(*parts))
        assert all(len(piece) <= SLICE + 48 for piece in slices)
        assert b"".join(slices) == reference.seal(b"".join(parts))
        other.receive_data(b"".join(slices))
        assert drain(other) == [b"".join(parts)]


def test_slices_are_full_but_for_the_last():
    slices = list(sealer().seal(b"abc" * 100_000))
    assert [len(piece) for piece in slices[:-1]] == [SLICE] * (len(slices) - 1)


@given(frame_lists, st.data())
def test_any_cut_of_the_stream_gives_the_same_frames(frames, data):
    stream = seal_all(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    assert feed(opener(), stream, []) == frames
    assert feed(opener(), stream, cuts) == frames


@settings(max_examples=25)
@given(frame_lists)
def test_byte_by_byte_gives_the_same_frames(frames):
    stream = seal_all(frames)
    one = opener()
    assert feed(one, stream, list(range(1, len(stream)))) == frames
    assert not one.in_frame


def test_bytes_may_pile_up_before_they_are_asked_for():
    stream = seal_all([b"x" * 50] * 300)
    one = opener()
    for at in range(0, len(stream), 7):
        one.receive_data(stream[at : at + 7])
    assert drain(one) == [b"x" * 50] * 300


def test_a_frame_is_the_callers_to_keep():
    stream = seal_all([b"f" * 5000, b"g" * 5000])
    one = opener()
    one.receive_data(stream[:3000])
    assert one.next_frame() is None
    one.receive_data(memoryview(stream)[3000:])
    first, second = one.next_frame(), one.next_frame()
    one.receive_data(b"more")
    assert isinstance(first, memoryview)
    assert first.readonly
    assert (bytes(first), second) == (b"f" * 5000, b"g" * 5000)


def test_in_frame_says_whether_more_must_come():
    stream = seal_all([b"x" * 100])
    one = opener()
    assert not one.in_frame
    for at in range(len(stream)):
        one.receive_data(stream[at : at + 1])
        assert one.in_frame
        frame = one.next_frame()
        assert (frame is None) == (at < len(stream) - 1)
    assert not one.in_frame


@settings(max_examples=40)
@given(st.integers(0, 16 + 16 + 112 + 16 - 1), st.integers(0, 7), st.integers(1, 200))
def test_every_flipped_bit_ends_the_link(position, bit, step):
    stream = bytearray(seal_all([b"y" * 100, b"z"]))
    stream[position] ^= 1 << bit
    one = opener()
    with pytest.raises(HandshakeError):
        feed(one, bytes(stream), list(range(step, len(stream), step)))
    for use in (one.next_frame, lambda: one.receive_data(b"")):
        with pytest.raises(LocalProtocolError):
            use()


def test_no_data_is_handed_out_before_its_mac():
    stream = seal_all([b"x" * 1000])
    one = opener()
    one.receive_data(stream[:-1])
    assert one.next_frame() is None
    one.receive_data(bytes([stream[-1] ^ 1]))
    with pytest.raises(HandshakeError):
        one.next_frame()


def test_a_frame_out_of_order_does_not_open():
    one = sealer()
    first, second = (b"".join(one.seal(data)) for data in (b"first", b"second"))
    with pytest.raises(HandshakeError):
        feed(opener(), second + first, [])
    with pytest.raises(HandshakeError):
        feed(opener(), first + first, [])


def test_a_size_is_not_believed_before_its_mac():
    header = bytearray(SpecificationSealer().seal(b"", size=2**24 - 1)[:32])
    header[0] ^= 0xFF
    one = opener(max_size=10)
    one.receive_data(header)
    with pytest.raises(HandshakeError):
        one.next_frame()


def test_frames_above_the_maximum_are_refused_by_their_header():
    one = opener(max_size=100)
    one.receive_data(SpecificationSealer().seal(b"x" * 101)[:32])
    with pytest.raises(DecodingError, match="101 bytes, where 1 to 100"):
        one.next_frame()
    with pytest.raises(LocalProtocolError):
        one.next_frame()
    assert feed(opener(max_size=100), SpecificationSealer().seal(b"x" * 100), []) == [b"x" * 100]


def test_a_new_maximum_holds_from_the_next_frame_on():
    one = opener(max_size=10)
    one.receive_data(seal_all([b"x" * 10, b"y" * 1000, b"z"]))
    assert one.next_frame() == b"x" * 10
    one.max_size = 1000
    assert one.next_frame() == b"y" * 1000
    one.max_size = 0
    with pytest.raises(DecodingError):
        one.next_frame()


def test_an_empty_frame_is_refused():
    one = opener()
    one.receive_data(SpecificationSealer().seal(b""))
    with pytest.raises(DecodingError):
        one.next_frame()


@pytest.mark.parametrize("header_data", [b"", b"\xc0", b"\xc2\x01\x02", b"\xc3\x01\x02\x03", b"\xff" * 13])
def test_header_data_is_ignored(header_data):
    assert feed(opener(), SpecificationSealer().seal(b"data", header_data), []) == [b"data"]


def test_an_announced_giant_costs_what_it_brings():
    stream = SpecificationSealer().seal(b"", size=2**24 - 1)[:32] + bytes(100)
    one = opener()
    tracemalloc.start()
    try:
        one.receive_data(stream)
        assert one.next_frame() is None
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024
    finally:
        tracemalloc.stop()
    assert one.in_frame


def test_a_long_frame_in_tiny_pieces_costs_little_more_than_its_bytes():
    stream = seal_all([bytes(500_000)])
    one = opener()
    tracemalloc.start()
    try:
        for at in range(0, len(stream), 50):
            assert one.in_frame == (at > 0)
            one.receive_data(stream[at : at + 50])
            frame = one.next_frame()
            assert (frame is not None) == (at + 50 >= len(stream))
        assert tracemalloc.get_traced_memory()[1] < 2 * 500_000
    finally:
        tracemalloc.stop()
    assert not one.in_frame


@pytest.mark.parametrize("parts", [(b"", b""), (bytes(MAX_MESSAGE_SIZE), b"x")], ids=["empty", "too long"])
def test_what_no_frame_can_hold_is_our_mistake(parts):
    one = sealer()
    with pytest.raises(LocalProtocolError, match="a frame holds 1 to 16777215 bytes"):
        one.seal(*parts)
    assert b"".join(one.seal(b"next")) == seal_all([b"next"])


def test_a_frame_cannot_begin_inside_another():
    one, reference = sealer(), SpecificationSealer()
    slices = iter(one.seal(bytes(100_000)))
    with pytest.raises(LocalProtocolError):
        one.seal(b"short")
    first = next(slices)
    with pytest.raises(LocalProtocolError):
        one.seal(b"short")
    assert first + b"".join(slices) == reference.seal(bytes(100_000))
    assert b"".join(one.seal(b"short")) == reference.seal(b"short")


def test_both_keccak_back_ends_seal_alike():
    script = """
from tests.fuzz.wire_targets import secrets
from devp2p.wire.rlpx.frames import FrameOpener, FrameSealer
from devp2p.keys import keccak256
sealer, opener = FrameSealer(secrets(egress=b"egress")), FrameOpener(secrets(ingress=b"egress"), 10**6)
wire = b"".join(b"".join(sealer.seal(bytes(size))) for size in (1, 16, 1000, 100_000))
opener.receive_data(wire)
sizes = [len(opener.next_frame()) for _ in range(4)]
print(sizes, keccak256(wire).hex())
"""
    root = Path(__file__).parents[2]
    outputs = []
    for name in ("pysha3", "pycryptodome"):
        result = subprocess.run(
            [sys.executable, "-c", script],
            env={"DEVP2P_KECCAK": name},
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert result.returncode == 0, result.stderr
        outputs.append(result.stdout)
    assert outputs[0] == outputs[1]
    assert outputs[0].startswith("[1, 16, 1000, 100000] ")


def test_the_running_hash_is_taken_over_as_it_is():
    shared = secrets(egress=SEED)
    shared.egress_mac.update(b"seen before")
    wire = b"".join(FrameSealer(shared).seal(b"data"))
    theirs = secrets()
    object.__setattr__(theirs, "ingress_mac", Keccak256(SEED + b"seen before"))
    assert feed(FrameOpener(theirs, 100), wire, []) == [b"data"]
