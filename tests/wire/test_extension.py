"""Extensions of the handshake: what they see, what they are told, whatever else is in the packets, and what may not go wrong."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import HandshakeError, LocalProtocolError
from devp2p.keys import PublicKey, keccak256
from devp2p.wire import base
from devp2p.wire.connection import HelloReceived
from devp2p.wire.framing import Framing
from devp2p.wire.opening import HandshakeCompleted, Opening
from devp2p.wire.rlpx.agreement import Agreement, secrets
from devp2p.wire.rlpx.extension import Contained, Extension
from devp2p.wire.rlpx.frames import FrameOpener, rlpx_framing
from devp2p.wire.rlpx.handshake import Handshake
from devp2p.wire.rlpx.packets import ACK_ROOM, AUTH_ROOM, MAX_PACKET, Ack, Auth
from tests.fuzz.wire_targets import entropy
from tests.wire.handshakes import ACK, AUTH, KEY_A, KEY_B, PLAIN_ACK, PLAIN_AUTH, A, B, Constant, Meeting, assert_agreed, fixed, fresh
from tests.wire.remembering import Remembering


def told(extension: Remembering) -> list[str]:
    return [what for what, _ in extension.told]


# What is agreed, and what an extension sees


def test_both_sides_agree_on_one_value() -> None:
    meeting = Meeting(Constant(rlp.encode(1)), Constant(rlp.encode([2])))
    ours, theirs = meeting.shake_hands()
    assert replace(ours, remote=A, initiated=False) == theirs
    assert (ours.remote, theirs.remote, ours.initiated, theirs.initiated) == (B, A, True, False)
    assert ours.static == KEY_A.ecdh(B)
    assert (ours.auth_packet, ours.ack_packet) == (meeting.auth, meeting.ack)
    assert ours.transcript == keccak256(meeting.auth + meeting.ack)
    assert ours.elements == theirs.own_elements == (rlp.encode([2]),)
    assert theirs.elements == ours.own_elements == (rlp.encode(1),)
    assert_agreed(ours, theirs)
    again, _ = Meeting(Constant(rlp.encode(1)), Constant(rlp.encode([2]))).shake_hands()
    assert not {ours.ephemeral, ours.transcript} & {again.ephemeral, again.transcript}
    assert ours.static == again.static


def test_the_keys_of_an_agreement_can_be_derived_more_than_once() -> None:
    ours, theirs = Meeting().shake_hands()
    assert_agreed(ours, theirs)
    assert_agreed(ours, theirs)
    assert secrets(ours).egress_mac is not secrets(ours).egress_mac


class Watching(Extension):
    def __init__(self) -> None:
        self.offered: list[tuple[PublicKey, Auth]] = []
        self.answered: list[tuple[PublicKey, Auth, Ack]] = []

    def offer(self, remote: PublicKey, auth: Auth) -> Sequence[bytes]:
        self.offered.append((remote, auth))
        return [rlp.encode(b"offered")]

    def answer(self, remote: PublicKey, auth: Auth, ack: Ack) -> Sequence[bytes]:
        self.answered.append((remote, auth, ack))
        return [rlp.encode(b"answered")]


def test_an_offer_is_for_one_peer_and_sees_the_rest_of_the_auth_and_an_answer_sees_both() -> None:
    one, other = Watching(), Watching()
    ours, _ = Meeting(one, other).shake_hands()
    assert one.offered == [(B, replace(ours.auth, elements=()))]
    assert other.answered == [(A, ours.auth, replace(ours.ack, elements=()))]
    assert not one.answered
    assert not other.offered
    assert ours.auth.elements == (rlp.encode(b"offered"),)
    assert ours.ack.elements == (rlp.encode(b"answered"),)
    assert bytes(A) == ours.auth.public_key


def test_an_auth_in_the_old_format_has_no_answer_and_an_ack_in_it_no_elements() -> None:
    watching, toy = Watching(), Remembering()
    for extension in (watching, toy):
        other = Handshake(KEY_B, fixed("b"), extension=extension)
        agreement = other.receive_data(PLAIN_AUTH)
        assert agreement is not None
        assert (agreement.elements, agreement.own_elements) == ((), ())
        assert len(other.data_to_send()) == 210
        other.proved()
        one = Handshake(KEY_A, fixed("a"), remote=B, extension=extension)
        one.data_to_send()
        agreement = one.receive_data(PLAIN_ACK)
        assert agreement is not None
        assert agreement.elements == ()
        one.proved()
    assert watching.answered == []
    assert told(toy) == ["proved", "offer", "proved"]
    assert toy.peers == {}


def test_the_published_packets_are_read_with_an_extension_too() -> None:
    sides = Handshake(KEY_B, fixed("b"), extension=Remembering()), Handshake(KEY_A, fixed("a"), remote=B, extension=Remembering())
    ours, theirs = (side.receive_data(packet) for side, packet in zip(sides, (AUTH, ACK), strict=True))
    assert ours is not None
    assert theirs is not None
    assert ours.own_elements == (), "there was no offer"
    assert ours.elements == theirs.elements == ()


# Offers and answers among those of others

ITEM: st.SearchStrategy[bytes] = st.recursive(st.binary(max_size=20), lambda item: st.lists(item, max_size=3), max_leaves=6).map(rlp.encode)
ITEMS = st.lists(ITEM, max_size=4).map(tuple)


@given(ITEMS, ITEMS)
@settings(max_examples=30, deadline=None)
def test_any_elements_arrive_as_they_were_offered_and_answered(offered: tuple[bytes, ...], answered: tuple[bytes, ...]) -> None:
    ours, theirs = Meeting(Constant(*offered), Constant(*answered)).shake_hands()
    assert (theirs.elements, ours.elements) == (offered, answered)
    assert_agreed(ours, theirs)


# What it is told, and how often


def test_an_initiator_is_told_once_what_came_of_its_offer() -> None:
    def without_ack(one: Handshake, _: bytes) -> None:
        one.failed()

    def bad_ack(one: Handshake, _: bytes) -> None:
        with pytest.raises(HandshakeError):
            one.receive_data(b"\x01\x00" + bytes(300))
        one.failed()

    def no_frame(one: Handshake, ack: bytes) -> None:
        one.receive_data(ack)
        one.failed()

    def frame(one: Handshake, ack: bytes) -> None:
        one.receive_data(ack)
        one.proved()

    ends = {without_ack: "unanswered", bad_ack: "unanswered", no_frame: "failed", frame: "proved"}
    for end, expected in ends.items():
        for last in (Handshake.failed, Handshake.proved):
            toy = Remembering()
            meeting = Meeting(toy, Remembering())
            meeting.other.receive_data(meeting.auth)
            end(meeting.one, meeting.other.data_to_send())
            if meeting.one.agreement is not None or last is Handshake.failed:
                last(meeting.one)
            assert toy.told == [("offer", B), (expected, B)]


def test_a_recipient_is_told_once_what_came_of_its_answer_and_nothing_where_none_was_asked_for() -> None:
    silent, bad, lost, proved = (Remembering() for _ in range(4))
    Handshake(KEY_B, fresh(), extension=silent).failed()
    side = Handshake(KEY_B, fresh(), extension=bad)
    with pytest.raises(HandshakeError):
        side.receive_data(b"\x01\x90" + bytes(500))
    side.failed()
    for toy, end in ((lost, Handshake.failed), (proved, Handshake.proved)):
        meeting = Meeting(None, toy)
        meeting.other.receive_data(meeting.auth)
        end(meeting.other)
        meeting.other.failed()
    assert (silent.told, bad.told) == ([], [])
    assert lost.told == [("answer", A), ("failed", A)]
    assert proved.told == [("answer", A), ("proved", A)]


def test_nobody_is_proved_before_there_is_an_agreement() -> None:
    for side in (Handshake(KEY_B, fresh()), Handshake(KEY_A, fresh(), remote=B, extension=Remembering())):
        with pytest.raises(LocalProtocolError, match="after the handshake"):
            side.proved()


def test_a_handshake_sends_each_packet_once() -> None:
    meeting = Meeting()
    assert meeting.one.data_to_send() == b""
    assert meeting.other.data_to_send() == b""
    for start, end in pairwise([0, 1, 100, len(meeting.auth) - 1]):
        assert meeting.other.receive_data(meeting.auth[start:end]) is None
        assert meeting.other.data_to_send() == b""
    assert meeting.other.receive_data(meeting.auth[-1:]) is not None
    ack = meeting.other.data_to_send()
    assert meeting.one.receive_data(ack + b"a frame") is not None
    assert meeting.one.trailing == b"a frame"
    assert meeting.other.data_to_send() == meeting.one.data_to_send() == b""


# What may not go wrong


def fail(*_: object) -> None:
    raise ZeroDivisionError("as it has to")


def broken(*names: str, extension: Extension | None = None) -> Extension:
    """An extension of which some methods fail."""
    extension = Extension() if extension is None else extension
    for name in names:
        setattr(extension, name, fail)
    return extension


UNFIT: dict[str, tuple[Callable[[int], Extension], type[Exception], str]] = {
    "raises": (lambda _: broken("offer", "answer"), ZeroDivisionError, "as it has to"),
    "too long": (lambda room: Constant(rlp.encode(bytes(room - 2))), LocalProtocolError, "return fewer or shorter elements"),
    "together too long": (lambda room: Constant(*[b"\x01"] * (room + 1)), LocalProtocolError, "return fewer or shorter elements"),
    "no item": (lambda _: Constant(b""), LocalProtocolError, r"rlp\.encode\(\.\.\.\) makes one"),
    "half an item": (lambda _: Constant(b"\x83ab"), LocalProtocolError, r"rlp\.encode\(\.\.\.\) makes one"),
    "two items": (lambda _: Constant(b"\x01\x02"), LocalProtocolError, r"rlp\.encode\(\.\.\.\) makes one"),
    "text": (lambda _: Constant(cast("bytes", "text")), TypeError, r"bytes, one encoded RLP item, not a str: rlp\.encode"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_cannot_be_sent_is_told_and_contained_it_is_left_out(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    make, error, message = UNFIT[kind]
    with pytest.raises(error, match=message):
        Meeting(make(AUTH_ROOM))
    with pytest.raises(error, match=message):
        Meeting(None, make(ACK_ROOM)).shake_hands()
    assert not caplog.records
    one, other = Contained(make(AUTH_ROOM)), Contained(make(ACK_ROOM))
    for _ in range(3):
        ours, theirs = Meeting(one, other).shake_hands()
        assert ours.elements == theirs.elements == ()
        assert_agreed(ours, theirs)
    assert [(record.levelno, record.exc_info is not None) for record in caplog.records] == [(logging.ERROR, True)] * 2, "the first of each"


def test_the_longest_elements_that_fit_are_sent() -> None:
    mine, yours = Constant(*[b"\x01"] * AUTH_ROOM), Constant(*[b"\x01"] * ACK_ROOM)
    one, other = Handshake(KEY_A, entropy(1, padding=0), remote=B, extension=mine), Handshake(KEY_B, entropy(2, padding=0), extension=yours)
    auth = one.data_to_send()
    theirs = other.receive_data(auth)
    ack = other.data_to_send()
    ours = one.receive_data(ack)
    assert len(auth) == len(ack) == 2 + MAX_PACKET, "without any padding"
    assert ours is not None
    assert theirs is not None
    assert (theirs.elements, ours.elements) == (mine.elements, yours.elements)


def after_an_auth(extension: Extension) -> Handshake:
    side = Handshake(KEY_B, fixed("b"), extension=extension)
    side.receive_data(AUTH)
    return side


TELL: dict[str, Callable[[Extension], None]] = {
    "proved": lambda extension: after_an_auth(extension).proved(),
    "failed": lambda extension: after_an_auth(extension).failed(),
    "unanswered": lambda extension: Handshake(KEY_A, fixed("a"), remote=B, extension=extension).failed(),
}


@pytest.mark.parametrize("name", TELL)
def test_one_that_fails_when_it_is_told_does_no_harm_contained(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ZeroDivisionError):
        TELL[name](broken(name))
    assert not caplog.records
    extension = Contained(broken(name))
    for _ in range(3):
        TELL[name](extension)
    assert [record.exc_info is not None for record in caplog.records] == [True], "the first"


def test_contained_it_hears_and_says_the_same() -> None:
    one, other = Remembering(1), Remembering(2)
    for _ in range(2):
        Meeting(Contained(one), Contained(other)).prove()
    Meeting(Contained(one), None).one.failed()
    Meeting(Contained(one), Contained(other)).shake_hands()
    meeting = Meeting(None, Contained(other))
    meeting.other.receive_data(meeting.auth)
    meeting.other.failed()
    assert one.peers[B].meetings == other.peers[A].meetings == ["new", "known"]
    assert told(one) == ["offer", "proved", "offer", "proved", "offer", "unanswered", "offer"]
    assert told(other) == ["answer", "proved", "answer", "proved", "answer", "answer", "failed"]


# What messages travel in


class Other(Constant):
    """Agrees with its like on frames whose keys come of more than those of stock frames, and refuses what it has not offered."""

    def framing(self, agreement: Agreement) -> Framing | None:
        if not agreement.elements:
            return None
        if agreement.elements != self.elements:
            raise HandshakeError("the peer has answered what was not offered")
        more = keccak256(agreement.ephemeral + agreement.static + agreement.transcript)
        return rlpx_framing(secrets(replace(agreement, ephemeral=more)))


OTHER, ANOTHER = Other(rlp.encode(b"other")), Constant(rlp.encode(b"another"))
HELLO = [HandshakeCompleted, HelloReceived]
bare_or_contained = pytest.mark.parametrize("wrap", [lambda extension: extension, Contained], ids=["bare", "contained"])


def talk(one: Extension | None, other: Extension | None) -> tuple[list[type], list[type], bool]:
    """What happens on A's side and on B's from auth to Hello, and whether B's Hello is in a stock frame."""
    calling, called = Handshake(KEY_A, fresh(), remote=B, extension=one), Handshake(KEY_B, fresh(), extension=other)
    ours, theirs = Opening(base.Hello("a", (), A), (), calling), Opening(base.Hello("b", (), B), (), called)
    try:
        theirs.receive_data(ours.data_to_send())
        answer = theirs.data_to_send()
        ours.receive_data(answer)
        theirs.receive_data(ours.data_to_send())
    finally:
        ours.close()
        theirs.close()
    assert calling.agreement is not None
    opener = FrameOpener(secrets(calling.agreement), 1000)
    opener.receive_data(answer[len(calling.agreement.ack_packet) :])
    try:
        is_stock = opener.next_frame() is not None
    except HandshakeError:
        is_stock = False
    events = [[type(event) for event in iter(side.next_event, None)] for side in (ours, theirs)]
    return events[0], events[1], is_stock


