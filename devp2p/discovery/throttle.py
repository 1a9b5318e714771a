"""How often strangers may ask (pure; ``now`` is passed in): token buckets, one for each key, and not more of them than are remembered."""

from collections import OrderedDict

from devp2p.discovery.networks import unmapped


class Throttle:
    """Lets each key have ``burst`` tokens at once and ``rate`` more a second."""

    def __init__(self, rate: float, burst: float | None = None, *, remembered: int = 4096) -> None:
        """`burst` is one second's worth of tokens where it is not given. Of more than `remembered` keys the least recent are forgotten."""
        self._rate = rate
        self._burst = max(1.0, rate) if burst is None else burst
        self._remembered = remembered
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()  # key -> tokens, and when there were so many

    def __len__(self) -> int:
        return len(self._buckets)

    def allows(self, key: bytes, now: float) -> bool:
        """Take a token, if there is one."""
        tokens, then = self._buckets.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        allowed = tokens >= 1
        self._buckets[key] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > self._remembered:
            self._buckets.popitem(last=False)
        return allowed


def host_of(ip: bytes) -> bytes:
    """What one host has: an IPv4 address, or a whole /64 of IPv6, of which it can take a new address for every packet."""
    ip = unmapped(ip)
    return ip if len(ip) == 4 else ip[:8]
