"""A simulated network as it runs: datagrams in, answers out when it is their time, and how busy that kept us."""

import gc
import heapq
import select
import time
from collections.abc import Collection, Sequence
from typing import Final, Self

import trio

from devp2p.addresses import Endpoint
from devp2p.discovery.v5 import packets
from devp2p.errors import DecodingError
from tools.crawler.simulated.auditor import MOST_NODES, Auditor
from tools.crawler.simulated.calls import Calls
from tools.crawler.simulated.ledger import Figures, Ledger
from tools.crawler.simulated.population import PORTS, Kind, Member, Plan, Population
from tools.crawler.simulated.sockets import Datagram, Door
from tools.crawler.simulated.tables import Filling
from tools.crawler.simulated.v4 import V4, Delayed, is_v4
from tools.crawler.simulated.v5 import V5

MOST_BUSY: Final = 0.85
"""The share of its core that a simulator may use; above that it is the simulator that was measured."""
MOST_LATE: Final = 0.25
"""By how many seconds one answer in twenty may be late: half of the time that go-ethereum waits. Others may have had the processor."""
WINDOW: Final = 5.0
"""Seconds over which that is taken."""
MOST_LOST: Final = 0.005
"""The share of datagrams that may be lost at our door."""
_TICK: Final = 0.002  # seconds; what comes within one is taken together
_MOST_WAITING: Final = 200_000  # answers


class Busy:
    """How much of its core this process used, in windows, while anybody asked."""

    def __init__(self) -> None:
        self.windows: list[float] = []
        self._began, self._used = time.monotonic(), time.process_time()
        self._is_asked = False

    def asked(self) -> None:
        """Somebody wants something."""
        if not self._is_asked:
            self._is_asked = True
            self._began, self._used = time.monotonic(), time.process_time()

    def look(self, now: float, *, last: bool = False) -> None:
        """End a window, if it is time, or this is the last one."""
        if self._is_asked and (now - self._began >= WINDOW or (last and now - self._began >= 1)):
            used = time.process_time()
            self.windows.append((used - self._used) / (now - self._began))
            self._began, self._used = now, used

    def summary(self) -> Figures:
        """The mean and the greatest share, 0 to 1."""
        windows = self.windows or [0.0]
        return {"mean": round(sum(windows) / len(windows), 3), "most": round(max(windows), 3), "window_seconds": WINDOW}


