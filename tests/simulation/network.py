"""A network of datagrams in memory, with an event heap for a clock: what is sent arrives later, or never, and a seed decides all of it.

It drives objects of the shape of aioquic's connections (`Driven`): a datagram is received, then whatever is to be sent is sent, then the
one timer is set. There are no sockets, no trio, no waiting: an hour of a thousand nodes takes as long as its datagrams take to be handled.
"""

import heapq
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Generic, Protocol, TypeVar

from devp2p.addresses import Endpoint

SEED = int(os.environ.get("SIMULATION_SEED", "1"))
"""What the simulations take their chance from."""

Data = TypeVar("Data")
Event_co = TypeVar("Event_co", covariant=True)
Event = TypeVar("Event")


class Driven(Protocol[Data, Event_co]):
    """A protocol without sockets and clock. `Data` is what a datagram holds: bytes, or for models anything."""

    def receive_datagram(self, data: Data, addr: Endpoint, now: float, /) -> object: ...

    def datagrams_to_send(self, now: float, /) -> Iterable[tuple[Data, Endpoint]]: ...

    def next_timer(self) -> float | None: ...

    def handle_timer(self, now: float, /) -> None: ...

    def next_event(self) -> Event_co | None: ...


@dataclass
class Traffic:
    sent: int = 0
    lost: int = 0
    to_nobody: int = 0
    timers: int = 0


class Network(Generic[Data, Event]):
    """Nodes by endpoint. Each datagram is lost with probability `loss`, or takes a time between the two of `delay`: some overtake."""

    def __init__(self, seed: int = SEED, *, loss: float = 0.0, delay: tuple[float, float] = (0.02, 0.12)) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.loss = loss
        self.delay = delay
        self.nodes: dict[Endpoint, Driven[Data, Event]] = {}
        self.traffic = Traffic()
        self.events: list[tuple[float, Endpoint, Event]] = []
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._armed: dict[Endpoint, float] = {}

    def add(self, endpoint: Endpoint, node: Driven[Data, Event]) -> None:
        """Put a node into the network; one that was silenced may come back, at the old endpoint or another."""
        self.nodes[endpoint] = node
        self.touch(endpoint)

    def silence(self, endpoint: Endpoint) -> None:
        """The node is gone: nothing reaches it, it sends nothing, and its timers are off."""
        del self.nodes[endpoint]
        self._armed.pop(endpoint, None)

    def silence_share(self, share: float, *, spare: Iterable[Endpoint] = ()) -> None:
        """So many of the nodes are gone at once."""
        able = sorted(self.nodes.keys() - set(spare))
        for endpoint in self.random.sample(able, round(share * len(self.nodes))):
            self.silence(endpoint)

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something at a time, in seconds since the beginning."""
        heapq.heappush(self._heap, (when, next(self._numbers), action))

    def churn(self, every: float, until: float, swap: Callable[[], None]) -> None:
        """Do `swap` (a node goes, another comes) at random times, on average once in `every` seconds."""
        when = self.now
        while (when := when + self.random.expovariate(1 / every)) < until:
            self.at(when, swap)

    def touch(self, endpoint: Endpoint) -> None:
        """A node was told something by whoever owns it: send what it has to send, note its events, set its timer."""
        node = self.nodes[endpoint]
        for data, to in node.datagrams_to_send(self.now):
            self._send(data, endpoint, to)
        while (event := node.next_event()) is not None:
            self.events.append((self.now, endpoint, event))
        due = node.next_timer()
        if due is None:
            self._armed.pop(endpoint, None)
        elif self._armed.get(endpoint) != due:
            self._armed[endpoint] = due
            self.at(max(due, self.now), lambda: self._ring(endpoint, due))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = until

    def run_for(self, seconds: float) -> None:
        self.run(self.now + seconds)

    def _send(self, data: Data, source: Endpoint, to: Endpoint) -> None:
        self.traffic.sent += 1
        if self.random.random() < self.loss:
            self.traffic.lost += 1
        else:
            self.at(self.now + self.random.uniform(*self.delay), lambda: self._arrive(data, source, to))

    def _arrive(self, data: Data, source: Endpoint, to: Endpoint) -> None:
        node = self.nodes.get(to)
        if node is None:
            self.traffic.to_nobody += 1
        else:
            node.receive_datagram(data, source, self.now)
            self.touch(to)

    def _ring(self, endpoint: Endpoint, due: float) -> None:
        if self._armed.get(endpoint) == due:
            del self._armed[endpoint]
            self.traffic.timers += 1
            self.nodes[endpoint].handle_timer(self.now)
            self.touch(endpoint)
