"""What a node keeps of peers for nobody but itself."""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.book import Book, BookError, Vault
from devp2p.keys import PrivateKey
from tests.books import NOW

KEY, OTHER = (PrivateKey.from_bytes(bytes(31) + bytes([number])) for number in (1, 2))
ONE, TWO, THREE = (bytes(31) + bytes([number]) for number in (1, 2, 3))
SECRET = b"nobody may read this"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nodes.db"


@given(st.dictionaries(st.binary(min_size=32, max_size=32), st.binary(max_size=300), max_size=5))
def test_what_is_kept_comes_back(kept: dict[bytes, bytes]) -> None:
    with Book.open(":memory:") as book:
        vault = Vault(book, KEY)
        assert vault.keep(kept, NOW)
        assert dict(Vault(book, KEY).load()) == kept


def test_the_newest_is_kept_and_nothing_of_what_is_forgotten(path: Path) -> None:
    with Book.open(path) as book:
        vault = Vault(book, KEY)
        for node_id, data, used in ((ONE, b"old", NOW), (TWO, b"two", NOW + 1), (THREE, b"three", NOW - 1), (ONE, b"new", NOW + 2)):
            assert vault.keep({node_id: data}, used)
        assert vault.keep({THREE: None}, NOW)
    with Book.open(path) as book:
        assert Vault(book, KEY).load() == [(TWO, b"two"), (ONE, b"new")]


def test_the_file_shows_nothing_of_it(path: Path) -> None:
    with Book.open(path) as book:
        Vault(book, KEY).keep({ONE: SECRET}, NOW)
        book.keep_sealed(TWO, SECRET + b" unless it is not sealed", NOW)
    files = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert files.count(SECRET) == files.count(SECRET + b" unless") > 0
    assert not any(file.stat().st_mode & 0o077 for file in path.parent.iterdir())


def test_with_another_key_nothing_opens_and_all_of_it_stays_for_the_right_one(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Book.open(path) as book:
        Vault(book, KEY).keep({ONE: SECRET}, NOW)
        with caplog.at_level(logging.WARNING):
            assert Vault(book, OTHER).load() == []
        assert "1 nodes do not open" in caplog.text
        assert Vault(book, KEY).load() == [(ONE, SECRET)]


def test_of_what_does_not_open_only_so_much_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devp2p.book.vault.MOST_ROWS", 4)
    with Book.open(path) as book:
        for number in range(4):
            Vault(book, KEY).keep({bytes([number]) * 32: SECRET}, NOW + number)
        Vault(book, OTHER).keep({ONE: b"mine"}, NOW)
        assert Vault(book, OTHER).load() == [(ONE, b"mine")]
        assert [node_id[0] for node_id, _ in Vault(book, KEY).load()] == [1, 2, 3]


@pytest.mark.parametrize("damage", [b"", bytes(11), bytes(12), bytes(60)])
def test_what_is_damaged_counts_as_none_and_the_rest_is_read(path: Path, damage: bytes) -> None:
    with Book.open(path) as book:
        vault = Vault(book, KEY)
        vault.keep({ONE: SECRET}, NOW)
        book.keep_sealed(TWO, damage, NOW)
        assert vault.load() == [(ONE, SECRET)]


def test_a_row_belongs_to_one_node(path: Path) -> None:
    with Book.open(path) as book:
        vault = Vault(book, KEY)
        vault.keep({ONE: SECRET}, NOW)
        ((_, sealed),) = book.sealed
        book.keep_sealed(TWO, sealed, NOW)
        assert vault.load() == [(ONE, SECRET)]


def test_no_two_rows_have_one_nonce() -> None:
    with Book.open(":memory:") as book:
        vault = Vault(book, KEY)
        seen = set[bytes]()
        for _ in range(20):
            vault.keep({ONE: SECRET}, NOW)
            seen.add(book.sealed[0][1])
        assert len({sealed[:12] for sealed in seen}) == 20


def test_a_book_that_fails_keeps_nothing_and_says_so(path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with Book.open(path) as book:
        vault = Vault(book, KEY)

        def full(*_: object) -> None:
            raise BookError("the disk is full")

        with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
            patch.setattr(Book, "keep_sealed", full)
            assert not vault.keep({ONE: SECRET}, NOW)
        assert "the disk is full" in caplog.text
        assert vault.load() == []
        assert vault.keep({ONE: SECRET}, NOW)


@pytest.mark.parametrize("is_link", [False, True])
def test_what_was_flushed_was_written_to_the_log_before(path: Path, monkeypatch: pytest.MonkeyPatch, *, is_link: bool) -> None:
    flushed: list[int] = []

    def fsync(number: int) -> None:
        flushed.append(os.fstat(number).st_ino)

    named = path
    if is_link:
        named = path.with_name("link.db")
        path.touch()
        named.symlink_to(path)
    with Book.open(named) as book:
        vault = Vault(book, KEY)
        vault.keep({ONE: SECRET}, NOW)
        with monkeypatch.context() as patch:
            patch.setattr("devp2p.book.database.os.fsync", fsync)
            vault.flush()
        assert flushed == [path.with_name(f"{path.name}-wal").stat().st_ino]
        with pytest.raises(BookError, match="in use"):  # it has kept its locks
            Book.open(named)
    with Book.open(":memory:") as book:
        Vault(book, KEY).flush()
