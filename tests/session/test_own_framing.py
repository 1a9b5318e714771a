"""A user's own framing, agreed on in the handshake by an extension of the user's, goes before dpx/1."""

from collections.abc import Sequence

import pytest
from trio.testing import wait_all_tasks_blocked

from devp2p import PrivateKey, PublicKey, open_node
from devp2p.testing import MemoryTransport
from devp2p.wire import Framing, plain_framing
from devp2p.wire.rlpx import Ack, Agreement, Auth, Extension
from tests.chat import Chat, ChatMessage, Say, chat, collect

ELEMENT = b"\xc4\x83own"


class Own(Extension):
    """Offers frames without a cipher."""

    def __init__(self) -> None:
        self.chosen = 0

    def offer(self, remote: PublicKey, auth: Auth) -> Sequence[bytes]:  # noqa: ARG002
        return (ELEMENT,)

    def answer(self, remote: PublicKey, auth: Auth, ack: Ack) -> Sequence[bytes]:  # noqa: ARG002
        return (ELEMENT,) if ELEMENT in auth.elements else ()

    def framing(self, agreement: Agreement) -> Framing | None:
        if ELEMENT not in agreement.elements or ELEMENT not in agreement.own_elements:
            return None
        self.chosen += 1
        return plain_framing()


@pytest.mark.parametrize("both", [True, False])
async def test_two_nodes_that_offer_it_speak_it_and_others_what_they_speak_anyway(*, both: bool) -> None:
    network, ours, theirs = MemoryTransport(), Own(), Own() if both else None
    seen: list[ChatMessage] = []
    async with (
        open_node(PrivateKey.generate(), [Chat()], transports=[network], strict=True, extension=ours) as one,
        open_node(
            PrivateKey.generate(), [chat(collect(seen))], listen=["memory://b"], transports=[network], strict=True, extension=theirs
        ) as other,
    ):
        peer = await one.connect(other.record)
        await peer[Chat].send(Say("hello"))
        await wait_all_tasks_blocked()
        assert seen == [Say("hello")]
        assert peer.profile.protocol == ("plain" if both else "dpx/1")
    assert ours.chosen == int(both)
