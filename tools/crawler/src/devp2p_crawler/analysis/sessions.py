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


def sessions_of(stretches: Iterable[Stretch]) -> list[UptimeSession]:
    """Make sessions of all that one node was seen, in order of time; the last one may be open, or pending."""
    found: list[UptimeSession] = []
    missed: set[Kind | None] = set()  # by which kinds, since it was last found
    for stretch in stretches:
        last = found[-1] if found else None
        if not stretch.alive:
            missed.add(stretch.kind)
            if last is not None and last.state is not SessionState.CLOSED:
                found[-1] = _miss(last, stretch)
            continue
        if last is not None and last.state is not SessionState.CLOSED:
            found[-1] = replace(last, last_ok=max(last.last_ok, stretch.ended), misses=0, missed_at=None, state=SessionState.OPEN)
        else:
            found.append(UptimeSession(opened=stretch.began, last_ok=stretch.ended, known_start=stretch.kind in missed))
        missed.clear()
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
    """Put the visits to one node, of all kinds and in any order, in a row of stretches, one for each visit that says something.

    A visit that failed through our own fault, or had no address, says nothing of the node; nor does a call that it made and did not
    complete. And a visit of a kind in which the node has not answered since it was last gone misses nobody: behind NAT it may never be
    reached by TCP, and be there all the same.
    """
    found: list[Stretch] = []
    answers: set[Kind] = set()
    misses = 0
    opened = last_ok = 0
    for visit in sorted(visits, key=lambda visit: (visit.began, visit.ended, visit.kind)):
        if visit.outcome in {Outcome.OUR_FAULT, Outcome.NO_ADDRESS}:
            continue
        if visit.outcome.is_alive:
            opened = opened if answers else visit.began
            answers.add(visit.kind)
            misses, last_ok = 0, max(last_ok, visit.ended)
        elif visit.kind is Kind.INBOUND or (answers and visit.kind not in answers):
            continue
        else:
            misses += 1
            if misses > allowed_misses(last_ok - opened):
                answers.clear()
        found.append(Stretch(began=visit.began, ended=visit.ended, alive=visit.outcome.is_alive, kind=visit.kind))
    return found


def present_uptime(stretches: Iterable[Stretch]) -> int:
    """How long a node has been there, in its session that is not closed; 0 if there is none."""
    sessions = sessions_of(stretches)
    return sessions[-1].uptime if sessions and sessions[-1].state is not SessionState.CLOSED else 0
