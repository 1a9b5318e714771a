"""What is seen of a crawl: pictures, lines, JSON, metrics; whatever strangers call themselves, and whether or not anybody reads."""

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from devp2p_crawler import screen
from devp2p_crawler.model import RTT_BOUNDS, Outcome, Recall, Silence, Snapshot
from devp2p_crawler.screen import words
from devp2p_crawler.screen.live import drawn
from devp2p_crawler.screen.metrics import MOST, CrawlCollector, Labels
from devp2p_crawler.screen.picture import picture
from devp2p_crawler.screen.plain import JsonView, PlainView
from devp2p_crawler.screen.scene import History, Scene, progress, summary
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.screen import Screen

EVIL = "\x1b[2J\x1b]0;owned\x07[red]\u202egnp.exe\u0301\u0301\x00\r\n"
SCENE = Scene(
    what="mainnet by v4 and v5", vantage="here", db="crawl.db", duration=600.0, crawl="00" * 16, metrics=("http://[::1]:1/metrics",)
)
RICH = Snapshot(
    elapsed=133.0,
    left=210.0,
    found=12345,
    alive=6789,
    dialled=5432,
    hellos=4321,
    inbound=12,
    failed=5000,
    queued=1234,
    waiting=10203,
    in_flight=320,
    concurrency=400,
    packets_sent=123456,
    packets_received=80000,
    packets_rate=1203.4,
    found_rate=42.3,
    recall=Recall(estimate=0.987, low=0.979, high=0.994),
    loop_lag=0.003,
    memory=212_000_000,
    spooled=12,
    outcomes={outcome.name.lower(): 3 * outcome + 1 for outcome in Outcome},
    clients={"Geth": 2210, "Nethermind": 900, EVIL: 17, "": 2},
    networks={1: 4000, 11155111: 200, 2**64 - 1: 1},
    visits={"v4": {"ok": 5, "silent": 7}, "rlpx": {"ok": 3}},
    rtts={"v4": [1] * (len(RTT_BOUNDS) + 1)},
    skipped={"opt-out": 3},
)
QUIET = Snapshot(elapsed=12.0, left=None, silence=Silence(seconds=12.0, starts=2, sent=30))


def history() -> History:
    past = History()
    for number in range(100):
        past.take(Snapshot(elapsed=number, left=None, found_rate=number % 7, packets_rate=100 + number))
    past.say(f"somebody said {EVIL}")
    return past


def lines_of(snapshot: Snapshot, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, record=True, force_terminal=False)
    console.print(Screen(picture(SCENE, snapshot, history(), width, height)), end="")
    return console.export_text().split("\n")


# The live screen


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (109, 30), (110, 30), (140, 40), (300, 100)], ids=str)
@pytest.mark.parametrize("snapshot", [RICH, QUIET, Snapshot(elapsed=0.0, left=None)], ids=["rich", "quiet", "empty"])
def test_a_picture_fills_the_terminal_and_has_no_hole(size: tuple[int, int], snapshot: Snapshot):
    lines = lines_of(snapshot, *size)
    assert len(lines) == size[1]
    assert {line[0] for line in lines} <= set("╭│╰")
    assert "devp2p-crawl" in lines[0]
    assert "messages" in "".join(lines)


@pytest.mark.parametrize("width", [80, 140])
def test_a_picture_says_what_matters(width: int):
    text = "\n".join(lines_of(RICH, width, 40))
    for told in (
        "12,345 found",
        "6,789 alive",
        "5,432 dialled",
        "4,321 said Hello",
        "5,000 failed",
        "98.7 % (97.9 to 99.4 %)",
        "Geth",
        "320",
    ):
        assert told in text, told
    assert ("mainnet 1" in text) == (width == 140)
    assert "why nothing is found" in "\n".join(lines_of(QUIET, width, 40))


def test_what_strangers_call_themselves_does_nothing_to_the_terminal():
    for text in (drawn(picture(SCENE, RICH, history(), 140, 40), 140, 40), "\n".join(lines_of(RICH, 140, 40))):
        left = re.sub(r"\x1b\[[0-9;]*m", "", text)  # colours, which are ours
        assert all(one.isprintable() or one == "\n" for one in left)
        assert "\\x1b[2J" in left
        assert "\u0301" not in left
    assert "[red]" in words.inert(EVIL)
    assert len(words.inert("x" * 100, 24)) == 25


def test_a_picture_takes_little_time_to_draw_whatever_there_is():
    many = {f"client {number}": number for number in range(20_000)}
    busy = Snapshot(elapsed=1.0, left=None, clients=many, networks=dict(zip(range(20_000), range(20_000), strict=True)), outcomes=many)
    assert "others" in "\n".join(lines_of(busy, 140, 40))


# Words


