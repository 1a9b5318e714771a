"""What each section of the report says."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from devp2p_crawler.analysis import Readiness
from devp2p_crawler.figures import Findings, Share
from devp2p_crawler.model import Outcome
from devp2p_crawler.report import plots
from devp2p_crawler.report.hints import hints_section
from devp2p_crawler.report.numbers import NOTHING, moment, percent, ratio, span
from devp2p_crawler.report.tables import Cell, Column, Section, Table, label, left_out, number, share, strange
from devp2p_crawler.report.visible import visible

_BARS: Final = 10
_AT_RISK: Final = 10
_NODES: Final = (Column("Nodes", is_number=True, sorted="descending"), Column("Share", is_number=True))
_FAILURES: Final = {
    Outcome.SILENT: "no answer",
    Outcome.REFUSED: "connection refused",
    Outcome.UNREACHABLE: "network unreachable",
    Outcome.NO_ADDRESS: "no usable address",
    Outcome.HUNG_UP: "hung up before Hello",
    Outcome.HANDSHAKE_TIMEOUT: "handshake timed out",
    Outcome.HELLO_TIMEOUT: "Hello timed out",
    Outcome.WRONG_KEY: "another node answers",
    Outcome.BROKE_RULES: "broke the protocol",
    Outcome.OUR_FAULT: "fault on our side",
}
_ANSWERS: Final = {
    Outcome.OK: "answered",
    Outcome.TOO_MANY_PEERS: "too many peers",
    Outcome.DISCONNECTED: "disconnected us",
    Outcome.STATUS_TIMEOUT: "Status timed out",
}
_KINDS: Final = {1: "discovery v4", 2: "discovery v5", 3: "RLPx, dialled", 4: "RLPx, inbound"}
_STATES: Final = {
    Readiness.READY: "ready",
    Readiness.AHEAD: "ahead",
    Readiness.BEHIND: "syncing",
    Readiness.NOT_READY: "not ready",
    Readiness.STALE: "stale",
    Readiness.UNKNOWN: "unknown",
}


def sections(findings: Findings) -> Iterator[Section]:
    """All of them, in the order of the page."""
    for section in _SECTIONS:
        yield section(findings)


def _growth(findings: Findings) -> Section:
    moments = findings.growth
    paragraphs = [
        (
            "A node is discovered when somebody tells of it, and measured when it has answered. Pending nodes had been asked in vain and"
            " answered later; failed ones never answered; queued ones wait for their first visit."
        )
    ]
    if not moments:
        return Section("growth", "Growth", "Growth of the map", paragraphs)
    last = moments[-1]
    states = (("measured", last.measured), ("pending", last.pending), ("failed", last.failed), ("queued", last.queued))
    table = Table(
        "growth-table",
        "How it stands",
        (Column("State"), Column("Nodes", is_number=True), Column("Share", is_number=True)),
        [
            *([label(name), number(count), share(count, last.discovered)] for name, count in states),
            [label("discovered"), number(last.discovered), share(last.discovered, last.discovered)],
        ],
    )
    return Section("growth", "Growth", "Growth of the map", paragraphs, [plots.growth(moments)] if len(moments) > 1 else [], [table])


def _clients(findings: Findings) -> Section:
    found = findings.clients
    total = findings.headline.hellos
    paragraphs = [f"Of the {total:,} nodes that said a Hello, {total - found.unparsed:,} named a client in a form that is understood."]
    tables = [
        _shares("clients-table", "Clients", "Client", found.names, total),
        Table(
            "versions-table",
            "Versions",
            (Column("Client"), Column("Version"), *_NODES),
            [[strange(name), strange(version or "none"), number(nodes), share(nodes, total)] for name, version, nodes in found.versions],
            left_out(len(found.versions), found.versions_in_all, "versions"),
        ),
        _shares("systems-table", "Operating systems", "System", found.systems, total),
    ]
    bars = [plots.bars("clients", "Clients", found.names[:_BARS], total)] if found.names else []
    return Section("clients", "Clients", "Clients and versions", paragraphs, bars, [table for table in tables if table.rows])


def _unparsed(findings: Findings) -> Section:
    found = findings.clients
    table = Table(
        "unparsed-table",
        "Samples, the most frequent first",
        (Column("Client name"), *_NODES),
        [
            [strange(sample.name, is_code=True), number(sample.nodes), share(sample.nodes, findings.headline.hellos)]
            for sample in found.samples
        ],
        left_out(len(found.samples), found.unparsed_names, "different names"),
    )
    return Section(
        "unparsed",
        "Unparsed clients",
        "Client names that were not understood",
        [f"{found.unparsed:,} nodes have one of {found.unparsed_names:,} names of no known form. What is unseen is spelled out."]
        if found.unparsed
        else [],
        tables=[table] if found.samples else [],
        empty="Every client name was understood.",
    )


def _networks(findings: Findings) -> Section:
    total = findings.headline.statuses
    chains = Table(
        "networks-table",
        "Networks",
        (Column("Network"), Column("Genesis"), *_NODES),
        [
            [
                label(_chain(network.name, network.network_id)),
                Cell(network.genesis.hex()[:8], is_code=True),
                number(network.nodes),
                share(network.nodes, total),
            ]
            for network in findings.networks
        ],
        left_out(len(findings.networks), findings.networks_in_all, "networks"),
    )
    forks = Table(
        "forks-table",
        "Fork ids",
        (Column("Fork hash"), Column("Network"), Column("Passed"), Column("Announces"), Column("Readiness"), *_NODES),
        [
            [
                Cell(group.fork_hash.hex() or "none", is_code=True),
                label(_chain(group.name, group.network_id)),
                label(group.passed or NOTHING),
                label(_announced(group.fork_next, group.announced)),
                label(_STATES[group.readiness]),
                number(group.nodes),
                share(group.nodes, total),
            ]
            for group in findings.forks
        ],
        is_wide=True,
    )
    known = [network for network in findings.networks if network.name is not None][:_BARS]
    drawn = [plots.readiness(known, _STATES)] if known else []
    named = [Share(name=_chain(network.name, network.network_id), nodes=network.nodes) for network in findings.networks[:_BARS]]
    return Section(
        "networks",
        "Networks",
        "Networks and fork readiness",
        [
            (
                f"From the Status messages of {total:,} nodes. A node is ready if it announces the next upgrade of its network, or none"
                " is planned; syncing if its chain is behind and it knows what comes next for it; stale if it has missed an upgrade that is"
                " past; ahead if it has passed one, or announces one, that is not known here."
            )
        ],
        [*([plots.bars("networks", "Networks", named, total)] if named else []), *drawn],
        [chains, forks] if findings.networks else [],
        empty="No node has told its chain: that takes a Status, and a capability that is shared.",
    )


def _chain(name: str | None, network_id: int) -> str:
    return f"{name} ({network_id})" if name else f"network {network_id}"


def _announced(fork_next: int, name: str | None) -> str:
    if not fork_next:
        return "nothing"
    place = moment(fork_next * 1_000_000)[:10] if 1_438_269_973 < fork_next < 2**34 else f"block {fork_next}"
    return f"{name} ({place})" if name else place


def _capabilities(findings: Findings) -> Section:
    total = findings.headline.hellos
    table = _shares("capabilities-table", "Capabilities", "Capability", findings.capabilities, total)
    more = left_out(len(findings.capabilities), findings.capabilities_in_all, "capabilities")
    table = Table(table.name, table.caption, table.columns, table.rows, more)
    bars = [plots.bars("capabilities", "Capabilities", findings.capabilities[:_BARS], total)] if findings.capabilities else []
    paragraphs = ["What nodes offer in their Hello. A node offers several, so that the shares add up to more than 100 %."]
    return Section("capabilities", "Capabilities", "Capabilities", paragraphs, bars, [table] if table.rows else [])


def _rtts(findings: Findings) -> Section:
    found = findings.rtts
    chosen = [(quantile, time) for quantile, time in found.quantiles if quantile in {0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99}]
    table = Table(
        "rtt-table",
        "Quantiles",
        (Column("Of the nodes", sorted="ascending"), Column("answer within", is_number=True)),
        [[Cell(f"{quantile:.0%}"), Cell(span(time), time)] for quantile, time in chosen],
    )
    paragraphs = [f"Of {found.nodes:,} nodes, for each the least of its latest visits. It is a property of the path from the vantage."]
    return Section("rtt", "Round trips", "Round-trip times", paragraphs, [plots.rtts(found)] if chosen else [], [table] if chosen else [])


def _errors(findings: Findings) -> Section:
    found = findings.errors
    visits = findings.headline.visits
    failed = [(_FAILURES[outcome], count) for outcome, count in found.by_outcome]
    table = Table(
        "errors-table",
        "All visits",
        (Column("Protocol"), Column("Result"), Column("Visits", is_number=True, sorted="descending"), Column("Share", is_number=True)),
        [
            [label(_KINDS[kind]), label((_FAILURES | _ANSWERS)[outcome]), number(count), share(count, visits)]
            for kind, outcome, count in found.table
        ],
    )
    sum_failed = sum(count for _, count in failed)
    paragraphs = [
        (
            f"{sum_failed:,} of {visits:,} visits failed ({percent(sum_failed, visits)}). The plot adds up the shares (Σ), the most"
            " frequent cause first. Nodes that have no room for us, or refuse us for another reason, have answered, and are alive."
        )
    ]
    return Section("errors", "Errors", "Why visits failed", paragraphs, [plots.pareto(failed)] if failed else [], [table] if visits else [])


def _survival(findings: Findings) -> Section:
    found = findings.lifetimes
    empty = (
        "No session has been seen to begin: that takes visits to the same nodes again and again, as devp2p-crawl monitor makes them, or"
        " several crawls."
    )
    if found is None:
        return Section("survival", "Survival", "How long nodes stay", [], empty=empty)
    curve = found.curve
    ahead = [point for point in curve.points if point.at_risk >= _AT_RISK] or curve.points[:1]
    chosen = [next((point for point in curve.points if point.survival <= share), None) for share in (0.9, 0.75, 0.5, 0.25, 0.1)]
    table = Table(
        "survival-table",
        "Quantiles",
        (Column("Still open", sorted="descending"), Column("after", is_number=True), Column("At risk", is_number=True)),
        [
            [Cell(percent(round(1000 * point.survival), 1000)), Cell(span(point.time), point.time), number(point.at_risk)]
            for point in chosen
            if point
        ],
    )
    sampled = f", of one in {found.one_in} nodes" if found.one_in > 1 else ""
    paragraphs = [
        (
            f"Kaplan and Meier's estimate over {curve.observed:,} sessions of {found.nodes:,} nodes{sampled}, of which {curve.ended:,}"
            " ended. The others were still there when they were last visited. Sessions that had begun before the first visit are left"
            f" out. The band is the 95 % interval; beyond {span(ahead[-1].time)} fewer than {_AT_RISK} sessions are left to tell from."
        )
    ]
    return Section("survival", "Survival", "How long nodes stay", paragraphs, [plots.survival(found)], [table] if table.rows else [])


def _overlap(findings: Findings) -> Section:
    found = findings.overlap
    paragraphs = ["Nodes that were found alive in the newest crawl of each vantage."]
    if found is None:
        empty = "The file holds what one vantage saw; devp2p-crawl merge brings several together."
        return Section("vantages", "Vantages", "Overlap of vantages", paragraphs, empty=empty)
    columns = [
        Column("Vantage"),
        Column("Alone", is_number=True),
        *(Column(f"also {visible(vantage.name, 30)}", is_number=True) for vantage in found.vantages),
    ]
    table = Table(
        "vantages-table",
        "Seen by both",
        columns,
        [
            [strange(vantage.name), number(found.only[place]), *(number(count) for count in found.shared[place])]
            for place, vantage in enumerate(found.vantages)
        ],
        is_wide=True,
    )
    return Section("vantages", "Vantages", "Overlap of vantages", paragraphs, [plots.overlap(found)], [table])


def _places(findings: Findings) -> Section:
    found = findings.places
    empty = "No GeoIP file was given: devp2p-crawl report --geo FILE.mmdb takes one that you have."
    if found is None:
        return Section("places", "Places", "Countries and networks", [], empty=empty)
    total = findings.headline.alive
    tables = [
        _shares("countries-table", "Countries", "Country", found.countries, total),
        Table(
            "systems-as-table",
            "Autonomous systems",
            (Column("System"), Column("Organisation"), *_NODES),
            [
                [Cell(f"AS{system.asn}"), strange(system.organisation), number(system.nodes), share(system.nodes, total)]
                for system in found.systems
            ],
            left_out(len(found.systems), found.systems_in_all, "systems"),
        ),
    ]
    bars = [plots.bars("countries", "Countries", found.countries[:_BARS], total)] if found.countries else []
    paragraphs = ["Where the addresses of nodes that are alive are registered, as the given GeoIP file has it."]
    return Section("places", "Places", "Countries and networks", paragraphs, bars, [table for table in tables if table.rows])


def _runs(findings: Findings) -> Section:
    changed = findings.difference
    paragraphs, tables = list[str](), list[Table]()
    if changed is not None:
        apart = span(changed.after.started - changed.before.started)
        paragraphs.append(
            f"The last two crawls from {visible(changed.after.vantage, 40)} began {apart} apart. Of {changed.before.alive:,} nodes that"
            f" were alive in the first, {changed.stayed:,} were so in the second ({percent(changed.stayed, changed.before.alive)})."
        )
        rows = (("alive in both", changed.stayed), ("gone", changed.gone), ("new", changed.come))
        whole = changed.stayed + changed.gone + changed.come
        tables.append(
            Table(
                "difference-table",
                "From the last crawl but one to the last",
                (Column("Nodes that are"), Column("Nodes", is_number=True), Column("Share", is_number=True)),
                [[label(name), number(count), share(count, whole)] for name, count in rows],
            )
        )
    tables.append(
        Table(
            "runs-table",
            "Crawls",
            (
                Column("Began", sorted="descending"),
                Column("Vantage"),
                Column("Took", is_number=True),
                Column("Found", is_number=True),
                Column("Alive", is_number=True),
                Column("Visits", is_number=True),
                Column("Recall", is_number=True),
                Column("Program"),
            ),
            [
                [
                    Cell(moment(run.started)),
                    strange(run.vantage),
                    Cell(span(took := (run.ended or run.updated) - run.started) + ("" if run.ended else ", not ended"), took),
                    number(run.found) if run.found is not None else Cell(NOTHING, -1),
                    number(run.alive),
                    number(run.visits),
                    Cell(ratio(run.recall.estimate), run.recall.estimate) if run.recall else Cell(NOTHING, -1),
                    strange(run.program),
                ]
                for run in findings.runs
            ],
            left_out(len(findings.runs), findings.runs_in_all, "crawls"),
            is_wide=True,
        )
    )
    return Section("runs", "Crawls", "From crawl to crawl", paragraphs, tables=tables if findings.runs else [])


def _shares(name: str, caption: str, what: str, rows: Sequence[Share], total: int) -> Table:
    return Table(name, caption, (Column(what), *_NODES), [[strange(row.name), number(row.nodes), share(row.nodes, total)] for row in rows])


_SECTIONS: Final[tuple[Callable[[Findings], Section], ...]] = (
    _growth,
    _clients,
    _networks,
    _capabilities,
    _rtts,
    _errors,
    _survival,
    _overlap,
    _places,
    _runs,
    hints_section,
    _unparsed,
)
