"""Where addresses are: countries and autonomous systems, by files in MaxMind's format (.mmdb) that the user has. None comes with this.

GeoLite2, GeoIP2 and DB-IP name things alike; IPinfo names them otherwise; both are read. Several files add to each other.
"""

import importlib
import re
import struct
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, cast

from devp2p_crawler.model import KnownNode

_REMEMBERED: Final = 65_536  # addresses
_LONGEST: Final = 200  # characters of an organisation's name
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"
# Its reader takes damaged files at their word, and fails as it happens; its own error is a RuntimeError.
_DAMAGED: Final = (RuntimeError, ValueError, LookupError, TypeError, ArithmeticError, struct.error)
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_ASN: Final = re.compile(r"(?:AS)?([0-9]{1,10})")


class PlacesError(Exception):
    """A file cannot be used; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of an address; each part is None if it is not."""

    country: str | None = None
    """Two letters, ISO 3166."""
    asn: int | None = None
    organisation: str | None = None
    """Who runs the autonomous system, as the file has it."""


class Places:
    """Open files, made by `open_places`. To be used by one thread at a time."""

    def __init__(self, readers: Mapping[str, Any]) -> None:
        self._readers = readers
        self._look = lru_cache(maxsize=_REMEMBERED)(self._look_up)

    def of(self, ip: bytes) -> Place:
        """What is known of a packed address, 4 or 16 bytes, or none; PlacesError if a file turns out to be damaged."""
        return self._look(ip.removeprefix(_MAPPED) if len(ip) == 16 else ip) if len(ip) in {4, 16} else Place()

    def with_place(self, node: KnownNode) -> KnownNode:
        """A node, and where its address is."""
        place = self.of(node.ip)
        return replace(node, country=place.country, asn=place.asn, organisation=place.organisation)

    def _look_up(self, ip: bytes) -> Place:
        place = Place()
        for path, reader in self._readers.items():
            if len(ip) == 16 and reader.metadata().ip_version == 4:
                continue
            try:
                found = _place(reader.get(ip_address(ip)))
            except _DAMAGED as error:
                raise PlacesError(f"{path} is damaged: {type(error).__name__}; get it anew") from None
            place = Place(place.country or found.country, place.asn or found.asn, place.organisation or found.organisation)
        return place


@contextmanager
def open_places(paths: Iterable[Path]) -> Generator[Places]:
    """Open files; what an earlier one knows comes before what a later one does. PlacesError says what is wrong with one."""
    paths = tuple(paths)
    with ExitStack() as stack:
        yield Places({str(path): stack.enter_context(_open(path)) for path in paths})


def _open(path: Path) -> Any:  # noqa: ANN401  (the package is an extra)
    try:
        maxminddb: Any = importlib.import_module("maxminddb")
    except ImportError:
        raise PlacesError("places of addresses need the package maxminddb: pip install 'devp2p-crawler[geo]'") from None
    try:
        return maxminddb.open_database(path)
    except FileNotFoundError:
        raise PlacesError(f"there is no file {path}; GeoLite2-Country.mmdb and GeoLite2-ASN.mmdb are such, from their makers") from None
    except OSError as error:
        raise PlacesError(f"cannot read {path}: {error.strerror}") from None
    except (maxminddb.InvalidDatabaseError, ValueError):
        raise PlacesError(f"{path} is no file of places: one in MaxMind's format is wanted (.mmdb), such as GeoLite2-ASN.mmdb") from None


def _place(found: object) -> Place:
    if not isinstance(found, dict):
        return Place()
    entry = cast("dict[str, object]", found)
    country = _inner(entry.get("country"), "iso_code") or _inner(entry.get("registered_country"), "iso_code")
    country = country or entry.get("country_code") or entry.get("country")
    number = entry.get("autonomous_system_number") or entry.get("asn")
    name = entry.get("autonomous_system_organization") or entry.get("as_name") or entry.get("name")
    match = _ASN.fullmatch(str(number)) if isinstance(number, int | str) else None
    return Place(
        country.upper() if isinstance(country, str) and _COUNTRY.fullmatch(country) else None,
        int(match[1]) if match and 0 < int(match[1]) < 2**32 else None,
        name[:_LONGEST] if isinstance(name, str) and name else None,
    )


def _inner(value: object, key: str) -> object:
    return cast("dict[str, object]", value).get(key) if isinstance(value, dict) else None
