"""Visits by those who call us, over real sockets: they are heard as those that we call, and what they may take up is bounded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import devp2p_crawler.visiting.inbound
import pytest
import trio
from devp2p_crawler.model import Kind, Outcome, Said, Visit
from devp2p_crawler.visiting import Inbound, InboundLimits, RlpxCaller, rlpx_caller
from devp2p_crawler.visiting.status import STATUS_READERS, RangeStatus
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from devp2p import Address, ByteLink, Capability, DialError, NodeRecord, PrivateKey, PublicKey, listen, open_node
from devp2p.capabilities.eth import eth
from devp2p.capabilities.ethereum import ForkId, GenesisChain
from devp2p.testing import ScriptedPeer
from devp2p.transports import OnLink
from tests.chat import Chat

OURS = PrivateKey.generate()
STATUS = RangeStatus(69, 5, b"\x07" * 32, ForkId(b"\x01\x02\x03\x04", 5), 0, 1000, b"\x09" * 32)


@dataclass
class Told:
    """What was told, and where one calls."""

    inbound: Inbound
    node: NodeRecord
    visits: list[tuple[Visit, PublicKey]]

    async def wait(self, count: int) -> None:
        while len(self.visits) < count:  # noqa: ASYNC110  (it is called, not awaited)
            await trio.sleep(0.01)


@asynccontextmanager
async def listening(limits: InboundLimits | None = None, seconds: float = 5.0) -> AsyncIterator[Told]:
    visits: list[tuple[Visit, PublicKey]] = []
    listener = await listen("tcp://127.0.0.1:0")
    caller = a_caller(seconds)
    inbound = Inbound(caller, lambda visit, key: visits.append((visit, key)), limits=limits)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbound.serve, listener)
        yield Told(inbound, NodeRecord(OURS.public_key, listener.addresses), visits)
        nursery.cancel_scope.cancel()


def a_caller(seconds: float = 5.0) -> RlpxCaller:
    return rlpx_caller(crawl=bytes(16), key=OURS, client_id="crawler/1", listen_port=30303, handshake=seconds, status=seconds)


async def calls(node: NodeRecord, *, key: PrivateKey | None = None) -> ScriptedPeer:
    address = node.addresses[0]
    stream = await trio.open_tcp_stream(address.host, address.port or 0)
    return ScriptedPeer(stream, [reader for reader in STATUS_READERS if reader.version == 70], call=node.public_key, key=key)


@pytest.mark.real_clock
async def test_a_node_that_calls_is_heard_and_left():
    async with listening() as told:
        peer = await calls(told.node)
        theirs = await peer.begin()
        assert (theirs.client_id, theirs.listen_port) == ("crawler/1", 30303)
        await peer.send_message(replace(STATUS, version=70))
        assert await peer.receive_disconnect() == 0x08
        await peer.aclose()
        await told.wait(1)
    ((visit, key),) = told.visits
    assert key == peer.key.public_key
    assert (visit.kind, visit.outcome, visit.node, visit.ip) == (Kind.INBOUND, Outcome.OK, bytes(key.node_id), b"\x7f\0\0\x01")
    assert (visit.rtt, visit.asked, visit.port > 0) == (None, 0, True)
    assert visit.said is not None
    assert (visit.said.client, visit.said.eth_version, visit.said.network_id) == ("scripted", 70, 5)
    assert (told.inbound.counts.accepted, told.inbound.counts.heard, told.inbound.counts.failed) == (1, 1, 0)


@pytest.mark.real_clock
async def test_nodes_of_the_library_call_and_are_heard_whatever_they_speak():
    async with listening() as told:
        callers: list[tuple[Capability[Any, Any], ...]] = [eth(GenesisChain.public("hoodi")), (Chat(),)]
        for number, capabilities in enumerate(callers, 1):
            async with open_node(PrivateKey.generate(), capabilities) as node:
                with suppress(DialError):  # it has nothing in common with us
                    await node.connect(told.node)
                await told.wait(number)
    assert [visit.outcome for visit, _ in told.visits] == [Outcome.OK, Outcome.OK]
    assert [visit.said and visit.said.network_id for visit, _ in told.visits] == [560_048, None]


@pytest.mark.real_clock
async def test_callers_that_say_nothing_or_break_rules_are_no_visits():
    async with listening(seconds=0.3) as told:
        silent = await calls(told.node)
        noisy = await calls(told.node)
        await noisy.stream.send_all(b"GET / HTTP/1.1\r\n\r\n" + bytes(500))
        shaking = await calls(told.node)
        await shaking.shake_hands()
        itself = await calls(told.node, key=OURS)
        await itself.begin()
        counts = told.inbound.counts
        while counts.failed < 3:  # noqa: ASYNC110  (the same)
            await trio.sleep(0.01)
        for peer in (silent, noisy, shaking, itself):
            await peer.aclose()
    assert (told.visits, counts.heard) == ([], 0)


@pytest.mark.real_clock
async def test_a_peer_that_said_hello_and_no_status_was_there():
    async with listening(seconds=0.3) as told:
        peer = await calls(told.node)
        await peer.begin()
        await told.wait(1)
        await peer.aclose()
    ((visit, _),) = told.visits
    assert (visit.outcome, visit.said) == (Outcome.STATUS_TIMEOUT, Said(client="scripted", capabilities=("eth/70",), listen_port=0))


# Bounds: in memory, where callers can come from any address


class Links:
    """A listener that hands on the links that a test makes."""

    addresses: tuple[Address, ...] = ()

    def __init__(self) -> None:
        self._sender, self._receiver = trio.open_memory_channel[ByteLink](1000)

    async def serve(self, on_link: OnLink) -> None:
        async for link in self._receiver:
            await on_link(link)

    async def aclose(self) -> None:
        pass

    def come(self, host: str) -> ScriptedPeer:
        ours, theirs = memory_stream_pair()
        here, there = Address("tcp", "127.0.0.1", 30303), Address("tcp", host, 4000)
        self._sender.send_nowait(ByteLink(ours, local=here, remote=there, initiator=False))
        return ScriptedPeer(theirs, [Chat()], call=OURS.public_key)


@asynccontextmanager
async def links(limits: InboundLimits) -> AsyncIterator[tuple[Links, Inbound]]:
    listener, inbound = Links(), Inbound(a_caller(), lambda _visit, _key: None, limits=limits)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbound.serve, listener)
        yield listener, inbound
        nursery.cancel_scope.cancel()


async def is_closed(peer: ScriptedPeer) -> bool:
    await wait_all_tasks_blocked()
    with trio.move_on_after(0.001):
        await peer.receive_end()
        return True
    return False


async def test_one_address_calls_once_in_a_while():
    async with links(InboundLimits(again=30)) as (listener, inbound):
        first, second, neighbour, local = map(listener.come, ["8.8.8.1", "8.8.8.1", "8.8.8.2", "192.168.1.1"])
        assert [await is_closed(peer) for peer in (first, second, neighbour, local)] == [False, True, False, False]
        assert not await is_closed(listener.come("192.168.1.1"))
        six = [listener.come(f"2600:1::{number}") for number in (1, 2)]
        assert [await is_closed(peer) for peer in six] == [False, True]
        await trio.sleep(31)
        assert not await is_closed(listener.come("8.8.8.1"))
        assert inbound.counts.turned_away == 2


async def test_too_many_links_make_room_for_each_other():
    async with links(InboundLimits(links=4)) as (listener, inbound):
        honest = listener.come("198.51.100.1")
        crowd = [listener.come(f"203.0.113.{number}") for number in range(20)]
        assert not await is_closed(honest)
        assert [await is_closed(peer) for peer in crowd] == [*(True for _ in range(17)), False, False, False]
        assert (await honest.begin()).client_id == "crawler/1"
        assert inbound.counts.turned_away == 17


async def test_many_callers_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devp2p_crawler.visiting.inbound, "_REMEMBERED", 50)
    async with links(InboundLimits(links=10)) as (listener, inbound):
        for number in range(100):
            listener.come(f"8.8.{number}.1")
        await wait_all_tasks_blocked()
        assert (inbound.counts.accepted, inbound.counts.turned_away) == (100, 90)
        assert (len(inbound._came), len(inbound._links)) == (50, 10)
        assert await is_closed(listener.come("8.8.99.1"))


async def test_listening_takes_addresses_of_all_kinds():
    with pytest.raises(ValueError, match="the address to listen at"):
        await listen("nowhere")
    with pytest.raises(ValueError, match="no transport for nope"):
        await listen("nope://127.0.0.1:0")
