"""What may stand in a report: a list of all elements and attributes, beside which everything is a fault. Nothing on it can act."""

import re
from html.parser import HTMLParser
from typing import Final

SHARED: Final = {"id", "class", "aria-label", "aria-labelledby", "aria-describedby", "aria-hidden", "aria-sort", "role", "tabindex"}
_PLAIN: Final = (
    *("head", "title", "style", "script", "body", "header", "nav", "main", "section", "footer", "figure", "bdi"),
    *("h1", "h2", "p", "ul", "li", "dl", "dt", "dd", "div", "table", "caption", "thead", "tbody", "tr"),
)
ALLOWED: Final[dict[str, set[str]]] = {
    **{tag: set[str]() for tag in _PLAIN},
    "html": {"lang"},
    "meta": {"charset", "http-equiv", "content", "name"},
    "a": {"href"},
    "time": {"datetime"},
    "th": {"scope", "data-value"},
    "td": {"data-value"},
    "svg": {"viewbox", "version", "preserveaspectratio"},
    "desc": set(),
    "defs": set(),
    "clippath": set(),
    "g": {"clip-path", "transform", "opacity"},
    "path": {"d"},
    "rect": {"x", "y", "width", "height"},
    "use": {"href", "x", "y"},
    "text": {"x", "y", "transform", "font-size", "font-weight", "text-anchor"},
    "tspan": {"x", "y"},
}
DRAWN: Final = {
    *("clip-path", "fill-opacity", "opacity", "transform", "font-size"),
    *("stroke-dasharray", "stroke-dashoffset", "stroke-linecap", "stroke-linejoin", "stroke-opacity", "stroke-width"),
}
METAS: Final = {"content-security-policy", "viewport", "color-scheme", "referrer", "generator"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.faults = list[str]()
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = list[str]()
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ALLOWED:
            self.faults.append(f"<{tag}>")
            return
        for name, value in attrs:
            if name not in ALLOWED[tag] | SHARED and not (tag in {"g", "path", "use", "text", "rect"} and name in DRAWN):
                self.faults.append(f"<{tag} {name}>")
            if name == "href" and not re.fullmatch(r"#[\w-]+", value or ""):
                self.faults.append(f"<{tag} href={value!r}>")
            if name == "clip-path" and not re.fullmatch(r"url\(#[\w-]+\)", value or ""):
                self.faults.append(f"<{tag} clip-path={value!r}>")
            if tag == "meta" and name in {"name", "http-equiv"} and (value or "").lower() not in METAS:
                self.faults.append(f"<meta {name}={value!r}>")
        self._inside = tag if tag in self.raw else ""
        if self._inside:
            self.raw[tag].append("")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.raw[self._inside][-1] += data
        else:
            self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.faults.append(f"<!--{data[:20]}")

    def handle_pi(self, data: str) -> None:
        self.faults.append(f"<?{data[:20]}")

    def unknown_decl(self, data: str) -> None:
        self.faults.append(f"<![{data[:20]}")


def read(page: str, style: str, script: str) -> tuple[list[str], str]:
    """What is active in a page, or might be; and its text. `style` and `script` are the two texts of ours that may stand in it."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    faults = reader.faults
    if reader.raw != {"script": [script], "style": [style]}:
        faults.append("a script or a style sheet that is not ours")
    text = "".join(reader.text)
    faults += [f"U+{ord(letter):04X}" for letter in set(text) if (ord(letter) < 32 and letter not in "\n\t") or letter in BIDI]
    return faults, text


BIDI: Final = "\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\x7f"
