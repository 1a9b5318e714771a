"""What discovery v4 and v5 have in common: whoever drives a `Protocol` need not know which of them it is."""

from dataclasses import dataclass
from typing import Any

import pytest

from devp2p.addresses import Endpoint
from devp2p.discovery.events import Ended, Event, LookupDone, PingResult, Pong, RecordFound
from devp2p.discovery.protocol import Protocol
from devp2p.errors import LocalProtocolError
from devp2p.keys import PrivateKey
from devp2p.records import NodeRecord
from tests.discovery import strangers, v5_wire
from tests.simulation.network import Network


@dataclass
class Pair:
    """Two nodes that do not know each other."""

    network: Network[bytes, Event]
    one: Protocol[Any, Any]
    here: Endpoint
    other: Protocol[Any, Any]
    there: Endpoint
    record: NodeRecord
    """Of the other."""

    def end_of(self, operation: int) -> Ended:
        """Send what the one has begun, and let time pass until its operation is over."""
        self.network.touch(self.here)
        self.network.run_for(30.0)
        [ended] = [event for _, where, event in self.network.events if where == self.here and isinstance(event, Ended)]
        assert ended.operation == operation
        self.network.events.clear()
        return ended


@pytest.fixture(params=[4, 5])
def pair(request: pytest.FixtureRequest) -> Pair:
    network: Network[bytes, Event] = Network(1)
    if request.param == 4:
        network.now = strangers.START
        (one, here), (other, there) = strangers.make_node(1), strangers.make_node(2)
        found = Pair(network, one, here, other, there, strangers.record_of(other))
    else:
        first, second = v5_wire.make_party(1), v5_wire.make_party(2)
        found = Pair(network, first.node, first.endpoint, second.node, second.endpoint, NodeRecord.from_enr(second.local.record))
    assert found.one.version == request.param
    network.add(found.here, found.one)
    network.add(found.there, found.other)
    network.run_for(10.0)
    return found


def test_a_ping_says_how_the_node_was_seen(pair):
    assert pair.record.enr is not None
    contact = pair.one.contact_of(pair.record)
    assert contact is not None
    assert (contact.id, contact.endpoint) == (pair.record.id, pair.there)

    pinged = pair.end_of(pair.one.ping(contact, pair.network.now))
    assert isinstance(pinged, PingResult)
    assert pinged.pong == Pong(pair.here, pair.record.enr.sequence)
    assert 0.0 < pinged.rtt < 1.0


def test_a_record_is_found_by_asking_its_node(pair):
    contact = pair.one.contact_of(pair.record)
    assert contact is not None
    for begin in (lambda now: pair.one.request_enr(contact, now), lambda now: pair.one.resolve(pair.record, now)):
        found = pair.end_of(begin(pair.network.now))
        assert isinstance(found, RecordFound)
        assert found.record == pair.record.enr
        assert found.contact is not None
        assert pair.one.record_of(found.contact) == pair.record


def test_who_is_silent_has_no_pong_and_no_record(pair):
    contact = pair.one.contact_of(pair.record)
    assert contact is not None
    pair.network.silence(pair.there)
    pinged = pair.end_of(pair.one.ping(contact, pair.network.now))
    assert isinstance(pinged, PingResult)
    assert pinged.pong is None
    for begin in (lambda now: pair.one.request_enr(contact, now), lambda now: pair.one.resolve(pair.record, now)):
        found = pair.end_of(begin(pair.network.now))
        assert isinstance(found, RecordFound)
        assert found.record is None


def test_a_search_finds_who_has_answered_and_takes_targets_of_the_right_sizes_only(pair):
    contact = pair.one.contact_of(pair.record)
    assert contact is not None
    pair.end_of(pair.one.ping(contact, pair.network.now))
    for size in pair.one.target_sizes:
        searched = pair.end_of(pair.one.lookup(bytes(size), pair.network.now))
        assert isinstance(searched, LookupDone)
        assert searched.target == bytes(size)
        assert [found.id for found in searched.contacts] == [pair.record.id]
    with pytest.raises(LocalProtocolError, match=r"a target has .* bytes, not 5"):
        pair.one.lookup(bytes(5), pair.network.now)


def test_nobody_is_found_whom_nobody_knows(pair):
    stranger = NodeRecord(PrivateKey.from_bytes(bytes(31) + b"\x77").public_key)
    assert pair.one.contact_of(stranger) is None
    found = pair.end_of(pair.one.resolve(stranger, pair.network.now))
    assert found == RecordFound(found.operation, None, None)
