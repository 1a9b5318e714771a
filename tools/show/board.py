"""What the parent has heard from everybody, and the figures that are made of it (pure; ``now`` is passed in)."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.show.reports import Event, NodeReport, PeerReport

_WINDOW = 2.0  # seconds over which a rate is taken
_HISTORY = 40  # reports of which a node's little curve is drawn
_LOG = 64
_OVERHEAR_EVERY = 2.0
_PROBLEMS = 10  # that are told in words; all are counted
_REQUESTED = 0  # a Disconnect's reason


class Meter:
    """The rate of a total that grows, over the last seconds."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, float]] = deque()
        self.rate = 0.0
        """By the second."""

    def read(self, now: float, total: float) -> None:
        """Take the total of a moment."""
        self._readings.append((now, total))
        while len(self._readings) > 2 and now - self._readings[1][0] >= _WINDOW:
            self._readings.popleft()
        then, before = self._readings[0]
        self.rate = max(0.0, total - before) / (now - then) if now > then else 0.0


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that `percent` % of the values do not exceed (nearest rank); None of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


@dataclass
class NodeState:
    """One process and its last report."""

    name: str
    trait: str = ""
    pid: int = 0
    id: str = ""
    client: str = ""
    enodes: list[str] = field(default_factory=list)
    ended: bool = False
    peers: int = 0
    report: NodeReport = field(default_factory=NodeReport)
    messages: Meter = field(default_factory=Meter)
    bytes_in: Meter = field(default_factory=Meter)
    bytes_out: Meter = field(default_factory=Meter)
    history: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    """Messages a second, at each report."""


@dataclass(frozen=True)
class SessionRow:
    """One session for the screen, as `seer` sees its peer."""

    dialler: str
    dialled: str
    seer: str
    report: PeerReport
    bulk_rate: float


