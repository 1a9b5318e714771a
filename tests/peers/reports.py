"""What happens to peers, told to ratings in few words."""

from devp2p.conduct import Conduct
from devp2p.errors import DisconnectReason, PeerDisconnected
from devp2p.peers.ratings import RatingRule, Ratings
from tests.slots.world import node_id

DAY = 86400.0
A, B, C = (node_id(number) for number in (1, 2, 3))


def ratings(*names: str, **settings) -> Ratings:
    return Ratings([RatingRule(name) for name in names or ("eth",)], **settings)


def ending(reason: int, *, by_remote: bool = False, detail: str = "") -> PeerDisconnected:
    return PeerDisconnected(reason, by_remote=by_remote, detail=detail)


def served(found: Ratings, peer: bytes, now: float = 0.0, **conduct) -> None:
    """A peer has a session, and this is its conduct in it."""
    found.proved(peer, ["eth"], now)
    found.observe(peer, "eth", Conduct(**conduct), now)


def breach(found: Ratings, peer: bytes, now: float, why: str = "") -> None:
    """A peer breaks the base protocol, which ends its session."""
    found.ended(peer, ending(DisconnectReason.PROTOCOL_BREACH, detail=why), now)


def rating(found: Ratings, peer: bytes, now: float, name: str = "eth") -> float:
    value = found.standing(peer, name, now).rating
    assert value is not None
    return value
