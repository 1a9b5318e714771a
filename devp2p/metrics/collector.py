"""The metrics of a node, as families of Prometheus's client library.

Names follow Prometheus's conventions: a unit in plural, ``_total`` for what only grows. Each metric is one number, or one for each
*label*, and whoever scrapes keeps a time series of each for weeks. So a label is never anything that a stranger can choose, and never
a peer: identities cost nothing, and a node meets thousands in a day. Labels are our own capabilities' names, and words out of lists that
stand in the source. Of ratings, which are a peer's, the least, the median and the greatest are exposed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from devp2p.arguments import require
from devp2p.capability import Backlog
from devp2p.metrics.families import counter, gauge
from devp2p.metrics.tally import BEGINNINGS, DECISIONS, DIRECTIONS, LOSSES, PROTOCOLS, Tally, protocol_of
from devp2p.node import Node, NodeStatistics
from devp2p.peers.slots import SlotClass, SlotsView
from devp2p.trust import Trust
from devp2p.version import __version__

if TYPE_CHECKING:  # a node without discovery does not import it
    from devp2p.discovery import Discovery
    from devp2p.discovery.table import TableStatistics

LANES = ("urgent", "normal", "bulk")
_FRAME = 16 * 1024  # bytes


class NodeCollector(Collector):
    """Exposes the metrics of a running node. To be asked in the node's own thread, since nothing there is locked.

    Sessions, traffic and decisions are counted from when it is made; make it when the node is opened.
    """

    def __init__(self, node: Node) -> None:
        require(node, Node, "what is measured is a Node, as open_node gives it")
        self._node = node
        self._names = tuple(dict.fromkeys(capability.name for capability in node.capabilities))
        self._tally = Tally(node.connected)
        node.roster.attach(self._tally)

    def collect(self) -> Iterator[Metric]:
        """All families, each with a sample for each of its labels, whether or not it is zero."""
        yield gauge("devp2p_build_info", "The version of the library that runs.", {(__version__,): 1}, "version")
        view, counts = self._node.slots(), self._node.statistics
        yield from self._traffic()
        yield from self._queues()
        yield from self._ratings(view, counts)
        yield from self._slots(view)
        yield from self._churn(counts)
        yield from self._profiles()
        yield from self._links(counts)
        if self._node.discovery is not None:
            yield from _discovery(self._node.discovery)

    def _traffic(self) -> Iterator[Metric]:
        found = self._tally.traffic(self._node.connected)
        sums = {name: found[name] for name in self._names if name in found}
        messages = {key: 0.0 for name in self._names for key in ((name, "in"), (name, "out"))}
        size = dict(messages)
        for name, one in sums.items():
            messages[name, "in"], messages[name, "out"] = one.messages_in, one.messages_out
            size[name, "in"], size[name, "out"] = one.bytes_in, one.bytes_out
        yield counter("devp2p_messages_total", "Messages of capabilities.", messages, "capability", "direction")
        text = "Bytes of these on the wire: whole frames, compressed, padded, with header and MACs."
        yield counter("devp2p_wire_bytes_total", text, size, "capability", "direction")
        counts = self._node.statistics
        padding = {("in",): counts.padding_in, ("out",): counts.padding_out}
        yield counter("devp2p_padding_bytes_total", "Bytes of padding and cover in sessions that are shaped.", padding, "direction")
        caps = {(name, "in"): rate for name, rate in counts.download_caps.items()}
        caps |= {(name, "out"): rate for name, rate in counts.upload_caps.items()}
        waits = {(name, "in"): seconds for name, seconds in counts.download_waits.items()}
        waits |= {(name, "out"): seconds for name, seconds in counts.upload_waits.items()}
        text = "Bandwidth caps; that of the whole node names no capability."
        yield gauge("devp2p_bandwidth_cap_bytes_per_second", text, caps, "capability", "direction")
        text = "Seconds in which somebody had to wait for a cap."
        yield counter("devp2p_bandwidth_cap_waits_seconds_total", text, waits, "capability", "direction")

    def _queues(self) -> Iterator[Metric]:
        waiting: dict[str, list[Backlog]] = {name: [] for name in self._names}
        for peer in self._node.connected:
            for capability in peer.active:
                waiting[capability.name].append(peer.backlog(type(capability)))
        messages, size, largest = dict[tuple[str, ...], float](), dict[tuple[str, ...], float](), dict[tuple[str, ...], float]()
        for name, backlogs in waiting.items():
            for queue, counts in (
                ("inbox", [(one.unread_messages, one.unread_bytes) for one in backlogs]),
                ("outbox", [(one.unsent_messages, one.unsent_bytes) for one in backlogs]),
            ):
                messages[name, queue] = sum(count for count, _ in counts)
                size[name, queue] = sum(count for _, count in counts)
                largest[name, queue] = max((count for _, count in counts), default=0)
        labels = ("capability", "queue")
        yield gauge("devp2p_queue_messages", "Messages that wait to be read by capabilities, or to be sent.", messages, *labels)
        yield gauge("devp2p_queue_bytes", "Bytes of these.", size, *labels)
        yield gauge("devp2p_queue_largest_bytes", "Bytes that wait in the fullest queue of one peer.", largest, *labels)
        yield from _unsent(waiting)

    def _ratings(self, view: SlotsView, counts: NodeStatistics) -> Iterator[Metric]:
        found: dict[tuple[str, ...], float] = {}
        for name in self._names:
            rated = [peer.ratings[name] for peer in view.peers if name in peer.ratings]
            if rated:
                found.update({(name, "min"): min(rated), (name, "median"): median(rated), (name, "max"): max(rated)})
        yield gauge("devp2p_peer_rating", "Ratings of the connected peers; none where nobody is rated.", found, "capability", "statistic")
        population = {(name,): counts.rated[name] for name in self._names}
        yield gauge("devp2p_rated_peers", "Peers that others are compared with, connected now or within a day.", population, "capability")
        yield gauge("devp2p_remembered_peers", "Peers whose conduct is remembered.", {(): counts.remembered})

    def _slots(self, view: SlotsView) -> Iterator[Metric]:
        wanted = {(one.spec.name,): one.spec.slots for one in view.capabilities}
        filled = {(one.spec.name, kind.value): one.filled.get(kind, 0) for one in view.capabilities for kind in SlotClass}
        sharing = {(one.spec.name,): one.peers for one in view.capabilities}
        yield gauge("devp2p_slots_wanted", "Slots of capabilities.", wanted, "capability")
        yield gauge("devp2p_slots_filled", "Slots that have a peer, by what they are for.", filled, "capability", "slot")
        yield gauge("devp2p_capability_peers", "Peers that share a capability, with a slot or without.", sharing, "capability")
        yield gauge("devp2p_places", "Places for peers.", {(): view.budget})
        taken = {("dialled",): view.dialled, ("inbound",): view.inbound, ("outside",): view.outside}
        yield gauge("devp2p_places_taken", "Peers by what place they have; static and trusted ones are outside.", taken, "kind")
        yield gauge("devp2p_pace_ratio", "How many times faster than usual peers are rated and replaced.", {(): self._node.pace})

    def _churn(self, counts: NodeStatistics) -> Iterator[Metric]:
        tally = self._tally
        sessions = {("inbound",): counts.inbound, ("outbound",): counts.outbound}
        opened = {(direction,): tally.opened[direction] for direction in DIRECTIONS}
        decisions = {(kind,): tally.decisions[kind] for kind in DECISIONS}
        yield gauge("devp2p_sessions", "Sessions.", sessions, "direction")
        yield counter("devp2p_sessions_opened_total", "Sessions that have begun.", opened, "direction")
        yield counter("devp2p_sessions_ended_total", "Sessions that are over.", tally.ended, "ended_by", "reason")
        yield counter("devp2p_decisions_total", "What was decided about peers.", decisions, "kind")

    def _profiles(self) -> Iterator[Metric]:
        now = {(protocol, trust.value): 0 for protocol in PROTOCOLS for trust in Trust}
        for peer in self._node.connected:
            now[protocol_of(peer), peer.trust.value] += 1
        begun = {(protocol, mode): self._tally.begun[protocol, mode] for protocol, mode in BEGINNINGS}
        yield gauge("devp2p_sessions_by_profile", "Sessions, by what they speak and how the peer is trusted.", now, "protocol", "trust")
        yield counter("devp2p_sessions_begun_total", "Sessions that have begun, by how they did so.", begun, "protocol", "mode")
        removed = {(why,): self._tally.distrusted[why] for why in sorted(set(LOSSES.values()))}
        yield counter("devp2p_trust_removed_total", "Sessions in which a node that was known is a stranger.", removed, "reason")

    def _links(self, counts: NodeStatistics) -> Iterator[Metric]:
        failures = {(kind.replace(" ", "_"),): count for kind, count in counts.dial_failures.items()}
        not_dialled = {(why,): count for why, count in counts.not_dialled.items()}
        turned_away = {(why,): count for why, count in counts.turned_away.items()}
        yield gauge("devp2p_handshakes_pending", "Accepted links that are not sessions yet.", {(): counts.handshakes})
        yield counter("devp2p_links_refused_total", "Accepted links that did not become sessions.", {(): self._tally.refused})
        yield gauge("devp2p_dials_pending", "Dials under way.", {(): counts.dialling})
        yield counter("devp2p_dials_total", "Dials.", {(): counts.dials})
        yield counter("devp2p_dial_failures_total", "Dials that led to no session.", failures, "kind")
        yield gauge("devp2p_candidates", "Nodes that could be dialled some day.", {(): counts.candidates})
        text = "Those of them that are not to be dialled at the moment, by why."
        yield gauge("devp2p_candidates_not_dialled", text, not_dialled, "reason")
        text = "How often a node was named that can be no candidate, by why."
        yield counter("devp2p_candidates_turned_away_total", text, turned_away, "reason")
        yield gauge("devp2p_bans", "Nodes that are not let in.", {(): counts.bans})


def _unsent(waiting: Mapping[str, Sequence[Backlog]]) -> Iterator[Metric]:
    """What waits to be sent, and how much of it peers take."""
    lanes = {(name, lane): sum(one.unsent_by_lane[at] for one in found) for name, found in waiting.items() for at, lane in enumerate(LANES)}
    given = {(name,): [one.credit for one in found if one.credit is not None] for name, found in waiting.items()}
    held_up = {(name,): sum(one.credit is not None and one.credit < _FRAME for one in found) for name, found in waiting.items()}
    yield gauge("devp2p_unsent_messages", "Messages that wait to be sent, by how they do.", lanes, "capability", "lane")
    text = "The least that a peer takes of a capability at the moment; none where no session has credit."
    yield gauge("devp2p_credit_least_bytes", text, {name: min(credit) for name, credit in given.items() if credit}, "capability")
    text = "Peers that take less than a frame of a capability until they have read what they have."
    yield gauge("devp2p_credit_exhausted_peers", text, held_up, "capability")


def _discovery(discovery: "Discovery") -> Iterator[Metric]:
    counts = discovery.statistics
    for name, text, count in (
        ("received", "Datagrams of discovery.", counts.received),
        ("sent", "Datagrams of discovery.", counts.sent),
        ("unsent", "Datagrams that the system did not take.", counts.not_sent),
        ("unhandled", "Datagrams received that were of neither protocol.", counts.unhandled),
    ):
        yield counter(f"devp2p_discovery_datagrams_{name}_total", text, {(): count})

    def of_each(read: "Callable[[TableStatistics], float]") -> dict[tuple[str], float]:
        return {(f"v{version}",): read(table) for version, table in counts.tables.items()}

    yield gauge("devp2p_discovery_table_nodes", "Nodes in the table.", of_each(lambda table: table.entries), "version")
    yield gauge("devp2p_discovery_table_live_nodes", "Those that have answered.", of_each(lambda table: table.live), "version")
    yield gauge("devp2p_discovery_table_waiting_nodes", "Nodes that would take a place.", of_each(lambda table: table.waiting), "version")
    text = "Nodes that did not get in because of their network."
    yield counter("devp2p_discovery_table_refused_total", text, of_each(lambda table: table.refused), "version")
    found = {(source,): count for source, count in counts.candidates.items()}
    yield counter("devp2p_discovery_candidates_total", "Nodes that were news to whoever wants candidates.", found, "source")
