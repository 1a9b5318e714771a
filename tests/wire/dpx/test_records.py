"""Records: what the specification says byte for byte, any cut of the stream, keys that change, and what a hostile peer can (not) do."""

import random
import tracemalloc
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p.errors import DecodingError, HandshakeError, LocalProtocolError
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.wire.dpx.records import RECORDS_PER_KEY, Cipher, RecordOpener, RecordSealer
from tests.wire.dpx import specification

KEY = bytes(range(32))
CHACHA, GCM = specification.CIPHERS
CLASSES: dict[str, Cipher] = {CHACHA: ChaCha20Poly1305, GCM: AESGCM}
HEADER_DATA = b"\xc1\x01"

Content = tuple[bytes, bytes]


def sealer(cipher: str = CHACHA) -> RecordSealer:
    return RecordSealer(KEY, CLASSES[cipher])


def opener(max_size: int = MAX_MESSAGE_SIZE, cipher: str = CHACHA) -> RecordOpener:
    return RecordOpener(KEY, CLASSES[cipher], max_size)


def sealed(contents: list[Content], cipher: str = CHACHA) -> bytes:
    one = sealer(cipher)
    return b"".join(one.seal(header_data, data) for header_data, data in contents)


def drain(one: RecordOpener) -> list[Content]:
    found = []
    while (record := one.next_record()) is not None:
        found.append((record[0], bytes(record[1])))
    return found


def feed(one: RecordOpener, stream: bytes, cuts: list[int]) -> list[Content]:
    found = []
    for start, end in pairwise([0, *cuts, len(stream)]):
        one.receive_data(stream[start:end])
        found += drain(one)
    return found


def opened(contents: list[Content]) -> list[Content]:
    return [(header_data.ljust(13, b"\0"), data) for header_data, data in contents]


content_lists = st.lists(st.tuples(st.binary(max_size=13), st.binary(max_size=100) | st.binary(max_size=3000)), min_size=1, max_size=6)
ciphers = st.sampled_from(specification.CIPHERS)


@given(content_lists, ciphers)
def test_sealing_follows_the_specification(contents, cipher):
    assert sealed(contents, cipher) == b"".join(specification.records(cipher, KEY, contents))


@given(content_lists, ciphers, st.data())
def test_any_cut_of_the_stream_gives_the_same_records(contents, cipher, data):
    stream = b"".join(specification.records(cipher, KEY, contents))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    assert feed(opener(cipher=cipher), stream, []) == opened(contents)
    assert feed(opener(cipher=cipher), stream, cuts) == opened(contents)


@settings(max_examples=20)
@given(content_lists, ciphers)
def test_byte_by_byte_gives_the_same_records(contents, cipher):
    stream = sealed(contents, cipher)
    one = opener(cipher=cipher)
    assert feed(one, stream, list(range(1, len(stream)))) == opened(contents)
    assert not one.in_frame


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_head_and_body_are_one_piece_of_data(head, body):
    assert sealer().seal(HEADER_DATA, head, memoryview(body)) == sealed([(HEADER_DATA, head + body)])


@pytest.mark.parametrize("cipher", CLASSES)
def test_a_record_may_be_empty(cipher):
    stream = sealed([(b"", b""), (HEADER_DATA, b"")], cipher)
    assert len(stream) == 2 * 48 == 2 * RecordOpener.wire_size(0)
    assert feed(opener(cipher=cipher), stream, [20, 40, 47]) == opened([(b"", b""), (HEADER_DATA, b"")])


@given(st.integers(0, 5000))
def test_the_size_on_the_wire_is_foretold(size):
    assert len(sealer().seal(b"", bytes(size))) == RecordOpener.wire_size(size)


