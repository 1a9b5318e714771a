"""Who may knock: by network, by time, and never for ever."""

import pytest

from devp2p import Address, Limits
from devp2p.peers import admission
from devp2p.peers.admission import MANY, Admission, Neighbours

RETRY = 28.0


def tcp(host: str) -> Address:
    return Address("tcp", host, 30303)


def admit(gate: Admission, address: Address, now: float) -> str | None:
    """Come, and speak at once."""
    caller = gate.identify(address)
    return gate.knock(caller, now) or gate.begin(caller)


def release(gate: Admission, address: Address) -> None:
    gate.release(gate.identify(address))


def test_an_address_waits_between_two_links_and_its_neighbour_does_not() -> None:
    gate = Admission(Limits())
    assert admit(gate, tcp("8.8.8.8"), 0.0) is None
    release(gate, tcp("8.8.8.8"))
    assert admit(gate, tcp("8.8.8.8"), 12.34) == "came again after 12.3 s, before the 28 s between two connections were over"
    assert admit(gate, tcp("8.8.8.9"), 12.34) is None
    assert admit(gate, tcp("8.8.8.8"), RETRY) is None, "being turned away does not start the wait anew"


def test_an_ipv6_host_is_its_whole_64() -> None:
    gate = Admission(Limits())
    assert admit(gate, tcp("2600:1:2:3::1"), 0.0) is None
    assert admit(gate, tcp("2600:1:2:3:ffff::2"), 1.0) is not None
    assert admit(gate, tcp("2600:1:2:4::1"), 1.0) is None
    assert admit(gate, tcp("2600:1:2:4::1%eth0"), 2.0) is not None, "a zone does not make another network"


def test_a_24_holds_only_so_many_places_until_they_are_given_back() -> None:
    gate = Admission(Limits(pending_per_subnet=2))
    assert admit(gate, tcp("8.8.8.1"), 0.0) is None
    assert admit(gate, tcp("8.8.8.2"), 0.0) is None
    assert admit(gate, tcp("8.8.8.3"), 0.0) == "2 connections of its network are shaking hands already"
    assert admit(gate, tcp("8.8.9.3"), 0.0) is None
    release(gate, tcp("8.8.8.1"))
    assert admit(gate, tcp("8.8.8.5"), 0.0) is None
    assert admit(gate, tcp("8.8.8.4"), 0.0) is not None


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.1.1", "100.64.0.1", "::1", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1"]
)
def test_local_addresses_are_exempt_unless_the_limits_say_otherwise(host: str) -> None:
    lenient, strict = Admission(Limits()), Admission(Limits(limit_local_addresses=True))
    assert [admit(lenient, tcp(host), 0.0) for _ in range(5)] == [None] * 5
    release(lenient, tcp(host))
    assert admit(strict, tcp(host), 0.0) is None
    assert admit(strict, tcp(host), 0.0) is not None


@pytest.mark.parametrize(
    "host", ["2001:0:4137:9e76::1", "2002:a00:1::", "64:ff9b::a00:1", "192.0.0.8", "198.18.0.1", "0.1.2.3", "240.0.0.1"]
)
def test_what_only_looks_local_is_not_exempt(host: str) -> None:
    """Python's `is_private` calls Teredo (until 3.11.9), benchmarks and reserved addresses private; strangers may come from there."""
    gate = Admission(Limits())
    assert admit(gate, tcp(host), 0.0) is None
    assert admit(gate, tcp(host), 0.0) is not None


@pytest.mark.parametrize("address", [Address("unix", "/run/node.sock"), Address("memory", "alice"), Address("memory", "8.8.8.8")])
def test_what_stays_inside_this_machine_is_local_too(address: Address) -> None:
    lenient, strict = Admission(Limits()), Admission(Limits(limit_local_addresses=True))
    assert [admit(lenient, address, 0.0) for _ in range(5)] == [None] * 5
    release(lenient, address)
    assert admit(strict, address, 0.0) is None
    assert admit(strict, address, 0.0) is not None
    assert admit(strict, Address(address.scheme, "other"), 0.0) is None


@pytest.mark.parametrize("address", [Address("relay", "somebody"), Address("tcp", "node.example", 30303)])
def test_what_has_no_ip_address_and_is_not_inside_this_machine_counts_for_itself(address: Address) -> None:
    gate = Admission(Limits(pending_per_subnet=1))
    assert admit(gate, address, 0.0) is None
    if not address.is_relayed:  # behind one relay are many
        assert admit(gate, address, 1.0) == "came again after 1.0 s, before the 28 s between two connections were over"
    assert admit(gate, Address(address.scheme, "other"), 1.0) is None
    assert admit(gate, address, RETRY) == "1 connections of its network are shaking hands already"


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_REMEMBERED", 2)
    gate = Admission(Limits())
    for host in ("1.1.1.1", "2.2.2.2", "3.3.3.3"):
        assert admit(gate, tcp(host), 0.0) is None
        release(gate, tcp(host))
    assert admit(gate, tcp("2.2.2.2"), 1.0) is not None
    assert admit(gate, tcp("1.1.1.1"), 1.0) is None
    assert dict(gate._pending) == {b"\x01\x01\x01": 1}, "what is not pending takes no memory"


def test_many_different_nodes_at_one_address_are_noted_once() -> None:
    neighbours = Neighbours()
    noted = [neighbours.note(host, bytes([number])) for number in range(MANY + 10) for host in (b"a", b"a", b"b")]
    assert noted.count(True) == 2
    assert noted.index(True) == 3 * (MANY - 1)


def test_addresses_without_number_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_NEIGHBOURS", 2)
    neighbours = Neighbours()
    for number in range(10):
        neighbours.note(bytes([number]), b"key")
    assert len(neighbours._keys) == 2
