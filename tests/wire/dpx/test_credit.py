"""What may be sent over dpx/1: windows, contexts and their ids, and what a peer may not say of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.errors import LocalProtocolError, RemoteProtocolError
from devp2p.wire.dpx import Params, SendCredit
from devp2p.wire.dpx.control import BUSY, CANCEL, CONNECTION, TOO_BIG, Delta, Release, Reset
from devp2p.wire.dpx.credit import MOST_UNRELEASED

THEIRS = Params(connection_window=4096, capability_window=2048, reassembly=10_000, contexts=2, max_frame=1024)


def credit(capabilities: int = 2, theirs: Params = THEIRS) -> SendCredit:
    return SendCredit(theirs, capabilities)


def ended(sending: SendCredit, capability: int = 1, total: int = 600) -> int:
    """A message of two chunks that was sent."""
    context = sending.open(capability, total)
    sending.spend(capability, total - 10, context)
    sending.spend(capability, 10, context)
    return context


def test_each_frame_is_taken_from_both_windows():
    sending = credit()
    assert sending.room(1) == sending.room(2) == 2048
    sending.spend(1, 2048)
    assert (sending.room(1), sending.room(2)) == (0, 2048)
    sending.spend(2, 1024)
    assert sending.room(2) == 1024
    assert not sending.credited(Delta(1, 100))
    assert sending.room(1) == 100
    sending = credit(3)
    sending.spend(1, 2048)
    sending.spend(2, 2000)
    assert sending.room(3) == 48
    sending.credited(Delta(CONNECTION, 2000))
    assert sending.room(3) == 2048


def test_nothing_is_sent_beyond_credit():
    sending = credit()
    for size in (0, 2049):
        with pytest.raises(LocalProtocolError, match=f"a frame of {size} bytes where there is credit for 2048"):
            sending.spend(1, size)
    assert sending.room(1) == 2048


def test_a_message_in_chunks_reserves_its_total_until_it_is_released():
    sending = credit()
    assert sending.fits(10_000)
    assert not sending.fits(10_001)
    first = sending.open(1, 6000)
    assert sending.may_open(1, 4000)
    assert not sending.may_open(1, 4001)
    assert sending.may_open(2, 10_000), "another capability has room of its own"
    with pytest.raises(LocalProtocolError, match="may_open"):
        sending.open(1, 4001)
    for size in (2000, 2000, 2000):
        assert sending.is_open(1, first)
        sending.spend(1, size, first)
        sending.credited(Delta(1, 2000))
        sending.credited(Delta(CONNECTION, 2000))
    assert not sending.is_open(1, first)
    assert not sending.may_open(1, 4001), "it is sent, but not released"
    sending.released(Release(1, first))
    assert sending.may_open(1, 10_000)


def test_only_so_many_contexts_are_unreleased():
    sending = credit()
    first = ended(sending)
    ended(sending)
    assert not sending.may_open(1, 2)
    sending.released(Release(1, first))
    assert sending.may_open(1, 2)


def test_a_peer_that_releases_nothing_has_us_remember_a_bounded_number_of_messages():
    """It may announce 65535 contexts, and whatever room and credit."""
    most = 2**31 - 1
    sending = credit(theirs=Params(connection_window=most, capability_window=most, reassembly=most, contexts=65535, max_frame=512))
    opened = 0
    while opened < 5000 and sending.may_open(1, 600):
        ended(sending)
        opened += 1
    assert opened == MOST_UNRELEASED
    sending.released(Release(1, 1))
    assert sending.may_open(1, 600)


def test_chunks_are_parts_of_their_message():
    sending = credit()
    context = sending.open(1, 600)
    for size, other in ((600, context), (601, context), (5, context + 1)):
        with pytest.raises(LocalProtocolError, match="no such part"):
            sending.spend(1, size, other)
    sending.spend(1, 599, context)
    with pytest.raises(LocalProtocolError, match="no such part"):
        sending.spend(1, 2, context)
    with pytest.raises(LocalProtocolError, match="a message of 1 bytes in chunks"):
        sending.open(1, 1)


def test_context_ids_wrap_from_65535_to_1_and_pass_over_those_that_are_not_released():
    sending = credit(theirs=Params(contexts=3))
    held = sending.open(1, 600)
    assert held == 1
    sending.spend(1, 599, held)
    for expected in range(2, 65536):
        assert ended(sending) == expected
        sending.released(Release(1, expected))
        if expected % 256 == 0:
            sending.credited(Delta(CONNECTION, 256 * 600))
            sending.credited(Delta(1, 256 * 600))
    assert sending.open(1, 600) == 2, "1 is still in use"
    assert sending.open(2, 600) == 1, "each capability has ids of its own"
    assert sending.open(1, 600) == 3


# What a peer says


def test_a_window_does_not_overflow():
    sending = credit()
    with pytest.raises(RemoteProtocolError, match="window overflow"):
        sending.credited(Delta(1, 2**31 - 2048))
    assert sending.credited(Delta(1, 2**31 - 2049)) is False
    assert sending.room(1) == 4096
    with pytest.raises(RemoteProtocolError, match="window overflow"):
        sending.credited(Delta(CONNECTION, 2**31 - 1))


@pytest.mark.parametrize("capability", [3, 126])
def test_nothing_is_said_of_capabilities_that_are_not_shared(capability):
    sending = credit()
    for say in (lambda: sending.credited(Delta(capability, 1)), lambda: sending.released(Release(capability, 1))):
        with pytest.raises(RemoteProtocolError, match="not shared"):
            say()
    with pytest.raises(RemoteProtocolError, match="not shared"):
        sending.refused(Reset(capability, 1, BUSY))


def test_what_is_released_was_sent_or_refused():
    sending = credit()
    with pytest.raises(RemoteProtocolError, match="RELEASE of context 1, which is not open"):
        sending.released(Release(1, 1))
    context = sending.open(1, 600)
    with pytest.raises(RemoteProtocolError, match="which is not open"):
        sending.released(Release(1, context))  # the peer has never heard of it
    sending.spend(1, 512, context)
    with pytest.raises(RemoteProtocolError, match="of which not all was sent"):
        sending.released(Release(1, context))
    sending.spend(1, 88, context)
    sending.released(Release(1, context))
    with pytest.raises(RemoteProtocolError, match="which is not open"):
        sending.released(Release(1, context))


def test_a_message_that_the_peer_refuses_ends_and_is_answered_once():
    sending = credit()
    context = sending.open(1, 6000)
    with pytest.raises(RemoteProtocolError, match="RESET of context 1, which is not open"):
        sending.refused(Reset(1, context, TOO_BIG))
    sending.spend(1, 1024, context)
    assert sending.refused(Reset(1, context, TOO_BIG)) == (Reset(1, context, CANCEL), True)
    assert not sending.is_open(1, context)
    assert sending.refused(Reset(1, context, TOO_BIG)) == (None, False)
    assert not sending.may_open(1, 5000), "its total is reserved until it is released"
    with pytest.raises(LocalProtocolError, match="no such part"):
        sending.spend(1, 1, context)
    sending.released(Release(1, context))
    assert sending.may_open(1, 10_000)
    with pytest.raises(RemoteProtocolError, match="not open"):
        sending.refused(Reset(1, context, BUSY))


def test_a_reset_that_crosses_the_last_chunk_is_not_answered():
    sending = credit()
    context = ended(sending)
    assert sending.refused(Reset(1, context, BUSY)) == (None, True)
    sending.released(Release(1, context))


def test_resets_of_both_sides_may_cross():
    sending = credit()
    context = sending.open(1, 6000)
    sending.spend(1, 1024, context)
    assert sending.abandon(1, context) == Reset(1, context, CANCEL)
    assert sending.refused(Reset(1, context, BUSY)) == (None, True)
    sending.released(Release(1, context))
    assert sending.may_open(1, 10_000)


def test_a_message_of_which_nothing_was_sent_is_given_up_without_a_word():
    sending = credit()
    context = sending.open(1, 6000)
    assert sending.abandon(1, context) is None
    assert sending.may_open(1, 10_000)
    context = ended(sending)
    with pytest.raises(LocalProtocolError, match="is not open"):
        sending.abandon(1, context)


def test_credit_that_was_spent_costs_the_peer_nothing():
    """It is what a control limit leaves out, so it must be no more than follows from what we have sent."""
    sending = credit()
    assert not sending.credited(Delta(1, 1024)), "nothing was spent"
    assert not sending.credited(Delta(CONNECTION, 1024))
    sending = credit()
    sending.spend(1, 1500)
    assert not sending.credited(Delta(1, 1023)), "less than half a window"
    sending = credit()
    sending.spend(1, 1500)
    assert sending.credited(Delta(1, 1024))
    assert sending.credited(Delta(CONNECTION, 1024))
    assert not sending.credited(Delta(1, 1024)), "it was not spent twice"


@given(st.lists(st.tuples(st.integers(1, 2048), st.integers(1, 4096)), max_size=60))
def test_free_credit_is_at_most_what_was_spent(steps):
    sending = credit(1)
    spent = free = 0
    for size, given_back in steps:
        if size <= sending.room(1):
            sending.spend(1, size)
            spent += size
        free += given_back * sending.credited(Delta(1, given_back))
        sending.credited(Delta(CONNECTION, given_back))
    assert free <= spent
