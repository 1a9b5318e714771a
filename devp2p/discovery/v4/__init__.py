"""Node Discovery v4, sans-IO: `Discv4` is a node of it, `packets` what it sends."""

from devp2p.discovery.v4 import packets
from devp2p.discovery.v4.bonds import Discv4Limits
from devp2p.discovery.v4.nodes import Node, contact_at
from devp2p.discovery.v4.protocol import Discv4, NodesNamed

__all__ = ["Discv4", "Discv4Limits", "Node", "NodesNamed", "contact_at", "packets"]
