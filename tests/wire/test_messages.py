"""The space of message ids: both sides must find the same places, or each would read the other's messages as something else."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devp2p.errors import DisconnectReason, LocalProtocolError, RemoteProtocolError
from devp2p.wire.base import BASE_LENGTH, CapabilityVersion
from devp2p.wire.messages import CapabilitySpec, MessageSpace

NAMES = ["a", "aa", "b", "eth", "Eth", "snap", "z~", "!"]
NAMED = {(name, version): length for name in NAMES for version, length in ((0, 0), (1, 3), (2, 1), (68, 17), (2**64 - 1, 5))}


def spec(name: str, version: int, sizes: tuple[int, ...] | None = None) -> CapabilitySpec:
    return CapabilitySpec(name, version, (100,) * NAMED[name, version] if sizes is None else sizes)


offers = st.sampled_from(sorted(NAMED))
spec_lists = st.lists(offers, unique=True, max_size=20).map(lambda found: [spec(*offer) for offer in found])


def space(ours: list[CapabilitySpec], theirs: list[CapabilitySpec]) -> MessageSpace:
    return MessageSpace(ours, [one.offer for one in theirs])


def expected(ours: list[CapabilitySpec], theirs: list[CapabilitySpec]) -> list[tuple[str, int, int]]:
    """(name, version, offset) as the specification has it, in the simplest words."""
    places, offset = [], 0x10
    both = {(one.name, one.version) for one in ours} & {(one.name, one.version) for one in theirs}
    for name in sorted({name for name, _ in both}, key=lambda name: name.encode("ascii")):
        version = max(version for shared, version in both if shared == name)
        places.append((name, version, offset))
        offset += NAMED[name, version]
    return places


@given(spec_lists, spec_lists, st.randoms(use_true_random=False))
@example([spec("eth", 1), spec("eth", 2), spec("eth", 68)], [spec("eth", 2), spec("eth", 1)], None)
def test_both_sides_find_the_same_layout(ours, theirs, shuffler):
    one, other = space(ours, theirs), space(theirs, ours)
    assert [(shared.name, shared.version, offset) for shared, offset in zip(one.shared, one.offsets, strict=True)] == expected(ours, theirs)
    assert (one.shared, one.offsets, one.end) == (other.shared, other.offsets, other.end)
    assert one.end == BASE_LENGTH + sum(len(shared.sizes) for shared in one.shared)
    if shuffler is not None:
        shuffler.shuffle(ours)
        shuffler.shuffle(theirs)
        assert space(ours, theirs + theirs[:3]).offsets == one.offsets


@given(spec_lists, spec_lists)
def test_each_id_has_one_owner_and_all_others_are_refused(ours, theirs):
    one = space(ours, theirs)
    owners = [(index, relative, 100) for index, shared in enumerate(one.shared) for relative in range(len(shared.sizes))]
    assert [one.locate(code) for code in range(BASE_LENGTH, one.end)] == owners
    for code in (*range(BASE_LENGTH), one.end, one.end + 1, 2**8, 2**16, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 2**64):
        with pytest.raises(RemoteProtocolError, match=f"message id {code:#x} lies outside the shared capabilities") as caught:
            one.locate(code)
        assert caught.value.reason is DisconnectReason.PROTOCOL_BREACH


def test_with_nothing_shared_no_id_is_accepted():
    for one in (MessageSpace((), ()), space([spec("eth", 1)], [spec("eth", 2)]), space([spec("eth", 1)], [spec("Eth", 1)])):
        assert (one.shared, one.offsets, one.end, one.max_size) == ((), (), BASE_LENGTH, 0)
        with pytest.raises(RemoteProtocolError):
            one.locate(BASE_LENGTH)


def test_the_layout_that_mainnet_peers_compute():
    """eth/69 has 18 ids from 0x10, so snap/1 begins at 0x22; a peer that has eth/68 only puts it one id lower."""
    eth68, eth69, snap = (CapabilitySpec(*what) for what in (("eth", 68, (9,) * 17), ("eth", 69, (9,) * 18), ("snap", 1, (9,) * 8)))
    ours = [snap, eth68, eth69]
    for theirs, offsets in [([eth69, eth68, snap], (0x10, 0x22)), ([eth68, snap], (0x10, 0x21)), ([snap], (0x10,))]:
        assert space(ours, theirs).offsets == offsets


def test_the_highest_shared_version_runs_and_not_the_highest_offered():
    ours = [spec("eth", 1), spec("eth", 2), spec("eth", 2**64 - 1)]
    assert [shared.version for shared in space(ours, [spec("eth", 68), spec("eth", 2), spec("eth", 1)]).shared] == [2]


def test_ids_that_a_capability_leaves_out_are_refused_by_name():
    one = space([spec("eth", 68, (10, 0, 30)), spec("snap", 1, (0, 50))], [spec("eth", 68), spec("snap", 1)])
    assert [one.locate(code) for code in (0x10, 0x12, 0x14)] == [(0, 0, 10), (0, 2, 30), (1, 1, 50)]
    assert one.max_size == 50
    for code, complaint in ((0x11, "eth/68 defines no message 0x1"), (0x13, "snap/1 defines no message 0x0")):
        with pytest.raises(RemoteProtocolError, match=complaint):
            one.locate(code)


def test_a_capability_without_messages_takes_no_id_from_its_neighbours():
    for order in itertools.permutations([("a", 0), ("b", 2), ("c", 0), ("d", 1), ("e", 0)]):
        specs = [CapabilitySpec(name, 1, (7,) * length) for name, length in order]
        one = space(specs, specs)
        assert one.offsets == (0x10, 0x10, 0x12, 0x12, 0x13)
        assert [one.locate(code) for code in range(0x10, one.end)] == [(1, 0, 7), (1, 1, 7), (3, 0, 7)]


@pytest.mark.parametrize("name", ["", "ninebytes", "é", "a b", "a\n", "eth\x00"])
def test_a_capability_that_no_peer_could_share_is_our_mistake(name):
    with pytest.raises(LocalProtocolError, match="1 to 8 ASCII characters"):
        CapabilitySpec(name, 1, ())


@pytest.mark.parametrize("version", [-1, 2**64])
def test_a_version_that_no_hello_can_say_is_our_mistake(version):
    with pytest.raises(LocalProtocolError, match="eth: version is a whole number from 0 to 18446744073709551615, not"):
        CapabilitySpec("eth", version, ())


def test_a_spec_is_offered_by_name_and_version():
    assert spec("eth", 68).offer == CapabilityVersion("eth", 68)
