"""One visit to one node, by each protocol. What nodes and networks do comes out as a `Visit`, never as an exception."""

from devp2p_crawler.visiting.hearing import RlpxCaller
from devp2p_crawler.visiting.rlpx import rlpx_caller, visit_rlpx

__all__ = ["RlpxCaller", "rlpx_caller", "visit_rlpx"]
