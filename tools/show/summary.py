"""The whole run as one JSON object, and in words (pure)."""

from collections import Counter

from tools.show.board import Board, NodeState
from tools.show.changes import by_nature
from tools.show.meters import mean, percentile
from tools.show.plan import Nature
from tools.show.reports import Event

NO_GO = "left out (--no-go)"


def summary_of(board: Board, now: float) -> Event:
    """The sum of a run that has ended."""
    observers = board.observers
    reports = [node.report for node in board.nodes.values()]
    seen = [node.report for node in observers]
    seconds = now - (board.show_began if board.show_began is not None else now)
    met = [node.met - board.began for node in board.ours if node.met is not None]
    found = sum((Counter(report.found) for report in reports), Counter[str]())
    bulk_bytes = sum(report.bulk_bytes for report in seen)
    p50, p99 = (percentile(board.latencies_ms, percent) for percent in (50, 99))
    last = board.history[-1] if board.history else None
    return {
        "event": "summary",
        "seed": board.seed,
        "pace": board.pace,
        "nodes": len(board.ours),
        "connected": board.connected,
        "connected_within_s": round(max(met), 1) if met else None,
        "bootnodes": 1,
        "found_by": {source: found[source] for source in sorted(found) if found[source]},
        "dials": sum(report.dials for report in reports),
        "failed_dials": sum(report.failed_dials for report in reports),
        "tables": tables_of(board),
        "datagrams": sum(report.datagrams for report in reports),
        "sessions": board.sessions,
        "drops": dict(board.drops.most_common()),
        "steering": board.changes.summary(),
        "service_share_of_best": round(last.share, 3) if last is not None else None,
        "service_share_mean": round(mean([sample.share for sample in board.history]), 3) if last is not None else None,
        "service_share_of_chance": round(mean([board.chance(node) for node in observers]), 3),
        "hostile_in_slots": last.places[Nature.HOSTILE] if last is not None else 0,
        "places": sum(node.plan.places for node in observers),
        "places_by_nature": {str(nature): count for nature, count in last.places.items()} if last is not None else {},
        "observers": [_observer(board, node) for node in observers],
        "bytes": board.total_bytes,
        "bulk": {
            "requests": sum(report.bulk_requests for report in seen),
            "bytes": bulk_bytes,
            "mb_per_s": round(bulk_bytes / 1e6 / seconds, 2) if seconds > 0 else 0.0,
        },
        "echo": {"answers": sum(report.echo_answers for report in seen)},
        "latency_ms": {"p50": p50, "p99": p99},
        "news": {"first": sum(report.news_first for report in seen), "again": sum(report.news_again for report in seen)},
        "wrong": sum(report.wrong for report in seen),
        "timeouts": sum(report.timeouts for report in seen),
        "go_ethereum": True if board.go_joined else board.go or False,
        "errors": board.errors,
        "problems": board.problems,
        "seconds": round(seconds, 1),
        "crawl": None,
        "plots": [],
        "notes": [],
    }


def tables_of(board: Board) -> Event:
    """How many nodes a node knows, on average."""
    v4, v5 = board.tables
    return {"v4": round(v4, 1), "v5": round(v5, 1)}


def _observer(board: Board, node: NodeState) -> Event:
    """One observer's line of the table."""
    shares = [sample.shares.get(node.plan.name, 0.0) for sample in board.history]
    natures = Counter(str(peer.nature) for peer in board.peers_of(node))
    report = node.report
    return {
        "name": node.plan.name,
        "places": node.plan.places,
        "peers": {str(nature): natures[nature] for nature in Nature},
        "service_share_of_best": round(shares[-1], 3) if shares else None,
        "service_share_mean": round(mean(shares), 3) if shares else None,
        "hostile_in_slots": natures[Nature.HOSTILE],
        "bulk_bytes": report.bulk_bytes,
        "echo_answers": report.echo_answers,
        "news_first": report.news_first,
        "wrong": report.wrong,
        "timeouts": report.timeouts,
        "changes": node.changes,
        "drops": node.drops,
    }


