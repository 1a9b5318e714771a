"""The run as a picture: how long each question waited on either side, and what the other capabilities got; as SVG, PNG and a page."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from tools.show.qos.board import QosBoard, SideState, duration
from tools.show.qos.plan import Side
from tools.show.reports import Event
from tools.svg import GRID, INK, bar, curve, document, dot, line, text

COLOURS = {Side.STOCK: "#b5383b", Side.DPX: "#2a7f62"}
_FAINT, _SHADE = "#555555", "#f3e3e3"
_LEFT, _WIDTH, _RIGHT = 64, 640, 170
_TOP, _HEIGHT = 78, 260
_ROW = 22  # from one bar to the next
_LINE = 16  # from one line of text to the next
_STYLE = "body{font-family:sans-serif;max-width:60em;margin:2em auto} table{margin:1em 0} td,th{padding:2px 10px;text-align:left}"


class _Frame:
    """The diagram of the waits: turns seconds into places on the page."""

    def __init__(self, seconds: float, highest: float) -> None:
        self.bottom = _TOP + _HEIGHT
        self.seconds, self.highest = max(seconds, 1e-9), highest

    def x(self, seconds: float) -> float:
        return round(_LEFT + _WIDTH * min(seconds, self.seconds) / self.seconds, 1)

    def y(self, wait: float) -> float:
        return round(self.bottom - _HEIGHT * min(wait, self.highest) / self.highest, 1)


def _axes(frame: _Frame, state: SideState) -> Iterator[str]:
    """Scales, and behind them when a large message was under way by stock RLPx."""
    for queued, arrived in state.floods:
        start, end = frame.x(queued), frame.x(state.at if arrived is None else arrived)
        yield bar(start, _TOP, round(end - start, 1), _HEIGHT, _SHADE)
    for tick in range(int(frame.highest) + 1):
        yield line(_LEFT, _LEFT + _WIDTH, frame.y(tick), frame.y(tick), INK if tick == 0 else GRID)
        yield text(_LEFT - 8, frame.y(tick) + 4, f"{tick} s", "end")
    step = next(step for step in (1, 2, 5, 10, 30, 60, 300) if frame.seconds / step <= 10 or step == 300)
    for tick in range(0, int(frame.seconds) + 1, step):
        yield text(frame.x(tick), frame.bottom + 18, f"{tick} s", "middle")
    yield text(_LEFT + _WIDTH, frame.bottom + 36, "when the question was asked", "end", colour=_FAINT)


def _waits(frame: _Frame, state: SideState) -> Iterator[str]:
    """A dot for each question, and beside them what they come to."""
    colour = COLOURS[state.side]
    answers = sorted(state.answers)
    if state.side is Side.DPX:
        yield curve([(frame.x(asked), frame.y(waited)) for asked, waited in answers], colour, 2)
    yield from (dot(frame.x(asked), frame.y(waited), colour) for asked, waited in answers)
    beside = _LEFT + _WIDTH + 14
    top = frame.y(frame.highest * 0.62) if state.side is Side.STOCK else frame.bottom - 3 * _LINE + 4
    yield text(beside, top, state.side.label, colour=colour, bold=True)
    yield text(beside, top + _LINE, f"median {duration(state.wait_of(50))}", colour=colour)
    yield text(beside, top + 2 * _LINE, f"95 % within {duration(state.wait_of(95))}", colour=colour)


def _shares(board: QosBoard, top: float) -> Iterator[str]:
    """A bar for what each of the other capabilities got, on both sides."""
    yield text(_LEFT, top, "What the others got meanwhile", bold=True)
    most = max(1, *(max(state.flood_bytes, state.bulk_bytes) for state in board.sides.values()))
    row = top + 14
    for name in ("flood", "bulk"):
        yield text(_LEFT - 8, row + _ROW, name, "end")
        for side, state in board.sides.items():
            size = state.flood_bytes if name == "flood" else state.bulk_bytes
            length = round((_WIDTH - 90) * size / most, 1)
            yield bar(_LEFT, row, length, _ROW - 6, COLOURS[side])
            yield text(_LEFT + length + 6, row + _ROW - 10, f"{size / 1e6:.1f} MB", colour=COLOURS[side])
            row += _ROW
        row += 8


def draw(board: QosBoard) -> str:
    """The picture as an SVG document."""
    load = board.load
    frame = _Frame(max(state.at for state in board.sides.values()), board.highest)
    stock, dpx = board.sides[Side.STOCK], board.sides[Side.DPX]
    parts = [
        text(_LEFT, 26, "How long a small urgent question waits while large messages share its line", bold=True),
        text(
            _LEFT,
            46,
            f"{load.rate / 1e6:g} MB/s; flood: a {load.flood_size / 1e6:g} MB message every {load.flood_every:g} s; "
            f"bulk: {load.bulk_size // 1024} KiB pieces without a pause; chat: {1 / load.chat_every:.0f} questions a second",
            colour=_FAINT,
        ),
        text(_LEFT, 64, "shaded: a large message is under way in stock RLPx", colour=COLOURS[Side.STOCK]),
        *_axes(frame, stock),
        *_waits(frame, stock),
        *_waits(frame, dpx),
        *_shares(board, frame.bottom + 62),
    ]
    return document(_LEFT + _WIDTH + _RIGHT, frame.bottom + 62 + 14 + 4 * _ROW + 24, parts)


def _page(summary: Event, picture: str) -> str:
    sides = summary["sides"]
    names = list(next(iter(sides.values())))
    head = "".join(f"<th>{escape(Side(side).label)}</th>" for side in sides)
    rows = [
        f"<tr><td>{escape(name.replace('_', ' '))}</td>" + "".join(f"<td>{escape(str(one[name]))}</td>" for one in sides.values()) + "</tr>"
        for name in names
    ]
    start = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>dpx/1</title><style>{_STYLE}</style>'
    return f"{start}\n{picture}\n<table><tr><th></th>{head}</tr>{''.join(rows)}</table>\n</html>\n"


def write_plots(board: QosBoard, summary: Event, directory: Path) -> list[Path]:
    """Write ``qos.svg`` and ``qos.html`` into a directory, which is made if need be; OSError if that is impossible."""
    picture = draw(board)
    directory.mkdir(parents=True, exist_ok=True)
    svg, html = directory / "qos.svg", directory / "qos.html"
    svg.write_text(picture, "utf-8")
    html.write_text(_page(summary, picture), "utf-8")
    return [svg, html]
