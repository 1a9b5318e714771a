"""Networks: which rules a block has, by its number and time."""

from dataclasses import replace

import pytest

from devp2p.capabilities.ethereum.networks import BLOCK_UPGRADES, NETWORKS, TIME_UPGRADES, BlobParameters, Network

MAINNET = NETWORKS["mainnet"]


def chain(**upgrades: int) -> Network:
    return Network.of(network_id=7, chain_id=7, genesis=bytes(32), upgrades=upgrades)


def test_upgrades_by_block_and_by_time():
    assert not MAINNET.is_active("london", 12_964_999, 2**40)
    assert MAINNET.is_active("london", 12_965_000, 0)
    assert not MAINNET.is_active("osaka", 24_000_000, 1_764_798_550)
    assert MAINNET.is_active("osaka", 24_000_000, 1_764_798_551)
    assert not MAINNET.is_active("bogota", 10**9, 10**12)  # not scheduled


def test_no_upgrade_by_time_without_london():
    assert not chain(cancun=0).is_active("cancun", 5, 5)
    assert not chain(cancun=0, london=6).is_active("cancun", 5, 5)
    assert chain(cancun=0, london=5).is_active("cancun", 5, 5)


def test_petersburg_comes_with_constantinople():
    assert chain(constantinople=3).is_active("petersburg", 3, 0)
    assert not chain(constantinople=3, petersburg=4).is_active("petersburg", 3, 0)
    assert not chain().is_active("petersburg", 3, 0)


def test_upgrades_have_names():
    with pytest.raises(ValueError, match=r"there is no upgrade 'amsterdamm'; they are homestead, .*, ubt"):
        MAINNET.is_active("amsterdamm", 0, 0)
    with pytest.raises(ValueError, match="there is no upgrade 'paris'"):
        replace(MAINNET, upgrades={"paris": 0})


def test_forks_are_the_upgrades_after_the_first_block():
    network = Network.of(
        network_id=7, chain_id=7, genesis=bytes(32), timestamp=50, upgrades={"london": 0, "berlin": 3, "osaka": 60, "prague": 50}
    )
    assert (network.blocks, network.times) == ((3,), (60,))
    for known in NETWORKS.values():
        assert set(known.blocks) | set(known.times) <= set(known.upgrades.values())


def test_blobs_by_time():
    assert MAINNET.blobs(10**9, 1_710_338_134) is None
    assert MAINNET.blobs(10**9, 1_710_338_135) == BlobParameters(3, 6, 3_338_477)
    assert MAINNET.blobs(10**9, 1_764_798_551) == BlobParameters(6, 9, 5_007_716)  # Osaka has those of Prague
    assert MAINNET.blobs(10**9, 2**40) == BlobParameters(14, 21, 11_684_671)


def test_upgrades_of_public_networks_are_in_order():
    for network in NETWORKS.values():
        for names in (BLOCK_UPGRADES, TIME_UPGRADES):
            places = [network.upgrades[name] for name in names if name in network.upgrades]
            assert places == sorted(places)
