"""News in few words, whatever strangers do: they can bring about any number of events, and each would be a line.

Of each kind of event the first few are shown, then so many a minute. Those in between are counted; a line a minute gives the counts.
A session is shown whole or not at all: of a peer whose beginning was left out, the end is left out too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final
from weakref import WeakSet

import trio

from devp2p.bounded import Throttle
from devp2p.capability import AnyCapability, Peer
from devp2p.cli.news import News
from devp2p.errors import DisconnectReason, PeerDisconnected
from devp2p.node import Event, Node, PeerConnected, PeerDropped, PeerReady, PeerRefused, SlotDecision, TrustRemoved

EVERY: Final = 60.0
"""Seconds between two counts."""
REFUSALS: Final = 5
"""How many refusals of a kind are shown at first; then one a minute."""
SESSIONS: Final = 100
"""How many sessions, and decisions of a kind, are shown at first; then ten a minute."""


class Summaries:
    """Passes news on, or counts them."""

    def __init__(self, news: News) -> None:
        self._news = news
        self._refusals = Throttle(1 / 60, REFUSALS)
        self._others = Throttle(10 / 60, SESSIONS)
        self._counts: Counter[str] = Counter()
        self._untold: WeakSet[Peer] = WeakSet()
        self._since = 0.0

    def started(self, node: Node, capabilities: Sequence[AnyCapability], metrics: Sequence[str] = ()) -> None:
        """Passed on."""
        self._since = trio.current_time()
        self._news.started(node, capabilities, metrics)

    def happened(self, event: Event) -> None:
        """Passed on, or counted."""
        kind = self._is_too_much(event)
        if kind is None:
            self._news.happened(event)
        elif kind:
            self._counts[kind] += 1

    def _is_too_much(self, event: Event) -> str | None:
        """What to count an event as; nothing for what is counted already, None for what is shown."""
        now = trio.current_time()
        match event:
            case PeerRefused(_, error, _):
                kind = f"refused: {_reason(error)}"
                return None if self._refusals.allows(kind.encode(), now) else kind
            case SlotDecision(decision):
                kind = f"decision: {type(decision).__name__.lower()}"
                return None if self._others.allows(kind.encode(), now) else kind
            case TrustRemoved():
                return None if self._others.allows(b"trust removed", now) else "trust removed"
            case PeerConnected(peer):
                if self._others.allows(b"connected", now):
                    return None
                self._untold.add(peer)
                return "connected"
            case PeerReady(peer, _):
                return "" if peer in self._untold else None
            case PeerDropped(peer, _):
                return "dropped" if peer in self._untold else None
            case _:  # a static peer could not be dialled; that has a back-off
                return None

    def left_out(self, counts: Mapping[str, int], seconds: float) -> None:
        """Passed on."""
        self._news.left_out(counts, seconds)

    def nat(self, node: Node) -> None:
        """Passed on: it changes as often as a router is looked at, at most."""
        self._news.nat(node)

    def slots(self, node: Node) -> None:
        """Passed on."""
        self._news.slots(node)

    def stopped(self) -> None:
        """Passed on, behind the last counts."""
        self.sum_up()
        self._news.stopped()

    async def run(self) -> None:
        """Give the counts, if there are any, time and again."""
        while True:
            await trio.sleep(EVERY)
            self.sum_up()

    def sum_up(self) -> None:
        """Give the counts, if there are any."""
        now = trio.current_time()
        if self._counts:
            self.left_out(dict(sorted(self._counts.items())), now - self._since)
            self._counts.clear()
        self._since = now


def _reason(error: Exception) -> str:
    """Why a link did not become a session, in one of a few ways to say it: strangers may make up any others."""
    if not isinstance(error, PeerDisconnected):
        return {"HandshakeError": "bad handshake", "DecodingError": "bad message"}.get(type(error).__name__, "other")
    who = "peer" if error.by_remote else "we"
    reason = error.reason
    return f"{who}: {reason.name.replace('_', ' ').lower() if isinstance(reason, DisconnectReason) else 'unknown reason'}"
