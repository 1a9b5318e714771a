"""An extension of the handshake in running nodes: it remembers for each peer, and its faults end nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import DialError, Node
from devp2p.testing import ScriptedPeer
from devp2p.wire.rlpx import Extension
from tests.network import LARGE, MIDDLE, SMALL, Network, listening_script, running, scripted, silence
from tests.wire.remembering import Remembering
from tests.wire.test_extension import broken


@asynccontextmanager
async def pair(one: Extension | None, other: Extension | None, **options: object) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes that share a network, and do not know each other."""
    network = Network()
    async with (
        running(network, "one", key=SMALL, extension=one, **options) as left,
        running(network, "other", key=LARGE, extension=other, **options) as right,
    ):
        yield left, right


async def meet(caller: Node, called: Node) -> None:
    """Have a session, and end it."""
    peer = await caller.connect(called.record)
    await wait_all_tasks_blocked()
    assert [one.public_key for one in called.connected] == [caller.public_key]
    peer.disconnect()
    await peer.wait_ended()
    await wait_all_tasks_blocked()
    assert caller.connected == called.connected == ()


@asynccontextmanager
async def remembering(**options: object) -> AsyncIterator[tuple[Node, Node, Remembering, Remembering]]:
    one, other = Remembering(1), Remembering(2)
    async with pair(one, other, **options) as (left, right):
        for extension in (one, other):  # each was asked once in its node's own name, when that was opened
            assert [what for what, _ in extension.told] == ["offer", "answer", "failed", "unanswered"]
            assert not extension.peers
            assert not extension.pending
            extension.told.clear()
        yield left, right, one, other


@pytest.mark.parametrize("strict", [True, False])
async def test_what_is_remembered_is_offered_at_the_second_connection_and_answered(*, strict: bool) -> None:
    async with remembering(strict=strict) as (left, right, one, other):
        await meet(left, right)
        first = one.peers[LARGE.public_key].secret
        await meet(left, right)
        await meet(right, left)
        assert one.peers[LARGE.public_key] == other.peers[SMALL.public_key]
        assert one.peers[LARGE.public_key].meetings == ["new", "known", "known"]
        assert one.peers[LARGE.public_key].secret != first
        assert one.told == [(what, LARGE.public_key) for what in ("offer", "proved", "offer", "proved", "answer", "proved")]
        assert other.told == [(what, SMALL.public_key) for what in ("answer", "proved", "answer", "proved", "offer", "proved")]
        assert one.pending == other.pending == {}


async def test_what_is_remembered_is_of_one_peer() -> None:
    async with remembering() as (left, right, one, other):
        await meet(left, right)
        third, network = Remembering(3), Network()
        async with running(network, "here", key=SMALL, extension=one) as here, running(network, "third", extension=third) as there:
            await meet(here, there)
        await meet(left, right)
        assert one.peers[LARGE.public_key].meetings == ["new", "known"]
        assert one.peers[MIDDLE.public_key].meetings == third.peers[SMALL.public_key].meetings == ["new"]
        assert len({kept.secret for kept in one.peers.values()}) == 2
        assert other.peers.keys() == {SMALL.public_key}


async def test_a_session_without_the_extension_in_between_changes_nothing() -> None:
    """As if another client ran with the same key for a while."""
    one, other, network = Remembering(1), Remembering(2), Network()
    async with running(network, "one", key=SMALL, extension=one) as left:
        for extension in (other, None, other):
            async with running(network, "other", key=LARGE, extension=extension) as right:
                await meet(left, right)
    assert one.peers[LARGE.public_key].meetings == other.peers[SMALL.public_key].meetings == ["new", "known"]


# Offers that come to nothing


async def hang_up(peer: ScriptedPeer) -> None:
    await peer.stream.aclose()


async def garbage(peer: ScriptedPeer) -> None:
    await peer.stream.receive_some()
    await peer.stream.send_all(b"\x01\x00" + bytes(300))
    await silence(peer)