class Network:
    """All nodes of a plan behind a few sockets. A context manager, which closes them."""

    def __init__(self, plan: Plan, port: int = 0) -> None:
        """`port` is the first of the ports at which nodes listen; 0 takes free ones. OSError if one is taken."""
        self.doors: Sequence[Door] = _doors(port)
        self.population = Population(plan, [door.port for door in self.doors])
        self.ledger = Ledger(self.population)
        self.auditor = Auditor()
        self.busy = Busy()
        self.late: list[float] = []
        """By how many seconds answers were late, the most of each tick."""
        self.calls = Calls(self._called)
        filling = Filling(self.population.ring)
        self._v4 = V4(self.population, self.ledger, filling)
        self._v5 = V5(self.population, self.ledger, filling)
        self._waiting: list[tuple[float, int, Delayed, bytes, Endpoint, Door]] = []
        self._count = 0
        self._fakes_met: dict[Endpoint, set[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for door in self.doors:
            door.__exit__()

    def summary(self) -> Figures:
        """What the run came to; ``void`` says why its times mean nothing, or is None."""
        self.busy.look(time.monotonic(), last=True)
        busy, late = self.busy.summary(), sorted(self.late) or [0.0]
        lost, delay = sum(door.lost for door in self.doors), late[len(late) * 95 // 100]
        void = None
        if (most := max([0.0, *self.busy.windows])) > MOST_BUSY:
            void = f"void: the simulator was {most:.0%} busy"
        elif delay > MOST_LATE:
            void = f"void: one answer in twenty was {delay * 1000:.0f} ms late or more"
        elif lost > self.ledger.received * MOST_LOST:
            void = f"void: the simulator lost {lost} datagrams"
        return {
            **self.ledger.summary(),
            "sessions": self.calls.sessions,
            "busy": busy,
            "late_ms": {"p95": round(delay * 1000, 1), "max": round(late[-1] * 1000, 1)},
            "lost": lost,
            "impolite": dict(self.auditor.counts),
            "most_seen": dict(self.auditor.most),
            "findings": [str(finding) for finding in self.auditor.findings],
            "void": void,
        }

    def prepare(self, versions: Collection[int]) -> None:
        """Make now what is otherwise made when a node is first asked, for some versions of discovery: it costs a second for 1,000 nodes."""
        for member in self.population.members:
            if versions:
                _ = member.record_data, member.neighbor
            if member.kind is not Kind.DEAD:
                for version in versions:
                    (self._v4 if version == 4 else self._v5).table(member)

    async def run(self) -> None:
        """Answer until cancelled."""
        gc.collect()
        gc.freeze()
        async with trio.open_nursery() as nursery:
            for door in self.doors:
                nursery.start_soon(self.calls.serve, door, nursery)
            await self._answer()

    async def _answer(self) -> None:
        with select.epoll() as readable:
            doors = {door.udp.fileno(): door for door in self.doors}
            for descriptor in doors:
                readable.register(descriptor, select.EPOLLIN)
            while True:
                until = self._waiting[0][0] if self._waiting else time.monotonic() + 1
                with trio.move_on_after(max(_TICK, until - time.monotonic())):
                    await trio.lowlevel.wait_readable(readable.fileno())
                for descriptor, _ in readable.poll(0):
                    door = doors[descriptor]
                    for datagram in door.receive():
                        self._take(datagram, door)
                self._send()
                self.busy.look(time.monotonic())
                await trio.sleep(_TICK)

    def _take(self, datagram: Datagram, door: Door) -> None:
        data, source, to, at = datagram
        member = self.population.at.get(to)
        self.busy.asked()
        self.ledger.packet(to, member, source, at)
        version = 4 if is_v4(data) else 5
        if member is None:
            self.auditor.datagram(at, to.ip, self._fake_meant(data, to) if version == 5 else None)
            return
        self.auditor.datagram(at, to.ip, member.index)
        if member.kind is Kind.DEAD:
            return
        try:
            if version == 4:
                answers = self._v4.receive(member, data, source, at, wall=time.time())
            else:
                answers = self._v5.receive(member, data, source, at)
        except DecodingError:
            self.ledger.question(member, "garbage")
            return
        self._queue(answers, datagram, door)

    def _called(self, to: Endpoint, host: str) -> Member | None:
        """A connection came; says who is there."""
        now, member = time.monotonic(), self.population.at.get(to)
        self.busy.asked()
        self.ledger.connection(to, member, host, now)
        self.auditor.connection(now, to.ip, to if member is None else member.index)
        return member

    def _queue(self, answers: list[Delayed], datagram: Datagram, door: Door) -> None:
        for answer in answers:
            if len(self._waiting) < _MOST_WAITING:
                self._count += 1
                heapq.heappush(self._waiting, (datagram.at + answer.delay, self._count, answer, datagram.to.ip, datagram.source, door))

    def _send(self) -> None:
        waiting, now = self._waiting, time.monotonic()
        if waiting and waiting[0][0] <= now:
            self.late.append(now - waiting[0][0])
        while waiting and waiting[0][0] <= now:
            _, _, answer, origin, to, door = heapq.heappop(waiting)
            door.send(answer.data, origin, to)
            if answer.sending is not None:
                answer.sending.at = time.monotonic()
            self.ledger.sent += 1

    def _fake_meant(self, data: bytes, to: Endpoint) -> bytes | None:
        """Which of the nodes that liars place there a datagram of v5 is for: it can be read by who knows for whom it is."""
        met = self._fakes_met.setdefault(to, set())
        if len(met) > MOST_NODES:  # that is enough to know
            return None
        for fake in self.population.fakes_at.get(to, ()):
            try:
                packets.decode(data, fake)
            except DecodingError:
                continue
            met.add(fake)
            return fake
        return None


def _doors(port: int) -> list[Door]:
    doors: list[Door] = []
    try:
        doors.extend(Door(port + number if port else 0) for number in range(PORTS))
    except OSError:
        for door in doors:
            door.__exit__()
        raise
    return doors
