"""What a node does in its life, as scenarios for the harness."""

import random
from contextlib import suppress
from dataclasses import replace
from functools import partial

import trio

from devp2p import Channel, DialError, Limits, Peer
from devp2p.testing import ScriptedPeer
from devp2p.wire import base
from tests.cancellation.harness import Scenario
from tests.cancellation.wires import SLOW
from tests.cancellation.world import KEYS, LIMITS, World, ask
from tests.chat import Blob, Chat, ChatMessage, GetTime, Time, chat

NOISE = random.Random(1).randbytes(20_000)  # what snappy cannot make smaller


async def two(world: World) -> None:
    await world.open("a")
    await world.open("b")


async def connected(world: World) -> None:
    await two(world)
    await world["a"].connect(world.record("b"))


# dial, accept, handshake, Hello


async def connect(world: World) -> None:
    peer = await world["a"].connect(world.record("b"))
    await peer.ready(Chat)


DIAL = Scenario(name="dial", prepare=two, user=connect)


async def at_two_addresses(world: World) -> None:
    await world.open("a")
    await world.open("b", listen=["memory://b", f"memory://{SLOW}"])


async def race(world: World) -> None:
    record = world.record("b")
    peer = await world["a"].connect(replace(record, addresses=record.addresses[::-1]))
    await peer.ready(Chat)


RACE = Scenario(name="race", prepare=at_two_addresses, user=race)


async def alone(world: World) -> None:
    await world.open("b")


async def start(world: World) -> None:
    await world.open("a", static_peers=[world.record("b")])
    if world.alive("a"):
        async for _ in world["a"].peers(Chat):
            break


START = Scenario(name="start", prepare=alone, user=start)


async def both_dial(world: World) -> None:
    async def dial(one: str, other: str) -> None:
        with suppress(DialError):
            await world[one].connect(world.record(other))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dial, "a", "b")
        nursery.start_soon(dial, "b", "a")


CROSSING = Scenario(name="crossing dials", prepare=two, user=both_dial)


async def strangers(world: World) -> None:
    await world.open("a", capabilities=[chat(name="other")])
    await world.open("b")
    await world.open("c")


REFUSED = Scenario(name="refused", prepare=strangers, user=connect, works=("c", "b"))


async def bad_hello(world: World) -> None:
    """A peer that shakes hands and then says something else than Hello."""
    link = await world.wires.dial(world.record("b"))
    peer = ScriptedPeer(link.stream, [Chat()], call=world["b"].public_key, key=KEYS["d"])
    try:
        await peer.shake_hands()
        await peer.send(base.PING, compress=False)
        await peer.receive_end()
    finally:
        await trio.aclose_forcefully(peer.stream)


BAD_HELLO = Scenario(name="no Hello", prepare=two, user=bad_hello)


# requests and floods


async def request(world: World) -> None:
    await ask(world["a"].connected[0])


REQUEST = Scenario(name="request", prepare=connected, user=request)


async def slowly(_: Peer, channel: Channel[ChatMessage]) -> None:
    async for message in channel:
        if isinstance(message, GetTime):
            await channel.send(Time(message.request_id, len(message.zone)))
        else:
            await trio.sleep(0.5)


async def slow_reader(world: World, *, dpx: bool = True) -> None:
    small: Limits = replace(LIMITS, outbox_bytes=40_000, inbox_bytes=40_000, inbox_messages=2)
    await world.open("a", limits=small, dpx=dpx)
    await world.open("b", limits=small, capabilities=[chat(slowly)])
    await world["a"].connect(world.record("b"))


async def flood(world: World) -> None:
    channel = world["a"].connected[0]._channel(Chat)

    async def send() -> None:
        for _ in range(6):
            await channel.send(Blob(NOISE))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        nursery.start_soon(send)


FLOOD = Scenario(name="flood", prepare=slow_reader, user=flood)
STOCK = Scenario(name="flood in stock frames", prepare=partial(slow_reader, dpx=False), user=flood, victims=("a",))


# ends


async def hang_up(world: World) -> None:
    peer = world["a"].connected[0]
    peer.disconnect()
    await peer.wait_ended()


HANG_UP = Scenario(name="hang-up", prepare=connected, user=hang_up)


async def busy(world: World) -> None:
    """A node with two sessions, one link that says nothing, a static peer that nobody answers for."""
    await world.open("c")
    static = world.record("c")
    await world.leave("c")
    await world.open("a", static_peers=[static])
    await world.open("b")
    await world.open("d")
    await world["a"].connect(world.record("b"))
    await world["d"].connect(world.record("a"))
    await world.wires.dial(world.record("a"))


async def shut_down(world: World) -> None:
    await world.leave("a")


SHUTDOWN = Scenario(name="shutdown", prepare=busy, user=shut_down)


async def shut_down_while_dialling(world: World) -> None:
    async def dial() -> None:
        with suppress(DialError):
            await world["a"].connect(world.record("b"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dial)
        nursery.start_soon(world.leave, "a")


SHUTDOWN_DIALLING = Scenario(name="shutdown while dialling", prepare=two, user=shut_down_while_dialling)

ALL = (START, DIAL, RACE, CROSSING, REFUSED, BAD_HELLO, REQUEST, FLOOD, STOCK, HANG_UP, SHUTDOWN, SHUTDOWN_DIALLING)
