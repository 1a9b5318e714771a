"""Numbers and strangers' texts as a terminal can show them (pure)."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from devp2p_crawler.model import Recall

NOTHING: Final = "–"  # noqa: RUF001  (a dash it is)
_CURVE: Final = "▁▂▃▄▅▆▇█"
_MARKS: Final = frozenset({"Mn", "Me", "Mc"})  # categories of what is written over another character
_OUTCOMES: Final = {
    "ok": "answered",
    "silent": "no answer",
    "refused": "refused",
    "unreachable": "no way there",
    "no_address": "no address",
    "hung_up": "hung up",
    "handshake_timeout": "no handshake",
    "hello_timeout": "no Hello",
    "wrong_key": "another node",
    "broke_rules": "broke the rules",
    "too_many_peers": "full",
    "disconnected": "sent us away",
    "status_timeout": "no Status",
    "our_fault": "failed here",
}


def inert(text: str, most: int = 40) -> str:
    """A stranger's text, cut, and without anything that a terminal would obey or that would be written over something else."""
    cut = text[:most] + ("…" if len(text) > most else "")
    return "".join(
        one if one.isprintable() and unicodedata.category(one) not in _MARKS else one.encode("unicode_escape").decode("ascii")
        for one in cut
    )


def outcome(name: str) -> str:
    """The name of an outcome in words."""
    return _OUTCOMES.get(name.lower(), name.lower().replace("_", " "))


def clock(seconds: float) -> str:
    """``0:05``, ``12:34``, ``1:02:03``, ``3 d 04:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def about(seconds: float) -> str:
    """``40 s``, ``3 min``, ``2.5 h``, ``4 d``: as exact as a guess is."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 36 * 3600 else f"{seconds / 86400:.0f} d"


def size(count: float) -> str:
    """Bytes: ``312 MB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def percent(share: float) -> str:
    """``98.7 %``, and never 100 % of what is not all."""
    return "100 %" if share >= 1 else f"{min(share, 0.999):.1%}".replace("%", " %")


def recall(found: Recall | None) -> str:
    """``98.7 % (97.9 to 99.4 %)``, or that there is too little to tell."""
    if found is None:
        return "too little to tell yet"
    low, middle, high = map(percent, (found.low, found.estimate, found.high))
    return middle if low == high else f"{middle} ({low.removesuffix(' %')} to {high})"


def curve(values: Sequence[float], length: int) -> str:
    """The last values as a row of blocks, the highest one of them as high as can be."""
    shown = values[-length:]
    highest = max(shown, default=0.0)
    blocks = "".join(_CURVE[min(7, int(value / highest * 7.99))] if highest > 0 else _CURVE[0] for value in shown)
    return blocks.ljust(length)


def top(counts: Mapping[str, int], most: int) -> Iterable[tuple[str, int]]:
    """The largest counts, in an order that does not depend on chance; what is left out comes last, as one."""
    ordered = sorted(((name, count) for name, count in counts.items() if count), key=lambda one: (-one[1], one[0]))
    if len(ordered) <= most:
        return ordered
    return [*ordered[: most - 1], ("others", sum(count for _, count in ordered[most - 1 :]))]


def sessions(counts: Mapping[str, object]) -> str:
    """How sessions of uptime stand: as the summary of a crawl that monitors has them."""
    median = counts["median_minutes"]
    lasting = "" if median is None else f"; half of those that began meanwhile lasted longer than {median} min"
    return f"{counts['open']:,} open, {counts['pending']:,} doubtful; {counts['began']:,} began and {counts['ended']:,} ended{lasting}"
