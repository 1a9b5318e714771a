"""Crawls with the shape of a real network's, from a seed: for tests of the report, and for what is measured on large files.

A node has a client, a network, and sessions that begin and end, from which its answers to visits follow. Its strings may be hostile.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Final

from devp2p_crawler.model import Batch, Crawl, Kind, Outcome, Said, Sighting, Visit, uuid7

from devp2p.capabilities.ethereum.networks import NETWORKS

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND
BEGAN: Final = 1_795_000_000 * SECOND  # 2026-11-18, 11:06:40 UTC

CLIENTS: Final = {  # client names as nodes send them -> weight
    "Geth/v1.16.7-stable-b9f3a3d9/linux-amd64/go1.25.1": 30,
    "Geth/v1.16.5-stable-737ffd1b/linux-amd64/go1.24.7": 12,
    "Geth/v1.17.0-stable-11aa22bb/linux-arm64/go1.25.3": 9,
    "Geth/v1.13.15-stable-c5ba367e/linux-amd64/go1.21.6": 4,
    "Nethermind/v1.35.2+faa9b9e6/linux-x64/dotnet9.0.10": 14,
    "Nethermind/v1.34.0+e8bb1da0/linux-x64/dotnet9.0.9": 5,
    "reth/v1.9.3-27a8c0f/x86_64-unknown-linux-gnu": 11,
    "reth/v1.8.2-9c30bf7/x86_64-unknown-linux-gnu": 4,
    "besu/v25.11.0/linux-x86_64/openjdk-java-21": 7,
    "erigon/v3.2.2-65e4b4d1/linux-amd64/go1.25.1": 4,
    "EthereumJS/0.10.1/linux/node22.4.0": 1,
    "Geth/mev-node/v1.16.7-stable/linux-amd64/go1.25.1": 1,
    "bor/v2.4.0-stable-2b9dfe5c/linux-amd64/go1.24.6": 3,
    "Nimbus-eth1/v0.2.0-31b0e1b6/linux-amd64/Nim-2.2.4": 1,
    "go-opera/v1.1.3-rc.5/linux-amd64/go1.19": 1,
    "core-geth": 1,
}
HOSTILE: Final = (
    "<script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 1">',
    "<svg onload=window.hacked=1>",
    "</title></style></script><script>window.hacked = 1</script>",
    "javascript:window.hacked=1//'\" onmouseover=window.hacked=1 x=",
    "{{ 7 * 7 }}{% raw %}${7*7}$x^2$",
    "evil\u202egnp.exe\u2066\u200b",
    "a\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308\u0309",
    '=HYPERLINK("http://x")\x00\x1b[31m\x7f',
    "W" * 256,
)
COUNTRIES: Final = ("US", "DE", "FI", "FR", "GB", "SG", "JP", "CA", "NL", "AU")
FAILURES: Final = (
    (Outcome.SILENT, 40),
    (Outcome.REFUSED, 8),
    (Outcome.UNREACHABLE, 5),
    (Outcome.HANDSHAKE_TIMEOUT, 4),
    (Outcome.WRONG_KEY, 3),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a generated file is."""

    nodes: int = 800
    vantages: tuple[str, ...] = ("frankfurt", "singapore")
    crawls: int = 2
    """Of each vantage, one a day."""
    rounds: int = 6
    """Visits to each node in each crawl, of each kind, evenly over a day."""
    dead: float = 0.4
    hostile: float = 0.01
    seed: int = 1


@dataclass(slots=True)
class _Node:
    id: bytes
    public_key: bytes
    ip: bytes
    is_dead: bool
    is_udp_only: bool
    rtt: int
    said: Said
    seen_after: int
    """Microseconds after a crawl began until somebody tells of it."""
    switches: list[int] = field(default_factory=list[int])
    """When its sessions begin and end, in turn."""

    def is_up(self, at: int) -> bool:
        return not self.is_dead and sum(switch <= at for switch in self.switches) % 2 == 1


def batches(shape: Shape) -> Iterator[Batch]:
    """All rows, a round of visits at a time."""
    chance = random.Random(shape.seed)
    nodes = [_make_node(chance, number, shape) for number in range(shape.nodes)]
    for day in range(shape.crawls):
        for place, vantage in enumerate(shape.vantages):
            yield from _crawl(chance, nodes, shape, vantage, BEGAN + day * DAY + place * 600 * SECOND)


def _crawl(chance: random.Random, nodes: Sequence[_Node], shape: Shape, vantage: str, began: int) -> Iterator[Batch]:
    crawl = Crawl(
        id=uuid7(began, chance.randbytes),
        vantage=vantage,
        started=began,
        updated=began,
        ended=None,
        program="devp2p-crawler/0.1.0",
        settings="{}",
        counters="",
    )
    found = [node for node in nodes if chance.random() < 0.97]
    yield Batch(crawls=[crawl], sightings=[_sighting(node, vantage, began) for node in found])
    step = DAY * 9 // 10 // shape.rounds
    ended = began
    for turn in range(shape.rounds):
        visits = list[Visit]()
        for node in found:
            at = began + turn * step + node.seen_after + chance.randrange(5 * SECOND, 300 * SECOND)
            visits += _visits(chance, node, crawl.id, at)
            ended = max(ended, at)
        visits.sort(key=lambda visit: visit.ended)  # as a crawler writes them
        yield Batch(visits=visits)
    counters = (
        f'{{"found": {len(found)}, "packets_sent": {len(found) * 19}, "recall": {{"estimate": 0.9962, "low": 0.9931, "high": 0.9985}}}}'
    )
    yield Batch(crawls=[replace(crawl, updated=ended + SECOND, ended=ended + SECOND, counters=counters)])


