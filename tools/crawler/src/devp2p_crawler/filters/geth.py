"""The filters of go-ethereum's `devp2p nodeset filter`, by what they do there (cmd/devp2p/nodesetcmd.go of its version 1.17).

Each function makes a filter of the text that a user wrote; ValueError says what to write instead.
"""

import heapq
import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address, ip_network
from typing import Final, TypeAlias

from devp2p_crawler.filters.described import Described
from devp2p_crawler.filters.durations import parse_duration
from devp2p_crawler.filters.forks import network_named
from devp2p_crawler.model import KnownNode

Filter: TypeAlias = Callable[[Described], bool]

YEAR_ONE: Final = -62_135_596_800 * 10**6
"""The time that go-ethereum's files have where nothing happened yet, in microseconds since 1970: the first moment of the year 1."""
_LONGEST: Final = 2**63 - 1  # nanoseconds
_PREFIX: Final = re.compile(r"(?:0|[1-9][0-9]{0,2})")


def by_ip(text: str) -> Filter:
    """`-ip 10.0.0.0/8`: whose record names an address in a network. A plain address stands for itself."""
    try:
        host, slash, bits = text.partition("/")
        address = ip_address(host)
        if "%" in host or (slash and not _PREFIX.fullmatch(bits)):
            raise ValueError(text)
        network = ip_network(f"{address}/{bits if slash else address.max_prefixlen}", strict=False)
    except ValueError:
        raise ValueError(f"a network is wanted, such as 10.0.0.0/8 or 2001:db8::/32, not {text[:60]!r}") from None

    def accepts(described: Described) -> bool:
        found = described.address
        return found is not None and found.version == network.version and found in network

    return accepts


def by_min_age(text: str) -> Filter:
    """`-min-age 24h`: at least so long between the first and the last answer."""
    least = parse_duration(text)

    def accepts(described: Described) -> bool:
        first, last = (YEAR_ONE if time is None else time for time in (described.node.first_ok, described.node.last_ok))
        age = (last - first) * 1000
        return max(-_LONGEST - 1, min(age, _LONGEST)) >= least

    return accepts


def by_eth_network(text: str) -> Filter:
    """`-eth-network mainnet`: whose record has a fork id that a node at the first block of the network would accept."""
    hashes = frozenset(network_named(text).fork_hashes)

    def accepts(described: Described) -> bool:
        fork_id = described.advertised_fork_id
        return fork_id is not None and fork_id.hash in hashes

    return accepts


def les_server(described: Described) -> bool:
    """`-les-server`: whose record has an entry `les`."""
    return described.has_list(b"les")


def snap(described: Described) -> bool:
    """`-snap`: whose record has an entry `snap`."""
    return described.has_list(b"snap")


def dialable(described: Described) -> bool:
    """`-dialable`: whose record has a port for TCP or QUIC; without a record: that was told of with one."""
    if described.node.record is None:
        return bool(described.node.tcp)
    return any(described.port(key) for key in (b"tcp", b"tcp6", b"quic", b"quic6"))


def best(nodes: Iterable[KnownNode], limit: int) -> list[KnownNode]:
    """`-limit 100`: those with the highest scores, by node-ID. Of equal scores go-ethereum takes any; here it is the lower node-ID."""
    chosen = heapq.nsmallest(limit, nodes, key=lambda node: (-node.score, node.node))
    return sorted(chosen, key=lambda node: node.node)
