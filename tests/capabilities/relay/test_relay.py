"""Sessions through a relay: from end to end, as over any other link."""

import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio

from devp2p import Channel, DialError, Node, NodeRecord, Peer, PrivateKey, open_node
from devp2p.capabilities.nat import Nat, Reachability, Verdict
from devp2p.capabilities.relay import Relay, RelayLimits
from devp2p.testing import MemoryTransport
from tests.capabilities.relay.three import FREE, met, open_three, until, until_reserved
from tests.chat import Blob, Chat, ChatMessage, GetTime, Say, chat


async def test_two_nodes_that_cannot_dial_each_other_have_a_session_through_a_relay() -> None:
    async with open_three() as three:
        peer = await three.one.connect(three.through(three.other))
        assert peer.public_key == three.other.public_key, "it is the node itself, by a handshake from end to end"
        assert peer.link.transport == "relay"
        assert not peer.link.native_auth
        assert peer.link.path == f"relay enode://{three.where}"
        assert (await peer[Chat].request(GetTime("utc"))).seconds == 3
        inbound = await met(three.other, three.one)
        assert inbound.inbound
        assert inbound.link.path == peer.link.path
        assert three.relay.roster.get(three.one.public_key) is not None


@pytest.mark.parametrize("dpx", [True, False])
async def test_large_messages_go_both_ways_and_nothing_is_lost(*, dpx: bool) -> None:
    got: list[bytes] = []

    async def take(_: Peer, channel: Channel[ChatMessage]) -> None:
        async for message in channel:
            if isinstance(message, Blob):
                got.append(message.data)
                await channel.send(Say(str(len(message.data))))

    answers: list[object] = []

    async def give(_: Peer, channel: Channel[ChatMessage]) -> None:
        for data in sent:
            await channel.send(Blob(data))
            answers.append(await channel.receive())
        await trio.sleep_forever()

    sent = [random.Random(1).randbytes(size) for size in (1, 16 * 1024, 2**20)]
    async with open_three(one=[chat(give)], other=[chat(take)], dpx=dpx) as three:
        await three.one.connect(three.through(three.other))
        await until(lambda: len(answers) == len(sent))
        assert got == sent
        assert three.relays[0].relaying.relayed_bytes > 2**20


async def test_the_end_of_a_session_comes_through_with_its_reason() -> None:
    async with open_three() as three:
        peer = await three.one.connect(three.through(three.other))
        there = await met(three.other, three.one)
        there.disconnect(detail="enough")
        assert (await peer.wait_ended()).by_remote
        await until(lambda: three.relays[0].relaying.circuits == 0)
        peer = await three.one.connect(three.through(three.other))  # and again
        assert (await peer[Chat].request(GetTime("utc"))).seconds == 3


async def test_a_node_without_reservation_cannot_be_reached() -> None:
    async with open_three(reserve=False) as three:
        with pytest.raises(DialError, match="no reservation"):
            await three.one.connect(three.through(three.other))


async def test_whoever_does_not_serve_grants_nothing() -> None:
    async with open_three(reserve=False) as three:
        three.relays[0].let_serve(serve=False)
        with pytest.raises(DialError, match="does not permit"):
            await three.one.connect(three.through(three.other))
        await three.other.listen(f"relay://{three.where}")
        await trio.sleep(1)
        assert three.relays[0].relaying.reservations == 0
        three.relays[0].let_serve(serve=True)  # it is asked again
        await until_reserved(three)
        three.relays[0].relaying.nursery = None  # it has come to its end
        with pytest.raises(DialError, match="does not permit"):
            await three.one.connect(three.through(three.other))


async def test_a_lost_relay_ends_the_sessions_and_the_reservation_is_made_again() -> None:
    async with open_three() as three:
        peer = await three.one.connect(three.through(three.other))
        for client in three.relay.connected:
            client.disconnect()
        await peer.wait_ended()
        await until(lambda: three.relays[0].relaying.circuits == 0)
        await until(lambda: not three.relay.connected)
        assert three.relays[0].relaying.reservations == 0
        for node in (three.one, three.other):
            await node.connect(f"memory://{bytes(three.relay.public_key).hex()}@relay")
        await until_reserved(three)
        peer = await three.one.connect(three.through(three.other))
        assert (await peer[Chat].request(GetTime("utc"))).seconds == 3


async def test_a_reservation_is_renewed_before_it_ends() -> None:
    async with open_three(RelayLimits(reservation_time=100)) as three:
        for _ in range(20):
            await trio.sleep(49)
            assert three.relays[0].relaying.reservations == 1


