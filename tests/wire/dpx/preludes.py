"""What the tests of the prelude share: two sides of one, with fixed randomness."""

import os
import random

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from devp2p.keys import PublicKey
from devp2p.wire.dpx import Dpx
from devp2p.wire.dpx.prelude import Answering, Asking, PreludeEntropy
from devp2p.wire.rlpx import Agreement, Extension, Handshake, SeenAuths
from tests.wire.handshakes import KEY_A, KEY_B, fresh

ASKED, ANSWERED = (PreludeEntropy.draw(random.Random(seed).randbytes) for seed in (1, 2))


class Meeting:
    """A asks who is there, and B answers, both with fixed randomness but for the handshake's."""

    def __init__(self, one: Extension | None = None, other: Extension | None = None, seen: SeenAuths | None = None) -> None:
        extensions = one or Dpx(os.urandom), other or Dpx(os.urandom)
        self.begun: list[tuple[PublicKey, bytes]] = []
        is_new = None if seen is None else lambda point: seen.is_new(point, 0)

        def call(remote: PublicKey, asked: bytes) -> Handshake:
            self.begun.append((remote, asked))
            return Handshake(KEY_A, fresh(), remote=remote, extension=extensions[0], prelude=asked)

        self.one = Asking(ASKED, call)
        self.other = Answering(
            KEY_B, ANSWERED, lambda asked: Handshake(KEY_B, fresh(), extension=extensions[1], is_new=is_new, prelude=asked), is_new=is_new
        )
        self.request = self.one.data_to_send()

    def ask(self) -> bytes:
        """Let B answer."""
        assert self.other.receive_data(self.request) is None
        return self.other.data_to_send()

    def call(self) -> bytes:
        """Let A send its auth, too."""
        assert self.one.receive_data(self.ask()) is None
        return self.one.data_to_send()

    def shake_hands(self) -> tuple[Agreement, Agreement]:
        theirs = self.other.receive_data(self.call())
        ours = self.one.receive_data(self.other.data_to_send())
        assert ours is not None
        assert theirs is not None
        return ours, theirs


def say(one: Asking | Answering, other: Asking | Answering) -> None:
    """A frame goes over, and nothing but the frame."""
    sender, receiver = one.framing(), other.framing()
    receiver.receive_data(b"".join(sender.seal(None, 2, b"hello")))
    message = receiver.next_message()
    assert message is not None
    assert bytes(message.data) == b"hello"


def expanded(prk: bytes, label: bytes) -> bytes:
    return HKDFExpand(SHA256(), 32, label).derive(prk)
