"""What connects a node with discovery: on which port it runs, and what it begins with.

Discovery and the book are a third of the library, and a node that does without them need not wait until they are imported: so they are
imported here, and nowhere else on the way of ``import devp2p``, when they are used.
"""

import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from types import NoneType
from typing import TYPE_CHECKING

import trio

from devp2p.addresses import Address
from devp2p.arguments import Several, require, several
from devp2p.discovery import VERSIONS, check_versions, udp_address
from devp2p.errors import LocalProtocolError
from devp2p.keys import PrivateKey
from devp2p.records import (
    WANTED_ENTRIES,
    Entries,
    NodeRecord,
    Record,
    enode_address,
    enr_entries,
    nodes_of,
    transport_entries,
)
from devp2p.transports import Listener, SharedSocket, Shares

if TYPE_CHECKING:
    from devp2p.book import Book
    from devp2p.discovery import Candidate, Discovery, DiscoveryLimits
    from devp2p.discovery.dns import Resolver
    from devp2p.discovery.v5 import TalkHandler


_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoverySettings:
    """How a node takes part in discovery, where it is not as usual."""

    listen: str | Address | None = None
    """A UDP address; by default the host and port of the first TCP listener, without one of the first QUIC listener, which shares its
    port, else of the first other one that has both; and any port where there is none, or it is taken."""
    versions: Collection[int] = VERSIONS
    external: Several[str] = ()
    """Where others reach the node, at most one ``IP`` or ``IP:port`` of IPv4 and one of IPv6; else that is found out."""
    entries: Entries = field(default_factory=dict[str, object])
    """What the node's record says beside where it is; what capabilities say (`Capability.record_entries`) comes second to this."""
    talk: "Mapping[bytes, TalkHandler]" = field(default_factory=dict[bytes, "TalkHandler"])
    """Handlers of TALKREQ by protocol."""
    dials: bool = True
    """Whether to dial nodes that are found, as far as the capabilities want peers."""
    resolver: "Resolver | None" = None
    """What to read DNS trees through, by default the system's."""
    limits: "DiscoveryLimits | None" = None
    """By default the usual ones."""

    def __post_init__(self) -> None:
        """ValueError and LocalProtocolError for what cannot be, TypeError for another type."""
        if self.listen is not None:
            udp_address(self.listen)
        object.__setattr__(self, "versions", check_versions(self.versions))
        external = several(self.external, "external")
        object.__setattr__(self, "external", external)
        if external:
            from devp2p.discovery import parse_externals  # noqa: PLC0415  (as above)

            parse_externals(external)
        require(self.entries, Mapping, WANTED_ENTRIES)
        require(self.talk, Mapping, "talk is a dict of protocols, as bytes, and handlers")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryPlan:
    """All that discovery begins with."""

    settings: DiscoverySettings
    bootnodes: tuple[NodeRecord, ...]
    trees: tuple[str, ...]
    any_port: bool
    """Whether the user leaves the port to us."""

    @classmethod
    def of(
        cls,
        discovery: bool | DiscoverySettings | None,  # noqa: FBT001  (as a user gives it to open_node)
        bootnodes: Iterable[str | NodeRecord],
        trees: Iterable[str],
        listen: Sequence[Address],
        *,
        external: str = "",
    ) -> "DiscoveryPlan | None":
        """Make the plan, or None if there is to be no discovery; ValueError for what is no node to begin with, or no node list.

        `external` is where others reach the node, if the user says it here and not in the settings: LocalProtocolError if he says it twice,
        or where nobody is told.
        """
        require(discovery, (bool, DiscoverySettings, NoneType), "discovery is True, False, None or DiscoverySettings(...)")
        named = nodes_of(bootnodes, "bootnodes")
        for node in named:
            if not node.udp_endpoints:
                raise ValueError(f"bootnodes: {node.enode} has no UDP port at which discovery could ask it")
        urls = several(trees, "dns_trees")
        if urls:
            from devp2p.discovery.dns import parse_tree  # noqa: PLC0415  (as above)

            for url in urls:
                parse_tree(url)
        if discovery is None:
            discovery = bool(named or urls)
        if discovery is False:
            if external:
                raise LocalProtocolError(f"nat='extip:{external}' is what discovery tells others: use it with discovery=True")
            return None
        settings = DiscoverySettings() if discovery is True else discovery
        if external and tuple(settings.external):
            raise LocalProtocolError(f"nat='extip:{external}' and external={settings.external} both say where the node is: leave out one")
        settings = replace(settings, external=(external,)) if external else settings
        beside = enode_address(listen)
        any_port = settings.listen is None and (beside is None or not beside.port)
        return cls(settings=settings, bootnodes=named, trees=urls, any_port=any_port)

    async def begin(
        self, stack: AsyncExitStack, key: PrivateKey, listeners: Sequence[Listener], book: "Book | None", *, strict: bool = False
    ) -> "Discovery":
        """Take part in discovery until `stack` is left.

        `listeners`: where the node listens; one that has the same UDP port shares it. `strict`: as for `open_discovery`.
        OSError if the address cannot be listened at, ValueError, TypeError and LocalProtocolError for wrong settings.
        """
        bound = tuple(address for listener in listeners for address in listener.addresses)
        where = udp_address(self.settings.listen, beside=_beside(listeners))
        sharing = (listener.share(where) for listener in listeners if isinstance(listener, Shares) and where.port)
        port = next((shared for shared in sharing if shared is not None), None)
        if port is not None:
            stack.callback(port.close)
        try:
            return await stack.enter_async_context(self._opening(key, where, bound, book, strict=strict, port=port))
        except OSError:
            if not self.any_port or not where.port:
                raise
        # The port that TCP, say, happened to get is taken for UDP: any other will do.
        return await stack.enter_async_context(self._opening(key, replace(where, port=0), bound, book, strict=strict))

    @asynccontextmanager
    async def _opening(  # noqa: PLR0913  (what `begin` was given, and what came of it)
        self,
        key: PrivateKey,
        where: Address,
        bound: Sequence[Address],
        book: "Book | None",
        *,
        strict: bool,
        port: SharedSocket | None = None,
    ) -> "AsyncGenerator[Discovery]":
        from devp2p.discovery import open_discovery  # noqa: PLC0415  (see above)

        settings = self.settings
        of_the_node: BaseException | None = None
        try:
            async with open_discovery(
                key,
                listen=where,
                entries={**enr_entries(bound), **_text_keys(settings.entries)},
                bootnodes=self.bootnodes,
                trees=self.trees,
                resolver=settings.resolver,
                versions=settings.versions,
                book=book,
                external=settings.external,
                talk=settings.talk,
                limits=settings.limits,
                strict=strict,
                port=port,
            ) as discovery:
                yield discovery
        except BaseExceptionGroup as group:
            of_the_node, *others = group.exceptions
            if others or not issubclass(type(of_the_node), BaseExceptionGroup):
                raise
        # The node's nursery stands in that of discovery: its group is not to arrive in another one.
        try:
            if of_the_node is not None:
                raise of_the_node
        finally:
            del of_the_node  # its traceback holds this frame


