"""How long a decision about peers takes: 100 of them, 1,000 candidates, three capabilities. Without a peer to compare with.

And how long it takes to rank 8,192 remembered peers, and to save how they behaved, which happens once a minute. Others have their turn
between two steps of these, so the steps are measured, too: here all peers are rated anew, and all are saved.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from devp2p.book import Book
from devp2p.conduct import Conduct
from devp2p.errors import DisconnectReason, PeerDisconnected
from devp2p.keys import NodeId
from devp2p.node import StandingsKeeper
from devp2p.peers import Bans, Pool, RatingRule, Ratings, Standing, standings_of
from devp2p.peers.slots import SlotCandidate, SlotPeer, Slots, SlotSpec
from tools.bench.figures import Row, percentile
from tools.bench.plan import Benchmark, Plan

KINDS: Final = ("decision", "dial", "admission", "ratings_tick", "ranking_step", "save", "save_step")
SHARES: Final = (50, 99)

_NAMES: Final = ("eth", "snap", "chat")
_PEERS, _CANDIDATES, _REMEMBERED, _ROUNDS = 100, 1000, 8192, 200


def benchmarks() -> Iterable[Benchmark]:
    """One for all rows: they take a few seconds."""
    names = tuple(f"slots/{kind}_p{share}" for kind in KINDS for share in SHARES)
    yield Benchmark(names, lambda plan: rows(_rounds(plan)))


def _rounds(plan: Plan) -> int:
    return _ROUNDS // 4 if plan.quick else _ROUNDS


def rows(rounds: int = _ROUNDS) -> list[Row]:
    """Medians and 99th percentiles: of each kind of decision, of a tick of the ratings for 1,100 nodes, and of a save."""
    chance = random.Random(1)  # noqa: S311  (a benchmark that is the same each time)
    return [
        *_decisions(chance, rounds),
        *_ratings(chance, max(1, rounds // 4)),
        *_ranking(chance, rounds),
        *_saves(chance, max(1, rounds // 2)),
    ]


def _decisions(chance: random.Random, rounds: int) -> Iterator[Row]:
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
    yield from _timed("slots/dial", rounds, lambda: slots.next_dial(slots.choice(few, candidates, now, chance.random), ()))
    newcomer = SlotPeer(_id(9999), dict.fromkeys(_NAMES, Standing()), inbound=True, since=now, network=b"zz")
    yield from _timed("slots/admission", rounds, lambda: slots.admit(newcomer, peers, now))


def _ratings(chance: random.Random, rounds: int) -> Iterator[Row]:
    ratings, there = _rated(chance, _PEERS + _CANDIDATES)
    now = 1.0

    def tick() -> None:
        nonlocal now
        now += 10.0
        ratings.refresh(now)
        for node_id in there:
            standings_of(ratings, node_id, _NAMES, now)

    yield from _timed("slots/ratings_tick", rounds, tick)


def _ranking(chance: random.Random, rounds: int) -> Iterator[Row]:
    ratings, _ = _rated(chance, _REMEMBERED)
    times: list[float] = []
    for number in range(max(1, rounds // 20)):
        times += _steps(ratings.refreshing(partial(float, 1000 * (number + 1))))
    yield from _percentiles("slots/ranking_step", times)


def _rated(chance: random.Random, count: int) -> tuple[Ratings, list[bytes]]:
    """So many peers that brought something, and those of them that are still there."""
    ratings = Ratings([RatingRule(name) for name in _NAMES])
    ids = [chance.randbytes(32) for _ in range(count)]
    for node_id in ids:
        ratings.proved(node_id, _NAMES, 0.0)
        for name in _NAMES:
            ratings.observe(node_id, name, Conduct(useful=chance.random() * 100, latency=0.1), 1.0)
    for node_id in ids[_PEERS:]:
        ratings.ended(node_id, PeerDisconnected(DisconnectReason.REQUESTED, by_remote=False), 1.0)
    return ratings, ids[:_PEERS]


def _saves(chance: random.Random, rounds: int) -> Iterator[Row]:
    """The rows that a minute changes: those of who is connected, and of some who have come or gone."""
    ratings, _ = _rated(chance, _REMEMBERED)
    absent = list(ratings)[_PEERS:]
    with tempfile.TemporaryDirectory() as folder, Book.open(Path(folder) / "book") as book:
        keeper = StandingsKeeper(book, ratings, Bans(), Pool())
        # Both clocks stand still, as they would not between two saves: it makes no difference to what is written.
        keeper.save({}, 1.0)

        def come_and_go(node_id: bytes) -> None:
            ratings.proved(node_id, _NAMES, 1.0)
            ratings.ended(node_id, PeerDisconnected(DisconnectReason.REQUESTED, by_remote=False), 1.0)

        def save() -> None:
            for node_id in chance.sample(absent, 10):
                come_and_go(node_id)
            keeper.save({}, 1.0)

        yield from _timed("slots/save", rounds, save)
        for node_id in absent:
            come_and_go(node_id)
        yield from _percentiles("slots/save_step", _steps(keeper.saving({}, lambda: 1.0)))


def _timed(name: str, rounds: int, call: Callable[[], object]) -> Iterator[Row]:
    times: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    yield from _percentiles(name, times)


def _steps(steps: Iterator[None]) -> list[float]:
    """How many milliseconds each step takes."""
    times: list[float] = []
    start = time.perf_counter()
    for _ in steps:
        times.append((time.perf_counter() - start) * 1000)
        start = time.perf_counter()
    return [*times, (time.perf_counter() - start) * 1000]


def _percentiles(name: str, times: list[float]) -> Iterator[Row]:
    times.sort()
    for share in SHARES:
        yield Row(f"{name}_p{share}", percentile(times, share), None, "ms", None, None)


def _id(number: int) -> bytes:
    return NodeId(number.to_bytes(32, "big"))


def _shared(chance: random.Random) -> list[str]:
    return [name for name in _NAMES if chance.random() < 0.7] or ["eth"]


def _standings(chance: random.Random) -> dict[str, Standing]:
    return {name: Standing(quantile=chance.random(), rating=chance.gauss(1, 2), sessions=1) for name in _shared(chance)}
