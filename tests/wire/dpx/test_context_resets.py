"""Messages in chunks that do not come to their end: either side resets them, in every order, or they come too slowly."""

import pytest

from devp2p.errors import RemoteProtocolError
from devp2p.wire.dpx import Contexts
from devp2p.wire.dpx.contexts import MOST_REFUSED, PATIENCE
from devp2p.wire.dpx.control import BUSY, CANCEL, CONNECTION, Delta, Release, Reset
from tests.wire.dpx.test_contexts import body, contexts, credited, told


def opened(total: int = 3000) -> Contexts:
    receiving = contexts()
    receiving.first(1, 1, total, body(600), 0.0)
    return receiving


def test_a_refused_message_is_dropped_until_the_peer_stops():
    receiving = opened()
    assert receiving.refuse(1, 1)
    assert not receiving.refuse(1, 1)
    assert receiving.held == 0
    assert told(receiving) == [Reset(1, 1, BUSY)]
    assert receiving.more(1, 1, bytes(1024), 0.0) is None
    assert receiving.held == 0
    assert receiving.more(1, 1, bytes(512), 0.0) is None
    assert told(receiving) == [Delta(CONNECTION, 2136), Delta(1, 2136)], "what is dropped is credited like what is kept"
    assert not receiving.cancelled(Reset(1, 1, CANCEL)), "it is the answer"
    assert told(receiving) == [Release(1, 1)]
    assert receiving.cancelled(Reset(1, 1, CANCEL)), "nothing is known of it any more"
    assert not receiving.has_controls


def test_the_last_chunk_crosses_a_reset():
    receiving = opened(1000)
    receiving.refuse(1, 1)
    assert receiving.more(1, 1, bytes(400), 0.0) is None
    assert told(receiving) == [Reset(1, 1, BUSY), Release(1, 1)]


def test_both_sides_reset_at_once():
    receiving = opened()
    receiving.refuse(1, 1)
    assert not receiving.cancelled(Reset(1, 1, CANCEL))
    assert told(receiving) == [Reset(1, 1, BUSY), Release(1, 1)]
    with pytest.raises(RemoteProtocolError, match="not open"):
        receiving.more(1, 1, b"x", 0.0)


def test_the_peer_gives_up_a_message():
    receiving = opened()
    assert receiving.cancelled(Reset(1, 1, CANCEL))
    assert receiving.held == 0
    for data in (b"", b"x"):
        with pytest.raises(RemoteProtocolError, match="not open"):
            receiving.more(1, 1, data, 0.0)
    assert not receiving.refuse(1, 1)
    assert told(receiving) == [Release(1, 1)]
    assert receiving.first(1, 1, 3000, body(600), 0.0)


def test_a_whole_message_can_be_neither_refused_nor_given_up():
    receiving = opened(1000)
    assert receiving.more(1, 1, bytes(400), 0.0) is not None
    assert not receiving.refuse(1, 1)
    assert receiving.cancelled(Reset(1, 1, CANCEL))
    assert not receiving.has_controls
    receiving.release(1, 1)
    assert told(receiving) == [Release(1, 1)]


def test_of_refused_messages_only_so_many_are_remembered():
    count = MOST_REFUSED + 1
    receiving = contexts(sizes=((10_000,),) * count)
    told(receiving)
    for capability in range(1, count):
        receiving.first(capability, 1, 1200, body(1024), 0.0)
        receiving.refuse(capability, 1)
        credited(receiving)
    receiving.first(count, 1, 1200, body(1024), 0.0)
    assert Release(1, 1) not in told(receiving)
    receiving.refuse(count, 1)
    assert told(receiving) == [Reset(count, 1, BUSY), Release(1, 1)]
    receiving.more(2, 1, bytes(176), 0.0)
    with pytest.raises(RemoteProtocolError, match="which is not open"):
        receiving.more(1, 1, bytes(176), 0.0)


# Time


def test_a_message_without_progress_for_a_minute_is_refused():
    receiving = contexts()
    receiving.first(1, 1, 3000, body(600), 0.0)
    receiving.first(2, 1, 3000, body(600), 30.0)
    assert receiving.stalled(PATIENCE - 0.1) == []
    receiving.more(2, 1, bytes(512), 50.0)
    assert receiving.stalled(PATIENCE) == [(1, 1)]
    assert told(receiving) == [Reset(1, 1, BUSY)]
    assert receiving.held == 1112
    assert receiving.stalled(PATIENCE + 49) == []
    assert receiving.stalled(PATIENCE + 50) == [(2, 1)]
    assert receiving.stalled(10_000.0) == []


def test_a_message_that_we_hold_up_is_not_late():
    """As long as the application leaves so much unread that there is no credit for another frame."""
    receiving = contexts()
    receiving.first(1, 1, 9000, body(1024), 0.0)
    for _ in range(3):
        receiving.normal(1, 1024)
    assert receiving.stalled(1000.0) == []
    receiving.taken(1, 1024)
    assert told(receiving, 1050.0) == [Delta(CONNECTION, 2048), Delta(1, 2048)]
    assert receiving.stalled(1109.9) == []
    assert receiving.stalled(1110.0) == [(1, 1)]


def test_a_message_that_was_held_up_has_a_minute_from_when_there_is_credit_again():
    receiving = contexts()
    receiving.first(1, 1, 9000, body(1024), 0.0)
    for _ in range(3):
        receiving.normal(1, 1024)
    receiving.taken(1, 3072)
    told(receiving, 59.0)
    assert receiving.stalled(118.9) == []
    assert receiving.stalled(119.0) == [(1, 1)]
