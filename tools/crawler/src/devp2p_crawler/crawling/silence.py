"""Why nothing is found: the facts, where nobody has answered for ten seconds. All of them are of what was really tried.

Then the first nodes are looked at more closely, once: whether their host says that nobody listens at the UDP port, and whether they take
connections by TCP, which tells a node that is off from one to which UDP does not get through.
"""

from typing import Final

import trio

from devp2p import Discovery, NodeRecord
from devp2p_crawler.crawling.rows import packed
from devp2p_crawler.crawling.state import State, endpoint_of
from devp2p_crawler.model import Kind, Outcome, Silence
from devp2p_crawler.visiting import tcp_addresses

AFTER: Final = 10.0
"""Seconds without an answer, after which something is told."""
_LOOKED_AT: Final = 4  # nodes
_PATIENCE: Final = 3.0  # seconds for each


class Silences:
    """Knows what a crawl has tried, and what came of it."""

    def __init__(self, state: State, discovery: Discovery) -> None:
        self._state, self._discovery = state, discovery
        self._began = trio.current_time()
        self.starts: int = 0
        self._refused = self._taking_calls = 0

    async def look(self) -> None:
        """Once nobody has answered for so long, look more closely at some nodes to begin with."""
        await trio.sleep(AFTER)
        if self._state.counts.alive:
            return
        async with trio.open_nursery() as nursery:
            for node in self._state.settings.bootnodes[:_LOOKED_AT]:
                if self._state.refusal(node) is None:
                    nursery.start_soon(self._look_at, node)

    async def _look_at(self, node: NodeRecord) -> None:
        state, endpoint = self._state, endpoint_of(node)
        if endpoint is not None and state.may_send(endpoint):
            self._refused += await _is_refused(*node.udp_endpoints[0])
        address = next((address for address in tcp_addresses(node) if address.is_dialable and packed(address.host)), None)
        if address is None or not state.settings.dial:
            return
        host, now = state.courtesy.host(packed(address.host), address.port or 0), trio.current_time()
        if state.courtesy.when_to_dial(host, node.id, now) <= now:
            state.courtesy.dialled(host, node.id, now)
            self._taking_calls += await _takes_calls(address.host, address.port or 0)

    def now(self, elapsed: float, *, is_over: bool = False) -> Silence | None:
        """The facts, if nobody has answered for so long, or when it is over; None if all is well."""
        counts = self._state.counts
        since = max(counts.last_answer, self._began)
        seconds = trio.current_time() - since
        if counts.alive or (min(seconds, elapsed) < AFTER and not is_over):
            return None
        statistics = self._discovery.statistics
        addressless = sum(counts.visits[kind][Outcome.NO_ADDRESS] for kind in (Kind.V4, Kind.V5))
        return Silence(
            seconds=seconds,
            starts=self.starts,
            without_address=addressless,
            versions=self._state.settings.versions,
            listening=self._discovery.address.where,
            sent=statistics.sent,
            received=statistics.received,
            not_sent=statistics.not_sent,
            send_error=statistics.send_error,
            undecoded=statistics.unhandled,
            expired=statistics.expired,
            skipped=dict(counts.skipped),
            clock_skew=statistics.expired_by,
            refused=self._refused,
            taking_calls=self._taking_calls,
            dns_error=statistics.dns_error,
        )


async def _is_refused(host: str, port: int) -> bool:
    """Whether a host says that nobody listens at a UDP port: a socket of one destination is told so, for a datagram that means nothing."""
    family = trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET
    with trio.move_on_after(_PATIENCE), trio.socket.socket(family, trio.socket.SOCK_DGRAM) as sock:
        try:
            await sock.connect((host, port))
            await sock.send(b"\0")
            await sock.recv(1)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


async def _takes_calls(host: str, port: int) -> bool:
    with trio.move_on_after(_PATIENCE):
        try:
            stream = await trio.open_tcp_stream(host, port)
        except OSError:
            return False
        await trio.aclose_forcefully(stream)
        return True
    return False
