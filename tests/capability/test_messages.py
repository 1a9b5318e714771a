"""Requests find their answers, whatever else goes on; the message table refuses what cannot work."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import trio

from devp2p import Channel, DecodingError, DisconnectReason, Limits, LocalProtocolError, Peer, PeerDisconnected, Request, Response, rlp
from devp2p.capability.messages import MessageTable
from devp2p.testing import scripted_peer, two_nodes
from devp2p.wire.schedule import Lane
from tests.chat import Blob, Chat, ChatMessage, GetTime, Hint, Say, Time, chat, collect


@dataclass(frozen=True)
class GetPlace(Request["Place"]):
    rlp_nested: ClassVar[bool] = True
    of: str


@dataclass(frozen=True)
class Place(Response):
    rlp_nested: ClassVar[bool] = True
    name: str


PLACES = {**Chat.messages, 5: GetPlace, 6: Place}


def table(messages: Any = Chat.messages, **options: Any) -> MessageTable:
    return MessageTable("chat", 1, messages, **{"max_message_size": 2**20, "urgent_size": 1024, **options})


# The table


def test_a_message_becomes_its_id_its_lane_and_its_rlp() -> None:
    made = table(urgent={Hint}, bulk={Blob})
    assert made.encode(Say("hi")) == (0, Lane.NORMAL, bytes.fromhex("c3826869"))
    assert made.encode(Hint(b"")) == (4, Lane.URGENT, bytes.fromhex("c180"))
    assert made.encode(Blob(b"")) == (3, Lane.BULK, bytes.fromhex("c180"))
    assert made.encode(GetTime("utc", request_id=7)) == (1, Lane.NORMAL, bytes.fromhex("c50783757463"))
    assert made.decode(0, bytes.fromhex("c3826869")) == Say("hi")


def test_nested_and_flat_request_ids_are_a_flag_of_the_class() -> None:
    made = table(PLACES)
    assert made.encode(GetPlace("x", request_id=1))[2] == bytes.fromhex("c301c178")
    assert made.decode(6, bytes.fromhex("c301c178")) == Place(1, "x")


def test_what_cannot_be_sent_is_named() -> None:
    made = table(max_message_size=2000, urgent={Hint})
    with pytest.raises(LocalProtocolError, match="chat/1 has no message int"):
        made.encode(42)
    with pytest.raises(LocalProtocolError, match=r"GetTime has no request id; use channel.request\(\) for it"):
        made.encode(GetTime("utc"))
    with pytest.raises(LocalProtocolError, match="Say has 2006 bytes where 2000 are allowed"):
        made.encode(Say("x" * 2000))
    with pytest.raises(LocalProtocolError, match="Hint is urgent and has 1030 bytes where 1024 are allowed"):
        made.encode(Hint(bytes(1024)))
    assert made.encode(Hint(bytes(1018)))[1] is Lane.URGENT
    with pytest.raises(LocalProtocolError, match=r"Say\.text"):
        made.encode(Say(42))  # type: ignore[arg-type]


def test_a_message_that_does_not_fit_its_schema_is_a_decoding_error_that_names_it() -> None:
    with pytest.raises(DecodingError, match="chat/1 message 0x0: "):
        table().decode(0, b"\xc0")


@dataclass(frozen=True)
class Unanswered(Request):  # type: ignore[type-arg]
    pass


class Undecorated(Response):
    seconds: int


class Twin(Say):
    pass


@pytest.mark.parametrize(
    ("messages", "options", "complaint"),
    [
        ({}, {}, "defines no messages"),
        ({0: Say, 1: Say}, {}, "one type has two message ids"),
        ({0: Say, -1: Hint}, {}, "message ids run from 0 to 0xffff, and -1 is none of them"),
        ({3: Say}, {"length": 3}, "message ids run from 0 to 0x2"),
        ({2**16: Say}, {}, "message ids run from 0 to 0xffff, and 65536 is none of them"),
        ({0: Say}, {"urgent": {Hint}}, "urgent names Hint, which is not one of its messages"),
        ({0: Say}, {"bulk": {Hint}}, "bulk names Hint, which is not one of its messages"),
        ({0: Say}, {"urgent": {Say}, "bulk": {Say}}, "Say is both urgent and bulk"),
        ({0: Say}, {"max_message_size": 2**24}, "the size in bytes of Say is a whole number from 1 to 16777215, not 16777216"),
        ({0: GetTime}, {}, "GetTime is answered by Time, which is not one of its messages"),
        ({0: Unanswered}, {}, "Unanswered does not say what answers it"),
        ({0: Undecorated}, {}, "Undecorated is no dataclass; its fields would be lost"),
    ],
)
def test_a_table_that_cannot_work_says_why(messages: Any, options: Any, complaint: str) -> None:
    with pytest.raises(LocalProtocolError, match=complaint):
        table(messages, **options)


def test_a_table_may_leave_ids_free() -> None:
    spec = table({1: Say}, length=4).spec
    assert spec.sizes == (0, 2**20, 0, 0)
    with pytest.raises(LocalProtocolError, match="chat/1 has no request Say"):
        table().answer_to(Say("x"))


# A channel


async def test_a_request_returns_its_answer_and_reports_the_latency() -> None:
    async def serve_slowly(_: Peer, channel: Channel[ChatMessage]) -> None:
        async for message in channel:
            assert isinstance(message, GetTime)
            await trio.sleep(2)
            await channel.send(Time(message.request_id, 42))

    async with two_nodes([Chat()], [chat(serve_slowly)]) as (alice, _):
        peer = alice.connected[0]
        assert await peer[Chat].request(GetTime("utc")) == Time(1, 42)
        assert peer.conduct(Chat).latency == 2
        assert peer.conduct(Chat).timeouts == 0


async def test_request_ids_count_up_and_answers_may_come_in_any_order() -> None:
    async with scripted_peer([Chat()]) as (node, peer), trio.open_nursery() as nursery:
        channel = node.connected[0][Chat]
        answers: dict[str, Time] = {}

        async def ask(zone: str) -> None:
            answers[zone] = await channel.request(GetTime(zone))

        for zone in ("a", "b", "c"):
            nursery.start_soon(ask, zone)
            await trio.testing.wait_all_tasks_blocked()
        asked = [await peer.receive_message() for _ in range(3)]
        assert asked == [GetTime("a", request_id=1), GetTime("b", request_id=2), GetTime("c", request_id=3)]
        for number in (3, 1, 2):
            await peer.send_message(Time(number, number * 10))
    assert answers == {"a": Time(1, 10), "b": Time(2, 20), "c": Time(3, 30)}


async def test_two_nodes_can_ask_each_other_at_the_same_time() -> None:
    async with two_nodes([Chat()], [Chat()]) as (alice, bob), trio.open_nursery() as nursery:

        async def ask(peer: Peer) -> None:
            for length in range(20):
                assert (await peer[Chat].request(GetTime("x" * length))).seconds == length

        nursery.start_soon(ask, alice.connected[0])
        nursery.start_soon(ask, bob.connected[0])


async def test_a_request_by_send_needs_an_id() -> None:
    async with two_nodes([Chat()], [Chat()]) as (alice, _):
        with pytest.raises(LocalProtocolError, match="no request id"):
            await alice.connected[0][Chat].send(GetTime("utc"))


async def test_answers_go_past_a_full_inbox() -> None:
    seen: list[ChatMessage] = []
    proceed = trio.Event()

    async def ask_before_reading(remote: Peer, channel: Channel[ChatMessage]) -> None:
        assert await channel.request(GetTime("utc")) == Time(1, 42)
        proceed.set()
        await collect(seen)(remote, channel)

    limits = Limits(inbox_messages=3)
    async with scripted_peer([chat(ask_before_reading)], limits=limits) as (_, peer):
        assert await peer.receive_message() == GetTime("utc", request_id=1)
        for text in "abc":
            await peer.send_message(Say(text))
        await peer.send_message(Time(1, 42))
        await proceed.wait()
        await trio.testing.wait_all_tasks_blocked()
    assert seen == [Say("a"), Say("b"), Say("c")], "the answer is not among the messages that one iterates"


async def test_a_timeout_is_raised_and_counted_and_the_late_answer_is_ignored() -> None:
    seen: list[ChatMessage] = []

    async with scripted_peer([chat(collect(seen), request_timeout=3.0)]) as (node, peer):
        remote = node.connected[0]
        started = trio.current_time()
        with pytest.raises(trio.TooSlowError, match="no answer to GetTime within 3 s"):
            await remote[Chat].request(GetTime("utc"))
        assert trio.current_time() - started == 3
        with pytest.raises(trio.TooSlowError, match="within 1 s"):
            await remote[Chat].request(GetTime("utc"), timeout=1)
        assert remote.conduct(Chat).timeouts == 2
        await peer.send_message(Time(1, 42))
        await peer.send_message(Say("still here"))
        await trio.testing.wait_all_tasks_blocked()
        assert seen == [Say("still here")]
        assert remote.conduct(Chat).latency is None


async def test_a_second_answer_is_a_fault() -> None:
    """Otherwise a peer could have us inflate megabytes of answers to a question that is settled."""
    async with scripted_peer([Chat()]) as (node, peer), trio.open_nursery() as nursery:
        remote = node.connected[0]

        async def ask() -> None:
            assert await remote[Chat].request(GetTime("utc")) == Time(1, 1)

        nursery.start_soon(ask)
        await peer.receive_message()
        await peer.send_message(Time(1, 1))
        await peer.send_message(Time(1, 2))
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH


async def test_an_answer_may_come_late_once() -> None:
    async with scripted_peer([chat(request_timeout=1.0)]) as (node, peer):
        remote = node.connected[0]
        with pytest.raises(trio.TooSlowError):
            await remote[Chat].request(GetTime("utc"))
        await peer.send_message(Time(1, 42))
        await peer.send_message(GetTime("xyz", request_id=9))
        assert await peer.receive_message() == GetTime("utc", request_id=1)
        assert await peer.receive_message() == Time(9, 3), "the session goes on"
        await peer.send_message(Time(1, 42))
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH


async def test_a_class_of_the_plugin_that_fails_on_an_answer_ends_that_session_only(caplog: pytest.LogCaptureFixture) -> None:
    """Answers are decoded where the session reads; what the plugin's own class raises there must not reach the node."""

    @dataclass(frozen=True)
    class Fussy(Response):
        seconds: int

        def __post_init__(self) -> None:
            assert self.seconds < 10

    @dataclass(frozen=True)
    class Ask(Request["Fussy"]):
        pass

    capability = chat(messages={0: Ask, 1: Fussy}, urgent=(), bulk=())
    async with scripted_peer([capability], strict=False) as (node, peer):
        remote = node.connected[0]
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(PeerDisconnected):
                    await remote[Chat].request(Ask())

            nursery.start_soon(ask)
            await peer.receive_message()
            await peer.send(0x11, rlp.encode([1, 42]))
            assert await peer.receive_disconnect() == DisconnectReason.SUBPROTOCOL_ERROR
        assert (await remote.wait_ended()).detail == "chat/1 failed: AssertionError"
    assert "AssertionError" in caplog.text


