"""Bandwidth caps of whole nodes: they hold, sessions share them, urgent messages go first, and nobody is ended for them."""

import random
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import trio

from devp2p import Channel, DisconnectReason, Limits, LocalProtocolError, Node, Peer, PrivateKey, open_node
from devp2p.capability import AnyCapability
from devp2p.transports import MemoryTransport
from tests.chat import Blob, Chat, ChatMessage, Say, chat
from tests.session.test_quality_of_service import Flood, Piece, flood
from tests.wires import RLPX, WIRES, Wire, only

EACH = only("rlpx", "dpx", "streams", because="what differs is how messages share a stream, or do not")
CAP = 200_000


def sent(node: Node, kind: type[AnyCapability]) -> int:
    return sum(peer.traffic(kind).bytes_out for peer in node.connected)


def received(node: Node, kind: type[AnyCapability]) -> int:
    return sum(peer.traffic(kind).bytes_in for peer in node.connected)


class Quiet(Flood):
    """Takes what comes."""

    name = "flood"

    def __init__(self) -> None:
        super().__init__(1)

    async def run(self, peer: Peer, channel: Channel[Piece]) -> None:  # noqa: ARG002
        async for _ in channel:
            pass


@EACH
@pytest.mark.parametrize("size", [5_000, 900_000])
async def test_a_node_sends_no_more_than_its_cap_and_no_less(wire: Wire, size: int) -> None:
    flooding = flood("flood", size, 1)
    async with wire.two_nodes([flooding], [Quiet()], limits=Limits(max_upload=CAP)) as (one, _):
        began, before = trio.current_time(), sent(one, Flood)
        await trio.sleep(20)
        rate = (sent(one, Flood) - before) / (trio.current_time() - began)
        assert 0.9 < rate / CAP < 1.1
        assert one.statistics.upload_caps == {"": CAP}
        assert one.statistics.upload_waits[""] > 15
        assert one.connected


@EACH
async def test_a_node_reads_no_more_than_its_cap_and_ends_nobody_for_it(wire: Wire) -> None:
    """Pongs come late, frames slowly, and both are our own doing."""
    limits = Limits(max_download=CAP, ping_interval=2, ping_timeout=2, frame_timeout=2)
    async with wire.two_nodes([flood("flood", 900_000, 1)], [Quiet()], limits=limits) as (one, other):
        began, before = trio.current_time(), received(other, Flood)
        await trio.sleep(40)
        rate = (received(other, Flood) - before) / (trio.current_time() - began)
        assert 0.9 < rate / CAP < 1.1
        assert one.connected
        assert other.connected
        assert other.connected[0].latency is not None
        assert other.statistics.download_waits[""] > 30


