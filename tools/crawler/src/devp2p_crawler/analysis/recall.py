"""What part of the reachable nodes a crawl has found: capture and recapture (pure).

The nodes that answer are named by others, some by many and some by few. Those who name them fall into two halves, by a bit of their
node-IDs, which has nothing to do with what they know. What either half has named are two samples of the same population: if the second
has named n2 nodes, and m of them are among the n1 of the first, there are about n1 x n2 / m (Chapman's estimator, which does without
division by 0; the interval is Chao's of 1987, of a log-normal number of those that neither has named).

Nodes that few know are missed by both halves more often than chance has it, so the estimate is rather too high than too low. And a crawl
that is not over knows of nodes that it has not visited: `waiting` of them, of which as large a part is taken to be alive as of others.
"""

from math import exp, log, sqrt
from typing import Final

from devp2p_crawler.model import Recall

LEAST: Final = 20
"""Nodes of each half, below which nothing is said."""
_Z: Final = 1.96


def estimate_recall(first: int, second: int, both: int, *, found: int, waiting: float = 0.0) -> Recall | None:
    """Estimate the part that was found, with its 95 % interval; None while there is too little to tell it from.

    `first`, `second` and `both`: nodes that are alive and were named by tellers of the first half, of the second, and of both. `found`:
    all that are alive. `waiting`: nodes that presumably are alive, and were not visited yet. ValueError for numbers that cannot be.
    """
    if not 0 <= both <= min(first, second) or first + second - both > found or waiting < 0:
        raise ValueError(f"of {found} nodes {first} and {second} were named, {both} by both: that cannot be")
    if first < LEAST or second < LEAST or not both:
        return None
    named = first + second - both
    total = (first + 1) * (second + 1) / (both + 1) - 1
    missed = max(0.0, total - named)
    variance = (first + 1) * (second + 1) * (first - both) * (second - both) / ((both + 1) ** 2 * (both + 2))
    if missed > 0:
        spread = exp(_Z * sqrt(log(1 + variance / missed**2)))
        least, most = missed / spread, missed * spread
    else:  # the halves agree: by the rule of three there may be some that neither has named all the same
        share = 3 / both
        least, most = 0.0, named * share * share
    return Recall(
        estimate=found / (found + missed + waiting),
        low=found / (found + most + waiting),
        high=found / (found + least + waiting),
    )
