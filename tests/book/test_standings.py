"""How peers behaved, as a book keeps it: all of it or none, whatever happens to the process that writes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devp2p.book import Book, Source, Standings
from devp2p.book.database import Database
from devp2p.book.schema import APPLICATION_ID, MIGRATIONS
from devp2p.conduct import Conduct
from devp2p.errors import BookError
from devp2p.peers.bans import Ban, Bans, dated
from devp2p.peers.ratings import RatingRow, RatingRule, Ratings
from devp2p.peers.slots.values import Anchor
from tests.books import DAY, NOW, enode

PEERS = 40


def standings(generation: int, peers: int = PEERS) -> Standings:
    """What is kept at some time, all of which says which time that is."""
    rows = tuple(
        RatingRow(
            enode(n).id, name, NOW, NOW, generation, 1.5, 2.0, None if n % 2 else 0.25, 0.5, 3.0, 0.25, 10.0, -7.0, observed=n % 3 > 0
        )
        for n in range(peers)
        for name in ("", "eth")
    )
    bans = tuple(Ban(enode(n).id, NOW, NOW + generation + 1, "garbage") for n in range(peers // 2))
    anchors = tuple(Anchor("eth", place, enode(place).id, enode(place).enode, NOW + generation) for place in range(2))
    return Standings(rows, bans, anchors)


def in_order(found: Standings) -> Standings:
    return Standings(tuple(sorted(found.ratings)), tuple(sorted(found.bans, key=lambda ban: ban.id)), found.anchors)


def test_what_is_kept_is_read_as_it_was_written_and_replaced_as_a_whole(tmp_path):
    with Book.open(tmp_path / "book") as book:
        assert book.standings == Standings()
        book.standings = standings(1)
        book.standings = standings(2, 7)
    with Book.open(tmp_path / "book") as book:
        assert in_order(book.standings) == in_order(standings(2, 7))
        book.standings = Standings()
        assert book.standings == Standings()


def test_it_outlives_the_rows_of_nodes_which_strangers_can_have_forgotten():
    with Book.open(":memory:", max_nodes=10) as book:
        book.heard(enode(0), Source.V4, NOW)
        book.standings = standings(1)
        for number in range(100, 300):
            book.heard(enode(number), Source.V4, NOW)
        assert book.get(enode(0).id) is None
        assert in_order(book.standings) == in_order(standings(1))


def test_if_it_cannot_be_written_what_was_kept_before_stays(tmp_path):
    with Book.open(tmp_path / "book") as book:
        book.standings = standings(1)
        wrong = standings(2).ratings[0]
        for bad in ({"id": b"short"}, {"score": float("nan")}):  # which SQLite takes for nothing at all
            with pytest.raises(BookError):
                book.standings = Standings((*standings(2, 3).ratings[2:], wrong._replace(**bad)))
        assert in_order(book.standings) == in_order(standings(1))


def test_a_book_of_the_first_version_is_brought_up_to_date_and_keeps_its_nodes(tmp_path):
    path = tmp_path / "book"
    first = Database.open(str(path), MIGRATIONS[:1], APPLICATION_ID)
    first.run("INSERT INTO dns_trees VALUES ('example.org', ?)", bytes(8))
    first.close()
    with Book.open(path) as book:
        assert book.dns_sequences() == {"example.org": 0}
        book.standings = standings(1)
        assert in_order(book.standings) == in_order(standings(1))


WRITE = """
import os, signal, sys
from devp2p.book import Book
from tests.book.test_standings import PEERS, standings
last = int(sys.argv[2])
statements = 0
def count(_):
    global statements
    statements += 1
    if statements == last:
        os.kill(os.getpid(), signal.SIGKILL)
with Book.open(sys.argv[1]) as book:
    book._database._connection.execute("PRAGMA cache_size = 5")  # so that half of a transaction is in the file already
    book._database._connection.set_trace_callback(count)
    for generation in range(1, 1000):
        new, old = standings(generation, PEERS - generation % 3), book.standings
        if sys.argv[3] == "whole":
            book.standings = new
        else:
            forgotten, lifted = ({row.id for row in rows} for rows in (old.ratings, old.bans))
            book.change_standings(new, forgotten=forgotten - {row.id for row in new.ratings}, lifted=lifted - {ban.id for ban in new.bans})
        print(generation, flush=True)
"""


def check_killed(path: Path, code: int, said: bytes) -> None:
    assert code == -signal.SIGKILL
    assert path.with_name("book-wal").exists()  # it did not come to close the file
    told = len(said.split())
    with Book.open(path) as book:
        found = in_order(book.standings)
        generation = found.ratings[0].sessions if found.ratings else 0
        assert generation in {told, told + 1}
        assert found == (in_order(standings(generation, PEERS - generation % 3)) if generation else Standings())
        assert book._database.rows("PRAGMA integrity_check") == [("ok",)]
        book.standings = standings(5000)


KILLED = [("whole", 5), ("whole", 107), ("changed", 70)]
KILLED_ELSEWHERE = [*(("whole", last) for last in (1, 2, 60, 500, 1003)), *(("changed", last) for last in (5, 400, 900))]


@pytest.mark.parametrize(("how", "last"), [*KILLED, *(pytest.param(*one, marks=pytest.mark.simulation) for one in KILLED_ELSEWHERE)])
def test_a_process_that_is_killed_while_it_writes_leaves_all_of_it_or_all_of_what_was_before(tmp_path, how, last):
    path = tmp_path / "book"
    done = subprocess.run([sys.executable, "-c", WRITE, path, str(last), how], stdout=subprocess.PIPE, check=False)
    check_killed(path, done.returncode, done.stdout)


@pytest.mark.parametrize("generations", [7, *(pytest.param(other, marks=pytest.mark.simulation) for other in (1, 20))])
def test_a_process_that_is_killed_from_outside_leaves_all_of_it_or_all_of_what_was_before(tmp_path, generations):
    path = tmp_path / "book"
    with subprocess.Popen([sys.executable, "-c", WRITE, path, "0", "changed"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = b"".join(process.stdout.readline() for _ in range(generations))
        process.kill()
        said += process.stdout.read()
        process.wait()
    check_killed(path, process.returncode, said)


@pytest.mark.parametrize("away", [0.0, DAY, 8 * DAY, -DAY])
def test_ratings_and_bans_heal_in_the_time_between_and_a_clock_set_back_does_not_matter(tmp_path, away):
    rules = [RatingRule("eth")]
    before, bans = Ratings(rules), Bans()
    before.proved(enode(1).id, ["eth"], 0.0)
    before.observe(enode(1).id, "eth", Conduct(useful=31.0, invalid=2), 0.0)
    bans.ban(enode(1).id, 0.0, 2 * DAY, "garbage")
    with Book.open(tmp_path / "book") as book:
        book.standings = Standings(tuple(before.dump(0.0, NOW)), tuple(dated(ban, 0.0, NOW) for ban in bans.active(0.0)))
    after, later = Ratings(rules), Bans()
    with Book.open(tmp_path / "book") as book:
        after.load(book.standings.ratings, 500.0, NOW + away)
        later.load(book.standings.bans, 500.0, NOW + away)
    standing = after.standing(enode(1).id, "eth", 500.0)
    if away == 8 * DAY:
        assert standing.rating is None
        assert later.get(enode(1).id, 500.0) is None
        return
    absent = max(0.0, away)
    assert standing.severity == pytest.approx(2 * 0.5 ** (max(0.0, absent - 3600) / DAY))
    ban = later.get(enode(1).id, 500.0)
    assert ban is not None
    assert ban.until == pytest.approx(500.0 + 2 * DAY - absent)
