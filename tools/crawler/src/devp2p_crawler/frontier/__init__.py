"""Who is visited when, how often, and who is not: decisions alone, without clock and network."""

from devp2p_crawler.frontier.politeness import Politeness

__all__ = ["Politeness"]
