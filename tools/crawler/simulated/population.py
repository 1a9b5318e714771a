"""Who is in a simulated network (pure): nodes with their keys and addresses, what each of them is like, and what liars make up.

Everything follows from the plan, seed included. Addresses are of 127.0.0.0/8, as a rule one for each node; a few hosts have two or three
nodes, at different ports. A node is found by where a packet was sent to, so nobody answers at any other address.
"""

import enum
import hashlib
import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from devp2p import rlp
from devp2p.addresses import Endpoint
from devp2p.capabilities.ethereum.networks import NETWORKS, Network, eth_entries, snap_entries
from devp2p.discovery.v4.packets import Neighbor
from devp2p.keys import NodeId, PrivateKey
from devp2p.records import Record

BUCKETS: Final = 17
"""How many buckets go-ethereum's table has: one for each distance from 256 to 241, and one for all that are nearer."""
NEAREST: Final = 256 - BUCKETS + 1
"""The greatest distance that belongs to the last bucket, 240."""
PORTS: Final = 3
"""At how many ports nodes listen, so many can one host have."""
_VICTIMS: Final = 251  # 127.251.0.0/16 has the addresses of victims,
_NOWHERE: Final = 252  # and 127.252.0.0/15 those where nobody is
_OWN: Final = 250 << 16  # nodes are below 127.250.0.0


class Kind(enum.StrEnum):
    """How a node behaves."""

    HONEST = "honest"
    HOSTILE_NAME = "hostile-name"
    """Honest, but for the name that it gives as its client."""
    DEAD = "dead"
    """Says nothing, and closes every connection; it was there until lately, so others still tell of it."""
    LIAR = "liar"
    """Is what it says, but the nodes of which it tells do not exist; some of them have the address of a victim."""
    TAR_PIT = "tar-pit"
    """Takes connections and says nothing; answers pings, and nothing else."""
    BOMB = "bomb"
    """Answers pings; other answers are garbage, too large, or without end."""


REACHABLE: Final = frozenset({Kind.HONEST, Kind.HOSTILE_NAME, Kind.LIAR})
"""Those that answer who asks for their record; recall is counted over them."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What network to make. Shares are of all nodes; what they leave is honest."""

    nodes: int
    seed: int
    dead: float = 0.4
    liars: float = 0.01
    tar_pits: float = 0.01
    bombs: float = 0.01
    hostile_names: float = 0.01
    sharing: float = 0.05
    """The share of nodes that have their host with others, up to three to a host."""
    fakes: int = 0
    """How many nodes liars make up; 0 for a quarter of all nodes, and at least 1,000."""
    victims: int = 5
    round_trip: tuple[float, float] = (0.02, 0.08)
    """Seconds from a question to its answer; each node has its own."""
    chains: bool = True
    """Whether nodes are of Ethereum networks: their records have the fork id, their sessions a Status."""

    def __post_init__(self) -> None:
        """ValueError where no such network can be."""
        shares = (self.dead, self.liars, self.tar_pits, self.bombs, self.hostile_names)
        if not 1 <= self.nodes <= 1_000_000:
            raise ValueError(f"a network of {self.nodes} nodes: write from 1 to 1000000")
        if min(*shares, self.sharing) < 0 or sum(shares) >= 1 or self.sharing > 1:
            raise ValueError("shares of nodes are from 0 on, and less than 1 together, since somebody must be honest")
        low, high = self.round_trip
        if not 0 <= low <= high <= 10:
            raise ValueError(f"round trips of {low} to {high} s: write the shorter first, and at most 10 s")

    def dice(self, purpose: str) -> random.Random:
        """The randomness for one purpose."""
        return random.Random(f"simulated network {self.seed} {purpose}")  # noqa: S311  (no secret)


