"""Row D22 of THREATS.md: strangers who tell us that we are somewhere else."""

import ipaddress

import pytest

from devp2p.addresses import Endpoint
from devp2p.discovery.external_address import QUORUM, WINDOW, ExternalAddress

OURS = Endpoint(bytes([20, 1, 1, 1]), 30303)
OLD = Endpoint(bytes([20, 9, 9, 9]), 30303)
LIE = Endpoint(bytes([66, 6, 6, 6]), 30303)
OURS6 = Endpoint(ipaddress.ip_address("2600:1::1").packed, 30303)
LIE6 = Endpoint(ipaddress.ip_address("2600:6::1").packed, 30303)


def voter(number: int) -> bytes:
    """Each in a /24 of its own."""
    return bytes([30, number >> 8, number & 255, 7])


def voter6(owner: int, site: int) -> bytes:
    return bytes([0x26, 0x10]) + owner.to_bytes(2) + site.to_bytes(2) + bytes(10)


def believing(endpoint: Endpoint, now: float = 0.0) -> ExternalAddress:
    external = ExternalAddress()
    changes = [external.vote(voter(1000 + number), endpoint, now) for number in range(QUORUM)]
    assert changes == [False] * (QUORUM - 1) + [True]
    return external


def test_d22_nine_liars_of_thirty_change_nothing():
    external = believing(OURS)
    for number in range(30):
        assert not external.vote(voter(number), LIE if number < 9 else OURS, 400.0)
    assert external.ipv4 == OURS


def test_d22_nine_liars_alone_are_too_few():
    external = ExternalAddress()
    for number in range(9):
        assert not external.vote(voter(number), LIE, 0.0)
    assert external.ipv4 is None


def test_d22_twenty_of_thirty_from_one_network_change_nothing():
    external = believing(OURS)
    for number in range(20):
        assert not external.vote(bytes([66, 6, 6, number]), LIE, 400.0)
    for number in range(10):
        assert not external.vote(voter(number), OURS, 400.0)
    assert external.ipv4 == OURS


def test_d22_control_twenty_of_thirty_from_anywhere_do_change_it():
    external = believing(OURS)
    changes = [external.vote(voter(number), LIE if number < 20 else OURS, 400.0) for number in range(30)]
    assert external.ipv4 == LIE
    assert sum(changes) == 1


def test_d22_control_if_each_address_had_a_vote_one_network_would_do(monkeypatch):
    external = believing(OURS)
    monkeypatch.setattr("devp2p.discovery.external_address.network_of", lambda ip, _: ip)
    for number in range(20):
        external.vote(bytes([66, 6, 6, number]), LIE, 400.0)
    assert external.ipv4 == LIE


def test_most_votes_are_not_a_majority():
    external = believing(OLD)
    for number in range(5):
        external.vote(voter(100 + number), OURS, 1.0)
    changes = [external.vote(voter(number), LIE, 2.0) for number in range(16)]
    assert changes == [False] * 15 + [True]  # 15 of 30 were not enough, 16 of 31 are


def test_who_moves_learns_of_it_when_the_old_votes_have_expired():
    external = believing(OLD)
    for number in range(9):
        assert not external.vote(voter(number), OURS, 100.0)
    assert not external.vote(voter(9), OURS, 101.0)  # ten of twenty
    assert external.vote(voter(10), OURS, 102.0)  # eleven of twenty-one
    slow = ExternalAddress()
    for number in range(30):
        assert not slow.vote(voter(number), OURS, number * WINDOW / (QUORUM - 2))  # never ten within the window


def test_a_network_may_change_its_mind():
    external = ExternalAddress()
    for number in range(QUORUM):
        external.vote(voter(number), OLD, 0.0)
    for number in range(QUORUM):
        external.vote(voter(number), OURS, 10.0)
    assert external.ipv4 == OURS


def test_what_the_user_has_set_stays():
    external = ExternalAddress([OURS])
    for number in range(50):
        assert not external.vote(voter(number), LIE, 0.0)
        external.vote(voter6(number, 0), OURS6, 0.0)
    assert (external.ipv4, external.ipv6) == (OURS, OURS6)


def test_another_port_for_everybody_is_no_endpoint():
    external = ExternalAddress()
    for number in range(50):
        assert not external.vote(voter(number), Endpoint(OURS.ip, 20000 + number), 0.0)


def test_the_sites_of_one_ipv6_owner_have_two_votes_together():
    external = ExternalAddress()
    for site in range(5000):
        assert not external.vote(voter6(6, site), LIE6, 0.0)
    assert external.ipv6 is None
    for owner in range(10, 10 + QUORUM):
        external.vote(voter6(owner, 0), OURS6, 1.0)
    assert external.ipv6 == OURS6
    assert external.ipv4 is None


@pytest.mark.parametrize(
    ("ip", "port"),
    [("10.0.0.1", 30303), ("127.0.0.1", 30303), ("224.0.0.1", 30303), ("2600::1", 30303), ("20.1.1.1", 0), ("20.1.1.1", 70000)],
)
def test_what_a_public_host_cannot_have_seen_does_not_count(ip, port):
    external = ExternalAddress()
    for number in range(50):
        assert not external.vote(voter(number), Endpoint(ipaddress.ip_address(ip).packed, port), 0.0)
    assert (external.ipv4, external.ipv6) == (None, None)


def test_mapped_addresses_are_ipv4():
    external = ExternalAddress()
    mapped = bytes(10) + b"\xff\xff"
    for number in range(QUORUM):
        external.vote(mapped + voter(number), Endpoint(mapped + OURS.ip, OURS.port), 0.0)
    assert (external.ipv4, external.ipv6) == (OURS, None)


@pytest.mark.parametrize("size", [0, 5, 32])
def test_addresses_of_no_kind_do_not_count(size):
    external = ExternalAddress()
    assert not external.vote(bytes(size), Endpoint(bytes(size), 30303), 0.0)


def test_votes_are_bounded():
    external = ExternalAddress()
    for number in range(6_000):
        external.vote(voter(number), Endpoint(OURS.ip, 1 + number), 0.0)
    assert len(external._polls[4]._votes) <= 256
