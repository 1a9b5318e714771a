"""The live screen: a header, the observers, the peers of one of them, the last events. It fits itself to the terminal, from 80 x 24 up."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tools.show.board import Board, NodeState, SessionRow
from tools.show.meters import curve, percentile
from tools.show.plan import BULK, CAPABILITIES, ECHO, NEWS, Nature
from tools.show.reports import Event, PeerReport
from tools.show.summary import NO_GO, summary_rows

_WIDE, _WIDEST = 110, 150  # columns from which the less important ones, and the least important ones are shown
_HEADER = 6  # lines of the first panel
_BORDER = 2  # lines of a panel beside its content
_FRAME = 3  # the same of one with a table: its titles too
_FEWEST_ROWS = 4
_FEWEST_EVENTS = 2
_NOTHING = "–"  # noqa: RUF001  (a dash it is)
_CURVE_WIDE, _CURVE_NARROW = 18, 8
_PAGE_EVERY = 4.0  # seconds until the next observer's peers are shown
_KINDS = {"connected": "dim", "dropped": "dim", "error": "bold red", "met": "dim", "refuse": "dim", "drop": "bold"}
_NATURES = {Nature.GOOD: "green", Nature.SLOW: "yellow", Nature.USELESS: "bright_black", Nature.HOSTILE: "bold red"}
_RANK = re.compile(r" \(better than \d+ %\)")  # columns say it
_PEER, _FREE = "●", "·"
_SLOTS = {"core": "green", "diverse": "cyan", "explore": "magenta"}
_SLOT_NAMES = {"core": "core", "diverse": "div", "explore": "expl"}


class Screen:
    """A `View` on the terminal; nothing of it is left there but the summary."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._live.__exit__(kind, error, traceback)

    def event(self, event: Event, board: Board) -> None:
        """The next picture will show it."""

    def tick(self, board: Board, now: float) -> None:
        """Draw a new picture."""
        self._live.update(picture(board, now, *self._console.size), refresh=True)

    def finish(self, board: Board, summary: Event) -> None:
        """Print what stays on the terminal."""
        self._console.print(ending(board, summary, wide=self._console.width >= _WIDE))


def picture(board: Board, now: float, width: int, height: int) -> RenderableType:
    """The whole screen for a terminal of `width` x `height` characters."""
    wide = width >= _WIDE
    observers = board.observers
    shown = min(len(observers), max(1, height - _HEADER - 2 * _FRAME - _FEWEST_ROWS - _BORDER - _FEWEST_EVENTS))
    left = height - _HEADER - _FRAME - shown - _FRAME - _BORDER
    chosen = int((now - board.began) / _PAGE_EVERY) % max(1, len(observers))
    rows = board.rows(observers[chosen]) if observers else []
    places = observers[chosen].plan.places if observers else 0
    lines = max(_FEWEST_ROWS, min(places, left - _FEWEST_EVENTS))
    return Group(
        header(board, now),
        observers_panel(board, shown, chosen, wide=wide),
        peers_panel(observers[chosen] if observers else None, rows, lines, width=width),
        log_panel(board, max(1, left - lines)),
    )


def ending(board: Board, summary: Event, *, wide: bool) -> RenderableType:
    """What stays on the terminal."""
    table = _table()
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    table.show_header = False
    for what, much in summary_rows(summary):
        table.add_row(what, Text(much, "bold red" if what in {"errors", ""} and much != "0" else "yellow" if what == "note" else ""))
    return Group(observers_panel(board, len(board.observers), None, wide=wide, final=True), _panel(table, "the whole run"))


# The header


