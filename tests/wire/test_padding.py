"""How large auth and ack are, and who chooses it."""

from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.wire.rlpx.extension import Contained, Extension
from devp2p.wire.rlpx.handshake import Handshake
from tests.fuzz.wire_targets import entropy
from tests.wire.handshakes import KEY_A, KEY_B, B, Constant
from tests.wire.remembering import Remembering


@given(st.integers(0, 700), st.integers(300, 600))
@settings(max_examples=30, deadline=None)
def test_whoever_makes_a_handshake_chooses_the_size_of_its_packet(length: int, target: int) -> None:
    asked: list[int] = []

    def padding(size: int) -> bytes:
        asked.append(size)
        return bytes(max(0, target - size))

    extension = Constant(rlp.encode(bytes(length)))
    own = replace(entropy(1), padding=padding)
    one = Handshake(KEY_A, own, remote=B, extension=extension)
    auth = one.data_to_send()
    other = Handshake(KEY_B, own, extension=extension)
    assert other.receive_data(auth) is not None
    ack = other.data_to_send()
    assert one.receive_data(ack) is not None
    assert [len(auth), len(ack)] == [max(target, size) for size in asked]


class Sized(Remembering):
    """Wants packets of one size, if it can have them."""

    def padding(self, size: int) -> bytes | None:
        return bytes(512 - size) if size <= 512 else None


@pytest.mark.parametrize("contained", [True, False])
def test_an_extension_chooses_how_large_packets_are(*, contained: bool) -> None:
    extension = Contained(Sized()) if contained else Sized()
    one, other = Handshake(KEY_A, entropy(1), remote=B, extension=extension), Handshake(KEY_B, entropy(2), extension=extension)
    auth = one.data_to_send()
    assert other.receive_data(auth) is not None
    ack = other.data_to_send()
    assert one.receive_data(ack) is not None
    assert len(auth) == len(ack) == 512


def test_what_an_extension_leaves_open_or_gets_wrong_has_the_usual_padding(caplog: pytest.LogCaptureFixture) -> None:
    class Wrong(Extension):
        def padding(self, size: int) -> bytes | None:
            return cast("bytes", size)

    usual = len(Handshake(KEY_A, entropy(1), remote=B).data_to_send())
    assert len(Handshake(KEY_A, entropy(1), remote=B, extension=Extension()).data_to_send()) == usual
    assert len(Handshake(KEY_A, entropy(1), remote=B, extension=Contained(Wrong())).data_to_send()) == usual
    assert "Wrong.padding returns is bytes, or None" in caplog.text
    with pytest.raises(TypeError, match=r"what Wrong\.padding returns is bytes, or None"):
        Handshake(KEY_A, entropy(1), remote=B, extension=Wrong())
