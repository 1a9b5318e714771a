"""What happens to a node's peers, as values: what ``node.events()`` yields and ``devp2p node --json`` prints."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from devp2p.addresses import Address
from devp2p.capability import AnyCapability, Peer
from devp2p.errors import PeerDisconnected
from devp2p.keys import PublicKey
from devp2p.records import NodeRecord

if TYPE_CHECKING:  # the policy is imported when a node is opened
    from devp2p.peers.slots import Decision


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A session began."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class PeerReady:
    """A shared capability can be used with a peer."""

    peer: Peer
    capability: AnyCapability


@dataclass(frozen=True, slots=True)
class PeerDropped:
    """A session ended."""

    peer: Peer
    end: PeerDisconnected


@dataclass(frozen=True, slots=True)
class PeerRefused:
    """A link did not become a session: a failed handshake, a peer that was not admitted. ``error`` says why."""

    address: Address
    error: Exception
    public_key: PublicKey | None = None
    """The key that it had proved by then, if it had."""


@dataclass(frozen=True, slots=True)
class DialFailed:
    """A static peer could not be reached; it is tried again after ``retry`` seconds."""

    record: NodeRecord
    error: Exception
    retry: float


@dataclass(frozen=True, slots=True)
class SlotDecision:
    """The node steers its peers: which it dials, refuses, replaces or drops, and why (``decision.reason``)."""

    decision: "Decision"


@dataclass(frozen=True, slots=True)
class TrustRemoved:
    """A node that was known (`Trust.KNOWN`) has begun a session in which it is a stranger, though it has proved its key.

    It has lost what it kept of us, or somebody else has its key. The session goes on. It is known again when it comes with what it had, or
    when it has been a peer for another day.
    """

    public_key: PublicKey
    why: str
    """What it did, and what that may mean."""
    done: str
    """What was done to the secrets that we share with it."""


def told(error: Exception) -> Exception:
    """An error as news: without its traceback, which would keep alive whatever the failed link had received."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


Event = PeerConnected | PeerReady | PeerDropped | PeerRefused | DialFailed | SlotDecision | TrustRemoved