@pytest.mark.parametrize("number", [0, 1, 2**64 - 1])
async def test_an_answer_to_what_was_never_asked_is_a_fault(number: int) -> None:
    async with scripted_peer([Chat()]) as (node, peer):
        remote = node.connected[0]
        await peer.send_message(Time(number, 42))
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
        end = await remote.wait_ended()
        assert end.detail == f"an answer came to request {number}, for which nobody waits"


async def test_an_answer_of_the_wrong_kind_is_a_fault() -> None:
    async with scripted_peer([chat(messages=PLACES)]) as (node, peer), trio.open_nursery() as nursery:
        remote = node.connected[0]

        async def ask() -> None:
            with pytest.raises(PeerDisconnected):
                await remote[Chat].request(GetPlace("x"))

        nursery.start_soon(ask)
        assert await peer.receive_message() == GetPlace("x", request_id=1)
        await peer.send_message(Time(1, 42))
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
        assert (await remote.wait_ended()).detail == "request 1 wants a Place, not a Time"


async def test_an_answer_that_cannot_be_read_is_a_fault() -> None:
    async with scripted_peer([Chat()]) as (node, peer), trio.open_nursery() as nursery:
        remote = node.connected[0]

        async def ask() -> None:
            with pytest.raises(PeerDisconnected):
                await remote[Chat].request(GetTime("x"))

        nursery.start_soon(ask)
        await peer.receive_message()
        await peer.send(0x12, rlp.encode([1, [1]]))
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH


