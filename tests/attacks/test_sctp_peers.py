"""Attacks on SCTP by peers, who have proved a key and send packets inside DTLS."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import import_module
from struct import pack
from typing import Any

import pytest
import trio
import trio.testing

from devp2p.errors import RemoteProtocolError
from devp2p.transports.sctp import streams as wire
from devp2p.transports.sctp import vetting
from devp2p.transports.sctp.streams import STOP, WINDOW
from devp2p.transports.sctp.vetting import LEAST_FRAGMENT, STREAMS

pytestmark = pytest.mark.interop


@pytest.fixture
def sctp() -> Any:
    return import_module("tests.interop.sctp_ends")


class Endless(Exception):  # noqa: N818  (no fault of the test)
    """It would have gone on."""


class Counted(bytes):
    """Bytes that are asked for their length a thousand times at most."""

    asked = 0

    def __len__(self) -> int:
        self.asked += 1
        if self.asked > 1000:
            raise Endless
        return super().__len__()


class Number(int):
    """A number to which something is added ten thousand times at most."""

    added = 0

    def __add__(self, other: int) -> int:
        self.added += 1
        if self.added > 10_000:
            raise Endless
        return int(self) + other


def up(sctp: Any) -> Any:
    pair = sctp.Pair()
    pair.carry()
    return pair


def still_works(pair: Any) -> None:
    pair.ends[0].send(6, b"hello")
    pair.carry()
    assert pair.got[1][-1:] == [(6, b"hello")]


def test_t54_lengths_and_gaps_that_go_on_for_ever_are_not_read(sctp: Any) -> None:
    pair = up(sctp)
    for kind in (4, 5, 6, 9, 2, 130):
        pair.ends[1].feed(pair.craft(0, kind, bytes(4) * 5))
    gaps = b"".join(pack("!HH", 1, 65535) for _ in range(280))
    pair.ends[1].feed(pair.craft(0, 3, pack("!LLHH", pair.ends[1]._sctp._local_tsn - 1, 1000, 280, 0) + gaps))
    still_works(pair)


def test_t54_control_aiortc_reads_them(sctp: Any) -> None:
    with pytest.raises(Endless):
        sctp.decode_params(Counted(8))
    sack = sctp.SackChunk()
    made = up(sctp).ends[0]._sctp
    sack.cumulative_tsn, sack.gaps = Number(made._last_sacked_tsn), [(1, 65535)]
    with pytest.raises(Endless):
        made._receive_sack_chunk(sack).send(None)


def _skip(pair: Any) -> int:
    """Send data of which each second piece is missing; how many numbers are kept of it."""
    for ahead in range(2, 1200, 2):
        pair.ends[1].feed(pair.data(0, ahead, b"\x01x", stream=ahead % STREAMS))
    return len(pair.ends[1]._sctp._sack_misordered)


def test_t54_what_is_far_ahead_is_dropped(sctp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vetting, "AHEAD", 200)
    assert _skip(up(sctp)) <= 200


def test_t54_control_aiortc_remembers_it(sctp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sctp.association, "is_sound", lambda *_: True)
    monkeypatch.setattr(sctp.association, "MOST_INCOMPLETE", 10**6)
    assert _skip(up(sctp)) > 500


def _init(pair: Any) -> int:
    """Flood with INITs; how many answers there are."""
    for number in range(100):
        pair.ends[1].feed(pair.craft(0, 1, pack("!LLHHL", 7 + number, 100_000, 10, 10, 1)))
    return len(pair.ends[1].packets)


def test_t54_an_init_behind_the_handshake_is_passed_over(sctp: Any) -> None:
    pair = up(sctp)
    assert _init(pair) == 0
    still_works(pair)


def test_t54_control_aiortc_answers_each_and_forgets_where_it_was(sctp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sctp.association, "is_sound", lambda *_: True)
    pair = up(sctp)
    assert _init(pair) == 100
    with pytest.raises((AssertionError, RemoteProtocolError)):
        still_works(pair)


def _never_ends(pair: Any, size: int) -> int:
    """Send a message without an end, in fragments of so many bytes; how much is kept when it is too much."""
    for number in range(2500):
        pair.ends[1].feed(pair.data(0, 1, bytes(size), flags=2 if number == 0 else 0))
    return sum(len(chunk.user_data) for chunk in pair.ends[1]._sctp._inbound_streams[0].reassembly)


@pytest.mark.parametrize("size", [1100, LEAST_FRAGMENT, 1])
def test_t55_a_message_without_end_ends_the_link(sctp: Any, size: int) -> None:
    pair = up(sctp)
    with pytest.raises(RemoteProtocolError):
        _never_ends(pair, size)
    kept = pair.ends[1]._sctp._inbound_streams[0].reassembly if 0 in pair.ends[1]._sctp._inbound_streams else []
    assert len(kept) <= sctp.association.MOST_PIECES + 1


def test_t55_control_aiortc_keeps_it(sctp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sctp.association._Sctp, "is_overrun", False)
    monkeypatch.setattr("aiortc.rtcsctptransport.InboundStream.pop_messages", lambda _: iter(()))  # it looks at all of them each time
    assert _never_ends(up(sctp), 1100) > 2 * 2**20


def test_t55_a_stream_of_a_number_too_high_ends_the_link(sctp: Any) -> None:
    pair = up(sctp)
    with pytest.raises(RemoteProtocolError, match="numbers are below 128"):
        pair.ends[1].feed(pair.data(0, 1, b"x", stream=STREAMS))


def test_t55_control_aiortc_keeps_something_of_each_of_65536(sctp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sctp.association, "is_sound", lambda *_: True)
    pair = up(sctp)
    for number in range(2000):
        pair.ends[1].feed(pair.data(0, 1, b"x", stream=number))
    assert len(pair.ends[1]._sctp._inbound_streams) == 2000


def _unheard(pair: Any, *, heeding: bool) -> int:
    """Send to a peer that acknowledges nothing, as long as there is room; how much waits."""
    sent = 0
    while sent < 4 * 2**20 and (pair.ends[0].has_room or not heeding):
        pair.ends[0].send(0, bytes(16_000))
        sent += 16_000
    return sent


def test_t56_for_who_acknowledges_nothing_little_waits(sctp: Any) -> None:
    assert _unheard(up(sctp), heeding=True) < 2 * sctp.association.MOST_QUEUED


def test_t56_control_aiortc_takes_it_all(sctp: Any) -> None:
    assert _unheard(up(sctp), heeding=False) >= 4 * 2**20


async def _unread(sctp: Any, sends: Callable[[Any], Awaitable[object]]) -> int:
    """Send to a peer that acknowledges all and reads nothing; how much it holds."""
    pair = up(sctp)
    ends = [wire.Streams(pair.ends[way], is_client=not way, on_said=lambda: None) for way in (0, 1)]
    for way, end in enumerate(pair.ends):
        end._sctp._on_message = ends[way].take
    stream = await ends[0].open()
    pair.carry()
    theirs = await ends[1].accept()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sends, stream)
        for _ in range(100):
            await trio.testing.wait_all_tasks_blocked()
            pair.carry()
            pair.wait(0.1)
            ends[0].look_again()
        nursery.cancel_scope.cancel()
    return sum(len(piece) for piece in theirs._received)


async def test_t56_who_does_not_read_holds_its_sender_up(sctp: Any) -> None:
    assert await _unread(sctp, lambda stream: stream.send_all(bytes(2**20))) == WINDOW


async def test_t56_control_without_credit_all_of_it_comes(sctp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "FIRST_CREDIT", 2**30)
    assert await _unread(sctp, lambda stream: stream.send_all(bytes(2**20))) == 2**20


async def _opens(sctp: Any) -> int:
    """Open streams and end them, again and again, and take no answer; how many answers wait."""
    pair = up(sctp)
    ours = wire.Streams(pair.ends[1], is_client=False, on_said=lambda: None)
    pair.ends[1]._sctp._on_message = ours.take
    with suppress(RemoteProtocolError):
        for serial in range(1000):
            for message in (bytes((wire.OPEN,)) + pack("!L", serial), bytes((wire.END,)), bytes((STOP,))):
                pair.ends[0].send(0, message)
                for packet in [*pair.ends[0].packets]:
                    pair.ends[1].feed(packet)
                pair.ends[0].packets.clear()
                pair.ends[0]._sctp._sent_queue.clear()
                pair.ends[0]._sctp._flight_size = 0
            ours._accepted = serial + 1  # somebody accepts them
            ours._waiting.clear()
    return int(pair.ends[1]._sctp.queued + pair.ends[1]._sctp.unacknowledged)


async def test_t57_who_asks_for_answers_and_takes_none_is_left(sctp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sctp.association, "MOST_INCOMPLETE", 500)
    assert await _opens(sctp) < 520


async def test_t57_control_otherwise_they_would_wait_without_end(sctp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sctp.association, "MOST_INCOMPLETE", 10**6)
    assert await _opens(sctp) > 1500