@pytest.mark.parametrize("cipher", CLASSES)
def test_keys_change_with_every_4096th_record(cipher):
    contents = [(b"", number.to_bytes(2)) for number in range(2 * RECORDS_PER_KEY + 2)]
    expected = list(specification.records(cipher, KEY, contents))
    one, other = sealer(cipher), opener(cipher=cipher)
    for number, (header_data, data) in enumerate(contents):
        record = one.seal(header_data, data)
        assert record == expected[number], number
        other.receive_data(record)
        assert drain(other) == [(bytes(13), data)], number
    for number in (4095, 4096, 4097, 8192):
        kept = specification.record(cipher, KEY, number % 4096, bytes(2) + b"\2" + bytes(13), specification.padded(contents[number][1]))
        assert (expected[number] == kept) == (number < RECORDS_PER_KEY), "the key is a new one from record 4096 on"


@pytest.mark.parametrize("wrong", [RECORDS_PER_KEY - 1, RECORDS_PER_KEY + 1])
def test_a_peer_that_changes_keys_at_another_record_is_not_understood(wrong, monkeypatch):
    contents = [(b"", b"x")] * (RECORDS_PER_KEY + 2)
    stream = sealed(contents)
    numbers = tuple(number.to_bytes(12) for number in range(2 * wrong))
    monkeypatch.setattr("devp2p.wire.dpx.records._NONCES", numbers)
    one = opener()
    one.receive_data(stream)
    with pytest.raises(HandshakeError):
        drain(one)


@pytest.mark.parametrize("cipher", CLASSES)
def test_two_directions_never_share_a_keystream(cipher):
    one, other = RecordSealer(b"1" * 32, CLASSES[cipher]), RecordSealer(b"2" * 32, CLASSES[cipher])
    records = [side.seal(b"", bytes(64)) for _ in range(50) for side in (one, other)]
    blocks = {record[at : at + 16] for record in records for at in range(0, 112, 16)}
    assert len(blocks) == len(records) * 7, "equal plaintext gives no equal block, in any record of either direction"


@pytest.mark.parametrize("cipher", CLASSES)
def test_what_was_cut_off_is_not_handed_out_and_does_no_harm(cipher):
    stream = sealed([(HEADER_DATA, b"y" * 40), (b"", b"")], cipher)
    first = RecordOpener.wire_size(40)
    for end in range(len(stream) + 1):
        one = opener(cipher=cipher)
        assert len(feed(one, stream[:end], [])) == (end >= first) + (end == len(stream))
        assert one.in_frame == (end not in {0, first, len(stream)})
        one.receive_data(stream[end:])
        drain(one)
        assert not one.in_frame


@pytest.mark.parametrize("cipher", CLASSES)
def test_every_flipped_bit_ends_the_direction(cipher):
    whole = sealed([(HEADER_DATA, b"y" * 40), (b"", b"z")], cipher)
    for position in range(RecordOpener.wire_size(40)):
        for bit in range(8):
            stream = bytearray(whole)
            stream[position] ^= 1 << bit
            one = opener(cipher=cipher)
            one.receive_data(stream)
            with pytest.raises(HandshakeError, match="not authentic"):
                one.next_record()
            with pytest.raises(LocalProtocolError):
                one.next_record()
            with pytest.raises(LocalProtocolError):
                one.receive_data(b"")


def test_records_open_in_order_only():
    one = sealer()
    first, second = one.seal(b"", b"first"), one.seal(b"", b"second")
    for stream in (second + first, first + first, second):
        with pytest.raises(HandshakeError):
            feed(opener(), stream, [])


def test_a_body_belongs_to_its_header():
    """Both headers are authentic, and so is the body, which is of another record with the same number."""
    one = specification.record(CHACHA, KEY, 0, bytes(2) + b"\x05" + bytes(13), b"first" + bytes(11))
    other = specification.record(CHACHA, KEY, 0, bytes(2) + b"\x06" + bytes(13), b"second" + bytes(10))
    with pytest.raises(HandshakeError):
        feed(opener(), one[:32] + other[32:], [])


def test_a_header_is_no_body_and_a_body_no_header():
    block = bytes(16)
    header = specification.aead(CHACHA, KEY, 0, b"", block)
    for stream in (header + specification.aead(CHACHA, KEY, 2, b"", b""), header[:-16] * 3, header * 2):
        with pytest.raises(HandshakeError):
            feed(opener(), stream, [])


