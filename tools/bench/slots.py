"""How long a decision about peers takes: 100 of them, 1,000 candidates, three capabilities. Without a peer to compare with.

Run it by itself: ``python -m tools.bench.slots`` prints a line of JSON for each row.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import TypedDict

from devp2p.errors import DisconnectReason, PeerDisconnected
from devp2p.keys import NodeId
from devp2p.peers.ratings import RatingRule, Ratings, Standing, standings_of
from devp2p.peers.slot_values import SlotCandidate, SlotPeer, SlotSpec
from devp2p.peers.slots import Slots
from devp2p.rates import Conduct
from tools.bench.figures import percentile

_NAMES = ("eth", "snap", "chat")
_PEERS, _CANDIDATES, _ROUNDS = 100, 1000, 200


class Figure(TypedDict):
    """One row."""

    name: str
    ours: float
    unit: str


def rows(rounds: int = _ROUNDS) -> list[Figure]:
    """Medians and 99th percentiles of each kind of decision, and of a tick of the ratings for 1,100 nodes, of which 100 are connected."""
    chance = random.Random(1)  # noqa: S311  (a benchmark that is the same each time)
    return [*_decisions(chance, rounds), *_ratings(chance, max(1, rounds // 4))]


def _decisions(chance: random.Random, rounds: int) -> Iterator[Figure]:
    specs = [SlotSpec("eth", 40, minimum=5, weight=2.0), SlotSpec("snap", 20, minimum=2), SlotSpec("chat", 10)]
    slots = Slots(specs, _PEERS, secret=bytes(16))
    peers = [
        SlotPeer(_id(n), _standings(chance), n % 2 == 0, chance.uniform(-7200, 0), n.to_bytes(2, "big"), chance.random())
        for n in range(_PEERS)
    ]
    known = [_standings(chance) if n % 2 else dict.fromkeys(_shared(chance), Standing()) for n in range(_CANDIDATES)]
    candidates = [SlotCandidate(_id(1000 + n), known[n], (n % 5000).to_bytes(2, "big"), tries=n % 3) for n in range(_CANDIDATES)]
    few, now = peers[: _PEERS // 2], 0.0

    def decide() -> None:
        nonlocal now
        now += 3600.0  # so that the churn budget never forbids to look
        slots.decide(peers, candidates, now, chance.random)

    yield from _timed("slots/decision", rounds, decide)
    yield from _timed("slots/dial", rounds, lambda: slots.next_dial(few, candidates, (), now, chance.random))
    newcomer = SlotPeer(_id(9999), dict.fromkeys(_NAMES, Standing()), inbound=True, since=now, network=b"zz")
    yield from _timed("slots/admission", rounds, lambda: slots.admit(newcomer, peers, now))


def _ratings(chance: random.Random, rounds: int) -> Iterator[Figure]:
    ratings = Ratings([RatingRule(name) for name in _NAMES])
    ids = [_id(n) for n in range(_PEERS + _CANDIDATES)]
    for node_id in ids:
        ratings.proved(node_id, _NAMES, 0.0)
        for name in _NAMES:
            ratings.observe(node_id, name, Conduct(useful=chance.random() * 100, latency=0.1), 1.0)
    for node_id in ids[_PEERS:]:
        ratings.ended(node_id, PeerDisconnected(DisconnectReason.REQUESTED, by_remote=False), 1.0)
    now = 1.0

    def tick() -> None:
        nonlocal now
        now += 10.0
        ratings.refresh(now)
        for node_id in ids[:_PEERS]:
            standings_of(ratings, node_id, _NAMES, now)

    yield from _timed("slots/ratings_tick", rounds, tick)


def _timed(name: str, rounds: int, call: Callable[[], object]) -> Iterator[Figure]:
    times: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    times.sort()
    for share in (50, 99):
        yield {"name": f"{name}_p{share}", "ours": percentile(times, share), "unit": "ms"}


def _id(number: int) -> bytes:
    return NodeId(number.to_bytes(32, "big"))


def _shared(chance: random.Random) -> list[str]:
    return [name for name in _NAMES if chance.random() < 0.7] or ["eth"]


def _standings(chance: random.Random) -> dict[str, Standing]:
    return {name: Standing(quantile=chance.random(), rating=chance.gauss(1, 2), sessions=1) for name in _shared(chance)}


def main() -> int:
    """Print each row."""
    for row in rows():
        sys.stdout.write(json.dumps(row) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
