"""A bar chart as SVG: for each row the ratio to go-ethereum on a logarithmic scale, with its spread."""

import math
from collections.abc import Iterator, Sequence

from tools.bench.figures import Row
from tools.svg import BAD, GOOD, GRID, INK, bar, document, line, text

_LEFT, _WIDTH, _RIGHT = 270, 520, 60  # for the names, the bars, the numbers behind them
_LINE, _BAR, _TOP, _BOTTOM = 20, 12, 44, 30
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


class _Scale:
    """Turns a ratio into a place on the page."""

    def __init__(self, rows: Sequence[Row]) -> None:
        values = [1.0, *(value for row in rows for value in (row.ratio, *(row.spread or ())) if value)]
        self.least = max((tick for tick in _TICKS if tick <= min(values)), default=_TICKS[0])
        self.most = min((tick for tick in _TICKS if tick >= max(values)), default=_TICKS[-1])
        if self.least == self.most:
            self.most = _TICKS[_TICKS.index(self.most) + 1]

    def x(self, ratio: float) -> float:
        inside = min(max(ratio, self.least), self.most)
        return round(_LEFT + _WIDTH * math.log(inside / self.least) / math.log(self.most / self.least), 1)

    def ticks(self) -> Iterator[float]:
        yield from (tick for tick in _TICKS if self.least <= tick <= self.most)


def _bar(row: Row, ratio: float, top: float, scale: _Scale) -> Iterator[str]:
    middle, start, end = top + _LINE / 2, scale.x(1), scale.x(ratio)
    colour = GOOD if ratio >= 1 else BAD
    yield text(_LEFT - 8, middle + 4, row.name, "end")
    left, width = min(start, end), round(abs(end - start), 1)
    yield bar(left, middle - _BAR / 2, width, _BAR, colour)
    if row.spread is not None:
        yield line(scale.x(row.spread[0]), scale.x(row.spread[1]), middle, middle, INK)
    yield text(_LEFT + _WIDTH + 8, middle + 4, f"{ratio:.2f}")


def bars(rows: Sequence[Row]) -> str:
    """The chart as a document; rows without a ratio are left out."""
    shown = [(row, row.ratio) for row in rows if row.ratio]
    scale, bottom = _Scale(rows), _TOP + _LINE * len(shown)
    width, height = _LEFT + _WIDTH + _RIGHT, bottom + _BOTTOM
    parts = [text(_LEFT, 18, "How many times better than go-ethereum (1: the same; the line shows the spread)")]
    for tick in scale.ticks():
        parts += [line(scale.x(tick), scale.x(tick), _TOP - 4, bottom, INK if tick == 1 else GRID)]
        parts += [text(scale.x(tick), _TOP - 8, f"{tick:g}", "middle"), text(scale.x(tick), bottom + 16, f"{tick:g}", "middle")]
    for number, (row, ratio) in enumerate(shown):
        parts += _bar(row, ratio, _TOP + _LINE * number, scale)
    return document(width, height, parts)
