"""A book and a model of it, which keeps plain objects, live through the same events; after each of them they agree.

The model states the rules in another way than the code does: it derives what is known of a node from the records that it remembers.
"""

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from devp2p.book import Book, Source
from devp2p.records.enr import Record
from devp2p.records.node_record import NodeRecord
from tests.books import DAY, NOW, enode, key, signed

NODES = range(4)
HOSTS = ("1.2.3.4", "5.6.7.8", "10.0.0.1")
ids = st.sampled_from([key(number).public_key.node_id for number in NODES])
numbers = st.sampled_from(NODES)
records = st.one_of(
    st.builds(enode, numbers, st.sampled_from(HOSTS)),
    st.builds(signed, numbers, st.sampled_from([1, 2, 2**63, 2**64 - 1]), st.sampled_from([None, *HOSTS])),
    st.builds(lambda number: NodeRecord(key(number).public_key), numbers),
)
sources = st.sampled_from(list(Source))


@dataclass
class Known:
    """One node of the model."""

    first_seen: float
    enr: Record | None = None
    unsigned: NodeRecord | None = None
    sources: int = 0
    last_seen: float = 0.0
    last_answered: float | None = None
    last_dialled: float | None = None
    last_connected: float | None = None
    last_failed: float | None = None
    failures: int = 0
    failure: str | None = None
    conflicts: int = 0

    @property
    def record(self) -> NodeRecord:
        """A signed record that says where the node is, or else the endpoint that somebody named."""
        if self.enr is not None and self.enr.ip is not None:
            return NodeRecord.from_enr(self.enr)
        assert self.unsigned is not None
        return self.unsigned

    def hear(self, record: NodeRecord, source: Source, now: float) -> None:
        before = self.record if self.enr or self.unsigned else None
        self.sources |= source
        self.last_seen = now
        sequences = (record.enr.sequence if record.enr else -1, self.enr.sequence if self.enr else -1)
        if sequences[0] > sequences[1]:
            self.enr = record.enr
        elif record.enr and record.enr != self.enr:
            self.conflicts += sequences[0] == sequences[1]
            return
        trusted = source in {Source.STATIC, Source.MANUAL}
        proved = self.last_answered is not None and now - self.last_answered <= 5 * DAY
        if self.enr is not None and self.enr.ip is not None:
            self.unsigned = None
        elif self.unsigned is None or (record.addresses and (trusted or not proved)):
            self.unsigned = NodeRecord(record.public_key, record.addresses, record.udp_port)
        if before and (self.record.udp_endpoints != before.udp_endpoints):
            self.last_answered = None


class BookMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "book"
        self.book = Book.open(self.path)
        self.model: dict[bytes, Known] = {}
        self.now = NOW

    @rule(days=st.sampled_from([0.001, 1.0, 4.0, 20.0, -2.0]))
    def time_passes(self, days: float) -> None:
        self.now += days * DAY

    @rule(record=records, source=sources)
    def hear(self, record: NodeRecord, source: Source) -> None:
        before = self.model.get(record.id)
        old = (before.enr, before.record) if before else None
        self.model.setdefault(record.id, Known(self.now)).hear(record, source, self.now)
        after = self.model[record.id]
        assert self.book.heard(record, source, self.now) == ((after.enr, after.record) != old)

    @rule(node_id=ids)
    def answer(self, node_id: bytes) -> None:
        self.book.answered(node_id, self.now)
        if known := self.model.get(node_id):
            known.last_seen = known.last_answered = self.now

    @rule(node_id=ids, kind=st.sampled_from(["refused", "timeout"]))
    def dial_in_vain(self, node_id: bytes, kind: str) -> None:
        self.book.dialled(node_id, self.now)
        self.book.failed(node_id, kind, self.now)
        if known := self.model.get(node_id):
            known.last_dialled = known.last_failed = self.now
            known.failures, known.failure = known.failures + 1, kind

    @rule(node_id=ids)
    def dial(self, node_id: bytes) -> None:
        with self.book.changes():
            self.book.dialled(node_id, self.now)
            self.book.connected(node_id, self.now)
        if known := self.model.get(node_id):
            known.last_dialled = known.last_connected = known.last_seen = self.now
            known.failures = 0

    @rule(record=records, node_id=ids)
    def changes_fail(self, record: NodeRecord, node_id: bytes) -> None:
        try:
            with self.book.changes():
                self.book.heard(record, Source.MANUAL, self.now)
                self.book.connected(node_id, self.now)
                self.book.forget_older(self.now, 0.0)
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass

    @rule(days=st.sampled_from([1.0, 10.0, 30.0]))
    def forget(self, days: float) -> None:
        times = ("last_seen", "last_answered", "last_dialled", "last_connected", "last_failed")
        for known in self.model.values():
            for name in times:
                value = getattr(known, name)
                setattr(known, name, None if value is None else min(value, self.now))
        owned = Source.STATIC | Source.MANUAL
        gone = [node_id for node_id, known in self.model.items() if not known.sources & owned and known.last_seen < self.now - days * DAY]
        for node_id in gone:
            del self.model[node_id]
        assert self.book.forget_older(self.now, days * DAY) == len(gone)

    @rule()
    def restart(self) -> None:
        self.book.close()
        self.book = Book.open(self.path)

    @invariant()
    def they_agree(self) -> None:
        assert len(self.book) == len(self.model)
        for number in NODES:
            node_id = key(number).public_key.node_id
            entry, known = self.book.get(node_id), self.model.get(node_id)
            assert (entry is None) == (known is None)
            if entry is not None and known is not None:
                assert entry.id == node_id
                for name in ("record", "enr", "sources", "failures", "failure", "conflicts"):
                    assert getattr(entry, name) == getattr(known, name), name
                for name in ("first_seen", "last_seen", "last_answered", "last_dialled", "last_connected", "last_failed"):
                    assert getattr(entry, name) == getattr(known, name), name

    @invariant()
    def seeds_are_those_that_answered(self) -> None:
        seeds = {seed.id: seed for seed in self.book.seeds(now=self.now, random=random.Random(1).random)}
        fresh = {
            node_id: known.record
            for node_id, known in self.model.items()
            if known.last_answered is not None and known.last_answered >= self.now - 5 * DAY
        }
        assert seeds.items() <= fresh.items()
        for host in HOSTS:
            expected = sum(any(address.host == host for address in record.addresses) for record in fresh.values())
            found = sum(any(address.host == host for address in record.addresses) for record in seeds.values())
            assert found == (expected if host == "10.0.0.1" else min(2, expected))

    def teardown(self) -> None:
        if hasattr(self, "book"):
            self.book.close()
            self.directory.cleanup()


BookMachine.TestCase.settings = settings(max_examples=35, stateful_step_count=30)
TestBook = BookMachine.TestCase
