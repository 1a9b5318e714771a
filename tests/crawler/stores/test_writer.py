"""The thread that writes: nothing waits for it, and what fails is tried again, and told once."""

from itertools import islice

from devp2p_crawler.model import Batch
from devp2p_crawler.stores import SqliteStore, Writer

from tests.crawler import rows


def test_what_is_put_is_written(tmp_path):
    with Writer([SqliteStore.create_or_open(tmp_path / name) for name in ("one.db", "two.db")]) as writer:
        for batch in islice(rows.stream(7), 100):
            writer.put(batch)
    assert (writer.spooled, writer.lost, writer.lag, writer.trouble) == (0, 0, 0.0, None)
    expected = [visit for batch in islice(rows.stream(7), 100) for visit in batch.visits]
    for name in ("one.db", "two.db"):
        with SqliteStore.open_reading(tmp_path / name) as store:
            assert list(store.visits()) == expected
            assert list(store.crawls()) == [rows.crawl(vantage="place 1")]


def test_a_batch_may_be_used_again_after_it_was_put(tmp_path):
    with Writer([SqliteStore.create_or_open(tmp_path / "crawl.db")]) as writer:
        batch = Batch(visits=[rows.visit()])
        writer.put(batch)
        batch.visits.clear()
    with SqliteStore.open_reading(tmp_path / "crawl.db") as store:
        assert list(store.visits()) == [rows.visit()]
