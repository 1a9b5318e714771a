"""Sessions with credit: who takes nothing holds back what is sent to itself, and nothing else; and what peers say beside messages."""

import random
from collections.abc import Callable
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, DisconnectReason, Limits, Peer
from devp2p.wire import base, compression
from devp2p.wire.dpx import Params, control
from tests.chat import Blob, Chat, ChatMessage, GetTime, Say, Time, chat, collect
from tests.dpx_scripts import DpxScript
from tests.wires import WIRES

DPX = WIRES["dpx"]
NOISE = random.Random(1).randbytes(2**20)  # what snappy cannot make smaller
NO_PINGS = Limits(ping_interval=10**6)
WINDOW = Params().capability_window


class Other(Chat):
    """A second capability with the same messages."""

    name = "other"


def other(run: Callable[[Peer, Channel[ChatMessage]], Any]) -> Other:
    return Other(run)


async def idle(_: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
    await trio.sleep_forever()


def script_of(peer: Any) -> DpxScript:
    assert isinstance(peer, DpxScript)
    return peer


# Who takes nothing


async def test_a_capability_that_takes_nothing_holds_back_only_its_own_peer_and_nobody_is_ended() -> None:
    """The sender of the one is held back for an hour, and goes on when its messages are taken; its sibling notices nothing."""
    sent, seen, taken = [0], list[ChatMessage](), list[ChatMessage]()
    go_on = trio.Event()

    async def flood(_: Peer, channel: Channel[ChatMessage]) -> None:
        for number in range(100):
            await channel.send(Blob(number.to_bytes(2) + NOISE[:20_000]))
            sent[0] += 1
        await trio.sleep_forever()

    async def take_later(_: Peer, channel: Channel[ChatMessage]) -> None:
        await go_on.wait()
        async for message in channel:
            taken.append(message)

    async def talk(_: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await channel.send(Say("hello"))
            await trio.sleep(60)

    limits = Limits(outbox_messages=1)
    async with DPX.two_nodes([chat(flood), other(talk)], [chat(take_later), other(collect(seen))], limits=limits) as (one, _):
        await trio.sleep(3600)
        assert sent[0] < 70, "what it may have in the inbox, and no more"
        assert len(seen) >= 59
        assert one.connected
        go_on.set()
        await trio.sleep(1)
        assert [message.data[:2] for message in taken if isinstance(message, Blob)] == [number.to_bytes(2) for number in range(100)]


async def test_answers_and_pongs_pass_a_capability_that_takes_nothing() -> None:
    """It never reads, and asks; all its credit is used up by what it has not read, which answers in chunks and pings need none of."""
    answers: list[Time] = []

    async def ask(_: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await trio.sleep(100)
            answers.append(await channel.request(GetTime("utc")))

    async def pour(_: Peer, channel: Channel[ChatMessage]) -> None:
        async with trio.open_nursery() as nursery:

            async def pour() -> None:
                for _ in range(10):
                    await channel.send(Say("x" * 5000))

            nursery.start_soon(pour)
            async for message in channel:
                if isinstance(message, GetTime):
                    await channel.send(Time(message.request_id, 7))

    async with DPX.two_nodes([chat(ask)], [chat(pour)]) as (one, other_node):
        await trio.sleep(1000)
        assert len(answers) == 9
        assert one.connected[0].latency is not None
        assert other_node.connected


# Ends


async def test_what_a_capability_says_before_it_returns_is_sent_though_there_is_no_credit_for_it_yet() -> None:
    seen: list[ChatMessage] = []

    async def say_and_return(_: Peer, channel: Channel[ChatMessage]) -> None:
        for number in range(60):
            await channel.send(Blob(number.to_bytes(2) + NOISE[:15_000]))

    async with DPX.two_nodes([chat(say_and_return)], [chat(collect(seen))]) as (_, other_node):
        await trio.sleep(5)
        assert not other_node.connected
    assert [message.data[:2] for message in seen if isinstance(message, Blob)] == [number.to_bytes(2) for number in range(60)]


async def test_a_session_does_not_wait_long_for_credit_before_it_ends() -> None:
    async def say_and_return(_: Peer, channel: Channel[ChatMessage]) -> None:
        for _number in range(60):
            await channel.send(Blob(NOISE[:15_000]))

    async with DPX.two_nodes([chat(say_and_return)], [chat(idle)]) as (one, other_node):
        (theirs,), began = other_node.connected, trio.current_time()
        end = await theirs.wait_ended()
        assert trio.current_time() - began <= 6.5, "half a second, and the patience with one that takes nothing"
        assert end.by_remote
        await trio.sleep(2)
        assert not one.connected


async def heard(peer: DpxScript) -> list[Any]:
    """Everything that comes until the link is closed: control messages, and (id, data) of others."""
    found: list[Any] = []
    try:
        while True:
            found.append(await peer.receive())
    except trio.EndOfChannel:
        return [*peer.framing.heard, *found]


async def test_who_breaks_the_rules_is_told_by_goaway_and_disconnect() -> None:
    async with DPX.scripted_peer([Chat()]) as (node, peer):
        script = script_of(peer)
        (remote,) = node.connected
        await script.send(0x10 + 9)
        found = await heard(script)
        assert found[0] == control.GoAway(DisconnectReason.PROTOCOL_BREACH)
        assert found[1:] == [(base.DISCONNECT, base.encode_disconnect(DisconnectReason.PROTOCOL_BREACH))]
        assert (await remote.wait_ended()).reason == DisconnectReason.PROTOCOL_BREACH


async def test_a_record_that_is_not_authentic_ends_the_session_without_a_word() -> None:
    async with DPX.scripted_peer([Chat()]) as (node, peer):
        script = script_of(peer)
        (remote,) = node.connected
        record = bytearray(script.seal(b"\x02\xc0"))
        record[40] ^= 1
        await script.stream.send_all(record)
        assert await heard(script) == []
        assert "authentic" in (await remote.wait_ended()).detail


# Messages that are given up


async def begun(peer: DpxScript, size: int) -> tuple[Any, ...]:
    """The frames of a message of so many bytes."""
    data = compression.compress(b"\xb9" + (size - 3).to_bytes(2) + NOISE[: size - 3])
    return tuple(peer.framing.parts(0x13, bytes(data)))


async def reset_of(peer: DpxScript) -> control.Reset:
    """The next RESET that the node sends."""
    while not peer.framing.refused:
        await peer._receive_some()
    return peer.framing.refused.pop(0)


async def test_a_message_of_which_nothing_comes_for_a_minute_is_refused_and_the_session_goes_on() -> None:
    seen: list[ChatMessage] = []
    async with DPX.scripted_peer([chat(collect(seen))], limits=NO_PINGS) as (node, peer):
        script, began = script_of(peer), trio.current_time()
        parts = await begun(script, 60_000)
        await script.stream.send_all(script.framing.seal_part(parts[0]))
        assert await reset_of(script) == control.Reset(1, parts[0].context, control.BUSY)
        assert 60 <= trio.current_time() - began <= 75
        assert node.connected[0].conduct(Chat).timeouts == 1
        await script.send_control(control.Reset(1, parts[0].context, control.CANCEL))
        await script.send_message(Say("still here"))
        await wait_all_tasks_blocked()
        assert seen == [Say("still here")]
        assert node.connected


async def test_a_message_that_is_larger_than_its_kind_may_be_is_refused_before_it_comes() -> None:
    seen: list[ChatMessage] = []
    async with DPX.scripted_peer([chat(collect(seen))], limits=NO_PINGS) as (_, peer):
        script = script_of(peer)
        parts = script.framing.parts(0x10, bytes(compression.compress(NOISE + NOISE)))
        await script.stream.send_all(script.framing.seal_part(parts[0]))
        assert await reset_of(script) == control.Reset(1, parts[0].context, control.TOO_BIG)
        await script.send_control(control.Reset(1, parts[0].context, control.CANCEL))
        await script.send_message(Say("smaller"))
        await wait_all_tasks_blocked()
        assert seen == [Say("smaller")]


async def test_a_message_that_the_peer_refuses_is_sent_no_further_and_those_behind_it_are() -> None:
    async def say(_: Peer, channel: Channel[ChatMessage]) -> None:
        await channel.send(Blob(NOISE))
        await channel.send(Blob(b"behind"))
        await trio.sleep_forever()

    async with DPX.scripted_peer([chat(say, bulk=())], limits=NO_PINGS) as (_, peer):
        script = script_of(peer)
        while not script.framing._wire_sizes:
            await script._receive_some()
        ((capability, context),) = script.framing._wire_sizes
        assert script.framing.ledgers.receiving.refuse(capability, context)
        code, data = await script.receive()
        assert (code, data[-6:]) == (0x13, b"behind")


async def test_the_peer_may_give_up_what_it_has_begun() -> None:
    seen: list[ChatMessage] = []
    async with DPX.scripted_peer([chat(collect(seen))], limits=NO_PINGS) as (node, peer):
        script = script_of(peer)
        parts = await begun(script, 60_000)
        await script.stream.send_all(script.framing.seal_part(parts[0]))
        reset = script.framing.ledgers.sending.abandon(1, parts[0].context)
        assert reset is not None
        await script.send_control(reset)
        await script.send_message(Say("instead"))
        await wait_all_tasks_blocked()
        assert seen == [Say("instead")]
        assert node.connected


async def test_what_has_come_of_messages_counts_in_the_budget_and_the_slowest_ends_when_it_is_full() -> None:
    limits, seen = Limits(total_inbox_bytes=300_000, ping_interval=10**6), list[ChatMessage]()
    network = DPX.network()
    async with network.running(capabilities=[chat(collect(seen))], limits=limits) as node, trio.open_nursery() as nursery:
        slow, honest = [script_of(await network.peer(node, [Chat()])) for _ in range(2)]
        for peer in (slow, honest):
            await peer.begin()
        data = bytes(compression.compress(b"\xba\x03\x0d\x40" + NOISE[:200_000]))
        for part in slow.framing.parts(0x13, data)[:-1]:
            await slow.stream.send_all(slow.framing.seal_part(part))
            await trio.sleep(1)
        assert len(node.connected) == 2
        nursery.start_soon(honest.send_message, Blob(NOISE[:250_000]))
        await trio.sleep(3)
        assert [peer.public_key for peer in node.connected] == [honest.key.public_key]
        assert seen == [Blob(NOISE[:250_000])]
        for peer in (slow, honest):
            await peer.aclose()


# Hints


async def test_the_peer_may_ask_for_more_of_one_capability() -> None:
    async def flood(_: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await channel.send(Blob(NOISE[:3000]))

    got = [0, 0]
    capabilities = [chat(flood, bulk=()), type("Busy", (Other,), {"bulk": ()})(flood)]
    async with DPX.scripted_peer(capabilities, offers=[Chat(), Other()], limits=NO_PINGS) as (_, peer):
        script = script_of(peer)
        await script.send_control(control.Weight(2, 3))
        offset = script.space.offsets[1]
        for number in range(2000):
            code, data = await script.receive()
            if number >= 500:
                got[code >= offset] += len(data)
    assert 0.7 <= got[1] / sum(got) <= 0.8, got
