"""Whether the time of a refusal tells how far a forged handshake packet came: row H2 of THREATS.md.

As dudect does it: packets of two classes are refused in random order, the slowest tenth is left out, where other work of the machine is,
and Welch's t says whether the two means differ. Above 4.5 they do, with near certainty. The classes are a MAC of which the first byte is
wrong, and one of which only the last byte is: a comparison that stopped at the first difference would be faster for the former.
"""

import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import sqrt
from statistics import fmean, variance

from devp2p.errors import HandshakeError
from devp2p.keys import PrivateKey
from devp2p.wire.rlpx import ecies
from tools.bench.figures import Row
from tools.bench.plan import Benchmark, Plan

_KEPT = 0.9
_WARM_UP = 200


def forgeries(key: PrivateKey) -> tuple[bytes, bytes]:
    """Two packets to a key that do not open, since the first byte of the MAC is wrong, or the last."""
    packet = ecies.encrypt(key.public_key, bytes(300), ephemeral=PrivateKey.generate(), iv=bytes(16))
    first, last = bytearray(packet), bytearray(packet)
    first[-32] ^= 1
    last[-1] ^= 1
    return bytes(first), bytes(last)


def refusal_times(refuse: Callable[[bytes], object], packets: tuple[bytes, bytes], seconds: float) -> tuple[list[int], list[int]]:
    """Nanoseconds that each refusal took, of either packet."""
    chance = random.Random(1)  # noqa: S311  (an order that nothing can be in step with)
    times: tuple[list[int], list[int]] = ([], [])
    end = time.monotonic() + seconds
    warm_up = _WARM_UP
    while time.monotonic() < end or warm_up:
        which = chance.getrandbits(1)
        began = time.perf_counter_ns()
        with suppress(HandshakeError):
            refuse(packets[which])
        took = time.perf_counter_ns() - began
        if warm_up:
            warm_up -= 1
        else:
            times[which].append(took)
    return times


def welch(one: list[int], other: list[int]) -> float:
    """Welch's t of two samples without their slowest tenth; ValueError if there is too little."""
    bound = sorted(one + other)[int(_KEPT * (len(one) + len(other))) - 1]
    left, right = ([value for value in sample if value <= bound] for sample in (one, other))
    if min(len(left), len(right)) < 2:
        raise ValueError("too few samples")
    spread = sqrt(variance(left) / len(left) + variance(right) / len(right))
    return (fmean(left) - fmean(right)) / spread if spread else 0.0


def _mac(plan: Plan) -> Iterable[Row]:
    key = PrivateKey.generate()
    times = refusal_times(lambda packet: ecies.decrypt(key, packet), forgeries(key), plan.seconds(5.0, 1.0))
    yield Row("oracle/mac_byte", abs(welch(*times)), None, "t", None, None)


def benchmarks() -> list[Benchmark]:
    """The one that there is."""
    return [Benchmark(("oracle/mac_byte",), _mac)]
