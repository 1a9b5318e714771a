"""Half an hour in the life of a node: nothing may grow, whoever comes and whatever they send.

DEVP2P_SOAK_SECONDS makes it longer or shorter. The figures are written into build/soak.json.
"""

import json
import os
from pathlib import Path

import pytest
import trio

from tests.soak.town import SESSIONS, soak

SECONDS = float(os.environ.get("DEVP2P_SOAK_SECONDS", "1800"))
RESULTS = Path(__file__).resolve().parents[2] / "build" / "soak.json"
MOST_GROWTH = {"memory": 8 * 2**20, "files": 5, "tasks": 25, "session_objects": 10}
"""By how much each may have grown since the end of the warm-up, where it has for sure: in half an hour 9,000 links come, so this is about
1 KiB and a thousandth of a file for each."""

SETTLED = 200.0
"""Seconds after which memory counts: until then the allocator still takes pages for the most that there ever is at once."""


@pytest.mark.long
def test_p2_nothing_grows_while_peers_come_and_go():
    report = trio.run(soak, SECONDS)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report.as_json(), indent=1) + "\n", "utf-8")
    counts = report.counts
    assert counts["links"] > SECONDS
    assert counts["sessions"] >= 0.98 * counts["links"], "hardly any good link fails"
    assert counts["malformed messages"] > 0.005 * counts["messages"]
    sessions = [sample.sessions for sample in report.samples if sample.time >= report.warm_up]
    assert 0.9 * SESSIONS <= sum(sessions) / len(sessions) <= 1.2 * SESSIONS
    assert set(report.left.values()) == {0}, f"something is left: {report.left}"
    for what, slope in report.slopes().items():
        if what != "memory" or report.warm_up >= SETTLED:
            assert slope.growth <= MOST_GROWTH[what], what
