"""Row X2 of THREATS.md: somebody on the way changes records, sends them again, cuts them, swaps them, turns them round."""

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from devp2p.errors import RemoteProtocolError
from tests.fuzz.adversary import DEEDS, TwoDpxConnections, TwoEnds, fuzz_dpx_session

STEPS = settings(max_examples=30, stateful_step_count=30, deadline=None)


def test_x2_whatever_is_done_to_the_bytes_each_end_is_told_what_came_whole_before_it_and_no_more():
    run_state_machine_as_test(TwoDpxConnections, settings=STEPS)


def open_ends() -> TwoEnds:
    two = TwoEnds(dpx=True)
    for side in (0, 1, 0, 1):
        two.deliver(side, 10_000)
    assert two.told == ([("hello",)], [("hello",)])
    return two


@pytest.mark.parametrize("deed", DEEDS)
def test_x2_each_deed_ends_the_session_where_it_was_done(deed):
    two = open_ends()
    for _ in range(3):
        two.talk(0, 0, 1.0)
        two.talk(1, 1, 1.0)
    two.deliver(0, 10**6)
    two.talk(0, 0, 0.5)
    two.talk(1, 0, 0.5)
    two.tamper(0, deed, 0.4, b"\x55" * 5)
    two.finish()
    assert two.dead[1] or deed == "cut"
    assert len(two.told[1]) == 4 + (deed == "duplicate"), "of one that is there twice, the first is told"


class Unauthenticated:
    """The same cipher, which believes every tag."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(self, nonce: bytes, data: bytes, _: bytes | None) -> bytes:
        return self._crypt(nonce, data) + bytes(16)

    def decrypt(self, nonce: bytes, data: bytes, _: bytes | None) -> bytes:
        return self._crypt(nonce, data)[:-16]

    def _crypt(self, nonce: bytes, data: bytes) -> bytes:
        return Cipher(ChaCha20(self._key, (1).to_bytes(4, "little") + nonce), None).encryptor().update(data)


def test_x2_control_without_tags_he_gets_through(monkeypatch):
    """What he changed is noticed by a decoder at best."""
    for name in ("AESGCM", "ChaCha20Poly1305"):
        monkeypatch.setattr(f"devp2p.wire.dpx.extension.{name}", Unauthenticated)
    two = open_ends()
    two.talk(0, 0, 1.0)
    two.tamper(0, "flip", 0.5, b"\x55")
    with pytest.raises((AssertionError, RemoteProtocolError)):
        two.finish()


def test_x2_the_fuzzer_plays_the_same_game():
    """A string of bytes that says: greet, talk, flip a byte, deliver."""
    fuzz_dpx_session(b"\1" + bytes([0x5E, 255, 0x5F, 255] * 2 + [0x00, 9, 0x11, 99, 0xC0, 100, 0x5E, 255, 0x5F, 255]))
