"""The Kademlia table and the search in it (pure)."""

from devp2p.discovery.table.contacts import contact_of, contacts_told_by, endpoints_of
from devp2p.discovery.table.kademlia import (
    BUCKET_SIZE,
    BUCKETS,
    CLOSEST,
    ID_SIZE,
    WAITING_SIZE,
    Contact,
    RoutingTable,
    TableStatistics,
    distance,
)
from devp2p.discovery.table.lookup import Lookup, lookup_distances
from devp2p.discovery.table.refreshing import Refreshing
from devp2p.discovery.table.shares import TableLimits

__all__ = [
    "BUCKETS",
    "BUCKET_SIZE",
    "CLOSEST",
    "ID_SIZE",
    "WAITING_SIZE",
    "Contact",
    "Lookup",
    "Refreshing",
    "RoutingTable",
    "TableLimits",
    "TableStatistics",
    "contact_of",
    "contacts_told_by",
    "distance",
    "endpoints_of",
    "lookup_distances",
]
