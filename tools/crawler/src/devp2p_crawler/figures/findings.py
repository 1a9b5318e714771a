"""What a file of crawls says in sum: counts, times in microseconds since 1970 (UTC), and text that strangers may have written."""

from collections.abc import Mapping
from dataclasses import dataclass

from devp2p_crawler.analysis import Hint, Readiness, Survival
from devp2p_crawler.model import Kind, Outcome, Recall


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One crawl of the file."""

    id: bytes
    vantage: str
    program: str
    started: int
    ended: int | None
    """None while it runs, and for ever if it was killed."""
    updated: int
    recall: Recall | None
    found: int | None
    """Nodes of which somebody told; None if the crawl has not said."""
    alive: int
    visits: int
    packets: int | None
    """Datagrams that were sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The figures with which a report begins: of all nodes in the file."""

    found: int
    visited: int
    alive: int
    """Answered at least once."""
    hellos: int
    """Said a Hello."""
    statuses: int
    """Said which chain they have."""
    visits: int
    recall: Recall | None
    """Of the newest crawl that could tell."""
    recall_run: Run | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """How far it was at one time. `measured`, `pending`, `failed` and `queued` add up to `discovered`."""

    at: int
    discovered: int
    measured: int
    """Had answered."""
    pending: int
    """Had been asked in vain, and answered later."""
    failed: int
    """Had been asked, and never answered in this file."""
    queued: int
    """Were still to be asked for the first time, or never were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many nodes are this."""

    name: str
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """What nodes call themselves, parsed."""

    names: tuple[Share, ...]
    versions: tuple[tuple[str, str, int], ...]
    """Client, version, nodes; the most frequent ones."""
    versions_in_all: int
    systems: tuple[Share, ...]
    unparsed: int
    """Nodes."""
    unparsed_names: int
    samples: tuple[Share, ...]
    """Client names that could not be parsed, the most frequent ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The nodes that have said the same of their chain, in Status."""

    network_id: int
    genesis: bytes
    name: str | None
    """Of a network that we know."""
    nodes: int
    readiness: Mapping[Readiness, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkGroup:
    """The nodes that announce one fork id."""

    network_id: int
    name: str | None
    fork_hash: bytes
    fork_next: int
    passed: str | None
    """The latest upgrade that they have passed, if it has a name; so `announced`."""
    announced: str | None
    readiness: Readiness
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rtts:
    """Round-trip times, in microseconds: the least of each node's latest visits."""

    nodes: int
    quantiles: tuple[tuple[float, int], ...]
    """Share of nodes (0 to 1) -> no slower than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Visits by what came of them."""

    by_outcome: tuple[tuple[Outcome, int], ...]
    """Those that are failures, the most frequent first."""
    table: tuple[tuple[Kind, Outcome, int], ...]
    """All."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long sessions last, of nodes that were looked for and missed before these began."""

    curve: Survival
    """In microseconds; some of its points, if there are very many."""
    nodes: int
    one_in: int
    """Of so many nodes one was looked at, lest it take too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Which vantages have seen which nodes alive."""

    vantages: tuple[Share, ...]
    """All that each has seen."""
    shared: tuple[tuple[int, ...], ...]
    """Row and column as `vantages`: nodes that both have seen."""
    only: tuple[int, ...]
    """That no other has seen."""
    seen_by: tuple[int, ...]
    """Nodes that exactly 1, 2, ... vantages have seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The last crawl beside the one before it, in nodes that were alive."""

    before: Run
    after: Run
    stayed: int
    gone: int
    """Alive before, and silent or not found again after."""
    come: int


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """An autonomous system."""

    asn: int
    organisation: str
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where addresses are, as the user's own GeoIP file has it. Empty without one."""

    countries: tuple[Share, ...]
    systems: tuple[System, ...]
    systems_in_all: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HintCount:
    """How many nodes have a hint."""

    hint: Hint
    nodes: int
    alive: int
    """Those of them that answered at least once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """More nodes than are usual at one address, or in one network."""

    place: str
    """An address, or a network with its bits, such as "10.0.7.0/24"."""
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Node-IDs that are too near to each other for chance."""

    bits: int
    """Which all of them have in common, at their beginning."""
    first: bytes
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddities:
    """Hints that nodes are not as many as they look. They prove nothing, and nothing is left out for them."""

    hints: tuple[HintCount, ...]
    """One for each kind of hint, even if no node has it."""
    crowds: tuple[Crowd, ...]
    """The largest ones."""
    crowds_in_all: int
    clusters: tuple[Cluster, ...]
    """The largest ones."""
    clusters_in_all: int
    flagged: Mapping[bytes, tuple[Hint, ...]]
    """Each node with a hint, in the order of node-IDs."""
    alive: int
    """Of those, how many answered at least once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All of it."""

    as_of: int
    """The newest row: the latest visit, or what a crawl said of itself later."""
    since: int
    """The first sighting or visit."""
    headline: Headline
    runs: tuple[Run, ...]
    """The newest ones, newest first."""
    runs_in_all: int
    growth: tuple[Moment, ...]
    clients: Clients
    networks: tuple[Network, ...]
    networks_in_all: int
    forks: tuple[ForkGroup, ...]
    capabilities: tuple[Share, ...]
    capabilities_in_all: int
    rtts: Rtts
    errors: Errors
    lifetimes: Lifetimes | None
    """None if there is too little to tell."""
    overlap: Overlap | None
    """None if there is but one vantage."""
    oddities: Oddities
    places: Places | None
    difference: Difference | None
    """None if there is but one crawl."""
