"""Whom one real node of discovery v4, the victim, has around it: thousands of honest nodes and an attacker's, as a model.

The victim is real, with its table, its limits and its packets, and the datagrams to and from it are lost and delayed. The others are not:

- An honest node answers Pings, pings back those that it does not know, and once the victim has answered that, its FindNodes. It names 16
  live nodes as those that a table as ours would hold: at random where many share its distance from the target, else all that there are.
  Among them are the attacker's, as many as its table would have to bear, which is told by `poison`. Nodes die and others come; those that
  died are still named for five minutes on average. Now and then one pings the victim, as those do that have come upon it in a search.
- The attacker's nodes never die, answer everything, and name the attacker's nodes closest to the target and no others. They press into the
  table: `pressure` times a second one of them pings the victim, every second one from among the hundredth that is closest to it.
- What is left out (the honest nodes' own limits on packets, datagrams between them) is not what decides who is in the victim's table.
"""

import random
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial

import pytest

from devp2p.addresses import Endpoint
from devp2p.discovery.events import Event
from devp2p.discovery.table.kademlia import BUCKET_SIZE
from devp2p.discovery.table.lookup import Lookup
from devp2p.discovery.table.shares import TableLimits
from devp2p.discovery.v4 import packets
from devp2p.discovery.v4.bonds import Discv4Limits
from devp2p.discovery.v4.nodes import contact_at
from devp2p.discovery.v4.protocol import Discv4
from devp2p.keys import PrivateKey, keccak256
from devp2p.records.enr import LocalRecord
from devp2p.records.node_record import NodeRecord
from tests.simulation.network import Network

VICTIM = Endpoint(bytes([50, 1, 1, 1]), 30303)

_VICTIM = "victim"
_NOWHERE = packets.Endpoint(bytes(4), 0, 0)
_STALE = 600.0  # seconds for which a dead node may still be named
_CLOSE = 100  # one of so many of the attacker's nodes counts as close


@cache
def key_of(name: str) -> PrivateKey:
    """A key, the same for the same name."""
    return PrivateKey.from_bytes(random.Random(name).randbytes(32))


class Puppet:
    """One node of the crowd."""

    __slots__ = ("acquaintances", "crowd", "endpoint", "honest", "key", "known", "outgoing", "place")

    def __init__(self, crowd: "Crowd", key: PrivateKey, endpoint: Endpoint, *, honest: bool) -> None:
        self.crowd, self.key, self.endpoint, self.honest = crowd, key, endpoint, honest
        self.place = int.from_bytes(key.public_key.node_id)
        self.known = not honest
        """The victim has answered its Ping."""
        self.outgoing: list[tuple[bytes, Endpoint]] = []
        self.acquaintances: list[Puppet] = []
        """The attacker's nodes in its table."""

    @property
    def id(self) -> bytes:
        return self.key.public_key.node_id

    @property
    def record(self) -> NodeRecord:
        return contact_at(self.key.public_key, self.endpoint, 30303).record

    def ping(self, now: float) -> None:
        self._say(packets.Ping(_NOWHERE, _NOWHERE, int(now) + 20))

    def receive_datagram(self, data: bytes, addr: Endpoint, now: float) -> None:
        decoded = packets.decode(data)
        match decoded.packet:
            case packets.Ping():
                self._say(packets.Pong(packets.Endpoint(addr.ip, addr.port, 0), decoded.hash, int(now) + 20))
                if not self.known:
                    self.ping(now)
            case packets.Pong():
                self.known = True
            case packets.FindNode(target) if self.known:
                named = [packets.Neighbor(*each.endpoint, 30303, bytes(each.key.public_key)) for each in self.crowd.named_by(self, target)]
                for start in range(0, len(named), packets.MAX_NEIGHBORS):
                    self._say(packets.Neighbors(tuple(named[start : start + packets.MAX_NEIGHBORS]), int(now) + 20))
            case _:
                pass

    def datagrams_to_send(self, _now: float) -> Sequence[tuple[bytes, Endpoint]]:
        outgoing, self.outgoing = self.outgoing, []
        return outgoing

    def next_timer(self) -> None:
        return None

    def handle_timer(self, _now: float) -> None:
        pass

    def next_event(self) -> None:
        return None

    def _say(self, packet: packets.Packet) -> None:
        self.outgoing.append((packets.encode(packet, self.key)[0], VICTIM))


@dataclass(frozen=True, kw_only=True)
class People:
    """Who there is."""

    honest: int = 2000
    networks: int = 200
    """/24s of the honest nodes, with as many of them in each."""
    sybils: int = 10_000
    """The attacker's nodes."""
    sybil_networks: int = 1
    sybil_hosts: int = 254
    """Addresses in each of his /24s."""
    poison: int = 10
    """Of his nodes in the table of each honest node."""


