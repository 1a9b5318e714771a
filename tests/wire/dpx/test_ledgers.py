"""Control messages and their limits: what follows from our own sending is free, everything else is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import RemoteProtocolError
from devp2p.wire.dpx import Ledgers, Params
from devp2p.wire.dpx.control import (
    BUSY,
    CANCEL,
    CONNECTION,
    Committed,
    Control,
    Delta,
    GoAway,
    Pad,
    Release,
    Reset,
    Shape,
    Unknown,
    Weight,
)

PARAMS = Params(connection_window=8192, capability_window=4096, reassembly=10_000, contexts=2, max_frame=1024)


def ledgers() -> Ledgers:
    return Ledgers(PARAMS, PARAMS, ((10_000,), (10_000,)), compressed=False)


@pytest.mark.parametrize("control", [Weight(1, 2), Shape(0, 0, 0, 0, 0, 0), Committed(), GoAway(0), Unknown(0x55), Delta(1, 1)], ids=repr)
def test_control_messages_are_counted(control: Control | Unknown):
    both = ledgers()
    for _ in range(200):
        both.received(control, 0.0)
    with pytest.raises(RemoteProtocolError, match="more than 100 control messages a second"):
        both.received(control, 0.0)
    both = ledgers()
    for number in range(1000):
        both.received(control, number / 100)


def test_padding_is_not_counted_here():
    both = ledgers()
    for _ in range(1000):
        both.received(Pad(5), 0.0)


def test_what_follows_from_our_own_sending_is_free_however_fast_the_link_is():
    both = ledgers()
    for _ in range(1000):
        context = both.sending.open(1, 2048)
        both.sending.spend(1, 1024, context)
        both.sending.spend(1, 1024, context)
        both.received(Delta(1, 2048), 0.0)
        both.received(Delta(CONNECTION, 2048), 0.0)
        both.received(Release(1, context), 0.0)
    assert both.sending.room(1) == 4096


def refuse(both: Ledgers, now: float) -> None:
    context = both.sending.open(1, 2048)
    both.sending.spend(1, 1024, context)
    both.received(Reset(1, context, BUSY), now)
    both.received(Release(1, context), now)
    both.received(Delta(1, 1024), now)
    both.received(Delta(CONNECTION, 1024), now)


def test_messages_of_ours_that_are_refused_are_counted():
    """Rapid reset (CVE-2023-44487) from the side that has asked for them."""
    both = ledgers()
    for _ in range(50):
        refuse(both, 0.0)
    with pytest.raises(RemoteProtocolError, match="more than 50 messages a minute were refused"):
        refuse(both, 1.0)
    both = ledgers()
    for number in range(300):
        refuse(both, number * 1.2)


def test_a_reset_that_is_repeated_is_counted():
    both = ledgers()
    context = both.sending.open(1, 2048)
    both.sending.spend(1, 1024, context)
    for _ in range(201):  # the first of them is free
        both.received(Reset(1, context, BUSY), 0.0)
    with pytest.raises(RemoteProtocolError, match="control messages a second"):
        both.received(Reset(1, context, BUSY), 0.0)
    assert both.controls(0.0) == [Reset(1, context, CANCEL)]


def test_answers_go_before_what_the_receiver_says():
    both = ledgers()
    context = both.sending.open(1, 2048)
    both.sending.spend(1, 1024, context)
    both.receiving.first(1, 1, 3000, rlp.encode(0) + bytes(1000), 0.0)
    both.receiving.refuse(1, 1)
    assert both.has_controls
    both.received(Reset(1, context, BUSY), 0.0)
    assert both.controls(0.0) == [Reset(1, context, CANCEL), Reset(1, 1, BUSY)]
    assert not both.has_controls


def give_up(both: Ledgers, now: float) -> None:
    both.receiving.first(1, 1, 3000, rlp.encode(0) + bytes(1000), 0.0)
    both.received(Reset(1, 1, CANCEL), now)
    both.controls(now)


def test_messages_that_are_begun_and_given_up_are_counted():
    """Rapid reset (CVE-2023-44487)."""
    both = ledgers()
    for _ in range(50):
        give_up(both, 0.0)
    with pytest.raises(RemoteProtocolError, match="more than 50 messages a minute were begun and given up"):
        give_up(both, 1.0)
    both = ledgers()
    for number in range(200):
        give_up(both, number * 1.2)


def test_answers_to_resets_of_ours_are_not_counted():
    both = ledgers()
    for _ in range(1000):
        both.receiving.first(1, 1, 3000, rlp.encode(0) + bytes(1000), 0.0)
        both.receiving.refuse(1, 1)
        both.received(Reset(1, 1, CANCEL), 0.0)
        both.controls(0.0)


def test_what_is_made_up_is_counted():
    both = ledgers()
    for _ in range(50):
        both.received(Reset(1, 1, CANCEL), 0.0)
    with pytest.raises(RemoteProtocolError, match="given up"):
        both.received(Reset(1, 1, CANCEL), 0.0)


NUMBERS = st.sampled_from([1, 2, 3, 65535])
ANY_CONTROL: st.SearchStrategy[Control | Unknown] = st.one_of(
    st.builds(Delta, st.sampled_from([1, 2, 3, CONNECTION]), st.sampled_from([1, 2048, 4096, 2**31 - 1])),
    st.builds(Reset, NUMBERS.filter(lambda number: number < 4), NUMBERS, st.integers(1, 4)),
    st.builds(Release, NUMBERS.filter(lambda number: number < 4), NUMBERS),
    st.builds(Unknown, st.just(0x55)),
)


@given(st.lists(ANY_CONTROL | st.tuples(st.integers(1, 2), st.integers(2, 9000), st.integers(1, 1024)), max_size=50))
def test_whatever_a_peer_says_is_acted_on_or_a_fault_of_its_own(steps):
    """Between what it says we send what we may: the ledger never lets us, and never fails."""
    both = ledgers()
    sending, open_ones = both.sending, list[tuple[int, int]]()
    for step in steps:
        if not isinstance(step, tuple):
            try:
                both.received(step, 0.0)
            except RemoteProtocolError:
                return
        else:
            capability, total, size = step
            if sending.may_open(capability, total):
                open_ones.append((capability, sending.open(capability, total)))
            for key in open_ones:
                left = sending._contexts[key[0]][key[1]].left if sending.is_open(*key) else 0
                part = min(size, left, sending.room(key[0]), total - 1)
                if part > 0 and part < sending._contexts[key[0]][key[1]].total:
                    sending.spend(key[0], part, key[1])
        assert min(sending._windows) >= 0
        assert max(sending._windows) < 2**31
        for capability in (1, 2):
            unreleased = sending._contexts[capability].values()
            assert len(unreleased) <= PARAMS.contexts
            assert sending._reserved[capability] == sum(each.total for each in unreleased) <= PARAMS.reassembly
