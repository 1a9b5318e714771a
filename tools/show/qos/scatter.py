"""Pictures of characters (pure): large digits, and diagrams of dots, of which Braille gives two by four for each character."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_FONT = {  # each character as five rows of dots
    "0": "###|# #|# #|# #|###",
    "1": " # |## | # | # |###",
    "2": "###|  #|###|#  |###",
    "3": "###|  #|###|  #|###",
    "4": "# #|# #|###|  #|  #",
    "5": "###|#  |###|  #|###",
    "6": "###|#  |###|# #|###",
    "7": "###|  #|  #|  #|  #",
    "8": "###|# #|###|# #|###",
    "9": "###|# #|###|  #|###",
    ".": " | | | |#",
    "–": "   |   |###|   |   ",  # noqa: RUF001
}
DIGITS_HEIGHT = 3
"""Lines that `large` makes."""
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column of a character
_DOTS_ACROSS, _DOTS_DOWN = 2, 4


def large(content: str) -> list[str]:
    """A time such as ``3.4 s`` in large digits, as three lines; its unit stays small."""
    number, _, unit = content.partition(" ")
    glyphs = [_FONT[character].split("|") for character in number]
    rows = [" ".join(glyph[row] for glyph in glyphs) for row in range(5)] + [""]
    width = len(rows[0])
    dots = [[character == "#" for character in row.ljust(width)] for row in rows]
    lines = ["".join(_HALVES[upper, lower] for upper, lower in zip(dots[row], dots[row + 1], strict=True)) for row in (0, 2, 4)]
    return [*lines[:2], f"{lines[2]} {unit}".rstrip()]


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one colour; x and y are shares of the diagram's width and height, from its lower left corner."""

    style: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Cell:
    """A character of a diagram."""

    character: str
    style: str


def scatter(series: Iterable[Series], columns: int, rows: int) -> list[list[Cell]]:
    """The lines of a diagram, from the top; a character that several series have dots in shows those of the last alone."""
    dots = [[0] * columns for _ in range(rows)]
    styles = [[""] * columns for _ in range(rows)]
    across, down = columns * _DOTS_ACROSS, rows * _DOTS_DOWN
    for one in series:
        for x, y in one.points:
            column = min(across - 1, max(0, int(x * across)))
            row = min(down - 1, max(0, down - 1 - int(y * (down - 1) + 0.5)))
            line, place = row // _DOTS_DOWN, column // _DOTS_ACROSS
            if styles[line][place] != one.style:
                dots[line][place], styles[line][place] = 0, one.style
            dots[line][place] |= _BRAILLE[row % _DOTS_DOWN][column % _DOTS_ACROSS]
    return [
        [Cell(chr(0x2800 + bits) if bits else " ", style) for bits, style in zip(line, line_styles, strict=True)]
        for line, line_styles in zip(dots, styles, strict=True)
    ]
