"""Row X1 of THREATS.md: somebody on the way changes auth or ack, to have another session than the two would agree on, or a weaker one.

He may even hold what opens the packets, and seal them anew. All keys of dpx/1 depend on every byte of both packets as each side has seen
them, so that it ends at the first record. An end has a session once it has read the other's Hello.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from devp2p.errors import HandshakeError
from devp2p.keys import PrivateKey
from devp2p.wire.connection import HelloReceived
from devp2p.wire.dpx import OURS, Dpx, DpxFraming, Feature, Params, decode_accept, decode_offer, encode_accept, encode_offer
from devp2p.wire.rlpx import Agreement, ecies
from devp2p.wire.rlpx.packets import ACK, AUTH, Ack, Auth
from tests.fuzz.wire_targets import KEY, OTHER
from tests.wire.forger import Ours, connect, events

Change = Callable[[bytes], bytes]


class Outcome(NamedTuple):
    """What came of it at each end."""

    sessions: tuple[bool, bool]
    refused: bool
    dpx: tuple[bool, bool]


def untouched(packet: bytes) -> bytes:
    return packet


def talk(change_auth: Change = untouched, change_ack: Change = untouched) -> Outcome:
    """Let two that speak dpx/1 shake hands through whoever is on the way, and then say Hello through him, unchanged."""
    one, other = (Dpx(random.Random(number).randbytes) for number in (1, 2))
    ends = (connect(KEY, 1, remote=OTHER.public_key, extension=one), connect(OTHER, 2, extension=other))
    refused = False
    auth = ends[0].data_to_send()
    try:
        ends[1].receive_data(change_auth(auth))
        answer = ends[1].data_to_send()
        size = 2 + int.from_bytes(answer[:2])
        ends[0].receive_data(change_ack(answer[:size]) + answer[size:])
        ends[1].receive_data(ends[0].data_to_send())
    except HandshakeError:
        refused = True
    return Outcome((has_session(ends[0]), has_session(ends[1])), refused, (speaks_dpx(ends[0]), speaks_dpx(ends[1])))


def has_session(end: Ours) -> bool:
    return any(isinstance(event, HelloReceived) for event in events(end))


def speaks_dpx(end: Ours) -> bool:
    return end.opening.connection is not None and isinstance(end.connection.framing, DpxFraming)


def flipped(position: int, bit: int) -> Change:
    def change(packet: bytes) -> bytes:
        changed = bytearray(packet)
        changed[position] ^= 1 << bit
        return bytes(changed)

    return change


def sizes() -> tuple[int, int]:
    """Of the two packets."""
    seen: list[int] = []

    def note(packet: bytes) -> bytes:
        seen.append(len(packet))
        return packet

    assert talk(note, note) == Outcome((True, True), refused=False, dpx=(True, True))
    return seen[0], seen[1]


def assert_no_session(outcome: Outcome) -> None:
    assert outcome.sessions == (False, False)
    assert outcome.refused or outcome.dpx == (False, False), "a packet that is cut short is waited for"


def flip_all(*, step: int) -> int:
    """Change a bit of every `step`th byte of each packet, in a run for each; how many there were."""
    chance, runs = random.Random(1), 0
    for packet, size in enumerate(sizes()):
        for position in range(0, size, step):
            change = flipped(position, chance.randrange(8))
            assert_no_session(talk(change) if packet == 0 else talk(change_ack=change))
            runs += 1
    return runs


def test_x1_a_changed_byte_of_auth_or_ack_leads_to_no_session():
    assert flip_all(step=17) >= sum(sizes()) // 17


@pytest.mark.simulation
def test_x1_any_changed_byte_of_auth_or_ack_leads_to_no_session():
    assert flip_all(step=1) == sum(sizes())


def opened(packet: bytes, key: PrivateKey) -> bytes:
    return ecies.decrypt(key, packet[2:], packet[:2])


def sealed(body: bytes, key: PrivateKey) -> bytes:
    prefix = (ecies.OVERHEAD + len(body)).to_bytes(2, "big")
    return prefix + ecies.encrypt(key.public_key, body, ephemeral=PrivateKey.from_bytes(b"\7" * 32), iv=bytes(16), shared_mac_data=prefix)


def auth_with(change: Callable[[Auth], Auth]) -> Change:
    """He holds the recipient's key, so that he can read the auth, and seal another."""
    return lambda packet: sealed(AUTH.encode(change(whole(AUTH, opened(packet, OTHER)))), OTHER)


def ack_with(change: Callable[[Ack], Ack]) -> Change:
    return lambda packet: sealed(ACK.encode(change(whole(ACK, opened(packet, KEY)))), KEY)


def whole(codec, body):
    """Without the padding behind it."""
    size = int.from_bytes(body[1:3]) + 3 if body[0] == 0xF9 else body[1] + 2
    return codec.decode(body[:size])


def of_offer(**changes: Any) -> Change:
    return auth_with(lambda auth: replace(auth, elements=(encode_offer(replace(decode_offer(auth.elements[0]), **changes)),)))


def of_accept(**changes: Any) -> Change:
    return ack_with(lambda ack: replace(ack, elements=(encode_accept(replace(decode_accept(ack.elements[0]), **changes)),)))


CHACHA = OURS & ~Feature.AES_256_GCM
SMALL = Params(max_frame=512)
CHANGES: dict[str, tuple[Change, Change]] = {
    "sealed anew and otherwise the same": (auth_with(lambda auth: auth), untouched),
    "the offer is taken out": (auth_with(lambda auth: replace(auth, elements=())), untouched),
    "the accept is taken out": (untouched, ack_with(lambda ack: replace(ack, elements=()))),
    "both are": (auth_with(lambda auth: replace(auth, elements=())), ack_with(lambda ack: replace(ack, elements=()))),
    "an item before the offer hides it": (auth_with(lambda auth: replace(auth, elements=(b"\xc5\x84dpx1", *auth.elements))), untouched),
    "the offer has another cipher": (of_offer(features=CHACHA), untouched),
    "the accept has another cipher": (untouched, of_accept(features=CHACHA)),
    "other limits in the offer": (of_offer(params=SMALL), untouched),
    "other limits in the accept": (untouched, of_accept(params=SMALL)),
    "another share in the offer": (of_offer(share=b"s" * 32), untouched),
    "another share in the accept": (untouched, of_accept(share=b"s" * 32)),
}


# The MACs of stock frames depend on one packet each, that of their own direction. So who holds the recipient's key, and could be the
# recipient anyway, can let the initiator hear the real one for a moment. Its own Hello is refused.
STOCK = dict.fromkeys(("the offer is taken out", "an item before the offer hides it"), (True, False))


@pytest.mark.parametrize("what", CHANGES)
def test_x1_even_who_opens_the_packets_and_seals_them_anew_cannot_change_them(what):
    outcome = talk(*CHANGES[what])
    assert outcome.refused
    assert outcome.sessions == STOCK.get(what, (False, False))


WITHOUT_TRANSCRIPT = [what for what in CHANGES if "limits" in what or "sealed anew" in what or what == "the offer has another cipher"]


@pytest.mark.parametrize("what", WITHOUT_TRANSCRIPT)
def test_x1_control_if_keys_did_not_depend_on_the_packets_he_could(what, monkeypatch):
    monkeypatch.setattr(Agreement, "transcript", bytes(32))
    assert talk(*CHANGES[what]) == Outcome((True, True), refused=False, dpx=(True, True))
