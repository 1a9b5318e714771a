"""Discovery as it runs: `open_discovery` has one UDP socket and one task for the protocols, v4 and v5 (discv4.md, discv5-wire.md).

Theory of operation. One task receives, keeps the timers and sends. It takes what has come in batches, lets each protocol look at each
datagram, and sends what they have put out; then it sleeps until something comes or the earliest timer is due. A coroutine that begins an
operation sends its first packet itself, at once, and only moves the time at which that task has to wake up.

Further tasks do what needs no socket of its own: they look for candidates (`finding`), for as long as somebody waits for such.

There are two clocks (clock.py). Timers go by how much time has passed, so that a system clock that is set makes none fire or stop. The
packets of v4 and the rows of the book bear the system's time, whatever it is at the moment, so that all is well as soon as that is right.
"""

import logging
import random
import secrets
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import trio

from devp2p.addresses import Address, Endpoint
from devp2p.arguments import Several, as_bytes, check_bounds, require, several
from devp2p.book import Book
from devp2p.containment import unless_it_fails
from devp2p.discovery.awaited import Awaited, AwaitedV5, Pinged
from devp2p.discovery.candidates import Filter
from devp2p.discovery.clock import Clock
from devp2p.discovery.datagrams import DatagramSocket
from devp2p.discovery.dns import DnsSource, Resolver, TreeUrl, parse_tree
from devp2p.discovery.events import AddressChanged, ClockDoubtful, Ended
from devp2p.discovery.finding import Candidates, Finder, introduce, read_trees, repeat_known, walk
from devp2p.discovery.known_nodes import KnownNodes, system_resolver, with_ip_addresses
from devp2p.discovery.own_record import OwnRecord
from devp2p.discovery.settings import VERSIONS, check_versions, parse_externals, udp_address
from devp2p.discovery.statistics import Statistics
from devp2p.discovery.v4 import Discv4, Discv4Limits
from devp2p.discovery.v5 import Discv5, Discv5Limits, TalkHandler, checked_handler
from devp2p.errors import LocalProtocolError, RemoteProtocolError
from devp2p.keys import PrivateKey, PublicKey, keccak256
from devp2p.records import Entries, NodeRecord, Record, node_of, nodes_of
from devp2p.runtime import require_trio

DEFAULT_LISTEN: Final = Address("udp", "*", 30303)

_logger = logging.getLogger(__name__)

