"""What happens to a peer's secrets, and to its trust, when a session begins in another way than expected (dpx/1, section 7): one table.

`FAILURES` is that table; `resumption` acts by it, and nothing else decides. No row acts before the peer's first record was authentic, since
before that anybody may be at the other end. So what can fail only before changes nothing that is kept, and such rows say what
is done instead.
"""

import enum
from dataclasses import dataclass
from math import inf
from typing import Final

from devp2p.wire.dpx.lineage import DAY


class Failure(enum.Enum):
    """What went otherwise, between two nodes of which one at least has secrets with the other."""

    UNKNOWN = "it knows none of the secrets that we offered: it has lost what it kept, or somebody has its key"
    """An authenticated ack says so."""
    NOT_RESUMED = "it has resumed nothing, though it was offered: it keeps nothing now, or somebody has its key"
    """An authenticated ack passes over our tokens, as of a node that has resumption switched off."""
    WITHHELD = "it offered none of the secrets that we share: it has lost what it kept, or somebody has its key"
    """We have secrets, and the peer's auth offers none of them."""
    NOT_SEALED = "it named a secret that we share, and had not sealed with it: somebody may have its key"
    """We know the id of a token, and it does not open."""
    NOT_OPENED = "it could not open what we had sealed with a secret that we share"
    """An authenticated ack says so."""
    WRONG_IDENTITY = "it hung up on our auth: perhaps another node is at this address"
    """It cannot read what was encrypted to the key that we called."""
    NO_ACK = "there was no ack"
    """The link was reset, or it took too long."""
    NOT_AUTHENTIC = "its ack was in order, and its first record not authentic: somebody may be on the way"
    """Its header or its body does not open."""


class Action(enum.Enum):
    """What is done to what is kept of the peer. In each case the session goes on if there is one, and the peer is a stranger in it."""

    NOTHING = "nothing"
    KEEP = "the secrets stay, and a new chain begins beside them"
    FORGET = "the secrets that were offered are forgotten"
    DISTRUST = "the secrets stay, and do not make the peer known for a day"
    DIAL_PLAIN = "the next dial offers no secrets"
    LEAVE_ADDRESS = "the address is left alone; secrets stay"


@dataclass(frozen=True, slots=True)
class Row:
    """What to do, and what when it happens again."""

    first: Action
    again: Action | None = None
    """Instead, once it has happened `times`; None for the same each time."""
    times: int = 2
    within: float = inf
    """In how many seconds they count together."""
    limit: float = 0.0
    """Seconds between two times that `again` is done, to whatever peer."""
    is_news: bool = False
    """Whether a peer that was known is so no more, which users are told."""

    def at(self, times: int) -> Action:
        """What to do when it has happened so many times, this one included."""
        return self.again if self.again is not None and times >= self.times else self.first


DIALLED: Final = {
    Failure.UNKNOWN: Row(Action.FORGET, is_news=True),
    Failure.NOT_RESUMED: Row(Action.KEEP, is_news=True),
    Failure.NOT_OPENED: Row(Action.KEEP, Action.FORGET, is_news=True),
    Failure.WRONG_IDENTITY: Row(Action.LEAVE_ADDRESS),
    Failure.NO_ACK: Row(Action.NOTHING),
    # Whoever is on the way can bring this about. So secrets go only if the peer has proved itself after each of two such failures, and in
    # this way not more often than once a day, of all peers.
    Failure.NOT_AUTHENTIC: Row(Action.DIAL_PLAIN, Action.FORGET, limit=DAY, is_news=True),
}
"""What the side does that dialled."""

ACCEPTED: Final = {
    Failure.WITHHELD: Row(Action.KEEP, is_news=True),
    Failure.NOT_SEALED: Row(Action.KEEP, Action.DISTRUST, times=3, within=DAY, is_news=True),
    Failure.NO_ACK: Row(Action.NOTHING),
    # An auth that was sent again, with anything behind it, looks like this.
    Failure.NOT_AUTHENTIC: Row(Action.NOTHING),
}
"""What the side does that was dialled."""

FAILURES: Final = {"dialled": DIALLED, "accepted": ACCEPTED}
"""The whole table."""
