"""What a plugin's ``run`` can rely on: its channel, the handle it publishes, and how both end."""

import random
from dataclasses import dataclass
from typing import Any

import pytest
import trio

from devp2p import (
    Capability,
    Channel,
    DisconnectReason,
    Limits,
    LocalProtocolError,
    Peer,
    PeerConnected,
    PeerDisconnected,
    PeerDropped,
    PeerReady,
    Request,
    Response,
    rlp,
)
from devp2p.testing import scripted_peer, two_nodes
from tests.chat import Blob, Chat, ChatMessage, GetTime, Hint, Say, Time, chat, collect


@dataclass(frozen=True)
class Status:
    head: rlp.U64


@dataclass(frozen=True)
class GetHead(Request["Head"]):
    pass


@dataclass(frozen=True)
class Head(Response):
    number: rlp.U64


ChainMessage = Status | GetHead | Head


class ChainHandle:
    """What `Chain` publishes once it has heard the peer's Status."""

    def __init__(self, channel: Channel[ChainMessage], status: Status) -> None:
        self.status = status
        self._channel = channel

    async def head(self) -> int:
        return (await self._channel.request(GetHead())).number


class Chain(Capability[ChainMessage, ChainHandle]):
    name, version = "chain", 1
    messages = {0: Status, 1: GetHead, 2: Head}
    ready_within = 5.0

    def __init__(self, head: int) -> None:
        self.head = head

    async def run(self, peer: Peer, channel: Channel[ChainMessage]) -> None:  # noqa: ARG002
        await channel.send(Status(self.head))
        async for message in channel:
            match message:
                case Status():
                    channel.ready(ChainHandle(channel, message))
                case GetHead(request_id=number):
                    await channel.send(Head(number, self.head))
                case Head():
                    raise AssertionError("answers are not iterated")


# Messages


async def test_messages_arrive_in_order_and_urgent_ones_may_overtake_and_bulk_ones_wait() -> None:
    sent = trio.Event()

    async def send_all(_: Peer, channel: Channel[ChatMessage]) -> None:
        await channel.send(Blob(bytes(1)))
        await channel.send(Say("1"))
        await channel.send(Say("2"))
        await channel.send(Hint(b"h"))
        await channel.send(Say("3"))
        sent.set()
        await trio.sleep_forever()

    async with scripted_peer([chat(send_all)]) as (_, peer):
        await sent.wait()
        came = [await peer.receive_message() for _ in range(5)]
    assert came == [Hint(b"h"), Say("1"), Say("2"), Say("3"), Blob(bytes(1))]


async def test_a_bad_message_raises_where_it_is_sent_and_the_session_goes_on() -> None:
    async with two_nodes([Chat()], [Chat()], limits=Limits(urgent_size=100)) as (alice, _):
        channel = alice.connected[0][Chat]
        with pytest.raises(LocalProtocolError, match="chat/1: Hint is urgent and has 105 bytes where 100 are allowed"):
            await channel.send(Hint(bytes(101)))
        with pytest.raises(LocalProtocolError, match="chat/1 has no message int"):
            await channel.send(42)  # type: ignore[arg-type]
        with pytest.raises(LocalProtocolError, match=r"Say\.text"):
            await channel.send(Say(b"bytes"))  # type: ignore[arg-type]
        assert (await channel.request(GetTime("xyz"))).seconds == 3


async def test_a_message_the_peer_may_not_send_is_a_fault_that_the_reading_task_need_not_handle() -> None:
    async with scripted_peer([Chat()]) as (node, peer):
        remote = node.connected[0]
        await peer.send(0x10, rlp.encode([[1], 2]))
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
        end = await remote.wait_ended()
        assert not end.by_remote
        assert end.detail.startswith("chat/1 message 0x0: ")


async def test_a_sender_waits_for_a_peer_that_does_not_read_and_loses_nothing() -> None:
    count = 40
    progress: list[int] = []

    async def send_many(_: Peer, channel: Channel[ChatMessage]) -> None:
        for number in range(count):
            await channel.send(Say(f"{number}:" + random.Random(1).randbytes(5000).hex()))
            progress.append(number)

    limits = Limits(outbox_bytes=50_000)
    async with scripted_peer([chat(send_many)], limits=limits) as (_, peer):
        await trio.testing.wait_all_tasks_blocked()
        assert len(progress) < count
        for number in range(count):
            assert (await peer.receive_message()).text.startswith(f"{number}:")
    assert progress == list(range(count))


async def test_what_had_arrived_can_be_taken_after_the_end_and_then_iteration_raises() -> None:
    seen: list[ChatMessage] = []
    ends: list[PeerDisconnected] = []

    async def read_late(peer: Peer, channel: Channel[ChatMessage]) -> None:
        await trio.sleep(1.5)  # the end waits half a second for the messages to be taken
        with pytest.raises(PeerDisconnected):
            await channel.send(Say("too late"))
        with pytest.raises(PeerDisconnected) as caught:
            await collect(seen)(peer, channel)
        ends.append(caught.value)
        with pytest.raises(PeerDisconnected):
            await channel.receive()
        with pytest.raises(PeerDisconnected):
            await channel.request(GetTime("utc"))
        with pytest.raises(PeerDisconnected):
            peer[Chat]

    async with scripted_peer([chat(read_late)]) as (_, peer):
        await trio.sleep(0.9)
        await peer.send_message(Say("a"))
        await peer.send_message(Say("b"))
        await peer.disconnect(DisconnectReason.CLIENT_QUITTING)
        await peer.receive_end()
    assert seen == [Say("a"), Say("b")]
    assert [(end.reason, end.by_remote) for end in ends] == [(DisconnectReason.CLIENT_QUITTING, True)]


