"""Visits by RLPx over real sockets: what comes of nodes that answer, refuse, are silent or break rules at each step."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import trio
from devp2p_crawler.model import Kind, Outcome, Said, Visit
from devp2p_crawler.visiting import RlpxCaller, rlpx_caller, visit_rlpx
from devp2p_crawler.visiting.status import STATUS_READERS, EarlyStatus, RangeStatus

from devp2p import Address, Capability, NodeRecord, PrivateKey, open_node
from devp2p.capabilities.eth import eth
from devp2p.capabilities.ethereum import ForkId, GenesisChain
from devp2p.capabilities.ethereum.networks import NETWORKS
from devp2p.testing import ScriptedPeer
from devp2p.wire import CapabilityVersion, base
from tests.chat import Chat

pytestmark = pytest.mark.real_clock
KEY = PrivateKey.generate()
CRAWL = bytes(16)
MAINNET = NETWORKS["mainnet"]
RANGE = RangeStatus(69, 1, MAINNET.genesis, ForkId(b"\x01\x02\x03\x04", 5), 0, 1000, b"\x09" * 32)
EARLY = EarlyStatus(68, 1, 10**22, b"\x08" * 32, MAINNET.genesis, ForkId(b"\x01\x02\x03\x04", 0))
SAID = Said(client="scripted", capabilities=("eth/69",), listen_port=0)
HEARD = replace(
    SAID,
    eth_version=69,
    network_id=1,
    genesis=MAINNET.genesis,
    fork_hash=b"\x01\x02\x03\x04",
    fork_next=5,
    head=b"\x09" * 32,
    head_number=1000,
)
AnyCapability = Capability[Any, Any]
Behaviour = Callable[[ScriptedPeer], Awaitable[None]]


def a_caller(seconds: float = 5.0) -> RlpxCaller:
    return rlpx_caller(
        crawl=CRAWL,
        key=PrivateKey.generate(),
        client_id="test/1",
        connect=seconds,
        handshake=seconds,
        status=seconds,
        now=lambda: 1_000_000,
    )


@asynccontextmanager
async def scripted(behave: Behaviour, version: int = 69) -> AsyncIterator[NodeRecord]:
    """A node on loopback that does what a test wants with each link, and closes it."""
    offered: list[AnyCapability] = [reader for reader in STATUS_READERS if reader.version == version] or [Chat()]

    async def serve(stream: trio.SocketStream) -> None:
        peer = ScriptedPeer(stream, offered, key=KEY)
        try:
            await behave(peer)
        except* (trio.BrokenResourceError, trio.EndOfChannel):
            pass
        finally:
            await peer.aclose()

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield NodeRecord(KEY.public_key, (Address("tcp", "127.0.0.1", listener.socket.getsockname()[1]),))
        nursery.cancel_scope.cancel()


async def visited(behave: Behaviour, version: int = 69, seconds: float = 5.0) -> Visit:
    async with scripted(behave, version) as node:
        visit = await visit_rlpx(node, a_caller(seconds))
    assert (visit.crawl, visit.node, visit.kind, visit.began) == (CRAWL, bytes(KEY.public_key.node_id), Kind.RLPX, 1_000_000)
    assert (visit.ip, visit.port, visit.asked) == (b"\x7f\0\0\1", node.addresses[0].port, 1)
    assert visit.ended >= visit.began
    return visit


# Nodes that answer


async def say_status(peer: ScriptedPeer) -> None:
    await peer.begin()
    await peer.send_message(RANGE)
    assert await peer.receive_disconnect() == 0x08


async def test_a_node_says_hello_and_status_and_hears_that_we_quit() -> None:
    visit = await visited(say_status)
    assert (visit.outcome, visit.said) == (Outcome.OK, HEARD)
    assert visit.rtt is not None
    assert 0 <= visit.rtt <= visit.ended - visit.began


async def test_no_status_of_ours_goes_to_a_node_that_says_its_own() -> None:
    codes: list[int] = []

    async def listen(peer: ScriptedPeer) -> None:
        await peer.begin()
        await peer.send_message(RANGE)
        codes.extend([(await peer.receive())[0]])

    await visited(listen)
    assert codes == [base.DISCONNECT]


async def test_the_older_status_is_read_too() -> None:
    async def behave(peer: ScriptedPeer) -> None:
        await peer.begin()
        await peer.send_message(EARLY)
        await peer.receive_end()

    visit = await visited(behave, 68)
    assert visit.outcome is Outcome.OK
    assert visit.said == replace(HEARD, capabilities=("eth/68",), eth_version=68, fork_next=0, head=b"\x08" * 32, head_number=None)


async def test_pings_and_other_messages_may_come_before_the_status() -> None:
    answered: list[int] = []

    async def behave(peer: ScriptedPeer) -> None:
        await peer.begin()
        await peer.ping()
        await peer.send(0x10 + 0x11, b"\xc3\x01\x02\x03")
        answered.append((await peer.receive())[0])
        await say_rest(peer)

    async def say_rest(peer: ScriptedPeer) -> None:
        await peer.send_message(RANGE)
        await peer.receive_end()

    assert (await visited(behave)).said == HEARD
    assert answered == [base.PONG]


@pytest.mark.parametrize("version", [66, 68, 69, 72])
async def test_a_node_that_waits_for_our_status_gets_one_of_its_network(version: int) -> None:
    heard: list[RangeStatus | EarlyStatus] = []

    async def behave(peer: ScriptedPeer) -> None:
        await peer.begin()
        heard.append(await peer.receive_message())
        await peer.send_message(replace(RANGE if version >= 69 else EARLY, version=version))
        await peer.receive_end()

    assert (await visited(behave, version, seconds=0.5)).outcome is Outcome.OK
    assert (heard[0].version, heard[0].network_id, heard[0].genesis) == (version, 1, MAINNET.genesis)
    assert heard[0].fork_id.hash in MAINNET.fork_hashes


async def test_a_node_without_eth_is_heard_and_left() -> None:
    async def behave(peer: ScriptedPeer) -> None:
        await peer.begin()
        await peer.disconnect(0x03)
        await peer.receive_end()

    visit = await visited(behave, version=0)
    assert visit.outcome is Outcome.OK
    assert visit.said in [replace(SAID, capabilities=("chat/1",), reason=reason) for reason in (None, 3)]  # we may be gone first


@pytest.mark.parametrize("network", ["mainnet", "sepolia"])
async def test_nodes_of_the_library_are_visited_as_any_others(network: str) -> None:
    chain = GenesisChain.public(network)
    async with open_node(PrivateKey.generate(), eth(chain), listen=["tcp://127.0.0.1:0"], client_id="ours/1.2") as node:
        visit = await visit_rlpx(node.record, a_caller())
    assert visit.outcome is Outcome.OK
    assert visit.said is not None
    assert (visit.said.client, visit.said.eth_version, visit.said.network_id) == ("ours/1.2", 72, chain.network.network_id)
    assert (visit.said.genesis, visit.said.head_number) == (chain.network.genesis, 0)
    assert visit.said.capabilities == ("eth/69", "eth/70", "eth/71", "eth/72")


# Nodes that refuse, are silent, or break rules


async def refuse_before_hello(peer: ScriptedPeer, reason: int) -> None:
    await peer.shake_hands()
    await peer.disconnect(reason)
    await peer.receive_end()


async def refuse_after_hello(peer: ScriptedPeer, reason: int) -> None:
    await peer.begin()
    await peer.disconnect(reason)
    await peer.receive_end()


@pytest.mark.parametrize(("reason", "outcome"), [(4, Outcome.TOO_MANY_PEERS), (5, Outcome.DISCONNECTED), (0x42, Outcome.DISCONNECTED)])
async def test_a_refusal_is_told_with_its_reason(reason: int, outcome: Outcome) -> None:
    visit = await visited(partial(refuse_before_hello, reason=reason))
    assert (visit.outcome, visit.said) == (outcome, Said(reason=reason))
    visit = await visited(partial(refuse_after_hello, reason=reason))
    assert (visit.outcome, visit.said) == (outcome, replace(SAID, reason=reason))


async def accept_only(_: ScriptedPeer) -> None:
    pass


async def handshake_only(peer: ScriptedPeer) -> None:
    await peer.shake_hands()


async def hello_only(peer: ScriptedPeer) -> None:
    await peer.begin()


async def reset(peer: ScriptedPeer) -> None:
    await peer.begin()
    assert isinstance(peer.stream, trio.SocketStream)
    peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize(
    ("step", "outcome", "said"),
    [
        (accept_only, Outcome.HUNG_UP, None),
        (handshake_only, Outcome.HUNG_UP, None),
        (hello_only, Outcome.STATUS_TIMEOUT, SAID),
        (reset, Outcome.STATUS_TIMEOUT, SAID),
    ],
)
async def test_a_node_that_hangs_up(step: Behaviour, outcome: Outcome, said: Said | None) -> None:
    visit = await visited(step)
    assert (visit.outcome, visit.said) == (outcome, said)


@pytest.mark.parametrize(
    ("step", "outcome", "said"),
    [
        (accept_only, Outcome.HANDSHAKE_TIMEOUT, None),
        (handshake_only, Outcome.HELLO_TIMEOUT, None),
        (hello_only, Outcome.STATUS_TIMEOUT, SAID),
    ],
)
async def test_a_tar_pit_costs_no_more_than_the_deadline(step: Behaviour, outcome: Outcome, said: Said | None) -> None:
    async def behave(peer: ScriptedPeer) -> None:
        await step(peer)
        await trio.sleep_forever()

    began = trio.current_time()
    visit = await visited(behave, seconds=0.4)
    assert (visit.outcome, visit.said) == (outcome, said)
    assert trio.current_time() - began < 3  # two deadlines, and the second in which a node may hang up


async def test_a_node_that_drips_is_given_up() -> None:
    async def behave(peer: ScriptedPeer) -> None:
        for byte in b"\x01\x00" + bytes(254):
            await peer.stream.send_all(bytes([byte]))
            await trio.sleep(0.05)

    assert (await visited(behave, seconds=0.4)).outcome is Outcome.HANDSHAKE_TIMEOUT


async def no_ack(peer: ScriptedPeer) -> None:
    await peer.stream.send_all(b"\x01\x00" + os.urandom(256))


async def frame_of_16_mib(peer: ScriptedPeer) -> None:
    await peer.begin()
    await peer.stream.send_all(peer.seal(bytes(16 * 2**20 - 1))[:100])


async def status_that_inflates(peer: ScriptedPeer) -> None:
    await peer.begin()
    await peer.send(0x10, b"\xff\xff\xff\x07" + b"\xfe" * 100, compress=False)


async def no_status(peer: ScriptedPeer) -> None:
    await peer.begin()
    await peer.send(0x10, b"\xc0")


async def unknown_message(peer: ScriptedPeer) -> None:
    await peer.begin()
    await peer.send(0x60)


async def other_messages(peer: ScriptedPeer) -> None:
    await peer.begin()
    for _ in range(100):
        await peer.send(0x12)


async def flood_of_pings(peer: ScriptedPeer) -> None:
    await peer.begin()
    for _ in range(100_000):
        await peer.ping()


@pytest.mark.parametrize(
    "behave", [no_ack, frame_of_16_mib, status_that_inflates, no_status, unknown_message, other_messages, flood_of_pings]
)
async def test_bombs_floods_and_nonsense_are_breaches(behave: Behaviour) -> None:
    async def stay(peer: ScriptedPeer) -> None:
        await behave(peer)
        await peer.receive_end()

    visit = await visited(stay)
    assert visit.outcome is Outcome.BROKE_RULES
    assert visit.said == (None if behave is no_ack else SAID)


async def test_a_hello_of_another_node_shows_that_somebody_else_is_there() -> None:
    async def behave(peer: ScriptedPeer) -> None:
        await peer.shake_hands()
        peer.hello = replace(peer.hello, public_key=PrivateKey.generate().public_key)
        await peer.say_hello()
        await peer.receive_end()

    assert (await visited(behave)).outcome is Outcome.WRONG_KEY


async def test_a_node_with_another_key_cannot_even_read_the_call() -> None:
    async with open_node(PrivateKey.generate(), [Chat()], listen=["tcp://127.0.0.1:0"]) as node:
        visit = await visit_rlpx(NodeRecord(KEY.public_key, node.record.addresses), a_caller())
    assert visit.outcome is Outcome.HUNG_UP


async def test_long_names_are_bounded() -> None:
    async def behave(peer: ScriptedPeer) -> None:
        await peer.shake_hands()
        peer.hello = replace(peer.hello, client_id="\x1b[31m" * 200, listen_port=2**40, capabilities=(CapabilityVersion("eth", 2**64 - 1),))
        await peer.say_hello()
        await peer.receive_end()

    visit = await visited(behave)
    assert visit.said is not None
    assert len(visit.said.client or "") == 256
    assert (visit.said.listen_port, visit.said.capabilities) == (None, ("eth/18446744073709551615",))


async def test_a_visit_that_is_cancelled_closes_its_link() -> None:
    ended = trio.Event()

    async def behave(peer: ScriptedPeer) -> None:
        await peer.begin()
        await peer.receive_end()
        ended.set()

    async with scripted(behave) as node:
        with trio.move_on_after(0.5):
            await visit_rlpx(node, a_caller())
        await ended.wait()
