"""Where nodes come from beside those that others name: bootnodes, nodes of earlier crawls, node lists in DNS."""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from math import inf
from typing import Final

import trio

from devp2p import Address, Discovery, NodeRecord, PublicKey, Record
from devp2p_crawler.crawling.rows import only_at
from devp2p_crawler.crawling.settings import CrawlSettings
from devp2p_crawler.crawling.state import MICRO, State, endpoint_of, wall
from devp2p_crawler.frontier import AFTER_FAILURE, Entry
from devp2p_crawler.model import Kind, KnownNode, Visit

_ONE_ROUND: Final = 60 * MICRO
"""Visits to a node by all protocols that are no longer apart are of one round."""
READING: Final = 10.0
"""Seconds without news from DNS after which a crawl does not wait for more."""


def enter_known(state: State, known: Iterable[KnownNode], due: Mapping[bytes, int], started: int) -> tuple[list[Entry], list[Entry]]:
    """Enter the nodes from before, as of which nobody is to be visited too soon again, whoever visited him.

    A new crawl visits all but those that were visited lately (`Politeness.window`), one that goes on all that it had not done with, and one
    that monitors each when it is due. `started` is when it began.

    Returns those that answered, and that it had not come to calling; and those that were silent.
    """
    now, monotonic, settings = wall(), trio.current_time(), state.settings
    uncalled, silent = list[Entry](), list[Entry]()
    for one in known:
        node = node_of(one)
        if node is None:
            continue
        is_own = settings.resume is not None and (one.last_visit or 0) >= started
        when = _visit_at(one, due.get(one.node), now, settings, is_own=is_own)
        if when <= now:
            state.trusted(node)
            continue
        if not settings.monitor and not is_own:
            state.counts.skipped["visited lately"] += 1
        since = started if is_own else (one.last_visit or 0) - _ONE_ROUND
        alive = one.last_ok is not None and one.last_ok >= since
        entry = state.restored(node, one, monotonic + (when - now) / MICRO, alive=alive)
        if entry is not None and is_own and not alive:
            silent.append(entry)
        elif entry is not None and alive and Kind.RLPX not in one.outcomes:
            uncalled.append(entry)
    return uncalled, silent


def _visit_at(one: KnownNode, due: int | None, now: int, settings: CrawlSettings, *, is_own: bool) -> float:
    """When a node from before is to be visited: by `now`, at a time, or not by this crawl (inf). `is_own`: this crawl has visited it."""
    last, window, monitor = one.last_visit, int(settings.politeness.window * MICRO), settings.monitor
    if last is None or not any(kind is not Kind.INBOUND for kind in one.outcomes):
        return now
    was_lately = abs(now - last) < window  # of what the clock was wrong about nothing is known
    if monitor and due is not None:
        return min(due, now + int(AFTER_FAILURE[-1] * MICRO))
    if is_own and not monitor:
        return inf if due is not None and due > last else now  # else it was broken off in the middle
    if is_own or not was_lately:
        return now
    return last + window if monitor else inf


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
