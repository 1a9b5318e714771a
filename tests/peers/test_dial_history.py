"""When nodes that were found are dialled again, and how often one host is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.addresses import Address
from devp2p.errors import DialError, DisconnectReason, PeerDisconnected
from devp2p.keys import PrivateKey
from devp2p.peers.dial_history import (
    AFTER_SESSION,
    BUSY,
    HOST_INTERVAL,
    HOST_NODES,
    HOST_WINDOW,
    LONGEST,
    UNREACHABLE,
    USELESS,
    DialHistory,
)
from devp2p.records.node_record import NodeRecord

KEYS = [PrivateKey.from_bytes(n.to_bytes(32, "big")).public_key for n in range(1, 60)]
VICTIM = "9.9.9.9"


def node(number: int, *hosts: str) -> NodeRecord:
    return NodeRecord(KEYS[number], tuple(Address("tcp", host, 30303) for host in hosts or (f"8.8.{number}.8",)))


def failure(reason: DisconnectReason | None = None) -> DialError:
    return DialError("no session", target=None, reason=reason)


def end(reason: DisconnectReason) -> PeerDisconnected:
    return PeerDisconnected(reason, by_remote=True)


@pytest.mark.parametrize(
    ("reason", "wait"),
    [
        (None, UNREACHABLE),
        (DisconnectReason.TOO_MANY_PEERS, BUSY),
        (DisconnectReason.USELESS_PEER, USELESS),
        (DisconnectReason.INCOMPATIBLE_VERSION, USELESS),
        (DisconnectReason.SUBPROTOCOL_ERROR, USELESS),
    ],
)
def test_how_long_a_node_is_left_alone_depends_on_why_it_failed(reason, wait):
    history = DialHistory()
    assert history.failed(KEYS[0].node_id, failure(reason), 1000.0) == wait
    assert history.why_not(node(0), 1000.0 + wait - 1) is not None
    assert history.why_not(node(0), 1000.0 + wait) is None
    assert history.why_not(node(1), 1000.0) is None


def test_a_node_that_cannot_be_reached_is_tried_less_and_less_often():
    history = DialHistory()
    waits = [history.failed(KEYS[0].node_id, failure(), 0.0) for _ in range(9)]
    assert waits == [60, 120, 240, 480, 960, 1920, LONGEST, LONGEST, LONGEST]
    assert history.ended(KEYS[0].node_id, end(DisconnectReason.REQUESTED), 3600.0, 0.0) == AFTER_SESSION
    assert history.failed(KEYS[0].node_id, failure(), 0.0) == UNREACHABLE


def test_a_failure_of_our_own_capability_does_not_keep_us_from_the_node_for_long():
    history, ours = (
        DialHistory(),
        PeerDisconnected(DisconnectReason.SUBPROTOCOL_ERROR, by_remote=False, detail="chat/1 left 9 bytes unread"),
    )
    assert history.ended(KEYS[0].node_id, ours, 3600.0, 0.0) == AFTER_SESSION
    assert [history.ended(KEYS[0].node_id, ours, 1.0, 0.0) for _ in range(3)] == [60, 120, 240]
    assert history.ended(KEYS[0].node_id, end(DisconnectReason.SUBPROTOCOL_ERROR), 3600.0, 0.0) == USELESS


@pytest.mark.parametrize(
    ("reason", "lasted", "wait"),
    [
        (DisconnectReason.TOO_MANY_PEERS, 0.1, BUSY),
        (DisconnectReason.TOO_MANY_PEERS, 3600.0, BUSY),
        (DisconnectReason.USELESS_PEER, 0.1, USELESS),
        (DisconnectReason.NETWORK_ERROR, 3.0, UNREACHABLE),
        (DisconnectReason.CLIENT_QUITTING, 61.0, AFTER_SESSION),
    ],
)
def test_the_end_of_a_session_counts_too(reason, lasted, wait):
    history = DialHistory()
    assert history.ended(KEYS[0].node_id, end(reason), lasted, 50.0) == wait
    assert history.why_not(node(0), 50.0 + wait - 1) is not None
    assert history.why_not(node(0), 50.0 + wait) is None


@pytest.mark.parametrize(("first", "second"), [("2a00::1", "2a00::2"), ("9.9.9.9", "::ffff:9.9.9.9")])
def test_a_host_is_a_whole_ipv6_subnet_and_an_ipv4_address_however_it_is_written(first, second):
    history = DialHistory()
    history.dialled(node(0, first), 0.0)
    assert history.why_not(node(1, second), HOST_INTERVAL - 1) is not None
    assert history.why_not(node(1, second), HOST_INTERVAL) is None


def test_each_address_of_a_node_counts():
    history = DialHistory()
    history.dialled(node(0, "8.8.4.4", VICTIM), 0.0)
    assert history.why_not(node(1, VICTIM), 1.0) is not None
    assert history.why_not(node(2, "1.1.1.1", VICTIM), 1.0) is not None
    assert history.why_not(node(3, "1.1.1.1"), 1.0) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "::1", "fd00::1", "localhost"])
def test_local_hosts_are_exempt_unless_told_otherwise(host):
    history = DialHistory()
    history.dialled(node(0, host), 0.0)
    assert history.why_not(node(1, host), 0.0) is None
    strict = DialHistory(limit_local_addresses=True)
    strict.dialled(node(0, host), 0.0)
    assert strict.why_not(node(1, host), 0.0) is not None


def test_a_name_is_a_host_as_an_ip_address_is():
    history = DialHistory()
    history.dialled(node(0, "node.example"), 0.0)
    assert history.why_not(node(1, "node.example"), HOST_INTERVAL - 1) is not None
    assert history.why_not(node(1, "other.example"), 0.0) is None
    for number in range(1, HOST_NODES):
        history.dialled(node(number, "node.example"), number * HOST_INTERVAL)
    assert history.why_not(node(9, "Node.Example"), HOST_NODES * HOST_INTERVAL) is not None
    assert history.why_not(node(9, "node.example"), HOST_INTERVAL + HOST_WINDOW) is None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.integers(0, 60)), max_size=80))
def test_no_order_of_events_breaks_the_bounds_of_a_host(steps):
    history = DialHistory()
    now, dials = 0.0, dict[str, list[tuple[float, bytes]]]()
    for number, host, passed in steps:
        now += passed
        record = node(number, f"9.9.9.{host}")
        if history.why_not(record, now) is None:
            history.dialled(record, now)
            earlier = dials.setdefault(f"9.9.9.{host}", [])
            assert not earlier or now - earlier[-1][0] >= HOST_INTERVAL
            earlier.append((now, record.id))
            assert len({node_id for when, node_id in earlier if now - when < HOST_WINDOW}) <= HOST_NODES


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first(monkeypatch):
    monkeypatch.setattr("devp2p.peers.dial_history._REMEMBERED", 10)
    history = DialHistory()
    for number in range(30):
        history.dialled(node(number), 0.0)
        history.failed(KEYS[number].node_id, failure(DisconnectReason.USELESS_PEER), 0.0)
    assert [number for number in range(30) if history.why_not(node(number), 0.0) is not None] == list(range(20, 30))
