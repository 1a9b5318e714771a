"""What nodes say of their network in their records: the entries ``eth`` (devp2p, enr-entries/eth.md) and ``snap``."""

from dataclasses import dataclass
from typing import Final

from devp2p import DecodingError, NodeRecord, rlp
from devp2p.capabilities.ethereum.networks.fork_ids import Place, check_fork_id
from devp2p.capabilities.ethereum.networks.network import ForkId, Network

ETH: Final = "eth"
SNAP: Final = "snap"


@dataclass(frozen=True)
class EthEntry:
    """The value of ``eth``: ``[[hash, next], ...]``. Elements behind the fork id are of later versions, and passed over."""

    fork_id: ForkId
    later: rlp.Rest = ()


@dataclass(frozen=True)
class SnapEntry:
    """The value of ``snap``: an empty list. No specification has it; go-ethereum 1.17.8 writes it where a node serves snap."""

    later: rlp.Rest = ()


def eth_entries(network: Network, head: Place) -> dict[str, object]:
    """What a node with this head says of eth, for `devp2p.Capability.record_entries`."""
    return {ETH: EthEntry(network.fork_id(head.number, head.timestamp))}


def snap_entries() -> dict[str, object]:
    """What a node says that serves snap."""
    return {SNAP: SnapEntry()}


def advertised_fork_id(record: NodeRecord) -> ForkId | None:
    """The fork id in a node's signed record; None where there is no record, or no such entry, or one that is malformed."""
    try:
        entry = None if record.enr is None else record.enr.get_as(ETH, EthEntry)
    except DecodingError:
        return None
    return None if entry is None else entry.fork_id


def serves_snap(record: NodeRecord) -> bool:
    """Whether a node's signed record says that it serves snap."""
    try:
        return record.enr is not None and record.enr.get_as(SNAP, SnapEntry) is not None
    except DecodingError:
        return False


def wants_node(network: Network, head: Place, record: NodeRecord) -> bool:
    """Whether a node that discovery has found may be worth dialling, since its fork id fits ours (EIP-2124). For `devp2p.Capability.wants`.

    A node without a fork id is not, as in go-ethereum. Most nodes that discovery finds belong to other networks, and every client of this
    one has the entry; discovery asks nodes for their records before it proposes them, so one without a record does not answer. Nodes that
    the user names, by ``node.connect`` or as static peers, are dialled whatever this says.
    """
    theirs = advertised_fork_id(record)
    return theirs is not None and check_fork_id(network, head, theirs).compatible
