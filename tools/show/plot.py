"""The run as pictures, drawn by hand: true service over time, and who has taken the places; as SVG, PNG, and a page with the figures."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from tools.show.board import Board, Sample, offers
from tools.show.meters import mean
from tools.show.plan import Nature
from tools.show.reports import Event
from tools.show.summary import summary_rows
from tools.svg import FONTS, GRID, INK, area, curve, document, line, text

COLOURS = {Nature.GOOD: "#2a7f62", Nature.SLOW: "#d9a441", Nature.USELESS: "#9a9a9a", Nature.HOSTILE: "#b5383b"}
_FAINT, _CHANCE = "#8fb9ab", "#555555"
_LEFT, _WIDTH, _RIGHT = 64, 640, 150
_TOP, _HEIGHT, _GAP, _BOTTOM = 56, 220, 56, 44
_LINE = 16  # from one line of text to the next
_FIGURES = ("places", "bulk_bytes", "echo_answers", "news_first", "wrong", "timeouts", "changes", "drops")
_ZOOM = 2  # pixels of the PNG for each unit of the SVG
_STYLE = "body{font-family:sans-serif;max-width:60em;margin:2em auto} table{margin:1em 0} td,th{padding:2px 10px;text-align:left}"


class _Frame:
    """One diagram: turns seconds and values into places on the page."""

    def __init__(self, top: float, seconds: float, most: float) -> None:
        self.top, self.bottom = top, top + _HEIGHT
        self._seconds, self._most = max(seconds, 1e-9), max(most, 1e-9)

    def x(self, seconds: float) -> float:
        return round(_LEFT + _WIDTH * seconds / self._seconds, 1)

    def y(self, value: float) -> float:
        return round(self.bottom - _HEIGHT * min(value, self._most) / self._most, 1)

    def points(self, values: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(self.x(seconds), self.y(value)) for seconds, value in values]

    def across(self, value: float, colour: str, dash: str = "none") -> str:
        return line(_LEFT, _LEFT + _WIDTH, self.y(value), self.y(value), colour, dash=dash)

    def axes(self, title: str, ticks: Sequence[tuple[float, str]]) -> Iterator[str]:
        yield text(_LEFT, self.top - 12, title, bold=True)
        for value, label in ticks:
            yield self.across(value, INK if value == 0 else GRID)
            yield text(_LEFT - 8, self.y(value) + 4, label, "end")
        step = next(step for step in (0.5, 1, 2, 5, 10, 30, 60, 300, 3600) if self._seconds / step <= 10 or step == 3600)
        for tick in range(int(self._seconds / step) + 1):
            yield text(self.x(tick * step), self.bottom + 18, f"{tick * step:g} s", "middle")


def _service(history: Sequence[Sample], chance: float, frame: _Frame) -> Iterator[str]:
    """A thin line for each observer, a thick one for their mean, and what chance gives."""
    ticks = [(0.0, "0"), (0.25, "25 %"), (0.5, "50 %"), (0.75, "75 %"), (1.0, "best")]
    yield from frame.axes("True service of the observers' peers, over the best that as many places could give", ticks)
    for name in history[-1].shares:
        yield curve(frame.points([(one.seconds, one.shares[name]) for one in history if name in one.shares]), _FAINT, 1)
    yield frame.across(chance, _CHANCE, "5 4")
    yield curve(frame.points([(one.seconds, one.share) for one in history]), COLOURS[Nature.GOOD], 3)
    beside, last = _LEFT + _WIDTH + 10, frame.y(history[-1].share)
    yield text(beside, last + 4, f"mean {history[-1].share:.0%}", colour=COLOURS[Nature.GOOD], bold=True)
    at = frame.y(chance) + 4
    yield text(beside, at + (18 if abs(at - last - 4) < 16 else 0), f"by chance {chance:.0%}", colour=_CHANCE, bold=True)


def _places(history: Sequence[Sample], places: int, frame: _Frame) -> Iterator[str]:
    """Who has taken the observers' places: areas on top of each other, the hostile ones at the bottom."""
    ticks = [(0.0, "0"), (float(places), str(places))]
    yield from frame.axes("Places of all observers together, by what their peers are truly like", ticks)
    below = [(one.seconds, 0.0) for one in history]
    last = math.inf
    for nature in (Nature.HOSTILE, Nature.USELESS, Nature.SLOW, Nature.GOOD):
        above = [(one.seconds, under + one.places[nature]) for one, (_, under) in zip(history, below, strict=True)]
        yield area(frame.points([*above, *below[::-1]]), COLOURS[nature])
        if count := history[-1].places[nature]:
            last = min((frame.y(above[-1][1]) + frame.y(below[-1][1])) / 2, last - _LINE)
            yield text(_LEFT + _WIDTH + 10, last + 4, f"{nature} {count}", colour=COLOURS[nature], bold=True)
        below = above


