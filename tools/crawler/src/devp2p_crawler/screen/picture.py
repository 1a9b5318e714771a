"""The live screen as rich draws it, for a terminal of any size from 60 x 15 up; all texts of strangers in it are inert."""

import time
from collections.abc import Iterable, Mapping
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from devp2p import PRESETS
from devp2p_crawler.model import Snapshot
from devp2p_crawler.screen import words
from devp2p_crawler.screen.diagnosis import explain
from devp2p_crawler.screen.scene import History, Scene

WIDE: Final = 110
"""Columns from which a third list is shown, and longer curves."""
_HEAD: Final = 5  # lines of the first panel
_PACE: Final = 5  # of the second
_BORDER: Final = 2
_FEWEST_MESSAGES: Final = 2
_MOST_ROWS: Final = 16
_GOOD: Final = {"ok": "green", "too_many_peers": "green", "disconnected": "green", "status_timeout": "yellow"}
_BAD: Final = "red"
_QUIET: Final = {"silent", "refused", "unreachable", "no_address", "hung_up"}  # what is usual where nodes come and go


def picture(scene: Scene, snapshot: Snapshot, history: History, width: int, height: int) -> RenderableType:
    """The whole screen for a terminal of `width` x `height` characters."""
    rest = height - _HEAD - _PACE
    messages = max(_FEWEST_MESSAGES, min(6, rest - _BORDER - _MOST_ROWS - _BORDER))
    rows = max(1, rest - _BORDER - messages - _BORDER)
    return Group(
        _head(scene, snapshot, width),
        _pace(snapshot, history, width),
        _why(snapshot, rows) if snapshot.silence is not None else _lists(snapshot, rows, width),
        _messages(scene, history, messages),
    )


# The first panel: what is done, and what has come of it


def _head(scene: Scene, snapshot: Snapshot, width: int) -> RenderableType:
    first = Table.grid(expand=True, padding=(0, 1))
    first.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
    if scene.duration is not None and width >= WIDE:
        first.add_column(ratio=1)
    first.add_column(justify="right", no_wrap=True)
    cells: list[RenderableType] = [_where(scene)]
    if scene.duration is not None and width >= WIDE:
        done = min(snapshot.elapsed, scene.duration)
        cells.append(ProgressBar(total=scene.duration, completed=done, complete_style="cyan", finished_style="cyan"))
    first.add_row(*cells, _time(scene, snapshot))
    counts = Text.assemble(
        *_figure(snapshot.found, "found"),
        *_figure(snapshot.alive, "alive", "bold green"),
        *_figure(snapshot.dialled, "dialled"),
        *_figure(snapshot.hellos, "said Hello"),
        *_figure(snapshot.failed, "failed"),
        *(_figure(snapshot.inbound, "called us") if snapshot.inbound else ()),
        no_wrap=True,
        overflow="ellipsis",
    )
    return _panel(Group(first, counts, _recall(snapshot)), "devp2p-crawl", subtitle="Ctrl-C ends it and keeps what was found", style="cyan")


def _where(scene: Scene) -> Text:
    more = f", and {', '.join(scene.sinks)}" if scene.sinks else ""
    text = f" from {scene.vantage} into {scene.db}{more}"
    return Text.assemble((words.inert(scene.what, 60), "bold"), (words.inert(text, 200), "dim"))


def _time(scene: Scene, snapshot: Snapshot) -> Text:
    left = "" if snapshot.left is None or snapshot.left < 1 else f", about {words.about(snapshot.left)} left"
    if scene.duration is not None:
        left = f" of {words.clock(scene.duration)}"
    return Text.assemble((words.clock(snapshot.elapsed), "bold"), (left, "dim"))


def _recall(snapshot: Snapshot) -> Text:
    found = snapshot.recall
    if found is None:
        return Text("recall: too little to tell yet", "dim")
    length = 24
    full = round(found.estimate * length)
    bar = (("━" * full, "green"), ("━" * (length - full), "bright_black"))
    return Text.assemble(
        ("recall ", "dim"), *bar, f" {words.recall(found)}", (" of those in reach", "dim"), no_wrap=True, overflow="ellipsis"
    )


def _figure(number: int, what: str, style: str = "bold") -> Iterable[tuple[str, str]]:
    return (f"{number:,}", style), (f" {what}  ", "dim")


# The second: how fast


