"""The Kademlia table, the search in it, and the contacts that both are made of (pure)."""

from devp2p.discovery.table.contacts import ID_SIZE, Contact, contact_of, contacts_told_by, endpoints_of, may_be_asked, node_at
from devp2p.discovery.table.kademlia import BUCKET_SIZE, BUCKETS, CLOSEST, WAITING_SIZE, Entry, RoutingTable, TableStatistics, distance
from devp2p.discovery.table.lookup import Lookup, lookup_distances
from devp2p.discovery.table.shares import TableLimits

__all__ = [
    "BUCKETS",
    "BUCKET_SIZE",
    "CLOSEST",
    "ID_SIZE",
    "WAITING_SIZE",
    "Contact",
    "Entry",
    "Lookup",
    "RoutingTable",
    "TableLimits",
    "TableStatistics",
    "contact_of",
    "contacts_told_by",
    "distance",
    "endpoints_of",
    "lookup_distances",
    "may_be_asked",
    "node_at",
]
