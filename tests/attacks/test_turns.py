"""Rows F15 and P6 of THREATS.md: messages that inflate to very many items, and runs of anything that is ready at once.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed. What is compared is
CPU time of one thread, with a wide margin (tests/steps.py), and the number of calls in one step (rlp/test_steps.py).
"""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, Capability, Channel, DisconnectReason, Limits, Peer, RemoteProtocolError, Request, Response, rlp
from devp2p.capability import queues
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.node.events import Event, PeerRefused
from devp2p.node.roster import Roster
from devp2p.rlp.items import encode_list
from devp2p.wire import compression
from tests.steps import LIMIT, StepWatch
from tests.wires import Wire, only

ROOT = Path(__file__).parents[2]
pytestmark = only("attacked", because="there is one reader of a stream, and one of each of many")

INTEGERS, LAZIES, ASK, ANSWER = 0x10, 0x11, 0x12, 0x13
MANY = encode_list(b"\x05" * 65_500)
"""65,500 integers, in 3.1 KB on the wire."""


@dataclass(frozen=True)
class Integers:
    values: tuple[int, ...]


@dataclass(frozen=True)
class Lazies:
    values: tuple[rlp.Lazy[int], ...]
    max_size: ClassVar[int] = MAX_MESSAGE_SIZE


@dataclass(frozen=True)
class Ask(Request["Answer"]):
    pass


@dataclass(frozen=True)
class Answer(Response):
    values: tuple[int, ...]


Message = Integers | Lazies | Ask | Answer


class Hoard(Capability[Message]):
    """Takes what comes, and asks as often as it is told."""

    name, version = "hoard", 1
    messages = {0: Integers, 1: Lazies, 2: Ask, 3: Answer}

    def __init__(self, asks: int = 0) -> None:
        self.asks = asks
        self.taken = 0

    async def run(self, peer: Peer, channel: Channel[Message]) -> None:  # noqa: ARG002
        async with trio.open_nursery() as nursery:
            for _ in range(self.asks):
                nursery.start_soon(self.ask, channel)
            async for _ in channel:
                self.taken += 1

    async def ask(self, channel: Channel[Message]) -> None:
        await channel.request(Ask(), timeout=10**6)
        self.taken += 1


async def bombarded(wire: Wire, capability: Hoard, code: int, bombs: list[bytes]) -> float:
    """The longest step of the library while a peer sends these messages at once, in seconds of CPU time."""
    async with wire.scripted_peer([capability], limits=Limits(ping_interval=10**6)) as (node, peer):
        await wait_all_tasks_blocked()
        frames = b"".join([peer.seal(bytes([code]) + compression.compress(bomb)) for bomb in bombs])
        watch = StepWatch()
        trio.lowlevel.add_instrument(watch)
        await peer.stream_of(code).send_all(frames)
        await wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(watch)
        assert node.connected
        assert capability.taken == len(bombs)
    return watch.longest.seconds


def answers(count: int) -> list[bytes]:
    return [encode_list(bytes([number + 1]) + MANY) for number in range(count)]


