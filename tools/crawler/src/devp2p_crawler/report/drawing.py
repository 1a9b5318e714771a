"""How plots are drawn: by matplotlib, as wide as a phone's screen, so that their text needs no zooming anywhere."""

import io
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import matplotlib as mpl
from markupsafe import Markup
from matplotlib import ticker as matplotlib_ticker
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from devp2p_crawler.report.numbers import compact
from devp2p_crawler.report.svg import Ink, inline

Axes: TypeAlias = Any
"""Matplotlib's Axes, whose own types leave too much open for a strict checker."""
ticker: Final[Any] = matplotlib_ticker
"""matplotlib.ticker, likewise."""
_matplotlib: Final[Any] = mpl

_WIDTH: Final = 330.0  # units of the SVG, which are pixels of CSS where it is shown at its own size
HEIGHT: Final = 215.0
"""Of a plot that says nothing else."""
BAR: Final = 22.0
"""Height for each of several horizontal bars."""
LABEL: Final = 20
"""Characters of the name of a bar."""
_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",  # text stays text: it can be read, searched and scaled
    "svg.hashsalt": "devp2p-crawl",  # the same data gives the same bytes
    "text.parse_math": False,  # a $ in a name is a $
    "font.size": 12,
    "axes.edgecolor": Ink.MUTED,
    "axes.facecolor": "none",
    "axes.labelcolor": Ink.MUTED,
    "axes.labelsize": 12,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "axes.xmargin": 0.0,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": Ink.GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 12,
    "legend.labelcolor": Ink.TEXT,
    "legend.handlelength": 1.0,
    "legend.handleheight": 0.9,
    "legend.columnspacing": 1.0,
    "legend.handletextpad": 0.5,
    "lines.linewidth": 2.0,
    "text.color": Ink.TEXT,
    "xtick.color": Ink.MUTED,
    "ytick.color": Ink.MUTED,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
}


def plot(name: str, title: str, text: str, draw: Callable[[Axes], None], height: float = HEIGHT) -> Markup:
    """Draw with `draw`. `name` is that of its ids, `title` and `text` are for those who cannot see it; `height` in pixels."""
    with _matplotlib.rc_context(_STYLE):
        figure: Any = Figure(figsize=(_WIDTH / 72, height / 72), dpi=72, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return inline(file.getvalue(), name, title, text)


def legend(axes: Axes, columns: int) -> None:
    """What the colours mean, above the plot."""
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, borderaxespad=0.0)


def only_names(axes: Axes) -> None:
    """Horizontal bars from above to below, with their names, and no scale."""
    axes.invert_yaxis()
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def formatted(text_of: Callable[[float], str]) -> Any:  # noqa: ANN401  (one of matplotlib's formatters)
    """The numbers at an axis, as `text_of` writes them."""

    def write(value: float, _place: int) -> str:
        return text_of(value)

    return ticker.FuncFormatter(write)


def compact_counts() -> Any:  # noqa: ANN401
    """Counts at an axis."""
    return formatted(lambda value: compact(round(value)))


def annotate(axes: Axes, place: int, length: float, text: str) -> None:
    """Text at the end of a horizontal bar."""
    axes.annotate(text, (length, place), xytext=(4, 0), textcoords="offset points", va="center", color=Ink.TEXT)


def room(names: Sequence[str]) -> float:
    """How long the scale of horizontal bars is beside the longest one, so that there is room for the text at its end."""
    return 1.6 + 0.08 * max(0, max(map(len, names)) - 12)


def unit(microseconds: int) -> tuple[int, str]:
    """In which unit a span of time is told, in microseconds, and its name."""
    for name, seconds in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if microseconds >= 2_000_000 * seconds:
            return 1_000_000 * seconds, name
    return 1_000_000, "seconds"
