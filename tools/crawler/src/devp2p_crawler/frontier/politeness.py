"""How often one address and one node may be bothered (pure; ``now`` in seconds of a clock that never goes back)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Politeness:
    """The bounds that a crawl holds itself to, for each IPv4 address or IPv6 /64.

    The defaults are what busy nodes take without complaint: reth ignores an address that sends more than 60 datagrams a minute.
    """

    packets_per_second: float = 1.0
    """Datagrams that one address is sent, over long."""
    burst: int = 20
    """How many of them may go at once, after a pause."""
    packets_per_minute: int = 60
    nodes_per_address: int = 3
    """Different nodes that are visited at one address in `window`."""
    dials_per_address: int = 3
    """Connections that are tried to one address in `window`, whichever nodes are said to be there."""
    dials_per_node: int = 1
    window: float = 600.0
    """Seconds."""

    def __post_init__(self) -> None:
        """ValueError for what is below the least that lets a crawl go on."""
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} of Politeness is greater than 0, not {getattr(self, name)}")
        if self.burst < _LEAST_BURST or self.packets_per_minute < _LEAST_BURST:
            raise ValueError(f"burst and packets_per_minute of Politeness are at least {_LEAST_BURST}: one visit takes as many datagrams")


_LEAST_BURST = 8
