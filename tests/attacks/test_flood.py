"""Row D3 of THREATS.md: junk of every kind, through real sockets, into discovery that others use meanwhile.

All of 127.0.0.0/8 is this machine (on Linux), and the nodes hold local addresses to the limits for strangers (`limit_local_addresses`): so
each address counts as a host of the internet. How long searches take in a flood, and how late the loop is, tells ``make bench``
(tools/bench/flood.py). A control runs the same attack with the defence disabled, and there it must succeed.
"""

import random
import select
import socket
import time
import tracemalloc
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import cycle, islice

import pytest
import trio
import trio.lowlevel

from devp2p.addresses import Endpoint
from devp2p.discovery import Discovery, DiscoveryLimits, open_discovery
from devp2p.discovery.v4 import packets as v4_packets
from devp2p.discovery.v4.bonds import Discv4Limits
from devp2p.discovery.v4.protocol import Discv4
from devp2p.discovery.v5.answers import Discv5Limits
from devp2p.discovery.v5.protocol import Discv5
from devp2p.keys import PrivateKey, PublicKey, keccak256, recover
from devp2p.records.enr import LocalRecord, Record
from tests.discovery.services import eventually
from tools.bench.flood import STRICT, closest, crowd
from tools.bench.junk import Junk

JUNK = 9_000
HOSTS = 8
CROWD = 10


@dataclass
class Siege:
    """What came of a flood."""

    received: int = 0
    seconds: float = 0.0
    recovered: int = 0
    """Junk of which a key was recovered."""
    searches: dict[int, list[bool]] = field(default_factory=lambda: {4: [], 5: []})
    """Whether each search, of either version, found the node closest to its target."""


async def search(node: Discovery, others: list[Record], version: int) -> bool | None:
    target = PrivateKey.generate().public_key
    found = await node.lookup(target, version=version)
    return closest(others, target).id in {each.id for each in found} or None


async def besiege(limits: DiscoveryLimits, monkeypatch: pytest.MonkeyPatch) -> Siege:
    """Let a crowd search through a node, and the node itself, while it is flooded."""
    siege, junk = Siege(), set[bytes]()

    def spy(digest: bytes, signature: bytes) -> PublicKey:
        siege.recovered += digest in junk
        return recover(digest, signature)

    monkeypatch.setattr(v4_packets, "recover", spy)

    async def search_on(node: Discovery, version: int) -> None:
        others = [record for record in records if record.id != node.record.id]
        while not flooded.is_set():
            siege.searches[version].append(await search(node, others, version) is True)

    async with (
        open_discovery(PrivateKey.generate(), listen="udp://127.0.0.1:0", limits=limits) as node,
        crowd(node.record.text, CROWD) as all_,
    ):
        records = [node.record, *(other.record for other in all_)]
        async with trio.open_nursery() as nursery:
            for other in (node, *all_):
                for version in (4, 5):
                    nursery.start_soon(eventually, lambda other=other, version=version: search(other, records, version))
        flooded = trio.Event()
        before, began = node.statistics.received, time.monotonic()
        async with trio.open_nursery() as nursery:
            for other in (node, *all_):
                for version in (4, 5):
                    nursery.start_soon(search_on, other, version)
            await flood(node, junk)
            siege.received, siege.seconds = node.statistics.received - before, time.monotonic() - began
            flooded.set()
    return siege


async def flood(node: Discovery, junk: set[bytes]) -> None:
    """Send junk from some hosts, no faster than it can be taken in."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(HOSTS)]
        for number, sock in enumerate(sockets):
            sock.bind((f"127.1.{number}.1", 0))
        turns = cycle(sockets)
        datagrams = islice(Junk(node.record.id), JUNK)
        while burst := list(islice(datagrams, 63)):
            junk.update(keccak256(data[97:]) for data in burst)
            for data in burst:
                next(turns).sendto(data, ("127.0.0.1", node.address.port or 0))
            await trio.sleep(0.003)
            while select.select([node._socket._socket], [], [], 0)[0]:  # a full buffer would lose some
                await trio.lowlevel.checkpoint()


@pytest.mark.simulation
@pytest.mark.real_clock
async def test_d3_searches_succeed_in_a_flood_of_which_little_costs_a_signature(monkeypatch):
    siege = await besiege(STRICT, monkeypatch)
    assert siege.received > JUNK
    for outcomes in siege.searches.values():
        assert len(outcomes) > CROWD
        assert all(outcomes)
    assert siege.recovered <= HOSTS * (61 + siege.seconds)  # each host has 60 at once, and one more each second


@pytest.mark.simulation
@pytest.mark.real_clock
async def test_d3_control_without_buckets_each_ping_costs_one(monkeypatch):
    open_ = replace(STRICT, v4=replace(STRICT.v4, packets_per_minute=10**9, proved_packets_per_minute=10**9, strangers_per_second=10**9))
    siege = await besiege(open_, monkeypatch)
    assert siege.recovered == JUNK // 9


def grown(limits: DiscoveryLimits, datagrams: int) -> int:
    """By how many bytes a node grows if so much junk comes from everywhere, in ten seconds, of the two kinds that leave anything behind."""
    key, chance = PrivateKey.generate(), random.Random(1)
    record = LocalRecord(key, {"ip": "20.0.0.1", "udp": 30303})
    v4 = Discv4(record, key, random=chance.random, random_bytes=chance.randbytes, limits=limits.v4)
    v5 = Discv5(record, key, random=chance.random, random_bytes=chance.randbytes, limits=limits.v5)
    junk = Junk(key.public_key.node_id)
    v4.handle_timer(0.0)
    v5.handle_timer(0.0)
    tracemalloc.start()
    try:
        for number in range(datagrams):
            now, source = 10 * number / datagrams, Endpoint(chance.randbytes(4), 30303)
            if number % 2:
                assert v4.receive_datagram(junk.ping(), source, now)
            else:
                assert v5.receive_datagram(junk.ordinary(), source, now)
            for protocol in (v4, v5):
                protocol.datagrams_to_send(now)
                if number % 100 == 0:
                    protocol.handle_timer(now)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def remembering(number: int) -> DiscoveryLimits:
    """Limits by which so many strangers are remembered, of each kind."""
    v4 = Discv4Limits(strangers_per_second=10**9, duplicates=number, bonds=number, ping_backs=number)
    return DiscoveryLimits(v4=v4, v5=Discv5Limits(challenges=number))


@pytest.mark.simulation
def test_d3_junk_from_everywhere_takes_less_than_ten_megabytes():
    assert grown(DiscoveryLimits(), 20_000) < 10_000_000


@pytest.mark.simulation
def test_d3_control_without_bounds_it_takes_ever_more():
    grown(remembering(256), 2500)  # what is made once and kept, in the codecs, does not count
    bounded = grown(remembering(256), 2500)
    assert grown(remembering(10**9), 2500) > bounded + 50 * 2500
