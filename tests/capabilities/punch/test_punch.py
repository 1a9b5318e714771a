"""Relayed sessions go on over direct links, and those above do not notice."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from devp2p import Limits, Node, PrivateKey, open_node
from devp2p.capabilities.punch import Punch, PunchLimits
from devp2p.capabilities.relay import Relay
from tests.capabilities.relay.three import FREE, met, until
from tests.chat import Chat, GetTime, chat
from tests.node.test_moving import Counting

pytestmark = pytest.mark.real_clock


@asynccontextmanager
async def behind_a_relay(
    host: str, capabilities: tuple[list[Any], list[Any]], listen: tuple[bool, bool] = (True, True), schemes: tuple[str, ...] = ("tcp",)
) -> AsyncGenerator[tuple[Node, Node, Relay, str]]:
    """Two nodes that listen, and a relay at which the second has a reservation: with the address of the second there."""
    server = Relay(serve=True, limits=FREE)
    at = [f"{scheme}://{host}:0" for scheme in schemes]
    limits = Limits(limit_local_addresses=True)
    options: dict[str, Any] = {"strict": True, "limits": limits}
    async with (
        open_node(PrivateKey.generate(), [server], listen=[f"tcp://{host}:0"], strict=True) as relay,
        open_node(PrivateKey.generate(), [Relay(), *capabilities[0]], listen=at if listen[0] else (), **options) as one,
        open_node(PrivateKey.generate(), [Relay(), *capabilities[1]], listen=at if listen[1] else (), **options) as other,
    ):
        where = f"{bytes(relay.public_key).hex()}@{relay.addresses[0].where}"
        await other.listen(f"relay://{where}")
        await until(lambda: server.relaying.reservations == 1)
        yield one, other, server, f"relay://{bytes(other.public_key).hex()}@{where}"


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_a_relayed_session_goes_on_directly_and_loses_nothing(host: str) -> None:
    counting = Counting(20, 0.02), Counting(20, 0.02)
    capabilities = [[Punch(anywhere=True), chat(count.run)] for count in counting]
    async with behind_a_relay(host, (capabilities[0], capabilities[1])) as (one, other, server, address):
        peer = await one.connect(address)
        there = await met(other, one)
        assert {peer.link.transport, there.link.transport} <= {"relay", "tcp"}
        await until(lambda: not peer.address.is_relayed and not there.address.is_relayed)
        assert (peer.link.transport, peer.link.path) == ("tcp", "direct")
        assert peer.link.remote.port == other.addresses[0].port, "from listening port to listening port"
        assert there.link.remote.port == one.addresses[0].port
        assert one.roster.get(other.public_key) is peer
        await until(lambda: server.relaying.circuits == 0)
        went = server.relaying.relayed_bytes
        await until(lambda: all(len(count.heard) == 20 for count in counting))
        assert [count.heard for count in counting] == [list(range(20))] * 2
        assert server.relaying.relayed_bytes == went, "nothing more goes through the relay"
        assert peer.ended is there.ended is None


async def test_links_by_two_transports_at_once_are_no_haste_of_a_stranger() -> None:
    capabilities = [[Punch(anywhere=True), Chat()] for _ in range(2)]
    async with behind_a_relay("127.0.0.1", (capabilities[0], capabilities[1]), schemes=("tcp", "quic")) as (one, other, _, address):
        for node in (one, other):
            port = next(listening.port for listening in node.addresses if listening.scheme == "tcp")
            await (await trio.open_tcp_stream("127.0.0.1", port or 0)).aclose()  # the host has just come
        peer = await one.connect(address)
        there = await met(other, one)
        with trio.fail_after(10):
            await until(lambda: not peer.address.is_relayed and not there.address.is_relayed)
        assert peer.link.path == "direct"


@pytest.mark.parametrize("why", ["private", "nobody listens"])
async def test_where_there_is_no_way_the_session_stays_where_it_is(why: str) -> None:
    anywhere = why != "private"
    capabilities = [[Punch(anywhere=anywhere, limits=PunchLimits(patience=0.2)), Chat()] for _ in range(2)]
    async with behind_a_relay("127.0.0.1", (capabilities[0], capabilities[1]), (not anywhere, not anywhere)) as (one, other, _, address):
        peer = await one.connect(address)
        there = await met(other, one)
        with trio.fail_after(10):
            await until(lambda: Punch not in peer and Punch not in there)
        assert peer.link.transport == "relay"
        assert (await peer[Chat].request(GetTime("utc"))).seconds == 3
