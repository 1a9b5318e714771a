"""Strangers' text made fit for a page: what cannot be seen is shown, what is long is cut.

Escaping for HTML is the template engine's, for everything and without exception. Here is what escaping leaves: characters that turn the
direction of a line, hide, overlap or break it.
"""

import unicodedata
from typing import Final

LONGEST: Final = 80
"""Characters of a text that are shown, by default."""
_HIDDEN: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories of Unicode: controls (bidi controls and zero-width ones are "Cf"), halves of pairs, private and unassigned ones, line ends."""
_BLANK: Final = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0xFFFC}
"""Letters and symbols that show nothing."""
_MOST_MARKS: Final = 2
"""Combining marks on one letter; a pile of them covers the lines above."""


def visible(text: str, longest: int = LONGEST) -> str:
    """A text without anything unseen: such characters become ⟨U+202E⟩, and of long texts the beginning is left, with "…".

    Spaces other than U+0020 become U+0020. An empty text becomes ⟨empty⟩.
    """
    shown, marks = list[str](), 0
    for character in text[: longest + 1]:
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if category == "Zs":
            shown.append(" ")
        elif category in _HIDDEN or ord(character) in _BLANK or marks > _MOST_MARKS or 0xFE00 <= ord(character) <= 0xFE0F:
            shown.append(f"⟨U+{ord(character):04X}⟩")
        else:
            shown.append(character)
    if not text:
        return "⟨empty⟩"
    whole = len(text) <= longest
    return "".join(shown) if whole else "".join(shown[:longest]) + "…"


def plain(text: str, longest: int) -> str:
    """The same in ASCII and at most `longest` characters, for labels of plots: their library needs a font that has each character."""
    label = "".join(character if " " <= character <= "~" else "?" for character in visible(text, longest).replace("…", "..."))
    return label if len(label) <= longest else f"{label[: longest - 3]}..."
