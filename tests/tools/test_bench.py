"""The benchmarks say what they measured: statistics, verdicts, and the form of the result. No figure is asserted."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from devp2p.discovery.table.kademlia import BUCKET_SIZE, BUCKETS, WAITING_SIZE
from devp2p.keys import PrivateKey
from tools.bench import breakdown, crawling, discovery, dpx_breakdown, libp2p, oracle, report, transports
from tools.bench.__main__ import choose, every_benchmark
from tools.bench.endpoints.__main__ import MODES
from tools.bench.endpoints.basics import Options
from tools.bench.endpoints.discovery import Party, full_table
from tools.bench.figures import Row, compare, percentile, slope
from tools.bench.plan import Plan, size_name
from tools.bench.plot import bars
from tools.bench.sides import OURS, ROOT, BenchError
from tools.bench.streams import time_a_message
from tools.bench.targets import TARGETS, Target
from tools.crawler.compare import Crawled

ROWS = [
    Row("rlpx/message/32B", 12.0, 6.0, "us", 0.5, (0.4, 0.625)),
    Row("rlpx/throughput/1MiB", 130.04, 100.0, "MB/s", 1.3, (1.2, 1.4)),
    Row("idle/memory_a_session", 61.0, None, "KiB", None, None),
]


def test_the_ratio_is_taken_pair_by_pair_and_more_is_better():
    row = compare("x", "MB/s", "higher", [10.0, 40.0, 30.0], [10.0, 20.0, 10.0])
    assert (row.ours, row.peer) == (30.0, 10.0)
    assert (row.ratio, row.spread) == (2.0, (1.0, 3.0))


def test_a_time_half_as_long_is_twice_as_good():
    row = compare("x", "us", "lower", [5.0], [10.0])
    assert (row.ratio, row.spread) == (2.0, (2.0, 2.0))


def test_without_a_peer_there_is_no_ratio():
    assert compare("x", "us", "lower", [1.0, 3.0, 2.0], []) == Row("x", 2.0, None, "us", None, None)


def test_pairs_must_be_pairs():
    with pytest.raises(ValueError, match="zip"):
        compare("x", "us", "lower", [1.0, 2.0], [1.0])


def test_percentiles_are_values_that_were_measured():
    thousand = [float(number) for number in range(1, 1001)]
    assert [percentile(thousand, share) for share in (0, 50, 99, 99.9, 100)] == [1, 500, 990, 999, 1000]
    assert percentile([7.0], 99.9) == 7.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@given(st.lists(st.integers(0, 100), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_is_large_enough(values, share):
    found = percentile(sorted(values), share)
    assert sum(value <= found for value in values) * 100 >= share * len(values)
    assert sum(value < found for value in values) * 100 < share * len(values)


@given(st.integers(-100, 100), st.integers(-100, 100))
def test_a_straight_line_has_its_slope(steepness, height):
    line = [(float(x), float(steepness * x + height)) for x in range(100, 1001, 100)]
    assert math.isclose(slope(line), steepness, abs_tol=1e-9)


def test_one_point_has_no_slope():
    with pytest.raises(ValueError, match="two different"):
        slope([(1.0, 2.0)])


def test_two_samples_that_differ_have_a_large_t_and_others_have_not():
    same = [100 + number % 10 for number in range(1000)]
    assert oracle.welch(same, same) == 0
    assert oracle.welch(same, [value + 5 for value in same]) < -4.5
    assert abs(oracle.welch(same, [*same[:-50], *[10**6] * 50])) < 4.5  # the slowest do not count
    with pytest.raises(ValueError, match="too few"):
        oracle.welch([1, 1, 1], [])


def test_each_refusal_is_timed_and_each_packet_is_used():
    key = PrivateKey.generate()
    seen: list[bytes] = []
    first, last = forgeries = oracle.forgeries(key)
    times = oracle.refusal_times(seen.append, forgeries, 0.01)
    assert (first[-32] ^ last[-32], first[-1] ^ last[-1], len(first)) == (1, 1, len(last))
    assert set(seen) == set(forgeries)
    assert len(times[0]) + len(times[1]) == len(seen) - 200


def test_sizes_are_written_as_in_the_names():
    assert [size_name(size) for size in (32, 1000, 1024, 16384, 10 * 2**20)] == ["32B", "1000B", "1KiB", "16KiB", "10MiB"]


def test_every_target_is_measured_by_something_and_names_are_unique():
    names = [name for benchmark in every_benchmark() for name in benchmark.names]
    assert len(set(names)) == len(names)
    assert set(TARGETS) <= set(names)


def test_a_quick_run_leaves_variants_out_unless_they_are_asked_for():
    assert not any(benchmark.variant for benchmark in choose("rlpx/", quick=True))
    assert [benchmark.names for benchmark in choose("rlpx/message/32B/snappy", quick=True)] == [("rlpx/message/32B/snappy",)]
    with pytest.raises(BenchError, match="no row"):
        choose("nothing", quick=True)


@pytest.mark.parametrize(
    ("target", "verdicts"),
    [
        (Target("ratio", least=0.5), [True, True, None]),
        (Target("ours", most=60.0), [True, False, False]),
        (Target("ours", 12.0, 61.0), [True, False, True]),
    ],
)
def test_a_target_judges_by_its_bounds(target, verdicts):
    assert [target.verdict(row) for row in ROWS] == verdicts


def test_the_table_shows_what_was_missed():
    head, small, _, memory = report.table(ROWS)
    assert head.split() == ["ours", "go-ethereum", "unit", "ratio", "spread", "wanted"]
    assert small.split() == ["rlpx/message/32B", "12", "6", "us", "0.50", "x", "0.40-0.62", ">=", "0.5", "x", "met"]
    assert memory.endswith("<= 60 MISSED")


def test_a_saved_result_can_be_read_again(tmp_path: Path):
    report.save(ROWS, tmp_path / "deep" / "bench.json")
    assert report.load(tmp_path / "deep" / "bench.json") == ROWS


def test_the_documentation_gets_the_table_between_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page, plot = tmp_path / "benchmarks.md", tmp_path / "benchmarks.svg"
    page.write_text("above\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nbelow\n")
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "PLOT", plot)
    for _ in range(2):
        report.write_docs(ROWS)
        text = page.read_text()
        assert text.startswith("above\n<!-- figures: begin -->\n")
        assert text.endswith("|\n<!-- figures: end -->\nbelow\n")
        assert "old" not in text
        assert "| rlpx/throughput/1MiB | 130 | 100 | MB/s | 1.30 x | 1.20-1.40 | >= 1 x met |" in text
    assert ET.fromstring(plot.read_text()).tag.endswith("svg")  # noqa: S314  (our own)


def test_the_plot_has_a_bar_for_each_ratio_on_the_right_side_of_one():
    tree = ET.fromstring(bars(ROWS))  # noqa: S314  (our own)
    space = "{http://www.w3.org/2000/svg}"
    _, worse, better = tree.findall(f"{space}rect")
    middle = float(better.attrib["x"])
    assert float(worse.attrib["x"]) + float(worse.attrib["width"]) == pytest.approx(middle)
    assert worse.attrib["fill"] != better.attrib["fill"]


@pytest.mark.parametrize("split", [breakdown.STOCK, dpx_breakdown.SPLIT], ids=lambda split: split.level)
def test_every_step_of_the_breakdown_is_timed(split: breakdown.Split):
    steps = trio.run(breakdown.time_steps, split, 0.05)
    assert set(steps) >= {*split.sending, *split.receiving}
    assert all(math.isfinite(value) for value in steps.values())


@pytest.mark.parametrize("name", [*discovery.PACKET_NAMES, *discovery.PAIR_NAMES])
def test_every_row_of_discovery_counts_what_it_does(name):
    mode = name.replace("/", "-")
    options = Options(mode, 32, 0.01, "random", snappy=False, target="", beside=0, stall=False, flows="", steps=False)
    result = trio.run(MODES[mode], options)
    assert result["messages"] > 0
    assert 0 < result["seconds"] < 60


@pytest.mark.parametrize("level", ["dpx", "dpxapi"])
def test_messages_of_dpx_in_chunks_are_timed(level: str):
    """Both ends assert that they speak it, and that each message is whole."""
    assert 0 < time_a_message(OURS, level, 0.05, "--size", "60000") < 20


def test_go_ethereum_has_a_mode_for_each_packet():
    source = (ROOT / "tools" / "bench" / "geth" / "main.go").read_text()
    assert all(f'"{name.replace("/", "-")}":' in source for name in discovery.PACKET_NAMES)
    assert not any(f'"{name.replace("/", "-")}":' in source for name in discovery.PAIR_NAMES)


def test_what_is_timed_is_a_message_on_its_way_from_one_to_the_other():
    initiator, recipient = Party(30301), Party(30302)
    first, second = initiator.ping(), initiator.ping()
    assert first != second
    with pytest.raises(SystemExit, match="did not open"):
        recipient.decode(initiator.encode(first, recipient), initiator.remote.endpoint)
    assert recipient.decode(initiator.prove(first, recipient), initiator.remote.endpoint) == first
    assert recipient.decode(initiator.encode(second, recipient), initiator.remote.endpoint) == second


def test_a_full_table_is_full():
    counts = full_table().statistics()
    assert counts.buckets == (BUCKET_SIZE,) * BUCKETS
    assert (counts.live, counts.waiting) == (BUCKETS * BUCKET_SIZE, BUCKETS * WAITING_SIZE)


def test_without_go_a_quick_run_gives_our_figures_as_json(tmp_path: Path):
    output = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tools.bench", "--quick", "--only", "rlpx/message/32B", "--json", "--output", str(output)]
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=True)
    rows = json.loads(done.stdout)
    assert rows == json.loads(output.read_text())
    (row,) = rows
    assert row.pop("ours") > 0
    assert row == {"name": "rlpx/message/32B", "peer": None, "unit": "us", "ratio": None, "spread": None}
    assert [line for line in done.stderr.splitlines() if "none of go-ethereum" in line]


def crawled(crawler: str, to_95: float | None, packets: int, recall: float = 0.95) -> Crawled:
    """A crawl of 1,000 nodes that took 30 s, and reached 90 % two seconds before 95."""
    seconds = {"90": None if to_95 is None else to_95 - 2, "95": to_95}
    by = {"90": packets // 2, "95": None if to_95 is None else packets}
    return Crawled(crawler, 4, seconds, by, 1000, recall, 30.0, packets, 1.0, 50.0, 0.5, {}, None)


def test_a_crawl_is_beside_the_best_of_the_others():
    ours, slow, quick = crawled("ours", 10, 9500), crawled("geth 16", 29, 12000), crawled("geth 64", 25, 19000)
    to_90, to_95, packets = crawling.rows(4, [ours, slow, quick])
    assert (to_90.ours, to_90.peer) == (8, 23)
    assert (to_95.ours, to_95.peer, to_95.ratio, to_95.unit) == (10, 25, 2.5, "s")
    assert packets.ours == 10
    assert packets.peer == pytest.approx(12000 / 950)


def test_a_crawl_that_was_stopped_too_early_is_a_bound():
    _, to_95, packets = crawling.rows(5, [crawled("ours", 10, 9500), crawled("geth 16", None, 4000, recall=0.4)])
    assert (to_95.peer, to_95.ratio, to_95.unit) == (30, 3, "s (theirs: or more)")
    assert packets.peer == 10
    assert [row.ratio for row in crawling.rows(4, [crawled("ours", 10, 9500)])] == [None] * 3
    with pytest.raises(BenchError, match=r"ours reached 40\.0% of the nodes in 30 s, and not 90 %"):
        list(crawling.rows(4, [crawled("ours", None, 1, recall=0.4)]))


def test_rows_of_one_kind_go_into_their_own_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = tmp_path / "page.md"
    before = "a <!-- figures: begin -->x<!-- figures: end --> b <!-- figures of idle/: begin -->y<!-- figures of idle/: end --> c"
    page.write_text(before)
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "PLOT", tmp_path / "plot.svg")
    report.write_docs(ROWS, "idle/")
    text = page.read_text()
    assert text.startswith("a <!-- figures: begin -->x<!-- figures: end --> b <!-- figures of idle/: begin -->\nOne run on")
    assert text.endswith("| idle/memory_a_session | 61 | - | KiB |  |  | <= 60 MISSED |\n<!-- figures of idle/: end --> c")
    assert not (tmp_path / "plot.svg").exists()
    with pytest.raises(BenchError, match="no row whose name begins with 'crawl/'"):
        report.write_docs(ROWS, "crawl/")
    with pytest.raises(BenchError, match=r"has no `<!-- figures of rlpx/: begin -->`"):
        report.write_docs(ROWS, "rlpx/")
    report.write_docs(ROWS)
    assert "rlpx/message/32B" in page.read_text()
    assert (tmp_path / "plot.svg").exists()


def counted(seconds: dict[str, float]) -> transports.Figure:
    """A figure that says for each side's transport what is given, "side scheme" -> value."""
    return transports.Figure("x", "us", "lower", lambda side, scheme, _: seconds[f"{side.name} {scheme}"])


