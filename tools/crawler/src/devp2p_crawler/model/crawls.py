"""A crawl: one run of the crawler, from one vantage."""

from collections.abc import Callable
from dataclasses import dataclass


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
