"""``python -m tools.hops``: how far searches go in networks of 100 to 10,000 nodes; draws docs/discovery.svg, prints the figures.

The networks are those of tests/simulation/ideal.py: true tables and searches, without time and datagrams; a question or its answer is lost
with probability 0.05 each. It takes about a minute.
"""

import argparse
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import linear_regression

from tests.simulation.ideal import Ways, ideal
from tools.svg import BAD, GOOD, GRID, INK, INTERRUPTED, document, dot, drawing, line, text

PLOT = Path(__file__).resolve().parent.parent / "docs" / "discovery.svg"
SIZES = (100, 300, 1000, 3000, 10_000)
SEARCHES = 1000
LOSS = 0.05

_LEFT, _TOP, _WIDTH, _HEIGHT = 60, 50, 560, 260
_MOST = 2.0  # hops at the upper edge


def _x(nodes: float) -> float:
    share = math.log(nodes / SIZES[0]) / math.log(SIZES[-1] / SIZES[0])
    return round(_LEFT + 20 + share * (_WIDTH - 40), 1)


def _y(hops: float) -> float:
    return round(_TOP + _HEIGHT * (1 - hops / _MOST), 1)


def chart(ways: Mapping[int, Ways]) -> str:
    """The mean number of hops by the number of nodes, with two standard errors each way, and the straight line through them."""
    fit = linear_regression([math.log2(nodes) for nodes in ways], [way.hops for way in ways.values()])
    parts = [text(_LEFT, 20, "Hops of a search: answers, one after the other, that led to the closest node (5 % loss)")]
    parts += [text(_LEFT, 38, f"{fit.slope:.2f} more for each doubling of the network; the bars are two standard errors")]
    for tick in (0.0, 0.5, 1.0, 1.5, 2.0):
        parts += [line(_LEFT, _LEFT + _WIDTH, _y(tick), _y(tick), GRID), text(_LEFT - 8, _y(tick) + 4, f"{tick:.1f}", "end")]
    first, last = min(ways), max(ways)
    ends = [fit.slope * math.log2(nodes) + fit.intercept for nodes in (first, last)]
    parts += [line(_x(first), _x(last), _y(ends[0]), _y(ends[1]), BAD)]
    for nodes, way in ways.items():
        parts += [line(_x(nodes), _x(nodes), _y(way.hops - 2 * way.hops_error), _y(way.hops + 2 * way.hops_error), INK)]
        parts += [dot(_x(nodes), _y(way.hops), GOOD), text(_x(nodes), _y(way.hops) - 14, f"{way.hops:.2f}", "middle")]
        parts += [text(_x(nodes), _TOP + _HEIGHT + 18, f"{nodes:,}", "middle")]
    parts += [text(_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 38, "nodes (logarithmic)", "middle")]
    return document(_LEFT + _WIDTH + 20, _TOP + _HEIGHT + 50, parts)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; wrong ones end the program with status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.hops",
        description="Search in model networks of 100 to 10,000 nodes. It takes about a minute, prints a table and draws a plot.",
    )
    parser.add_argument("--out", type=drawing, default=PLOT, metavar="FILE", help="where the plot goes (default: docs/discovery.svg)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Search, draw, print."""
    options = parse(arguments)
    ways: dict[int, Ways] = {}
    print("| nodes | hops | questions | all 16 closest found |\n|---|---|---|---|")
    for nodes in SIZES:
        way = ways[nodes] = ideal(nodes, 1).survey(SEARCHES, 1, loss=LOSS)
        print(f"| {nodes:,} | {way.hops:.2f} ± {way.hops_error:.2f} | {way.queries:.1f} | {way.exact:.1%} |", flush=True)
    options.out.write_text(chart(ways), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
