"""Where nodes come from beside those that others name: bootnodes, nodes of earlier crawls, node lists in DNS."""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from math import inf
from typing import Final

import trio

from devp2p import Address, Discovery, NodeRecord, PublicKey, Record
from devp2p_crawler.crawling.rows import only_at
from devp2p_crawler.crawling.state import MICRO, State, endpoint_of, wall
from devp2p_crawler.frontier import Entry
from devp2p_crawler.model import Kind, KnownNode, Visit

READING: Final = 10.0
"""Seconds without news from DNS after which a crawl does not wait for more."""


def enter_known(state: State, known: Iterable[KnownNode], due: Mapping[bytes, int], started: int) -> tuple[list[Entry], list[Entry]]:
    """Enter the nodes from before: all for a new crawl, for one that goes on those that it had not done with.

    `started` is when it began. Of one that monitors each node is due when it would have been.

    Returns those that answered, and that it had not come to calling; and those that were silent.
    """
    now, monotonic, monitor = wall(), trio.current_time(), state.settings.monitor
    uncalled, silent = list[Entry](), list[Entry]()
    for one in known:
        node, when = node_of(one), due.get(one.node)
        if node is None:
            continue
        was_visited = state.settings.resume is not None and one.last_visit is not None and one.last_visit >= started
        if not was_visited or when is None or when <= (now if monitor else one.last_visit or 0):
            state.trusted(node)
            continue
        entry = state.restored(node, one, monotonic + (when - now) / MICRO if monitor else inf)
        if entry is not None and one.last_ok is None:
            silent.append(entry)
        elif entry is not None and Kind.RLPX not in one.outcomes:
            uncalled.append(entry)
    return uncalled, silent


def remember_courtesy(state: State, visits: Iterable[Visit]) -> None:
    """What was done to hosts lately, by this crawl before it was broken off or by another one of this file, counts on."""
    now, monotonic = wall(), trio.current_time()
    for visit in visits:
        if visit.ip:
            host, when = state.courtesy.host(visit.ip, visit.port), monotonic - max(0, now - visit.began) / MICRO
            if visit.kind is Kind.RLPX:
                state.courtesy.dialled(host, visit.node, when)
            elif visit.kind is not Kind.INBOUND:
                state.courtesy.visited(host, visit.node, when)
                state.courtesy.sent(host, visit.asked, monotonic - max(0, now - visit.ended) / MICRO)


def node_of(known: KnownNode) -> NodeRecord | None:
    """A node as it is asked, of what is known of it; None if that names nobody."""
    try:
        if known.record is not None:
            node = NodeRecord.from_enr(Record.decode(known.record.raw))
            if known.last_ok is None or not known.ip or not known.udp:
                return node
            if (at := endpoint_of(node)) is not None and (at.ip, at.port) == (known.ip, known.udp):
                return only_at(node, known.ip)
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
