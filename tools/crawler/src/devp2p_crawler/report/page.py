"""The page, put together. Its Content-Security-Policy names the hashes of its one script and its one sheet; nothing else can act."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from typing import Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from devp2p_crawler import __version__
from devp2p_crawler.figures import Findings
from devp2p_crawler.report.numbers import NOTHING, moment, percent, ratio
from devp2p_crawler.report.sections import sections
from devp2p_crawler.report.visible import visible

MOST_BYTES: Final = 3_000_000
"""How large a report may be."""


@dataclass(frozen=True, slots=True)
class _Card:
    name: str
    figure: str
    note: str


def render(findings: Findings, *, written: int, title: str = "Map of a devp2p network") -> str:
    """The report as one HTML file, at most `MOST_BYTES` of UTF-8. `written`: the time, in microseconds since 1970."""
    style, script = (files("devp2p_crawler.report").joinpath("templates", name).read_text("utf-8") for name in ("report.css", "report.js"))
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string(files("devp2p_crawler.report").joinpath("templates", "report.html").read_text("utf-8"))
    return template.render(
        policy=policy(style, script),
        style=Markup(style),  # noqa: S704  (files of ours)
        script=Markup(script),  # noqa: S704
        program=f"devp2p-crawl {__version__}",
        title=visible(title, 120),
        lead=_lead(findings),
        cards=list(_cards(findings)),
        sections=list(sections(findings)),
        since=moment(findings.since),
        since_iso=_iso(findings.since),
        as_of=moment(findings.as_of),
        as_of_iso=_iso(findings.as_of),
        written=moment(written),
        written_iso=_iso(written),
    )


def policy(style: str, script: str) -> str:
    """A Content-Security-Policy by which a page has this style sheet and this script, and nothing else acts in it or is loaded by it."""
    allowed = "; ".join(f"{what}-src '{_hash(text)}'" for what, text in (("style", style), ("script", script)))
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _iso(microseconds: int) -> str:
    try:
        return datetime.fromtimestamp(microseconds // 1_000_000, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""


def _lead(findings: Findings) -> str:
    vantages = len({run.vantage for run in findings.runs})
    return f"{findings.runs_in_all:,} crawl{'s' * (findings.runs_in_all != 1)} from {vantages} vantage{'s' * (vantages != 1)}"


def _cards(findings: Findings) -> Iterator[_Card]:
    head = findings.headline
    yield _Card("Nodes found", f"{head.found:,}", f"{head.visited:,} of them were visited")
    yield _Card("Alive", f"{head.alive:,}", f"answered at least once: {percent(head.alive, head.visited)} of those visited")
    if head.recall is not None and head.recall_run is not None:
        note = f"of what can be reached; 95 % interval {ratio(head.recall.low)} to {ratio(head.recall.high)}"
        yield _Card("Recall, estimated", ratio(head.recall.estimate), note)
    else:
        yield _Card("Recall, estimated", NOTHING, "no crawl has had enough to tell it from")
    yield _Card("Said a Hello", f"{head.hellos:,}", f"{head.statuses:,} of them told their chain")
    yield _Card("Visits", f"{head.visits:,}", "each with its time and its result")
