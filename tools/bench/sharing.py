"""Several capabilities on one connection: latency beside large messages, a receiver that never reads, shares of the line."""

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from tools.bench.figures import Row, compare, percentile
from tools.bench.plan import KIB, MIB, Benchmark, Plan, size_name
from tools.bench.sides import OURS, Side

_PATIENCE = 30.0
_PERCENTILES = (50, 99)
# The name, the size of the messages and the weight of capabilities that all send as fast as they can.
_FLOWS = (("flood", MIB, 1), ("small", KIB, 1), ("medium", 16 * KIB, 2))


def ping_names(beside: int) -> tuple[str, ...]:
    """The names of the rows for ping-pong beside messages of a size."""
    where = f"beside_{size_name(beside)}" if beside else "idle"
    return tuple(f"qos/ping_p{share}_{where}" for share in _PERCENTILES)


def pings(beside: int, plan: Plan) -> Iterator[Row]:
    """Ping-pong on a connection on which the player also sends messages of a size without pause (0: none)."""
    seconds = plan.seconds(4.0, 1.0) if beside > MIB else plan.seconds(1.5, 0.7)

    def measure(side: Side) -> tuple[float, ...]:
        with side.pair("qos-serve", "qos-play", "--beside", str(beside), "--seconds", str(seconds)) as (_, player):
            waits = sorted(player.line(seconds + _PATIENCE)["waits"])
        return tuple(percentile(waits, share) / 1000 for share in _PERCENTILES)

    pairs = list(plan.alternate_many(OURS, measure))
    for index, name in enumerate(ping_names(beside)):
        yield compare(name, "ms", "lower", [mine[index] for mine, _ in pairs], [theirs[index] for _, theirs in pairs if theirs])


UNREAD_NAMES = tuple(f"qos/unread_{figure}" for figure in ("accepted", "time_to_end", "pings_answered", "longest_answered_ping"))


def unread(plan: Plan) -> Iterator[Row]:
    """Ping-pong beside a capability whose receiver never reads what its sibling keeps sending; once, since it is about limits."""
    patience = plan.seconds(12.0, 3.0)  # how long a pong of go-ethereum is waited for
    arguments = ("--beside", str(64 * KIB), "--stall", "--seconds")
    with OURS.pair("qos-serve", "qos-play", *arguments, "12") as (server, player):
        mine = player.line(_PATIENCE)
        ending = server.line(_PATIENCE)
    sys.stderr.write(f"  how our session ended: {mine['ended']} (the other side: {ending['ended']})\n")
    theirs: dict[str, Any] | None = None
    if plan.peer:
        with plan.peer.pair("qos-serve", "qos-play", *arguments, str(patience)) as (_, player):
            theirs = player.line(_PATIENCE)
        what = f"no pong in {patience:g} s, and the session was still there" if theirs["stuck"] else "the session ended"
        sys.stderr.write(f"  go-ethereum's: {what}\n")
    ours = (ending["unread"] / MIB, mine["seconds"], len(mine["waits"]), max(mine["waits"]) / 1000)
    peers: tuple[float | None, ...] = (None, None, None, None)
    if theirs:
        waits = theirs["waits"] or [0]
        # A session that goes on without answering has no time to its end.
        peers = (theirs["sent"] / MIB, None if theirs["stuck"] else theirs["seconds"], len(waits), max(waits) / 1000)
    for name, unit, value, peer in zip(UNREAD_NAMES, ("MiB", "s", "pings", "ms"), ours, peers, strict=True):
        yield Row(name, value, peer, unit, None, None)


SHARE_NAMES = tuple(f"qos/share_of_{name}" for name, _, _ in _FLOWS)


def shares(plan: Plan) -> Iterator[Row]:
    """What part of the bytes each of several flooding capabilities got, in relation to its weight: 1 is exactly fair."""
    flows = ",".join(f"{name}:{size}:{weight}" for name, size, weight in _FLOWS)

    def measure(side: Side) -> tuple[float, ...]:
        seconds = plan.seconds(10.0 if side is OURS else 3.0, 1.0)
        with side.pair("share-recv", "share-send", "--flows", flows, "--seconds", str(seconds)) as (receiver, _):
            taken = receiver.line(seconds + _PATIENCE)["bytes"]
        total, weights = sum(taken.values()), sum(weight for _, _, weight in _FLOWS)
        return tuple(taken[name] / total / (weight / weights) for name, _, weight in _FLOWS)

    ((mine, theirs),) = plan.alternate_many(OURS, measure, repeats=1)
    for index, name in enumerate(SHARE_NAMES):
        yield Row(name, mine[index], theirs[index] if theirs else None, "x weight", None, None)


def benchmarks() -> Iterable[Benchmark]:
    """All of them, in the order of the table."""
    for beside in (0, MIB, 10 * MIB):
        yield Benchmark(ping_names(beside), partial(pings, beside))
    yield Benchmark(UNREAD_NAMES, unread)
    yield Benchmark(SHARE_NAMES, shares)
