"""What of the peer's SCTP packets is handed on to aiortc (pure): it believes lengths and numbers that nobody has looked at.

A parameter of length 0 would be read for ever, a SACK's gaps would be counted one by one up to 65,535 each, and numbers of packets (TSN)
that skip some would be remembered without end. The peer has proved its key when it can send any of this, but that makes it no friend.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from devp2p.errors import RemoteProtocolError

AHEAD: Final = 2048
"""How far a TSN may be ahead of the last one before which nothing is missing. What is further ahead is dropped, and comes again."""
MOST_MESSAGE: Final = 16 * 1024
"""Bytes of a message, its first one included."""
LEAST_FRAGMENT: Final = 256
"""Bytes in each fragment of a message but its last."""
MOST_CONTROLS: Final = 8
"""Chunks in one packet that are not data: each may have to be answered by a packet."""
STREAMS: Final = 128
"""SCTP streams of one association: their numbers are below it."""

_HEADER: Final = 12
_DATA, _INIT, _INIT_ACK, _SACK, _HEARTBEAT, _HEARTBEAT_ACK, _ABORT, _SHUTDOWN, _SHUTDOWN_ACK, _ERROR = range(10)
_RECONFIG, _FORWARD_TSN = 130, 192
_WITH_PARAMETERS: Final = {_INIT: 20, _INIT_ACK: 20, _HEARTBEAT: 4, _HEARTBEAT_ACK: 4, _ABORT: 4, _ERROR: 4}
"""Where they begin in a chunk."""
_ENDS, _UNORDERED = 0x01, 0x04
_CHUNK: Final = Struct("!BBH")
_DATA_BEGINS: Final = Struct("!LHHL")
_SACK_BEGINS: Final = Struct("!LLHH")
_PAIR: Final = Struct("!HH")
_PARAMETER: Final = Struct("!HH")
_WRAP: Final = 2**32
_HALF: Final = 2**31


@dataclass(slots=True)
class Standing:
    """What the packets are measured by, and the one thing that is learned from them."""

    established: bool = False
    last_received: int = 0
    """The last TSN before which nothing is missing."""
    next_sent: int = 0
    """The TSN of the next fragment that we send for the first time."""
    window: int = _WRAP
    """Bytes that the peer has room for, as it said last."""


def is_sound(packet: bytes, standing: Standing) -> bool:
    """Whether a packet may be handed on; what may not is as good as lost.

    RemoteProtocolError for what no mishap explains: it breaks the rules of docs/spec/sctp.md.
    """
    position, end, controls = _HEADER, len(packet), 0
    while position + 4 <= end:
        kind, flags, size = _CHUNK.unpack_from(packet, position)
        if size < 4 or position + size > end:
            return False
        if kind == _DATA:
            if not _is_sound_data(packet, position, size, flags, standing):
                return False
        else:
            controls += 1
            if controls > MOST_CONTROLS or not _is_sound_control(packet, position, size, kind, standing):
                return False
            if kind == _INIT and (position != _HEADER or position + size + 3 < end):
                return False  # it has to be alone
        position += size + (-size & 3)
    return True


def _is_sound_data(packet: bytes, position: int, size: int, flags: int, standing: Standing) -> bool:
    if size <= 16:
        raise RemoteProtocolError("a data chunk of SCTP without data")
    tsn, stream, _, _ = _DATA_BEGINS.unpack_from(packet, position + 4)
    if stream >= STREAMS:
        raise RemoteProtocolError(f"data on the SCTP stream {stream}, where numbers are below {STREAMS}")
    if flags & _UNORDERED:
        raise RemoteProtocolError("unordered data of SCTP, where every stream is in order")
    if not flags & _ENDS and size - 16 < LEAST_FRAGMENT:
        raise RemoteProtocolError(f"a message in fragments of {size - 16} bytes, where all but the last have {LEAST_FRAGMENT} or more")
    ahead = (tsn - standing.last_received) % _WRAP
    return standing.established and (ahead <= AHEAD or ahead >= _HALF)


def _is_sound_control(packet: bytes, position: int, size: int, kind: int, standing: Standing) -> bool:
    if kind == _SACK:
        return size >= 16 and _is_sound_sack(packet, position, size, standing)
    if kind == _SHUTDOWN:
        return size == 8
    if kind in {_RECONFIG, _FORWARD_TSN} or (kind in {_INIT, _INIT_ACK} and standing.established):
        return False  # not agreed on, or late
    begins = _WITH_PARAMETERS.get(kind)
    return begins is None or _are_sound_parameters(packet, position + begins, position + size)


def _is_sound_sack(packet: bytes, position: int, size: int, standing: Standing) -> bool:
    acknowledged, window, gaps, duplicates = _SACK_BEGINS.unpack_from(packet, position + 4)
    outstanding = (standing.next_sent - 1 - acknowledged) % _WRAP
    if size != 16 + 4 * (gaps + duplicates):
        return False
    if outstanding >= _HALF:
        return False  # it acknowledges what was never sent
    before = 0
    for at in range(position + 16, position + 16 + 4 * gaps, 4):
        first, last = _PAIR.unpack_from(packet, at)
        if not before < first <= last <= outstanding:
            return False
        before = last
    standing.window = window
    return True


def _are_sound_parameters(packet: bytes, position: int, end: int) -> bool:
    if position > end:
        return False
    while position + 4 <= end:
        _, size = _PARAMETER.unpack_from(packet, position)
        if size < 4 or position + size > end:
            return False
        position += size + (-size & 3)
    return True
