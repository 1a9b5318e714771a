"""Whether a router has forgotten its mappings, by the clock that it sends with each answer (pure; RFC 6887, section 8.5).

NAT-PMP's own rule (RFC 6886, section 3.6) allows less: an eighth of the time passed, and two seconds. What PCP's rule accuses, that one
does too, but for a clock that runs too fast, which a router that has started again never has; so one rule serves both.
"""


class Epoch:
    """The clock of one router."""

    def __init__(self) -> None:
        self._server: int | None = None
        self._client = 0.0

    def forgot(self, server: int, now: float) -> bool:
        """Take in what the router's clock says at our time `now`, in seconds; tell whether it has lost its mappings since the last time."""
        before, then = self._server, self._client
        self._server, self._client = server, now
        if before is None:
            return False
        if server < before - 1:
            return True
        passed, its = now - then, server - before
        return passed + 2 < its - its / 16 or its + 2 < passed - passed / 16
