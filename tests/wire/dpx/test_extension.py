"""How two nodes come to dpx/1, and how they do not."""

import gc
import random
import weakref
from collections.abc import Sequence
from types import FunctionType, ModuleType

import pytest

from devp2p import rlp
from devp2p.errors import HandshakeError
from devp2p.keys import PrivateKey, PublicKey
from devp2p.wire import base
from devp2p.wire.dpx import OURS, RECORDS_PER_KEY, Accept, Dpx, DpxFraming, Feature, Params, Resumption, encode_accept
from devp2p.wire.framing import Framing
from devp2p.wire.rlpx import ACK_ROOM, AUTH_ROOM, Ack, Auth, Combined, Contained, Entropy, Extension, Handshake

ONE, OTHER = (PrivateKey.from_bytes(bytes(31) + bytes([number])) for number in (1, 2))


def dpx(seed: int = 0, **options: object) -> Dpx:
    return Dpx(random.Random(seed).randbytes, **options)  # type: ignore[arg-type]


class Constant(Extension):
    """Says the same to everybody."""

    def __init__(self, *elements: bytes) -> None:
        self.elements = elements

    def offer(self, remote: PublicKey, auth: Auth) -> Sequence[bytes]:  # noqa: ARG002
        return self.elements

    def answer(self, remote: PublicKey, auth: Auth, ack: Ack) -> Sequence[bytes]:  # noqa: ARG002
        return self.elements


def meet(caller: Extension | None, called: Extension | None) -> tuple[Handshake, Handshake]:
    """Both sides of a handshake that is done."""
    source = random.Random(7)
    initiator = Handshake(ONE, Entropy.draw(source.randbytes), remote=OTHER.public_key, extension=caller)
    recipient = Handshake(OTHER, Entropy.draw(source.randbytes), extension=called)
    recipient.receive_data(initiator.data_to_send())
    initiator.receive_data(recipient.data_to_send())
    return initiator, recipient


def talk(one: Framing, other: Framing) -> None:
    """See that each side reads what the other seals."""
    for sender, receiver in ((one, other), (other, one)):
        receiver.receive_data(b"".join(sender.seal(None, base.PING, b"\xc0")))
        message = receiver.next_message()
        assert message is not None
        assert (message.code, bytes(message.data)) == (base.PING, b"\xc0")


def test_two_that_speak_it_agree_on_it():
    one, other = (side.framing() for side in meet(dpx(1), dpx(2)))
    assert isinstance(one, DpxFraming)
    assert isinstance(other, DpxFraming)
    assert one.profile.protocol == other.profile.protocol == "dpx/1"
    assert one.pact.keys == other.pact.keys
    assert one.pact.initiated
    assert not other.pact.initiated
    talk(one, other)


@pytest.mark.parametrize(("ours", "theirs"), [(dpx(), None), (None, dpx()), (None, None)], ids=["called", "caller", "neither"])
def test_with_a_peer_that_does_not_speak_it_the_session_is_stock(ours: Dpx | None, theirs: Dpx | None):
    one, other = (side.framing() for side in meet(ours, theirs))
    assert one.profile.protocol == other.profile.protocol == "RLPx"
    talk(one, other)


@pytest.mark.parametrize(("side", "gcm"), [(0, False), (1, False), (2, True)])
def test_the_cipher_is_aes_if_both_can(side: int, *, gcm: bool):
    features = [OURS & ~Feature.AES_256_GCM if index == side else OURS for index in range(2)]
    one, other = (side.framing() for side in meet(dpx(1, features=features[0]), dpx(2, features=features[1])))
    assert ("aes-256-gcm" in one.profile.features) == ("aes-256-gcm" in other.profile.features) == gcm
    talk(one, other)


def test_nothing_is_accepted_that_we_do_not_know():
    one, other = (side.framing() for side in meet(dpx(1, features=OURS | Feature(2**20)), dpx(2)))
    assert isinstance(one, DpxFraming)
    assert one.pact.features == OURS
    talk(one, other)


def test_each_side_learns_what_the_other_takes_in():
    small = Params(connection_window=65536, capability_window=65536, max_frame=8192)
    one, other = (side.framing() for side in meet(dpx(1, params=small), dpx(2)))
    assert isinstance(one, DpxFraming)
    assert isinstance(other, DpxFraming)
    assert (one.pact.ours, one.pact.theirs) == (small, Params()) == (other.pact.theirs, other.pact.ours)


def test_it_rides_between_the_elements_of_others():
    before, after = Constant(rlp.encode(b"dpx1")), Constant(rlp.encode([b"other", 1]), rlp.encode([b"dpx1", b"not the first"]))
    one, other = (side.framing() for side in meet(Combined(before, dpx(1), after), Combined(before, dpx(2), after)))
    assert one.profile.protocol == other.profile.protocol == "dpx/1"
    talk(one, other)


