"""Rows D8 and D20 of THREATS.md: who wants to be all our peers, and who wants us to knock at a victim's door.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, DialError, DiscoverySettings, Limits, NodeRecord, PrivateKey
from devp2p.book import Book
from devp2p.discovery.candidates import Candidate, Mixer
from devp2p.peers import dial_history
from devp2p.peers.admission import Admission
from devp2p.peers.dial_history import DialHistory
from devp2p.testing import ScriptedPeer
from tests.books import NOW, enode, fill
from tests.chat import Chat
from tests.network import LARGE, Network, running

VICTIM = "9.9.9.9"


# D8: two hosts, any number of keys, and a node that has just started


async def besieged(settings: DiscoverySettings) -> tuple[int, bool]:
    """Have ten nodes come by themselves to a node with six places: how many get one, and whether the node can then dial whom it wants."""
    network = Network()
    async with running(network, max_peers=6, discovery=settings) as node, running(network, "honest", key=LARGE) as honest:
        for _ in range(10):
            peer = await ScriptedPeer.dial(network, node.record, [Chat()], key=PrivateKey.generate())
            await peer.begin()
            await wait_all_tasks_blocked()
        await trio.sleep(5)  # those that had to make room are gone
        came = sum(peer.inbound for peer in node.connected)
        try:
            await node.connect(honest.record)
        except DialError:
            return came, False
        return came, True


async def test_d8_who_comes_by_himself_does_not_get_the_places_of_those_whom_we_choose():
    assert await besieged(DiscoverySettings(listen="udp://127.0.0.1:0")) == (4, True)


async def test_d8_control_where_nothing_is_reserved_they_get_all():
    assert await besieged(DiscoverySettings(listen="udp://127.0.0.1:0", dials=False)) == (6, False)


def links_let_in(limits: Limits, hosts: int, seconds: int) -> int:
    """Knock from so many hosts ten times a second; how often there is a handshake."""
    admission, let_in = Admission(limits), 0
    for tick in range(10 * seconds):
        for host in range(hosts):
            caller = admission.identify(Address("tcp", f"66.6.{host}.6", 30303))
            if admission.knock(caller, tick / 10) is None and admission.begin(caller) is None:
                let_in += 1
                admission.release(caller)
    return let_in


def test_d8_two_hosts_knock_six_times_in_a_minute():
    assert links_let_in(Limits(), 2, 60) == 6


def test_d8_control_without_a_wait_between_two_links_each_time():
    assert links_let_in(Limits(inbound_retry=0.0), 2, 60) == 1200


def first_twenty(poisoned: str, *, apart: bool) -> int:
    """How many of the first twenty candidates are an attacker's, who has filled one of four sources, or all if they are not kept apart."""
    mixer = Mixer()
    sybils = {enode(1000 + number).id for number in range(200)}
    for number in range(200):
        mixer.offer(Candidate(enode(1000 + number), poisoned if apart else "all"), 0.0)
    for source in ("v4", "v5", "dns", "book"):
        for number in range(10):
            mixer.offer(Candidate(enode(100 * len(source) + 7 * number + ord(source[1])), source if apart else "all"), 0.0)
    taken = [mixer.take(0.0) for _ in range(20)]
    return sum(candidate is not None and candidate.record.id in sybils for candidate in taken)


@pytest.mark.parametrize("poisoned", ["v4", "v5", "dns", "book"])
def test_d8_whoever_fills_one_source_of_four_is_one_of_four_that_are_dialled(poisoned):
    assert first_twenty(poisoned, apart=True) == 5


def test_d8_control_from_one_pot_all_are_his():
    assert first_twenty("v4", apart=False) == 20


def test_d8_a_book_full_of_one_network_gives_two_of_its_nodes():
    with Book.open(":memory:") as book:
        sybils = [enode(1000 + number, f"66.6.6.{number}") for number in range(200)]
        fill(book, sybils + [enode(number) for number in range(30)])
        seeds = book.seeds(now=NOW, random=random.Random(1).random)
        assert len(set(seeds) & set(sybils)) <= 2
        drawn = random.Random(1).sample([*sybils, *map(enode, range(30))], 30)  # the control: as a book without networks would draw
        assert len(set(drawn) & set(sybils)) > 20


# D20: any number of records that name one address


@dataclass(frozen=True)
class Claim:
    """As much of a node as the history looks at; real keys would take long to make."""

    id: bytes
    addresses: tuple[Address, ...]


def dials_of(claims: int, seconds: int, host: str = VICTIM) -> list[tuple[float, bytes]]:
    """Have so many nodes found within a time, all of them at one host; when which of them are dialled."""
    history = DialHistory()
    dials: list[tuple[float, bytes]] = []
    for number in range(claims):
        now = number * seconds / claims
        record = cast("NodeRecord", Claim(number.to_bytes(32), (Address("tcp", host, 30303),)))
        if history.why_not(record, now) is None:
            history.dialled(record, now)
            history.failed(record.id, DialError("no session", target=None), now)
            dials.append((now, record.id))
    return dials


@pytest.mark.parametrize("host", [VICTIM, "victim.example"])
def test_d20_a_hundred_thousand_records_lead_to_three_dials_in_ten_minutes(host):
    dials = dials_of(100_000, 600, host)
    assert len(dials) == 3
    assert all(later - sooner >= 35 for (sooner, _), (later, _) in pairwise(dials))


def test_d20_it_goes_on_like_that_for_a_day():
    dials = dials_of(100_000, 86_400)
    assert len(dials) <= 3 * 144
    assert all(window <= 3 for window in windows(dials, 600))


def windows(dials: list[tuple[float, bytes]], seconds: float) -> Iterator[int]:
    for begin, _ in dials:
        yield sum(begin <= when < begin + seconds for when, _ in dials)


@pytest.mark.parametrize("host", [VICTIM, "victim.example"])
def test_d20_control_without_the_bounds_of_a_host_all_of_them_are(host, monkeypatch):
    monkeypatch.setattr(dial_history, "HOST_INTERVAL", 0.0)
    monkeypatch.setattr(dial_history, "HOST_NODES", 10**9)
    assert len(dials_of(1000, 600, host)) == 1000