class Board:
    """All that the parent knows. `apply` takes each event; everything else reads."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeState] = {}
        self.log: deque[tuple[float, str, str]] = deque(maxlen=_LOG)
        """(seconds since the beginning, kind, text), the newest last."""
        self.logged = 0
        """How many lines the log has had in all."""
        self.go = ""
        """What became of the go-ethereum node; empty if none was asked for."""
        self.go_joined = False
        self.errors = 0
        self.problems: list[str] = []
        self.chat_lines = 0
        self.overheard = ""
        """A line of chat, kept long enough to be read."""
        self.latencies_ms: list[float] = []
        self.began = 0.0
        self.show_began: float | None = None
        self.show_ends: float | None = None
        self.closing = False
        """From now on sessions end because the show does."""
        self._overheard_at = -math.inf
        self._names: dict[str, str] = {}
        self._sessions: set[frozenset[str]] = set()
        self._useful: dict[tuple[str, str], Meter] = {}
        self._complaints: dict[str, str] = {}
        self.messages = Meter()
        self.bytes = Meter()

    def add(self, node: NodeState) -> None:
        """A process has been started."""
        self.nodes[node.name] = node

    def name_of(self, identity: str) -> str:
        """The name of a node-ID, or its first digits."""
        return self._names.get(identity, identity[:8])

    def node_of(self, identity: str) -> NodeState | None:
        """The node with an ID."""
        return self.nodes.get(self._names.get(identity, ""))

    @property
    def sessions(self) -> int:
        """How many pairs of nodes have had a session."""
        return len(self._sessions)

    def problem(self, now: float, text: str) -> None:
        """Something did not work."""
        self.errors += 1
        if len(self.problems) < _PROBLEMS:
            self.problems.append(text)
        self.note(now, "error", text)

    def note(self, now: float, kind: str, text: str) -> None:
        """Remember a line for the log."""
        self.log.append((now - self.began, kind, text))
        self.logged += 1

    def apply(self, name: str, event: Event, now: float) -> None:
        """Take an event of the node `name`."""
        node = self.nodes.get(name)
        if node is None:
            return  # its start was given up
        match event["event"]:
            case "listening":
                node.id, node.client, node.enodes = event["id"], event["client"], event["enodes"]
                self._names[node.id] = name
            case "report":
                self._take_report(node, NodeReport.from_event(event), now)
            case "chat":
                self.chat_lines += 1
                if now - self._overheard_at >= _OVERHEAR_EVERY:
                    self._overheard_at, self.overheard = now, f"{name} heard {event['text']}"
            case "connected":
                self._take_connected(node, event, now)
            case "dropped":
                self._take_dropped(node, event, now)
            case "dialled":
                if event["error"] is not None and not self.closing:
                    self.problem(now, f"{name} could not connect: {event['error']}")
            case "refused":
                if not self.closing:
                    self.problem(now, f"{name} refused {event['address']}: {event['why']}")
            case "stopped":
                node.ended = True
            case "problem":
                self.problem(now, f"{name}: {event['text']}")
            case "complaint":
                self._take_complaint(name, event["text"], now)
            case _:
                pass

    def _take_report(self, node: NodeState, report: NodeReport, now: float) -> None:
        if report.wrong > node.report.wrong:
            self.problem(now, f"{node.name} got {report.wrong - node.report.wrong} wrong answers")
        node.report = report
        node.messages.read(now, report.messages)
        node.bytes_in.read(now, report.bytes_in)
        node.bytes_out.read(now, report.bytes_out)
        node.history.append(node.messages.rate)
        self.latencies_ms += report.latencies_ms
        for peer in report.peers:
            self._useful.setdefault((node.id, peer.peer), Meter()).read(now, peer.useful)
        self.messages.read(now, self.total_messages)
        self.bytes.read(now, self.total_bytes)

    def _take_connected(self, node: NodeState, event: Event, now: float) -> None:
        node.peers += 1
        self._sessions.add(frozenset((node.id, event["peer"])))
        if not event["inbound"]:
            text = f"{node.name} → {self.name_of(event['peer'])} connected by {event['transport']}: {event['client']}"
            self.note(now, "connected", text)

    def _take_dropped(self, node: NodeState, event: Event, now: float) -> None:
        if self.closing:
            return
        node.peers -= 1
        text = f"{node.name} lost {self.name_of(event['peer'])}: {event['why']}"
        if event["reason"] == _REQUESTED:
            self.note(now, "dropped", text)
        else:
            self.problem(now, text)

    def _take_complaint(self, name: str, text: str, now: float) -> None:
        """A line of stderr. A traceback is one problem, told by its first line and its last."""
        if name not in self._complaints:
            self._complaints[name] = text
            self.problem(now, f"{name}: {text}")
            return
        first = f"{name}: {self._complaints[name]}"
        self.problems = [f"{first} … {text}" if problem.startswith(first) else problem for problem in self.problems]

    # Figures

    @property
    def total_messages(self) -> int:
        """Messages of all exchanges so far."""
        return sum(node.report.messages for node in self.nodes.values())

    @property
    def total_bytes(self) -> int:
        """Bytes on the wire that our nodes have sent."""
        return sum(node.report.bytes_out for node in self.nodes.values())

    def rows(self) -> list[SessionRow]:
        """Every session once: as the dialler sees it where that is one of ours, else as the dialled one does."""
        rows: dict[frozenset[str], SessionRow] = {}
        for node in self.nodes.values():
            for peer in node.report.peers:
                pair = frozenset((node.id, peer.peer))
                if peer.inbound and pair in rows:
                    continue
                other = self.name_of(peer.peer)
                dialler, dialled = (other, node.name) if peer.inbound else (node.name, other)
                rate = self._useful[node.id, peer.peer].rate
                rows[pair] = SessionRow(dialler, dialled, node.name, peer, rate)
        order = {name: place for place, name in enumerate(self.nodes)}
        return sorted(rows.values(), key=lambda row: (order.get(row.dialler, 99), order.get(row.dialled, 99)))

    def summary(self, now: float) -> Event:
        """The whole run as one JSON object."""
        reports = [node.report for node in self.nodes.values()]
        seconds = now - (self.show_began if self.show_began is not None else now)
        bulk_bytes = sum(report.bulk_bytes for report in reports)
        p50, p99 = (percentile(self.latencies_ms, percent) for percent in (50, 99))
        return {
            "event": "summary",
            "nodes": sum(1 for node in self.nodes.values() if node.id and node.name != "go"),
            "sessions": self.sessions,
            "messages": self.total_messages,
            "bytes": self.total_bytes,
            "chat": {"lines": self.chat_lines, "requests": sum(report.chat_requests for report in reports)},
            "bulk": {
                "requests": sum(report.bulk_requests for report in reports),
                "bytes": bulk_bytes,
                "mb_per_s": round(bulk_bytes / 1e6 / seconds, 2) if seconds > 0 else 0.0,
                "wrong": sum(report.wrong for report in reports),
            },
            "latency_ms": {"p50": p50, "p99": p99},
            "timeouts": sum(report.timeouts for report in reports),
            "go_ethereum": True if self.go_joined else self.go or False,
            "errors": self.errors,
            "problems": self.problems,
            "seconds": round(seconds, 1),
        }