# Handles and readiness


async def test_the_handle_is_the_channel_or_what_run_published() -> None:
    async with two_nodes([Chat(), Chain(7)], [Chat(), Chain(8)]) as (alice, bob):
        peer = await anext(alice.peers(Chain))
        assert isinstance(peer[Chain], ChainHandle)
        assert await peer[Chain].head() == 8
        assert peer[Chain].status == Status(8)
        assert isinstance(peer[Chat], Channel)
        assert await (await bob.connected[0].ready(Chain)).head() == 7


async def test_before_it_is_ready_a_capability_is_shared_but_cannot_be_used() -> None:
    async with scripted_peer([Chain(7)]) as (node, peer), trio.open_nursery() as nursery:
        remote = node.connected[0]
        assert [capability.name for capability in remote.capabilities] == ["chain"]
        assert Chain not in remote
        with pytest.raises(LocalProtocolError, match="has not finished its handshake"):
            remote[Chain]
        with pytest.raises(KeyError, match="Chat is not shared"):
            remote[Chat]
        with pytest.raises(KeyError):
            await remote.ready(Chat)
        ready: list[Peer] = []

        async def wait_for_one() -> None:
            ready.append(await anext(node.peers(Chain)))

        nursery.start_soon(wait_for_one)
        await trio.testing.wait_all_tasks_blocked()
        assert ready == [], "only ready peers are iterated"
        await peer.send_message(Status(9))
        assert (await remote.ready(Chain)).status == Status(9)
        assert Chain in remote
        await trio.testing.wait_all_tasks_blocked()
        assert ready == [remote]


async def test_a_peer_that_does_not_get_ready_in_time_is_ended_with_a_reason_that_names_the_capability() -> None:
    async with scripted_peer([Chain(7)]) as (node, peer):
        remote = node.connected[0]
        started = trio.current_time()
        assert await peer.receive_disconnect() == DisconnectReason.SUBPROTOCOL_ERROR
        assert trio.current_time() - started == Chain.ready_within
        assert (await remote.wait_ended()).detail == "chain/1 was not ready within 5 s"


async def test_who_waits_for_a_handle_hears_of_the_end() -> None:
    async with scripted_peer([Chain(7)]) as (node, peer), trio.open_nursery() as nursery:
        remote = node.connected[0]

        async def wait() -> None:
            with pytest.raises(PeerDisconnected):
                await remote.ready(Chain)

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await peer.disconnect()
        await remote.wait_ended()
        assert Chain not in remote


async def test_publishing_a_handle_twice_or_undeclared_is_our_bug_and_after_the_end_it_is_not() -> None:
    errors: list[Exception] = []

    async def publish(_: Peer, channel: Channel[Any]) -> None:
        for _attempt in range(2):
            try:
                channel.ready("handle")
            except LocalProtocolError as error:
                errors.append(error)
        try:
            await channel.receive()
        except PeerDisconnected as error:
            errors.append(error)

    async def publish_late(_: Peer, channel: Channel[Any]) -> None:
        try:
            await trio.sleep(0.2)
        finally:
            try:
                channel.ready("handle")
            except PeerDisconnected as error:
                errors.append(error)

    for capability in (chat(publish), chat(publish, ready_within=1.0), chat(publish_late, ready_within=1.0)):
        async with scripted_peer([capability]) as (node, peer):
            remote = node.connected[0]
            await peer.disconnect()
            await remote.wait_ended()
    assert [str(error).partition(":")[0] for error in errors] == [
        "declare ready_within to publish a handle",
        "declare ready_within to publish a handle",
        "peer ended the session",
        "the channel is ready already",
        "peer ended the session",
        "peer ended the session",
    ]


# The end of run


async def test_when_run_returns_what_was_sent_is_flushed_and_the_session_ends() -> None:
    async def talk(_: Peer, channel: Channel[ChatMessage]) -> None:
        for number in range(50):
            await channel.send(Say(f"{number}" * 1000))
        await channel.send(Blob(b"the end"))

    async with scripted_peer([chat(talk)]) as (_, peer):
        for number in range(50):
            assert await peer.receive_message() == Say(f"{number}" * 1000)
        assert await peer.receive_message() == Blob(b"the end")
        assert await peer.receive_disconnect() == DisconnectReason.REQUESTED
        await peer.receive_end()


