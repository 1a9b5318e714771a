"""Serving the figures of a crawl by HTTP; what it needs is an extra, and imported only here."""

import socket
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial

import trio

from devp2p import Address
from devp2p.terminal import Exit, Failure, explain
from devp2p_crawler.model import Snapshot


@asynccontextmanager
async def exposed(
    address: Address | None, snapshot: Callable[[], Snapshot], vantage: str, names: Iterable[str]
) -> AsyncGenerator[tuple[str, ...]]:
    """Serve metrics at an address for the length of a block; gives the URLs. `Failure` if that is impossible. None: nowhere."""
    if address is None:
        yield ()
        return
    from devp2p import metrics  # noqa: PLC0415  (it needs a library that is an extra)
    from devp2p_crawler.screen.metrics import CrawlCollector  # noqa: PLC0415

    try:
        listeners: Sequence[socket.socket] = await metrics.listen(address)
    except OSError as error:
        raise Failure(f"cannot serve metrics at {address.where}: {explain(error)}; --metrics names another address", Exit.FAILED) from None
    except ValueError as error:
        raise Failure(f"--metrics: {error}") from None
    with ExitStack() as stack:
        for listener in listeners:
            stack.enter_context(listener)
        async with trio.open_nursery() as nursery:
            collector = CrawlCollector(snapshot, vantage)
            await nursery.start(partial(metrics.serve_collector, collector, listeners, names=(address.host, *names)))
            yield tuple(metrics.url_of(listener) for listener in listeners)
            nursery.cancel_scope.cancel()
