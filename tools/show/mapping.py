"""The last act: the network of the show is crawled by ``devp2p-crawl``, as a stranger would do it, and a report is made of that."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import trio

from tools.show.children import ROOT
from tools.show.reports import Event

SECONDS = 15.0
"""The most that a crawl takes; a little network is done sooner."""
_PATIENCE = 30.0  # seconds that either program may take beyond that


class NoMapError(Exception):
    """There is no crawl, or no report; the text says why."""


@dataclass(frozen=True, slots=True)
class Map:
    """What came of it."""

    summary: Event
    """The crawl's, as its last line is."""
    report: Path

    @property
    def line(self) -> str:
        """In words."""
        found, alive, hellos = (self.summary.get(name) for name in ("found", "alive", "hellos"))
        recall = self.summary.get("recall_estimate")
        share = f", {recall:.1%} of those in reach by its own estimate".replace("%", " %") if isinstance(recall, float) else ""
        return f"{found} nodes found in {self.summary.get('seconds', 0):.0f} s, {alive} answered, {hellos} said who they are{share}"


async def crawl(bootnode: str, directory: Path) -> Map:
    """Crawl the network that a bootnode is in; NoMapError if that does not work. Cancelled, it leaves no process behind."""
    if find_spec("devp2p_crawler") is None:
        raise NoMapError("no crawl: the crawler is not installed (pip install ./tools/crawler[report])")
    db, report = _room(directory)
    lines = await _run("crawl", "--db", str(db), "--bootnode", bootnode, "--one-machine", "--for", f"{SECONDS:g}", "--json")
    summary: Event = json.loads(lines[-1]) if lines else {}
    if not summary.get("alive"):
        raise NoMapError(f"the crawl found nobody: {'; '.join(summary.get('why_nothing', []))}")
    await _run("report", "--db", str(db), "--title", "The network of the show", str(report.absolute()))
    return Map(summary, report)


def _room(directory: Path) -> tuple[Path, Path]:
    """Where the database and the report go; those of another run are removed."""
    db = (directory / "network.db").absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for old in (db, Path(f"{db}-wal"), Path(f"{db}-shm")):
            old.unlink(missing_ok=True)
    except OSError as error:
        raise NoMapError(f"no crawl: {error}") from None
    return db, directory / "network.html"


async def _run(*arguments: str) -> Sequence[str]:
    """What a command of the crawler prints; NoMapError if it fails, with its own words."""
    command = [sys.executable, "-m", "devp2p_crawler", *arguments]
    try:
        with trio.fail_after(SECONDS + _PATIENCE):
            ended = await trio.run_process(
                command,
                stdin=subprocess.DEVNULL,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                cwd=ROOT,
                start_new_session=True,  # so that Ctrl-C reaches the parent alone
            )
    except trio.TooSlowError:
        raise NoMapError(f"devp2p-crawl {arguments[0]} took too long") from None
    except OSError as error:
        raise NoMapError(f"devp2p-crawl {arguments[0]} did not start: {error}") from None
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().splitlines() or [f"it ended with status {ended.returncode}"]
        raise NoMapError(f"devp2p-crawl {arguments[0]}: {said[-1].removeprefix('devp2p-crawl: ')}")
    return ended.stdout.decode(errors="replace").splitlines()