@pytest.mark.parametrize("wrap", [lambda extension: extension, Contained], ids=["bare", "contained"])
@pytest.mark.parametrize(("calls", "room"), [(True, AUTH_ROOM), (False, ACK_ROOM)], ids=["auth", "ack"])
def test_it_is_left_out_where_the_elements_of_others_leave_no_room(wrap, room: int, *, calls: bool):
    """What it has to say grows with what is known of a peer, so that beside others it may be too much for one peer only."""
    for size, protocol in ((room - 200, "dpx/1"), (room - 40, "RLPx")):
        element = rlp.encode(bytes(size))
        crowded = Combined(wrap(Constant(element)), wrap(dpx(1)))
        sides = meet(crowded, dpx(2)) if calls else meet(dpx(2), crowded)
        agreement = sides[not calls].agreement
        assert agreement is not None
        assert agreement.own_elements[0] == element
        one, other = (side.framing() for side in sides)
        assert one.profile.protocol == other.profile.protocol == protocol
        talk(one, other)


@pytest.mark.parametrize("element", [rlp.encode([b"dpx1"]), rlp.encode([b"dpx1", 1, b"short", [], [], []])])
def test_an_offer_that_is_malformed_counts_as_none(element: bytes):
    one, other = (side.framing() for side in meet(Constant(element), dpx()))
    assert one.profile.protocol == other.profile.protocol == "RLPx"


def test_an_answer_that_nobody_asked_for_is_none():
    answer = Constant(encode_accept(Accept(OURS, bytes(32))))
    one, _ = meet(None, answer)
    assert one.framing().profile.protocol == "RLPx"
    element = rlp.encode([b"other"])
    one, _ = meet(Combined(Constant(element)), answer)
    assert one.framing().profile.protocol == "RLPx"


@pytest.mark.parametrize(
    "element",
    [
        rlp.encode([b"dpx1"]),
        encode_accept(Accept(OURS | Feature(2**20), bytes(32))),
        encode_accept(Accept(Feature.AES_256_GCM, bytes(32))),
    ],
    ids=["malformed", "with what was not offered", "without what everybody can"],
)
def test_an_answer_that_breaks_the_rules_ends_the_handshake(element: bytes):
    one, _ = meet(dpx(), Constant(element))
    with pytest.raises(HandshakeError, match="dpx/1"):
        one.framing()


def test_nothing_is_kept_of_a_handshake_once_it_has_proved_its_peer_or_failed():
    extension = dpx(1)
    for end in ("proved", "failed"):
        one, _ = meet(extension, dpx(2))
        one.framing()
        getattr(one, end)()
        assert not extension._pacts


def test_what_was_agreed_goes_with_its_session_and_waits_for_no_garbage_collector():
    """The keys of the session are in it."""
    extension = dpx(1)
    extension.resumption = Resumption(lambda: 1e9)
    one, _ = meet(extension, dpx(2))
    framing = one.framing()
    one.proved()
    assert isinstance(framing, DpxFraming)
    pact = weakref.ref(framing.pact)
    gc.disable()
    try:
        del framing
        assert pact() is None
    finally:
        gc.enable()


def test_keys_of_records_are_let_go_of_when_the_next_ones_are_there():
    """Who reads a node's memory is not to read what came before, or else there would be no use in new keys."""
    one, other = (side.framing() for side in meet(dpx(1), dpx(2)))
    assert isinstance(one, DpxFraming)
    first = one._sealer._keys._key
    assert first in secrets_in(one)
    for _ in range(RECORDS_PER_KEY + 1):
        talk(one, other)
    assert first not in secrets_in(one)
    assert one.pact.keys.resumption in secrets_in(one)


def secrets_in(framing: DpxFraming) -> set[bytes]:
    """All byte strings of the size of a key in what a session refers to."""
    found, seen, waiting = set[bytes](), set[int](), list[object]([framing])
    while waiting:
        one = waiting.pop()
        if isinstance(one, bytes):
            found |= {one} if len(one) == 32 else set()
        elif id(one) not in seen and not isinstance(one, type | ModuleType | FunctionType):
            seen.add(id(one))
            waiting += gc.get_referents(one)
    return found


def sizes_of(caller: Extension | None, called: Extension | None, count: int) -> tuple[list[int], list[int]]:
    """How large auths and acks are."""
    auths, acks = list[int](), list[int]()
    source = random.Random(3)
    for _ in range(count):
        initiator = Handshake(ONE, Entropy.draw(source.randbytes), remote=OTHER.public_key, extension=caller)
        recipient = Handshake(OTHER, Entropy.draw(source.randbytes), extension=called)
        auths.append(len(auth := initiator.data_to_send()))
        recipient.receive_data(auth)
        acks.append(len(recipient.data_to_send()))
    return auths, acks


def test_the_sizes_of_packets_are_those_of_other_clients_and_tell_nothing():
    auths, acks = sizes_of(dpx(1), dpx(2), 150)
    assert min(auths) >= 384
    assert max(auths) <= 584
    assert min(acks) >= 317
    assert max(acks) <= 416
    assert len(set(auths)) > 60, "evenly"
    assert len(set(acks)) > 40
    _, stock = sizes_of(dpx(1), None, 150)
    assert max(stock) > 416, "as EIP-8 recommends, which is the control"
