"""What a node remembers from start to start: only what has changed is written, and what is read is as if all had been."""

import random
from collections.abc import Iterator

import pytest

from devp2p.book import Book
from devp2p.conduct import Conduct
from devp2p.errors import BookError, DisconnectReason, PeerDisconnected
from devp2p.node.pace import PolicyClock
from devp2p.node.persistence import TOLERANCE, StandingsKeeper
from devp2p.node.steering import BETWEEN_SAVES
from devp2p.peers.bans import Bans
from devp2p.peers.candidates import Pool
from devp2p.peers.ratings import RatingRule, Ratings
from tests.books import DAY, NOW, enode

LEFT = PeerDisconnected(DisconnectReason.REQUESTED, by_remote=True)
BREACH = PeerDisconnected(DisconnectReason.PROTOCOL_BREACH, by_remote=False)
NAMES = ("eth", "snap")
HOUR = 3600.0
ROWS = 3  # of each peer: one for each name, and one for the base protocol


class Life:
    """A node's memory, with a clock of its own and one of the system's."""

    def __init__(self, book: Book, monkeypatch: pytest.MonkeyPatch, passed: float = 0.0, *, max_peers: int = 8192, pace: float = 1.0):
        self.book = book
        self.now = 500.0 + passed
        self.wall = NOW + passed
        self.ratings = Ratings([RatingRule(name) for name in NAMES], max_peers=max_peers)
        self.bans = Bans()
        self.clock = PolicyClock(pace)
        self.memory = StandingsKeeper(book, self.ratings, self.bans, Pool(), self.clock)
        monkeypatch.setattr("devp2p.node.persistence.time.time", lambda: self.wall)
        self.memory.load(lambda *_: None, self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds

    def session(self, number: int, useful: float, invalid: int = 0) -> None:
        """A peer comes, and brings something."""
        self.ratings.proved(enode(number).id, NAMES, self.clock.at(self.now))
        self.report(number, useful, invalid)

    def report(self, number: int, useful: float, invalid: int = 0) -> None:
        for name in NAMES:
            self.ratings.observe(enode(number).id, name, Conduct(useful=useful, invalid=invalid), self.clock.at(self.now))

    def leaves(self, number: int) -> None:
        self.ratings.ended(enode(number).id, LEFT, self.clock.at(self.now))

    def breaks_the_rules(self, number: int) -> None:
        self.ratings.ended(enode(number).id, BREACH, self.clock.at(self.now))

    def save(self) -> int:
        """Save, and tell how many rows of ratings were written."""
        written: list[object] = []
        run_many = self.book._database.run_many

        def counted(statement, rows):
            rows = list(rows)
            written.extend(rows if statement.startswith("INSERT INTO ratings") else ())
            run_many(statement, rows)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.book._database, "run_many", counted)
            self.memory.save({}, self.now)
        return len(written)


def same(one: Life, other: Life) -> bool:
    """Whether they know the same of the same peers."""
    assert one.now == other.now
    known = set(one.ratings)
    assert known == set(other.ratings)
    for life in (one, other):
        life.ratings.dump(life.now, life.wall)  # which brings also those up to date who are absent
    for node_id in known:
        for name in NAMES:
            left, right = (life.ratings.standing(node_id, name, life.now) for life in (one, other))
            assert (left.rating, left.score, left.severity) == pytest.approx((right.rating, right.score, right.severity))
            assert left.sessions == right.sessions
    return bool(known)


@pytest.mark.parametrize("seed", range(4))
def test_a_life_that_was_saved_change_by_change_is_read_as_it_was(seed, monkeypatch):
    """Peers come, serve, misbehave, leave, are forgotten for want of room, come again and are banned, through three starts."""
    chance = random.Random(seed)
    with Book.open(":memory:") as book:
        life = Life(book, monkeypatch, max_peers=30)
        for _ in range(3):
            there: dict[int, float] = {}
            for _ in range(60):
                number = chance.randrange(60)
                if there.pop(number, None) is not None:
                    life.leaves(number)
                else:
                    there[number] = chance.random() * 50
                    life.session(number, there[number], chance.choice((0, 0, 0, 1, 4)))
                there = {peer: useful + chance.random() for peer, useful in there.items()}
                for peer, useful in there.items():
                    life.report(peer, useful)
                if chance.random() < 0.2:
                    life.bans.ban(enode(number).id, life.now, chance.choice((600.0, DAY)), "garbage")
                life.sleep(60.0)
                life.ratings.refresh(life.now)
                life.save()
            for peer in there:
                life.leaves(peer)
            life.save()
            again = Life(book, monkeypatch, life.now - 500.0)
            assert bans_of(again) == pytest.approx(bans_of(life))
            assert len(bans_of(life)) > 1
            assert same(life, again)
            life = again
            life.ratings._max_peers = 30


def bans_of(life: Life) -> dict[bytes, float]:
    return {ban.id: ban.until for ban in life.bans.active(life.now)}


@pytest.fixture
def life(monkeypatch) -> Iterator[Life]:
    """Two hundred peers are remembered, of which ten are there."""
    with Book.open(":memory:") as book:
        life = Life(book, monkeypatch)
        for number in range(200):
            life.session(number, 10.0)
            if number >= 10:
                life.leaves(number)
        assert life.save() == 200 * ROWS
        yield life


