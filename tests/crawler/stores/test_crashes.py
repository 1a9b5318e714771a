"""What a process wrote is there when it is killed: nothing that was committed is lost, no visit is there twice."""

import json
import random
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from devp2p_crawler.stores import SqliteStore

from tests.crawler import rows
from tests.crawler.stores.test_merging import everything

ROOT = Path(__file__).resolve().parents[3]


def killed(path: Path, kills: int) -> None:
    seed = random.randrange(2**32)
    command = [sys.executable, "-m", "tests.crawler.crashes", str(path), "--seed", str(seed), "--kills", str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == kills
    worst = max(found, key=lambda kill: kill["in_flight"] - kill["starved"])
    sys.stdout.write(f"seed {seed}: at most {max(kill['in_flight'] for kill in found):.3f} s were in flight; {worst}\n")
    for kill in found:  # a machine that lets a process wait for seconds lets its writer wait, too
        assert kill["in_flight"] < 1 + kill["starved"], f"seed {seed}: {kill}"
    with SqliteStore.create_or_open(path.with_name("whole.db")) as store:
        for batch in islice(rows.stream(seed), found[-1]["kept"] + 50):
            store.write(batch)
    assert everything(path) == everything(path.with_name("whole.db"))


def test_a_writer_that_is_killed_and_resumed_loses_nothing(tmp_path):
    killed(tmp_path / "crawl.db", 2)


@pytest.mark.simulation
def test_a_writer_that_is_killed_at_fifty_moments_loses_nothing(tmp_path):
    killed(tmp_path / "crawl.db", 50)