class MadeUp:
    """A node that does not exist, as liars tell of it. Its record is signed by its own key, so that it cannot be told from others'."""

    def __init__(self, secret: bytes, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.key = PrivateKey(secret)
        self.id: NodeId = self.key.public_key.node_id
        self.number: int = int.from_bytes(self.id, "big")

    @cached_property
    def neighbor(self) -> bytes:
        """An item of Neighbors, encoded."""
        return neighbor_item(self.key, self.endpoint)

    @cached_property
    def record_data(self) -> bytes:
        """The signed record, encoded; signed when it is first wanted."""
        return Record.sign(self.key, 1, _place(self.endpoint)).encode()


class Member:
    """A node of the network. Its key is there from the beginning, and what it says of itself is made when it is first asked."""

    def __init__(self, index: int, secret: bytes, endpoint: Endpoint, kind: Kind) -> None:
        self.index = index
        self.endpoint = endpoint
        self.kind = kind
        self.key = PrivateKey(secret)
        self.id: NodeId = self.key.public_key.node_id
        self.number: int = int.from_bytes(self.id, "big")
        self.round_trip: float = 0.0
        self.dead_for: float = 0.0
        """Seconds since it died, when the run begins."""
        self.age: float = 1.0
        """How long it has been there, as a part of the longest time, 0 to 1; the dead until they died."""
        self.chain: str = ""
        """The name of its Ethereum network, if it has one."""
        self.serves_snap: bool = False
        self.is_full: bool = False
        """Whether it has as many peers as it wants, and so sends whoever dials it away after its Hello."""

    @property
    def reachable(self) -> bool:
        """Whether it answers who asks for its record."""
        return self.kind in REACHABLE

    @cached_property
    def neighbor(self) -> bytes:
        """An item of Neighbors, encoded."""
        return neighbor_item(self.key, self.endpoint)

    @cached_property
    def record(self) -> Record:
        """What it signs about itself."""
        entries = _place(self.endpoint)
        if self.chain:
            entries |= eth_entries(NETWORKS[self.chain], head_of(NETWORKS[self.chain]))
        if self.serves_snap:
            entries |= snap_entries()
        return Record.sign(self.key, 1 + self.index % 7, entries)

    @cached_property
    def record_data(self) -> bytes:
        """The record, encoded."""
        return self.record.encode()

    @property
    def enode(self) -> str:
        """Where it is, as text."""
        return f"enode://{bytes(self.key.public_key).hex()}@{self.endpoint}"


class Asker(NamedTuple):
    """Somebody from outside, as an entry of a table."""

    number: int
    """The node-ID as a number."""
    neighbor: bytes
    """An item of Neighbors, encoded."""
    record_data: bytes
    """The signed record, encoded; empty if it is not known."""


Contact: TypeAlias = Member | Asker
"""What a table holds, and what an answer tells of."""


class Numbered(Protocol):
    """What has a node-ID."""

    @property
    def number(self) -> int:
        """The node-ID as a number."""
        ...


N = TypeVar("N", bound=Numbered)


class Ring(Generic[N]):
    """Nodes in the order of their node-IDs; those at some distance from a place are one slice of it."""

    def __init__(self, nodes: Sequence[N]) -> None:
        self.nodes: list[N] = sorted(nodes, key=lambda node: node.number)
        self._numbers = [node.number for node in self.nodes]

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, index: int) -> N:
        return self.nodes[index]

    def __iter__(self) -> Iterator[N]:
        return iter(self.nodes)

    def at(self, number: int, distance: int) -> range:
        """The indexes of the nodes at the logarithmic distance, 1 to 256, from the node-ID `number`."""
        branch = (number >> (distance - 1)) ^ 1
        return self._under(branch, distance - 1)

    def within(self, number: int, distance: int) -> range:
        """The indexes of the nodes at the logarithmic distance, 0 to 256, or nearer; a node with that ID is among them."""
        return self._under(number >> distance, distance)

    def _under(self, branch: int, bits: int) -> range:
        return range(bisect_left(self._numbers, branch << bits), bisect_left(self._numbers, (branch + 1) << bits))


@dataclass(frozen=True)
class Head:
    """The newest block of a chain: what a fork id depends on."""

    number: int
    timestamp: int


def head_of(network: Network) -> Head:
    """A head behind all upgrades that are known: what a node has that is up to date."""
    return Head(max((*network.blocks, 25_000_000)), max((*network.times, 1_780_000_000)))


def neighbor_item(key: PrivateKey, endpoint: Endpoint) -> bytes:
    """An item of Neighbors, encoded."""
    return _NEIGHBOR.encode(Neighbor(endpoint.ip, endpoint.port, endpoint.port, bytes(key.public_key)))


_NEIGHBOR: Final = rlp.codec(Neighbor)


def _place(endpoint: Endpoint) -> dict[str, object]:
    return {"ip": ".".join(map(str, endpoint.ip)), "tcp": endpoint.port, "udp": endpoint.port}


