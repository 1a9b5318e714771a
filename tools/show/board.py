"""What the parent has heard from everybody, beside what it knows from the plan (pure; ``now`` is passed in)."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from devp2p import DisconnectReason
from devp2p.errors import describe_reason
from tools.show.changes import Changes, words_of
from tools.show.meters import Meter, mean
from tools.show.plan import CAPABILITIES, Nature, NodePlan
from tools.show.reports import Event, NodeReport, PeerReport
from tools.show.truth import best_service, chance_service, service

_LOG = 64
_PROBLEMS = 10  # that are told in words; all are counted
_FAIR = frozenset(
    {
        DisconnectReason.REQUESTED,
        DisconnectReason.USELESS_PEER,
        DisconnectReason.TOO_MANY_PEERS,
        DisconnectReason.ALREADY_CONNECTED,
        DisconnectReason.CLIENT_QUITTING,
    }
)
"""Reasons for which a session with an honest peer may end."""


@dataclass(frozen=True)
class Sample:
    """How the observers' places are taken at one moment."""

    seconds: float
    """Since the show began."""
    shares: dict[str, float]
    """By observer: what its peers truly give, over the best that as many places could."""
    places: dict[Nature, int]
    """How many places of all observers together are taken by whom."""

    @property
    def share(self) -> float:
        """The mean of all observers."""
        return mean(list(self.shares.values()))


@dataclass
class NodeState:
    """One node: its plan and its last report."""

    plan: NodePlan
    pid: int = 0
    id: str = ""
    client: str = ""
    enr: str = ""
    enode: str = ""
    met: float | None = None
    """When its first session began."""
    report: NodeReport = field(default_factory=NodeReport)
    bulk: Meter = field(default_factory=Meter)
    echo: Meter = field(default_factory=Meter)
    news: Meter = field(default_factory=Meter)
    changes: int = 0
    """Peers that have come for another one."""
    drops: int = 0


@dataclass(frozen=True)
class SessionRow:
    """One session of an observer for the screen: who the peer truly is, and what the observer has seen of it."""

    plan: NodePlan | None
    """None for a node that is not of this show."""
    report: PeerReport
    rates: dict[str, float]
    """Useful things a second, by capability: bytes, answers, items."""


