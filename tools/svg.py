"""Charts as SVG, drawn by hand: what they are all made of."""

from collections.abc import Iterable
from xml.sax.saxutils import escape

INK, GRID, PAPER = "#222222", "#d8d8d8", "#ffffff"
GOOD, BAD = "#2a7f62", "#c2703d"


def text(x: float, y: float, content: str, anchor: str = "start") -> str:
    """Text whose start, middle or end is at a place."""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(content)}</text>'


def line(x1: float, x2: float, y1: float, y2: float, colour: str) -> str:
    """A line from (x1, y1) to (x2, y2)."""
    return f'<line x1="{x1}" x2="{x2}" y1="{y1}" y2="{y2}" stroke="{colour}"/>'


def bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    """A filled rectangle, from its upper left corner."""
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{colour}"/>'


def dot(x: float, y: float, colour: str) -> str:
    """A point of a measurement."""
    return f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>'


def document(width: float, height: float, parts: Iterable[str]) -> str:
    """The whole chart."""
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="{INK}">'
    return "\n".join([start, f'<rect width="{width}" height="{height}" fill="{PAPER}"/>', *parts, "</svg>"]) + "\n"
