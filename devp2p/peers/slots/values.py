"""What `peers.slots` is asked with and what it decides: slots, peers, candidates, decisions (pure values).

Every decision has a ``reason``, a sentence without its subject that a log line and a user can read. Times are on the caller's clock.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from devp2p.arguments import number, whole
from devp2p.errors import DisconnectReason, LocalProtocolError
from devp2p.peers.ratings import Standing

_CLASSED_FROM = 4  # slots; a capability with fewer has core slots only


@dataclass(frozen=True, slots=True)
class SlotSpec:
    """What one capability wants."""

    name: str
    slots: int
    """How many peers it wants."""
    minimum: int = 0
    """How many it is to have whatever the others want."""
    weight: float = 1.0
    """What a peer is worth to it, in relation to other capabilities: the only rate of exchange between them."""
    floor: float = -math.inf
    """Below this median rating its peers are all too poor, and others are tried."""

    def __post_init__(self) -> None:
        whole(self.slots, f"slots of {self.name}", 1)
        whole(self.minimum, f"minimum of {self.name}", 0, self.slots)
        number(self.weight, f"weight of {self.name}")
        if math.isnan(self.floor):
            raise LocalProtocolError(f"rating_floor of {self.name} is a number, not {self.floor!r}")

    @property
    def diverse(self) -> int:
        """How many slots are for networks that core has not."""
        return max(1, round(0.2 * self.slots)) if self.slots >= _CLASSED_FROM else 0

    @property
    def explore(self) -> int:
        """How many slots are for peers that we dialled at random."""
        return max(1, round(0.2 * self.slots)) if self.slots >= _CLASSED_FROM else 0

    @property
    def core(self) -> int:
        """How many slots are for the best."""
        return self.slots - self.diverse - self.explore

    @property
    def inbound(self) -> int:
        """How many slots of core and diverse, at most, are for peers that dialled us: a capability cannot be filled from outside."""
        return (self.core + self.diverse) // 2


class SlotClass(enum.Enum):
    """What a slot is for."""

    CORE = "core"
    DIVERSE = "diverse"
    EXPLORE = "explore"


@dataclass(frozen=True, slots=True)
class SlotPeer:
    """One connected peer, or one that asks to be."""

    id: bytes
    standings: Mapping[str, Standing]
    """The capabilities that are shared with it, and how it stands in each."""
    inbound: bool
    since: float
    """When its session began."""
    network: bytes | None = None
    """The network that its address counts for (see `addresses.GROUP`); None for one that counts for none."""
    rtt: float | None = None
    """The smallest time in seconds from a Ping to its Pong."""
    outside: bool = False
    """Trusted or static: it stands outside of all slots, and is never refused or dropped here."""
    protected: bool = False
    """The user, or a credential that it has shown, protects it: it is dropped for nothing but bad conduct."""
    intro: bool = False
    """It is known from earlier sessions, or has shown a credential by which somebody vouches for it."""


@dataclass(frozen=True, slots=True)
class SlotCandidate:
    """A node that may be dialled now: not ourselves, not banned, not dialled lately."""

    id: bytes
    standings: Mapping[str, Standing]
    """The capabilities that it may have, by what is known, and how it stands in each; `UNKNOWN` where nothing is remembered."""
    network: bytes | None = None
    source: str = ""
    """Who named it; among equals, the source of the fewest is taken."""
    preferred: bool = False
    """It is known from earlier sessions, or somebody vouches for it: first among equals."""
    anchor: bool = False
    """It was one of our best before the last restart: dialled before all others."""
    tries: int = 0
    """How many times we have dialled it."""


# Decisions


@dataclass(frozen=True, slots=True)
class Dial:
    """Dial a candidate for a free place."""

    id: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Swap:
    """Dial a candidate, and, when it is there, drop a peer for it: `Slots.admit` will say so then."""

    id: bytes
    drop: bytes
    reason: str
    gain: float
    """How much more the set of peers is expected to be worth."""


@dataclass(frozen=True, slots=True)
class Graft:
    """The same, because a capability's peers are all poor; there may be no peer to drop."""

    id: bytes
    drop: bytes | None
    capability: str
    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """End a session because of bad conduct, and ban the node for so many seconds."""

    id: bytes
    reason: str
    ban: float
    disconnect: DisconnectReason = DisconnectReason.USELESS_PEER


@dataclass(frozen=True, slots=True)
class Evict:
    """End the session of an inbound peer, to keep places free for others."""

    id: bytes
    reason: str
    disconnect: DisconnectReason = DisconnectReason.TOO_MANY_PEERS


@dataclass(frozen=True, slots=True)
class Admit:
    """Let a peer in; and end the session of another one, if there is one to make room."""

    id: bytes
    reason: str
    drop: bytes | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do not let a peer in."""

    id: bytes
    reason: str
    disconnect: DisconnectReason = DisconnectReason.TOO_MANY_PEERS


Change: TypeAlias = Swap | Graft | Drop | Evict
Decision: TypeAlias = Dial | Change | Admit | Refuse


@dataclass(frozen=True, slots=True)
class Anchor:
    """One of our best peers, to be dialled first after a restart. ``enode`` is its record as text; ``saved`` seconds since 1970."""

    capability: str
    position: int
    id: bytes
    enode: str
    saved: float
