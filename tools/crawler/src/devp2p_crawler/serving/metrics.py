"""What was found, as metrics for Prometheus: its text format, version 0.0.4."""

from collections.abc import Iterable, Iterator
from typing import Final

from devp2p_crawler.figures import Findings

TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def metrics(findings: Findings) -> str:
    """The metrics, all of them gauges, since a file may be replaced. Clients are as many as the findings name, a hundred at most."""
    head = findings.headline
    states = (("found", head.found), ("visited", head.visited), ("alive", head.alive), ("hello", head.hellos), ("status", head.statuses))
    recall = head.recall
    bounds = () if recall is None else (("estimate", recall.estimate), ("low", recall.low), ("high", recall.high))
    lines = [
        *_family("as_of_seconds", "When the newest row was written, in seconds since 1970", [({}, findings.as_of / 1_000_000)]),
        *_family("nodes", "Nodes by what is known of them", [({"state": state}, count) for state, count in states]),
        *_family(
            "recall", "Which part of the reachable nodes was found, as estimated", [({"bound": name}, value) for name, value in bounds]
        ),
        *_family(
            "visits",
            "Visits by what came of them",
            [({"kind": kind.name.lower(), "outcome": outcome.name.lower()}, count) for kind, outcome, count in findings.errors.table],
        ),
        *_family("client_nodes", "Nodes by client", [({"client": share.name}, share.nodes) for share in findings.clients.names]),
    ]
    return "\n".join([*lines, ""])


def _family(name: str, help_: str, samples: Iterable[tuple[dict[str, str], float]]) -> Iterator[str]:
    yield f"# HELP devp2p_crawl_{name} {help_}"
    yield f"# TYPE devp2p_crawl_{name} gauge"
    for labels, value in samples:
        shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"devp2p_crawl_{name}{f'{{{shown}}}' if shown else ''} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n").replace("\r", " ")
