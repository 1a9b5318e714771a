"""What nodes may try against a crawler (THREATS.md, C1 to C10): the policies that decide, over hours, and each with its defence off."""

import csv
import io
import random
import sqlite3
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
import trio
from devp2p_crawler.analysis import estimate_recall
from devp2p_crawler.crawling import asking
from devp2p_crawler.crawling.state import endpoint_of
from devp2p_crawler.exports import write_csv
from devp2p_crawler.filters import RULES, ListRules, choose
from devp2p_crawler.frontier import Courtesy, Politeness, Question, Queue, Teller, queue
from devp2p_crawler.model import Batch, KnownNode, Outcome
from devp2p_crawler.screen import words
from devp2p_crawler.serving.metrics import _escaped
from devp2p_crawler.stores import SqliteStore
from devp2p_crawler.visiting import InboundLimits, status
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import wait_all_tasks_blocked

from devp2p import Endpoint, NodeRecord
from devp2p.discovery.table import may_be_asked
from devp2p.testing import ScriptedPeer
from tests.crawler import rows
from tests.crawler.report import inert
from tests.crawler.test_asking import ASKED, Stub, make, record, visit
from tests.crawler.test_dns_list import at, spread
from tests.crawler.test_inbound_visits import links
from tests.crawler.test_rlpx_visits import other_messages, visited
from tests.crawler.test_tables import saying

MINUTE, HOUR = 60.0, 3600.0
VICTIM = bytes([198, 18, 0, 1])
WITHOUT_BOUNDS = Politeness(
    packets_per_second=1e9, packets_per_minute=10**9, burst=10**8, nodes_per_host=10**9, dials_per_host=10**9, dials_per_node=10**9
)


@dataclass(slots=True)
class Name:
    """All that the queue looks at of a node that somebody names."""

    id: bytes
    enr: None = None
    udp_endpoints: tuple[tuple[str, int], ...] = ()


def names(first: int, count: int) -> Iterator[NodeRecord]:
    return (cast("NodeRecord", Name(number.to_bytes(32, "big"))) for number in range(first, first + count))


# C1, liars


HONEST, DEAD, FAKES = 2000, 800, 100_000


def visits_with_liars(liars: int, real: int = 10) -> tuple[int, int]:
    """How many visits a crawl takes in which liars name 100,000 nodes that are not there, after some that are; and how many are alive."""
    chance, turns = random.Random(11), Queue()
    tellers, lying = [Teller() for _ in range(100)], [Teller() for _ in range(liars)]
    honest = list(names(0, HONEST))
    for node in honest:
        for teller in chance.sample(tellers, 3):
            turns.named(node, teller)
    for liar in lying:
        for node in chance.sample(honest, real):
            turns.named(node, liar)
    for number, node in enumerate(names(HONEST, FAKES if liars else 0)):
        turns.named(node, lying[number % liars])
        turns.named(node, lying[(number + 1) % liars])  # they vouch for each other
    visited = alive = 0
    while (entry := turns.take(0.0) or turns.take_doubtful()) is not None:
        visited += 1
        number = int.from_bytes(entry.id, "big")
        is_there = number < HONEST and number % 5 >= 2
        alive += is_there
        turns.judge(entry, alive=is_there)
        turns.retire(entry)
    return visited, alive


def test_c1_a_hundred_thousand_fakes_make_a_crawl_half_as_long_again_at_most():
    plain, liars = visits_with_liars(0), visits_with_liars(50)
    assert plain == (HONEST, HONEST - DEAD)
    assert liars[1] == HONEST - DEAD
    assert liars[0] <= 1.5 * HONEST


