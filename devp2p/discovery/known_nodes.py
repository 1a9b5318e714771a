"""Nodes that are known from before: those that the user names, and those in the book, which is written here, too."""

import logging
import random
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Final, cast

import trio

from devp2p.book import Book, Source
from devp2p.discovery.dns import LookupFailed, Resolver
from devp2p.records import NodeRecord
from devp2p.transports import host_in

SEEDS: Final = 30
"""Nodes that are taken from the book to begin with."""

_SOURCES: Final = {"v4": Source.V4, "v5": Source.V5, "dns": Source.DNS}

_logger = logging.getLogger(__name__)


class KnownNodes:
    """The bootnodes, and the book if there is one. What cannot be written to the book is lost, and the user warned."""

    def __init__(self, bootnodes: Sequence[NodeRecord], book: Book | None, now: Callable[[], float]) -> None:
        self.bootnodes: tuple[NodeRecord, ...] = tuple(bootnodes)
        self._book = book
        self._now = now
        self._trees: dict[str, int] = {}  # the sequence numbers that are in the book

    @property
    def sources(self) -> Mapping[str, Callable[[], Iterable[NodeRecord]]]:
        """What gives nodes as candidates, by the name of the source."""
        return {"bootnode": lambda: self.bootnodes, "book": self.seeds}

    def seeds(self) -> list[NodeRecord]:
        """Nodes in the book that answered lately."""
        if self._book is None:
            return []
        with self._book.trouble.survived("the nodes in it, which cannot be read"):
            return self._book.seeds(SEEDS, now=self._now(), random=random.SystemRandom().random)
        return []

    def heard(self, source: str, nodes: Iterable[NodeRecord], *, answered: bool) -> None:
        """A source has named nodes; with `answered` they have proved to be where their records say."""
        if self._book is None:
            return
        now = self._now()
        with self._book.trouble.survived("nodes that are found"), self._book.changes():
            for node in nodes:
                self._book.heard(node, _SOURCES[source], now)
                if answered:
                    self._book.answered(node.id, now)

    def tree_sequences(self) -> dict[str, int]:
        """The highest sequence numbers of all trees that were read, by `TreeUrl.identity`: also of those that others linked to."""
        if self._book is not None:
            with self._book.trouble.survived("the sequence numbers of DNS trees, without which older trees cannot be told"):
                self._trees = self._book.dns_sequences()
        return dict(self._trees)

    def keep_tree_sequences(self, sequences: Mapping[str, int]) -> None:
        """Remember the sequence numbers of these trees, and of no others: which of them are worth it is for the reader to say."""
        if self._book is None or sequences == self._trees:
            return
        news = {tree: sequence for tree, sequence in sequences.items() if self._trees.get(tree) != sequence}
        with self._book.trouble.survived("the sequence numbers of DNS trees"):
            with self._book.changes():
                for tree, sequence in {**dict.fromkeys(self._trees.keys() - sequences.keys()), **news}.items():
                    self._book.set_dns_sequence(tree, sequence)
            self._trees = dict(sequences)


async def with_ip_addresses(node: NodeRecord, ip_versions: Sequence[int] = (4, 6)) -> NodeRecord | None:
    """A node by an IP address, where it was named by a name of DNS: one of `ip_versions`, which are those that can be sent to.

    None if there is no such name or address, or the node takes no part in discovery.
    """
    if node.enr is not None or not node.udp_endpoints:
        return node if node.udp_endpoints else None
    host, port = node.udp_endpoints[0]
    try:
        ip_address(host)
    except ValueError:
        try:
            found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except OSError as error:
            _logger.warning("%s: no such host: %s", node.enode, error.strerror or error)
            return None
        addresses = [
            host_in(cast("tuple[str, int]", name)) for family, *_, name in found if (6 if family == socket.AF_INET6 else 4) in ip_versions
        ]
        if not addresses:
            _logger.warning("%s has no address of an IP version that can be sent to from here", node.enode)
            return None
        ip = addresses[0]
        return replace(node, addresses=tuple(replace(at, host=ip) if at.host == host else at for at in node.addresses), udp_port=port)
    await trio.lowlevel.checkpoint()
    return node


def system_resolver() -> Resolver:
    """The resolver that asks the system's DNS servers; ValueError if that is not possible here."""
    try:
        from devp2p.discovery.dns import DnsResolver  # noqa: PLC0415  (needs a package that is not always installed)
    except ImportError:
        raise ValueError("node lists in DNS need the package dnspython: pip install 'trio-devp2p[dns]'") from None
    try:
        return DnsResolver()
    except LookupFailed as failure:
        raise ValueError(str(failure)) from None