ATTACKS: dict[str, tuple[Callable[[], Hoard], int, list[bytes]]] = {
    "messages": (Hoard, INTEGERS, [encode_list(MANY)] * 32),
    "lazy lists": (Hoard, LAZIES, [encode_list(encode_list(encode_list(b"\xc1\x05" * 100) * 20_000))]),
    "answers": (lambda: Hoard(32), ANSWER, answers(32)),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_f15_no_message_keeps_the_loop_busy_however_many_items_it_inflates_to(wire: Wire, attack):
    make, code, bombs = ATTACKS[attack]
    assert await bombarded(wire, make(), code, bombs) < LIMIT / 4


@pytest.mark.parametrize("attack", ATTACKS)
async def test_f15_control_without_turns_all_of_them_are_one_step(wire: Wire, attack, monkeypatch):
    monkeypatch.setattr(queues, "_TURN", 10**6)
    make, code, bombs = ATTACKS[attack]
    assert await bombarded(wire, make(), code, bombs) > LIMIT / 4


class Slowly:
    """A clock of which each look costs half a millisecond."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.0005
        return self.now


async def others_turns(wire: Wire, count: int) -> int:
    """How often another task runs while a capability takes so many small messages that are all there."""
    turns, capability = [0, 0], Hoard()

    async def other() -> None:
        while True:
            turns[0] += 1
            turns[1] = max(turns[1], capability.taken)
            await trio.lowlevel.checkpoint()

    async with wire.scripted_peer([capability], limits=Limits(ping_interval=10**6)) as (_, peer), trio.open_nursery() as nursery:
        await wait_all_tasks_blocked()
        nursery.start_soon(other)
        frames = b"".join([peer.seal(bytes([INTEGERS]) + compression.compress(b"\xc1\xc0")) for _ in range(count)])
        await peer.stream_of(INTEGERS).send_all(frames)
        while capability.taken < count:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    return turns[0]


async def test_p6_a_run_of_small_messages_gives_way_by_the_clock(wire: Wire, monkeypatch):
    monkeypatch.setattr(queues, "perf_counter", Slowly())
    assert await others_turns(wire, 250) > 80


async def test_p6_control_without_turns_a_run_of_small_messages_is_one_step(wire: Wire, monkeypatch):
    monkeypatch.setattr(queues, "_TURN", 10**6)
    assert await others_turns(wire, 250) < 30


async def test_f15_a_cancelled_receive_loses_no_message(wire: Wire):
    """Decoding has checkpoints, so it can be cancelled; the message is then the next again."""
    values: list[int] = []
    done = trio.Event()

    class Hesitant(Hoard):
        async def run(self, peer: Peer, channel: Channel[Message]) -> None:  # noqa: ARG002
            for _ in range(20):
                with trio.CancelScope() as scope:
                    trio.lowlevel.current_trio_token().run_sync_soon(scope.cancel)
                    message = await channel.receive()
                    assert isinstance(message, Integers)
                    values.append(len(message.values))
            async for message in channel:
                assert isinstance(message, Integers)
                values.append(len(message.values))
                if len(values) == len(sizes):
                    done.set()

    sizes = [20_000 + number for number in range(5)]
    async with wire.scripted_peer([Hesitant()]) as (_, peer):
        for size in sizes:
            await peer.send(INTEGERS, encode_list(encode_list(b"\x05" * size)))
        await done.wait()
    assert values == sizes


async def test_f15_an_answer_that_is_given_up_while_it_is_decoded_leaves_nothing_behind(wire: Wire, monkeypatch):
    monkeypatch.setattr(queues, "_TURN", 0.0)
    channels: list[Channel[Message]] = []

    class Impatient(Hoard):
        async def run(self, peer: Peer, channel: Channel[Message]) -> None:
            channels.append(channel)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(super().run, peer, channel)
                with trio.CancelScope() as self.scope:
                    await channel.request(Ask())

    capability = Impatient()
    async with wire.scripted_peer([capability]) as (node, peer):
        await wait_all_tasks_blocked()
        frames = [peer.seal(bytes([ANSWER]) + compression.compress(each)) for each in answers(1) * 2]
        await peer.stream_of(ANSWER).send_all(frames[0])
        await trio.lowlevel.checkpoint()
        for _ in range(20):  # the reader is in the middle of the answer
            await trio.lowlevel.checkpoint()
        capability.scope.cancel()
        await wait_all_tasks_blocked()
        channel, remote = channels[0], node.connected[0]
        assert (channel.unread_bytes, len(channel._waiters), len(channel._abandoned)) == (0, 0, 0)
        await peer.stream_of(ANSWER).send_all(frames[1])  # a late one was allowed once
        assert (await remote.wait_ended()).reason is DisconnectReason.PROTOCOL_BREACH


async def test_f15_a_bad_answer_ends_the_session_wherever_it_is_bad(wire: Wire):
    bad = answers(1)[0][:-1] + b"\xc0"
    async with wire.scripted_peer([Hoard(1)]) as (node, peer):
        await wait_all_tasks_blocked()
        remote = node.connected[0]
        await peer.send(ANSWER, bad)
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
        await peer.stream.aclose()
        assert "item 65499" in (await remote.wait_ended()).detail


async def turns_of_others(events: AsyncIterator[Event], count: int) -> int:
    """How many turns another task has while so many events that are all there are taken."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(count):
            await anext(events)
        nursery.cancel_scope.cancel()
    return turns


def refusals(roster: Roster, count: int) -> None:
    for _ in range(count):
        roster.publish(PeerRefused(Address.parse("tcp://8.8.8.8:30303"), RemoteProtocolError("no")))


async def test_p6_each_event_gives_others_their_turn():
    roster = Roster()
    events = roster.subscribe()
    refusals(roster, 4000)
    assert await turns_of_others(events, 4000) >= 3999


async def test_p6_control_without_a_checkpoint_four_thousand_events_are_one_step(monkeypatch):
    monkeypatch.setattr(trio.lowlevel, "checkpoint", trio.lowlevel.checkpoint_if_cancelled)
    roster = Roster()
    events = roster.subscribe()
    refusals(roster, 4000)
    assert await turns_of_others(events, 4000) <= 1


TWO_TESTS = """
from time import thread_time
import pytest
import trio

async def busy(seconds):
    until = thread_time() + seconds
    while thread_time() < until:
        pass

@pytest.mark.parametrize("seconds", [0.0, {too_long}])
async def test_it(seconds):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(busy, seconds, name="devp2p.somewhere")
"""


def test_f15_control_a_step_that_is_too_long_fails_the_test_of_an_attack(tmp_path):
    (tmp_path / "test_it.py").write_text(TWO_TESTS.format(too_long=LIMIT + 0.05), "utf-8")
    (tmp_path / "no.ini").write_text("[pytest]\n", "utf-8")
    plugins = ("-p", "tests.conftest", "-p", "tests.attacks.conftest", "-p", "no:cacheprovider", "-p", "no:xdist")
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "--rootdir", str(tmp_path), "-c", str(tmp_path / "no.ini"), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert "2 passed, 1 error" in result.stdout, result.stdout + result.stderr
    assert "devp2p.somewhere kept the loop busy for 3" in result.stdout