def test_transports_are_beside_each_libp2p_that_is_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transports, "why_not", lambda side: None if side is libp2p.PY_LIBP2P else "no Go")
    group = transports.Group(("tcp", "tls"), "tcp", transports.BOTH)
    figure = counted({"devp2p tcp": 4, "devp2p tls": 8, "py-libp2p tcp": 40})
    rows = list(transports.measure(group, figure, Plan(2, quick=True, peer=None)))
    assert [row.name for row in rows] == list(transports.names(group, figure))
    assert [(row.name, row.ours, row.peer, row.ratio) for row in rows if row.peer] == [
        ("transport/tcp/x/py-libp2p", 4, 40, 10),
        ("transport/tls/x/py-libp2p", 8, 40, 5),
    ]
    assert {row.unit for row in rows if row.name.endswith("go-libp2p")} == {"us (no go-libp2p here)"}
    head, *_ = report.table(rows)
    assert head.split() == ["ours", "theirs", "unit", "ratio", "spread", "wanted"]


def test_each_side_has_all_modes_of_transports():
    theirs = (
        (ROOT / "tools" / "bench" / "golibp2p" / "main.go").read_text(),
        (ROOT / "tools" / "bench" / "pylibp2p" / "peer.py").read_text(),
    )
    modes = [mode for mode in MODES if mode.startswith("link-") and mode != "link-relay"]  # theirs have none
    assert len(modes) == 7
    assert all(f'"{mode}":' in source for mode in modes for source in theirs)


