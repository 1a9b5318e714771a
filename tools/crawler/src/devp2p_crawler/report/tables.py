"""Tables and sections as the page's template takes them. What strangers wrote passes through `strange`, and nothing else makes it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from devp2p_crawler.report.numbers import percent
from devp2p_crawler.report.visible import visible


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell."""

    text: str
    value: float | None = None
    """What a number sorts by; None for text, which sorts by itself."""
    bar: float | None = None
    """A bar below the number, so many percent of the cell long."""
    is_strange: bool = False
    """Whether strangers wrote it; its direction is then kept from the rest of the line."""
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column."""

    name: str
    is_number: bool = False
    sorted: str = ""
    """"ascending" or "descending" if the rows come in its order."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of each row names the row."""

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    more: str = ""
    """What was left out."""
    is_wide: bool = False
    """Whether it may be wider than a phone, and is then scrolled."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report with one subject."""

    name: str
    short: str
    title: str
    paragraphs: Sequence[str]
    plots: Sequence[Markup] = ()
    tables: Sequence[Table] = field(default_factory=tuple[Table, ...])
    empty: str = "Nothing of this is in the file."

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show; `empty` then says why."""
        return not self.plots and not self.tables


def label(text: str) -> Cell:
    """Text of ours."""
    return Cell(text)


def strange(text: str, *, is_code: bool = False) -> Cell:
    """Text of a stranger."""
    return Cell(visible(text), is_strange=True, is_code=is_code)


def number(count: int) -> Cell:
    """A count."""
    return Cell(f"{count:,}", count)


def share(part: int, whole: int) -> Cell:
    """A share of a whole, with its bar."""
    exact = round(100 * part / whole, 2) if whole else 0.0
    return Cell(percent(part, whole), exact, bar=exact)


def left_out(shown: int, in_all: int, what: str) -> str:
    """What to say below a table that is cut."""
    return f"The first {shown:,} of {in_all:,} {what}." if in_all > shown else ""
