"""What the handshake tests share: the published vectors of EIP-8, and both sides with fixed randomness."""

import json
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from devp2p.keys import PrivateKey, PublicKey
from devp2p.wire.rlpx.agreement import Agreement, secrets
from devp2p.wire.rlpx.extension import Extension
from devp2p.wire.rlpx.frames import FrameOpener, FrameSealer
from devp2p.wire.rlpx.handshake import Entropy, Handshake, Initiator, Recipient
from devp2p.wire.rlpx.packets import Ack, Auth

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "rlpx_handshake.json").read_text())


def private(name: str) -> PrivateKey:
    return PrivateKey.from_bytes(bytes.fromhex(VECTORS[name]))


def fixed(side: str) -> Entropy:
    """The published randomness of one side; what encrypts its packet is not published."""
    nonce = bytes.fromhex(VECTORS[f"nonce_{side}"])
    return Entropy(private(f"ephemeral_key_{side}"), nonce, private(f"ephemeral_key_{side}"), bytes(16), lambda _: bytes(100))


KEY_A, KEY_B = private("static_key_a"), private("static_key_b")
AUTHS = {vector["name"]: vector for vector in VECTORS["auth"]}
ACKS = {vector["name"]: vector for vector in VECTORS["ack"]}
PLAIN_AUTH, PLAIN_ACK = (bytes.fromhex(VECTORS[name]["packet"]) for name in ("plain_auth", "plain_ack"))
AUTH, ACK = (bytes.fromhex(vectors[name]["packet"]) for vectors, name in ((AUTHS, "Auth2"), (ACKS, "Ack2")))
STREAMS = {"EIP-8 auth": AUTH, "plain auth": PLAIN_AUTH, "EIP-8 ack": ACK, "plain ack": PLAIN_ACK}


class Constant(Extension):
    """Offers and answers the same to everybody, which no peer knows."""

    def __init__(self, *elements: bytes) -> None:
        self.elements = elements

    def offer(self, remote: PublicKey, auth: Auth) -> Sequence[bytes]:  # noqa: ARG002
        return self.elements

    def answer(self, remote: PublicKey, auth: Auth, ack: Ack) -> Sequence[bytes]:  # noqa: ARG002
        return self.elements


def recipient() -> Recipient:
    return Recipient(KEY_B, fixed("b"))


def initiator() -> Initiator:
    return Initiator(KEY_A, KEY_B.public_key, fixed("a"))


def receiver(stream: str) -> Initiator | Recipient:
    return recipient() if stream.endswith("auth") else initiator()


def feed(side: Initiator | Recipient, stream: bytes, cuts: list[int]) -> Agreement | None:
    """Give the stream in pieces; what came of it."""
    found = None
    for start, end in pairwise([0, *cuts, len(stream)]):
        assert found is None
        found = side.receive_data(stream[start:end])
    return found


def spy(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[tuple[Any, ...]]:
    """The arguments of every call of a function, which goes on doing its work."""
    calls: list[tuple[Any, ...]] = []
    original = getattr(owner, name)

    def note(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, note)
    return calls


def summary(agreement: Agreement | None) -> tuple[object, ...]:
    assert agreement is not None
    keys = secrets(agreement)
    return agreement, keys.aes, keys.mac, keys.egress_mac.digest(), keys.ingress_mac.digest()


def assert_agreed(ours: Agreement, theirs: Agreement) -> None:
    """Frames go both ways."""
    for sender, receiver in ((secrets(ours), secrets(theirs)), (secrets(theirs), secrets(ours))):
        opener = FrameOpener(receiver, 100)
        opener.receive_data(b"".join(FrameSealer(sender).seal(b"hello")))
        assert opener.next_frame() == b"hello"


A, B = KEY_A.public_key, KEY_B.public_key
NUMBERS = iter(range(1, 10**6))


def fresh() -> Entropy:
    return Entropy.draw(random.Random(next(NUMBERS)).randbytes)


class Meeting:
    """A handshake of A, who calls, with B."""

    def __init__(self, one: Extension | None = None, other: Extension | None = None) -> None:
        self.one = Handshake(KEY_A, fresh(), remote=B, extension=one)
        self.other = Handshake(KEY_B, fresh(), extension=other)
        self.auth = self.one.data_to_send()
        self.ack = b""

    def shake_hands(self) -> tuple[Agreement, Agreement]:
        theirs = self.other.receive_data(self.auth)
        self.ack = self.other.data_to_send()
        ours = self.one.receive_data(self.ack)
        assert ours is not None
        assert theirs is not None
        return ours, theirs

    def prove(self) -> tuple[Agreement, Agreement]:
        agreements = self.shake_hands()
        for side in (self.one, self.other):
            side.proved()
            side.failed()
        return agreements
