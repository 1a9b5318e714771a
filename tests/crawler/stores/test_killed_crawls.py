"""A whole crawl of the simulated network, killed (SIGKILL) at random moments and resumed: what was written stays, nobody comes twice."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from devp2p_crawler.model import Visit
from devp2p_crawler.stores import SqliteStore

from devp2p import NodeRecord

ROOT = Path(__file__).resolve().parents[3]
CRAWL = [sys.executable, "-m", "devp2p_crawler"]


@contextmanager
def network(nodes: int, seed: int) -> Iterator[str]:
    """The simulated network as a process of its own; gives its bootnode."""
    command = [sys.executable, "-m", "tools.crawler.simulated", "--nodes", str(nodes), "--seed", str(seed), "--until-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        bootnode = process.stdout.readline().split()[-1]
        yield bootnode
        process.communicate(timeout=60)


def visits(path: Path) -> list[Visit]:
    with SqliteStore.open_reading(path) as store:
        assert store.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return list(store.visits())


def alive(path: Path) -> set[bytes]:
    with SqliteStore.open_reading(path) as store:
        return {node.node for node in store.nodes() if node.last_ok is not None}


def recorded(path: Path) -> dict[bytes, int]:
    """When the first record of each node came."""
    with SqliteStore.open_reading(path) as store:
        found = dict[bytes, int]()
        for record in store.records():
            found[record.node] = min(record.seen, found.get(record.node, record.seen))
        return found


def killed_crawl(directory: Path, nodes: int, kills: int) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    sys.stdout.write(f"seed {seed}\n")
    whole, path = directory / "whole.db", directory / "killed.db"
    with network(nodes, seed % 1000) as bootnode:
        options = ["--bootnode", bootnode, "--v4", "--no-dial", "--json"]
        subprocess.run([*CRAWL, "crawl", "--db", str(whole), *options], check=True, stdout=subprocess.DEVNULL, timeout=600)
    with network(nodes, seed % 1000) as bootnode:
        options = ["--bootnode", bootnode, "--v4", "--no-dial", "--json"]
        before = list[Visit]()
        for number in range(kills):
            command = [*CRAWL, "crawl", "--db", str(path), *options] if number == 0 else [*CRAWL, "resume", "--db", str(path), "--json"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
                assert process.stdout is not None
                process.stdout.readline()  # it is under way
                time.sleep(chance.uniform(0, 1.5))
                process.kill()
            after = visits(path)
            assert set(before) <= set(after), f"seed {seed}: what was written is gone after kill {number + 1}"
            before = after
        done = subprocess.run(
            [*CRAWL, "resume", "--db", str(path), "--json"], check=False, capture_output=True, text=True, timeout=600, cwd=ROOT
        )
        assert done.returncode == 0 or "is complete, as everybody was visited" in done.stderr, done.stderr  # before the last kill
        summary = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else "complete before the last kill"
    after = visits(path)
    assert set(before) <= set(after)
    # Who was silent is tried a second time, as is who owes its record; the bootnode is asked by each run. Nobody else who answered is.
    answers, told = Counter(visit.node for visit in after if visit.outcome.is_alive), recorded(path)
    first = {visit.node: visit.ended for visit in reversed(after) if visit.outcome.is_alive}
    settled = {node for node in answers if told.get(node, first[node] + 1) <= first[node]} - {NodeRecord.parse(bootnode).id}
    twice = [node for node in settled if answers[node] > 1]
    sys.stdout.write(f"{len(after)} visits after {kills} kills; {len(twice)} of {len(answers)} asked again; {summary}\n")
    assert not twice, f"seed {seed}: {len(twice)} of {len(answers)} nodes that answered were asked again"
    found, expected = alive(path), alive(whole)
    assert len(found ^ expected) <= 0.005 * len(expected), f"seed {seed}: {len(found)} alive, {len(expected)} in one run"


@pytest.mark.simulation
def test_a_crawl_that_is_killed_and_resumed_finds_what_one_run_finds(tmp_path):
    killed_crawl(tmp_path, nodes=200, kills=4)


@pytest.mark.long
def test_a_crawl_that_is_killed_at_fifty_moments_finds_what_one_run_finds(tmp_path):
    killed_crawl(tmp_path, nodes=2000, kills=50)