def _beside(listeners: Sequence[Listener]) -> Address | None:
    """Where sessions are taken whose host, and port if it is free, discovery takes as well."""
    bound = [address for listener in listeners for address in listener.addresses]
    shared = [address for listener in listeners if isinstance(listener, Shares) for address in listener.addresses]
    own = (address for address in (*shared, *bound) if address.port and not address.is_relayed and (address.ip or address.is_wildcard))
    return enode_address(bound) or next(own, None)


@asynccontextmanager
async def opened(book: "Book | str | os.PathLike[str] | None") -> "AsyncGenerator[Book | None]":
    """A book that is open already, or is at a path, and then closed at the end."""
    if not isinstance(book, str | os.PathLike):
        if book is None:
            yield None
            return
        from devp2p.book import Book  # noqa: PLC0415  (see above)

        require(book, Book, "book is a Book, or the path of a file")
        with book.held():
            yield book
    else:
        from devp2p.book import Book  # noqa: PLC0415  (see above)

        with Book.open(book) as own, own.held():
            yield own


async def own_candidates(records: AsyncIterable[NodeRecord], *, strict: bool = False) -> "AsyncIterator[Candidate]":
    """The nodes of a source of the user's own, as candidates. One that fails is logged, and gives no more, unless it is `strict`."""
    from devp2p.discovery import Candidate  # noqa: PLC0415  (see above)

    try:
        async for record in records:
            require(record, NodeRecord, "candidates gives NodeRecords", "write NodeRecord.parse(...) for a text")
            yield Candidate(record, "own")
            await trio.lowlevel.checkpoint()  # it may never wait for anything
    except Exception:
        if strict:
            raise
        _logger.exception("the source of candidates failed, and gives no more")
    finally:
        if isinstance(records, AsyncGenerator):
            await records.aclose()


def own_record(key: PrivateKey, addresses: tuple[Address, ...], discovery: "Discovery | None") -> NodeRecord:
    """How others name a node that listens at some addresses.

    A wildcard address is written as loopback: which of the real ones peers reach is not known here, unless its ENR says so.
    """
    named = tuple(_without_wildcard(address) for address in addresses)
    if discovery is None:
        return NodeRecord(key.public_key, named)
    signed = NodeRecord.from_enr(discovery.record)
    if signed.udp_endpoints:
        told = {address.scheme for address in signed.addresses}
        others = tuple(address for address in named if address.scheme not in told)
        return replace(signed, addresses=(*signed.addresses, *others) if signed.addresses else named)
    beside, port = enode_address(named), discovery.address.port
    return NodeRecord(key.public_key, named, None if beside is not None and port == beside.port else port)


def advertise(addresses: Iterable[Address], discovery: "Discovery | None") -> None:
    """Say in our record by which transports we listen now; what it says already stays, since the user may know better."""
    if discovery is None:
        return
    news = {key: port for key, port in transport_entries(addresses).items() if discovery.record.get(key) is None}
    try:
        discovery.update_record(news)
    except LocalProtocolError as error:
        _logger.warning("our record does not say where else we listen: %s", error)


def own_enr(key: PrivateKey, addresses: tuple[Address, ...], discovery: "Discovery | None") -> Record | None:
    """The record that a node gives to others to be passed on: that of discovery, or one of its first TCP address.

    None for a node without discovery that listens at no single IP address, and so does not know where others reach it.
    """
    if discovery is not None:
        return discovery.record
    address = enode_address(addresses)
    if address is None or address.is_wildcard or not address.port:
        return None
    try:
        ip = ip_address(address.host)
    except ValueError:
        return None
    where: dict[str, object] = {"ip": ip, "tcp": address.port} if ip.version == 4 else {"ip6": ip, "tcp6": address.port}
    return Record.sign(key, int(time.time()), where | transport_entries(addresses))


def _without_wildcard(address: Address) -> Address:
    loopback = "::1" if address.host == "::" else "127.0.0.1"
    return Address(address.scheme, loopback, address.port) if address.is_wildcard else address


def _text_keys(entries: Entries) -> dict[str, object]:
    return {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in entries.items()}
