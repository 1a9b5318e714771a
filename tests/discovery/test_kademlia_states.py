"""Whatever happens to a table, it keeps its limits, and what it holds is what a plain dict says that it should."""

import random
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from devp2p.addresses import PROVIDER, SITE, Endpoint, is_local, network_of
from devp2p.discovery.table.contacts import Contact
from devp2p.discovery.table.kademlia import Addition, RoutingTable, distance
from devp2p.discovery.table.shares import TableLimits
from tests.discovery.nodes import Node, closest_of

OWN = bytes(32)
AWAY = st.sampled_from([256, 256, 256, 256, 255, 200])
IDS = st.builds(lambda away, number: ((1 << away - 1) | number).to_bytes(32), AWAY, st.integers(1, 60))
IPS = st.one_of(
    st.builds(lambda net, host: bytes([66, 6, net, host]), st.integers(0, 9), st.integers(1, 9)),
    st.builds(lambda net, host: bytes([66, 7, net, host]), st.integers(0, 255), st.integers(1, 9)),
    st.builds(lambda net, site: bytes([0x26, 0, 0, net, 0, site]) + bytes(10), st.integers(0, 3), st.integers(0, 9)),
    st.sampled_from([b"\x7f\0\0\1", b"\xc0\xa8\0\1"]),
)
ENDPOINTS = st.builds(Endpoint, IPS, st.integers(30303, 30305))


class TableMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.held: dict[bytes, Node] = {}  # what the table keeps of every node that has a place or waits
        self.live: set[bytes] = set()
        self.asked: dict[bytes, Endpoint] = {}

    @initialize(seed=st.integers(0, 2**32), initialised=st.booleans(), local=st.booleans())
    def begin(self, *, seed: int, initialised: bool, local: bool) -> None:
        self.limit_local = local
        self.table: RoutingTable[None] = RoutingTable(OWN, random.Random(seed).random, TableLimits(limit_local_addresses=local))
        self.table.accepts_incoming = initialised

    def everyone(self) -> dict[bytes, Node]:
        parts = [part for bucket in self.table._buckets for part in (bucket.entries, bucket.waiting)]
        everyone = {node_id: entry.contact for part in parts for node_id, entry in part.items()}
        assert len(everyone) == sum(map(len, parts)), "a node is there twice"
        return everyone

    def settle(self, before: set[bytes], gone: set[bytes]) -> None:
        """Only nodes that were waiting may vanish unasked, each for a newer one; and one of `gone`."""
        vanished = self.held.keys() - self.everyone().keys()
        assert len(vanished & before) <= 1
        assert vanished & before <= gone
        for node_id in vanished:
            del self.held[node_id]
            self.live.discard(node_id)

    def counted(self) -> Counter[bytes]:
        """How many nodes each network has."""
        ips = [contact.endpoint.ip for contact in self.held.values()]
        return Counter(network_of(ip, PROVIDER) for ip in ips if self.limit_local or not is_local(ip))

    def share(self) -> int:
        return max(1, min(10, 100 // max(1, len(self.counted()))))

    def farther(self, contact: Node) -> set[bytes]:
        """Nodes of the same network that are in farther buckets."""
        network = network_of(contact.endpoint.ip, PROVIDER)
        others = (other for other in self.held.values() if network_of(other.endpoint.ip, PROVIDER) == network)
        return {other.id for other in others if distance(OWN, other.id) > max(240, distance(OWN, contact.id))}

    @rule(node_id=IDS, endpoint=ENDPOINTS, seq=st.integers(0, 3), incoming=st.booleans(), live=st.booleans())
    def add(self, *, node_id: bytes, endpoint: Endpoint, seq: int, incoming: bool, live: bool) -> None:
        contact: Node = Contact(node_id, endpoint, seq, None)
        held = self.held.get(node_id)
        entries = {entry.contact.id for entry in self.table}
        farther = self.farther(contact) if live and held is None else set[bytes]()
        outcome = self.table.add(contact, self.now, incoming=incoming, live=live)
        if incoming and not self.table.accepts_incoming:
            assert outcome is Addition.REFUSED
            return
        if held is None:
            assert outcome in {Addition.ADDED, Addition.WAITING, Addition.REFUSED}
            if outcome is Addition.REFUSED:
                assert node_id not in self.everyone()
            else:
                self.held[node_id] = contact
                assert (node_id in self.table) == (outcome is Addition.ADDED)
        else:
            assert outcome in ({Addition.UPDATED, Addition.KNOWN} if node_id in entries else {*Addition} - {Addition.REFUSED})
            assert (outcome is Addition.ADDED) == (node_id in self.table and node_id not in entries)
            if outcome is Addition.UPDATED or (outcome is Addition.ADDED and self.everyone()[node_id] != held):
                assert seq > held.seq
                self.held[node_id] = contact
                if endpoint != held.endpoint:
                    self.live.discard(node_id)
            elif seq > held.seq:
                assert network_of(endpoint.ip, SITE) != network_of(held.endpoint.ip, SITE)  # the only reason
        if live and node_id in self.held and self.held[node_id].endpoint == endpoint:
            self.live.add(node_id)
        self.settle(entries, farther)
        if held is None and outcome is not Addition.REFUSED:
            assert self.counted()[network_of(endpoint.ip, PROVIDER)] <= self.share()

    @rule(away=st.sampled_from([256, 255]), first=st.integers(1, 60), number=st.integers(5, 30), incoming=st.booleans())
    def add_many(self, *, away: int, first: int, number: int, incoming: bool) -> None:
        for place in range(first, first + number):
            endpoint = Endpoint(bytes([77, away - 200, place, 1]), 30303)
            self.add(node_id=((1 << away - 1) | place).to_bytes(32), endpoint=endpoint, seq=0, incoming=incoming, live=False)

    @rule(seconds=st.floats(0.0, 12.0))
    def ask(self, seconds: float) -> None:
        self.now += seconds
        due = self.table.next_timer()
        entry = self.table.next_revalidation(self.now)
        if entry is not None:
            assert due is not None
            assert due <= self.now
            assert entry.contact.id not in self.asked
            self.asked[entry.contact.id] = entry.contact.endpoint

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), ok=st.booleans())
    def answer(self, *, data: st.DataObject, ok: bool) -> None:
        node_id = data.draw(st.sampled_from(sorted(self.asked)))
        endpoint = self.asked.pop(node_id)
        entry = self.table.get(node_id)
        entries = {entry.contact.id for entry in self.table}
        current = entry is not None and entry.contact.endpoint == endpoint
        doomed = entry is not None and current and not ok and entry.checks < 3
        if entry is not None and current and ok:
            doomed = self.counted()[network_of(endpoint.ip, PROVIDER)] > self.share()
            self.live.add(node_id)
        kept = self.table.revalidated(node_id, self.now, ok=ok)
        assert kept == (entry is not None and not doomed)
        self.settle(entries, {node_id} if doomed else set())

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        node_id = data.draw(st.sampled_from(sorted(self.held)))
        entries = {entry.contact.id for entry in self.table}
        self.table.remove(node_id, self.now)
        assert node_id not in self.everyone()
        self.settle(entries, {node_id})

    @precondition(lambda self: self.held)
    @rule(data=st.data(), useful=st.booleans(), times=st.integers(1, 5))
    def query(self, *, data: st.DataObject, useful: bool, times: int) -> None:
        node_id = data.draw(st.sampled_from(sorted(self.held)))
        entries = {entry.contact.id for entry in self.table}
        for _ in range(times):
            self.table.queried(node_id, self.now, useful=useful)
        self.settle(entries, set() if useful else {node_id})

    @rule()
    def open(self) -> None:
        self.table.accepts_incoming = True

    @invariant()
    def it_holds_what_the_model_holds(self) -> None:
        assert self.everyone() == self.held
        live = [contact for contact in self.held.values() if contact.id in self.table and contact.id in self.live]
        assert self.table.closest(OWN, 500) == closest_of(live, OWN, 500)
        assert self.table.statistics().live == len(live)
        assert len(self.table) == len(list(self.table)) == sum(self.table.statistics().buckets)

    @invariant()
    def it_keeps_its_limits(self) -> None:
        for index, bucket in enumerate(self.table._buckets):
            entries, waiting = list(bucket.entries.values()), list(bucket.waiting.values())
            assert len(entries) <= 16
            assert len(waiting) <= 10
            assert sum(entry.incoming for entry in entries) <= 8
            assert sum(entry.incoming for entry in waiting) <= 5
            if len(entries) < 16:
                assert all(entry.incoming for entry in waiting)
            here = Counter[bytes]()
            for entry in entries + waiting:
                assert max(0, distance(OWN, entry.contact.id) - 240) == index
                ip = entry.contact.endpoint.ip
                if self.limit_local or not is_local(ip):
                    here[network_of(ip, SITE)] += 1
            assert bucket.networks == here
            assert max(here.values(), default=0) <= 2
        assert self.table._shares._counts == self.counted()
        assert max(self.counted().values(), default=0) <= 10

    @invariant()
    def every_entry_is_on_one_agenda(self) -> None:
        fast, slow = self.table._fast, self.table._slow
        scheduled = Counter(entry.contact.id for agenda in (fast, slow) for entry in agenda.entries)
        assert scheduled == Counter(entry.contact.id for entry in self.table)
        assert all(entry.agenda is agenda for agenda in (fast, slow) for entry in agenda.entries)
        assert all(entry.live for entry in slow.entries)
        assert (self.table.next_timer() is None) == (len(self.table) == 0)


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=20, stateful_step_count=100, deadline=None)