class Board:
    """All that the parent knows. `apply` takes each event; everything else reads."""

    def __init__(self, plans: Sequence[NodePlan] = (), *, seed: int = 0, pace: float = 1.0) -> None:
        self.seed = seed
        self.pace = pace
        self.nodes: dict[str, NodeState] = {plan.name: NodeState(plan) for plan in plans}
        self.workers = max((plan.worker for plan in plans), default=0) + 1
        self.log: deque[tuple[float, str, str]] = deque(maxlen=_LOG)
        """(seconds since the beginning, kind, text), the newest last."""
        self.logged = 0
        """How many lines the log has had in all."""
        self.go = ""
        """What became of the go-ethereum node; empty if none was asked for."""
        self.go_joined = False
        self.errors = 0
        self.problems: list[str] = []
        self.drops: Counter[str] = Counter()
        """Of observers' sessions, by reason."""
        self.changes = Changes()
        """What observers' nodes have decided about their peers."""
        self.sessions = 0
        """That observers have had."""
        self.latencies_ms: list[float] = []
        self.history: list[Sample] = []
        self.began = 0.0
        self.show_began: float | None = None
        self.show_ends: float | None = None
        self.crawling = False
        """Whether the show itself is over, and its network is being crawled."""
        self.closing = False
        """From now on sessions end because the show does."""
        self.bytes = Meter()
        self._names: dict[str, str] = {}
        self._useful: dict[tuple[str, str, str], Meter] = {}
        self._complaints: dict[str, str] = {}
        self._bests: dict[tuple[str, int], tuple[float, float]] = {}

    # Who is who

    @property
    def observers(self) -> list[NodeState]:
        """The nodes that are watched."""
        return [node for node in self.nodes.values() if node.plan.observer]

    @property
    def ours(self) -> list[NodeState]:
        """All nodes but go-ethereum's."""
        return [node for node in self.nodes.values() if node.plan.worker >= 0]

    @property
    def tables(self) -> tuple[float, float]:
        """How many nodes are in a node's tables of discovery v4 and v5, on average."""
        v4, v5 = ([getattr(node.report, name) for node in self.ours] for name in ("table_v4", "table_v5"))
        return mean(v4), mean(v5)

    @property
    def connected(self) -> int:
        """How many of our nodes have had a session; all by discovery, since nobody is told whom to dial."""
        return sum(node.met is not None for node in self.ours)

    def add(self, plan: NodePlan) -> NodeState:
        """One more node takes part."""
        node = self.nodes[plan.name] = NodeState(plan)
        return node

    def node_of(self, identity: str) -> NodeState | None:
        """The node with an ID."""
        return self.nodes.get(self._names.get(identity, ""))

    def name_of(self, identity: str) -> str:
        """The name of a node-ID, or its first digits."""
        return self._names.get(identity, identity[:8])

    def named(self, identity: str) -> str:
        """The same, with what the node is truly like."""
        node = self.node_of(identity)
        return identity[:8] if node is None else f"{node.plan.name} ({node.plan.nature})"

    def nature_of(self, identity: str) -> str | None:
        """What a node is truly like; None of one that is not of this show."""
        node = self.node_of(identity)
        return None if node is None else str(node.plan.nature)

    # What happens

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

    def apply(self, event: Event, now: float) -> None:
        """Take an event, of a node where it names one, or else of a worker."""
        name = event.get("node", "")
        node = self.nodes.get(name)
        match event["event"]:
            case "complaint":
                self._take_complaint(event["source"], event["text"], now)
            case "problem":
                self.problem(now, f"{name or event['source']}: {event['text']}")
            case kind if node is not None:
                self._take(kind, node, event, now)
            case _:
                pass  # of a node whose start was given up

    def _take(self, kind: str, node: NodeState, event: Event, now: float) -> None:
        match kind:
            case "listening":
                node.id, node.client, node.enr, node.enode = event["id"], event["client"], event["enr"], event["enode"]
                self._names[node.id] = node.plan.name
            case "met":
                node.met = now
                if not node.plan.observer:
                    self.note(now, "met", f"{node.plan.name} found {self.named(event['peer'])}, its first peer")
            case "report":
                self._take_report(node, NodeReport.from_event(event), now)
            case "connected":
                self.sessions += 1
                how = "was found by" if event["inbound"] else "found"
                if not self.changes.began(node.plan.name, event["peer"]):
                    self.note(now, "connected", f"{node.plan.name} {how} {self.named(event['peer'])}, by {event['transport']}")
            case "decided":
                self._take_decided(node, event, now)
            case "dropped":
                self._take_dropped(node, event, now)
            case _:
                pass

    def _take_decided(self, node: NodeState, event: Event, now: float) -> None:
        if self.closing:
            return
        node.changes += event["what"] == "admit"
        news = self.changes.take(node.plan.name, event, self.nature_of)
        if news is not None:
            self.note(now, news["what"], words_of(node.plan.name, news, self.named))

    def _take_report(self, node: NodeState, report: NodeReport, now: float) -> None:
        node.report = report
        node.bulk.read(now, report.bulk_bytes)
        node.echo.read(now, report.echo_answers)
        node.news.read(now, report.news_first)
        self.latencies_ms += report.latencies_ms
        for session in report.sessions:
            for name, experience in session.shared.items():
                self._useful.setdefault((node.id, session.peer, name), Meter()).read(now, experience.useful)
        self.bytes.read(now, self.total_bytes)

    def _take_dropped(self, node: NodeState, event: Event, now: float) -> None:
        if self.closing:
            return
        node.drops += 1
        self.drops[describe_reason(event["reason"])] += 1
        known = self.changes.ended(node.plan.name, event["peer"])
        text = f"{node.plan.name} lost {self.named(event['peer'])} after {event['seconds']:g} s: {event['why']}"
        peer = self.node_of(event["peer"])
        if event["reason"] in _FAIR or (peer is not None and peer.plan.nature is Nature.HOSTILE):
            if not known:  # else the log has said why
                self.note(now, "dropped", text)
        else:
            self.problem(now, text)

    def _take_complaint(self, source: str, text: str, now: float) -> None:
        """A line of stderr. A traceback is one problem, told by its first line and its last."""
        if source not in self._complaints:
            self._complaints[source] = text
            self.problem(now, f"{source}: {text}")
            return
        first = f"{source}: {self._complaints[source]}"
        self.problems = [f"{first} … {text}" if problem.startswith(first) else problem for problem in self.problems]

    # Figures

    @property
    def total_bytes(self) -> int:
        """Bytes on the wire that our nodes have sent in sessions."""
        return sum(node.report.bytes_out for node in self.nodes.values())

    def rows(self, node: NodeState) -> list[SessionRow]:
        """An observer's sessions, the oldest first."""
        rows = []
        for session in sorted(node.report.sessions, key=lambda session: -session.seconds):
            rates = {name: self._useful[node.id, session.peer, name].rate for name in session.shared}
            peer = self.node_of(session.peer)
            rows.append(SessionRow(peer.plan if peer is not None else None, session, rates))
        return rows

    def peers_of(self, node: NodeState) -> list[NodePlan]:
        """The plans of an observer's peers."""
        return [row.plan for row in self.rows(node) if row.plan is not None]

    def share(self, node: NodeState) -> float:
        """What an observer's peers truly give, over the best that as many places could."""
        best, _ = self._best(node)
        return service(self.peers_of(node)) / best if best else 1.0

    def chance(self, node: NodeState) -> float:
        """What peers taken at random would give, likewise."""
        best, chance = self._best(node)
        return chance / best if best else 1.0

    def _best(self, node: NodeState) -> tuple[float, float]:
        """What the best set of peers would give, and one taken at random."""
        candidates = [other.plan for other in self.nodes.values() if other is not node and other.id]
        key = (node.plan.name, len(candidates))
        if key not in self._bests:
            others = [plan for plan in candidates if not plan.observer]  # who has few places is seldom found among one's peers
            self._bests[key] = best_service(candidates, node.plan.places), chance_service(others, node.plan.places, self.seed)
        return self._bests[key]

    def sample(self, now: float) -> None:
        """Remember how it stands."""
        if self.show_began is None or self.crawling or self.closing:
            return
        places = Counter(peer.nature for node in self.observers for peer in self.peers_of(node))
        shares = {node.plan.name: round(self.share(node), 4) for node in self.observers}
        self.history.append(Sample(now - self.show_began, shares, {nature: places[nature] for nature in Nature}))


def offers(plan: NodePlan) -> str:
    """What a node has truly to give, for people: ``bulk 0.81, news 0.40``."""
    return ", ".join(f"{name} {plan.service(name):.2f}" for name in CAPABILITIES if name in plan.qualities)
