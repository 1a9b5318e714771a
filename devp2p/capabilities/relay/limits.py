"""What a relay grants, on one card. The defaults of reservations and circuits are those of go-libp2p's relay."""

from dataclasses import dataclass

from devp2p import check_bounds
from devp2p.capabilities.relay.messages import Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLimits:
    """The bounds of a relay. Times are in seconds, sizes in bytes. LocalProtocolError for a number that cannot be, TypeError for none."""

    reservation_time: int = 3600
    reservations: int = 128
    reservations_per_host: int = 8
    """Of one IPv4 address, or IPv6 /64."""
    reserve_rate: float = 0.1
    """Reservations a second that one peer may ask for, after five at once."""
    circuits: int = 256
    """Of all peers together: each may hold two windows of memory."""
    circuits_per_peer: int = 16
    connect_rate: float = 1.0
    """Circuits a second that one peer may ask for, after sixteen at once."""
    circuit_time: int = 120
    """How long a circuit may last; 0 for as long as it likes."""
    circuit_bytes: int = 128 * 1024
    """What may go over it in each direction; 0 for as much as it likes."""
    answer_time: float = 10.0
    """How long the node that is called may take to accept a circuit."""

    def __post_init__(self) -> None:
        check_bounds(self, frozenset({"circuit_time", "circuit_bytes"}))

    @property
    def limit(self) -> Limit:
        """What each circuit is told."""
        return Limit(self.circuit_time, self.circuit_bytes)
