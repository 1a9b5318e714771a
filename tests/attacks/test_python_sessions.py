"""Rows P2 and P4 of THREATS.md: what a session leaves behind, and plugins whose faults a peer can provoke.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import gc
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, Capability, Channel, Node, NodeRecord, Peer, PrivateKey, Request, Response, rlp
from devp2p.conduct import RecentConduct
from devp2p.node.roster import Roster
from devp2p.session import LocalNode, open_session, run_session
from devp2p.testing import ScriptedPeer
from devp2p.transports.links import ByteLink
from devp2p.transports.memory import memory_stream_pair
from tests.chat import Chat, ChatMessage, GetTime, Say, Time, chat
from tests.network import Network, running

# P2: memory that sessions leave behind

KEYS = [PrivateKey.generate() for _ in range(8)]
WARM_UP, ROUNDS = 40, 300
REMEMBERED = "devp2p.peers."
"""How peers behaved is kept for a day, of a bounded number of them: that is another matter."""


async def come_and_go(network: Network, node: Node, number: int) -> None:
    """One session, from dial to end, which comes about in one of some ways."""
    key = PrivateKey.generate() if number % 5 == 4 else KEYS[number % len(KEYS)]  # who breaks the rules is not let in again
    peer = await ScriptedPeer.dial(network, node.record, [Chat()], key=key)
    if number % 10 == 0:
        await peer.stream.send_all(bytes([1]) * 3000)  # no handshake
        await peer.receive_end()
        return
    await peer.begin()
    await peer.send_message(GetTime("abc", request_id=number))
    assert await peer.receive_message() == Time(number, 3)
    remote = node.roster.get(peer.key.public_key)
    assert remote is not None
    match number % 5:
        case 0:
            await peer.send_message(Say("fail"))
            await peer.receive_disconnect()
        case 1 if number % 2:
            await peer.disconnect()
        case 1:
            await peer.stream.send_eof()
        case 2:
            await peer.stream.aclose()
        case 3:
            remote.disconnect(detail="enough")
            await peer.receive_disconnect()
        case _:
            await peer.send(0x10, b"no RLP")
            await peer.receive_disconnect()
    await peer.stream.aclose()
    await remote.wait_ended()


async def fail_at(_: Peer, channel: Channel[ChatMessage]) -> None:
    """Answer requests, and fail at anything else."""
    async for message in channel:
        if not isinstance(message, GetTime):
            raise TypeError(message)
        await channel.send(Time(message.request_id, len(message.zone)))


def alive() -> Counter[str]:
    """How many objects of the library there are, by type; those that only refer to each other are among them."""
    kinds = (type(one) for one in gc.get_objects())
    names = (f"{kind.__module__}.{kind.__name__}" for kind in kinds)
    return Counter(name for name in names if name.startswith("devp2p.") and not name.startswith(REMEMBERED))


@contextmanager
def nothing_collected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    logging.disable(logging.CRITICAL)  # pytest keeps what is logged, with all that it refers to
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        gc.enable()


async def left_behind(rounds: int) -> dict[str, int]:
    """Of which types there are more objects after so many sessions than after some."""
    network = Network()
    async with running(network, capabilities=[chat(fail_at)], strict=False) as node:
        with nothing_collected():
            for number in range(WARM_UP):
                await come_and_go(network, node, number)
            await trio.sleep(60)
            before = alive()
            for number in range(rounds):
                await come_and_go(network, node, number)
            await trio.sleep(60)
            return dict(alive() - before)


async def test_p2_three_hundred_sessions_leave_nothing_behind():
    strangers = ROUNDS // 5  # those that broke the rules, of whom it is remembered for a day that they did
    assert await left_behind(ROUNDS) == {
        "devp2p.keys.NodeId": strangers,
        "devp2p.conduct.Conduct": strangers,
        "devp2p.bounded._Moment": strangers,
    }


async def test_p2_control_a_leak_is_noticed(monkeypatch):
    kept: list[Peer] = []
    remove = Roster.remove

    def forgetful(self: Roster, peer: Peer) -> None:
        remove(self, peer)
        kept.append(peer)

    monkeypatch.setattr(Roster, "remove", forgetful)
    assert (await left_behind(50))["devp2p.capability.definition.Peer"] == 45


async def test_p2_control_a_circle_is_noticed(monkeypatch):
    remove = Roster.remove

    def circular(self: Roster, peer: Peer) -> None:
        remove(self, peer)
        peer.itself = peer  # type: ignore[attr-defined]

    monkeypatch.setattr(Roster, "remove", circular)
    assert (await left_behind(50))["devp2p.capability.definition.Peer"] == 45


# P4: exceptions that a peer can provoke


class Oops(Exception):  # noqa: N818
    """What a plugin did not expect."""


class Unspeakable(Oops):
    def __str__(self) -> str:
        raise Oops("this cannot even be said")


@dataclass(frozen=True)
class Poke:
    where: str

    def __post_init__(self) -> None:
        if self.where == "message":
            raise Oops(self.where)


@dataclass(frozen=True)
class Ask(Request["Answer"]):
    pass


@dataclass(frozen=True)
class Answer(Response):
    def __post_init__(self) -> None:
        raise Oops("answer")


class Faulty(Capability[Poke | Ask | Answer]):
    """Fails where a test, or a peer, says."""

    name, version = "faulty", 1
    messages = {0: Poke, 1: Ask, 2: Answer}
    where = ""

    async def run(self, peer: Peer, channel: Channel[Poke | Ask | Answer]) -> None:  # noqa: ARG002
        channel.conduct.useful(1)
        if self.where == "run":
            raise Oops(self.where)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ask, channel)
            try:
                async for message in channel:
                    assert isinstance(message, Poke)
                    nursery.start_soon(self._poked, message.where, channel)
            finally:
                if self.where == "end":
                    raise Oops(self.where)

    async def _ask(self, channel: Channel[Poke | Ask | Answer]) -> None:
        if self.where == "answer":
            await channel.request(Ask())

    async def _poked(self, where: str, channel: Channel[Poke | Ask | Answer]) -> None:
        if where == "ready":
            channel.ready(object())
        if where == "unspeakable":
            raise Unspeakable
        if where == "group":
            raise ExceptionGroup("many", [Oops(where), ExceptionGroup("more", [ValueError(where)])])
        raise Oops(where)

    def wants(self, record: NodeRecord) -> bool:  # noqa: ARG002
        if self.where == "wants":
            raise Oops(self.where)
        return True

    def metric(self, conduct: RecentConduct) -> float:
        if self.where == "metric":
            raise Oops(self.where)
        return None if self.where == "metric of nothing" else conduct.useful  # type: ignore[return-value]


class NotEvenAsync(Faulty):
    def run(self, peer: Peer, channel: Channel[Any]) -> None:  # type: ignore[override]  # noqa: ARG002
        return None


BY_PEER = ("message", "on a message", "in a group of many", "unspeakable", "ready", "answer")
BY_ITSELF = ("run", "end", "no coroutine", "wants", "metric", "metric of nothing")


async def provoke(where: str, node: Node, peer: ScriptedPeer, faulty: Faulty) -> None:
    """Have a capability fail."""
    match where:
        case "message":
            await peer.send(0x10, rlp.encode(["message"]))
        case "on a message" | "in a group of many" | "unspeakable" | "ready":
            await peer.send(0x10, rlp.encode([{"in a group of many": "group"}.get(where, where)]))
        case "answer":
            assert await peer.receive() == (0x11, rlp.encode([1]))
            await peer.send(0x12, rlp.encode([1]))
        case "end":
            faulty.where = "end"
            await peer.disconnect()
        case "wants":
            faulty.where = where
            for key in KEYS:
                record = NodeRecord(key.public_key, (Address("memory", "somewhere"),))
                assert node.policy._census.wanting(record) == ("zeal",)
                assert node.policy.candidates.takes(record)
        case "metric" | "metric of nothing":
            faulty.where = where
            await trio.sleep(60)
            assert node.policy.rating(peer.key.public_key.node_id, "faulty") is None


@asynccontextmanager
async def beside(where: str, *, strict: bool) -> AsyncIterator[tuple[Node, ScriptedPeer, ScriptedPeer, Faulty]]:
    """A node with a faulty capability and a sound one: a peer that shares both, and one that shares the sound one."""
    network, sibling = Network(), chat(name="zeal")
    faulty = NotEvenAsync() if where == "no coroutine" else Faulty()
    faulty.where = where if where in {"run", "answer"} else ""
    faulty.__class__.optional = True
    async with running(network, capabilities=[faulty, sibling], strict=strict) as node:
        good = await ScriptedPeer.dial(network, node.record, [sibling])
        await good.begin()
        bad = await ScriptedPeer.dial(network, node.record, [faulty, sibling])
        await bad.begin()
        await wait_all_tasks_blocked()
        yield node, good, bad, faulty
        newcomer = await ScriptedPeer.dial(network, node.record, [sibling])
        for peer in (good, newcomer):
            if peer is newcomer:
                await peer.begin()
            await peer.send_message(GetTime("abc", request_id=1))
            assert await peer.receive_message() == Time(1, 3)


async def test_p4_a_node_with_a_faulty_capability_works_until_it_fails():
    async with beside("", strict=True) as (node, _, bad, _):
        await bad.send_message(GetTime("abcd", request_id=1))
        assert await bad.receive() == (bad.space.offsets[1] + 2, rlp.encode([1, 4]))
        await trio.sleep(60)
        assert node.policy.rating(bad.key.public_key.node_id, "faulty") is not None
        assert len(node.connected) == 2


@pytest.mark.parametrize("where", [*BY_PEER, *BY_ITSELF])
async def test_p4_an_exception_ends_one_session_at_most(where, caplog):
    async with beside(where, strict=False) as (node, _, bad, faulty):
        remote = node.roster.get(bad.key.public_key)
        await provoke(where, node, bad, faulty)
        await wait_all_tasks_blocked()
        if where in {"wants", "metric", "metric of nothing"}:
            assert len(node.connected) == 2, "nobody has to go for that"
        else:
            with trio.move_on_after(1):
                await bad.receive_end()
            await bad.stream.aclose()
            if remote is not None:
                await remote.wait_ended()
            assert len(node.connected) == 1
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == (2 if where == "in a group of many" else 1), "told once, with a traceback"
    assert all(record.exc_info for record in errors)


@pytest.mark.parametrize("where", [*BY_PEER, *BY_ITSELF])
async def test_p4_control_what_is_not_held_back_ends_the_whole_node(where):
    async def run() -> None:
        async with beside(where, strict=True) as (node, _, bad, faulty):
            await provoke(where, node, bad, faulty)
            await trio.sleep(60)

    with pytest.raises((BaseExceptionGroup, Oops)):
        await run()


# The session's own callbacks: what fails there is the caller's, who learns of it; its link is closed, and other sessions go on.


async def pair() -> tuple[list[LocalNode], list[ByteLink]]:
    locals_ = [LocalNode(key, "x", (Chat(),)) for key in KEYS[:2]]
    where = Address("memory", "x")
    links = [ByteLink(stream, local=where, remote=where, initiator=not n) for n, stream in enumerate(memory_stream_pair())]
    return locals_, links


def fail(_: object) -> None:
    raise Oops("a callback")


@pytest.mark.parametrize("callback", ["on_ready", "on_start"])
async def test_p4_a_callback_that_fails_ends_its_session_and_tells_its_caller(callback):
    (one, other), links = await pair()
    ends: list[object] = []

    async def serve() -> None:
        ends.append(await run_session(await open_session(links[1], other)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        session = await open_session(links[0], one, expect=other.key.public_key)
        options: dict[str, Any] = {callback: fail}
        with pytest.raises((Oops, ExceptionGroup)):
            await run_session(session, **options)
    assert len(ends) == 1
    with pytest.raises(trio.ClosedResourceError):
        await session.stream.receive_some(1)
