"""Fuzz targets for links that have proved their peer: plain frames, the stream of one capability, and the name that it begins with."""

from devp2p.errors import DecodingError, RemoteProtocolError
from devp2p.session.mux_line import missing_of_name
from devp2p.wire.framing import BaseReceived
from devp2p.wire.messages import MessageSpace
from devp2p.wire.plain import PlainOpener, PlainSealer, plain_framing
from tests.fuzz.session_targets import check_message
from tests.wire.forger import SPECS

SPACE = MessageSpace(SPECS, [spec.offer for spec in SPECS])


def fuzz_plain_frames(data: bytes) -> None:
    # Invariant: an opener meets any bytes with waiting, frames that came whole, or DecodingError, holds no more than came, and gives back
    # what was sealed, however it is cut.
    step = 1 + data[0] if data else 1
    opener, given = PlainOpener(), 0
    opener.max_size = 1024
    try:
        for at in range(0, len(data), step):
            opener.receive_data(data[at : at + step])
            while (frame := opener.next_frame()) is not None:
                assert 0 < len(frame) <= 1024
                given += 3 + len(frame)
            assert opener.unfinished <= min(at + step, len(data)) - given
    except DecodingError:
        pass
    opener, opened = PlainOpener(), list[bytes]()
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    wire = b"".join(b"".join(PlainSealer().seal(piece)) for piece in pieces)
    for at in range(0, len(wire), step):
        opener.receive_data(wire[at : at + step])
        while (frame := opener.next_frame()) is not None:
            opened.append(bytes(frame))
    assert opened == pieces
    assert not opener.in_frame


def fuzz_own_stream(data: bytes) -> None:
    # Invariant: whatever comes on the stream of a capability is a message of this one within its bounds, or one of the base protocol, or
    # a RemoteProtocolError.
    flags, rest = (data[0], data[1:]) if data else (0, b"")
    index = flags & 1
    framing = plain_framing()
    framing.agree(SPACE.alone(index), compressed=bool(flags & 2))
    step = 1 + (flags >> 2)
    try:
        for at in range(0, len(rest), step):
            framing.receive_data(rest[at : at + step])
            while (message := framing.next_message()) is not None:
                if isinstance(message, BaseReceived):
                    assert 0 <= message.code < 0x10
                else:
                    assert message.capability == index
                    check_message(message)
    except RemoteProtocolError:
        framing.stop_receiving()
        assert framing.unfinished == 0


def fuzz_stream_name(data: bytes) -> None:
    # Invariant: a name is read to its end and no further, within 67 bytes, or is refused as DecodingError before more is read.
    read, missing = 0, 3
    try:
        while 0 < missing <= len(data) - read:
            read += missing
            missing = missing_of_name(data[:read])
            assert missing >= 0
    except DecodingError:
        assert read == 3
    else:
        assert missing or read == 3 + int.from_bytes(data[:3])
    assert read <= 3 + 64