def test_only_what_has_changed_is_written(life):
    life.sleep(60.0)
    assert life.save() == 10 * ROWS  # those who are there, whose ratings change with time
    life.leaves(0)
    life.session(50, 1.0)
    life.session(60, 1.0)
    life.breaks_the_rules(60)
    life.sleep(60.0)
    assert life.save() == 12 * ROWS  # nine of the ten, who has left, who has come, and who broke the rules
    life.sleep(60.0)
    assert life.save() == 10 * ROWS


def test_who_is_forgotten_is_in_the_book_no_more(life):
    life.sleep(60.0)
    life.ratings._max_peers = 150
    life.session(1000, 1.0)
    life.save()
    assert {row.id for row in life.book.standings.ratings} == set(life.ratings)
    assert len(life.ratings) <= 150


def test_who_comes_back_forgotten_and_shares_less_has_no_rows_of_what_it_shared(life):
    life.ratings._max_peers = 1
    life.session(1000, 1.0)
    assert enode(50).id not in life.ratings
    life.ratings._max_peers = 8192
    life.ratings.proved(enode(50).id, ["eth"], life.now)
    life.save()
    assert {row.capability for row in life.book.standings.ratings if row.id == enode(50).id} == {"", "eth"}


@pytest.mark.parametrize("jump", [-3600.0, -TOLERANCE - 1, TOLERANCE + 1, 30 * DAY])
def test_when_the_clock_was_set_all_is_written_anew_and_nobody_is_older_or_younger(life, jump, monkeypatch):
    life.sleep(60.0)
    life.wall += jump
    assert life.save() == 200 * ROWS
    life.sleep(60.0)
    assert life.save() == 10 * ROWS
    again = Life(life.book, monkeypatch, 0.0)
    again.now, again.wall = life.now, life.wall
    again.ratings = Ratings([RatingRule(name) for name in NAMES])
    again.ratings.load(life.book.standings.ratings, life.now, life.wall)
    assert same(life, again)


@pytest.mark.parametrize("is_saved", [True, False], ids=["saved", "killed before"])
@pytest.mark.parametrize("jump", [-30 * DAY, -HOUR, -TOLERANCE - 1, 0.0, TOLERANCE + 1, HOUR, 6 * DAY])
def test_a_ban_is_not_longer_than_it_was_meant_and_a_jump_of_the_clock_lifts_none_that_is_saved(jump, is_saved, monkeypatch):
    """The system's clock is set, or it alone goes on while the machine sleeps; then the node starts again."""
    with Book.open(":memory:") as book:
        life = Life(book, monkeypatch)
        life.bans.ban(enode(1).id, life.now, HOUR, "a breach")
        life.save()
        life.sleep(HOUR / 2)
        life.wall += jump
        left = HOUR / 2
        if is_saved:
            life.save()
        else:  # what the system's clock says is all that is known
            left = max(0.0, min(HOUR, HOUR / 2 - jump))
        again = Life(book, monkeypatch, life.wall - NOW)
        ban = again.bans.get(enode(1).id, again.now)
        assert (ban.until - again.now if ban is not None else 0.0) == pytest.approx(left)
        assert life.bans.get(enode(1).id, life.now + HOUR / 2 - 1) is not None
        assert life.bans.get(enode(1).id, life.now + HOUR / 2) is None


def test_a_book_of_a_clock_that_was_ahead_is_written_anew(life, monkeypatch):
    again = Life(life.book, monkeypatch, -DAY)
    assert again.save() == 200 * ROWS


def test_at_another_pace_all_is_written_each_time(monkeypatch):
    with Book.open(":memory:") as book:
        life = Life(book, monkeypatch, pace=60.0)
        for number in range(5):
            life.session(number, 1.0)
            life.leaves(number)
        written = [life.save()]
        life.sleep(BETWEEN_SAVES)
        assert [*written, life.save()] == [5 * ROWS, 5 * ROWS]


def test_what_could_not_be_written_is_written_the_next_time(life, monkeypatch, caplog):
    life.session(50, 100.0)
    life.leaves(50)
    life.bans.ban(enode(51).id, life.now, DAY, "garbage")
    with monkeypatch.context() as patch:

        def fails(*_, **__):
            raise BookError("the disk is full")

        patch.setattr(life.book, "change_standings", fails)
        life.save()
    assert "the disk is full" in caplog.text
    assert life.book.standings.bans == ()
    life.sleep(60.0)
    assert life.save() == 11 * ROWS
    assert [ban.id for ban in life.book.standings.bans] == [enode(51).id]


def test_a_book_that_could_not_be_read_is_written_as_a_whole(life, monkeypatch):
    with monkeypatch.context() as patch:

        def fails(_):
            raise BookError("it is damaged")

        patch.setattr("devp2p.book.book.load", fails)
        again = Life(life.book, monkeypatch, 60.0)
        again.session(7, 1.0)
        assert again.save() == ROWS
    assert {row.id for row in life.book.standings.ratings} == {enode(7).id}
