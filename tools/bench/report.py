"""What people read of a run: the table on the terminal, and the one in docs/benchmarks.md with its plot."""

import json
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tools.bench.figures import Row, rounded
from tools.bench.plot import bars
from tools.bench.sides import ROOT, BenchError
from tools.bench.targets import TARGETS

RESULT = ROOT / "build" / "bench.json"
PAGE = ROOT / "docs" / "benchmarks.md"
TRANSPORTS_PAGE = ROOT / "docs" / "transports.md"
PLOT = ROOT / "docs" / "benchmarks.svg"
_HEADINGS = ("", "ours", "go-ethereum", "unit", "ratio", "spread", "wanted")
_OTHERS = "transport/"
"""How the names of rows begin of which the last part says who stands beside ours."""
_MARK = "<!-- figures{}: {} -->"
_VERDICTS = {None: "", True: "met", False: "MISSED"}
_IN_PLOT = ("rlpx/", "api/", "qos/ping", "discv", "idle/")


def save(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as JSON, one a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(row.as_json()) for row in rows)
    path.write_text(f"[\n{lines}\n]\n", "utf-8")


def load(path: Path) -> list[Row]:
    """Read what `save` wrote; BenchError if it is not there, or something else."""
    if not path.exists():
        raise BenchError(f"there is no {path} yet: run the benchmarks first")
    try:
        rows = json.loads(path.read_text("utf-8"))
        return [Row(**{**row, "spread": row["spread"] and tuple(row["spread"])}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BenchError(f"{path} is no result of these benchmarks: {error}") from None


def figure(value: float | None) -> str:
    """Three digits, or more in front of the point."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{rounded(float(f'{value:.3g}')):g}"


def headings(rows: Iterable[Row]) -> tuple[str, ...]:
    """Of the columns: without a name where not all stand beside the same."""
    several = any(row.name.startswith(_OTHERS) for row in rows)
    return tuple("theirs" if several and heading == "go-ethereum" else heading for heading in _HEADINGS)


def cells(row: Row) -> tuple[str, ...]:
    """A line of the table, as text."""
    spread = "" if row.spread is None else f"{row.spread[0]:.2f}-{row.spread[1]:.2f}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
    target = TARGETS.get(row.name)
    wanted = "" if target is None else f"{target} {_VERDICTS[target.verdict(row)]}".strip()
    return row.name, figure(row.ours), figure(row.peer), row.unit, ratio, spread, wanted


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Lines for a terminal, names to the left and figures to the right."""
    lines = [headings(rows), *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    for line in lines:
        padded = (
            text.ljust(width) if column in {0, 3, 6} else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join(padded).rstrip()


def write_docs(rows: Sequence[Row], prefix: str = "") -> None:
    """Put the table of a run between the marks in docs/benchmarks.md, and draw the plot.

    With a prefix only the rows whose names begin so, between marks of their own, and no plot. BenchError if there are no such rows or
    marks.
    """
    begin, end = (_MARK.format(f" of {prefix}" if prefix else "", which) for which in ("begin", "end"))
    chosen = [row for row in rows if row.name.startswith(prefix)]
    if not chosen:
        raise BenchError(f"the result has no row whose name begins with {prefix!r}: measure them first")
    lines = [headings(chosen), ("---", "--:", "--:", "---", "--:", "--:", "---"), *map(cells, chosen)]
    head, _, rest = PAGE.read_text("utf-8").partition(begin)
    _, mark, tail = rest.partition(end)
    if not mark:
        raise BenchError(f"{PAGE.relative_to(ROOT)} has no `{begin}` ... `{end}`")
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    PAGE.write_text(f"{head}{begin}\n{machine()}\n\n{body}\n{mark}{tail}", "utf-8")
    if prefix == _OTHERS:
        write_transports(chosen)
    if not prefix:
        compared = [row for row in chosen if row.ratio is not None and row.name.startswith(_IN_PLOT)]
        PLOT.write_text(bars(compared), "utf-8")


def write_transports(rows: Sequence[Row]) -> None:
    """Put our own figures, a line for each transport, between the marks in docs/transports.md. BenchError if it has no marks."""
    begin, end = (_MARK.format("", which) for which in ("begin", "end"))
    head, mark, rest = TRANSPORTS_PAGE.read_text("utf-8").partition(begin)
    _, other, tail = rest.partition(end)
    if not (mark and other):
        raise BenchError(f"{TRANSPORTS_PAGE.relative_to(ROOT)} has no `{begin}` ... `{end}`")
    own: dict[str, dict[str, Row]] = {}
    for row in rows:
        if not row.name.endswith("libp2p"):
            _, transport, name = row.name.split("/", 2)
            own.setdefault(transport, {})[name] = row
    names = list(dict.fromkeys(name for figures in own.values() for name in figures))
    units = {name: row.unit for figures in own.values() for name, row in figures.items()}
    lines = [("", *(f"{name} ({units[name]})" for name in names)), ("---", *("--:" for _ in names))]
    for transport, figures in own.items():
        lines.append((transport, *(figure(figures[name].ours) if name in figures else "-" for name in names)))
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    TRANSPORTS_PAGE.write_text(f"{head}{begin}\n{machine()}\n\n{body}\n{end}{tail}", "utf-8")


def machine() -> str:
    """One sentence on where the figures are from."""
    model = platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        names = [line.partition(":")[2].strip() for line in info.read_text("utf-8").splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"One run on {platform.system()} with {os.cpu_count()} cores ({model}), {python}."