def header(board: Board, now: float) -> RenderableType:
    """What this is, how much time is left, and the sums."""
    first = Table.grid(expand=True, padding=(0, 1))
    first.add_column(no_wrap=True)
    first.add_column(ratio=1)
    first.add_column(justify="right", no_wrap=True)
    first.add_row(Text(f"{board.connected} of {len(board.ours)} nodes connected from one bootnode", "bold"), *_time_left(board, now))
    p50 = percentile(board.latencies_ms, 50)
    nodes = board.ours
    sums = Text.assemble(
        *_figure(f"{board.total_bytes / 1e6:,.0f}", f"MB ({board.bytes.rate / 1e6:.1f} MB/s)"),
        *_figure("{:.0f}/{:.0f}".format(*board.tables), "known by v4/v5"),
        *_figure(sum(node.report.dials for node in nodes), "dials"),
        *_figure(board.changes.swaps, "swaps"),
        *_figure(board.changes.decided["drop"], "banned"),
        *(_figure(f"{p50:.0f}", "ms to an answer") if p50 is not None else ()),
        no_wrap=True,
        overflow="ellipsis",
    )
    kinds = Counter(node.plan.nature for node in nodes if not node.plan.observer)
    plan = Text.assemble(
        ("truly: ", "dim"),
        *(part for nature in Nature for part in ((f"{kinds[nature]} {nature}", _NATURES[nature]), "  ")),
        (f"{len(board.observers)} observe", "cyan"),
        (f"   --seed {board.seed}  pace {board.pace:g}", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )
    style = "green" if board.go_joined else "yellow"
    go = Text.assemble(("go-ethereum: ", "dim"), (board.go or NO_GO, style), no_wrap=True, overflow="ellipsis")
    return _panel(Group(first, sums, plan, go), "ÐΞVp2p", subtitle="Ctrl-C ends it", style="cyan")


def _time_left(board: Board, now: float) -> tuple[RenderableType, Text]:
    if board.closing:
        return "", Text("ending…", "yellow")
    if board.crawling:
        return "", Text("devp2p-crawl maps the network…", "yellow")
    if board.show_began is None or board.show_ends is None:
        return "", Text("setting up…", "yellow")
    done, whole = now - board.show_began, board.show_ends - board.show_began
    return ProgressBar(total=whole, completed=min(done, whole), complete_style="cyan", finished_style="cyan"), Text(
        f"{max(0.0, whole - done):.0f} s left"
    )


def _figure(number: object, what: str) -> Iterable[tuple[str, str]]:
    return (str(number), "bold"), (f" {what}   ", "dim")


def _panel(content: RenderableType, title: str, *, subtitle: str | None = None, style: str = "dim") -> Panel:
    name, below = Text(title, "bold not dim"), None if subtitle is None else Text(subtitle)
    return Panel(content, box=box.ROUNDED, title=name, title_align="left", subtitle=below, subtitle_align="right", border_style=style)


def _table() -> Table:
    return Table(box=None, expand=True, header_style="dim", padding=(0, 1), collapse_padding=True, pad_edge=False)


# The observers


def observers_panel(board: Board, most: int, chosen: int | None, *, wide: bool, final: bool = False) -> RenderableType:
    """A line for each observer: whom it has, and what that is worth."""
    table = _table()
    table.add_column("node", no_wrap=True)
    table.add_column("places", no_wrap=True)
    table.add_column("true service", no_wrap=True)
    table.add_column("", no_wrap=True)
    for title in ("MB" if final else "MB/s", "answers" if final else "answers/s", "news" if final else "news/s"):
        table.add_column(title, justify="right", no_wrap=True)
    if wide:
        table.add_column("wrong", justify="right")
        table.add_column("late", justify="right")
        table.add_column("dialled", justify="right")
        table.add_column("v4/v5", justify="right", no_wrap=True)
    table.add_column("changes", justify="right")
    length = _CURVE_WIDE if wide else _CURVE_NARROW
    first = max(0, (chosen or 0) - most + 1)
    for index, node in enumerate(board.observers[first : first + most], first):
        name = Text(node.plan.name, "bold reverse cyan" if index == chosen else "bold")
        lately = [sample.shares.get(node.plan.name, 0.0) for sample in board.history[-length:]]
        amounts = _totals(node) if final else [f"{node.bulk.rate / 1e6:.2f}", f"{node.echo.rate:.0f}", f"{node.news.rate:.1f}"]
        cells: list[RenderableType] = [name, _places(board, node), _share(board.share(node), wide=wide), Text(curve(lately, 1.0), "cyan")]
        cells += amounts
        if wide:
            report = node.report
            cells += [str(report.wrong), str(report.timeouts), str(report.peers - report.inbound), f"{report.table_v4}/{report.table_v5}"]
        table.add_row(*cells, str(node.changes))
    panel = _panel(table, "observers: few places, and who has them")
    panel.subtitle = Text.assemble(*(part for nature in Nature for part in ((_PEER, _NATURES[nature]), f" {nature} ")))
    return panel


def _places(board: Board, node: NodeState) -> Text:
    """A dot for each place, in the colour of what its peer is truly like."""
    order = list(Nature)
    natures = sorted((peer.nature for peer in board.peers_of(node)), key=order.index)
    free = max(0, node.plan.places - len(natures))
    return Text.assemble(*((_PEER, _NATURES[nature]) for nature in natures), (_FREE * free, "dim"))


def _share(share: float, *, wide: bool) -> Text:
    length = 16 if wide else 8
    full = round(min(1.0, share) * length)
    return Text.assemble(("━" * full, "green"), ("━" * (length - full), "bright_black"), f" {share:4.0%}")


def _totals(node: NodeState) -> list[str]:
    report = node.report
    return [f"{report.bulk_bytes / 1e6:.1f}", f"{report.echo_answers:,}", f"{report.news_first:,}"]


# The peers of one observer


def peers_panel(node: NodeState | None, rows: Sequence[SessionRow], most: int, *, width: int) -> RenderableType:
    """A line for each session: what the peer is truly like, which slots it fills, what the observer has seen of it, why it is kept."""
    wide, widest = width >= _WIDE, width >= _WIDEST
    table = _table()
    table.add_column("peer", no_wrap=True)
    table.add_column("truly", no_wrap=True)
    if wide:
        table.add_column("gives", justify="right", no_wrap=True)
        table.add_column("by", no_wrap=True)
    for title in (*CAPABILITIES, "value"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("KB/s", "ms", "news/s") if widest else ():
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("wrong", "late") if wide else ():
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("here", justify="right", no_wrap=True)
    table.add_column("why it is kept", no_wrap=True, ratio=1, overflow="ellipsis")
    for row in rows[:most]:
        table.add_row(*_session(row, wide=wide, widest=widest))
    for _ in range(most - min(most, len(rows))):
        table.add_row()
    title = "nobody observes" if node is None else f"{node.plan.name}: its peers, as it sees them"
    panel = _panel(table, title)
    more = f"{most} of {len(rows)}   " if len(rows) > most else ""
    kinds = [part for kind, colour in _SLOTS.items() for part in (" ", (kind, f"{colour} not dim"))]
    panel.subtitle = Text.assemble(more, "slots:", *kinds, ", better than so many %", style="not dim")
    return panel


def _session(row: SessionRow, *, wide: bool, widest: bool) -> list[RenderableType]:
    report, shared = row.report, row.report.shared
    name, nature = (row.plan.name, row.plan.nature) if row.plan is not None else (report.peer[:8], None)
    cells: list[RenderableType] = [Text(name, "bold"), Text(str(nature or "?"), _NATURES[nature] if nature is not None else "")]
    if wide:
        gives = sum(map(row.plan.service, CAPABILITIES)) if row.plan is not None else 0.0
        cells += [f"{gives:.2f}", ("←" if report.inbound else "→") + report.transport]
    cells += [*(_slot(report, one) for one in CAPABILITIES), f"{report.value:.2f}"]
    cells += _measured(row) if widest else []
    if wide:
        faults = sum(one.invalid for one in shared.values()), sum(one.timeouts for one in shared.values())
        cells += [Text(str(count), "red" if count else "dim") for count in faults]
    return [*cells, f"{report.seconds:.0f} s", Text(_RANK.sub("", report.why) or _NOTHING, "dim")]


def _slot(report: PeerReport, capability: str) -> Text:
    """``core 92``: the slot that a peer fills in a capability, and how many percent of all are worse there."""
    rating = report.ratings.get(capability)
    if rating is None:
        return Text(_NOTHING, "dim")
    kind = report.slots.get(capability, "")
    return Text(f"{_SLOT_NAMES.get(kind, _NOTHING)} {100 * rating:3.0f}", _SLOTS.get(kind, "dim"))


def _measured(row: SessionRow) -> list[RenderableType]:
    """What the observer has got of a peer."""
    shared = row.report.shared
    latency = shared[ECHO].latency_ms if ECHO in shared else None
    figures = (
        f"{row.rates[BULK] / 1e3:.0f}" if BULK in shared else None,
        f"{latency:.0f}" if latency is not None else None,
        f"{row.rates[NEWS]:.1f}" if NEWS in shared else None,
    )
    return [Text(_NOTHING, "dim") if figure is None else Text(figure) for figure in figures]


def log_panel(board: Board, most: int) -> RenderableType:
    """The last events."""
    lines = [
        Text.assemble((f"{when:5.1f} s  ", "dim"), (text, _KINDS.get(kind, "")), no_wrap=True, overflow="ellipsis")
        for when, kind, text in list(board.log)[-most:]
    ]
    for line in lines:
        for nature, colour in _NATURES.items():
            line.highlight_words([f"({nature})"], colour)
    return _panel(Group(*lines) if lines else Text("nothing yet", "dim"), "what happens, and why")