def test_c1_control_where_one_node_that_is_there_vouches_for_all_each_fake_is_visited(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(queue, "_DEAD_FOR_ONE", 10**6)
    visited, alive = visits_with_liars(50)
    assert visited > 50 * HONEST
    assert alive == HONEST - DEAD


def bytes_for(most: int, count: int) -> int:
    turns, teller = Queue(most), Teller()
    tracemalloc.start()
    try:
        for node in names(0, count):
            turns.named(node, teller)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_c1_names_take_memory_for_so_many_nodes_and_no_more():
    assert bytes_for(500, 5000) < 1.2 * bytes_for(500, 1000)


def test_c1_control_without_a_bound_each_takes_some():
    assert bytes_for(10**9, 5000) > 3 * bytes_for(10**9, 1000)


# C2, victims, and C3: one host of many node-IDs


@dataclass
class Bothered:
    """What one host got in some hours."""

    datagrams: list[float]
    calls: list[float]
    nodes: set[int]

    def most(self, times: list[float], span: float) -> int:
        """The most in any such span."""
        return max((sum(first <= when < first + span for when in times[number:]) for number, first in enumerate(times)), default=0)


def bother(politeness: Politeness, ids: int, hours: float, *, alive: bool) -> Bothered:
    """Visit a host with so many node-IDs as soon as it may be, each once, and call those that are alive: as a crawl does."""
    courtesy, got = Courtesy(politeness), Bothered([], [], set())
    left, now = list(range(ids)), 0.0
    while left and now < hours * HOUR:
        node = left[-1].to_bytes(32, "big")
        host = courtesy.host(VICTIM, 30_000 + left[-1] % 30_000)
        when = courtesy.when_to_visit(host, node, now)
        if when > now:
            now = when
            continue
        got.nodes.add(left.pop())
        courtesy.visited(host, node, now)
        got.datagrams += [now] * sum(courtesy.may_send(host, now) for _ in range(8 if alive else 2))
        if alive and courtesy.when_to_dial(host, node, now) <= now:
            courtesy.dialled(host, node, now)
            got.calls.append(now)
    return got


@pytest.mark.parametrize("alive", [False, True], ids=["silent", "answering"])
def test_c2_a_victim_that_all_name_gets_three_calls_in_ten_minutes_at_most(alive: object):
    got = bother(Politeness(), 10_000, 6, alive=bool(alive))
    assert got.most(got.calls, 10 * MINUTE - 1) <= 3
    assert got.most(got.datagrams, MINUTE) <= 60
    assert len(got.datagrams) < 6 * 6 * 3 * 8 + 100
    assert len(got.nodes) <= 6 * 6 * 3 + 3


def test_c2_control_without_bounds_it_gets_all_at_once():
    got = bother(WITHOUT_BOUNDS, 1000, 6, alive=True)
    assert len(got.calls) == 1000
    assert got.datagrams.count(0.0) == 8000


def test_c3_of_a_host_with_a_thousand_node_ids_three_are_visited_in_ten_minutes():
    assert len(bother(Politeness(), 1000, 1, alive=True).nodes) <= 18 + 3


def test_c3_control_where_node_ids_count_alone_all_are():
    assert len(bother(WITHOUT_BOUNDS, 1000, 1, alive=True).nodes) == 1000


# C6, what strangers call themselves


EVIL = '=HYPERLINK("http://x")\x1b]0;owned\x07"}\n<script>alert(1)</script>\u202e\'); DROP TABLE client; --'


def cells_of(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def labels_of(text: str) -> list[dict[str, str]]:
    return [sample.labels for family in text_string_to_metric_families(text) for sample in family.samples]


def test_c6_a_hostile_name_is_text_and_nothing_else_wherever_it_comes(tmp_path: Path):
    file = io.BytesIO()
    write_csv([saying(EVIL)], file)
    head, row = cells_of(file.getvalue())
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) or not cell.isprintable() for cell in row)
    assert len(head) == len(row)
    assert words.inert(EVIL, 1000).isprintable()
    assert labels_of(f'x{{client="{_escaped(EVIL)}"}} 1\n') == [{"client": EVIL}]
    with SqliteStore.create_or_open(tmp_path / "crawl.db") as store:
        store.write(Batch(visits=[rows.visit(said=saying(EVIL).said)]))
        assert [visit.said.client for visit in store.visits() if visit.said] == [EVIL]


def test_c6_control_written_as_it_is_it_acts_everywhere():
    file = io.StringIO()
    csv.writer(file).writerow([EVIL])
    assert cells_of(file.getvalue().encode())[0][0].startswith("=HYPERLINK")
    assert not EVIL.isprintable()
    with pytest.raises(ValueError, match=r"."):
        labels_of(f'x{{client="{EVIL}"}} 1\n')
    connection = sqlite3.connect(":memory:")
    connection.executescript("CREATE TABLE client (name TEXT); INSERT INTO client VALUES ('" + EVIL)  # noqa: S608  (the attack)
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    assert inert.read(f"<td>{EVIL}</td>", "", "")[0]


# C7, lists in DNS


def bought() -> list[KnownNode]:
    """400 nodes of one network that came this week and behave well, beside forty of everywhere."""
    return [replace(at(100 + number, f"9.9.{number // 200}.{number % 200 + 1}"), asn=64666) for number in range(400)]


def test_c7_nobody_fills_a_list_with_nodes_of_one_network():
    chosen = choose([*spread(40), *bought()], ListRules(seed="x"))
    assert sum(node.asn == 64666 for node in chosen.nodes) <= 4
    assert sum(node.asn is None for node in chosen.nodes) == 40


def test_c7_control_without_rules_most_of_it_is_his():
    chosen = choose([*spread(40), *bought()], ListRules(seed="x", off=frozenset(RULES)))
    assert sum(node.asn == 64666 for node in chosen.nodes) > 0.9 * len(chosen.nodes)


