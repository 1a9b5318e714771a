"""Node lists in DNS, on trio: `DnsSource` reads trees for as long as somebody wants nodes, `records` reads them once (EIP-1459).

What is asked, and what is made of the answers, is decided by `DnsClient`. Here are the clock and the lookups. Any `Resolver` will do; that
for ordinary DNS is `DnsResolver`. Nothing goes on in the background: a tree is read while somebody awaits the next node, not further.
"""

import logging
import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Protocol, Self, cast

import trio

from devp2p.discovery.dns.client import DnsClient, Query
from devp2p.discovery.dns.events import DnsLimits, Event, PassEnded, QueryFailed, RecordFound
from devp2p.discovery.dns.tree import TreeUrl
from devp2p.errors import Devp2pError, LocalProtocolError
from devp2p.records import Record

LOOKUP_TIMEOUT = 5.0
"""Seconds that one lookup may take."""

_logger = logging.getLogger(__name__)


class LookupFailed(Devp2pError):  # noqa: N818  (as PeerDisconnected: it is what happened)
    """A name could not be looked up, or has no TXT records."""


class Resolver(Protocol):
    """Something that looks up names, in DNS or elsewhere."""

    async def txt(self, name: str) -> Sequence[str]:
        """The TXT records of an absolute name (written without a dot at its end), each as one text: its strings joined.

        LookupFailed, with one line that says why, if there are none or if they cannot be had. It may be cancelled at any time.
        """
        ...


class DnsSource:
    """The records of trees, as an async iterator: each as it is read, and in the next pass again.

    It ends if it was made with `once`, when everything is read. Awaiting the next record may be cancelled, and taken up again later.
    """

    def __init__(  # noqa: PLR0913  (all but the first two by name)
        self,
        urls: Iterable[TreeUrl],
        resolver: Resolver,
        *,
        sequences: Mapping[str, int] | None = None,
        once: bool = False,
        limits: DnsLimits | None = None,
        timeout: float = LOOKUP_TIMEOUT,
        strict: bool = False,
    ) -> None:
        """Read the trees at `urls`. `sequences` is what a source had in its attribute of that name before; `timeout` is for one lookup.

        `strict`: let a stray exception of the resolver out, instead of taking it for a lookup that failed and logging the first one.
        """
        self._client = DnsClient(urls, random=random.SystemRandom().random, sequences=sequences, once=once, limits=limits)
        self._resolver = resolver
        self._timeout = timeout
        self._strict = strict
        self._told = False
        self.failure: str = ""
        """What went wrong the last time; empty if nothing has."""

    @property
    def sequences(self) -> dict[str, int]:
        """The highest sequence number that was seen of each tree, to be kept: so an older tree is refused after a restart, too."""
        return dict(self._client.sequences)

    async def next_event(self) -> Event | None:
        """What happens next, of whatever kind; None at the end, if there is one."""
        await trio.lowlevel.checkpoint()  # one answer may bring several events
        client = self._client
        while (event := client.next_event()) is None and not client.done:
            due = client.next_timer()
            await trio.sleep_until(trio.current_time() if due is None else due)
            query = client.next_query(trio.current_time())
            if query is not None:
                await self._look_up(query)
        if isinstance(event, QueryFailed):
            self.failure = f"{event.name}: {event.why}"
            _logger.debug("%s", self.failure)
        return event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        while (event := await self.next_event()) is not None:
            if isinstance(event, RecordFound):
                return event.record
        raise StopAsyncIteration

    async def _look_up(self, query: Query) -> None:
        client = self._client
        try:
            with trio.fail_after(self._timeout):
                texts = _checked(await self._resolver.txt(query.name))
        except LookupFailed as failure:
            client.failed(query, str(failure), trio.current_time())
        except trio.TooSlowError:
            client.failed(query, f"no answer within {self._timeout:g} s", trio.current_time())
        except Exception as error:
            if self._strict:
                client.put_back(query)
                raise
            client.failed(query, f"{type(error).__name__} of the resolver", trio.current_time())
            if not self._told:  # whoever answers may be able to bring it about any number of times
                _logger.exception("the resolver failed at %s, which is taken for a lookup that failed", query.name)
                self._told = True
        except BaseException:
            client.put_back(query)
            raise
        else:
            client.answered(query, texts, trio.current_time())


def _checked(texts: object) -> Sequence[str]:
    """What a resolver gave, if that can be TXT records."""
    given = cast("Sequence[object]", texts) if isinstance(texts, Sequence) and not isinstance(texts, str | bytes) else None
    if given is None or not all(isinstance(text, str) for text in given):
        raise LocalProtocolError("a resolver's txt() returns a list of str")
    return cast("Sequence[str]", given)


async def records(url: TreeUrl, resolver: Resolver, *, limits: DnsLimits | None = None) -> AsyncIterator[Record]:
    """Read a tree, and those that it links to, once, and give each record.

    LookupFailed, at the end, if not all of the tree itself could be read; of linked trees there is what can be had.
    """
    source = DnsSource([url], resolver, once=True, limits=limits)
    why, complete = "", True
    while (event := await source.next_event()) is not None:
        match event:
            case RecordFound(record=record):
                yield record
            case QueryFailed() if event.url == url:
                why = f": {event.name}: {event.why}"
            case PassEnded() if event.url == url:
                complete = event.complete
            case _:
                pass
    if not complete:
        raise LookupFailed(f"{url} could not be read completely{why}")
