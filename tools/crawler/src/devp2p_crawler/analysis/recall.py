"""What part of the reachable nodes a crawl has found: capture and recapture (pure).

The first sample is all that the crawl knows at some time. The second is drawn from the same population in another way: now and then a node
is asked for others in a far part of the key space, chosen by chance, and who it names there has nothing to do with how the crawl got about.
Of n nodes so named that prove to be alive, m were known before: so about m / n of all were (Lincoln and Petersen; the interval is Wilson's,
which holds where m is n, too). Only the latest names count, since the part grows.

The nodes of routing tables are not quite a sample by chance: those that have been there for long are in more of them. So nodes that few
others know are found, and named, more seldom, and the estimate is rather too high than too low.
"""

from math import sqrt
from typing import Final

from devp2p_crawler.model import Recall

LEAST: Final = 40
"""Names of nodes that are alive, below which nothing is said."""
LATEST: Final = 200
"""Names that count."""
_Z: Final = 1.96


def estimate_recall(known: int, named: int, *, found: int, waiting: float = 0.0, since: int = 0) -> Recall | None:
    """Estimate the part that was found, with its 95 % interval; None while there is too little to tell it from.

    `named`: nodes that are alive and were named by chance; `known`: those of them that were known before. `found`: all nodes that have
    answered; `waiting`: nodes that presumably would, and were not visited yet; `since`: those of the found that became known only after the
    names began to be drawn. ValueError for numbers that cannot be.
    """
    if not 0 <= known <= named or not 0 <= since <= found or waiting < 0:
        raise ValueError(f"{known} of {named} nodes were known, {found} are found and {waiting} wait: that cannot be")
    if named < LEAST or not found:
        return None
    visited = found / (found + waiting) * found / max(1, found - since)
    share, square = known / named, _Z * _Z
    middle = (share + square / (2 * named)) / (1 + square / named)
    half = _Z * sqrt(share * (1 - share) / named + square / (4 * named * named)) / (1 + square / named)
    estimate, low, high = (min(1.0, visited * part) for part in (share, max(0.0, middle - half), min(1.0, middle + half)))
    return Recall(estimate=estimate, low=low, high=high)
