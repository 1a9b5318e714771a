"""Fork ids: computed as EIP-2124 and EIP-6122 say, and judged by their rules. The cases are theirs, and go-ethereum's."""

import json
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import PRESETS, rlp
from devp2p.capabilities.ethereum.networks import NETWORKS, ForkId, Network, check_fork_id

VECTOR = json.loads((Path(__file__).parents[2] / "vectors" / "networks.json").read_text())
MAINNET, SEPOLIA = NETWORKS["mainnet"], NETWORKS["sepolia"]
GO_ETHEREUM = VECTOR["go_ethereum"]
WITHOUT_TIMES = replace(MAINNET, times=())


@dataclass(frozen=True)
class At:
    """A place in a chain."""

    number: int
    timestamp: int = 0


def judged(network: Network, case: dict[str, Any]) -> tuple[bool, str]:
    verdict = check_fork_id(network, At(case["head"], case["time"]), ForkId(bytes.fromhex(case["hash"]), case["next"]))
    return verdict.compatible, verdict.why


def mainnet_with(cases: dict[str, Any]) -> Network:
    return replace(MAINNET, blocks=tuple(cases["blocks"]), times=tuple(cases["times"]))


def cases_of(which: str) -> list[tuple[str, dict[str, Any]]]:
    return [(name, case) for name, cases in VECTOR[which].items() for case in cases]


@pytest.mark.parametrize(("name", "case"), cases_of("fork_ids"))
def test_fork_ids_of_public_networks(name, case):
    fork_id = NETWORKS[name].fork_id(case["head"], case["time"])
    assert (fork_id.hash.hex(), fork_id.next) == (case["hash"], case["next"])


def test_fork_ids_of_sepolia_as_they_were():
    before = replace(SEPOLIA, times=SEPOLIA.times[:-1])
    for case in VECTOR["fork_ids_of_sepolia_before_amsterdam_was_scheduled"]:
        assert before.fork_id(case["head"], case["time"]) == ForkId(bytes.fromhex(case["hash"]), case["next"])


@pytest.mark.parametrize("case", VECTOR["eip6122"]["fork_ids"])
def test_fork_ids_of_eip_6122(case):
    fork_id = mainnet_with(VECTOR["eip6122"]).fork_id(case["head"], case["time"])
    assert (fork_id.hash.hex(), fork_id.next) == (case["hash"], case["next"])


@pytest.mark.parametrize("eip", ["eip2124", "eip6122"])
def test_what_the_eips_accept_and_reject(eip):
    network = mainnet_with(VECTOR[eip])
    for case in VECTOR[eip]["checks"]:
        compatible, why = judged(network, case)
        assert compatible == (not case["fault"]), case
        assert ("its software needs an update" in why) == (case["fault"] == "remote"), case


@pytest.mark.parametrize(("network", "cases"), [(MAINNET, "with_times"), (WITHOUT_TIMES, "without_times")])
def test_what_go_ethereum_accepts_and_rejects(network, cases):
    for case in GO_ETHEREUM[cases]:
        compatible, why = judged(network, case)
        assert compatible == (not case["fault"]), case
        assert ("its software needs an update" in why) == (case["fault"] == "remote"), case


# The table "Stale software examples" of EIP-2124, line by line: past and future forks, our head, what the peer says, the rule.
A, B, C, B2 = 10, 20, 30, 25
TABLE = [
    ([A], [], 15, [A], 0, "1b"),
    ([A], [], 19, [A], B, "1b"),
    ([A], [], 20, [A], B, "1a"),
    ([A], [B], 15, [A], 0, "1b"),
    ([A], [B], 15, [A], B, "1b"),
    ([A], [C], 24, [A], B2, "1b"),
    ([A], [C], 25, [A], B2, "1a"),
    ([A, B], [], 22, [A], B, "2"),
    ([A, B, C], [], 33, [A], B, "2"),
    ([A], [B], 15, [A, B], 0, "3"),
    ([A], [B, C], 15, [A, B], 0, "3"),
    ([A], [], 15, [A, B], 0, "4"),
    ([A], [B], 15, [A, B, C], 0, "4"),
    ([A, B], [], 22, [A], 0, "4"),
]


def chain(*, blocks: list[int] | None = None, times: list[int] | None = None, timestamp: int = 0) -> Network:
    return Network.of(network_id=7, chain_id=7, genesis=bytes(32), timestamp=timestamp, blocks=blocks or (), times=times or ())


