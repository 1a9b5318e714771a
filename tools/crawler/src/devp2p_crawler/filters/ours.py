"""Filters beside go-ethereum's: by what nodes said, where they are, and how they answered.

Each function makes a filter of the text that a user wrote; ValueError says what to write instead.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from devp2p_crawler.filters.described import Described
from devp2p_crawler.filters.durations import parse_duration
from devp2p_crawler.filters.forks import parse_fork_hash, parse_upgrade
from devp2p_crawler.filters.geth import Filter
from devp2p_crawler.filters.versions import client_of, parse_versions, version_of
from devp2p_crawler.model import Kind

_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_ASN: Final = re.compile(r"(?:AS|as)?([0-9]{1,10})")
_CAPABILITY: Final = re.compile(r"[!-.0-~]{1,64}(?:/[0-9]{1,9})?")
_PROTOCOLS: Final[Mapping[str, tuple[Kind, ...]]] = MappingProxyType(
    {"v4": (Kind.V4,), "v5": (Kind.V5,), "rlpx": (Kind.RLPX, Kind.INBOUND)}
)


def by_client(text: str) -> Filter:
    """`--client geth,reth`: whose client is one of these."""
    wanted = frozenset(client_of(part) for part in text.split(","))
    if "" in wanted or "/" in text:
        raise ValueError(
            f"the name of a client is wanted, such as geth or geth,reth, not {text[:60]!r}; for its version there is --version"
        )
    return lambda described: (name := _client(described)) is not None and client_of(name) in wanted


def by_version(text: str) -> Filter:
    """`--version '>=1.14'`: whose client has such a version."""
    terms = parse_versions(text)

    def accepts(described: Described) -> bool:
        name = _client(described)
        version = None if name is None else version_of(name)
        return version is not None and all(term.holds(version) for term in terms)

    return accepts


def by_fork(text: str) -> Filter:
    """`--fork 07c9462e` or `--fork mainnet/osaka`: whose fork hash this is, by its last Status, or else by its record."""
    wanted = parse_fork_hash(text)
    return lambda described: described.fork_id is not None and described.fork_id.hash == wanted


def by_readiness(text: str) -> Filter:
    """`--ready-for mainnet/osaka`: which has the upgrade, or stands right before it and announces it."""
    upgrade = parse_upgrade(text)
    return lambda described: described.fork_id is not None and upgrade.is_ready(described.fork_id)


def by_country(text: str) -> Filter:
    """`--country DE,FR`: in one of these, by two letters each (ISO 3166)."""
    wanted = frozenset(part.strip().upper() for part in text.split(","))
    if not all(_COUNTRY.fullmatch(part) for part in wanted):
        raise ValueError(f"two letters for each country are wanted, such as DE or DE,FR, not {text[:60]!r}")
    return lambda described: described.node.country is not None and described.node.country.upper() in wanted


def by_asn(text: str) -> Filter:
    """`--asn 24940,AS16509`: in one of these networks."""
    found = [_ASN.fullmatch(part.strip()) for part in text.split(",")]
    wanted = frozenset(int(match[1]) for match in found if match is not None)
    if None in found or max(wanted) >= 2**32:
        raise ValueError(f"the number of a network is wanted, such as 24940 or AS24940,AS16509, not {text[:60]!r}")
    return lambda described: described.node.asn in wanted


def at_least_up(least: int, uptime: Callable[[bytes], int]) -> Filter:
    """`--min-uptime 12h`, as nanoseconds: which has been there for at least so long. `uptime`: node-ID -> microseconds; 0 if it is gone."""
    return lambda described: (found := uptime(described.node.node)) > 0 and found * 1000 >= least


def by_max_rtt(text: str) -> Filter:
    """`--max-rtt 150ms`: which answered within so much time."""
    most = parse_duration(text)
    return lambda described: described.node.rtt is not None and described.node.rtt * 1000 <= most


def by_capabilities(text: str) -> Filter:
    """`--caps eth/69,snap`: whose Hello named all of these, without a number in any version."""
    wanted = frozenset(part.strip() for part in text.split(","))
    if not all(_CAPABILITY.fullmatch(part) for part in wanted):
        raise ValueError(f"capabilities are wanted, such as eth or eth/69,snap/1, not {text[:60]!r}")

    def accepts(described: Described) -> bool:
        said = described.node.said
        return said is not None and wanted <= {*said.capabilities, *(name.partition("/")[0] for name in said.capabilities)}

    return accepts


def by_protocol(text: str) -> Filter:
    """`--proto v5`: which answered the latest visit by this protocol; by rlpx: either way."""
    kinds = _PROTOCOLS.get(text.lower())
    if kinds is None:
        raise ValueError(f"v4, v5 or rlpx is wanted, not {text[:60]!r}")
    return lambda described: any(kind in described.node.outcomes and described.node.outcomes[kind].is_alive for kind in kinds)


def by_vantages(text: str) -> Filter:
    """`--seen-by 2`: seen alive from at least so many vantages."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError(f"a number of vantages is wanted, such as 2, not {text[:60]!r}")
    return lambda described: len(described.node.vantages) >= int(text)


def _client(described: Described) -> str | None:
    return None if described.node.said is None else described.node.said.client