def test_what_a_transport_lacks_here_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transports, "why_not_installed", lambda _: "needs packages")
    (group,) = [group for group in transports.GROUPS if group.ours == ("sctp",)]
    assert group.why_not() == "transport/sctp needs packages, or `make .venv/.installed-interop`"
    assert transports.GROUPS[0].why_not() is None


def test_a_program_that_fails_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PATH", str(tmp_path))
    libp2p.why_not.cache_clear()
    assert libp2p.why_not(libp2p.GO_LIBP2P) == "no `go` was found on the PATH"
    assert capsys.readouterr().err == "No figures of go-libp2p: no `go` was found on the PATH\n"
    libp2p.why_not.cache_clear()


@pytest.mark.parametrize("transport", ["wss", "relay"])
def test_sessions_over_a_transport_are_timed(transport: str):
    """These two need most around them; each end asserts what carries the session."""
    assert transports.each(1.0, ("pong", "ping"), OURS, transport, Plan(1, quick=True, peer=None)) > 0


def test_our_figures_of_transports_make_a_table_with_a_line_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = tmp_path / "transports.md"
    page.write_text("above <!-- figures: begin -->old<!-- figures: end --> below")
    monkeypatch.setattr(report, "TRANSPORTS_PAGE", page)
    row = Row("transport/tcp/throughput/1MiB", 200.0, None, "MB/s", None, None)
    beside = Row("transport/tcp/throughput/1MiB/py-libp2p", 200.0, 20.0, "MB/s", 10.0, (9.0, 11.0))
    report.write_transports([row, beside, Row("transport/relay/handshake", 5.0, None, "ms", None, None)])
    text = page.read_text()
    assert text.startswith("above <!-- figures: begin -->\nOne run on")
    assert "| tcp | 200 | - |\n| relay | - | 5 |\n<!-- figures: end --> below" in text
