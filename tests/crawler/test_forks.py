"""Fork ids against the networks that are known: which network, how far, and whether a node is ready for the next fork."""

import pytest
from devp2p_crawler.analysis import ForkStanding, Readiness, network_of, standing, standing_of
from devp2p_crawler.model import Said
from hypothesis import given
from hypothesis import strategies as st

from devp2p.capabilities.ethereum.networks import NETWORKS

MAINNET, SEPOLIA = NETWORKS["mainnet"], NETWORKS["sepolia"]
PRAGUE, OSAKA, BPO1, BPO2 = (MAINNET.upgrades[name] for name in ("prague", "osaka", "bpo1", "bpo2"))
AFTER_PRAGUE, AFTER_BPO2 = MAINNET.fork_id(10**9, PRAGUE).hash, MAINNET.fork_hashes[-1]


@pytest.mark.parametrize(
    ("fork_hash", "fork_next", "at", "readiness", "passed", "upcoming"),
    [
        (AFTER_BPO2, 0, BPO2 + 1, Readiness.READY, "bpo2", None),
        (AFTER_BPO2, 2_000_000_000, BPO2 + 1, Readiness.AHEAD, "bpo2", None),  # it knows of a fork that we do not
        (AFTER_BPO2, 0, BPO2 - 1, Readiness.AHEAD, "bpo2", None),
        (AFTER_PRAGUE, OSAKA, PRAGUE + 1, Readiness.READY, "prague", OSAKA),
        (AFTER_PRAGUE, 0, PRAGUE + 1, Readiness.NOT_READY, "prague", OSAKA),
        (AFTER_PRAGUE, OSAKA + 5, PRAGUE + 1, Readiness.NOT_READY, "prague", OSAKA),
        (AFTER_PRAGUE, OSAKA, OSAKA, Readiness.BEHIND, "prague", OSAKA),
        (AFTER_PRAGUE, 0, OSAKA, Readiness.STALE, "prague", OSAKA),
        (MAINNET.fork_hashes[0], 1_150_000, BPO2, Readiness.BEHIND, None, 1_150_000),
        (MAINNET.fork_hashes[0], 0, BPO2, Readiness.STALE, None, 1_150_000),
    ],
)
def test_where_a_node_of_mainnet_stands(  # noqa: PLR0913, PLR0917  (the columns of the table)
    fork_hash: bytes, fork_next: int, at: int, readiness: Readiness, passed: str | None, upcoming: int | None
):
    found = standing(fork_hash=fork_hash, fork_next=fork_next, at=at, network_id=1, genesis=MAINNET.genesis)
    assert found == ForkStanding(network="mainnet", readiness=readiness, passed=passed, upcoming=upcoming)
    assert standing(fork_hash=fork_hash, fork_next=fork_next, at=at) == found  # a record says no more than the fork id
    said = Said(network_id=1, genesis=MAINNET.genesis, fork_hash=fork_hash, fork_next=fork_next)
    assert standing_of(said, at) == found


def test_a_fork_that_is_scheduled_divides_the_ready_from_the_others():
    amsterdam = SEPOLIA.upgrades["amsterdam"]
    now = amsterdam - 86_400
    fork_hash = SEPOLIA.fork_id(10**9, now).hash
    assert standing(fork_hash=fork_hash, fork_next=amsterdam, at=now).readiness is Readiness.READY
    assert standing(fork_hash=fork_hash, fork_next=0, at=now).readiness is Readiness.NOT_READY
    assert standing(fork_hash=fork_hash, fork_next=0, at=amsterdam).readiness is Readiness.STALE


def test_other_networks_are_kept_and_not_taken_for_those_they_came_from():
    classic = b"\x0f\x6b\xf1\x87"
    assert network_of(fork_hash=classic, network_id=1, genesis=MAINNET.genesis) is None  # it has mainnet's first block and id
    assert network_of(fork_hash=AFTER_BPO2, network_id=7, genesis=MAINNET.genesis) is None
    assert network_of(fork_hash=AFTER_BPO2, network_id=1, genesis=bytes(32)) is None
    assert network_of(fork_hash=None, network_id=137) == "polygon"
    assert standing(fork_hash=classic, fork_next=0, at=0, network_id=56) == ForkStanding(network="bsc", readiness=Readiness.UNKNOWN)
    assert standing(fork_hash=classic, fork_next=0, at=0) == ForkStanding(network=None, readiness=Readiness.UNKNOWN)
    assert standing_of(Said(client="Geth"), 0) is None


def test_every_network_has_checksums_of_its_own():
    hashes = [fork_hash for network in NETWORKS.values() for fork_hash in network.fork_hashes]
    assert len(set(hashes)) == len(hashes)


@given(st.sampled_from(sorted(NETWORKS)), st.integers(0, 2**33), st.integers(0, 2**33))
def test_a_node_with_our_tables_is_never_stale(name: str, stands: int, at: int):
    network = NETWORKS[name]
    theirs = network.fork_id(2**63, stands)
    found = standing(fork_hash=theirs.hash, fork_next=theirs.next, at=at)
    assert found.network == name
    reached = network.fork_id(2**63, at)
    wanted = Readiness.READY if reached == theirs else Readiness.BEHIND if stands < at else Readiness.AHEAD
    assert found.readiness is wanted


@given(
    st.binary(min_size=4, max_size=4),
    st.integers(0, 2**64 - 1),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.binary(min_size=32, max_size=32),
)
def test_whatever_strangers_say_is_judged(fork_hash: bytes, fork_next: int, network_id: int | None, genesis: bytes | None):
    found = standing(fork_hash=fork_hash, fork_next=fork_next, at=1_800_000_000, network_id=network_id, genesis=genesis)
    assert (found.readiness is Readiness.UNKNOWN) == (found.network not in NETWORKS)