def test_numbers_in_words():
    assert [words.clock(seconds) for seconds in (5, 754, 3723, 273_900)] == ["0:05", "12:34", "1:02:03", "3 d 04:05"]
    assert [words.about(seconds) for seconds in (40, 200, 9000, 400_000)] == ["40 s", "3 min", "2.5 h", "5 d"]
    assert [words.size(count) for count in (0, 212e6, 3.21e9)] == ["0 kB", "212 MB", "3.2 GB"]
    assert [words.percent(share) for share in (1.0, 0.99999, 0.987, 0.0)] == ["100 %", "99.9 %", "98.7 %", "0.0 %"]
    assert words.curve([0.0, 1.0, 2.0], 5) == "▁▄█  "
    assert words.curve([], 3) == "   "
    assert list(words.top({"a": 1, "b": 3, "c": 3, "none": 0}, 2)) == [("b", 3), ("others", 4)]


def test_each_outcome_has_its_words():
    told = [words.outcome(outcome.name) for outcome in Outcome]
    assert len(set(told)) == len(Outcome)
    assert not any("_" in one for one in told)


# Why nothing is found


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (Silence(seconds=10.0), ["there is no node to begin with", "name one: --bootnode"]),
        (Silence(seconds=10.0, starts=1, without_address=1, versions=(5,)), ["none of them has an address", "discovery v5: give others"]),
        (Silence(seconds=10.0, starts=3, without_address=1), ["1 of them have no address", "v4 and v5"]),
        (Silence(seconds=10.0, starts=3, skipped={"opt-out": 3}), ["--opt-out leaves out 3, and so all of them"]),
        (
            Silence(seconds=10.0, starts=3, not_sent=4, send_error="Network is unreachable"),
            ["did not send 4 datagrams: Network is unreach"],
        ),
        (Silence(seconds=10.0, starts=3, received=9, expired=9, clock_skew=300.0), ["out of date, by 300 s", "clock is ahead", "NTP"]),
        (Silence(seconds=10.0, starts=3, received=9, expired=9, clock_skew=-60.0), ["out of date, by 60 s", "clock is behind"]),
        (Silence(seconds=10.0, starts=3, received=9, undecoded=9), ["all 9 datagrams that came are of no discovery protocol"]),
        (Silence(seconds=10.0, starts=1, sent=5, refused=1), ["one host says that nobody listens at that UDP port"]),
        (Silence(seconds=10.0, starts=0, dns_error="no such name"), ["node list in DNS could not be read: no such name"]),
        (Silence(seconds=12.0, starts=1, sent=5), ["nothing has come back for 12 s: 1 node to begin", "devp2p discover ping", "firewall"]),
        (
            Silence(seconds=12.0, starts=1, sent=5, listening="127.0.0.1:4"),
            ["for other nodes leave out --listen"],
        ),
        (Silence(seconds=12.0, starts=1, sent=5, versions=(4,)), ["may speak discovery v5 only: leave out --v4"]),
    ],
    ids=str,
)
def test_why_nothing_is_found_is_said_with_what_to_do(facts: Silence, told: list[str]):
    text = "\n".join(screen.explain(facts))
    for one in told:
        assert one in text


def test_what_is_certain_is_not_watered_down_by_what_is_likely():
    assert not any("firewall" in line for line in screen.explain(Silence(seconds=10.0, starts=3, not_sent=4)))
    assert any("firewall" in line for line in screen.explain(Silence(seconds=10.0, starts=3, sent=9, refused=1)))


# Lines


@contextmanager
def printed() -> Iterator[io.StringIO]:
    with pytest.MonkeyPatch.context() as patch:
        out = io.StringIO()
        patch.setattr("sys.stdout", out)
        yield out


def test_plain_lines_come_seldom_and_hold_no_control_characters():
    view = PlainView()
    with printed() as out:
        view.begin(SCENE)
        for second in range(100):
            view.tick(Snapshot(elapsed=float(second), left=50.0, found=second, recall=RICH.recall))
        view.tick(QUIET)
        view.say(EVIL)
        view.end(summary(SCENE, RICH))
    lines = out.getvalue().splitlines()
    assert 15 < sum("found " in line for line in lines) < 25
    assert any("recall 98.7 % (97.9 to 99.4 %); about 50 s left" in line for line in lines)
    assert all(line.isprintable() for line in lines)
    assert any("between 97.9 % and 99.4 % (95 %)" in line for line in lines)
    assert lines[-1] == "go on      devp2p-crawl resume --db crawl.db"


def test_the_last_json_line_is_the_summary():
    view = JsonView()
    with printed() as out:
        view.begin(SCENE)
        view.tick(RICH)
        view.tick(QUIET)
        view.say(EVIL)
        view.end(summary(SCENE, RICH))
    begin, first, second, message, last = (json.loads(line) for line in out.getvalue().splitlines())
    assert (begin["event"], begin["what"]) == ("begin", "mainnet by v4 and v5")
    assert (first["event"], first["found"], first["why_nothing"]) == ("progress", 12345, [])
    assert second["why_nothing"] == screen.explain(Silence(seconds=12.0, starts=2, sent=30))
    assert message["text"] == EVIL
    wanted = {"found": 12345, "alive": 6789, "dialled": 5432, "packets_sent": 123456, "recall_estimate": 0.987, "ended": "interrupted"}
    assert last["event"] == "summary"
    assert {name: last[name] for name in wanted} == wanted
    assert last["networks"][str(2**64 - 1)] == 1


