"""Matplotlib's SVG made fit to stand in a page: nothing active in it, no styles of its own, and colours that follow the page's theme.

A page with a Content-Security-Policy allows no `style` attributes, so they become attributes of their own; and the colours that
`Ink` names become classes, which the page's style sheet colours for light and dark.
"""

import re
from enum import StrEnum
from itertools import count
from typing import Final
from xml.etree import ElementTree as ET

from markupsafe import Markup

_NAMESPACE: Final = "{http://www.w3.org/2000/svg}"
_LINK: Final = "{http://www.w3.org/1999/xlink}href"
_KEPT_TAGS: Final = {"svg", "g", "defs", "path", "use", "text", "tspan", "clipPath", "rect"}
_KEPT_ATTRIBUTES: Final = {"d", "x", "y", "width", "height", "transform", "viewBox", "clip-path", "id", "href"}
_KEPT_STYLES: Final = {
    "fill-opacity",
    "font-size",
    "font-weight",
    "opacity",
    "stroke-dasharray",
    "stroke-dashoffset",
    "stroke-linecap",
    "stroke-linejoin",
    "stroke-opacity",
    "stroke-width",
    "text-anchor",
}


class Ink(StrEnum):
    """Colours by what they mean. The value is what the plot is drawn with; the name, in lower case, is the class in the page."""

    TEXT = "#010101"
    MUTED = "#020202"
    GRID = "#030303"
    GOOD = "#040404"
    WAIT = "#050505"
    BAD = "#060606"
    IDLE = "#070707"
    MAIN = "#080808"
    SECOND = "#090909"
    PAPER = "#0a0a0a"


class SvgError(Exception):
    """A plot holds what no page may have."""


def inline(source: str, name: str, title: str, description: str) -> Markup:
    """An ``<svg>`` for a page, of matplotlib's file. `name` makes its ids unique; a screen reader says title and description.

    SvgError if it has a colour that is none of `Ink`'s.
    """
    root = ET.fromstring(source)  # noqa: S314  (matplotlib wrote it; the labels in it are printable ASCII)
    ids = {element.attrib["id"]: f"{name}-{number}" for number, element in zip(count(), _linked(root), strict=False)}
    kept = _cleaned(root, ids)
    if kept is None:
        raise SvgError("this is no SVG")
    kept.attrib.pop("width", None)
    kept.attrib.pop("height", None)
    kept.attrib |= {"class": "plot", "role": "img", "aria-labelledby": f"{name}-title", "aria-describedby": f"{name}-text"}
    for tag, text in (("desc", description), ("title", title)):
        element = ET.Element(tag, {"id": f"{name}-{'title' if tag == 'title' else 'text'}"})
        element.text = text
        kept.insert(0, element)
    return Markup(ET.tostring(kept, encoding="unicode"))  # noqa: S704  (built here of allowed parts, and escaped by ElementTree)


def _linked(root: ET.Element) -> list[ET.Element]:
    """The elements to which others refer. Matplotlib gives ids to all, most of which are ballast."""
    text = ET.tostring(root, encoding="unicode")
    wanted = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    return [element for element in root.iter() if element.get("id") in wanted]


def _cleaned(element: ET.Element, ids: dict[str, str]) -> ET.Element | None:
    tag = str(element.tag).removeprefix(_NAMESPACE)
    if tag not in _KEPT_TAGS:
        return None
    kept = ET.Element(tag)
    for key, value in element.attrib.items():
        bare = "href" if key == _LINK else key
        if bare not in _KEPT_ATTRIBUTES or (bare == "id" and value not in ids):
            continue
        kept.set(
            bare,
            re.sub(r"#([^)\"]+)", lambda found: f"#{ids[found[1]]}", value) if bare in {"href", "clip-path"} else ids.get(value, value),
        )
    classes = list[str]()
    for key, value in _styles(element.get("style", "")):
        if key in {"fill", "stroke"}:
            classes.append(_class_of(key, value))
        elif key in _KEPT_STYLES:
            kept.set(key, value)
    if classes:
        kept.set("class", " ".join(classes))
    kept.text = " ".join(element.text.split()) if element.text and element.text.strip() else None
    if tag == "path":
        kept.set("d", _shorter(kept.get("d", "")))
    for child in element:
        cleaned = _cleaned(child, ids)
        if cleaned is not None and not (cleaned.tag in {"g", "defs"} and len(cleaned) == 0):
            kept.append(cleaned)
    return kept


def _styles(style: str) -> list[tuple[str, str]]:
    pairs = [part.partition(":") for part in style.split(";") if part.strip()]
    return [(key.strip(), value.strip()) for key, _, value in pairs]


def _class_of(key: str, value: str) -> str:
    if value == "none":
        return f"{key}-none"
    try:
        return f"{key}-{Ink(value).name.lower()}"
    except ValueError:
        raise SvgError(f"a plot has the colour {value}, which is none of Ink's") from None


def _shorter(path: str) -> str:
    """The same path with a tenth of a unit kept, on one line: a third of the bytes."""
    short = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), path)
    return " ".join(short.split())
