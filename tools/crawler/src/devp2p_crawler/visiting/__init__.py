"""One visit to one node, by each protocol. What nodes and networks do comes out as a `Visit`, never as an exception."""

from devp2p_crawler.visiting.hearing import RlpxCaller, tcp_addresses
from devp2p_crawler.visiting.inbound import Inbound, InboundCounts, InboundLimits
from devp2p_crawler.visiting.probing import Probe, probe
from devp2p_crawler.visiting.rlpx import rlpx_caller, visit_rlpx
from devp2p_crawler.visiting.udp import UdpVisit, UdpVisitor

__all__ = [
    "Inbound",
    "InboundCounts",
    "InboundLimits",
    "Probe",
    "RlpxCaller",
    "UdpVisit",
    "UdpVisitor",
    "probe",
    "rlpx_caller",
    "tcp_addresses",
    "visit_rlpx",
]
