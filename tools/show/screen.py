"""The live screen: a header, the nodes, their sessions, the last events. It fits itself to the terminal, from 80 x 24 up."""

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

from tools.show.board import Board, NodeState, SessionRow, percentile
from tools.show.plain import NO_GO, summary_rows
from tools.show.reports import Event

_WIDE = 110  # columns from which the less important ones are shown
_HEADER = 5  # lines of the first panel
_BORDER = 2  # lines of a panel beside its content
_FRAME = 3  # the same of one with a table: its titles too
_FEWEST_ROWS = 3
_FEWEST_EVENTS = 3
_NOTHING = "–"  # noqa: RUF001  (a dash it is)
_CURVE = "▁▂▃▄▅▆▇█"
_CURVE_WIDE, _CURVE_NARROW = 18, 8
_PAGE_EVERY = 3.0  # seconds until the next sessions are shown, where they do not all fit
_KINDS = {"connected": "green", "dropped": "yellow", "error": "bold red"}


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

    def event(self, name: str, event: Event, board: Board) -> None:
        """The next picture will show it."""

    def tick(self, board: Board, now: float) -> None:
        """Draw a new picture."""
        self._live.update(picture(board, now, *self._console.size), refresh=True)

    def finish(self, board: Board, summary: Event) -> None:
        """Print what stays on the terminal."""
        self._console.print(nodes_panel(board, wide=self._console.width >= _WIDE, final=True))
        table = _table()
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(overflow="fold", ratio=1)
        table.show_header = False
        for what, much in summary_rows(summary):
            table.add_row(what, Text(much, "bold red" if what in {"errors", ""} and much != "0" else ""))
        self._console.print(_panel(table, "the whole run"))


def picture(board: Board, now: float, width: int, height: int) -> RenderableType:
    """The whole screen for a terminal of `width` x `height` characters."""
    wide = width >= _WIDE
    rows = board.rows()
    left = height - _HEADER - _FRAME - len(board.nodes) - _FRAME - _BORDER
    shown = max(_FEWEST_ROWS, min(len(rows), left - _FEWEST_EVENTS))
    return Group(
        header(board, now, wide=wide),
        nodes_panel(board, wide=wide),
        sessions_panel(rows, shown, page=int((now - board.began) / _PAGE_EVERY), wide=wide),
        log_panel(board, max(1, left - shown)),
    )


def header(board: Board, now: float, *, wide: bool) -> RenderableType:
    """What this is, how much time is left, and the sums."""
    first = Table.grid(expand=True, padding=(0, 1))
    first.add_column(no_wrap=True)
    first.add_column(ratio=1)
    first.add_column(justify="right", no_wrap=True)
    what = "talk in encrypted sessions (RLPx), each a process of its own" if wide else "in processes of their own"
    first.add_row(Text(f"{len(board.nodes)} nodes {what}", "bold"), *_time_left(board, now))
    p50 = percentile(board.latencies_ms, 50)
    sums = Text.assemble(
        *_figure(board.sessions, "sessions"),
        *_figure(f"{board.total_messages:,}", f"messages ({board.messages.rate:,.0f}/s)"),
        *_figure(f"{board.total_bytes / 1e6:,.1f}", f"MB ({board.bytes.rate / 1e6:.1f} MB/s)"),
        *_figure(board.chat_lines, "chat lines"),
        *(_figure(f"{p50:.1f}", "ms to an answer") if p50 is not None else ()),
        no_wrap=True,
        overflow="ellipsis",
    )
    style = "green" if board.go_joined else "yellow"
    go = Text.assemble(("go-ethereum: ", "dim"), (board.go or NO_GO, style), no_wrap=True, overflow="ellipsis")
    return _panel(Group(first, sums, go), "ÐΞVp2p", subtitle="Ctrl-C ends it", style="cyan")


def _time_left(board: Board, now: float) -> tuple[RenderableType, Text]:
    if board.closing:
        return "", Text("ending…", "yellow")
    if board.show_began is None or board.show_ends is None:
        return "", Text("setting up…", "yellow")
    done, whole = now - board.show_began, board.show_ends - board.show_began
    return ProgressBar(total=whole, completed=min(done, whole), complete_style="cyan", finished_style="cyan"), Text(
        f"{max(0.0, whole - done):.0f} s left"
    )


def _figure(number: object, what: str) -> Iterable[tuple[str, str]]:
    return (str(number), "bold"), (f" {what}   ", "dim")


def _panel(content: RenderableType, title: str, *, subtitle: str | None = None, style: str = "dim") -> RenderableType:
    name, below = Text(title, "bold not dim"), None if subtitle is None else Text(subtitle)
    return Panel(content, box=box.ROUNDED, title=name, title_align="left", subtitle=below, subtitle_align="right", border_style=style)


def _table() -> Table:
    return Table(box=None, expand=True, header_style="dim", padding=(0, 1), collapse_padding=True, pad_edge=False)


