"""The crawler beside go-ethereum's on one simulated network: at least twice as fast, for no more packets a node.

go-ethereum's is given no more than two and a half times as long as ours took, which is enough to decide that.
"""

from collections.abc import Sequence

import pytest
import trio

from tools.bench.report import machine
from tools.crawler.compare import DEVP2P, Crawled, compare, factor, parse, table

pytestmark = pytest.mark.real_clock

AT_LEAST = 2.0


@pytest.fixture(autouse=True)
def geth() -> None:
    if not DEVP2P.is_file():
        pytest.fail("not built: devp2p; run `python tests/interop/build.py devp2p`, or `make interop`")


async def crawls_of(arguments: Sequence[str]) -> list[Crawled]:
    options = parse([*arguments, "--times", "2.5", "--together"])
    return await compare(options, lambda _crawled: None)


def check(crawls: list[Crawled]) -> None:
    shown = "\n".join([machine(), *table(crawls)])
    assert not [crawled.void for crawled in crawls if crawled.void], shown
    for version in (4, 5):
        these = [crawled for crawled in crawls if crawled.version == version]
        ours, theirs = these[0], these[1:]
        assert not ours.impolite, shown
        for mark in ("90", "95"):
            times = factor(these, mark)
            assert times is not None, shown
            assert times[0] >= AT_LEAST, shown
            mine = ours.packets_per_node(mark)
            # Who has reached fewer has spent less on each, as the last ones are the hardest; so this compares us at our worst. But of a
            # crawler that has not even found half of the network nobody knows what the rest would have cost it.
            least = [crawled.packets_per_node(mark) or crawled.packets_per_node() or 0 for crawled in theirs if crawled.recall >= 0.5]
            assert mine is not None, shown
            assert mine <= min(least, default=mine), shown


@pytest.mark.interop
async def test_it_is_twice_as_fast_with_two_thousand_nodes():
    with trio.fail_after(300):
        check(await crawls_of(["--nodes", "2000", "--seed", "1", "--limit", "60"]))


@pytest.mark.long
async def test_it_is_twice_as_fast_with_twenty_thousand_nodes():
    check(await crawls_of(["--nodes", "20000", "--seed", "1", "--limit", "400", "--parallelism", "200"]))