def _pace(snapshot: Snapshot, history: History, width: int) -> RenderableType:
    length = max(8, min(60, (width - 4) // 2 - 26))
    table = Table.grid(expand=True, padding=(0, 1))
    for _ in range(2):
        table.add_column(no_wrap=True, style="dim")
        table.add_column(no_wrap=True, justify="right", min_width=8)
        table.add_column(no_wrap=True, ratio=1, overflow="crop")
    lag = f"{1000 * snapshot.loop_lag:,.0f} ms"
    table.add_row(
        "alive/s", Text(f"{snapshot.found_rate:,.1f}", "bold"), Text(words.curve(list(history.alive_rates), length), "green"),
        "packets/s", Text(f"{snapshot.packets_rate:,.0f}", "bold"), Text(words.curve(list(history.packet_rates), length), "cyan"),
    )  # fmt: skip
    table.add_row(
        "at work", Text(f"{snapshot.in_flight:,}", "bold"), Text(f"up to {snapshot.concurrency:,} by UDP", "dim"),
        "queued", Text(f"{snapshot.queued:,}", "bold"), Text(f"and {snapshot.waiting:,} later", "dim"),
    )  # fmt: skip
    table.add_row(
        "loop lag", Text(lag, "bold red" if snapshot.loop_lag > 0.25 else "bold"), Text(f"memory {words.size(snapshot.memory)}", "dim"),
        "unwritten", Text(f"{snapshot.spooled:,}", "bold yellow" if snapshot.spooled > 10_000 else "bold"), Text("rows", "dim"),
    )  # fmt: skip
    return _panel(table, "pace")


# The third: who is there, and what became of visits; or why there is nobody


def _lists(snapshot: Snapshot, rows: int, width: int) -> RenderableType:
    columns = Table.grid(expand=True)
    clients = _panel(_bars(_inert(snapshot.clients), rows, dict.fromkeys(snapshot.clients, "cyan"), "cyan"), "clients")
    outcomes = _panel(_outcomes(snapshot, rows), "what became of visits")
    panels = [clients, outcomes]
    if width >= WIDE:
        networks = {_network(number): count for number, count in snapshot.networks.items()}
        panels.append(_panel(_bars(networks, rows, {}, "magenta"), "networks"))
    for _ in panels:
        columns.add_column(ratio=1)
    columns.add_row(*panels)
    return columns


def _network(number: int) -> str:
    name = next((name for name, preset in PRESETS.items() if preset.network_id == number), "network")
    return f"{name} {number}"


def _outcomes(snapshot: Snapshot, rows: int) -> RenderableType:
    names = {words.outcome(name): name.lower() for name in snapshot.outcomes}
    styles = {shown: _GOOD.get(name, "bright_black" if name in _QUIET else _BAD) for shown, name in names.items()}
    return _bars({words.outcome(name): count for name, count in snapshot.outcomes.items()}, rows, styles, "bright_black")


def _inert(counts: Mapping[str, int]) -> dict[str, int]:
    found = dict[str, int]()
    for name, count in counts.items():
        shown = words.inert(name, 24) or words.NOTHING
        found[shown] = found.get(shown, 0) + count
    return found


def _bars(counts: Mapping[str, int], rows: int, styles: Mapping[str, str], style: str) -> RenderableType:
    """A line for each of the largest counts, always so many lines."""
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=2)
    shown = list(words.top(counts, rows))
    highest = max((count for _, count in shown), default=1)
    for name, count in shown:
        colour = styles.get(name, style)
        bar = ProgressBar(total=highest, completed=count, complete_style=colour, finished_style=colour, style="black")
        table.add_row(Text(name), Text(f"{count:,}", "bold"), bar)
    if not shown:
        table.add_row(Text("none yet", "dim"), "", "")
    for _ in range(rows - max(1, len(shown))):
        table.add_row("", "", "")
    return table


def _why(snapshot: Snapshot, rows: int) -> RenderableType:
    matter, *causes = explain(snapshot.silence) if snapshot.silence is not None else [""]
    lines: list[RenderableType] = [Text(matter[:1].upper() + matter[1:], "bold yellow")]
    lines += [Padding(Text.assemble(("• ", "yellow"), words.inert(cause, 300)), (0, 0, 0, 1)) for cause in causes]
    return Panel(
        Group(*lines),
        box=box.ROUNDED,
        title=Text("why nothing is found", "bold not dim"),
        title_align="left",
        border_style="yellow",
        height=rows + _BORDER,
    )


# The last: what happened


def _messages(scene: Scene, history: History, most: int) -> RenderableType:
    lines = [Text.assemble((f"{when}  ", "dim"), text, no_wrap=True, overflow="ellipsis") for when, text in list(history.messages)[-most:]]
    if not lines:
        where = [*(f"metrics at {url}" for url in scene.metrics), *([f"asks from {scene.listening}"] if scene.listening else [])]
        where.append(f"meanwhile, in another terminal: devp2p-crawl info --db {scene.db}")
        lines = [Text(words.inert(text, 200), "dim", no_wrap=True, overflow="ellipsis") for text in where[:most]]
    lines += [Text("")] * (most - len(lines))
    now = Text(time.strftime("%H:%M:%S"), "dim")
    return _panel(Group(*lines), "messages", subtitle=now.plain)


def _panel(content: RenderableType, title: str, *, subtitle: str | None = None, style: str = "dim") -> Panel:
    below = None if subtitle is None else Text(subtitle)
    return Panel(
        content,
        box=box.ROUNDED,
        title=Text(title, "bold not dim"),
        title_align="left",
        subtitle=below,
        subtitle_align="right",
        border_style=style,
    )
