"""Whether two samples may be of one distribution."""

import math
from bisect import bisect_right
from collections.abc import Sequence


def likeness(one: Sequence[float], other: Sequence[float]) -> float:
    """How likely two samples of one distribution are to differ as much as these (Kolmogorov and Smirnov), asymptotically."""
    values, count = sorted({*one, *other}), len(one) * len(other) / (len(one) + len(other))
    first, second = sorted(one), sorted(other)
    distance = max(abs(bisect_right(first, at) / len(first) - bisect_right(second, at) / len(second)) for at in values)
    if not distance:
        return 1.0
    scaled = distance * (math.sqrt(count) + 0.12 + 0.11 / math.sqrt(count))
    return min(1.0, 2 * math.fsum((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101)))
