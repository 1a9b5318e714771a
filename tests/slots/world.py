"""A world for the policy to live in: nodes that serve more or less well, or attack, and a clock; ratings and slots decide, this acts.

Nothing here has a network or a task. Every tick the sessions bring what the nodes behind them really give; ratings see that and nothing
else, and what is measured in the end is what the nodes really gave (`World.service`), not what the ratings say of it.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from devp2p.conduct import Conduct
from devp2p.errors import DisconnectReason, PeerDisconnected
from devp2p.peers.bans import Bans
from devp2p.peers.ratings import RatingRule, Ratings, standings_of
from devp2p.peers.slots.policy import Slots
from devp2p.peers.slots.values import Admit, Drop, Evict, Graft, Refuse, SlotCandidate, SlotPeer, SlotSpec, Swap

TICK = 10.0
SECRET = b"a secret of a start"


def node_id(number: int) -> bytes:
    """The ID of a node."""
    return number.to_bytes(32, "big")


@dataclass
class Node:
    """Who can be a peer. ``gives``: what it brings in a minute, for each capability that it has."""

    number: int
    gives: dict[str, float]
    network: bytes | None = None
    latency: float = 0.2
    honest: bool = True
    severity: int = 0
    """What it does wrong at each tick."""
    full: bool = False
    """Whether it refuses whoever dials it."""
    source: str = "v4"
    rtt: float = 0.05
    id: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.id = node_id(self.number)


@dataclass
class Session:
    """A node as a peer of ours."""

    node: Node
    inbound: bool
    since: float
    outside: bool = False
    protected: bool = False
    intro: bool = False
    conduct: dict[str, Conduct] = field(default_factory=dict)


class World:
    """A node of ours among others."""

    def __init__(self, specs: Iterable[SlotSpec], budget: int, *, seed: int = 1, rules: Iterable[RatingRule] = (), **settings: Any) -> None:
        self.specs = tuple(specs)
        self.chance = random.Random(seed)
        self.now = 1000.0
        self.ratings = Ratings(rules or [RatingRule(spec.name) for spec in self.specs])
        self.slots = Slots(self.specs, budget, secret=SECRET, **settings)
        self.bans = Bans()
        self.nodes: dict[bytes, Node] = {}
        self.sessions: dict[bytes, Session] = {}
        self.anchors: set[bytes] = set()
        self.tries: dict[bytes, int] = {}
        self.exchanged: list[float] = []
        """When sessions were ended for a better one."""
        self.ended: list[tuple[float, bytes, object]] = []
        self.dials_a_tick = 8
        self.tick_length = TICK
        self.table: Callable[[], Iterable[Node]] = self.nodes.values
        """What discovery finds at the moment."""

    def add(self, nodes: Iterable[Node]) -> None:
        """There are more nodes, which discovery finds."""
        self.nodes.update({node.id: node for node in nodes})

    # What slots are asked with

    def peers(self) -> list[SlotPeer]:
        return [self.peer(session) for session in self.sessions.values()]

    def peer(self, session: Session) -> SlotPeer:
        node = session.node
        return SlotPeer(
            id=node.id,
            standings=standings_of(self.ratings, node.id, node.gives, self.now),
            inbound=session.inbound,
            since=session.since,
            network=node.network,
            rtt=node.rtt,
            outside=session.outside,
            protected=session.protected,
            intro=session.intro,
        )

    def candidates(self) -> list[SlotCandidate]:
        return [
            SlotCandidate(
                id=node.id,
                standings=standings_of(self.ratings, node.id, node.gives, self.now),
                network=node.network,
                source=node.source,
                anchor=node.id in self.anchors,
                tries=self.tries.get(node.id, 0),
            )
            for node in self.table()
            if node.id not in self.sessions and self.bans.get(node.id, self.now) is None
        ]

    # What happens

    def begin(self, node: Node, *, inbound: bool, admitted: Admit, **flags: Any) -> None:
        """A session begins."""
        if admitted.drop is not None:
            if not inbound:
                self.exchanged.append(self.now)
            self.end(admitted.drop, DisconnectReason.TOO_MANY_PEERS, admitted)
        self.sessions[node.id] = Session(node, inbound=inbound, since=self.now, **flags)
        self.ratings.proved(node.id, node.gives, self.now)

    def end(self, peer: bytes, reason: DisconnectReason, why: object) -> None:
        """A session ends, because we say so."""
        del self.sessions[peer]
        self.ended.append((self.now, peer, why))
        self.ratings.ended(peer, PeerDisconnected(reason, by_remote=False), self.now)

    def comes(self, node: Node, **flags: Any) -> Admit | Refuse:
        """A node dials us."""
        newcomer = self.peer(Session(node, inbound=True, since=self.now, **flags))
        answer = self.slots.admit(newcomer, self.peers(), self.now, ban=self.bans.get(node.id, self.now))
        if isinstance(answer, Admit):
            self.begin(node, inbound=True, admitted=answer, **flags)
        return answer

    def dial(self, peer: bytes) -> bool:
        """We dial a node."""
        node = self.nodes[peer]
        self.tries[peer] = self.tries.get(peer, 0) + 1
        self.anchors.discard(peer)
        if node.full:
            self.slots.gave_up(peer)
            return False
        newcomer = self.peer(Session(node, inbound=False, since=self.now))
        answer = self.slots.admit(newcomer, self.peers(), self.now, ban=self.bans.get(node.id, self.now))
        if isinstance(answer, Refuse):
            return False
        self.begin(node, inbound=False, admitted=answer)
        return True

    def serve(self) -> None:
        """The sessions bring what their nodes give in a tick."""
        for session in self.sessions.values():
            for name, amount in session.node.gives.items():
                old = session.conduct.get(name, Conduct())
                brought = amount * self.tick_length / 60 * self.chance.uniform(0.8, 1.2)
                session.conduct[name] = Conduct(
                    useful=old.useful + brought,
                    latency=session.node.latency,
                    invalid=old.invalid + session.node.severity,
                    timeouts=old.timeouts,
                    why="garbage",
                )
                self.ratings.observe(session.node.id, name, session.conduct[name], self.now)

    def tick(self) -> None:
        """Ten seconds pass, and what slots decide is done."""
        self.now += self.tick_length
        self.serve()
        self.ratings.refresh(self.now)
        for change in self.slots.decide(self.peers(), self.candidates(), self.now, self.chance.random):
            match change:
                case Drop():
                    self.end(change.id, change.disconnect, change)
                    self.bans.ban(change.id, self.now, change.ban, change.reason)
                case Evict():
                    self.end(change.id, change.disconnect, change)
                case Swap() | Graft():
                    self.dial(change.id)
        self.fill()

    def fill(self) -> None:
        """Dial for free places."""
        tried: set[bytes] = set()
        for _ in range(self.dials_a_tick):
            open_to_dial = [candidate for candidate in self.candidates() if candidate.id not in tried]
            found = self.slots.next_dial(self.slots.choice(self.peers(), open_to_dial, self.now, self.chance.random), ())
            if found is None:
                break
            tried.add(found.id)
            self.dial(found.id)

    def run(self, seconds: float, each: Callable[[], object] | None = None) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end:
            self.tick()
            if each is not None:
                each()

    # What is measured

    def service(self, name: str) -> float:
        """What the best peers really give in a minute, as many as there are slots, from honest nodes."""
        (slots,) = [spec.slots for spec in self.specs if spec.name == name]
        given = [session.node.gives.get(name, 0.0) for session in self.sessions.values() if session.node.honest]
        return sum(sorted(given, reverse=True)[:slots])

    def share(self, *, inbound: bool | None = None) -> float:
        """What part of the peers is not honest."""
        asked = [session for session in self.sessions.values() if inbound is None or session.inbound is inbound]
        return sum(not session.node.honest for session in asked) / max(1, len(asked))
