"""Node lists in DNS (EIP-1459): `tree` reads and signs them, `client` decides what to look up next, `DnsSource` does it.

`DnsResolver` needs dnspython, an extra, and is imported when it is asked for.
"""

from typing import TYPE_CHECKING

from devp2p.deferred import deferred
from devp2p.discovery.dns.events import DnsLimits, LinkFound, PassEnded, QueryFailed, RecordFound
from devp2p.discovery.dns.source import DnsSource, LookupFailed, Resolver
from devp2p.discovery.dns.tree import TreeUrl, make_tree, parse_tree, restore_tree

if TYPE_CHECKING:
    from devp2p.discovery.dns.resolver import DnsResolver
else:
    __getattr__ = deferred(__name__, {"DnsResolver": "resolver"})

__all__ = [
    "DnsLimits",
    "DnsResolver",
    "DnsSource",
    "LinkFound",
    "LookupFailed",
    "PassEnded",
    "QueryFailed",
    "RecordFound",
    "Resolver",
    "TreeUrl",
    "make_tree",
    "parse_tree",
    "restore_tree",
]
