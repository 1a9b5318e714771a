"""Where nodes come from beside those that others name: bootnodes, nodes of earlier crawls, node lists in DNS."""

from ipaddress import ip_address
from typing import Final

import trio

from devp2p import Address, Discovery, NodeRecord, PublicKey, Record
from devp2p_crawler.crawling.state import MICRO, State, wall
from devp2p_crawler.model import KnownNode

READING: Final = 10.0
"""Seconds without news from DNS after which a crawl does not wait for more."""


def enter_known(state: State, known: list[KnownNode], due: dict[bytes, int]) -> None:
    """Enter the nodes from before: all due at once for a new crawl, each when it is due for one that goes on."""
    now, monotonic = wall(), trio.current_time()
    for one in known:
        node = node_of(one)
        if node is None:
            continue
        when = due.get(one.node)
        later = state.settings.resume is not None and when is not None and when > now
        if later and not state.settings.monitor:
            continue  # it was visited
        state.trusted(node, due=monotonic + ((when or 0) - now) / MICRO if later else None)


def node_of(known: KnownNode) -> NodeRecord | None:
    """A node as it is asked, of what is known of it; None if that names nobody."""
    try:
        if known.record is not None:
            return NodeRecord.from_enr(Record.decode(known.record.raw))
        key = PublicKey.from_bytes(known.public_key)
        if not known.ip:
            return NodeRecord(key)
        host = str(ip_address(known.ip))
        return NodeRecord(key, (Address("tcp", host, known.tcp),), known.udp)  # a TCP port of 0 is none
    except ValueError:
        return None


class Trees:
    """Node lists in DNS, as they are read."""

    def __init__(self, state: State, discovery: Discovery) -> None:
        self._state, self._discovery = state, discovery
        self._last = trio.current_time()

    @property
    def is_reading(self) -> bool:
        """Whether more may come soon."""
        return bool(self._state.settings.dns_trees) and trio.current_time() < self._last + READING

    async def read(self) -> None:
        """Enter the nodes of the lists, for ever."""
        if not self._state.settings.dns_trees:
            return
        async for candidate in self._discovery.candidates():
            if candidate.source == "dns":
                self._last = trio.current_time()
                self._state.trusted(candidate.record)
