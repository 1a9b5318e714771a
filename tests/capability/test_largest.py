"""The largest message that can be sent."""

import random
from dataclasses import dataclass
from typing import ClassVar

import pytest
import trio

from devp2p import Capability, Channel, LocalProtocolError, Peer
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.testing import two_nodes


@dataclass(frozen=True)
class Huge:
    data: bytes
    max_size: ClassVar[int] = MAX_MESSAGE_SIZE


class Bulky(Capability[Huge]):
    name, version = "bulky", 1
    messages = {0: Huge}
    optional = True

    async def run(self, peer: Peer, channel: Channel[Huge]) -> None:  # noqa: ARG002
        await trio.sleep_forever()


async def test_a_message_that_compression_makes_too_large_for_a_frame_is_refused_where_it_is_made() -> None:
    async with two_nodes([Bulky()], [Bulky()]) as (one, _):
        channel = one.connected[0][Bulky]
        await channel.send(Huge(bytes(MAX_MESSAGE_SIZE - 20)))
        with pytest.raises(LocalProtocolError, match=r"bulky/1: Huge of 167772.. bytes does not fit into a frame"):
            await channel.send(Huge(random.Random(1).randbytes(MAX_MESSAGE_SIZE - 20)))
