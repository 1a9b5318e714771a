"""Which peers to have: which are let in, and when to dial again."""

from devp2p.peers.admission import MANY, Admission, Caller, Neighbours
from devp2p.peers.backoff import Backoff
from devp2p.peers.bans import Ban, Bans, dated
from devp2p.peers.candidates import Known, Pool
from devp2p.peers.dial_history import KINDS, DialHistory, kind_of
from devp2p.peers.ratings import RatingRow, RatingRule, Ratings, Standing, standings_of
from devp2p.peers.unheard import Unheard

__all__ = [
    "KINDS",
    "MANY",
    "Admission",
    "Backoff",
    "Ban",
    "Bans",
    "Caller",
    "DialHistory",
    "Known",
    "Neighbours",
    "Pool",
    "RatingRow",
    "RatingRule",
    "Ratings",
    "Standing",
    "Unheard",
    "dated",
    "kind_of",
    "standings_of",
]
