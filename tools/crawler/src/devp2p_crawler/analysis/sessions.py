"""Uptime: the sessions in which a node was there, as visits saw it, by the rules of nebula.

One missed visit may be our fault, or the network's: a node that has been there for long is believed to be still there after one, two or
three, and only then its session is closed. Each session knows the two times between which the node left.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from devp2p_crawler.model import Kind, Outcome, Visit

HOUR: Final = 3_600_000_000
"""Microseconds, as all times here."""
_ALLOWED: Final = ((1 * HOUR, 0), (6 * HOUR, 1), (24 * HOUR, 2))
_ALLOWED_BEYOND: Final = 3


class SessionState(enum.Enum):
    """How a session stands."""

    OPEN = "open"
    """The last visit found the node."""
    PENDING = "pending"
    """It was missed since, but not more often than its uptime allows."""
    CLOSED = "closed"
    """It is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Visits in a row that all found a node alive, or all did not."""

    began: int
    """When the first of them began."""
    ended: int
    """When the last one ended."""
    alive: bool
    visits: int = 1
    kind: Kind | None = None
    """By which protocol; None where all are of one kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UptimeSession:
    """A time in which a node was there."""

    opened: int
    """When it was first found."""
    last_ok: int
    """When it was last found."""
    known_start: bool
    """Whether it was looked for in the same way, and missed, before: if not, nobody knows how long it had been there."""
    misses: int = 0
    """Visits that have missed it since, up to the one by which it was closed."""
    missed_at: int | None = None
    """When the first of those began."""
    state: SessionState = SessionState.OPEN

    @property
    def uptime(self) -> int:
        """How long it is known to have been there."""
        return self.last_ok - self.opened

    @property
    def lifetime(self) -> tuple[int, bool]:
        """For `kaplan_meier`: a closed session ended halfway between the last visit that found the node and the first that missed it."""
        if self.state is not SessionState.CLOSED or self.missed_at is None:
            return self.uptime, False
        return self.uptime + max(0, self.missed_at - self.last_ok) // 2, True


def allowed_misses(uptime: int) -> int:
    """How many visits in a row may miss a node that has been there for so long, before its session is closed."""
    return next((misses for least, misses in _ALLOWED if uptime < least), _ALLOWED_BEYOND)


class NodeSessions:
    """The sessions of one node, as visits come in; of those that are over it keeps nothing."""

    __slots__ = ("_answers", "_missed", "session")

    def __init__(self) -> None:
        self.session: UptimeSession | None = None
        """The latest one."""
        self._answers = 0  # bits of the kinds of visits that have found it since it was last gone
        self._missed = 0  # of those that have missed it since it was last found

    @property
    def is_there(self) -> bool:
        """Whether there is a session that is not closed."""
        return self.session is not None and self.session.state is not SessionState.CLOSED

    def take(self, stretch: Stretch) -> bool:
        """Take in what was seen next; tell whether a session was opened or closed by it: see `session`."""
        bit = 1 << (0 if stretch.kind is None else stretch.kind)
        if not stretch.alive:
            self._missed |= bit
            if self.session is None or not self.is_there:
                return False
            self.session = _miss(self.session, stretch)
            if self.is_there:
                return False
            self._answers = 0
            return True
        was_there = self.is_there
        if self.session is not None and was_there:
            last_ok = max(self.session.last_ok, stretch.ended)
            self.session = replace(self.session, last_ok=last_ok, misses=0, missed_at=None, state=SessionState.OPEN)
        else:
            self.session = UptimeSession(opened=stretch.began, last_ok=stretch.ended, known_start=bool(self._missed & bit))
        self._answers |= bit
        self._missed = 0
        return not was_there

    def told_by(self, visit: Visit) -> Stretch | None:
        """What the next visit, of any kind, says of the node; None if it says nothing.

        A visit that failed through our own fault, or had no address, says nothing of the node; nor does a call that it made and did not
        complete. And a visit of a kind in which the node has not answered since it was last gone misses nobody: behind NAT it may never be
        reached by TCP, and be there all the same.
        """
        outcome, kind = visit.outcome, visit.kind
        if outcome in {Outcome.OUR_FAULT, Outcome.NO_ADDRESS}:
            return None
        if not outcome.is_alive and (kind is Kind.INBOUND or (self.is_there and not self._answers & 1 << kind)):
            return None
        return Stretch(began=visit.began, ended=visit.ended, alive=outcome.is_alive, kind=kind)


def sessions_of(stretches: Iterable[Stretch]) -> list[UptimeSession]:
    """Make sessions of all that one node was seen, in order of time; the last one may be open, or pending."""
    node, found = NodeSessions(), list[UptimeSession]()
    for stretch in stretches:
        has_changed = node.take(stretch)
        if node.session is None:
            continue
        if has_changed and node.is_there:
            found.append(node.session)
        else:
            found[-1] = node.session
    return found


def _miss(session: UptimeSession, stretch: Stretch) -> UptimeSession:
    allowed = allowed_misses(session.uptime)
    misses = min(session.misses + stretch.visits, allowed + 1)
    return replace(
        session,
        misses=misses,
        missed_at=stretch.began if session.missed_at is None else session.missed_at,
        state=SessionState.CLOSED if misses > allowed else SessionState.PENDING,
    )


def stretches_of(visits: Iterable[Visit]) -> list[Stretch]:
    """Put the visits to one node, of all kinds and in any order, in a row of stretches, one for each that says something of the node."""
    node, found = NodeSessions(), list[Stretch]()
    for visit in sorted(visits, key=lambda visit: (visit.began, visit.ended, visit.kind)):
        if (stretch := node.told_by(visit)) is not None:
            node.take(stretch)
            found.append(stretch)
    return found


def present_uptime(stretches: Iterable[Stretch]) -> int:
    """How long a node has been there, in its session that is not closed; 0 if there is none."""
    sessions = sessions_of(stretches)
    return sessions[-1].uptime if sessions and sessions[-1].state is not SessionState.CLOSED else 0