async def test_flushing_takes_at_most_a_second() -> None:
    async def talk(_: Peer, channel: Channel[ChatMessage]) -> None:
        for _number in range(30):
            await channel.send(Blob(random.Random(1).randbytes(100_000)))
        begun.append(trio.current_time())

    begun: list[float] = []
    limits = Limits(outbox_bytes=2**26)
    async with scripted_peer([chat(talk)], limits=limits) as (node, _):
        remote = node.connected[0]
        end = await remote.wait_ended()
        assert end.detail == "chat/1 is done"
        assert trio.current_time() - begun[0] <= 1


async def test_an_optional_capability_may_return_and_its_siblings_go_on() -> None:
    async def say_once(_: Peer, channel: Channel[ChatMessage]) -> None:
        kept.append(channel)
        await channel.send(Say("once"))

    optional = chat(say_once, name="opt", optional=True)
    kept: list[Channel[ChatMessage]] = []
    async with scripted_peer([chat(), optional]) as (node, peer):
        remote = node.connected[0]
        assert await peer.receive_message() == Say("once")
        await trio.testing.wait_all_tasks_blocked()
        assert remote.ended is None
        assert type(optional) not in remote, "it cannot be used any more"
        with pytest.raises(PeerDisconnected, match="opt is done with this peer"):
            remote[type(optional)]
        with pytest.raises(PeerDisconnected, match="opt is done with this peer"):
            await kept[0].send(Say("more"))
        with pytest.raises(PeerDisconnected, match="opt is done with this peer"):
            await kept[0].request(GetTime("utc"))
        opt_code = peer.space.offsets[1]
        for _ in range(300):  # more than an inbox holds: it is not an inbox any more
            await peer.send(opt_code, rlp.encode(["ignored"]))
        await peer.send(0x11, rlp.encode([5, "xyz"]))
        await trio.testing.wait_all_tasks_blocked()
        assert remote.ended is None
        assert remote.conduct(Chat).timeouts == 0


async def test_the_session_ends_with_its_last_optional_capability() -> None:
    async def nap(_: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        await trio.sleep(1)

    async with scripted_peer([chat(nap, optional=True)]) as (_, peer):
        assert await peer.receive_disconnect() == DisconnectReason.REQUESTED


async def test_events_of_a_peer_come_in_order() -> None:
    async with two_nodes([Chat(), Chain(1)], [Chat(), Chain(2)]) as (alice, bob):
        first = bob.connected[0]
        events = bob.events()
        alice.connected[0].disconnect(DisconnectReason.USELESS_PEER)
        dropped = await anext(events)
        while isinstance(dropped, PeerReady):
            dropped = await anext(events)
        assert isinstance(dropped, PeerDropped)
        assert (dropped.peer, dropped.end.reason) == (first, DisconnectReason.USELESS_PEER)
        await trio.testing.wait_all_tasks_blocked()
        await alice.connect(bob.record)
        came = [await anext(events) for _ in range(3)]
        assert isinstance(came[0], PeerConnected)
        assert sorted(event.capability.name for event in came[1:] if isinstance(event, PeerReady)) == ["chain", "chat"]


async def test_conduct_is_what_the_capability_reported() -> None:
    async with two_nodes([Chat()], [Chat()]) as (alice, _):
        peer = alice.connected[0]
        note = peer[Chat].conduct
        note.useful(2)
        note.useful(0.5, "spoke: hi")
        for seconds in (3, 1, 2):
            note.latency(seconds)
        note.invalid(3, "lied")
        note.timed_out()
        conduct = peer.conduct(Chat)
        assert (conduct.useful, conduct.latency, conduct.invalid, conduct.timeouts, conduct.why) == (2.5, 2, 3, 1, "lied")
        for report in (lambda: note.useful(-1), lambda: note.useful(float("nan")), lambda: note.latency(-1), lambda: note.invalid(5)):
            with pytest.raises(LocalProtocolError):
                report()
        with pytest.raises(KeyError):
            peer.conduct(Chain)


async def test_answers_to_ids_a_plugin_chose_itself_come_through_its_inbox() -> None:
    async with scripted_peer([chat(lambda _, channel: match_by_hand(channel))]) as (_, peer):
        assert await peer.receive_message() == GetTime("utc", request_id=77)
        await peer.send_message(Time(77, 42))
        assert await peer.receive_message() == Say("42")
        await peer.send_message(Time(77, 42))
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH, "each id is answered once"


async def match_by_hand(channel: Channel[ChatMessage]) -> None:
    await channel.send(GetTime("utc", request_id=77))
    async for message in channel:
        assert isinstance(message, Time)
        await channel.send(Say(str(message.seconds)))


async def test_ids_that_a_plugin_chooses_and_those_of_request_do_not_meet() -> None:
    async with scripted_peer([Chat()]) as (node, peer), trio.open_nursery() as nursery:
        channel = node.connected[0][Chat]
        await channel.send(GetTime("by hand", request_id=1))
        nursery.start_soon(channel.request, GetTime("by request"))
        assert [await peer.receive_message() for _ in range(2)] == [
            GetTime("by hand", request_id=1),
            GetTime("by request", request_id=2),
        ]
        with pytest.raises(LocalProtocolError, match="request id 2 is in use"):
            await channel.send(GetTime("by hand", request_id=2))
        await peer.send_message(Time(2, 0))