class Population:
    """All that there is: nodes, what liars make up, and the addresses of victims."""

    def __init__(self, plan: Plan, ports: Sequence[int]) -> None:
        """`ports` are the `PORTS` at which nodes listen; most of them at the first."""
        self.plan = plan
        self.members = _members(plan, ports)
        self.ring: Ring[Member] = Ring(self.members)
        self.at: dict[Endpoint, Member] = {member.endpoint: member for member in self.members}
        self.victims: frozenset[bytes] = frozenset(_ip(_VICTIMS << 16 | number + 1) for number in range(plan.victims))
        self._port = ports[0]

    @cached_property
    def fakes(self) -> Ring[MadeUp]:
        """What liars tell of: most of it is nowhere, a fifth at a victim's address."""
        plan, dice = self.plan, self.plan.dice("fakes")
        victims = sorted(self.victims)
        made: list[MadeUp] = []
        for number in range(plan.fakes or max(1000, plan.nodes // 4)):
            ip = dice.choice(victims) if victims and dice.random() < 0.2 else _ip((_NOWHERE << 16) + dice.randrange(1, 0x1FFFE))
            made.append(MadeUp(_secret(plan, "fake", number), Endpoint(ip, self._port)))
        return Ring(made)

    @cached_property
    def fakes_at(self) -> dict[Endpoint, list[NodeId]]:
        """The node-IDs that liars place somewhere."""
        found: dict[Endpoint, list[NodeId]] = {}
        for fake in self.fakes:
            found.setdefault(fake.endpoint, []).append(fake.id)
        return found

    @property
    def bootnode(self) -> Member:
        """An honest node, by which a crawl begins."""
        return next(member for member in self.members if member.kind is Kind.HONEST)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many nodes there are of each kind."""
        return {kind.value: sum(member.kind is kind for member in self.members) for kind in Kind}

    @cached_property
    def reachable(self) -> int:
        """How many nodes answer who asks for their record."""
        return sum(member.reachable for member in self.members)


_CHAINS: Final = (("mainnet", 0.6), ("sepolia", 0.12), ("hoodi", 0.13), ("", 0.15))
_FULL: Final = 0.25  # the share of nodes
_LONGEST_DEAD: Final = 1800.0  # seconds


def _members(plan: Plan, ports: Sequence[int]) -> list[Member]:
    dice = plan.dice("members")
    kinds = _kinds(plan, dice)
    endpoints = _endpoints(plan, ports, dice)
    members: list[Member] = []
    for index, (kind, endpoint) in enumerate(zip(kinds, endpoints, strict=True)):
        member = Member(index, _secret(plan, "node", index), endpoint, kind)
        member.round_trip = dice.uniform(*plan.round_trip)
        member.dead_for = dice.uniform(0, _LONGEST_DEAD) if kind is Kind.DEAD else 0.0
        if plan.chains:
            (member.chain,) = dice.choices([name for name, _ in _CHAINS], [share for _, share in _CHAINS])
            member.serves_snap = bool(member.chain) and dice.random() < 0.5
        member.age = dice.random()
        member.is_full = dice.random() < _FULL
        members.append(member)
    return members


def _kinds(plan: Plan, dice: random.Random) -> list[Kind]:
    shares = {
        Kind.DEAD: plan.dead,
        Kind.LIAR: plan.liars,
        Kind.TAR_PIT: plan.tar_pits,
        Kind.BOMB: plan.bombs,
        Kind.HOSTILE_NAME: plan.hostile_names,
    }
    kinds = [kind for kind, share in shares.items() for _ in range(round(share * plan.nodes))][: plan.nodes - 1]
    kinds += [Kind.HONEST] * (plan.nodes - len(kinds))
    dice.shuffle(kinds)
    return kinds


def _endpoints(plan: Plan, ports: Sequence[int], dice: random.Random) -> list[Endpoint]:
    """A place for each node, in no order."""
    hosts = dice.sample(range(1 << 8, _OWN), plan.nodes)
    found: list[Endpoint] = []
    while len(found) < plan.nodes:
        ip = _ip(hosts.pop())
        sharing = dice.randint(2, PORTS) if dice.random() < plan.sharing / 2.5 else 1
        found += [Endpoint(ip, port) for port in ports[:sharing]]
    del found[plan.nodes :]
    dice.shuffle(found)
    return found


def _ip(number: int) -> bytes:
    return bytes([127]) + number.to_bytes(3, "big")


def _secret(plan: Plan, what: str, index: int) -> bytes:
    """A private key: any 32 bytes are one, but for a number of them that nobody meets."""
    return hashlib.sha256(f"simulated {what} {plan.seed} {index}".encode()).digest()
