"""What every sink does, whatever it writes to. `SinkConformance` has the tests; a class of tests that inherits it says how a sink is
opened, and how what is in it is read back."""

import random
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

import pytest
from devp2p_crawler.model import Batch, Crawl, Kind, Outcome, Said, Sighting, SignedRecord, Visit
from devp2p_crawler.stores import RowsRefusedError, Sink, storable

from tests.crawler import rows


@dataclass(frozen=True)
class Contents:
    """What is in a sink, each kind of row in one order; two sinks that were given the same are equal."""

    crawls: list[Crawl]
    sightings: list[Sighting]
    records: list[SignedRecord]
    visits: list[Visit]
    due: dict[bytes, int]


def contents(crawls, sightings, records, visits, due) -> Contents:
    """The same, of rows in any order."""
    return Contents(
        sorted(crawls, key=lambda crawl: crawl.id),
        sorted(sightings, key=lambda sighting: (sighting.node, sighting.vantage, sighting.ip, sighting.udp, sighting.tcp)),
        sorted(records, key=lambda record: (record.node, record.sequence, record.raw)),
        sorted(visits, key=lambda visit: (visit.node, visit.kind, visit.began, visit.crawl)),
        dict(due),
    )


class Place(Protocol):
    """Where a sink writes to: empty at first."""

    def open(self) -> Sink: ...

    def read(self) -> Contents:
        """What is in it, by another connection than the sink's."""
        ...


def stored(said: Said | None) -> Said | None:
    """What a sink keeps of what a node said."""
    if said is None:
        return None
    client = None if said.client is None else storable(said.client)
    return replace(said, client=client, capabilities=tuple(map(storable, said.capabilities)))