@pytest.mark.parametrize("line", TABLE)
def test_stale_software_examples(line):
    past, future, head, theirs, announced, rule = line
    remote = chain(blocks=theirs).fork_id(2**64 - 1, 0)
    verdict = check_fork_id(chain(blocks=past + future), At(head), ForkId(remote.hash, announced))
    assert (verdict.rule, verdict.compatible) == (rule, rule in {"1b", "2", "3"})


def test_a_verdict_says_why():
    """A user who reads it knows what to do."""
    ours, head = chain(blocks=[A, B]), At(22)
    a, b = chain(blocks=[A]).fork_id(22, 0).hash, ours.fork_id(22, 0).hash
    assert check_fork_id(ours, head, ForkId(a, 0)).why == (
        "the peer is before our fork at 20, and does not know of it: its software needs an update"
    )
    assert check_fork_id(ours, head, ForkId(a, C)).why == (
        "the peer is before our fork at 20, and expects one at 30 instead: its software needs an update"
    )
    assert check_fork_id(ours, head, ForkId(b, 22)).why == "the peer expects a fork at 22, which we have passed without one"
    assert check_fork_id(ours, head, ForkId(b"\1\2\3\4", 9)).why == (
        "the peer has the fork id 01020304, next 9, of another chain or of forks that are not known here"
    )


def test_forks_of_the_first_block_are_none():
    """EIP-2124; those by time as go-ethereum's tests have them."""
    time = 1_690_475_657
    start = chain().fork_id(0, 0).hash
    for shanghai, cancun, following in [(time - 1, time + 1, time + 1), (time, time + 1, time + 1), (time + 1, time + 2, time + 1)]:
        network = chain(blocks=[0, 0], times=[shanghai, cancun], timestamp=time)
        assert network.fork_id(0, time) == ForkId(start, following)


def test_forks_at_one_place_count_once():
    assert chain(blocks=[5, 5, 9], times=[70, 70]) == chain(blocks=[9, 5], times=[70])


@pytest.mark.parametrize("case", VECTOR["encodings"])
def test_encoding(case):
    fork_id = ForkId(bytes.fromhex(case["hash"]), case["next"])
    assert rlp.codec(ForkId).encode(fork_id).hex() == case["rlp"]
    assert rlp.codec(ForkId).decode(bytes.fromhex(case["rlp"])) == fork_id


@pytest.mark.parametrize(
    "wrong",
    [
        {"blocks": (0, 5)},
        {"blocks": (9, 5)},
        {"blocks": (5, 5)},
        {"blocks": (2**64,)},
        {"times": (100,), "timestamp": 100},
        {"genesis": b""},
    ],
)
def test_forks_out_of_order_are_refused(wrong):
    with pytest.raises(ValueError, match=r"of a Network (are in order|is the hash)"):
        replace(chain(), **wrong)


def test_presets_are_those_of_discovery():
    for name, preset in PRESETS.items():
        network = NETWORKS[name]
        assert (network.network_id, network.genesis.hex()) == (preset.network_id, preset.genesis)


FORKS = st.sets(st.integers(1, 60), max_size=6)


@given(FORKS, FORKS, st.integers(0, 80), st.integers(0, 80))
def test_a_node_accepts_another_of_its_software_wherever_both_are(blocks, times, ours, theirs):
    """Otherwise a node that syncs would find nobody; time and number go up together here, as in a chain."""
    network = chain(blocks=sorted(blocks), times=[100 + time for time in times])

    def at(place: int) -> At:
        return At(place, 0) if place < 61 else At(place, 100 + 3 * (place - 60))

    remote, local = at(theirs), at(ours)
    assert check_fork_id(network, local, network.fork_id(remote.number, remote.timestamp)).compatible


@given(FORKS, st.integers(0, 80), st.binary(min_size=4, max_size=4), st.integers(0, 2**64 - 1))
def test_any_fork_id_is_judged(blocks, head, fork_hash, following):
    """By one rule, with a reason; only a checksum of our chain is accepted."""
    network = chain(blocks=sorted(blocks))
    verdict = check_fork_id(network, At(head), ForkId(fork_hash, following))
    assert verdict.why
    assert verdict.compatible == (verdict.rule in {"1b", "2", "3"})
    assert not verdict.compatible or fork_hash in network.fork_hashes


@given(FORKS)
def test_each_fork_changes_the_checksum(blocks):
    network = chain(blocks=sorted(blocks))
    seen = dict(zip(network.fork_hashes, count()))
    assert len(seen) == len(blocks) + 1
    for number in range(62):
        assert seen[network.fork_id(number, 0).hash] == sum(block <= number for block in blocks)