def test_how_a_crawl_ended():
    def ended(**facts: Any) -> object:
        return summary(SCENE, Snapshot(left=None, **facts))["ended"]

    assert ended(elapsed=10.0, is_done=True) == "done"
    assert ended(elapsed=600.5) == "time"
    assert ended(elapsed=10.0) == "interrupted"
    assert progress(Snapshot(elapsed=1.0, left=None))["recall_estimate"] is None


# Metrics


def scraped(collector: CrawlCollector) -> dict[str, list[Any]]:
    registry = CollectorRegistry()
    registry.register(collector)
    text = generate_latest(registry).decode()
    return {sample.name: [*family.samples] for family in text_string_to_metric_families(text) for sample in family.samples}


def test_metrics_are_told_under_the_names_that_others_know():
    found = scraped(CrawlCollector(lambda: RICH, "here"))
    assert {(one.labels["kind"], one.labels["result"]): one.value for one in found["crawler_visits_total"]} == {
        ("v4", "ok"): 5,
        ("v4", "silent"): 7,
        ("rlpx", "ok"): 3,
    }
    assert [one.value for one in scraped(CrawlCollector(lambda: replace(RICH, lost=3), "here"))["crawler_db_lost_rows_total"]] == [3]
    assert {one.labels["state"] for one in found["crawler_frontier"]} == {"due", "waiting", "in_flight"}
    assert {one.labels["bound"]: one.value for one in found["crawler_recall_estimate"]} == {"estimate": 0.987, "low": 0.979, "high": 0.994}
    assert [one.value for one in found["crawler_rtt_seconds_bucket"] if one.labels.get("le") == "+Inf"] == [len(RTT_BOUNDS) + 1]
    for name in ("inflight", "db_lag_seconds", "loop_lag_seconds", "memory_bytes", "db_waiting_rows", "silent", "left_seconds"):
        assert len(found[f"crawler_{name}"]) == 1, name
    assert all(label.isprintable() for one in found["crawler_client_nodes"] for label in one.labels.values())


def test_names_of_strangers_do_not_make_labels_without_end():
    labels = Labels()
    first = labels.bounded({f"name {number}": 1 for number in range(1000)})
    assert len(first) == MOST
    assert first["other"] == 1000 - MOST + 1
    second = labels.bounded({f"new {number}": 1 for number in range(1000)})
    assert second.keys() == first.keys()
    assert second["other"] == 1000
    assert Labels().bounded({"other": 3, "x": 1}) == {"x": 1, "other": 3}
    collector = CrawlCollector(lambda: Snapshot(elapsed=1.0, left=None, clients={f"{n} {EVIL}": 1 for n in range(5000)}), "here")
    assert len(scraped(collector)["crawler_client_nodes"]) == MOST


def test_the_dashboard_asks_for_metrics_that_there_are():
    dashboard = json.loads(Path(screen.__file__).with_name("grafana.json").read_text("utf-8"))
    asked = {name for panel in dashboard["panels"] for target in panel["targets"] for name in re.findall(r"crawler_\w+", target["expr"])}
    there = scraped(CrawlCollector(lambda: RICH, "here"))
    assert len(asked) > 15
    assert not asked - there.keys() - {name.removesuffix("_bucket") for name in there}
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    assert len({place[:2] for place in places}) == len(places)


@pytest.mark.real_clock
async def test_metrics_are_served_by_http():
    from devp2p import Address  # noqa: PLC0415

    async with screen.exposed(Address("tcp", "127.0.0.1", 0), lambda: RICH, "here", []) as (url,):
        port = int(url.rpartition(":")[2].partition("/")[0])
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with trio.fail_after(60):
                answer = b"".join([data async for data in stream])
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'crawler_nodes{state="alive"} 6789.0\n' in answer
    async with screen.exposed(None, lambda: RICH, "here", []) as nowhere:
        assert nowhere == ()


async def test_where_metrics_cannot_be_served_is_said():
    from devp2p import Address  # noqa: PLC0415
    from devp2p.terminal import Failure  # noqa: PLC0415

    with trio.socket.socket() as taken:
        await taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address("tcp", "127.0.0.1", taken.getsockname()[1])
        enter = partial(screen.exposed, address, lambda: RICH, "here", [])
        with pytest.raises(Failure, match=rf"cannot serve metrics at {address.where}: address already in use; --metrics names another"):
            async with enter():
                pass
