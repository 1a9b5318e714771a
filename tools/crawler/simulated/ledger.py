"""Who was asked what, how often and when (pure): what a run of the simulated network has to tell at its end."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from devp2p.addresses import Endpoint
from tools.crawler.simulated.population import Member, Population

Figures: TypeAlias = dict[str, object]
MARKS: Final = (50, 90, 95, 99, 99.5)
"""Per cent of the reachable nodes; when so many had answered for their record is told."""
_MOST_TIMES = 1000  # that are kept of one node


@dataclass(slots=True)
class Asked:
    """What one node was asked."""

    questions: Counter[str] = field(default_factory=Counter[str])
    """By version and kind, such as ``v4 FindNode``."""
    packets: Counter[Endpoint] = field(default_factory=Counter[Endpoint])
    """Datagrams that came, by who sent them."""
    answered: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    """When it answered who asked for its record, and by which version."""
    connections: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    """When it was dialled, and from which host."""


class Ledger:
    """All of it. Times are seconds on the simulator's clock."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self.asked: dict[int, Asked] = {}
        """By the node's index."""
        self.elsewhere: Counter[Endpoint] = Counter()
        """Datagrams to where no node is."""
        self.dialled_elsewhere: Counter[Endpoint] = Counter()
        """Connections to where no node is."""
        self.first: float | None = None
        """When the first datagram or connection came."""
        self.last: float = 0.0
        self.received: int = 0
        self.sent: int = 0
        self.connections: int = 0
        self._firsts: dict[str, dict[int, float]] = {"v4": {}, "v5": {}, "all": {}}
        self._packets_by: list[int] = []  # how many had come when the first, second, ... reachable node answered for its record

    def packet(self, to: Endpoint, member: Member | None, source: Endpoint, now: float) -> None:
        """A datagram came."""
        self.received += 1
        self._something(now)
        if member is None:
            self.elsewhere[to] += 1
        else:
            self.of(member).packets[source] += 1

    def question(self, member: Member, kind: str) -> None:
        """A node understood what it was asked."""
        self.of(member).questions[kind] += 1

    def record_given(self, member: Member, version: str, when: float) -> None:
        """A node answers for its record."""
        asked = self.of(member)
        if len(asked.answered) < _MOST_TIMES:
            asked.answered.append((when, version))
        if member.reachable:
            self._firsts[version].setdefault(member.index, when)
            if self._firsts["all"].setdefault(member.index, when) == when:
                self._packets_by.append(self.received)

    def connection(self, to: Endpoint, member: Member | None, host: str, now: float) -> None:
        """A connection came."""
        self.connections += 1
        self._something(now)
        if member is None:
            self.dialled_elsewhere[to] += 1
        elif len(self.of(member).connections) < _MOST_TIMES:
            self.of(member).connections.append((now, host))

    def of(self, member: Member) -> Asked:
        """What is known of one node."""
        found = self.asked.get(member.index)
        if found is None:
            found = self.asked[member.index] = Asked()
        return found

    def _something(self, now: float) -> None:
        self.last = now
        if self.first is None:
            self.first = now

    @property
    def recall(self) -> float:
        """The share of reachable nodes that have answered for their record, 0 to 1."""
        return len(self._firsts["all"]) / self._population.reachable

    def summary(self) -> Figures:
        """All figures of the run."""
        asked = self.asked.values()
        kinds = sorted({kind for one in asked for kind in one.questions})
        packets = [sum(one.packets.values()) for one in asked]
        members = self._population.members
        most = sorted(self.asked, key=lambda index: -sum(self.asked[index].packets.values()))[:3]
        askers = sum((one.packets for one in asked), Counter[Endpoint]())
        return {
            "nodes": len(members),
            "reachable": self._population.reachable,
            "asked": len(self.asked),
            "packets_received": self.received,
            "packets_sent": self.sent,
            "packets_per_node": round(self.received / len(members), 2),
            "packets_per_answer": round(self.received / max(1, len(self._firsts["all"])), 2),
            "packets": spread(packets),
            "packets_elsewhere": sum(self.elsewhere.values()),
            "packets_at_victims": sum(count for at, count in self.elsewhere.items() if at.ip in self._population.victims),
            "askers": {str(asker): count for asker, count in askers.most_common(8)},
            "questions": {kind: spread([one.questions[kind] for one in asked if kind in one.questions]) for kind in kinds},
            "most_asked": [
                {
                    "node": members[index].id.hex(),
                    "at": str(members[index].endpoint),
                    "kind": members[index].kind,
                    "packets": sum(self.asked[index].packets.values()),
                    **self.asked[index].questions,
                }
                for index in most
            ],
            "connections": self.connections,
            "connections_per_node": spread([len(one.connections) for one in asked if one.connections]),
            "connections_elsewhere": sum(self.dialled_elsewhere.values()),
            "dialled": sum(1 for one in asked if one.connections),
            "recall": {name: round(len(found) / self._population.reachable, 5) for name, found in self._firsts.items()},
            "seconds_to": {name: self._marks(found.values()) for name, found in self._firsts.items()},
            "packets_by": {
                name: self._packets_by[count - 1] if 0 < count <= len(self._packets_by) else None for name, count in self._wanted()
            },
            "seconds": round(self.last - self.first, 3) if self.first is not None else 0.0,
        }

    def _marks(self, times: Iterable[float]) -> dict[str, float | None]:
        """After how many seconds so many per cent had answered; None for what was not reached."""
        ordered, begin = sorted(times), self.first or 0.0
        return {name: round(ordered[count - 1] - begin, 3) if 0 < count <= len(ordered) else None for name, count in self._wanted()}

    def _wanted(self) -> list[tuple[str, int]]:
        """How many nodes each mark is."""
        return [(f"{mark:g}", math.ceil(mark * self._population.reachable / 100)) for mark in MARKS]


def spread(numbers: Sequence[int]) -> Figures:
    """How numbers are spread: how many there are, their mean, quantiles, and the greatest."""
    ordered = sorted(numbers)
    if not ordered:
        return {"count": 0, "sum": 0}
    last = len(ordered) - 1
    return {
        "count": len(ordered),
        "sum": sum(ordered),
        "mean": round(sum(ordered) / len(ordered), 2),
        "median": ordered[last // 2],
        "p99": ordered[last * 99 // 100],
        "max": ordered[-1],
    }
