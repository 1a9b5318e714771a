"""Discovery v4 against go-ethereum: its conformance tests (``devp2p discv4 test``), and nodes of it that find and are found."""

import random
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from devp2p import NodeRecord, PrivateKey
from devp2p.addresses import Endpoint
from devp2p.discovery.events import Event, LookupDone, PingResult, RecordFound
from devp2p.discovery.v4.nodes import contact_of
from devp2p.discovery.v4.packets import MAX_PACKET
from devp2p.discovery.v4.protocol import Discv4
from devp2p.records.enr import LocalRecord
from tests.discovery.strangers import due_of
from tests.interop.geth_discovery import devp2p, listening
from tests.interop.peers import PATIENCE

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("geth")]

CASES = {
    "Ping/Basic",
    "Ping/WrongTo",
    "Ping/WrongFrom",
    "Ping/ExtraData",
    "Ping/ExtraDataWrongFrom",
    "Ping/PastExpiration",
    "Ping/WrongPacketType",
    "Ping/BondThenPingWithWrongFrom",
    "ENRRequest",
    "Findnode/WithoutEndpointProof",
    "Findnode/BasicFindnode",
    "Findnode/UnsolicitedNeighbors",
    "Findnode/PastExpiration",
    "Amplification/InvalidPongHash",
    "Amplification/WrongIP",
}


CONFORMANCE = 120.0
"""Seconds for all of them."""


class Running:
    """A node on a socket of 127.0.0.1."""

    def __init__(self, udp: trio.socket.SocketType, bootnodes: list[NodeRecord]) -> None:
        key, chance = PrivateKey.generate(), random.Random()
        self.udp = udp
        record = LocalRecord(key, {"ip": "127.0.0.1", "udp": udp.getsockname()[1]})
        self.node = Discv4(record, key, random=chance.random, random_bytes=chance.randbytes, bootnodes=bootnodes)
        self.record = record.record
        self.enode = NodeRecord.from_enr(record.record).enode
        self.events: list[Event] = []
        self._news = trio.lowlevel.ParkingLot()

    async def serve(self) -> None:
        """Be its socket and its clock."""
        while True:
            await self.send()
            with trio.move_on_after(max(0.0, due_of(self.node) - time.time())):
                data, (host, port) = await self.udp.recvfrom(MAX_PACKET + 1)
                self.node.receive_datagram(data, Endpoint(trio.socket.inet_aton(host), port), time.time())
            self.node.handle_timer(time.time())
            while (event := self.node.next_event()) is not None:
                self.events.append(event)
            self._news.unpark_all()

    async def send(self) -> None:
        for data, to in self.node.datagrams_to_send(time.time()):
            await self.udp.sendto(data, (trio.socket.inet_ntoa(to.ip), to.port))

    async def end_of(self, operation: int) -> Event:
        """Wait for the event that ends an operation."""
        await self.send()
        await self.until(lambda: bool(self._ends(operation)))
        return self._ends(operation)[0]

    def _ends(self, operation: int) -> list[Event]:
        return [event for event in self.events if getattr(event, "operation", None) == operation]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that a datagram or a timer brings about."""
        with trio.fail_after(PATIENCE):
            while not condition():
                await self._news.park()


@asynccontextmanager
async def running_node(*bootnodes: NodeRecord) -> AsyncIterator[Running]:
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as udp:
        await udp.bind(("127.0.0.1", 0))
        async with trio.open_nursery() as nursery:
            running = Running(udp, list(bootnodes))
            nursery.start_soon(running.serve)
            yield running
            nursery.cancel_scope.cancel()


async def test_go_ethereums_conformance_tests_pass():
    async with running_node() as ours:
        hosts = ("--listen1", "127.0.0.1", "--listen2", "127.0.0.2")
        shown = await devp2p("discv4", "test", "--tap", *hosts, "--remote", ours.enode, within=CONFORMANCE)
    assert set(re.findall(r"^ok \d+ (\S+)", shown, re.MULTILINE)) == CASES, shown
    assert "not ok" not in shown, shown


async def test_go_ethereum_gets_our_record():
    async with running_node() as ours:
        shown = await devp2p("discv4", "requestenr", "--addr", "127.0.0.1:0", "--bootnodes", ours.enode, ours.enode)
    assert ours.record.text in shown


async def test_go_ethereums_nodes_are_found_with_their_records():
    async with running_node() as first, listening(4, first.enode) as go, listening(4, first.enode) as other:
        await first.until(lambda: first.node.table.statistics().live == 2)
        async with running_node(NodeRecord.parse(first.enode)) as second:
            for wanted in (go, other):
                found = await second.end_of(second.node.resolve(NodeRecord(wanted.public_key), time.time()))
                assert isinstance(found, RecordFound)
                assert found.record == wanted.enr
            contact = contact_of(go)
            assert contact is not None
            pinged = await second.end_of(second.node.ping(contact, time.time()))
            assert isinstance(pinged, PingResult)
            assert pinged.pong is not None
            assert pinged.pong.seen_as.port == second.udp.getsockname()[1]
            searched = await second.end_of(second.node.lookup(bytes(go.public_key), time.time()))
            assert isinstance(searched, LookupDone)
            assert {contact.id for contact in searched.contacts} == {go.id, other.id, first.record.id}