def _visits(chance: random.Random, node: _Node, crawl: bytes, at: int) -> Iterator[Visit]:
    is_up = node.is_up(at) and chance.random() > 0.02
    kind = Kind.V4 if node.id[0] % 3 else Kind.V5
    rtt = int(node.rtt * chance.uniform(0.9, 1.5))
    blank = Visit(
        crawl=crawl, node=node.id, kind=kind, began=at, ended=at + 3 * SECOND, outcome=Outcome.SILENT, ip=node.ip, port=30303, asked=3
    )
    if not is_up:
        yield blank
        return
    yield replace(blank, ended=at + 8 * rtt, outcome=Outcome.OK, rtt=rtt, asked=19, told=chance.randrange(30, 120))
    call = replace(blank, kind=Kind.RLPX, began=at + 10 * rtt, ended=at + 16 * rtt, rtt=rtt, asked=1)
    if node.is_udp_only:
        outcome = chance.choices([outcome for outcome, _ in FAILURES], [weight for _, weight in FAILURES])[0]
        yield replace(call, ended=call.began + 5 * SECOND, outcome=outcome, rtt=None)
    elif chance.random() < 0.45:
        said = replace(
            node.said, eth_version=None, network_id=None, genesis=None, fork_hash=None, fork_next=None, head=None, head_number=None
        )
        yield replace(call, outcome=Outcome.TOO_MANY_PEERS, said=replace(said, reason=4))
    else:
        yield replace(call, outcome=Outcome.OK, said=node.said)


def _sighting(node: _Node, vantage: str, began: int) -> Sighting:
    seen = began + node.seen_after
    return Sighting(node=node.id, public_key=node.public_key, vantage=vantage, ip=node.ip, udp=30303, tcp=30303, first=seen, last=seen)


def _make_node(chance: random.Random, number: int, shape: Shape) -> _Node:
    key = blake2b(f"{shape.seed}/{number}".encode(), digest_size=64).digest()
    made = _Node(
        id=blake2b(key, digest_size=32).digest(),
        public_key=key,
        ip=bytes((chance.randrange(11, 200), *chance.randbytes(3))),
        is_dead=chance.random() < shape.dead,
        is_udp_only=chance.random() < 0.18,
        rtt=int(chance.lognormvariate(11.1, 0.75)),
        said=_said(chance, shape),
        seen_after=int(min(chance.expovariate(1 / 90), 1_200) * SECOND),
    )
    at = BEGAN - int(chance.uniform(0, 2) * DAY)
    while at < BEGAN + (shape.crawls + 1) * DAY:
        made.switches.append(at)
        at += int(chance.expovariate(1 / 1.6) * DAY) + 600 * SECOND
        made.switches.append(at)
        at += int(chance.expovariate(1 / 0.5) * DAY) + 600 * SECOND
    return made


def _said(chance: random.Random, shape: Shape) -> Said:
    is_hostile = chance.random() < shape.hostile
    client = chance.choice(HOSTILE) if is_hostile else chance.choices([*CLIENTS], [*CLIENTS.values()])[0]
    versions = chance.choices((("eth/68", "eth/69"), ("eth/68", "eth/69", "eth/70"), ("eth/68",)), (6, 3, 1))[0]
    capabilities = (
        *versions,
        *(("snap/1",) if chance.random() < 0.6 else ()),
        *((f"{chance.choice(HOSTILE)[:40]}/1",) if is_hostile else ()),
    )
    name = chance.choices(("mainnet", "sepolia", "hoodi", ""), (70, 12, 9, 9))[0]
    if not name:
        chain = chance.randrange(1, 6)
        genesis, fork_hash, fork_next, number = (
            blake2b(bytes([chain]), digest_size=32).digest(),
            blake2b(bytes([chain]), digest_size=4).digest(),
            0,
            13_370 + chain,
        )
    else:
        network = NETWORKS[name]
        forks, hashes = (*network.blocks, *network.times, 0), network.fork_hashes
        stands = len(hashes) - chance.choices((1, 2, 3), (90, 7, 3))[0]
        genesis, fork_hash = network.genesis, hashes[stands]
        fork_next, number = chance.choice((forks[stands], 0)), network.network_id
    return Said(
        client=client,
        capabilities=capabilities,
        listen_port=30303,
        eth_version=69,
        network_id=number,
        genesis=genesis,
        fork_hash=fork_hash,
        fork_next=fork_next,
        head=chance.randbytes(32),
        head_number=23_900_000 + chance.randrange(1000),
    )
