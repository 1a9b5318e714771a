"""How long to wait before a peer is dialled again (pure; randomness is passed in)."""

from collections.abc import Callable

from devp2p.errors import DialError, DisconnectReason, PeerDisconnected

_FIRST, _FACTOR, _LONGEST = 2.0, 2.0, 35.0  # seconds; go-ethereum redials after 35
_BUSY = 30.0  # seconds for which go-ethereum and reth turn away an address that comes again
_JITTER = 0.2
_STABLE = 60.0  # seconds after which a session counts as a success


class Backoff:
    """The delays between dials of one peer: they grow with each failure, and a session that lasted starts them anew."""

    def __init__(self, random: Callable[[], float]) -> None:
        """`random` gives numbers from 0 to 1, for jitter: peers that lost us together must not come back together."""
        self._random = random
        self._delay = _FIRST

    def failed(self, error: Exception) -> float:
        """A dial failed; return the seconds to wait."""
        busy = isinstance(error, DialError) and error.reason == DisconnectReason.TOO_MANY_PEERS
        return self._next(least=_BUSY if busy else 0.0)

    def ended(self, end: PeerDisconnected, lasted: float) -> float:
        """A session ended after so many seconds; return the seconds to wait."""
        if lasted >= _STABLE:
            self._delay = _FIRST
        return self._next(least=_BUSY if end.reason == DisconnectReason.TOO_MANY_PEERS else 0.0)

    def _next(self, *, least: float) -> float:
        delay, self._delay = self._delay, min(_LONGEST, self._delay * _FACTOR)
        chance = self._random()
        # What is waited at least must not become less by chance: a peer that is still busy would turn us away again.
        return max(least * (1 + _JITTER * chance), delay * (1 + _JITTER * (2 * chance - 1)))