def draw(board: Board, *, title: str) -> str:
    """The picture as an SVG document; the board must have a history."""
    history = board.history
    seconds = history[-1].seconds
    places = sum(node.plan.places for node in board.observers)
    above = _Frame(_TOP + 20, seconds, 1.0)
    below = _Frame(above.bottom + _GAP, seconds, places)
    width, height = _LEFT + _WIDTH + _RIGHT, below.bottom + _BOTTOM
    chance = mean([board.chance(node) for node in board.observers])
    parts = [text(_LEFT, 26, title, bold=True), *_service(history, chance, above), *_places(history, places, below)]
    return document(width, height, parts)


def _page(board: Board, summary: Event, picture: str) -> str:
    def row(cells: Sequence[object], kind: str = "td") -> str:
        return "<tr>" + "".join(f"<{kind}>{escape(str(cell))}</{kind}>" for cell in cells) + "</tr>"

    observers = [row(["observer", "service at the end", *Nature, *(figure.replace("_", " ") for figure in _FIGURES)], "th")]
    for one in summary["observers"]:
        share = one["service_share_of_best"]
        observers.append(row([one["name"], f"{share or 0:.0%}", *one["peers"].values(), *(one[figure] for figure in _FIGURES)]))
    nodes = [row(["node", "truly", "true service", "places", "address"], "th")]
    for node in board.nodes.values():
        plan = node.plan
        nature = f"{plan.nature}, observes" if plan.observer else str(plan.nature)
        nodes.append(row([plan.name, nature, offers(plan), plan.places, " and ".join(plan.external)]))
    sums = [row(pair) for pair in summary_rows(summary)]
    tables = "\n".join(f"<table>{''.join(rows)}</table>" for rows in (sums, observers, nodes))
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>devp2p</title><style>{_STYLE}</style>'
    return f"{head}\n{picture}\n{tables}\n</html>\n"


class NoPngError(Exception):
    """Why there is no PNG."""


def write_plots(board: Board, summary: Event, directory: Path) -> tuple[Path, Path]:
    """Write ``service.svg`` and ``service.html`` into a directory, which is made if need be; OSError if that is impossible."""
    picture = draw(board, title=f"{summary['nodes']} nodes, seed {board.seed}, peers steered at pace {board.pace:g}")
    directory.mkdir(parents=True, exist_ok=True)
    svg, html = directory / "service.svg", directory / "service.html"
    svg.write_text(picture, "utf-8")
    html.write_text(_page(board, summary, picture), "utf-8")
    return svg, html


def write_png(svg: Path) -> Path:
    """Write a picture in pixels beside an SVG document; NoPngError if something for it is missing, OSError if it cannot be written."""
    png = svg.with_suffix(".png")
    png.unlink(missing_ok=True)  # that of another run
    png.write_bytes(as_png(svg.read_text("utf-8")))
    return png


def as_png(picture: str) -> bytes:
    """An SVG document in pixels, with this machine's fonts; NoPngError if something for it is missing."""
    try:
        import resvg_py  # noqa: PLC0415  (optional, and nothing else needs it)
    except ImportError:
        raise NoPngError("a PNG of the plot needs the package resvg-py (pip install resvg-py)") from None

    def render(svg: str) -> bytes:
        return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=_ZOOM))

    some, none = (
        render(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20" font-family="{FONTS}"><text y="15">{word}</text></svg>')
        for word in ("word", "")
    )
    if some == none:
        raise NoPngError("a PNG of the plot needs a font, such as DejaVu Sans, and none was found")
    return render(picture)
