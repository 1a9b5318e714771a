"""The figures of a crawl for Prometheus: the extra ``devp2p-crawler[metrics]``. Nothing imports this but `exposure`.

Each metric is one number, or one for each *label*, and whoever scrapes keeps a time series of each for weeks. So names that strangers
choose, as those of clients, are labels only up to `MOST`: who comes first has one for as long as the crawl runs, and all later ones are
counted together, as "other".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from devp2p.metrics import counter, gauge
from devp2p_crawler import __version__
from devp2p_crawler.model import RTT_BOUNDS, Snapshot
from devp2p_crawler.screen.words import inert

MOST: Final = 200
"""Values of one label."""
_OTHER: Final = "other"
_LONGEST: Final = 64  # characters of a name


class CrawlCollector(Collector):
    """Exposes what a crawl tells of itself. To be asked in the crawl's own thread."""

    def __init__(self, snapshot: Callable[[], Snapshot], vantage: str) -> None:
        self._snapshot = snapshot
        self._vantage = vantage
        self._clients = Labels()
        self._networks = Labels()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        now = self._snapshot()
        yield gauge("crawler_build_info", "The version, and from where.", {(__version__, self._vantage): 1}, "version", "vantage")
        yield from self._nodes(now)
        yield from _work(now)
        yield from _health(now)
        clients = {(name,): count for name, count in self._clients.bounded(now.clients).items()}
        yield gauge("crawler_client_nodes", "Nodes by client, as they call themselves.", clients, "client")
        networks = {(name,): count for name, count in self._networks.bounded({str(one): n for one, n in now.networks.items()}).items()}
        yield gauge("crawler_network_nodes", "Nodes by network id.", networks, "network")

    def _nodes(self, now: Snapshot) -> Iterator[Metric]:
        states = {
            "found": now.found,
            "alive": now.alive,
            "dialled": now.dialled,
            "hello": now.hellos,
            "inbound": now.inbound,
            "failed": now.failed,
        }
        yield gauge("crawler_nodes", "Nodes, by what has come of them in this crawl.", _keyed(states), "state")
        yield gauge("crawler_skipped_nodes", "Nodes that are not visited, by why.", _keyed(now.skipped), "reason")
        recall = {} if now.recall is None else {"estimate": now.recall.estimate, "low": now.recall.low, "high": now.recall.high}
        text = "The share of nodes in reach that was found, as two samples tell, with its 95 % interval; none while that is unknown."
        yield gauge("crawler_recall_estimate", text, _keyed(recall), "bound")


class Labels:
    """Which names are labels; a name that is one remains one."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most - 1  # and the one for all others
        self._known: dict[str, None] = {}

    def bounded(self, counts: Mapping[str, int]) -> dict[str, int]:
        """The counts by labels: all that there ever were, and the others together."""
        found = dict.fromkeys(self._known, 0)
        other = 0
        for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])):
            label = inert(name, _LONGEST)
            if label not in self._known:
                if len(self._known) >= self._most or label == _OTHER:
                    other += count
                    continue
                self._known[label] = None
            found[label] = found.get(label, 0) + count
        return {**found, _OTHER: other}


def _work(now: Snapshot) -> Iterator[Metric]:
    visits = {(kind, result): count for kind, results in now.visits.items() for result, count in results.items()}
    yield counter("crawler_visits_total", "Visits, by how and by what came of them.", visits, "kind", "result")
    frontier = {"due": now.queued, "waiting": now.waiting, "in_flight": now.in_flight}
    yield gauge("crawler_frontier", "Nodes that are to be visited, now or later, and that are being visited.", _keyed(frontier), "state")
    yield gauge("crawler_inflight", "Visits under way.", {(): now.in_flight})
    yield gauge("crawler_concurrency", "Visits that may be under way at a time; it adapts itself.", {(): now.concurrency})
    datagrams = {"out": now.packets_sent, "in": now.packets_received}
    yield counter("crawler_datagrams_total", "Datagrams.", _keyed(datagrams), "direction")
    rtts = HistogramMetricFamily("crawler_rtt_seconds", "Round trips of visits, by how.", labels=("kind",))
    for kind, counts in now.rtts.items():
        total, buckets = 0, list[tuple[str, float]]()
        for bound, count in zip((*map(str, RTT_BOUNDS), "+Inf"), counts, strict=True):
            total += count
            buckets.append((bound, total))
        rtts.add_metric([kind], buckets, _sum_of(counts))
    yield rtts


def _sum_of(counts: Iterable[int]) -> float:
    """About the sum of round trips of which only the classes are known: each counts as the middle of its class."""
    ends = (0.0, *RTT_BOUNDS, RTT_BOUNDS[-1])
    return sum(count * (low + high) / 2 for count, low, high in zip(counts, ends, ends[1:], strict=False))


def _health(now: Snapshot) -> Iterator[Metric]:
    yield gauge("crawler_elapsed_seconds", "For how long this crawl has run.", {(): now.elapsed})
    left = {} if now.left is None else {(): now.left}
    yield gauge("crawler_left_seconds", "How long it will still take, as it goes now; none where that is unknown.", left)
    yield gauge("crawler_loop_lag_seconds", "By how much a timer was late of late.", {(): now.loop_lag})
    yield gauge("crawler_db_lag_seconds", "For how long the oldest row that is not written yet has waited.", {(): now.write_lag})
    yield gauge("crawler_db_waiting_rows", "Rows that wait to be written.", {(): now.spooled})
    yield counter("crawler_db_lost_rows_total", "Rows that had to be left out, or could not be written.", {(): now.lost})
    yield gauge("crawler_memory_bytes", "What the process holds.", {(): now.memory})
    text = "Whether nothing has been heard for ten seconds; the screen, and the lines of --json, say why."
    yield gauge("crawler_silent", text, {(): float(now.silence is not None)})


def _keyed(counts: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    return {(name,): count for name, count in counts.items()}