@pytest.mark.parametrize("padding", [b"\x01" + bytes(9), bytes(9) + b"\x01", b"\xff" * 10])
def test_padding_is_zeros(padding):
    stream = specification.record(CHACHA, KEY, 0, bytes(2) + b"\x06" + bytes(13), b"second" + padding)
    one = opener()
    one.receive_data(stream)
    with pytest.raises(DecodingError, match="padded"):
        one.next_record()
    with pytest.raises(LocalProtocolError):
        one.next_record()


def test_records_above_the_maximum_are_refused_by_their_header():
    one = opener(max_size=100)
    one.receive_data(sealed([(b"", b"x" * 101)])[:32])
    with pytest.raises(DecodingError, match="101 bytes, where at most 100"):
        one.next_record()
    with pytest.raises(LocalProtocolError):
        one.next_record()
    assert feed(opener(max_size=100), sealed([(b"", b"x" * 100)]), []) == opened([(b"", b"x" * 100)])


def test_a_new_maximum_holds_from_the_next_record_on():
    one = opener(max_size=10)
    one.receive_data(sealed([(b"", b"x" * 10), (b"", b"y" * 1000)]))
    assert one.next_record() == (bytes(13), b"x" * 10)
    one.max_size = 999
    with pytest.raises(DecodingError):
        one.next_record()


def test_an_announced_giant_costs_what_it_brings():
    header = specification.aead(CHACHA, KEY, 0, b"", b"\xff\xff\xff" + bytes(13))
    one = opener()
    tracemalloc.start()
    try:
        one.receive_data(header + bytes(100))
        assert one.next_record() is None
        assert tracemalloc.get_traced_memory()[1] < 4096
    finally:
        tracemalloc.stop()
    assert one.in_frame
    assert one.unfinished == 100


def test_a_long_record_in_tiny_pieces_costs_little_more_than_its_bytes():
    stream = sealed([(b"", bytes(500_000))])
    one = opener()
    tracemalloc.start()
    try:
        for at in range(0, len(stream), 50):
            one.receive_data(stream[at : at + 50])
            record = one.next_record()
            assert (record is not None) == (at + 50 >= len(stream))
        assert tracemalloc.get_traced_memory()[1] < 2.5 * 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [1, 2047, 2048, 2049, 4096, 70_001])
def test_data_is_the_callers_to_keep(size):
    contents = [(b"", random.Random(number).randbytes(size)) for number in range(3)]
    stream, one = sealed(contents), opener()
    one.receive_data(bytearray(stream[:size]))
    kept = []
    for start, end in pairwise([size, 2 * size, len(stream)]):
        one.receive_data(memoryview(stream)[start:end])
        while (record := one.next_record()) is not None:
            kept.append(record[1])
    assert [bytes(data) for data in kept] == [data for _, data in contents]
    assert all(memoryview(data).readonly for data in kept)


def test_stopping_lets_go_of_what_has_come():
    one = opener()
    one.receive_data(sealed([(b"", bytes(10_000))])[:5000])
    assert one.next_record() is None
    assert one.unfinished == 5000 - 32
    one.stop()
    assert not one.in_frame
    assert one.unfinished == 0
    with pytest.raises(LocalProtocolError):
        one.next_record()


def test_what_no_record_can_hold_is_our_mistake():
    one = sealer()
    with pytest.raises(LocalProtocolError, match="at most 16777215 bytes"):
        one.seal(b"", bytes(MAX_MESSAGE_SIZE), b"x")
    with pytest.raises(LocalProtocolError, match="13 bytes of header-data, not 14"):
        one.seal(bytes(14), b"")
    assert one.seal(b"", b"next") == sealed([(b"", b"next")]), "nothing was sealed"


def test_a_key_of_another_size_is_not_taken():
    for cipher in CLASSES.values():
        for make in (RecordSealer, RecordOpener):
            with pytest.raises(LocalProtocolError, match="32 bytes"):
                make(bytes(16), cipher)
