"""The sessions of all nodes of a network, as visits come in."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from devp2p_crawler.analysis.sessions import NodeSessions, SessionState, UptimeSession
from devp2p_crawler.analysis.survival import Survival, kaplan_meier
from devp2p_crawler.model import Visit

MINUTE: Final = 60_000_000
"""Microseconds: lifetimes are kept to the minute, so that they take no more room than there are minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCounts:
    """How the sessions of a network stand."""

    nodes: int
    """That were looked for."""
    open: int
    pending: int
    opened: int
    """Since the beginning, those that were open at first included."""
    closed: int


class SessionTracker:
    """Keeps the latest session of each node. It takes some 300 bytes a node."""

    def __init__(self) -> None:
        self._nodes: dict[bytes, NodeSessions] = {}
        self._states: Counter[SessionState] = Counter()
        self._opened = self._closed = 0
        self._lifetimes: Counter[int] = Counter()  # minutes -> sessions that are over, and of which the start is known

    def take(self, visit: Visit) -> UptimeSession | None:
        """Take in the next visit that has ended; the session that it has opened or closed."""
        node = self._nodes.get(visit.node)
        if node is None:
            node = self._nodes[visit.node] = NodeSessions()
        stretch = node.told_by(visit)
        if stretch is None:
            return None
        was = _state(node)
        has_changed = node.take(stretch)
        now = _state(node)
        if was is not None:
            self._states[was] -= 1
        if now is not None:
            self._states[now] += 1
        session = node.session
        if not has_changed or session is None:
            return None
        if now is None:
            self._closed += 1
            if session.known_start:
                self._lifetimes[session.lifetime[0] // MINUTE] += 1
        else:
            self._opened += 1
        return session

    @property
    def counts(self) -> SessionCounts:
        """How they stand."""
        return SessionCounts(
            nodes=len(self._nodes),
            open=self._states[SessionState.OPEN],
            pending=self._states[SessionState.PENDING],
            opened=self._opened,
            closed=self._closed,
        )

    def survival(self) -> Survival:
        """How long sessions last, in minutes, of those whose start was seen."""
        alive = (node.session for node in self._nodes.values() if node.is_there)
        lasting = [(one.uptime // MINUTE, False) for one in alive if one is not None and one.known_start]
        return kaplan_meier([*((minutes, True) for minutes in self._lifetimes.elements()), *lasting])


def _state(node: NodeSessions) -> SessionState | None:
    """Of the session of a node that is there."""
    return node.session.state if node.session is not None and node.is_there else None
