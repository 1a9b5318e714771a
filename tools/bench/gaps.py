"""A chart of the times between packets of a shaped session that says much, and of one that says hardly anything.

    unshare --map-root-user --net sh -c 'ip link set lo up; python -m tests.simulation.observed constant busy 42' > constant.busy.json

and the same for ``idle`` and ``paced``, busy and idle at the same time; then `python -m tools.bench.gaps DIRECTORY docs/shaping.svg`.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tools.svg import BAD, GOOD, GRID, curve, document, drawing, line, text

_LEFT, _WIDTH, _HEIGHT, _TOP = 60, 320, 180, 50
_MOST = 0.1  # seconds
_TITLES = {"constant": "constant rate: one cell each 20 ms", "paced": "a pace, and cover behind messages"}


def _shares(file: Path) -> list[tuple[float, float]]:
    """For each gap, to the millisecond, the part of all gaps that are no longer."""
    times = [now for now, _ in json.loads(file.read_text("utf-8"))]
    gaps = sorted(round(later - earlier, 3) for earlier, later in pairwise(times))
    counts = {gap: place for place, gap in enumerate(gaps, 1) if gap <= _MOST}  # the last of those that are equal
    return [(0.0, 0.0), *((gap, count / len(gaps)) for gap, count in counts.items())]


def _panel(directory: Path, kind: str, left: float) -> Iterator[str]:
    yield text(left, _TOP - 14, _TITLES[kind], bold=True)
    for tick in range(0, 101, 20):
        x = left + _WIDTH * tick / 100
        yield line(x, x, _TOP, _TOP + _HEIGHT, GRID)
        yield text(x, _TOP + _HEIGHT + 16, f"{tick} ms", "middle")
    for tick in (0, 50, 100):
        y = _TOP + _HEIGHT * (1 - tick / 100)
        yield line(left, left + _WIDTH, y, y, GRID)
        yield text(left - 6, y + 4, f"{tick} %", "end")
    for how, colour, width in (("busy", BAD, 3.0), ("idle", GOOD, 1.5)):
        points = [(left + _WIDTH * gap / _MOST, _TOP + _HEIGHT * (1 - share)) for gap, share in _shares(directory / f"{kind}.{how}.json")]
        yield curve(points, colour, width)


def chart(directory: Path) -> str:
    """Both panels, side by side."""
    second, below = _LEFT * 2 + _WIDTH + 10, _TOP + _HEIGHT + 42
    parts = [*_panel(directory, "constant", _LEFT), *_panel(directory, "paced", second)]
    parts.append(text(_LEFT, 18, "Part of the gaps between two packets that are no longer than so many milliseconds"))
    parts.append(text(_LEFT, below, "a session that says much", colour=BAD))
    parts.append(text(second, below, "one that says hardly anything", colour=GOOD))
    return document(second + _WIDTH + 40, below + 16, parts)


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.gaps")
    parser.add_argument("directory", type=Path, help="where the packets are")
    parser.add_argument("chart", type=drawing)
    options = parser.parse_args()
    options.chart.write_text(chart(options.directory), "utf-8")


if __name__ == "__main__":
    main()
