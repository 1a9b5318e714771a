"""`open_discovery`: puts discovery together, and runs it."""

import random
import secrets
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final

import trio

from devp2p.addresses import Address
from devp2p.arguments import Several, require, several
from devp2p.book import Book
from devp2p.discovery.clock import Clock
from devp2p.discovery.datagrams import DatagramSocket
from devp2p.discovery.dns import DnsSource, Resolver, TreeUrl, parse_tree
from devp2p.discovery.known_nodes import KnownNodes, system_resolver, with_ip_addresses
from devp2p.discovery.limits import DiscoveryLimits
from devp2p.discovery.own_record import OwnRecord
from devp2p.discovery.service import Discovery, Heard, MaySend, Unhandled
from devp2p.discovery.settings import VERSIONS, check_versions, parse_externals, udp_address
from devp2p.discovery.v4 import Discv4
from devp2p.discovery.v5 import Discv5, TalkHandler
from devp2p.keys import PrivateKey
from devp2p.records import Entries, NodeRecord, nodes_of
from devp2p.runtime import require_trio
from devp2p.transports import SharedSocket

DEFAULT_LISTEN: Final = Address("udp", "*", 30303)


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
    asks_only: bool = False,
    heard: Heard | None = None,
    may_send: MaySend | None = None,
    strict: bool = False,
    port: SharedSocket | None = None,
) -> AsyncGenerator[Discovery]:
    """Take part in discovery for the length of an ``async with`` block.

    `listen`: a UDP address, ``udp://*:30303`` by default. `entries`: what our record says beside where we are in discovery, such as
    ``{"tcp": 30303}``. `bootnodes`: nodes to begin with; v5 needs their ENRs, which v4 gets where it runs, too. `trees`: node lists in DNS
    (``enrtree://...``), read through `resolver`, by default the system's. `book` keeps what is found, and the number of our own record.
    `external`: where others reach us, at most one ``IP`` or ``IP:port`` of each kind; else that is found out. `talk`: handlers of TALKREQ
    by protocol. `unhandled` gets datagrams of other protocols. `port`: use the socket of a transport that listens at `listen`. `strict`:
    let exceptions of what is given here, and of filters, end discovery, as tests want it, instead of logging them.

    For programs that ask nodes without being one, as crawlers do: with `asks_only` there is no table of nodes, and nobody is asked but by
    the operations of `Discovery`; `heard` gets nodes that ask us by themselves; `may_send` is asked before each datagram, so that nobody is
    sent more than is polite; and ``DiscoveryLimits.for_questions(...)`` has the bounds for it.

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
    with await DatagramSocket.bind(where) if port is None else DatagramSocket(port) as sock:
        found = [await with_ip_addresses(node, sock.ip_versions) for node in named]
        known = KnownNodes([node for node in found if node is not None], book, clock.wall)
        own = OwnRecord(key, entries=entries, bound=sock.endpoint, external=at, book=book, now=clock.wall())
        discovery = Discovery(
            sock,
            clock,
            own,
            protocols=_make_protocols(versions, key, own, known, sock, clock, limits, asks_only=asks_only),
            known=known,
            limits=limits,
            unhandled=unhandled,
            heard=heard,
            may_send=may_send,
            strict=strict,
        )
        for protocol, handler in talk.items():
            discovery.on_talk(protocol, handler)
        source = DnsSource(urls, lookups, sequences=known.tree_sequences(), strict=strict) if lookups is not None else None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(discovery.run)
                discovery.begin_finding(nursery, source, local=limits.local_addresses_in_dns, walks=not asks_only)
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
    *,
    asks_only: bool,
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
            asks_only=asks_only,
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
            asks_only=asks_only,
        )
