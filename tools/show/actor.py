"""One node of the show: it lives by its plan, and tells what happens to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

import devp2p
from devp2p import Address, DiscoverySettings, Limits, Node, Peer, PeerConnected, PeerDropped, PeerRefused, PrivateKey, SlotDecision
from devp2p.peers.slots import PeerView
from devp2p.transports import TcpTransport
from tools.show.asking import Asking
from tools.show.changes import event_of
from tools.show.choice import merge, unrated
from tools.show.conduct import capabilities_of
from tools.show.line import Line, MeasuredTransport
from tools.show.news import News
from tools.show.plan import Choice, NodePlan
from tools.show.reports import Event, Experience, NodeReport, PeerReport

_LIMITS = Limits(ping_interval=5.0)  # so that a short show sees some pings

Tell = Callable[[Event], None]


async def run_actor(
    plan: NodePlan, bootnodes: Sequence[str], pace: float, tell: Tell, *, task_status: "trio.TaskStatus[Actor]" = trio.TASK_STATUS_IGNORED
) -> None:
    """Run the node of a plan until cancelled. All that it knows of others are `bootnodes`."""
    line = Line()
    key = PrivateKey.generate()
    capabilities = capabilities_of(plan)
    if plan.choice is Choice.RANDOM:
        unrated(capabilities)
    client_id = f"devp2p.py/{plan.name}/v{devp2p.__version__}"
    tcp = Address.parse(plan.listen)
    async with devp2p.open_node(
        key,
        capabilities,
        listen=[tcp],
        bootnodes=bootnodes,
        discovery=DiscoverySettings(listen=Address("udp", tcp.host, 0), external=plan.external),
        max_peers=plan.places,
        slots={one.name: min(one.slots, plan.places) for one in capabilities if plan.places},  # small shows have few places
        pace=pace,
        client_id=client_id,
        limits=_LIMITS,
        transports=[MeasuredTransport(TcpTransport(), line)],
    ) as node:
        if plan.choice is Choice.ONE_SCORE:
            merge(node.policy.ratings)
        actor = Actor(plan, node, line, next(one for one in [*capabilities, None] if one is None or isinstance(one, News)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(actor.tell_events, tell)
            if plan.observer:
                nursery.start_soon(actor.asking.run)
            tell({"event": "listening", "id": node.record.id.hex(), "client": client_id, "enr": node.enr, "enode": node.enode})
            task_status.started(actor)


@dataclass
class Actor:
    """A node that runs."""

    plan: NodePlan
    node: Node
    line: Line
    news: News | None
    refused: int = 0
    asking: Asking = field(init=False)

    def __post_init__(self) -> None:
        self.asking = Asking(self.node)

    async def tell_events(self, tell: Tell) -> None:
        """Tell of the first session, and of all of them if it observes."""
        met = False
        async for event in self.node.events():
            match event:
                case PeerConnected(peer):
                    told = {"peer": peer.id.hex(), "client": peer.client_id, "inbound": peer.inbound, "transport": transport_of(peer)}
                    if not met:
                        met = True
                        tell({"event": "met", **told})
                    if self.plan.observer:
                        tell({"event": "connected", **told})
                case PeerDropped(peer, end) if self.plan.observer:
                    seconds = round(trio.current_time() - peer.since, 1)
                    told = {"peer": peer.id.hex(), "reason": int(end.reason), "why": str(end), "by_remote": end.by_remote}
                    tell({"event": "dropped", **told, "seconds": seconds})
                case SlotDecision(decision) if self.plan.observer:
                    if (decided := event_of(decision)) is not None:
                        tell(decided)
                case PeerRefused():
                    self.refused += 1
                case _:
                    pass

    def report(self) -> NodeReport:
        """How it stands."""
        node, observer = self.node, self.plan.observer
        assert node.discovery is not None  # noqa: S101  (run_actor asks for both)
        discovery, statistics, tally, news = node.discovery.statistics, node.statistics, self.asking.tally, self.news
        latencies, tally.latencies = tally.latencies, []
        return NodeReport(
            peers=len(node.connected),
            inbound=sum(peer.inbound for peer in node.connected),
            dials=statistics.place_dials,
            failed_dials=statistics.place_dial_failures,
            found=dict(discovery.candidates),
            bytes_in=self.line.bytes_in,
            bytes_out=self.line.bytes_out,
            datagrams=discovery.received + discovery.sent,
            table_v4=discovery.tables[4].entries if 4 in discovery.tables else 0,
            table_v5=discovery.tables[5].entries if 5 in discovery.tables else 0,
            bulk_bytes=tally.bulk_bytes,
            bulk_requests=tally.bulk_requests,
            echo_answers=tally.echo_answers,
            news_first=news.first if news is not None else 0,
            news_again=news.again if news is not None else 0,
            wrong=tally.wrong + (news.forged if news is not None else 0),
            timeouts=tally.timeouts,
            refused=self.refused,
            latencies_ms=tuple(round(seconds * 1000, 2) for seconds in latencies),
            sessions=describe_all(node) if observer else (),
        )


def describe_all(node: Node) -> tuple[PeerReport, ...]:
    """A node's sessions as they stand."""
    views = {view.id: view for view in node.slots().peers}
    return tuple(describe(peer, views.get(peer.id)) for peer in node.connected)


def describe(peer: Peer, view: PeerView | None) -> PeerReport:
    """One session; `view` is None for one that is about to end."""
    explained: dict[str, Any] = {}
    if view is not None:
        explained = {
            "slots": {name: kind.value for name, kind in view.slots.items()},
            "ratings": {name: round(quantile, 3) for name, quantile in view.quantiles.items()},
            "value": round(view.marginal, 3),
            "why": view.why,
        }
    return PeerReport(
        peer=peer.id.hex(),
        client=peer.client_id,
        inbound=peer.inbound,
        transport=transport_of(peer),
        seconds=round(trio.current_time() - peer.since, 1),
        shared={capability.name: _experience(peer.conduct(type(capability))) for capability in peer.capabilities},
        **explained,
    )


def _experience(conduct: devp2p.Conduct) -> Experience:
    latency = None if conduct.latency is None else round(conduct.latency * 1000, 1)
    return Experience(conduct.useful, latency, conduct.invalid, conduct.timeouts, conduct.why)


def transport_of(peer: Peer) -> str:
    """``tcp4`` or ``tcp6``."""
    return "tcp6" if ":" in peer.address.host else "tcp4"