# C4, tar-pits, and C5: bombs


async def hold(peer: ScriptedPeer) -> None:
    await peer.begin()
    await trio.sleep_forever()


@pytest.mark.real_clock
async def test_c4_a_tar_pit_takes_the_time_for_a_status_and_no_more():
    with trio.fail_after(10):
        assert (await visited(hold, seconds=0.2)).outcome is Outcome.STATUS_TIMEOUT


@pytest.mark.real_clock
async def test_c4_control_without_a_deadline_it_holds_a_visit_for_ever():
    with trio.move_on_after(0.6) as scope:
        await visited(hold, seconds=10**6)
    assert scope.cancelled_caught


@pytest.mark.real_clock
async def test_c5_messages_without_end_are_not_listened_to():
    assert (await visited(talk, seconds=5.0)).outcome is Outcome.BROKE_RULES


@pytest.mark.real_clock
async def test_c5_control_whoever_listens_to_all_hears_nothing_else(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(status, "_MOST_PASSED", 10**9)
    assert (await visited(talk, seconds=0.5)).outcome is Outcome.STATUS_TIMEOUT


async def talk(peer: ScriptedPeer) -> None:
    await other_messages(peer)
    await trio.sleep(2)


# C8, a flood of calls


async def answered_in_a_flood(limits: InboundLimits) -> tuple[int, int]:
    """How many links stand when one network has called 900 times, and how many of its calls were turned away."""
    async with links(limits) as (listener, inbound):
        for number in range(900):
            listener.come(f"8.8.8.{number % 250}")
        honest = listener.come("9.9.9.9")
        await wait_all_tasks_blocked()
        standing = len(inbound._links)
        assert (await honest.begin()).client_id == "crawler/1"
        return standing, inbound.counts.turned_away


async def test_c8_a_flood_of_calls_takes_a_few_links_and_leaves_room_for_others():
    standing, turned_away = await answered_in_a_flood(InboundLimits())
    assert standing <= 64
    assert turned_away > 800


async def test_c8_control_without_bounds_each_call_takes_a_link():
    assert await answered_in_a_flood(InboundLimits(links=10**6, again=0.0)) == (901, 0)


# C9, the way into private networks


PRIVATE = ["10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1"]


async def places_asked(inside: NodeRecord) -> set[object]:
    """Where a node is asked that answers from outside, and gives a record that names a place inside: at once, and later."""
    stub = Stub(own=inside)
    state, asks, _, _ = make(stub)
    entry = await visit(state, asks)
    question = Question(entry.id, 3, bytes(32))
    for version in (4, 5):
        await asks.further(question, version)
    return {endpoint for _, endpoint in stub.asked}


@pytest.mark.parametrize("ip", PRIVATE)
async def test_c9_a_record_leads_nobody_into_a_network_of_his_own(ip: str):
    assert await places_asked(NodeRecord.from_enr(record(ip))) == {endpoint_of(ASKED)}
    assert not may_be_asked(Endpoint(bytes([203, 0, 114, 9]), 30303), NodeRecord.from_enr(record(ip)))


def test_c9_whoever_is_inside_may_speak_of_it():
    for ip in ("10.0.0.1", "8.8.8.8"):
        assert may_be_asked(Endpoint(bytes([10, 0, 0, 2]), 30303), NodeRecord.from_enr(record(ip)))
    assert may_be_asked(Endpoint(bytes([8, 8, 8, 8]), 30303), NodeRecord.from_enr(record("9.9.9.9")))


@pytest.mark.parametrize("ip", PRIVATE)
async def test_c9_control_whoever_goes_where_a_record_says_goes_inside(ip: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asking, "_at_the_same_place", lambda _asked, told: told)
    assert Endpoint(bytes(map(int, ip.split("."))), 30303) in await places_asked(NodeRecord.from_enr(record(ip)))


# C10, the estimate of recall


def estimated(politeness: Politeness) -> float:
    """What is estimated where half of 2,000 nodes are found, and one host with 1,000 node-IDs names only those that we know."""
    chance = random.Random(3)
    heard = len(bother(politeness, 1000, 0.5, alive=True).nodes)
    told = [True] * 2 * heard + [chance.random() < 0.5 for _ in range(2 * 1000)]
    chance.shuffle(told)
    latest = told[-200:]
    recall = estimate_recall(sum(latest), len(latest), found=1000)
    assert recall is not None
    return recall.estimate


def test_c10_one_host_does_not_make_an_estimate_of_recall():
    assert estimated(Politeness()) == pytest.approx(0.5, abs=0.1)


def test_c10_control_where_each_node_id_is_asked_it_does():
    assert estimated(WITHOUT_BOUNDS) > 0.65
