"""Charts as SVG, drawn by hand: what they are all made of."""

import argparse
from collections.abc import Iterable
from html import escape
from pathlib import Path

INK, GRID, PAPER = "#222222", "#d8d8d8", "#ffffff"
GOOD, BAD = "#2a7f62", "#c2703d"
FONTS = "Helvetica, Arial, DejaVu Sans, Liberation Sans, Noto Sans, Segoe UI, sans-serif"
"""By name, as what makes pixels of a chart may know no generic ones."""
INTERRUPTED = 130
"""The exit status of a program that Ctrl-C ended before its chart was done, as shells give it."""


def drawing(path: str) -> Path:
    """Read from a command line where a chart is to go, before it costs minutes to make it."""
    file = Path(path)
    if file.is_dir() or not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"a file in a directory that exists is wanted, not {path!r}")
    return file


def text(x: float, y: float, content: str, anchor: str = "start", *, colour: str = INK, bold: bool = False) -> str:  # noqa: PLR0913  (how it looks)
    """Text whose start, middle or end is at a place."""
    weight = "bold" if bold else "normal"
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}">{escape(content)}</text>'


def line(x1: float, x2: float, y1: float, y2: float, colour: str, *, dash: str = "none") -> str:  # noqa: PLR0913  (likewise)
    """A line from (x1, y1) to (x2, y2); `dash` as in ``stroke-dasharray``."""
    return f'<line x1="{x1}" x2="{x2}" y1="{y1}" y2="{y2}" stroke="{colour}" stroke-dasharray="{dash}"/>'


def curve(points: Iterable[tuple[float, float]], colour: str, width: float = 1.0, *, opacity: float = 1.0) -> str:
    """Lines from each point to the next."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    style = f'stroke="{colour}" stroke-width="{width}" stroke-opacity="{opacity}" stroke-linejoin="round"'
    return f'<polyline points="{places}" fill="none" {style}/>'


def area(points: Iterable[tuple[float, float]], colour: str) -> str:
    """What is within the lines from each point to the next, and back to the first."""
    return f'<polygon points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="{colour}"/>'


def bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    """A filled rectangle, from its upper left corner."""
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{colour}"/>'


def dot(x: float, y: float, colour: str) -> str:
    """A point of a measurement."""
    return f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>'


def document(width: float, height: float, parts: Iterable[str]) -> str:
    """The whole chart."""
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="{FONTS}" font-size="12">'
    return "\n".join([start, f'<rect width="{width}" height="{height}" fill="{PAPER}"/>', *parts, "</svg>"]) + "\n"
