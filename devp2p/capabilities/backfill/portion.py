"""How much to ask one peer for at a time, pure: so much that it answers in half a second, and no more than it gives in one answer."""

FIRST, MOST = 8, 256
_QUICK, SLOW = 0.5, 2.0


class Portion:
    """How many blocks' headers, bodies or receipts one peer is asked for."""

    def __init__(self, first: int = FIRST) -> None:
        self.size: int = first

    def answered(self, asked: int, brought: int, seconds: float) -> None:
        """Of `asked` blocks it brought so many in so many seconds."""
        if 0 < brought < asked:
            self.size = brought
        elif seconds > SLOW:
            self.size = max(1, self.size // 2)
        elif brought == asked == self.size and seconds < _QUICK:
            self.size = min(MOST, self.size * 2)

    def timed_out(self) -> None:
        """It did not answer."""
        self.size = max(1, self.size // 4)
