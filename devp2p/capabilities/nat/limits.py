"""What a node does for others in nat/1."""

from dataclasses import dataclass

from devp2p import check_bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class NatLimits:
    """Bounds of the side that calls back. LocalProtocolError for a number that cannot be, TypeError for no number."""

    calls: int = 4
    """Calls at a time."""
    calls_per_minute: int = 20
    """For all peers together."""
    peer_interval: float = 60.0
    """Seconds between two calls for one peer."""
    dial_timeout: float = 10.0
    """Seconds of one call."""
    data_timeout: float = 20.0
    """Seconds for the data that makes a call cost the peer more than whoever is called."""
    local_addresses: bool = False
    """Whether to call private and loopback addresses, for tests."""

    def __post_init__(self) -> None:
        check_bounds(self)
