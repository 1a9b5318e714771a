"""Who has to go when all inbound places are taken, and what protects the others."""

from collections import Counter

import pytest

from devp2p.addresses import GROUP, Address
from devp2p.peers.ratings import Standing
from devp2p.peers.slots.eviction import choose_victim
from devp2p.peers.slots.lineup import Lineup
from devp2p.peers.slots.objective import Rules
from devp2p.peers.slots.values import SlotPeer, SlotSpec
from tests.slots.world import SECRET, node_id

RULES = Rules((SlotSpec("eth", 8),), 50)
NOW = 100_000.0
MANY = 36  # of which four are protected by each measure


def peer(number: int, since: float = 0.0, network: bytes | None = None, last: float | None = None, **more) -> SlotPeer:
    standings = {"eth": Standing(last_useful=last, bad=more.pop("bad", None))}
    return SlotPeer(node_id(number), standings, inbound=True, since=since, network=network or number.to_bytes(2, "big"), **more)


def victims(peers: list[SlotPeer], secret: bytes = SECRET, kept: frozenset[bytes] = frozenset(), count: int = 1000) -> list[bytes]:
    """Who has to go, one after another, until everybody left is protected."""
    found: list[bytes] = []
    while len(found) < count:
        lineup = Lineup(RULES, peers, NOW, {})
        victim = choose_victim(lineup, peers, secret, kept)
        if victim is None:
            break
        found.append(victim.id)
        peers = [other for other in peers if other is not victim]
    return found


def test_the_youngest_of_the_most_crowded_network_goes_first():
    crowded = [peer(n, since=500.0 + n, network=b"AA") for n in range(12)]
    alone = [peer(100 + n, since=1.0 + n) for n in range(24)]
    assert victims([*crowded, *alone], count=1) == [node_id(11)]


def test_of_equals_the_one_with_the_least_value_goes():
    peers = [peer(n, since=5.0, network=b"AA") for n in range(8)]
    lineup = Lineup(RULES, peers, NOW, {})
    victim = choose_victim(lineup, peers, SECRET)
    assert victim is not None
    assert lineup.selection.marginal(victim.id) == min(lineup.selection.marginal(other.id) for other in peers)


@pytest.mark.parametrize(
    "special",
    [{"rtt": 0.0001}, {"last": 99_000.0}, {"intro": True, "since": NOW - 3601.0}, {"protected": True}, {"kept": True}],
)
def test_each_measure_protects_and_without_it_the_same_peer_goes(special):
    """The youngest of the most crowded network, which goes first if nothing protects it."""
    others = [peer(n, since=1.0 + n, network=b"AA", rtt=0.5) for n in range(MANY)]
    kept = frozenset([node_id(99)]) if special.pop("kept", False) else frozenset()
    since = special.pop("since", NOW - 3500.0)
    assert victims([*others, peer(99, since, b"AA", **special)], kept=kept, count=1) != [node_id(99)]
    assert victims([*others, peer(99, since, b"AA")], count=1) == [node_id(99)]


def test_a_credential_protects_only_after_an_hour():
    others = [peer(n, since=1.0 + n, network=b"AA", rtt=0.5) for n in range(MANY)]
    assert victims([*others, peer(99, NOW - 3599.0, b"AA", intro=True)], count=1) == [node_id(99)]


def test_bad_conduct_goes_first_whatever_protects_it():
    others = [peer(n, since=1.0 + n, network=b"AA") for n in range(MANY)]
    bad = peer(99, 0.0, b"ZZ", protected=True, rtt=0.0001, bad="its rating is -9")
    assert victims([*others, bad], count=1) == [node_id(99)]


def test_which_networks_are_protected_nobody_can_know_without_the_secret():
    """The young one of some network stays at some starts and goes at others; four of 36 networks are protected by the hash."""
    others = [peer(n, since=1.0 + n) for n in range(MANY - 1)]
    spared = sum(node_id(99) not in victims([*others, peer(99, 50_000.0)], n.to_bytes(2, "big") * 8, count=1) for n in range(300))
    assert 10 < spared < 70  # about 33 = 300 * 4 / 36


def test_half_of_the_others_stay_by_how_long_they_have_been_there():
    peers = [peer(n, since=float(n)) for n in range(40)]
    gone = victims(peers, count=12)
    assert all(node_id(n) not in gone for n in range(14))


def test_a_small_node_protects_less_and_one_with_fewer_than_eight_evicts_nobody():
    for count in range(1, 8):
        assert victims([peer(n, since=float(n)) for n in range(count)], count=1) == []
    for count in range(8, 14):
        assert len(victims([peer(n, since=float(n)) for n in range(count)], count=1)) == 1


def test_an_attacker_has_to_be_better_in_everything():
    """200 that are nearer and come again and again, of two networks: those that have served for long stay."""
    honest = [peer(n, since=float(n), last=float(n), rtt=0.1) for n in range(20)]
    sybils = [peer(1000 + n, since=50_000.0 + n, network=bytes([9, n % 2]), rtt=0.001) for n in range(14)]
    gone = Counter(node >= node_id(1000) for node in victims([*honest, *sybils], count=8))
    assert gone == {True: 8}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (Address("tcp", "5.6.7.8", 1), b"\x05\x06"),
        (Address("tcp", "::ffff:5.6.7.8", 1), b"\x05\x06"),
        (Address("tcp", "2a02:1234:5::1", 1), bytes.fromhex("2a021234")),
        (Address("tcp", "10.0.0.1", 1), None),
        (Address("tcp", "::1", 1), None),
        (Address("tcp", "node.example", 1), b"host name node.example"),
        (Address("unix", "/run/node"), None),
    ],
)
def test_a_peer_counts_for_the_network_of_its_provider(address, expected):
    assert address.limited_network(GROUP) == expected
