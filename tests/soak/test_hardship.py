"""A few minutes of all troubles together: output that nobody reads, a full disk, a damaged book, a clock that is set, and strangers.

DEVP2P_HARDSHIP_SECONDS makes it longer or shorter. The figures are written into build/hardship.json.
"""

import json
import os
from pathlib import Path

import pytest
import trio

from tests.soak.hardship import hardship

SECONDS = float(os.environ.get("DEVP2P_HARDSHIP_SECONDS", "180"))
RESULTS = Path(__file__).resolve().parents[2] / "build" / "hardship.json"
MOST_MEMORY = 150 * 2**20


@pytest.mark.long
def test_o1_a_node_serves_in_bad_surroundings_and_ends_when_it_is_told_to(tmp_path):
    found = trio.run(hardship, SECONDS, tmp_path)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([one.as_json() for one in found], indent=1) + "\n", "utf-8")
    refused = [one for one in found if not one.connects]
    served = [one for one in found if one.connects]
    assert len(served) == 3
    for one in refused:
        assert one.status == 1, one
        assert str(tmp_path / "book") in one.errors
        assert one.errors.count("\n") == 1, one.errors
    for one in served:
        assert not one.failures, one.name
        assert len(one.connects) > SECONDS / 3, one.name
        assert one.counts["junk links"] > SECONDS
        assert one.counts["scrapes"] > SECONDS / 4
        for version in (4, 5):
            assert one.counts[f"v{version} answered"] >= 0.9 * one.counts[f"v{version} asked"] > 0, one.counts
        assert (one.status, one.ended < 2.5) == (0, True), one.as_json()
        assert max(one.memory) < MOST_MEMORY
    disk = served[0]
    assert disk.counts["bytes free when full"] == 0
    events = [json.loads(line.lstrip("\0"))["event"] for line in disk.output.splitlines() if line.endswith("}")]
    assert "lost" in events
    assert events.index("lost") < len(events) - 1, "it goes on when there is room again"
