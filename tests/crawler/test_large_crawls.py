"""Whole crawls of large simulated networks with everything hostile in them: who is found, how soon, and that nobody is bothered.

Each run in which the simulator could not keep up is void, and says so: it then tells nothing of the crawler.
"""

import json
import sys
from pathlib import Path

import pytest
import trio

from tools.bench.report import machine
from tools.crawler.compare import crawl, ours, parse, table
from tools.crawler.simulated import running

pytestmark = pytest.mark.real_clock

ALMOST_ALL = 0.995
MOST_MEGABYTES = 300


@pytest.mark.simulation
async def test_two_thousand_nodes_are_found_and_called_and_no_victim_is_bothered(tmp_path: Path):
    """Both versions and calls at once; tar-pits, bombs and liars, whose names are for victims, are what the simulator has by itself."""
    async with running(nodes=2000, seed=1, prepare=(4, 5)) as network:
        command = [sys.executable, "-m", "devp2p_crawler", "crawl", "--db", str(tmp_path / "crawl.db"), "--bootnode", network.enr, "--json"]
        with trio.fail_after(300):
            ended = await trio.run_process(command, capture_stdout=True)
        summary = await network.end()
    told = json.loads(ended.stdout.splitlines()[-1])
    shown = f"{machine()}\n{json.dumps(summary)}\n{json.dumps(told)}"
    assert summary["void"] is None, shown
    assert summary["recall"]["all"] >= ALMOST_ALL, shown
    assert told["alive"] >= ALMOST_ALL * summary["reachable"], shown
    assert told["dialled"] >= ALMOST_ALL * summary["reachable"], shown
    assert told["recall_low"] <= summary["recall"]["all"] <= 1, shown
    assert told["ended"] == "done", shown
    assert (summary["impolite"], summary["findings"]) == ({}, []), shown  # of victims' addresses, too
    assert told["memory"] <= MOST_MEGABYTES * 1e6, shown


@pytest.mark.long
@pytest.mark.parametrize(("version", "seconds"), [(4, 240), (5, 180)])
async def test_twenty_thousand_nodes_are_found_in_time(version: int, seconds: int):
    options = parse(["--nodes", "20000", "--seed", "1", "--until", str(100 * ALMOST_ALL)])
    crawled = await crawl("ours", version, ours, options, 1.5 * seconds)
    shown = "\n".join([machine(), *table([crawled])])
    assert crawled.void is None, shown
    time = crawled.seconds_to["99.5"]
    assert time is not None, shown
    assert time <= seconds, shown
    assert crawled.megabytes <= MOST_MEGABYTES, shown
    assert not crawled.impolite, shown
