"""Capabilities that share a session: none starves the others, two that flood each other do not lock up, and everything is counted."""

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import trio

from devp2p import Capability, Channel, DisconnectReason, Limits, Peer, PeerDisconnected, Traffic
from tests.chat import Blob, Chat, ChatMessage, Say, chat
from tests.wires import Wire, only


@dataclass(frozen=True)
class Piece:
    data: bytes
    max_size: ClassVar[int] = 2**20


class Flood(Capability[Piece]):
    """Sends pieces of one size for ever, and takes what comes."""

    version = 1
    messages = {0: Piece}

    def __init__(self, size: int) -> None:
        self._piece = Piece(os.urandom(size))

    async def run(self, peer: Peer, channel: Channel[Piece]) -> None:  # noqa: ARG002
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, channel)
            async for _ in channel:
                pass

    async def _send(self, channel: Channel[Piece]) -> None:
        while True:
            await channel.send(self._piece)


def flood(name: str, size: int, weight: int) -> Flood:
    kind = type(name, (Flood,), {"name": name, "weight": weight})
    flooding: Flood = kind(size)
    return flooding


@only("one stream", because="elsewhere the transport shares the line among its streams")
async def test_capabilities_that_flood_share_the_line_by_weight_whatever_their_messages_weigh(wire: Wire):
    ours = [flood("large", 50_000, 1), flood("medium", 5_000, 1), flood("small", 500, 2)]
    theirs = [flood("large", 10, 1), flood("medium", 10, 1), flood("small", 10, 1)]
    async with wire.two_nodes(ours, theirs) as (one, _):
        (peer,) = one.connected
        while sum(peer.traffic(type(capability)).bytes_out for capability in ours) < 3_000_000:
            await trio.lowlevel.checkpoint()
        traffic = [peer.traffic(type(capability)) for capability in ours]
    total = sum(counted.bytes_out for counted in traffic)
    shares = [counted.bytes_out / total * 4 for counted in traffic]
    for share, weight in zip(shares, (1, 1, 2), strict=True):
        assert 0.8 < share / weight < 1.25, shares


@only("one stream", because="elsewhere who takes nothing holds up itself alone, and may: test_streams.py")
async def test_two_peers_that_flood_each_other_and_never_read_do_not_lock_up(wire: Wire):
    """Both lines fill, both readers wait; the session must end with a reason, and soon."""

    async def run(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        while True:
            await channel.send(Blob(bytes(os.urandom(100_000))))

    limits = Limits(inbox_patience=5.0, write_timeout=20.0)
    async with wire.two_nodes([chat(run)], [chat(run)], limits=limits) as (one, other):
        began = trio.current_time()
        (peer,), (theirs,) = one.connected, other.connected
        ends = [await peer.wait_ended(), await theirs.wait_ended()]
        assert trio.current_time() - began < 10
    assert ends[0].reason == ends[1].reason == DisconnectReason.SUBPROTOCOL_ERROR
    assert any("chat/1 left" in end.detail for end in ends), "it may be both at once"


async def test_two_peers_that_flood_each_other_and_read_slowly_get_everything(wire: Wire):
    count = 300

    async def run(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        async def send() -> None:
            for number in range(count):
                await channel.send(Blob(number.to_bytes(2) * 2500))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            for number in range(count):
                assert await channel.receive() == Blob(number.to_bytes(2) * 2500)
                await trio.sleep(0.5)
        await channel.send(Say("all"))
        assert await channel.receive() == Say("all")

    async with wire.two_nodes([chat(run)], [chat(run)]) as (one, _):
        (peer,) = one.connected
        end = await peer.wait_ended()
    assert end.reason == DisconnectReason.REQUESTED


async def test_what_one_side_counts_as_sent_the_other_counts_as_received(wire: Wire):
    async def greet(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        for text in ("a", "b" * 1000, ""):
            await channel.send(Say(text))
        await trio.sleep_forever()

    heard = trio.Event()

    async def listen(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        for _ in range(3):
            await channel.receive()
        heard.set()
        await trio.sleep_forever()

    async with wire.two_nodes([chat(greet)], [chat(listen)]) as (one, other):
        (ours,), (theirs,) = one.connected, other.connected
        await heard.wait()
        sent, received = ours.traffic(Chat), theirs.traffic(Chat)
        assert sent == Traffic(messages_out=3, bytes_out=received.bytes_in)
        assert received == Traffic(messages_in=3, bytes_in=sent.bytes_out)
        least = 3 * 64 if wire.traits & {"stock frames", "credit"} else 3 * 5
        assert least < sent.bytes_out < least + 200, "frames are counted as they travel: padded, compressed, with header and MACs"


@only("one stream", because="elsewhere who takes nothing holds up itself alone, and may: test_streams.py")
async def test_a_stalled_sibling_delays_nobody_before_its_limit(wire: Wire):
    """One capability never reads; its sibling's questions are answered until then, and the end names the culprit."""

    class Stalled(Flood):
        name = "stalled"

        async def run(self, peer: Peer, channel: Channel[Piece]) -> None:  # noqa: ARG002
            await trio.sleep_forever()

    pings: list[int] = []

    async def ping_pong(peer: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await channel.send(Say("ping"))
            await channel.receive()
            pings.append(peer.traffic(Flood).bytes_out)

    async def answer(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        while True:
            await channel.send(Say(await _text(channel)))

    async def _text(channel: Channel[Any]) -> str:
        message = await channel.receive()
        assert isinstance(message, Say)
        return message.text

    stalling, flooding = Stalled(1), flood("stalled", 50_000, 1)
    async with wire.two_nodes([flooding, chat(ping_pong)], [stalling, chat(answer)]) as (one, _):
        (peer,) = one.connected
        end: PeerDisconnected = await peer.wait_ended()
    assert end.reason == DisconnectReason.SUBPROTOCOL_ERROR
    assert max(pings) > 3 * 2**20, "pongs came until the inbox of 4 MiB was nearly full"
