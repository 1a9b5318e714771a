"""One card with the bounds of the session layer that an operator may want to change, so that nobody decides one twice.

Sizes are bytes, times are seconds. docs/bounds.md compares each with what other clients do by default, which must not end an honest peer.
"""

from dataclasses import dataclass

from devp2p.arguments import check_bounds, number
from devp2p.errors import LocalProtocolError

MAX_MESSAGE_SIZE = 2**24 - 1
"""What RLPx's 24-bit frame-size can say; no message is larger, compressed or not."""

_MAY_BE_ZERO = frozenset(
    ["crowded_timeout", "inbound_retry", "frame_rate", "closing_timeout", "inbox_patience", "urgent_size", "duplicate_wait"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds that a node holds its peers, and itself, to. LocalProtocolError for a number that cannot be, TypeError for no number."""

    handshake_timeout: float = 5.0
    """From accepting a link, or dialling it, to a valid Hello, in all."""
    dial_timeout: float = 15.0
    """Until a transport has a link."""
    unheard_inbound: int = 1024
    """Accepted links of which no whole auth has come; half of the files that the process may open, if that is less. Beyond it the oldest
    one of the most crowded network makes room."""
    pending_inbound: int = 50
    """Accepted links that shake hands. As many refused ones, beside these, may take their time to hang up."""
    crowded_timeout: float = 1.0
    """How long one of these may take from its auth to its valid Hello while a further one waits for a place."""
    pending_per_subnet: int = 2
    """Links of one IPv4 /24 or IPv6 /64 that shake hands; local addresses are exempt unless ``limit_local_addresses``."""
    inbound_retry: float = 28.0
    """How long one IPv4 address or IPv6 /64 waits between two inbound links; local addresses are exempt as above. Nethermind and Besu dial
    again after 30 s, which is less where we see it if the first SYN was lost."""
    limit_local_addresses: bool = False
    """Hold loopback and private addresses to the limits for addresses too, and what comes by Unix sockets: all callers of one share it."""

    frame_timeout: float = 25.0
    """How long a link may be silent inside a frame, and how far a frame may fall behind ``frame_rate`` in any span of time."""
    frame_rate: float = 1024.0
    """Bytes a second that a frame must bring. What it brought faster is no credit beyond ``frame_timeout``."""
    write_timeout: float = 20.0
    """How long one write may wait for the peer to take it."""
    closing_timeout: float = 1.0
    """For flushing, the Disconnect and the peer's farewell together."""

    ping_interval: float = 15.0
    ping_timeout: float = 15.0
    ping_burst: int = 10
    """Pings that a peer may send at once; go-ethereum's conformance suite sends ten within a second."""
    ping_rate: float = 1.0
    """Pings a second that it may send in the long run."""

    inbox_bytes: int = 4 * 2**20
    """What one capability may leave unread, as bytes on the wire. In dpx/1 the credit that we give bounds it instead."""
    inbox_messages: int = 256
    inbox_patience: float = 5.0
    """How long a full inbox may hold up the link while its capability takes nothing; then the session ends. On a native stream of its own,
    and in dpx/1, where it holds up nobody else, it may for as long as nobody else needs the room."""
    outbox_bytes: int = 4 * 2**20
    """What one capability may have waiting to be sent, as encoded bytes; ``send`` waits beyond it."""
    outbox_messages: int = 1024
    urgent_size: int = 1024
    """The largest message that may overtake others."""
    pending_requests: int = 256
    """Requests of one channel that wait for an answer; ``request`` waits beyond it."""
    total_inbox_bytes: int = 256 * 2**20
    """All inboxes of a node, and the frames that have begun to arrive, together. When no more fits, a session is ended: first one that a
    native stream has held up, or that in dpx/1 has left messages unread, for ``inbox_patience``, then the one whose large frame comes
    slowest."""

    max_upload: float | None = None
    """Bytes a second that all sessions of a node may send together; None for as many as the line takes. What capabilities may send within
    it, `Capability.max_upload` says. Handshakes and discovery are not counted."""
    max_download: float | None = None
    """The same for what they receive. To receive less, less is read, and TCP holds the peers back."""

    duplicate_wait: float = 2.0
    """How long a second link to a connected peer waits for that peer to choose between the two."""

    def __post_init__(self) -> None:
        check_bounds(self, _MAY_BE_ZERO)
        check_cap(self.max_upload, "Limits.max_upload")
        check_cap(self.max_download, "Limits.max_download")


LEAST_CAP = 4096
"""Bytes a second that a bandwidth cap must leave, or peers would give up on the frames that it slows down."""


def check_cap(rate: float | None, what: str) -> None:
    """Raise LocalProtocolError for what is no bandwidth cap, TypeError for what is no number at all."""
    if rate is None:
        return
    number(rate, what)
    if rate < LEAST_CAP:
        raise LocalProtocolError(f"{what} is at least {LEAST_CAP} bytes a second, not {rate!r}: peers would give up on slower frames")