@pytest.mark.parametrize("limits", [RelayLimits(circuit_time=30), RelayLimits(circuit_time=0, circuit_bytes=100_000)])
async def test_a_circuit_ends_at_its_limit(limits: RelayLimits) -> None:
    async with open_three(limits) as three:
        peer = await three.one.connect(three.through(three.other))
        await trio.sleep(20)
        assert peer.ended is None
        if limits.circuit_bytes:
            await peer[Chat].send(Blob(random.Random(1).randbytes(200_000)))
        await trio.sleep(15)
        assert peer.ended is not None
        await trio.sleep(30)
        assert three.relays[0].relaying.circuits == 0


async def test_a_relay_may_serve_while_others_reach_it_as_nat_says() -> None:
    nat, relay = Nat(), Relay()
    async with open_node(PrivateKey.generate(), [relay, nat], transports=[MemoryTransport()]):
        for verdict in (Verdict.PUBLIC, Verdict.PRIVATE, Verdict.PUBLIC, Verdict.UNKNOWN):
            await say(nat, verdict)
            assert relay.relaying.is_on is (verdict is Verdict.PUBLIC)
            assert bool(relay.record_entries()) is relay.relaying.is_on
        relay.let_serve(serve=True)
        await say(nat, Verdict.PRIVATE)
        assert relay.relaying.is_on, "who says it himself is believed"


async def say(nat: Nat, verdict: Verdict) -> None:
    """Let nat/1 come to a verdict."""
    nat.reachability = Reachability(verdict)
    nat._changed.set()
    nat._changed = trio.Event()
    await trio.sleep(1)


async def test_without_nat_a_node_is_a_relay_only_if_it_is_told_to() -> None:
    for relay, serves in ((Relay(), False), (Relay(serve=True), True), (Relay(serve=False), False)):
        async with open_node(PrivateKey.generate(), [relay], transports=[MemoryTransport()]):
            await trio.sleep(1)
            assert relay.relaying.is_on is serves


async def test_a_node_that_others_reach_does_not_renew_its_place_at_a_relay_and_takes_one_again_when_they_do_not() -> None:
    nat = Nat(serve=False)
    async with open_three(RelayLimits(reservation_time=100), other=[nat, Chat()]) as three:
        await trio.sleep(200)
        assert three.relays[0].relaying.reservations == 1
        await say(nat, Verdict.PUBLIC)
        await trio.sleep(200)
        assert three.relays[0].relaying.reservations == 0
        await say(nat, Verdict.PRIVATE)
        await until_reserved(three)
        peer = await three.one.connect(three.through(three.other))
        assert (await peer[Chat].request(GetTime("utc"))).seconds == 3


async def test_a_node_fills_its_places_through_one_relay_without_waiting_between_them() -> None:
    server, network = Relay(serve=True, limits=FREE), MemoryTransport()
    async with AsyncExitStack() as stack:

        async def opened(*capabilities: Any, **options: Any) -> Node:
            node = open_node(PrivateKey.generate(), capabilities, transports=[network], strict=True, **options)
            return await stack.enter_async_context(node)

        relay = await opened(server, listen=["memory://relay"])
        where = f"{bytes(relay.public_key).hex()}@192.0.2.1:30303"
        others = [await opened(Relay(), Chat()) for _ in range(5)]
        for node in others:
            await node.connect(NodeRecord(relay.public_key, relay.addresses))
            await node.listen(f"relay://{where}")
        await until(lambda: server.relaying.reservations == len(others))

        async def named() -> AsyncGenerator[NodeRecord]:
            await release.wait()
            for node in others:
                yield NodeRecord.parse(f"relay://{bytes(node.public_key).hex()}@{where}")

        release = trio.Event()
        caller = await opened(Relay(), Chat(), candidates=named())
        await caller.connect(NodeRecord(relay.public_key, relay.addresses))
        release.set()
        with trio.fail_after(30):  # there are 35 s between two dials of one host
            await until(lambda: all(caller.roster.get(node.public_key) is not None for node in others))
        assert {peer.link.transport for peer in caller.connected} == {"memory", "relay"}


@pytest.mark.real_clock
async def test_a_relay_that_has_another_key_than_it_told_once_is_asked_anew() -> None:
    ours = Relay()
    async with (
        open_node(PrivateKey.generate(), [Relay(serve=True)], listen=["tcp://127.0.0.1:0"], reveal_key=True) as relay,
        open_node(PrivateKey.generate(), [ours, Chat()]) as node,
    ):
        where = relay.addresses[0].where
        ours._asked[where] = bytes(PrivateKey.generate().public_key).hex()  # of before it was started again
        target = f"relay://{bytes(PrivateKey.generate().public_key).hex()}@{where}"
        with pytest.raises(DialError, match="cannot be reached"):
            await node.connect(target)
        with pytest.raises(DialError, match="no reservation"):
            await node.connect(target)
