"""`run_crawl`: puts a crawl together, and runs it."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from math import inf
from typing import Final, Protocol

import trio

from devp2p import DiscoveryLimits, Listener, NodeRecord, listen, open_discovery
from devp2p.capabilities.ethereum.networks import NETWORKS
from devp2p.terminal import warn
from devp2p_crawler.crawling.crawler import Crawler
from devp2p_crawler.crawling.fleet import Fleet
from devp2p_crawler.crawling.rows import Rows
from devp2p_crawler.crawling.settings import CrawlSettings
from devp2p_crawler.crawling.sources import enter_known, remember_courtesy
from devp2p_crawler.crawling.state import MICRO, State, wall
from devp2p_crawler.frontier import Cover
from devp2p_crawler.model import Batch, Crawl, KnownNode, Snapshot, Visit, uuid7
from devp2p_crawler.stores import Frontier, Sink, Writer
from devp2p_crawler.visiting import Inbound, RlpxCaller, rlpx_caller

CHECKPOINT: Final = 10.0
"""Seconds between two rows that say how the crawl stands."""
PATIENCE: Final = 3.0
"""Seconds that visits which are under way have in the end."""
_UDP_AT_ONCE: Final = 3  # operations of one visit


class CrawlError(Exception):
    """A crawl cannot begin; the text says why, and what to do."""


class Store(Protocol):
    """The file in which a crawl is written, and from which it goes on: `devp2p_crawler.stores.SqliteStore`."""

    def write(self, batch: Batch) -> None:
        """As of a `Sink`."""
        ...

    def close(self) -> None:
        """As of a `Sink`."""
        ...

    def nodes(self) -> Iterator[KnownNode]:
        """All nodes that are known."""
        ...

    def visits(self, *, since: int | None = None) -> Iterator[Visit]:
        """All visits, or those that began at a time or later."""
        ...

    def frontier(self) -> Mapping[bytes, int]:
        """Node-ID -> when it is due, in microseconds since 1970."""
        ...

    def crawls(self) -> Iterator[Crawl]:
        """All crawls."""
        ...


async def run_crawl(  # noqa: PLR0913  (what it is given, and by name)
    settings: CrawlSettings,
    store: Store,
    *,
    sinks: Sequence[Sink] = (),
    on_start: Callable[[Crawler], None] | None = None,
    until: trio.Event | None = None,
    frontier: Frontier | None = None,
) -> Snapshot:
    """Crawl, and write what is found to `store` and `sinks`, which are closed in the end, as is the `frontier` that others share.

    `on_start` is given the crawl when it begins, to look at `Crawler.snapshot` from time to time. It is over when nobody is left to visit,
    after `settings.duration`, or when `until` is set; then all rows are written, and the last snapshot is returned. Cancelled, it writes
    what is at hand. Raises CrawlError if it cannot begin.
    """
    before = next((crawl for crawl in store.crawls() if crawl.id == settings.resume), None) if settings.resume is not None else None
    if settings.resume is not None and before is None:
        raise CrawlError(f"there is no crawl {settings.resume.hex()} in the store: `info` shows which there are")
    now = wall()
    known, due = list(store.nodes()), dict(store.frontier())
    lately = list(store.visits(since=now - int(settings.politeness.window * MICRO)))
    crawl = Crawl(
        id=uuid7(now, secrets.token_bytes) if before is None else before.id,
        vantage=settings.vantage,
        started=now if before is None else before.started,
        updated=now if before is None else max(now, before.updated),
        ended=None,
        program=settings.program,
        settings=settings.told,
        counters="{}",
    )
    with Writer([store, *sinks]) as writer:
        rows = Rows(writer, settings.vantage)
        rows.crawl(crawl)
        own = settings.key.public_key.node_id
        chance = secrets.SystemRandom().random
        state = State(settings, rows, crawl.id, own, {version: Cover(chance) for version in settings.versions})
        remember_courtesy(state, lately)
        try:
            snapshot = await _run(state, crawl, writer, known, due, on_start=on_start, until=until, frontier=frontier)
        finally:
            rows.flush()
    return replace(snapshot, spooled=writer.spooled, write_lag=writer.lag, lost=writer.lost)


async def _run(  # noqa: PLR0913  (of `run_crawl` alone)
    state: State,
    crawl: Crawl,
    writer: Writer,
    known: list[KnownNode],
    due: dict[bytes, int],
    *,
    on_start: Callable[[Crawler], None] | None,
    until: trio.Event | None,
    frontier: Frontier | None,
) -> Snapshot:
    settings = state.settings
    crawler: Crawler | None = None

    def heard(node: NodeRecord, version: int) -> None:
        if crawler is not None:
            crawler.heard(node, version)

    listener = await _listening(settings)
    port = 0 if listener is None else listener.addresses[0].port or 0
    caller = _caller(settings, state.crawl, port)
    try:
        opening = open_discovery(
            settings.key,
            listen=settings.udp_listen,
            entries={"tcp": port} if port else {},
            trees=settings.dns_trees,
            versions=settings.versions,
            asks_only=True,
            heard=heard,
            may_send=state.may_send,
            limits=DiscoveryLimits.for_questions(at_once=_UDP_AT_ONCE * settings.concurrency),
        )
        async with opening as discovery:
            crawler = Crawler(state, discovery, caller, writer)
            crawler.accepting = None if listener is None else listener.addresses[0]
            if frontier is not None:
                crawler.fleet = Fleet(state, frontier, writer, crawler.calling, room=crawler.room, tell=warn)
            crawler.goes_on(*enter_known(state, known, {} if frontier is not None else due, crawl.started))
            for node in settings.bootnodes:
                state.trusted(node)
            crawler.begins()
            if on_start is not None:
                on_start(crawler)
            await _until_over(crawler, crawl, state, until, Inbound(caller, crawler.calling.came), listener)
            snapshot = crawler.snapshot()
            is_over = crawler.is_done or until is None or not until.is_set()
            state.rows.crawl(_as_of(crawl, snapshot, is_over=is_over))
            return snapshot
    except OSError as error:
        raise CrawlError(f"cannot listen at {settings.udp_listen}: {error.strerror or error}") from error
    except ValueError as error:  # of a node list's URL, or as there is nothing to ask DNS with
        raise CrawlError(str(error)) from error
    finally:
        if listener is not None:
            with trio.CancelScope(shield=True):
                await listener.aclose()


async def _listening(settings: CrawlSettings) -> Listener | None:
    """Listen for calls by TCP, if that is wanted."""
    try:
        return None if settings.tcp_listen is None else await listen(settings.tcp_listen)
    except OSError as error:
        raise CrawlError(f"cannot listen at {settings.tcp_listen}: {error.strerror or error}") from error


def _caller(settings: CrawlSettings, crawl: bytes, port: int) -> RlpxCaller:
    network = NETWORKS.get(settings.network or "")
    return rlpx_caller(crawl=crawl, key=settings.key, client_id=settings.client_name, listen_port=port, network=network)


async def _until_over(  # noqa: PLR0913, PLR0917  (of `_run` alone)
    crawler: Crawler, crawl: Crawl, state: State, until: trio.Event | None, inbound: Inbound, listener: Listener | None
) -> None:
    async def end() -> None:
        with trio.move_on_after(inf if crawler.settings.duration is None else crawler.settings.duration):
            await (trio.Event() if until is None else until).wait()
        with trio.move_on_after(PATIENCE):
            await crawler.drain()
        nursery.cancel_scope.cancel()

    async def checkpoints() -> None:
        while True:
            await trio.sleep(CHECKPOINT)
            state.rows.crawl(_as_of(crawl, crawler.snapshot(), is_over=False))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end)
        nursery.start_soon(checkpoints)
        nursery.start_soon(crawler.trees.read)
        if crawler.fleet is not None:
            nursery.start_soon(crawler.fleet.run, None if crawler.settings.monitor else wall())
        if listener is not None:
            nursery.start_soon(inbound.serve, listener)
        await crawler.run()
        nursery.cancel_scope.cancel()
    if crawler.fleet is not None:
        await crawler.fleet.close()


def _as_of(crawl: Crawl, snapshot: Snapshot, *, is_over: bool) -> Crawl:
    """The crawl's row. It is never older than the one before, even if the system's clock was set back: else it would not count."""
    now = max(wall(), crawl.updated + int(snapshot.elapsed * MICRO))
    counters = {name: value for name, value in asdict(snapshot).items() if isinstance(value, (int, float)) or name == "recall"}
    return replace(crawl, updated=now, ended=now if is_over else None, counters=json.dumps(counters, sort_keys=True))
