"""Header-data of dpx/1: it is read back as it was written, and it is the historical layout, byte for byte."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.wire.dpx import header
from devp2p.wire.dpx.header import Header

capabilities, contexts, totals = st.integers(0, 127), st.integers(1, 65535), st.integers(1, 2**32 - 1)
headers = st.one_of(
    *(
        st.tuples(*parts).map(lambda parts: Header(*parts))
        for parts in ([capabilities], [capabilities, contexts], [capabilities, contexts, totals])
    )
)


def in_frame(data: bytes) -> bytes:
    return data.ljust(header.SIZE, b"\0")


def old_frame(protocol: int, packet: int, payload: bytes, *rest: int) -> bytes:
    """A frame as pydevp2p's `Frame` makes it before any cipher: size (3), header-data, zeros to 16, the body, zeros to 16."""
    body = payload if len(rest) == 1 and rest[0] else rlp.encode(packet) + payload
    data = len(body).to_bytes(3, "big") + rlp.encode([protocol, *rest])
    return data.ljust(16, b"\0") + body + bytes(-len(body) % 16)


@given(headers)
@example(Header(127, 65535, 2**32 - 1))
def test_what_is_written_is_read_back(written):
    data = header.encode(written)
    assert len(data) <= header.SIZE
    assert header.decode(in_frame(data)) == written


@given(st.binary(max_size=header.SIZE))
@example(in_frame(bytes.fromhex("c0")))
@example(in_frame(bytes.fromhex("80")))
@example(in_frame(bytes.fromhex("c100")))  # a number has one encoding
@example(in_frame(bytes.fromhex("c1c0")))
@example(bytes.fromhex("cc" + "80" * 12))
@example(b"")
def test_any_bytes_are_a_header_or_a_decoding_error(data):
    try:
        read = header.decode(data)
    except DecodingError:
        return
    assert header.decode(in_frame(header.encode(read))) == read


@pytest.mark.parametrize(
    "items", [[128], [1, 65536], [1, 1, 2**32], [1, 0, 5], [1, 1, 0], [1, 1, 1, 1], [b"\0"], [[1]], []], ids=str
)  # fmt: skip
def test_headers_that_cannot_be_are_refused(items):
    with pytest.raises(DecodingError):
        header.decode(in_frame(rlp.encode(items)))


def test_what_stands_behind_the_list_is_zeros():
    with pytest.raises(DecodingError, match="and zeros"):
        header.decode(in_frame(b"\xc1\x01")[:-1] + b"\x01")


@pytest.mark.parametrize("wrong", [Header(128), Header(1, 65536), Header(1, 0, 5), Header(-1), Header(1, 1, 2**32)], ids=str)
def test_headers_of_ours_that_cannot_be_are_refused(wrong):
    with pytest.raises(LocalProtocolError, match="no frame can have"):
        header.encode(wrong)


# The historical layout (RLPx of 2015 to 2019)


@given(protocol=capabilities, packet=st.integers(0, 2**16), payload=st.binary(max_size=40), context=contexts, total=totals)
def test_frames_of_2015_are_read_as_what_they_are(protocol, packet, payload, context, total):
    """A whole message without and with a context of 0, the beginning of one, and more of it."""
    for rest, expected in (
        ((), Header(protocol)),
        ((0,), Header(protocol)),
        ((context, total), Header(protocol, context, total)),
        ((context,), Header(protocol, context)),
    ):
        frame = old_frame(protocol, packet, payload, *rest)
        assert header.decode(frame[3:16]) == expected
        size = int.from_bytes(frame[:3])
        body = frame[16 : 16 + size]
        if expected.context and not expected.total:
            assert body == payload
        else:
            assert rlp.split_uint(body) == (packet, len(body) - len(payload))


@pytest.mark.parametrize(
    ("frame", "read", "packet"),
    [
        ("000005c180 0000000000000000000000 01 61626364", Header(0), 1),
        ("000005c20380 00000000000000000000 10 61626364", Header(3), 0x10),
        ("000004c80382012c830186a0 00000000 0861626300", Header(3, 300, 100_000), 8),
        ("000004c40382012c 0000000000000000 61626364", Header(3, 300), None),
    ],
)
def test_frames_of_2015_byte_for_byte(frame, read, packet):
    data = bytes.fromhex(frame)
    assert header.decode(data[3:16]) == read
    if packet is not None:
        assert rlp.split_uint(data[16:])[0] == packet


def read_as_in_2015(data: bytes, open_contexts: set[int]) -> tuple[str, list[int]]:
    """What `Frame` was, and who read it by a general RLP decoder, made of header-data; only the state told two of the forms apart."""
    size = data[0] - 0xC0 + 1
    items = rlp.decode(data[:size])
    assert isinstance(items, tuple)
    numbers = [int.from_bytes(item) for item in items if isinstance(item, bytes)]
    if len(numbers) == 3:
        return "chunked-0", numbers
    return ("chunked-n" if len(numbers) == 2 and numbers[1] in open_contexts else "normal"), numbers


@given(headers)
def test_what_we_write_was_understood_in_2015(written):
    kind, numbers = read_as_in_2015(in_frame(header.encode(written)), {written.context} - {0})
    assert kind == ("chunked-0" if written.total else "chunked-n" if written.context else "normal")
    assert Header(*numbers) == written