def nodes_panel(board: Board, *, wide: bool, final: bool = False) -> RenderableType:
    """A line for each process."""
    table = _table()
    table.add_column("node", no_wrap=True)
    if wide:
        table.add_column("enode", no_wrap=True)
        table.add_column("listens", no_wrap=True)
    table.add_column("process", justify="right")
    table.add_column("peers", justify="right")
    table.add_column("messages" if final else "messages/s", justify="right", no_wrap=True)
    table.add_column("MB in" if final else "MB/s in", justify="right", no_wrap=True)
    table.add_column("MB out" if final else "MB/s out", justify="right", no_wrap=True)
    table.add_column("" if final else "  lately", ratio=1, no_wrap=True, overflow="crop")
    highest = max((value for node in board.nodes.values() for value in node.history), default=0.0)
    for node in board.nodes.values():
        name = Text.assemble((node.name, "bold"), (f"  {node.trait}", "dim") if node.trait else "")
        place = [_short(node), ", ".join(map(_transport, node.enodes))] if wide else []
        figures = _totals(node) if final else _rates(node)
        curve = "" if final else Text("  " + _curve(list(node.history)[-(_CURVE_WIDE if wide else _CURVE_NARROW) :], highest), "cyan")
        table.add_row(name, *place, str(node.pid or "…"), str(node.peers), *figures, curve)
    return _panel(table, "nodes")


def _rates(node: NodeState) -> list[str]:
    if not node.id:
        return ["starting", "", ""]
    return [f"{node.messages.rate:.0f}", *(_megabytes(meter.rate, node) for meter in (node.bytes_in, node.bytes_out))]


def _totals(node: NodeState) -> list[str]:
    report = node.report
    return [f"{report.messages:,}", *(_megabytes(total, node) for total in (report.bytes_in, report.bytes_out))]


def _megabytes(amount: float, node: NodeState) -> str:
    return f"{amount / 1e6:.2f}" if node.report.bytes_in else _NOTHING  # the go-ethereum node does not say


def _short(node: NodeState) -> str:
    return node.enodes[0][:16] + "…" if node.enodes else ""


def _transport(enode: str) -> str:
    if enode.startswith("unix"):
        return "unix"
    return "tcp6" if "[" in enode else "tcp4"


def _curve(values: Sequence[float], highest: float) -> str:
    return "".join(_CURVE[min(7, int(value / highest * 7.99))] if highest else _CURVE[0] for value in values)


def sessions_panel(rows: list[SessionRow], most: int, *, page: int, wide: bool) -> RenderableType:
    """A line for each session, as the node that dialled sees its peer."""
    table = _table()
    table.add_column("session", no_wrap=True)
    if wide:
        table.add_column("client", no_wrap=True, ratio=1, overflow="ellipsis")
    table.add_column("by", no_wrap=True)
    table.add_column("speaks", no_wrap=True, ratio=None if wide else 1, overflow="ellipsis")
    table.add_column("lines", justify="right")
    table.add_column("bulk MB", justify="right", no_wrap=True)
    table.add_column("MB/s", justify="right", no_wrap=True)
    for title in ("chat", "bulk", *(("echo",) if wide else ()), "ping"):
        table.add_column(f"{title} ms", justify="right", no_wrap=True)
    if wide:
        table.add_column("faults", justify="right", no_wrap=True)
    first = page % max(1, -(-len(rows) // most)) * most
    shown = rows[first : first + most]
    for row in shown:
        table.add_row(*_session(row, wide=wide))
    for _ in range(len(shown), min(most, len(rows))):
        table.add_row()
    part = f"{first + 1} to {first + len(shown)} of {len(rows)}" if len(rows) > most else None
    return _panel(table, "sessions, and what the dialler thinks of its peer", subtitle=part)


def _session(row: SessionRow, *, wide: bool) -> list[RenderableType]:
    report = row.report
    inbound = row.seer != row.dialler
    pair = Text.assemble((row.dialler, "dim" if inbound else "bold"), " → ", (row.dialled, "bold" if inbound else ""))
    capabilities = " ".join(name.partition("/")[0] for name in report.capabilities)
    bulk = [f"{report.useful / 1e6:.1f}", f"{row.bulk_rate / 1e6:.2f}"] if report.bulk_ms is not None else [_NOTHING, _NOTHING]
    latencies = [report.chat_ms, report.bulk_ms, *([report.echo_ms] if wide else []), report.ping_ms]
    cells: list[RenderableType] = [pair]
    if wide:
        cells.append(Text(report.client, "dim"))
    cells += [report.transport, Text(capabilities, "cyan"), str(report.lines), *bulk, *map(_latency, latencies)]
    if wide:
        cells.append(Text(str(report.faults + report.timeouts), "red" if report.faults + report.timeouts else "dim"))
    return cells


def _latency(milliseconds: float | None) -> Text:
    if milliseconds is None:
        return Text(_NOTHING, "dim")
    style = "green" if milliseconds < 15 else "yellow" if milliseconds < 50 else "red"
    return Text(f"{milliseconds:.1f}", style)


def log_panel(board: Board, most: int) -> RenderableType:
    """The last events."""
    lines = [
        Text.assemble((f"{when:5.1f} s  ", "dim"), (text, _KINDS.get(kind, "")), no_wrap=True, overflow="ellipsis")
        for when, kind, text in list(board.log)[-most:]
    ]
    return _panel(Group(*lines) if lines else Text("nothing yet", "dim"), "events", subtitle=board.overheard or None)
