"""What the wire itself shows of shaped sessions: packets, looked at in a network namespace (see `observed`)."""

import json
import subprocess
import sys
from itertools import pairwise

import pytest

from devp2p.wire.dpx.shaping import bucket_of
from tests.likeness import likeness

NAMESPACE = ["unshare", "--map-root-user", "--net", "sh", "-ec"]
PROGRAM = 'ip link set lo up; exec "$0" -m tests.simulation.observed "$@"'
COUNT = 2000


def observed(seconds: float, *runs: tuple[str, str]) -> list[list[tuple[float, int]]]:
    """What is seen of several runs at the same time: what else the machine does happens to all of them."""
    if sys.platform != "linux" or subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("network namespaces are Linux's, and this user may make none")
    programs = [
        subprocess.Popen([*NAMESPACE, PROGRAM, sys.executable, *run, str(seconds)], stdout=subprocess.PIPE, text=True) for run in runs
    ]
    told = [program.communicate()[0] for program in programs]
    assert not any(program.returncode for program in programs)
    return [[(now, size) for now, size in json.loads(text)] for text in told]


@pytest.mark.simulation
def test_each_packet_has_an_allowed_size() -> None:
    sizes = [size for _, size in observed(4, ("cells", "busy"))[0]]
    assert len(sizes) > 5
    assert all(size % 1024 == 0 for size in sizes), sizes
    sizes = [size for _, size in observed(4, ("constant", "busy"))[0]]
    assert all(size % 1024 == 0 for size in sizes), sizes
    assert sizes.count(1024) > 0.95 * len(sizes), "the network may join two cells"
    sizes = [size for _, size in observed(4, ("buckets", "busy"))[0]]
    assert sum(size == bucket_of(size) for size in sizes) >= 0.9 * len(sizes), "the network may join and cut"


@pytest.mark.simulation
def test_control_without_shaping_the_sizes_tell_what_was_said() -> None:
    sizes = [size for _, size in observed(4, ("off", "busy"))[0]]
    assert sum(size % 1024 == 0 for size in sizes) < 0.2 * len(sizes)


def gaps_of(kind: str) -> list[list[float]]:
    """Gaps between packets, to the millisecond, of one that says much and of one that says hardly anything."""
    both = observed(46, (kind, "busy"), (kind, "idle"))
    return [[round(b - a, 3) for (a, _), (b, _) in pairwise(seen)][:COUNT] for seen in both]


@pytest.mark.long
def test_the_clock_of_a_constant_rate_does_not_tell_how_much_is_said() -> None:
    busy, idle = gaps_of("constant")
    assert len(busy) > 0.9 * COUNT
    assert len(idle) > 0.9 * COUNT
    assert likeness(busy, idle) > 0.01


@pytest.mark.long
def test_control_the_clock_of_a_pace_alone_tells_it() -> None:
    busy, idle = gaps_of("paced")
    assert likeness(busy, idle) < 1e-6


def test_the_likeness_of_samples_tells_them_apart_if_they_are_not_alike() -> None:
    one = [(7919 * number % 2003) / 2003 for number in range(2000)]
    other = [(104729 * number % 2011) / 2011 for number in range(2000)]
    assert likeness(one, other) > 0.01
    assert likeness(one, [value * 1.2 for value in other]) < 1e-6
    assert likeness(one, one) == 1.0
