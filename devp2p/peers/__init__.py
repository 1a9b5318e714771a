"""Which peers to have, and how good they are (pure: nothing here waits, acts or reads a clock).

- slots:         which peers to have: a folder of its own, with a face of its own
- ratings:       how good each peer is in each capability, from what was reported of it
- evidence:      what is held for and against one peer, and how that ages
- bans:          nodes that are not let in until some time
- candidates:    nodes that may be dialled some day
- dial_history:  when a node may be dialled, and dialled again
- backoff:       the same for static peers, which are always dialled again
- admission:     which links may knock, by network and by time
- introductions: who may introduce peers, how many, and what it costs when one of them is banned
- unheard:       which link makes room while none has said anything
"""

from devp2p.peers.admission import MANY, Admission, Caller, Neighbours
from devp2p.peers.backoff import Backoff
from devp2p.peers.bans import Ban, Bans, dated
from devp2p.peers.candidates import Known, Pool, WhyNot, undialable
from devp2p.peers.dial_history import KINDS, DialHistory, kind_of
from devp2p.peers.introductions import Introducers, Judgement, Referrals, Subject, grade_of, is_fit
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
    "Introducers",
    "Judgement",
    "Known",
    "Neighbours",
    "Pool",
    "RatingRow",
    "RatingRule",
    "Ratings",
    "Referrals",
    "Standing",
    "Subject",
    "Unheard",
    "WhyNot",
    "dated",
    "grade_of",
    "is_fit",
    "kind_of",
    "standings_of",
    "undialable",
]