Unhandled = Callable[[bytes, Endpoint], None]
"""Takes a datagram that is of neither protocol, and where it came from. It must return at once; it is called for at most `BATCH` a turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryLimits:
    """The bounds of discovery."""

    v4: Discv4Limits = field(default_factory=Discv4Limits)
    v5: Discv5Limits = field(default_factory=Discv5Limits)
    local_addresses_in_dns: bool = False
    """Whether nodes of DNS trees may have loopback and private addresses."""

    def __post_init__(self) -> None:
        check_bounds(self)


class Discovery:
    """Discovery that runs; `open_discovery` makes it."""

    def __init__(  # noqa: PLR0913  (made in one place, below)
        self,
        sock: DatagramSocket,
        clock: Clock,
        own: OwnRecord,
        *,
        protocols: Iterable[Discv4 | Discv5],
        known: KnownNodes,
        unhandled: Unhandled | None,
        strict: bool,
    ) -> None:
        self._socket = sock
        self._clock = clock
        self._own = own
        self._known = known
        self._strict = strict
        self._on_unhandled = unhandled if strict or unhandled is None else unless_it_fails(unhandled, None)
        self._unhandled = 0
        self._sleep = trio.CancelScope()
        self._finder = Finder(known.sources)
        self.v4: Awaited[Discv4] | None = None
        """Discovery v4 alone, or None if it does not run; its `protocol` is to be read."""
        self.v5: AwaitedV5 | None = None
        """The same of v5."""
        for protocol in protocols:
            if isinstance(protocol, Discv5):
                self.v5 = AwaitedV5(protocol, clock=clock.now, flush=self._flush, random_bytes=secrets.token_bytes)
            else:
                self.v4 = Awaited(protocol, clock=clock.now, flush=self._flush, random_bytes=secrets.token_bytes)
        # The better one first: it is asked where both could be.
        self._versions: Mapping[int, Awaited[Any]] = {one.version: one for one in (self.v5, self.v4) if one is not None}

    @property
    def record(self) -> Record:
        """Our own record as it is now."""
        return self._own.record

    @property
    def address(self) -> Address:
        """Where it listens; the host of a wildcard is ``*``."""
        ip, port = self._socket.endpoint
        return Address("udp", "*" if not any(ip) else str(Endpoint(ip, port)).rpartition(":")[0].strip("[]"), port)

    @property
    def statistics(self) -> Statistics:
        """What was counted so far."""
        return Statistics(
            received=self._socket.received,
            sent=self._socket.sent,
            not_sent=self._socket.not_sent,
            unhandled=self._unhandled,
            tables=MappingProxyType({one.version: one.protocol.table.statistics() for one in self._versions.values()}),
            candidates=MappingProxyType(dict(self._finder.found)),
        )

    def update_record(self, entries: Entries) -> bool:
        """Change entries of our own record; a value of None removes one. Tells whether there is a new record now.

        LocalProtocolError for values that do not fit, or too many of them.
        """
        return self._own.update(entries)

    def offer_entries(self, entries: Entries) -> bool:
        """Have in our own record these entries, of all that are not the user's: what was offered before and is not now goes.

        Entries given to `open_discovery` or by `update_record` are the user's, and stay. Tells whether there is a new record now;
        LocalProtocolError as `update_record`, which changes nothing.
        """
        return self._own.offer(entries)

    def candidates(self, *filters: Filter) -> Candidates:
        """Iterate nodes that one could dial and that pass all `filters`, from all sources in turn, for as long as discovery runs.

        The same node is not given again within `devp2p.discovery.candidates.WINDOW`. Nothing is searched while nobody waits for the next.
        """
        return self._finder.candidates(filters if self._strict else [unless_it_fails(wanted, otherwise=False) for wanted in filters])

    def send(self, data: bytes, to: Endpoint) -> None:
        """Send a datagram of some other protocol, as `unhandled` gets them; whether it is lost is not known."""
        self._socket.send(data, to)

    def on_talk(self, protocol: bytes, handler: TalkHandler | None) -> None:
        """Let `handler` answer the TALKREQs of a protocol from now on; None for nobody. LocalProtocolError without v5.

        Where it fails, or gives what is no response, the answer is empty, as if it did not know the protocol, and the first failure is
        logged with its traceback.
        """
        if handler is not None and not self._strict:
            handler = unless_it_fails(checked_handler(handler, protocol), b"", (RemoteProtocolError,))
        self._need_v5().protocol.on_talk(protocol, handler)

    # Operations. They raise ClosedResourceError if discovery ends meanwhile, and LocalProtocolError for a version that does not run.

    async def ping(self, node: NodeRecord | str, *, version: int | None = None) -> Pinged | None:
        """Ask a node whether it is there, by v5 if it is known how, or else by v4; None if it is silent."""
        record = await self._with_ips(node)
        return await self._fitting(record, version).ping(record)

    async def request_enr(self, node: NodeRecord | str, *, version: int | None = None) -> NodeRecord | None:
        """Ask a node itself for its record; None if it does not give it."""
        record = await self._with_ips(node)
        return await self._fitting(record, version).request_enr(record)

    async def resolve(self, node: NodeRecord | PublicKey | str, *, version: int | None = None) -> NodeRecord | None:
        """Find the newest record of a node: ask itself where it is said to be, or else search; None if nobody knows it."""
        record = NodeRecord(node) if isinstance(node, PublicKey) else await self._with_ips(node)
        answers = [await one.resolve(record) for one in self._running(version)]
        found = [answer for answer in answers if answer is not None]
        return max(found, key=lambda answer: answer.enr.sequence if answer.enr is not None else 0, default=None)

    async def lookup(self, target: PublicKey | bytes, *, version: int | None = None) -> tuple[NodeRecord, ...]:
        """Search for the nodes closest to a target, closest first: those that answered, at most 16 of each protocol.

        A target is a public key, or 64 bytes in the form of one; or, for v5 alone, a node-ID of 32 bytes.
        """
        raw = bytes(target) if isinstance(target, PublicKey) else as_bytes(target, "the target of a lookup")
        able = [one for one in self._running(version) if len(raw) in one.protocol.target_sizes]
        if not able:
            raise LocalProtocolError("a target has 64 bytes, or for discovery v5 also 32")
        found: dict[bytes, NodeRecord] = {}
        for one in able:
            for node in await one.lookup(raw):
                if node.id not in found or found[node.id].enr is None:
                    found[node.id] = node
        place = raw if len(raw) == 32 else keccak256(raw)
        return tuple(sorted(found.values(), key=lambda node: int.from_bytes(node.id, "big") ^ int.from_bytes(place, "big")))

    async def talk(self, node: NodeRecord | str, protocol: bytes, request: bytes) -> bytes | None:
        """Say something to a node in another protocol, by v5, and return its response; None if it is silent."""
        return await self._need_v5().talk(await self._with_ips(node), protocol, request)

    # What runs

    async def run(self) -> None:
        """Serve the socket and the timers, for ever; `open_discovery` does this."""
        while True:
            with trio.CancelScope(deadline=self._due()) as self._sleep:
                await self._socket.wait_readable()
            now = self._clock.now()
            for data, sender in self._socket.receive():
                if not any(one.protocol.receive_datagram(data, sender, now) for one in self._versions.values()):
                    self._unhandled += 1
                    if self._on_unhandled is not None:
                        self._on_unhandled(data, sender)
            for one in self._versions.values():
                if (due := one.protocol.next_timer()) is not None and due <= now:
                    one.protocol.handle_timer(now)
            self._flush()

    def close(self) -> None:
        """Nothing will come any more: let those who wait know."""
        self._finder.close()
        for one in self._versions.values():
            one.operations.close()

    def begin_finding(self, nursery: trio.Nursery, trees: DnsSource | None, *, local: bool) -> None:
        """Have the sources of candidates work in a nursery; `open_discovery` does this."""
        nursery.start_soon(repeat_known, self._finder)
        for one in self._versions.values():
            nursery.start_soon(walk, one, self._finder, partial(self._known.heard, one.source, answered=True))
        if self.v4 is not None and self.v5 is not None:
            nursery.start_soon(introduce, self.v4, self.v5, self._known.bootnodes)
        if trees is not None:
            nursery.start_soon(partial(read_trees, trees, self._finder, partial(self._note_tree, trees), local=local))

    def _note_tree(self, trees: DnsSource, node: NodeRecord) -> None:
        self._known.heard("dns", [node], answered=False)
        self._known.keep_tree_sequences(trees.sequences)

    def _flush(self) -> None:
        """Send what is to be sent, take in what has happened, and see that we wake up in time."""
        now = self._clock.now()
        for one in self._versions.values():
            for data, to in one.protocol.datagrams_to_send(now):
                self._socket.send(data, to)
            while (event := one.protocol.next_event()) is not None:
                if isinstance(event, Ended):
                    one.operations.end(event)
                else:
                    self._note(event)
        self._sleep.deadline = self._due()

    def _note(self, news: AddressChanged | ClockDoubtful) -> None:
        match news:
            case AddressChanged():
                if self._own.address_changed():
                    _logger.info("others see us at %s; our record has the number %d", news.ipv4 or news.ipv6, self.record.sequence)
            case ClockDoubtful():
                _logger.warning("nobody answers, and what comes is too old: the system's clock is probably ahead")

    def _due(self) -> float:
        timers = (one.protocol.next_timer() for one in self._versions.values())
        return min((self._clock.to_trio(timer) for timer in timers if timer is not None), default=float("inf"))

    def _running(self, version: int | None) -> tuple[Awaited[Any], ...]:
        running = tuple(one for one in self._versions.values() if version in {None, one.version})
        if not running:
            raise LocalProtocolError(f"discovery v{version} does not run")
        return running

    def _fitting(self, node: NodeRecord, version: int | None) -> Awaited[Any]:
        """The protocol by which to ask a node: the better one of those of which it is known where to send to."""
        running = self._running(version)
        return next((one for one in running if one.protocol.contact_of(node) is not None), running[-1])

    async def _with_ips(self, node: NodeRecord | str) -> NodeRecord:
        record = node_of(node)
        await trio.lowlevel.checkpoint()  # perhaps there is nothing to wait for
        return await with_ip_addresses(record, self._socket.ip_versions) or record

    def _need_v5(self) -> AwaitedV5:
        if self.v5 is None:
            raise LocalProtocolError("discovery v5 does not run")
        return self.v5


@asynccontextmanager
async def open_discovery(  # noqa: PLR0913  (keyword arguments are the configuration)
    key: PrivateKey,
    *,
    listen: str | Address = DEFAULT_LISTEN,
    entries: Entries = MappingProxyType({}),
    bootnodes: Several[NodeRecord | str] = (),
    trees: Several[TreeUrl | str] = (),
    resolver: Resolver | None = None,
    versions: Collection[int] = VERSIONS,
    book: Book | None = None,
    external: Several[str] = (),
    talk: Mapping[bytes, TalkHandler] = MappingProxyType({}),
    unhandled: Unhandled | None = None,
    limits: DiscoveryLimits | None = None,
    strict: bool = False,
) -> AsyncGenerator[Discovery]:
    """Take part in discovery for the length of an ``async with`` block.

    `listen`: a UDP address, ``udp://*:30303`` by default. `entries`: what our record says beside where we are in discovery, such as
    ``{"tcp": 30303}``. `bootnodes`: nodes to begin with; v5 needs their ENRs, which v4 gets where it runs, too. `trees`: node lists in DNS
    (``enrtree://...``), read through `resolver`, by default the system's. `book` keeps what is found, and the number of our own record.
    `external`: where others reach us, at most one ``IP`` or ``IP:port`` of each kind; else that is found out. `talk`: handlers of TALKREQ
    by protocol. `unhandled` gets datagrams of other protocols. `strict`: let exceptions of these two, of filters and of `resolver` end
    discovery, as tests want it, instead of logging them.

    Raises ValueError for what cannot be understood, LocalProtocolError for `entries` that do not fit into a record, TypeError for another
    type, OSError if the address cannot be listened at. An exception that leaves the block arrives in an ExceptionGroup, as from any trio
    nursery.
    """
    require_trio("open_discovery")
    require(key, PrivateKey, "key is a PrivateKey", "PrivateKey.from_bytes(...) makes one of 32 bytes, PrivateKey.generate() a new one")
    versions = check_versions(versions)
    limits = DiscoveryLimits() if limits is None else limits
    require(limits, DiscoveryLimits, "limits of discovery is a DiscoveryLimits")
    where = udp_address(listen)
    urls = [url if isinstance(url, TreeUrl) else parse_tree(url) for url in several(trees, "trees")]
    named = nodes_of(bootnodes, "bootnodes")
    at = parse_externals(several(external, "external"))
    lookups = (resolver or system_resolver()) if urls else None
    clock = Clock()
    with await DatagramSocket.bind(where) as sock:
        found = [await with_ip_addresses(node, sock.ip_versions) for node in named]
        known = KnownNodes([node for node in found if node is not None], book, clock.wall)
        own = OwnRecord(key, entries=entries, bound=sock.endpoint, external=at, book=book, now=clock.wall())
        discovery = Discovery(
            sock,
            clock,
            own,
            protocols=_make_protocols(versions, key, own, known, sock, clock, limits),
            known=known,
            unhandled=unhandled,
            strict=strict,
        )
        for protocol, handler in talk.items():
            discovery.on_talk(protocol, handler)
        source = DnsSource(urls, lookups, sequences=known.tree_sequences(), strict=strict) if lookups is not None else None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(discovery.run)
                discovery.begin_finding(nursery, source, local=limits.local_addresses_in_dns)
                yield discovery
                nursery.cancel_scope.cancel()
        finally:
            discovery.close()


def _make_protocols(  # noqa: PLR0913, PLR0917  (for `open_discovery` alone)
    versions: frozenset[int],
    key: PrivateKey,
    own: OwnRecord,
    known: KnownNodes,
    sock: DatagramSocket,
    clock: Clock,
    limits: DiscoveryLimits,
) -> Iterator[Discv4 | Discv5]:
    chance, ip_versions = random.SystemRandom().random, sock.ip_versions
    bootnodes = (*known.bootnodes, *known.seeds())
    if 4 in versions:
        yield Discv4(
            own,
            key,
            random=chance,
            random_bytes=secrets.token_bytes,
            bootnodes=bootnodes,
            external_address=own.external,
            ip_versions=ip_versions,
            limits=limits.v4,
            tcp_port=own.record.tcp or 0,
            wall=lambda _: clock.wall(),
        )
    if 5 in versions:
        yield Discv5(
            own,
            key,
            random=chance,
            random_bytes=secrets.token_bytes,
            bootnodes=bootnodes,
            external_address=own.external,
            ip_versions=ip_versions,
            limits=limits.v5,
        )