@bare_or_contained
def test_other_frames_are_used_if_both_sides_have_agreed_on_them(wrap: Callable[[Extension], Extension]) -> None:
    for one, other in ((None, None), (wrap(OTHER), None), (None, wrap(OTHER))):
        assert talk(one, other) == (HELLO, HELLO, True)
    assert talk(wrap(OTHER), wrap(OTHER)) == (HELLO, HELLO, False)


@bare_or_contained
def test_an_extension_may_refuse_an_answer(wrap: Callable[[Extension], Extension], caplog: pytest.LogCaptureFixture) -> None:
    failed: list[Agreement] = []

    class Strict(Other):
        def failed(self, agreement: Agreement) -> None:
            failed.append(agreement)

    strict = Strict(*OTHER.elements)
    with pytest.raises(HandshakeError, match="the peer has answered what was not offered"):
        talk(wrap(strict), ANOTHER)
    assert [agreement.elements for agreement in failed] == [ANOTHER.elements]
    assert not caplog.records, "a stranger could bring it about without end"
    side = Opening(base.Hello("b", (), B), (), Handshake(KEY_B, fresh(), extension=wrap(strict)))
    with pytest.raises(HandshakeError):
        side.receive_data(Handshake(KEY_A, fresh(), remote=B, extension=ANOTHER).data_to_send())
    assert side.is_closed
    assert side.data_to_send() == b"", "no ack either"


def test_where_the_choice_fails_frames_are_stock_contained() -> None:
    with pytest.raises(ZeroDivisionError):
        talk(broken("framing"), None)
    assert talk(Contained(broken("framing")), None) == (HELLO, HELLO, True)
    with pytest.raises(HandshakeError, match="MAC"):
        talk(OTHER, Contained(broken("framing", extension=Other(*OTHER.elements))))
