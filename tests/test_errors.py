"""Errors: who is at fault can be told from the type alone, and the texts are fit for a log."""

import pytest

from devp2p import errors
from devp2p.errors import (
    BookError,
    DamagedBookError,
    DecodingError,
    Devp2pError,
    DialError,
    DisconnectReason,
    HandshakeError,
    LocalProtocolError,
    PeerDisconnected,
    PeerMismatch,
    RemoteProtocolError,
    describe_reason,
)


def test_one_except_clause_tells_a_peers_faults_from_our_own():
    assert issubclass(DecodingError, RemoteProtocolError)
    assert issubclass(HandshakeError, RemoteProtocolError)
    assert issubclass(PeerMismatch, HandshakeError)
    assert issubclass(DamagedBookError, BookError)
    for cls in (LocalProtocolError, PeerDisconnected, DialError, BookError):
        assert not issubclass(cls, RemoteProtocolError)
    public = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(public) == 10
    assert all(issubclass(cls, Devp2pError) for cls in public)
    assert not issubclass(Devp2pError, ValueError | OSError)


def test_a_fault_is_a_breach_of_protocol_unless_said_otherwise():
    for cls in (RemoteProtocolError, DecodingError, HandshakeError):
        assert cls("x").reason is DisconnectReason.PROTOCOL_BREACH
        error = cls("it said so", reason=DisconnectReason.INVALID_IDENTITY)
        assert error.reason is DisconnectReason.INVALID_IDENTITY
        assert str(error) == "it said so"


def test_reasons_have_the_numbers_of_the_specification():
    assert [int(reason) for reason in DisconnectReason] == [*range(0x0C), 0x10]
    assert DisconnectReason(4) is DisconnectReason.TOO_MANY_PEERS
    assert DisconnectReason(0x0B) is DisconnectReason.PING_TIMEOUT


@pytest.mark.parametrize(
    ("reason", "text"),
    [(0, "requested (0x00)"), (4, "too many peers (0x04)"), (0x10, "subprotocol error (0x10)"), (0x42, "unknown reason (0x42)")],
)
def test_reasons_read_well_in_a_log(reason, text):
    assert describe_reason(reason) == text
    assert text in str(PeerDisconnected(reason, by_remote=True))


@pytest.mark.parametrize("reason", range(256))
def test_every_reason_on_the_wire_can_be_reported(reason):
    """Peers send numbers that no specification lists; the number must survive, and a known one must compare with the enum."""
    end = PeerDisconnected(reason, by_remote=True)
    assert end.reason == reason
    assert isinstance(end.reason, DisconnectReason) == (reason in {*range(0x0C), 0x10})


def test_the_text_says_who_ended_the_session_and_why():
    assert str(PeerDisconnected(8, by_remote=True)) == "peer ended the session: client quitting (0x08)"
    assert str(PeerDisconnected(2, by_remote=False, detail="bad RLP")) == "we ended the session: protocol breach (0x02): bad RLP"


def test_the_same_news_can_be_raised_in_several_tasks():
    """One exception object raised in two tasks would collect the tracebacks of both."""
    first = PeerDisconnected(0x42, by_remote=False, detail="enough")
    second = first.again()
    assert second is not first
    assert (second.reason, second.by_remote, second.detail, str(second)) == (0x42, False, "enough", str(first))


def test_a_failed_dial_says_whom_and_whether_a_reason_was_given():
    target = object()
    error = DialError("refused", target=target, reason=DisconnectReason.TOO_MANY_PEERS)
    assert (str(error), error.reason) == ("refused", 4)
    assert error.target is target
    assert DialError("no route", target=target).reason is None
