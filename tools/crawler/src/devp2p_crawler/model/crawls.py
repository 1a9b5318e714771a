"""A crawl: one run of the crawler, from one vantage."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast


def uuid7(now: int, random_bytes: Callable[[int], bytes]) -> bytes:
    """A UUID of version 7 (RFC 9562, section 5.7), 16 bytes, of a time in microseconds since 1970: they sort as they were made."""
    chance = random_bytes(10)
    middle = 0x7000 | int.from_bytes(chance[:2], "big") & 0x0FFF
    rest = 0x8000_0000_0000_0000 | int.from_bytes(chance[2:], "big") & 0x3FFF_FFFF_FFFF_FFFF
    return (now // 1000).to_bytes(6, "big") + middle.to_bytes(2, "big") + rest.to_bytes(8, "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crawl:
    """One run. A later row with the same `id` replaces an earlier one, as the one with the later `updated`."""

    id: bytes
    """16 bytes; `uuid7` makes one."""
    vantage: str
    """A name that the user gives to the place from which it looks, by default "local"."""
    started: int
    """Microseconds since 1970, UTC."""
    updated: int
    ended: int | None
    """None while it runs, and for ever if it was killed."""
    program: str
    """Such as "devp2p-crawler/0.1.0"."""
    settings: str
    """What it was told, as JSON."""
    counters: str
    """`Snapshot` at `updated`, as JSON."""

    @property
    def is_complete(self) -> bool:
        """Whether everybody was visited, so that there is nothing to go on with; one that ended as its time was up is not."""
        return self.ended is not None and _object(self.counters).get("is_done") is not False

    @property
    def monitors(self) -> bool:
        """Whether it visits nodes again and again."""
        return _object(self.settings).get(MONITORS) is True


MONITORS: Final = "monitor"
"""The name in `Crawl.settings` that says so."""


def _object(text: str) -> dict[str, object]:
    """What a text says as a JSON object; nothing if it is none."""
    try:
        found: object = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}