class Crowd:
    """All nodes but the victim. Each comes into `network` at once."""

    def __init__(self, network: Network[bytes, Event], seed: int, people: People) -> None:
        self.network, self.people, self.chance = network, people, random.Random(f"{seed} crowd")
        self._born = 0
        self._at: dict[int, Puppet] = {}
        self.sybils = [
            Puppet(self, key_of(f"sybil {number}"), self._sybil_endpoint(number), honest=False) for number in range(people.sybils)
        ]
        self._sybil_places = sorted(puppet.place for puppet in self.sybils)
        for puppet in self.sybils:
            self._at[puppet.place] = puppet
            network.nodes[puppet.endpoint] = puppet
        self.honest: list[Puppet] = []
        self._honest_places: list[int] = []  # with those that died lately
        for number in range(people.honest):
            self._arrive(number % people.networks)

    def live(self, until: float, *, lifetime: float, visits: float, pressure: float) -> None:
        """Let honest nodes live for so many seconds on average, and so many of both kinds ping the victim a second."""
        self.network.churn(lifetime / len(self.honest), until, self._swap)
        self.network.churn(1 / visits, until, lambda: self._visit(self.chance.choice(self.honest)))
        if pressure:
            aim = int.from_bytes(key_of(_VICTIM).public_key.node_id)
            close = sorted(self.sybils, key=lambda puppet: puppet.place ^ aim)[: len(self.sybils) // _CLOSE]
            self.network.churn(2 / pressure, until, lambda: self._visit(self.chance.choice(close)))
            self.network.churn(2 / pressure, until, lambda: self._visit(self.chance.choice(self.sybils)))

    def named_by(self, puppet: Puppet, target: bytes) -> list[Puppet]:
        """Whom a node names to the victim, closest first."""
        aim = int.from_bytes(keccak256(target))
        if not puppet.honest:
            return [self._at[place] for place in nearest(self._sybil_places, aim)]
        shared = 256 - (puppet.place ^ aim).bit_length()
        here = _range(self._honest_places, aim, shared + 1)
        if len(here) > BUCKET_SIZE:
            chosen = random.Random(puppet.place + shared).sample(here, BUCKET_SIZE)  # the same at each time
            known = [self._honest_places[index] for index in chosen]
        else:
            known = nearest(self._honest_places, aim)
        told = [self._at[place] for place in known if place != puppet.place]
        return sorted([*told, *puppet.acquaintances], key=lambda each: each.place ^ aim)[:BUCKET_SIZE]

    def closest(self, target: bytes) -> Puppet:
        """The honest node closest to a target that is there."""
        aim = int.from_bytes(keccak256(target))
        return min(self.honest, key=lambda puppet: puppet.place ^ aim)

    def _arrive(self, where: int) -> None:
        """A node comes, in that one of the networks."""
        number, self._born = self._born, self._born + 1
        puppet = Puppet(self, key_of(f"honest {number}"), honest_endpoint(number, where, self.people.networks), honest=True)
        puppet.acquaintances = self.chance.sample(self.sybils, min(self.people.poison, len(self.sybils)))
        self.honest.append(puppet)
        insort(self._honest_places, puppet.place)
        self._at[puppet.place] = puppet
        self.network.nodes[puppet.endpoint] = puppet

    def _swap(self) -> None:
        """A node dies, and another comes."""
        index = self.chance.randrange(len(self.honest))
        self.honest[index], self.honest[-1] = self.honest[-1], self.honest[index]
        dead = self.honest.pop()
        self.network.silence(dead.endpoint)
        self.network.at(self.network.now + self.chance.uniform(0, _STALE), lambda: self._honest_places.remove(dead.place))
        self._arrive(self.chance.randrange(self.people.networks))

    def _sybil_endpoint(self, number: int) -> Endpoint:
        """His networks have nothing in common: each is in another /16."""
        number, network = divmod(number, self.people.sybil_networks)
        port, host = divmod(number, self.people.sybil_hosts)
        return Endpoint(bytes([110 + network % 16, 50 + network // 16, 3, 1 + host]), 30000 + port)

    def _visit(self, puppet: Puppet) -> None:
        puppet.ping(self.network.now)
        self.network.touch(puppet.endpoint)


def nearest(places: Sequence[int], aim: int, count: int = BUCKET_SIZE) -> list[int]:
    """Of sorted places the closest to `aim`, closest first."""
    shared = max(0, (len(places) // count).bit_length())
    while shared and len(_range(places, aim, shared)) < count:
        shared -= 1
    return sorted((places[index] for index in _range(places, aim, shared)), key=lambda place: place ^ aim)[:count]


def _range(places: Sequence[int], aim: int, shared: int) -> range:
    """Where in sorted places those are that have so many first bits of `aim`."""
    size = 256 - shared
    low = aim >> size << size
    return range(bisect_left(places, low), bisect_left(places, low + (1 << size)))


def honest_endpoint(number: int, where: int, networks: int) -> Endpoint:
    """Where the honest node of a number is, if its network is that one of so many."""
    return Endpoint(bytes([20 + where // 100, where % 100, 7, 1 + number // networks % 250]), 30000 + number % 30000)


def make_victim(
    seed: int, *, bootnodes: Sequence[NodeRecord], seeds: Sequence[NodeRecord] = (), limits: Discv4Limits | None = None
) -> Discv4:
    """A real node, at `VICTIM`."""
    key, chance = key_of(_VICTIM), random.Random(f"{seed} victim")
    local = LocalRecord(key, {"ip": ".".join(map(str, VICTIM.ip)), "udp": VICTIM.port})
    return Discv4(
        local, key, random=chance.random, random_bytes=chance.randbytes, bootnodes=[*bootnodes, *seeds], limits=limits, tcp_port=30303
    )


@contextmanager
def defenceless() -> Iterator[Discv4Limits]:
    """Search without regard to networks; gives limits under which the table has none for them either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("devp2p.discovery.protocol.Lookup", partial(Lookup, per_network=None))
        yield Discv4Limits(table=TableLimits(per_bucket=10**9, per_table=10**9, shared=10**12))
