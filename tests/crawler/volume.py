"""A large file as weeks of crawls would make it: `python -m tests.crawler.volume FILE --visits 10000000`.

Of 60,000 nodes 40 % are dead, others come and go; all are visited by UDP about every half hour, in an order of chance, and those that
answered by TCP, too, from two vantages. It prints what writing took: seconds of the wall clock and of computing in the thread that writes.
"""

import argparse
import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devp2p_crawler.model import Batch, Crawl, Kind, Outcome, Said, Sighting, SignedRecord, Visit
from devp2p_crawler.stores import SqliteStore

from tests.crawler.rows import BEGIN

_ROUND = 1_800_000_000  # microseconds
_BATCH = 5000  # visits
_CLIENTS = ("Geth", "Nethermind", "besu", "erigon", "reth", "Ethrex")
_GENESIS = bytes.fromhex("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3")
_DEAD = (Outcome.SILENT, Outcome.SILENT, Outcome.SILENT, Outcome.UNREACHABLE)
_CLOSED = (Outcome.SILENT, Outcome.REFUSED, Outcome.HANDSHAKE_TIMEOUT, Outcome.HUNG_UP)


@dataclass(slots=True)
class _Node:
    node: bytes
    ip: bytes
    kind: Kind
    lives: bool
    is_up: bool
    is_open: bool
    rtt: int
    said: Said


def batches(visits: int, nodes: int = 60_000, seed: int = 1) -> Iterator[Batch]:
    """The rows of such crawls, by time: about so many visits."""
    chance = random.Random(seed)
    population = [_node(chance) for _ in range(nodes)]
    crawls = [number.to_bytes(16, "big") for number in (1, 2)]
    yield Batch(crawls=[_crawl(identity, number, BEGIN) for number, identity in enumerate(crawls)])
    for start in range(0, nodes, _BATCH):
        part = population[start : start + _BATCH]
        yield Batch(
            sightings=[
                Sighting(
                    node=node.node,
                    public_key=node.node * 2,
                    vantage=f"place {number}",
                    ip=node.ip,
                    udp=30303,
                    tcp=30303,
                    first=BEGIN,
                    last=BEGIN + _ROUND,
                )
                for node in part
                for number in (0, 1)
            ],
            records=[SignedRecord(node=node.node, sequence=1, raw=node.node * 4, seen=BEGIN) for node in part],
        )
    done = number = 0
    while done < visits:
        at, batch = BEGIN + number * _ROUND, Batch()
        chance.shuffle(population)
        for place, node in enumerate(population):
            if chance.random() < 0.03:
                node.is_up = node.lives and not node.is_up
            batch.visits += _visits(node, crawls[number % 2], at + place * (_ROUND // nodes), chance)
            if len(batch.visits) >= _BATCH:
                done += len(batch.visits)
                yield batch
                batch = Batch()
                if done >= visits:
                    break
        number += 1
    yield Batch(crawls=[_crawl(identity, number, BEGIN + number * _ROUND) for number, identity in enumerate(crawls)])


def _crawl(identity: bytes, number: int, updated: int) -> Crawl:
    ended = None if updated == BEGIN else updated
    return Crawl(
        id=identity, vantage=f"place {number}", started=BEGIN, updated=updated, ended=ended, program="test", settings="{}", counters="{}"
    )


def _node(chance: random.Random) -> _Node:
    lives = chance.random() < 0.6
    client = f"{chance.choice(_CLIENTS)}/v1.{chance.randint(1, 30)}.{chance.randint(0, 9)}-stable/linux-amd64/go1.24"
    main = chance.random() < 0.5
    said = Said(
        client=client,
        capabilities=("eth/68", "eth/69", "snap/1") if chance.random() < 0.7 else ("eth/69",),
        listen_port=30303,
        eth_version=69,
        network_id=1 if main else chance.randint(2, 300),
        genesis=_GENESIS if main else chance.randbytes(32),
        fork_hash=bytes.fromhex("c376cf8b") if main else chance.randbytes(4),
        fork_next=0,
        head=chance.randbytes(32),
        head_number=23_000_000,
    )
    kind = Kind.V5 if chance.random() < 0.2 else Kind.V4
    return _Node(chance.randbytes(32), chance.randbytes(4), kind, lives, lives, chance.random() < 0.7, chance.randint(5_000, 400_000), said)


def _visits(node: _Node, crawl: bytes, at: int, chance: random.Random) -> Iterator[Visit]:
    up = node.is_up
    yield Visit(
        crawl=crawl,
        node=node.node,
        kind=node.kind,
        began=at,
        ended=at + (2 * node.rtt if up else 3_000_000),
        outcome=Outcome.OK if up else chance.choice(_DEAD),
        ip=node.ip,
        port=30303,
        rtt=node.rtt if up else None,
        asked=3,
        told=16 if up else None,
    )
    if up:
        at += 2 * node.rtt
        yield Visit(
            crawl=crawl,
            node=node.node,
            kind=Kind.RLPX,
            began=at,
            ended=at + 4 * node.rtt,
            outcome=(Outcome.OK if chance.random() < 0.4 else Outcome.TOO_MANY_PEERS) if node.is_open else chance.choice(_CLOSED),
            ip=node.ip,
            port=30303,
            rtt=node.rtt if node.is_open else None,
            asked=1,
            said=node.said if node.is_open else None,
        )


def fill(path: Path, visits: int) -> dict[str, float]:
    """Write a file; what that took: `rows`, and in all `wall`, `computing` seconds of the writing alone, and the most `memory` in MiB."""
    rows, wall, computing = 0, 0.0, 0.0
    with SqliteStore.create_or_open(path) as store:
        for batch in batches(visits):
            began, began_computing = time.perf_counter(), time.thread_time()
            store.write(batch)
            wall += time.perf_counter() - began
            computing += time.thread_time() - began_computing
            rows += len(batch)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "wall": wall, "computing": computing, "memory": memory, "bytes": path.stat().st_size}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--visits", type=int, default=10_000_000)
    options = parser.parse_args()
    sys.stdout.write(json.dumps(fill(options.path, options.visits)) + "\n")


if __name__ == "__main__":
    main()
