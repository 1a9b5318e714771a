"""What the comparison with go-ethereum's crawler makes of what the simulated networks saw."""

import pytest

from tools.crawler.compare import Crawled, factor, parse, table

MARKS = ("50", "90", "95", "99", "99.5")


def crawled(crawler: str, times: tuple[float, ...], *, version: int = 4, seconds: float = 60.0, packets: int = 600) -> Crawled:
    reached: dict[str, float | None] = dict(zip(MARKS, [*times, *[None] * 5], strict=False))
    by: dict[str, int | None] = {mark: None if time is None else 100 * index for index, (mark, time) in enumerate(reached.items(), 1)}
    return Crawled(
        crawler, version, reached, by, 100, 0.95, seconds, packets, 1.5, 40.0, 0.1, {"nodes": 2} if crawler == "ours" else {}, None
    )


def test_ours_is_compared_with_the_best_of_theirs():
    crawls = [crawled("ours", (1, 4, 8)), crawled("geth 16", (10, 40)), crawled("geth 64", (12, 20), seconds=50), crawled("geth 200", (9,))]
    assert factor(crawls, "90") == (5.0, False)
    assert factor(crawls, "95") == (50 / 8, True)  # none of theirs came so far; the shortest of them had 50 s
    assert factor([crawled("ours", (1,)), crawled("geth 16", (1, 2))], "90") is None


def test_the_table_says_what_was_not_reached_and_who_was_impolite():
    fourth = [crawled("ours", (1, 4, 8)), crawled("geth 64", (9,), seconds=50)]
    lines = [*table([*fourth, crawled("ours", (1,), version=5), crawled("geth 64", (9,), version=5)])]
    assert "8.0 s" in lines[1]
    assert "no: nodes 2" in lines[1]
    assert "> 50 s" in lines[2]
    assert lines[2].endswith("yes")
    assert "v4: 90 %: more than 12.5 x as fast" in lines[5]
    assert "v5: 90 %: not reached by ours" in lines[6]
    assert len([*table([crawled("ours", (1, 4, 8))])]) == 2  # beside nobody there is no verdict
    assert crawled("ours", (1, 4)).packets_per_node("90") == pytest.approx(200 / 90)
    assert crawled("ours", (1, 4)).packets_per_node() == pytest.approx(600 / 95)


def test_arguments_have_defaults_that_are_the_whole_comparison():
    options = parse([])
    assert (options.nodes, tuple(options.versions), tuple(options.parallelism)) == (2000, (4, 5), (16, 64, 200))