@EACH
async def test_sessions_share_a_cap_fairly_whatever_their_messages_weigh(wire: Wire) -> None:
    network = wire.network()

    class Sized(Flood):
        """Sends each peer pieces of another size."""

        name = "flood"

        def __init__(self) -> None:
            super().__init__(1)
            self.sizes = [3_000, 10_000, 50_000]

        async def run(self, peer: Peer, channel: Channel[Piece]) -> None:  # noqa: ARG002
            piece = Piece(bytes(range(256)) * (self.sizes.pop() // 256 + 1))
            while True:
                await channel.send(piece)

    limits = Limits(max_upload=CAP, ping_interval=10**6)
    async with (
        network.node([Sized()], "server", limits=limits) as server,
        network.node([Quiet()], "a") as a,
        network.node([Quiet()], "b") as b,
        network.node([Quiet()], "c") as c,
    ):
        for node in (a, b, c):
            await node.connect(server.record)
        await trio.sleep(2)
        before = [received(node, Flood) for node in (a, b, c)]
        await trio.sleep(10)
        rates = [(received(node, Flood) - old) / 10 for node, old in zip((a, b, c), before, strict=True)]
    assert 0.9 < sum(rates) / CAP < 1.1
    for rate in rates:
        assert 0.8 < rate / (CAP / 3) < 1.25, rates


@EACH
async def test_the_cap_of_a_capability_holds_for_it_alone(wire: Wire) -> None:
    ours = [flood("slow", 5_000, 1), flood("fast", 5_000, 1)]
    type(ours[0]).max_upload = 50_000
    theirs = [type(name, (Quiet,), {"name": name})() for name in ("slow", "fast")]
    async with wire.two_nodes(ours, theirs, limits=Limits(max_upload=CAP)) as (one, _):
        await trio.sleep(10)
        slow, fast = (sent(one, type(capability)) / 10 for capability in ours)
        assert 0.9 < slow / 50_000 < 1.1
        assert 0.85 < fast / (CAP - 50_000) < 1.15
        assert one.statistics.upload_caps == {"": CAP, "slow": 50_000}


@EACH
async def test_the_cap_of_a_capability_may_be_for_what_it_receives(wire: Wire) -> None:
    class Capped(Quiet):
        max_download = 50_000

    async with wire.two_nodes([flood("flood", 5_000, 1)], [Capped()]) as (one, other):
        await trio.sleep(20)
        assert 0.9 < received(other, Flood) / 20 / 50_000 < 1.1
        assert one.connected


@EACH
@pytest.mark.parametrize("urgent", [True, False])
async def test_an_urgent_message_waits_for_no_other_session(wire: Wire, *, urgent: bool) -> None:
    """One peer gets all that the cap lets through; another is told something now and then. What is not urgent is the control."""
    heard: list[float] = []

    async def tell(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        for _ in range(10):
            await trio.sleep(3)
            await channel.send(Say(str(trio.current_time())))
        await trio.sleep_forever()

    async def hear(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        async for message in channel:
            assert isinstance(message, Say)
            heard.append(trio.current_time() - float(message.text))

    network = wire.network()
    serving: list[AnyCapability] = [flood("flood", 60_000, 1), chat(tell, urgent=(Say,) if urgent else ())]
    async with (
        network.node(serving, "server", limits=Limits(max_upload=50_000, ping_interval=10**6)) as server,
        network.node([Quiet()], "bulk") as bulk,
        network.node([chat(hear)], "chat") as talking,
    ):
        await bulk.connect(server.record)
        await talking.connect(server.record)
        await trio.sleep(35)
        assert received(bulk, Flood) > 1_500_000
    assert len(heard) == 10
    prompt = urgent or "credit" in wire.traits  # there no message that has begun goes before others
    assert (max(heard) < 0.1) == prompt, "a quantum of another's message, where that message takes 1.2 s"


@EACH
async def test_pings_pass_the_caps(wire: Wire) -> None:
    limits = Limits(max_upload=20_000, max_download=20_000, ping_interval=2, ping_timeout=2)
    async with wire.two_nodes([flood("flood", 5_000, 1)], [flood("flood", 5_000, 1)], limits=limits) as (one, other):
        await trio.sleep(40)
        assert one.connected
        assert other.connected
        assert one.connected[0].latency is not None


@EACH
async def test_a_large_message_arrives_however_long_it_takes(wire: Wire) -> None:
    arrived = trio.Event()

    async def give(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        await channel.send(Blob(random.Random(1).randbytes(60_000)))
        await trio.sleep_forever()

    async def take(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        assert isinstance(await channel.receive(), Blob)
        arrived.set()
        await trio.sleep_forever()

    async with wire.two_nodes([chat(give)], [chat(take)], limits=Limits(max_upload=5_000)) as (one, _):
        await arrived.wait()
        assert trio.current_time() > 10
        assert one.connected


@EACH
async def test_a_farewell_waits_for_no_cap(wire: Wire) -> None:
    async with wire.two_nodes([flood("flood", 60_000, 1)], [Quiet()], limits=Limits(max_upload=10_000)) as (one, other):
        await trio.sleep(30)
        (peer,), began = other.connected, trio.current_time()
        one.connected[0].disconnect(DisconnectReason.USELESS_PEER)
        end = await peer.wait_ended()
        assert (end.by_remote, end.reason) == (True, DisconnectReason.USELESS_PEER)
        assert trio.current_time() - began < 1


async def test_a_peer_that_takes_nothing_holds_up_no_other_at_the_cap() -> None:
    wire = RLPX
    network = wire.network()
    limits = Limits(max_upload=CAP, ping_interval=10**6)
    async with network.node([flood("flood", 5_000, 1)], "server", limits=limits) as server, network.node([Quiet()], "good") as good:
        stuck = await network.peer(server, [Quiet()])
        await stuck.shake_hands()
        await good.connect(server.record)
        await trio.sleep(15)
        assert received(good, Flood) / 15 > 0.8 * CAP


@dataclass(frozen=True)
class Wrong:
    caps: dict[str, object]
    error: type[Exception]
    text: str


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong(
            {"max_upload": {"eth": 10_000}}, LocalProtocolError, "max_upload names 'eth', which is none of this node's capabilities: chat"
        ),
        Wrong({"max_download": {"chat": 100}}, LocalProtocolError, "max_download of 'chat' is at least 4096 bytes a second, not 100"),
        Wrong({"max_download": {"chat": "2M"}}, TypeError, "max_download of 'chat' is a finite number above 0, not '2M'"),
        Wrong({"max_upload": 2_000_000}, TypeError, "max_upload is a dict of capabilities' names and bytes a second"),
    ],
    ids=["unknown", "low", "text", "no dict"],
)
async def test_what_is_no_cap_is_explained(wrong: Wrong) -> None:
    with pytest.raises(wrong.error, match=wrong.text):
        async with open_node(PrivateKey.generate(), [Chat()], transports=[MemoryTransport()], **wrong.caps):  # type: ignore[arg-type]
            pass


def test_limits_and_classes_say_what_is_no_cap() -> None:
    with pytest.raises(LocalProtocolError, match=r"Limits\.max_upload is at least 4096 bytes a second, not 10: peers would give up"):
        Limits(max_upload=10)
    with pytest.raises(TypeError, match=r"Limits\.max_download is a finite number above 0, not '2M'"):
        Limits(max_download="2M")  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError, match="Low: max_upload is at least 4096"):
        type("Low", (Chat,), {"max_upload": 1})


async def test_large_messages_go_on_however_many_share_the_cap_of_a_capability() -> None:
    """Each comes to its turn once in minutes, when its receiver has long given it up; so it gets a little sooner."""
    network, limits = WIRES["dpx"].network(), Limits(ping_interval=10**6)
    serving = flood("flood", 300_000, 1)
    type(serving).max_upload = 5_000
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(network.node([serving], "server", limits=limits))
        takers = [await stack.enter_async_context(network.node([Quiet()], str(number), limits=limits)) for number in range(8)]
        for taker in takers:
            await taker.connect(server.record)
        await trio.sleep(200)
        assert [taker.connected[0].conduct(Flood).timeouts for taker in takers] == [0] * len(takers)


async def test_an_urgent_message_for_which_there_is_no_credit_makes_nothing_else_urgent() -> None:
    """A peer that leaves urgent messages unread gets no more of the cap than another."""

    async def talk(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        while True:
            await channel.send(Say(random.Random(1).randbytes(450).hex()))

    async def read_nothing(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        await trio.sleep_forever()

    network = WIRES["dpx"].network()
    serving: list[AnyCapability] = [flood("flood", 5_000, 1), chat(talk, urgent=(Say,))]
    async with (
        network.node(serving, "server", limits=Limits(max_upload=CAP)) as server,
        network.node([Quiet(), chat(read_nothing)], "deaf") as deaf,
        network.node([Quiet()], "other") as other,
    ):
        await deaf.connect(server.record)
        await trio.sleep(15)
        assert server.connected[0].backlog(Chat).credit in range(1000), "there is none left for another one"
        await other.connect(server.record)
        await trio.sleep(5)
        before = received(deaf, Flood), received(other, Flood)
        await trio.sleep(10)
        rates = [received(node, Flood) - old for node, old in zip((deaf, other), before, strict=True)]
    assert 0.8 < rates[1] / rates[0] < 1.25, rates
