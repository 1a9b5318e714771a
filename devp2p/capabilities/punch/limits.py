"""How often a node punches holes, and to how many addresses: peers choose these, and nobody is to be bothered by our packets for that."""

from dataclasses import dataclass

from devp2p import check_bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class PunchLimits:
    """The bounds of punch/1. Times are in seconds. LocalProtocolError for a number that cannot be, TypeError for no number."""

    rounds: int = 3
    """Attempts for each session."""
    addresses: int = 4
    """Of a peer that are tried in a round."""
    hosts: int = 2
    """Different hosts among them."""
    patience: float = 6.0
    """How long a round is tried."""
    nudges: int = 25
    """Datagrams to each address in a round."""
    host_rate: float = 1 / 60
    """Rounds a second that one host (an IPv4 address, an IPv6 /64) has to bear of this node, after as many as one session has."""
    node_rate: float = 0.5
    """Rounds a second of the whole node, after sixteen at once."""

    def __post_init__(self) -> None:
        check_bounds(self)
