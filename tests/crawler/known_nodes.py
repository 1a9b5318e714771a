"""Nodes as a crawl knows them, for tests of what is made of them: seeded, with records of every kind that go-ethereum reads."""

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from devp2p_crawler.model import Batch, Crawl, Kind, KnownNode, Outcome, Said, Sighting, SignedRecord, Visit
from devp2p_crawler.stores import SqliteStore

from devp2p import PrivateKey, Record, rlp
from devp2p.capabilities.ethereum.networks import NETWORKS, ForkId

SECOND = 10**6
DAY = 86_400 * SECOND
START = 1_790_000_000 * SECOND
CLIENTS = (
    "Geth/v1.14.0-stable-87246f3c/linux-amd64/go1.22.2",
    "Geth/my,node/v1.13.15-stable/linux-arm64/go1.21.6",
    "reth/v1.1.0-1ba631b/x86_64-unknown-linux-gnu",
    "Nethermind/v1.29.0+dfea5240/linux-x64/dotnet8.0.8",
    "besu/v24.10.0/linux-x86_64/openjdk-java-21",
    "=HYPERLINK(1)",
)


@dataclass(frozen=True)
class _Entry:
    fork_id: ForkId
    later: rlp.Rest = ()


@cache
def key(number: int) -> PrivateKey:
    return PrivateKey.from_bytes((number + 1).to_bytes(32, "big"))


def random_fork_id(chance: random.Random) -> ForkId:
    network = NETWORKS[chance.choice(["mainnet", "sepolia", "hoodi"])]
    forks = (*network.blocks, *network.times, 0)
    index = chance.randrange(len(forks))
    hashes = (*network.fork_hashes, b"\xde\xad\xbe\xef")
    return ForkId(chance.choice([hashes[index], hashes[-1]]), chance.choice([forks[index], 0, 7]))


def random_entries(chance: random.Random) -> dict[str, object]:
    entries: dict[str, object] = {}
    if chance.random() < 0.9:
        first, second = chance.choice([1, 10, 127, 169, 192, 203, 224, 0]), chance.choice([254, 168, 0])
        entries["ip"] = f"{first}.{second}.{chance.randrange(4)}.{chance.randrange(3)}"
    if chance.random() < 0.4:
        entries["ip6"] = chance.choice(["2a01::1", "fe80::1", "::1", "::", "fd00::9", "ff02::1", "::ffff:9.9.9.9", "2a01:7::3"])
    for name, often in (("tcp", 0.7), ("udp", 0.9), ("tcp6", 0.2), ("udp6", 0.2), ("quic", 0.2), ("quic6", 0.1)):
        if chance.random() < often:
            entries[name] = chance.choice([0, 30303, 30304, 65535])
    if chance.random() < 0.6:
        entries["eth"] = _Entry(random_fork_id(chance), (rlp.encode(5),) if chance.random() < 0.2 else ())
    for name in ("les", "snap"):
        if chance.random() < 0.3:
            entries[name] = chance.choice([rlp.encode([]), rlp.encode([1, b"x"]), rlp.encode(b"no list")])
    if chance.random() < 0.1:
        entries["eth"] = rlp.encode([])
    return entries


def signed(record: Record, seen: int = START) -> SignedRecord:
    return SignedRecord(node=bytes(record.id), sequence=record.sequence, raw=record.encode(), seen=seen)


def known(number: int, record: Record | None = None, **changes: object) -> KnownNode:
    """One node with sane facts, some of which are changed."""
    public = key(number).public_key
    record = record or Record.sign(key(number), 1, {"ip": f"8.{number >> 8}.{number & 255}.9", "tcp": 30303, "udp": 30303})
    facts: dict[str, object] = {
        "node": bytes(public.node_id),
        "public_key": bytes(public),
        "first_seen": START,
        "last_seen": START + 20 * DAY,
        "first_ok": START,
        "last_ok": START + 20 * DAY,
        "last_visit": START + 20 * DAY,
        "score": 12,
        "record": signed(record),
        "ip": record.ip.packed if record.ip else b"",
        "udp": record.udp or 0,
        "tcp": record.tcp or 0,
        "said": Said(client=CLIENTS[number % len(CLIENTS)], capabilities=("eth/68", "eth/69", "snap/1"), listen_port=30303),
        "said_at": START + 20 * DAY,
        "outcomes": {Kind.V4: Outcome.OK, Kind.RLPX: Outcome.OK},
        "rtt": 40_000,
        "handshakes": 5,
        "vantages": frozenset({"local"}),
    }
    return KnownNode(**{**facts, **changes})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def random_nodes(seed: int, count: int) -> list[KnownNode]:
    """Nodes by node-ID, with different scores, whose times are whole seconds as go-ethereum writes them."""
    chance = random.Random(seed)
    scores = chance.sample(range(1, 10 * count + 1), count)
    found: list[KnownNode] = []
    for number in range(count):
        first = START + chance.randrange(10**6) * SECOND
        last = first + chance.choice([0, 3600, 86_399, 86_400, 10**6]) * SECOND
        never = chance.random() < 0.1
        record = Record.sign(key(number), chance.randrange(2**20), random_entries(chance))
        found.append(
            known(
                number,
                record,
                score=0 if never else scores[number],
                first_ok=None if never else first,
                last_ok=None if never else last,
                last_visit=None if chance.random() < 0.05 else last + 60 * SECOND,
            )
        )
    return sorted(found, key=lambda node: node.node)


def crawled(path: Path, nodes: list[KnownNode], days: tuple[int, ...] = (0, 5, 9, 20)) -> Path:
    """A database in which each node has been visited by discovery v4 and by RLPx on some days, and answered as `nodes` says."""
    crawl = bytes(16)
    batch = Batch(
        crawls=[
            Crawl(id=crawl, vantage="local", started=START, updated=START, ended=None, program="test", settings="{}", counters="{}"),
        ]
    )
    for node in nodes:
        batch.sightings.append(
            Sighting(
                node=node.node, public_key=node.public_key, vantage="local", ip=node.ip, udp=node.udp, tcp=node.tcp, first=START, last=START
            )
        )
        batch.records.extend([] if node.record is None else [node.record])
        batch.visits.extend(
            Visit(
                crawl=crawl,
                node=node.node,
                kind=kind,
                began=START + day * DAY + kind,
                ended=START + day * DAY + SECOND,
                outcome=outcome,
                ip=node.ip,
                port=node.udp,
                rtt=node.rtt,
                said=node.said if kind is Kind.RLPX else None,
            )
            for day in days
            for kind, outcome in node.outcomes.items()
        )
    with SqliteStore.create_or_open(path) as store:
        store.write(batch)
    return path