async def test_request_in_the_task_that_iterates_raises_where_two_would_wait_for_each_other() -> None:
    raised = trio.Event()

    async def ask_while_iterating(_: Peer, channel: Channel[ChatMessage]) -> None:
        async for _message in channel:
            with pytest.raises(LocalProtocolError, match="request\\(\\) would block the task that iterates"):
                await channel.request(GetTime("utc"))
            raised.set()

    async def ask_beside(_: Peer, channel: Channel[ChatMessage]) -> None:
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                assert await channel.request(GetTime("utc")) == Time(1, 42)
                raised.set()

            async for _message in channel:
                nursery.start_soon(ask)

    async with scripted_peer([chat(ask_while_iterating)]) as (_, peer):
        await peer.send_message(Say("go"))
        await raised.wait()
    raised = trio.Event()
    async with scripted_peer([chat(ask_beside)]) as (_, peer):
        await peer.send_message(Say("go"))
        await peer.receive_message()
        await peer.send_message(Time(1, 42))
        await raised.wait()


async def test_more_requests_than_allowed_wait_their_turn() -> None:
    async with scripted_peer([Chat()], limits=Limits(pending_requests=2)) as (node, peer), trio.open_nursery() as nursery:
        channel = node.connected[0][Chat]
        for _ in range(4):
            nursery.start_soon(channel.request, GetTime("utc"))
        for number in (1, 2):
            assert (await peer.receive_message()).request_id == number
        with trio.move_on_after(1) as scope:
            await peer.receive_message()
        assert scope.cancelled_caught, "a third was sent before one was answered"
        for number in (3, 4):
            await peer.send_message(Time(number - 2, 0))
            assert (await peer.receive_message()).request_id == number
        for number in (3, 4):
            await peer.send_message(Time(number, 0))


async def test_requests_end_with_the_session() -> None:
    async with scripted_peer([Chat()]) as (node, peer), trio.open_nursery() as nursery:
        channel = node.connected[0][Chat]

        async def ask() -> None:
            with pytest.raises(PeerDisconnected) as caught:
                await channel.request(GetTime("utc"))
            assert caught.value.by_remote
            assert caught.value.reason is DisconnectReason.USELESS_PEER

        nursery.start_soon(ask)
        await peer.receive_message()
        await peer.disconnect(DisconnectReason.USELESS_PEER)
        await node.connected[0].wait_ended()
        with pytest.raises(PeerDisconnected):
            await channel.request(GetTime("utc"))


async def test_a_request_that_is_not_of_the_capability_is_named() -> None:
    async with two_nodes([Chat()], [Chat()]) as (alice, _):
        with pytest.raises(LocalProtocolError, match="chat/1 has no request GetPlace"):
            await alice.connected[0][Chat].request(GetPlace("x"))