class SinkConformance(ABC):
    @abstractmethod
    def place(self, tmp_path) -> AbstractContextManager[Place]:
        """A new place to write to."""

    @pytest.fixture
    def here(self, tmp_path):
        with self.place(tmp_path) as place:
            yield place

    def test_what_is_written_is_read_back(self, here: Place) -> None:
        said = Said(
            client="Geth/v1.16.7",
            capabilities=("eth/69", "snap/1"),
            listen_port=30303,
            eth_version=69,
            network_id=1,
            genesis=bytes(range(32)),
            fork_hash=b"\x01\x02\x03\x04",
            fork_next=1_800_000_000,
            head=bytes(range(32, 64)),
            head_number=23_000_000,
            reason=4,
        )
        batch = Batch(
            crawls=[rows.crawl(1, ended=rows.BEGIN + 5), rows.crawl(2, vantage="elsewhere")],
            sightings=[rows.sighting(1), rows.sighting(2, ip=b"\x20\x01" + bytes(14)), rows.sighting(3, ip=b"", udp=0, tcp=0)],
            records=[rows.record(1, 7), rows.record(1, 8, raw=b"\xc1\x80" * 150)],
            visits=[
                rows.visit(1, rtt=20_000, asked=3, told=16),
                rows.visit(1, kind=Kind.RLPX, said=said),
                rows.visit(2, 1, Outcome.SILENT, asked=4),
                rows.visit(2, 1, Outcome.NO_ADDRESS, kind=Kind.V5, ip=b"", port=0, of=2),
                rows.visit(9, 2, Outcome.DISCONNECTED, kind=Kind.INBOUND, said=Said(reason=16), ip=bytes(16)),
                rows.visit(9, 3, Outcome.DISCONNECTED, kind=Kind.INBOUND, said=Said()),
            ],
            due={rows.node_id(1): rows.BEGIN + 1, rows.node_id(2): rows.BEGIN + 2},
        )
        sink = here.open()
        sink.write(batch)
        sink.close()
        assert here.read() == contents(batch.crawls, batch.sightings, batch.records, batch.visits, batch.due)

    def test_writing_again_changes_nothing(self, here: Place) -> None:
        batches = [batch for batch, _ in zip(rows.stream(1, crawls=2), range(10), strict=False)]
        sink = here.open()
        for batch in batches:
            sink.write(batch)
        before = here.read()
        assert len(before.visits) > 100
        for batch in [*batches, batches[0]]:
            sink.write(batch)
            sink.write(batch)
        sink.close()
        assert here.read() == before

    def test_a_batch_with_the_same_row_twice_has_it_once(self, here: Place) -> None:
        batch = Batch(crawls=[rows.crawl()] * 2, sightings=[rows.sighting()] * 2, records=[rows.record()] * 2, visits=[rows.visit()] * 2)
        sink = here.open()
        sink.write(batch)
        sink.close()
        assert here.read() == contents([rows.crawl()], [rows.sighting()], [rows.record()], [rows.visit()], {})

    def test_an_empty_batch_is_none(self, here: Place) -> None:
        sink = here.open()
        sink.write(Batch())
        sink.close()
        assert here.read() == contents([], [], [], [], {})

    def test_a_batch_with_a_row_that_cannot_be_is_refused_whole(self, here: Place) -> None:
        sink = here.open()
        sink.write(Batch(crawls=[rows.crawl()]))
        before = here.read()
        for wrong in (
            Batch(visits=[rows.visit(1), replace(rows.visit(2), node=b"short")]),
            Batch(visits=[rows.visit(1), replace(rows.visit(2), ip=bytes(5))]),
            Batch(visits=[rows.visit(1), replace(rows.visit(2), began=2**63)]),
            Batch(visits=[rows.visit(1)], sightings=[replace(rows.sighting(1), ip=bytes(3))]),
            Batch(visits=[rows.visit(1)], crawls=[replace(rows.crawl(3), id=b"short")]),
        ):
            with pytest.raises(RowsRefusedError):
                sink.write(wrong)
            assert here.read() == before
        sink.write(Batch(visits=[rows.visit(1)]))
        sink.close()
        assert here.read().visits == [rows.visit(1)]

    def test_a_crawl_may_come_after_its_visits(self, here: Place) -> None:
        sink = here.open()
        sink.write(Batch(visits=[rows.visit()]))
        assert here.read().crawls == []
        sink.write(Batch(crawls=[rows.crawl()]))
        sink.close()
        assert here.read() == contents([rows.crawl()], [], [], [rows.visit()], {})

    def test_a_crawl_that_was_told_later_replaces_an_earlier_one_whichever_comes_first(self, here: Place) -> None:
        early, late = rows.crawl(updated=rows.BEGIN + 1), replace(rows.crawl(updated=rows.BEGIN + 2), counters='{"found":2}')
        sink = here.open()
        for crawls in ([early], [late], [early], [late, early], [early, late]):
            sink.write(Batch(crawls=crawls))
        sink.close()
        assert here.read().crawls == [late]

    def test_of_a_place_the_first_and_the_last_time_are_kept(self, here: Place) -> None:
        sink = here.open()
        for first, last in ((5, 6), (7, 9), (3, 4), (5, 5)):
            sink.write(Batch(sightings=[rows.sighting(1, first, last)]))
        sink.write(
            Batch(sightings=[rows.sighting(1, 100, ip=bytes(16)), rows.sighting(1, 200, vantage="elsewhere"), rows.sighting(1, 1, 2)])
        )
        sink.close()
        assert (
            here.read().sightings
            == contents(
                [], [rows.sighting(1, 1, 9), rows.sighting(1, 100, ip=bytes(16)), rows.sighting(1, 200, vantage="elsewhere")], [], [], {}
            ).sightings
        )

    def test_of_a_record_the_first_time_is_kept_and_each_version(self, here: Place) -> None:
        sink = here.open()
        sink.write(Batch(records=[rows.record(seen=5), rows.record(sequence=2**64 - 1, raw=b"\xc1\x01"), rows.record(raw=b"\xc1\x02")]))
        sink.write(Batch(records=[rows.record(seen=3), rows.record(seen=9)]))
        sink.close()
        expected = [rows.record(seen=3), rows.record(raw=b"\xc1\x02"), rows.record(sequence=2**64 - 1, raw=b"\xc1\x01")]
        assert here.read().records == expected

    def test_the_last_word_on_when_a_node_is_due_counts(self, here: Place) -> None:
        sink = here.open()
        for due in (5, 9, 7):
            sink.write(Batch(due={rows.node_id(1): due}))
        sink.close()
        assert here.read().due == {rows.node_id(1): 7}

    def test_text_of_strangers_is_kept_and_does_nothing(self, here: Place) -> None:
        visits = [
            rows.visit(1, number, kind=Kind.RLPX, said=Said(client=text, capabilities=(text, f"{text}/1", "eth/69")))
            for number, text in enumerate(rows.HOSTILE)
        ]
        crawls = [
            replace(rows.crawl(number, vantage=text or "none"), program=text, settings=text, counters=text)
            for number, text in enumerate(rows.HOSTILE, 1)
        ]
        sink = here.open()
        sink.write(Batch(crawls=crawls, visits=visits, sightings=[rows.sighting(1, vantage=text or "none") for text in rows.HOSTILE]))
        sink.close()
        found = here.read()
        assert [visit.said for visit in found.visits] == [stored(visit.said) for visit in visits]
        assert [(crawl.vantage, crawl.settings) for crawl in found.crawls] == [(storable(c.vantage), storable(c.settings)) for c in crawls]
        assert {sighting.vantage for sighting in found.sightings} == {storable(crawl.vantage) for crawl in crawls}

    def test_numbers_of_strangers_fit_or_are_brought_to_fit(self, here: Place) -> None:
        tops = [0, 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
        visits = [
            rows.visit(
                *(1, number),
                said=Said(client="c", eth_version=69, network_id=top, fork_next=top, head_number=top, listen_port=top % 2**16, reason=255),
            )
            for number, top in enumerate(tops)
        ]
        beyond = rows.visit(2, said=Said(client="c", eth_version=69, network_id=2**64, fork_next=2**300, head_number=-1))
        sink = here.open()
        sink.write(Batch(visits=[*visits, beyond]))
        sink.close()
        found = {(visit.node, visit.began): visit for visit in here.read().visits}
        assert [found[visit.node, visit.began] for visit in visits] == visits
        said = found[beyond.node, beyond.began].said
        assert said is not None
        assert (said.network_id, said.fork_next, said.head_number) == (2**64 - 1, 2**64 - 1, 0)

    def test_times_before_1970_and_far_ahead_are_times(self, here: Place) -> None:
        visits = [replace(rows.visit(1), began=began, ended=began - 5) for began in (-1, 0, 1, 2**53, 2**60)]
        sink = here.open()
        sink.write(Batch(visits=visits))
        sink.close()
        assert here.read().visits == visits

    def test_a_large_batch_is_written_at_once(self, here: Place) -> None:
        chance = random.Random(5)
        visits = [
            rows.visit(chance.randint(1, 400), number / 1000, kind=chance.choice([*Kind]), of=chance.randint(1, 2))
            for number in range(5000)
        ]
        sink = here.open()
        sink.write(Batch(crawls=[rows.crawl(1), rows.crawl(2)], visits=visits))
        sink.close()
        assert here.read().visits == contents([], [], [], visits, {}).visits

    def test_what_was_written_is_there_when_it_is_opened_again(self, here: Place) -> None:
        for number in range(3):
            sink = here.open()
            sink.write(Batch(visits=[rows.visit(number)]))
            sink.close()
        assert len(here.read().visits) == 3