async def ack_alone(peer: ScriptedPeer) -> None:
    await peer.shake_hands()
    await peer.stream.aclose()


async def no_frame(peer: ScriptedPeer) -> None:
    await peer.shake_hands()
    await peer.stream.send_all(bytes(100))
    await silence(peer)


async def no_hello(peer: ScriptedPeer) -> None:
    await peer.shake_hands()
    await peer.send(0x10)
    await silence(peer)


ENDS = {hang_up: "unanswered", garbage: "unanswered", silence: "unanswered", ack_alone: "failed", no_frame: "failed", no_hello: "proved"}


@pytest.mark.parametrize("behave", ENDS)
async def test_a_caller_is_told_what_came_of_its_offer(behave) -> None:
    network, toy = Network(), Remembering()
    async with listening_script(network, behave) as record, running(network, extension=toy) as node:
        toy.told.clear()
        with pytest.raises(DialError):
            await node.connect(record)
        assert toy.told == [("offer", LARGE.public_key), (ENDS[behave], LARGE.public_key)]
        assert not toy.peers
        assert not toy.pending


async def test_a_caller_is_told_too_when_it_does_not_want_to_wait() -> None:
    network, toy = Network(), Remembering()
    async with listening_script(network, silence) as record:
        async with running(network, extension=toy) as node:
            toy.told.clear()
            with trio.move_on_after(1):
                await node.connect(record)
        assert toy.told == [("offer", LARGE.public_key), ("unanswered", LARGE.public_key)]


async def test_who_is_called_is_told_what_came_of_its_answer() -> None:
    network, toy = Network(), Remembering()
    async with running(network, extension=toy) as node:
        toy.told.clear()
        peer = await ScriptedPeer.dial(network, node.record, key=LARGE)
        await peer.stream.send_all(b"no auth at all" + bytes(600))
        await peer.stream.aclose()
        peer = await ScriptedPeer.dial(network, node.record, key=LARGE)
        await peer.shake_hands()
        await wait_all_tasks_blocked()
        assert toy.told == [("answer", LARGE.public_key)]
        await peer.stream.aclose()
        await wait_all_tasks_blocked()
        assert toy.told == [("answer", LARGE.public_key), ("failed", LARGE.public_key)]
        peer = await scripted(network, node, LARGE)
        assert toy.told[2:] == [("answer", LARGE.public_key), ("proved", LARGE.public_key)]
        await peer.stream.aclose()
        await wait_all_tasks_blocked()
        assert len(toy.told) == 4


# Faults


FAULTS = {"offer": 3, "answer": 2, "proved": 2, "failed": 1, "unanswered": 1}
"""What fails, and how many nodes notice it below."""


@pytest.mark.parametrize("name", FAULTS)
async def test_an_extension_that_fails_ends_no_node_and_no_session(name: str, caplog: pytest.LogCaptureFixture) -> None:
    one, other, third, network = Remembering(1), Remembering(2), Remembering(3), Network()
    async with pair(one, other, strict=False) as (left, right), running(network, extension=third, strict=False) as node:
        for extension in (one, other, third):
            broken(name, extension=extension)
        for _ in range(2):
            await meet(left, right)
            await meet(right, left)
            for behave in (hang_up, ack_alone):
                async with listening_script(network, behave) as record:
                    with pytest.raises(DialError):
                        await node.connect(record)
    complaints = [record.getMessage() for record in caplog.records if record.exc_info is not None]
    assert len(complaints) == FAULTS[name]
    assert all("is taken for" in complaint for complaint in complaints)


async def test_strict_lets_its_exceptions_out() -> None:
    async def connect() -> None:
        toy = Remembering()
        async with pair(None, toy, strict=True) as (left, right):
            broken("proved", extension=toy)
            await left.connect(right.record)

    with pytest.raises(ExceptionGroup) as caught:
        await connect()
    assert caught.group_contains(ZeroDivisionError, match="as it has to")