def summary_rows(summary: Event) -> list[tuple[str, str]]:
    """The sum in words, as (what, how much)."""
    bulk, latency, news, tables = summary["bulk"], summary["latency_ms"], summary["news"], summary["tables"]
    go = summary["go_ethereum"]
    also = " and go-ethereum's" if go is True else ""
    within = summary["connected_within_s"]
    sources = ", ".join(f"{count} by {source}" for source, count in summary["found_by"].items()) or "nothing"
    round_trip = "none" if latency["p50"] is None else f"half within {latency['p50']:.1f} ms, 99 % within {latency['p99']:.0f} ms"
    return [
        ("plan", f"--seed {summary['seed']}, {summary['seconds']:g} s watched, {usual_time(summary['seconds'], summary['pace'])}"),
        (
            "nodes",
            f"{summary['connected']} of {summary['nodes']} connected from one bootnode by discovery alone"
            + (f", the last after {within:g} s" if within is not None else ""),
        ),
        ("discovery", f"nodes named: {sources}; tables hold {tables['v4']:g} (v4) and {tables['v5']:g} (v5)"),
        ("datagrams", f"{summary['datagrams']:,}"),
        ("dials", f"{summary['dials']:,}, of which {summary['failed_dials']:,} found no place or nobody"),
        ("service", service_line(summary)),
        ("hostile", f"{summary['hostile_in_slots']} of {summary['places']} places at the end"),
        ("steering", steering_line(summary)),
        ("places", f"lost by {by_nature(summary['steering']['left'])}; given instead to {by_nature(summary['steering']['came'])}"),
        ("drops", ", ".join(f"{count} × {reason}" for reason, count in summary["drops"].items()) or "none"),  # noqa: RUF001  (times)
        ("bulk data", f"{bulk['bytes'] / 1e6:,.1f} MB in {bulk['requests']:,} requests, {bulk['mb_per_s']:g} MB/s"),
        ("echo", f"{summary['echo']['answers']:,} answers, {round_trip}"),
        ("news", f"{news['first']:,} read, {news['again']:,} heard again"),
        ("not as it should", f"{summary['wrong']:,} wrong or forged, {summary['timeouts']:,} not answered"),
        ("on the wire", f"{summary['bytes'] / 1e6:,.1f} MB"),
        ("go-ethereum", f"took part{also and ', found by discovery'}" if go is True else str(go or NO_GO)),
        ("errors", str(summary["errors"])),
        *(("", problem) for problem in summary["problems"]),
        *((("crawl", summary["crawl"]["line"]), ("report", summary["crawl"]["report"])) if summary["crawl"] else ()),
        *(("plot", path) for path in summary["plots"]),
        *(("note", note) for note in summary["notes"]),
    ]


def service_line(summary: Event) -> str:
    """How good the observers' peers are."""
    share, over_time, chance = (summary[f"service_share_{which}"] for which in ("of_best", "mean", "of_chance"))
    if share is None:
        return "nothing was measured"
    return f"{share:.0%} of the best at the end, {over_time:.0%} on average; peers taken at random give {chance:.0%}"


def usual_time(seconds: float, pace: float) -> str:
    """How long a time would be if peers were judged as fast as usual."""
    usual = seconds * pace
    in_words = f"{usual / 3600:.1f} h" if usual >= 3600 else f"{usual / 60:.0f} min"
    return f"pace {pace:g}: as much steering as in {in_words} at the usual one"


def steering_line(summary: Event) -> str:
    """What the observers' nodes have decided."""
    did = summary["steering"]
    return (
        f"{did['swaps']} swaps of {did['swaps_tried']} tried, {did['grafts']} grafts, {did['made_room']} made room; "
        f"{did['drops']} dropped for bad conduct, {did['evictions']} evicted, {did['refusals']:,} refused"
    )


def summary_lines(summary: Event) -> list[str]:
    """The same as lines of text, with a line for each observer."""
    observers = [
        f"{'':16} {one['name']:5} {one['service_share_of_best'] or 0:4.0%}  "
        + ", ".join(f"{count} {nature}" for nature, count in one["peers"].items() if count)
        for one in summary["observers"]
    ]
    lines = [f"{what:16} {much}" for what, much in summary_rows(summary)]
    at = next(index for index, line in enumerate(lines) if line.startswith("hostile"))
    return [*lines[:at], *observers, *lines[at:]]
