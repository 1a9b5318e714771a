"""What names a node and says where it listens: ENR (EIP-778), enode URLs, `NodeRecord`, presets of networks."""

from devp2p.records import enr
from devp2p.records.enr import WANTED_ENTRIES, Entries, LocalRecord, Record
from devp2p.records.node_record import ENODE_SCHEME, NodeRecord, enode_address, enr_entries, node_of, nodes_of
from devp2p.records.presets import PRESETS
from devp2p.records.transport_entries import transport_entries

__all__ = [
    "ENODE_SCHEME",
    "PRESETS",
    "WANTED_ENTRIES",
    "Entries",
    "LocalRecord",
    "NodeRecord",
    "Record",
    "enode_address",
    "enr",
    "enr_entries",
    "node_of",
    "nodes_of",
    "transport_entries",
]
