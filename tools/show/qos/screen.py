"""The live screen: how long the chat waits on either side, in large digits and over time, and what the others get meanwhile."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tools.show.qos.board import QosBoard, SideState, duration, sentences
from tools.show.qos.plan import Load, Side
from tools.show.qos.scatter import DIGITS_HEIGHT, Series, large, scatter
from tools.show.reports import Event

COLOURS = {Side.STOCK: "red", Side.DPX: "green"}
_BORDER = 2  # lines of a panel beside its content
_SLIM = 60  # columns below which there are no large digits
_LOW = 22  # lines below which there are none, either
_MARGIN = 6  # columns of a diagram's scale
_FEWEST_ROWS = 4  # of a diagram


class QosScreen:
    """A `QosView` on the terminal; nothing of it is left there but the sum."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._live.__exit__(kind, error, traceback)

    def tick(self, board: QosBoard, now: float) -> None:
        """Draw a new picture."""
        self._live.update(picture(board, now, *self._console.size), refresh=True)

    def finish(self, board: QosBoard, summary: Event) -> None:
        """Print what stays on the terminal."""
        self._console.print(ending(board, summary))


def picture(board: QosBoard, now: float, width: int, height: int) -> RenderableType:
    """The whole screen for a terminal of `width` x `height` characters."""
    digits = width >= _SLIM and height >= _LOW
    sides = Table.grid(expand=True)
    for _ in board.sides:
        sides.add_column(ratio=1)
    sides.add_row(*(side_panel(board, state, digits=digits) for state in board.sides.values()))
    above = (4 if width >= _SLIM else 5) + _BORDER - 1 + _BORDER + (DIGITS_HEIGHT + 2 if digits else 2) + 3
    rows = height - above - _BORDER - 1
    parts = [header(board, now, width), sides]
    if rows >= _FEWEST_ROWS:
        parts.append(diagram(board, width - 4, rows))
    return Group(*parts)


def ending(board: QosBoard, summary: Event) -> RenderableType:
    """What stays on the terminal."""
    lines = [Text(line, COLOURS[side]) for side, line in zip(board.sides, sentences(summary), strict=True)]
    lines += [Text(f"plot: {path}", "cyan") for path in summary.get("plots", [])]
    lines += [Text(note, "yellow") for note in summary["notes"]] + [Text(problem, "bold red") for problem in summary["problems"]]
    return _panel(Group(*lines), "the whole run")


def header(board: QosBoard, now: float, width: int) -> RenderableType:
    """What this is, and how much time is left."""
    first = Table.grid(expand=True, padding=(0, 1))
    first.add_column(no_wrap=True)
    first.add_column(ratio=1)
    first.add_column(justify="right", no_wrap=True)
    load = board.load
    what = f"Three capabilities share a line of {load.rate / 1e6:g} MB/s" if width >= _SLIM else f"A line of {load.rate / 1e6:g} MB/s"
    if board.closing:
        first.add_row(Text(what, "bold"), "", Text("ending…", "yellow"))
    elif board.began is None:
        first.add_row(Text(what, "bold"), "", Text("setting up…", "yellow"))
    else:
        done = min(now - board.began, board.seconds)
        bar = ProgressBar(total=board.seconds, completed=done, complete_style="cyan", finished_style="cyan")
        first.add_row(Text(what, "bold"), bar, Text(f"{board.seconds - done:.0f} s left"))
    loads = Text(no_wrap=width >= _SLIM, overflow="ellipsis" if width >= _SLIM else "fold")
    for name, text in _loads(load):
        loads.append(name, "bold").append(f" {text}  ", "dim")
    return _panel(Group(first, loads), "ÐΞVp2p: stock RLPx and dpx/1, side by side", subtitle="Ctrl-C ends it", style="cyan")


def _loads(load: Load) -> Sequence[tuple[str, str]]:
    return (
        ("flood", f"{load.flood_size / 1e6:g} MB every {load.flood_every:g} s"),
        ("bulk", f"{load.bulk_size // 1024} KiB pieces"),
        ("chat", f"{1 / load.chat_every:.0f} urgent questions/s"),
    )


def side_panel(board: QosBoard, state: SideState, *, digits: bool) -> RenderableType:
    """How one side does: the wait of the chat, and what the others have got."""
    colour = COLOURS[state.side]
    now = duration(state.waiting)
    lines: list[RenderableType] = []
    if digits:
        lines += [Text("the chat waits", "dim"), *(Text(row, f"bold {colour}", no_wrap=True) for row in large(now))]
    else:
        lines += [Text.assemble(("the chat waits ", "dim"), (now, f"bold {colour}"))]
    figures = f"median {duration(state.wait_of(50))} · longest {duration(state.wait_of(100))}"
    lines.append(Text(figures, no_wrap=True, overflow="ellipsis"))
    most = board.load.rate * board.seconds
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    whole = sum(arrived is not None for _, arrived in state.floods)
    for name, size, note in (
        ("flood", state.flood_bytes, f"{whole} whole"),
        ("bulk", state.bulk_bytes, f"{state.bulk_bytes / 1e6:.1f} MB"),
        ("line", state.carried, f"{state.line.rate / 1e6:.2f} MB/s"),
    ):
        bar = ProgressBar(total=most, completed=min(size, most), complete_style=colour, finished_style=colour)
        table.add_row(Text(name, "dim"), bar, Text(note))
    lines.append(table)
    return _panel(Group(*lines), state.side.label, subtitle=state.profile or "connecting…", style=colour)


def diagram(board: QosBoard, columns: int, rows: int) -> RenderableType:
    """All questions by when they were asked, and how long they waited."""
    highest, seconds = board.highest, max(board.seconds, 1e-9)
    series = []
    for side, state in board.sides.items():
        waits = [*state.answers, *((asked, state.at - asked) for asked in state.open)]
        series.append(Series(COLOURS[side], [(asked / seconds, waited / highest) for asked, waited in waits]))
    wide = columns - _MARGIN
    lines = []
    for index, cells in enumerate(scatter(series, wide, rows)):
        share = 1 - index / (rows - 1)
        label = f"{highest * share:.0f} s" if index in {0, rows - 1} or (index == (rows - 1) // 2 and rows % 2) else ""
        if label and 0 < share < 1:
            label = f"{highest * share:.1f} s"
        line = Text(f"{label:>{_MARGIN - 2}} │", "dim")
        for cell in cells:
            line.append(cell.character, cell.style)
        lines.append(line)
    ticks = f"{'asked at':>{_MARGIN}}  0 s{f'{board.seconds:g} s':>{max(0, wide - 8)}}"
    lines.append(Text(ticks[:columns], "dim"))
    title = Text("how long each question of the chat waited   ", "bold not dim")
    for side, colour in COLOURS.items():
        title.append(f"● {side.label}  ", f"{colour} not dim")
    return _panel(Group(*lines), title)


def _panel(content: RenderableType, title: str | Text, *, subtitle: str | None = None, style: str = "dim") -> Panel:
    name = title if isinstance(title, Text) else Text(title, "bold not dim")
    below = None if subtitle is None else Text(subtitle)
    return Panel(content, box=box.ROUNDED, title=name, title_align="left", subtitle=below, subtitle_align="right", border_style=style)
