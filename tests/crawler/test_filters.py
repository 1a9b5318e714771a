"""Filters: each by what it takes and what it leaves, and what it says to values that make no sense."""

import inspect
from dataclasses import replace

import pytest
from devp2p_crawler.filters import Described, best, client_of, geth, ours, parse_duration, parse_upgrade, parse_versions, version_of
from devp2p_crawler.model import Kind, Outcome, Said
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import Record, rlp
from devp2p.capabilities.ethereum.networks import NETWORKS, EthEntry, ForkId
from tests.crawler.known_nodes import DAY, START, key, known, random_nodes, signed

NODE = known(1)
MAINNET = NETWORKS["mainnet"]


def takes(accepts, node=NODE):
    return accepts(Described(node))


def recorded(**entries):
    return known(1, Record.sign(key(1), 1, entries))


def saying(**said):
    return replace(NODE, said=Said(**said))


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0), ("90s", 90 * 10**9), ("1h30m", 5400 * 10**9), ("1.5h", 5400 * 10**9), (".5m", 30 * 10**9), ("150ms", 150 * 10**6),
        ("2us3ns", 2003), ("2µs", 2000), ("7d", 7 * 86_400 * 10**9), ("1.s", 10**9),
    ],
)  # fmt: skip
def test_durations_are_read_as_go_ethereum_does(text, nanoseconds):
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "1h ", "1 h", "1y", "0h0", "1e3s", "9" * 30 + "s", "300000d"])
def test_other_durations_are_refused_with_examples(text):
    with pytest.raises(ValueError, match=r"a length of time is wanted, such as 24h|is longer than 292 years"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("name", "client", "version"),
    [
        ("Geth/v1.14.0-stable-87246f3c/linux-amd64/go1.22.2", "geth", (1, 14, 0)),
        ("Geth/my,node/v1.13.15-stable/linux-arm64/go1.21.6", "geth", (1, 13, 15)),
        ("reth/v1.1.0-1ba631b/x86_64-unknown-linux-gnu", "reth", (1, 1, 0)),
        ("Nethermind/v1.29.0+dfea5240/linux-x64/dotnet8.0.8", "nethermind", (1, 29, 0)),
        ("erigon/2.60.1/linux", "erigon", (2, 60, 1)),
        ("Parity-Ethereum/v2.7.2-stable/x86_64-linux-gnu/rustc1.41.0", "openethereum", (2, 7, 2)),
        ("besu", "besu", None),
        ("a/b/c", "a", None),
        ("", "", None),
    ],
)
def test_names_of_clients(name, client, version):
    assert (client_of(name), version_of(name)) == (client, version)


@settings(max_examples=30)
@given(st.text())
def test_no_name_of_a_client_breaks_anything(name):
    assert isinstance(client_of(name), str)
    version_of(name)


@pytest.mark.parametrize(
    ("terms", "holds"),
    [
        (">=1.14", "yes"), (">=1.14.0", "yes"), (">1.14", "no"), ("<1.15", "yes"), ("<=1.13.99", "no"), ("1.14", "yes"),
        ("=1.14.0.0", "yes"), ("==1", "yes"), ("=1.1", "no"), ("!=1.14", "no"), ("!=1.13", "yes"), (">=1.10,<1.14", "no"),
        (">= 1.9, < 2", "yes"), ("v1.14.0", "yes"),
    ],
)  # fmt: skip
def test_comparisons_of_versions(terms, holds):
    assert all(term.holds((1, 14, 0)) for term in parse_versions(terms)) is (holds == "yes")


def forked(fork_id):
    return recorded(eth=EthEntry(fork_id))


OSAKA = MAINNET.fork_hashes[-3]
PRAGUE = MAINNET.fork_hashes[-4]
CHOICES = [
    (geth.by_ip("8.0.0.0/8"), NODE, recorded(ip="9.0.0.1", tcp=1)),
    (geth.by_ip("8.0.1.9"), NODE, recorded(ip="8.0.1.8", tcp=1)),
    (geth.by_ip("2a01::/16"), recorded(ip="10.0.0.1", ip6="2a01::1"), recorded(ip="1.0.0.1", ip6="2a01::1")),
    (geth.by_ip("0.0.0.0/0"), NODE, recorded(tcp=1)),
    (geth.by_min_age("480h"), NODE, replace(NODE, last_ok=START + 20 * DAY - 1)),
    (geth.by_min_age("0"), replace(NODE, first_ok=None, last_ok=None), replace(NODE, last_ok=START - 1)),
    (geth.by_eth_network("mainnet"), forked(ForkId(OSAKA, 3)), forked(NETWORKS["sepolia"].fork_id(0, 0))),
    (geth.by_eth_network("hoodi"), forked(NETWORKS["hoodi"].fork_id(0, 0)), NODE),
    (geth.les_server, recorded(les=rlp.encode([])), recorded(les=rlp.encode(b""))),
    (geth.snap, recorded(snap=rlp.encode([1])), NODE),
    (geth.dialable, recorded(quic6=5), recorded(tcp=0, udp=30303)),
    (geth.dialable, replace(NODE, record=None), replace(NODE, record=None, tcp=0)),
    (ours.by_client("reth, GETH"), saying(client="Geth/v1"), saying(client="gethx/v1")),
    (ours.by_client("geth"), saying(client="geth"), saying()),
    (ours.by_client("parity"), saying(client="OpenEthereum/v3.3.5-stable/x86_64-linux-gnu/rustc1.59.0"), saying(client="\x00")),
    (ours.by_client("nobodys"), saying(client="Nobodys"), saying(client="")),
    (ours.by_version(">=1.14"), saying(client="Geth/v1.14.2/linux"), saying(client="Geth/v1.13.15/linux")),
    (ours.by_version("!=1.14"), saying(client="Geth/v1.13/x"), saying(client="Geth")),
    (ours.by_fork(OSAKA.hex()), saying(fork_hash=OSAKA, fork_next=0), saying(fork_hash=PRAGUE, fork_next=0)),
    (ours.by_fork("mainnet/osaka"), forked(ForkId(OSAKA, 0)), NODE),
    (ours.by_fork("mainnet/OSAKA"), forked(ForkId(OSAKA, 0)), replace(forked(ForkId(OSAKA, 0)), said=Said(fork_hash=PRAGUE, fork_next=0))),
    (ours.by_readiness("mainnet/osaka"), forked(ForkId(PRAGUE, 1_764_798_551)), forked(ForkId(PRAGUE, 0))),
    (ours.by_readiness("mainnet/osaka"), forked(ForkId(OSAKA, 0)), forked(ForkId(b"abcd", 1_764_798_551))),
    (ours.by_readiness("hoodi/shanghai"), forked(NETWORKS["hoodi"].fork_id(0, 0)), forked(ForkId(OSAKA, 0))),
    (ours.by_country("de,fr"), replace(NODE, country="DE"), NODE),
    (ours.by_asn("AS24940,1"), replace(NODE, asn=1), NODE),
    (ours.at_least_up(3600 * 10**9, lambda _: 3600 * 10**6), NODE, None),
    (ours.at_least_up(3600 * 10**9, lambda _: 3600 * 10**6 - 1), None, NODE),
    (ours.at_least_up(0, lambda _: 0), None, NODE),
    (ours.by_max_rtt("40ms"), NODE, replace(NODE, rtt=40_001)),
    (ours.by_max_rtt("40ms"), NODE, replace(NODE, rtt=None)),
    (ours.by_capabilities("eth/69,snap"), NODE, saying(capabilities=("eth/69",))),
    (ours.by_capabilities("eth"), NODE, replace(NODE, said=None)),
    (ours.by_protocol("v4"), NODE, replace(NODE, outcomes={Kind.V4: Outcome.SILENT, Kind.V5: Outcome.OK})),
    (
        ours.by_protocol("RLPX"),
        replace(NODE, outcomes={Kind.INBOUND: Outcome.TOO_MANY_PEERS}),
        replace(NODE, outcomes={Kind.V4: Outcome.OK}),
    ),
    (ours.by_vantages("2"), replace(NODE, vantages=frozenset("ab")), NODE),
]


@pytest.mark.parametrize(("accepts", "taken", "left"), CHOICES, ids=range(len(CHOICES)))
def test_each_filter_takes_some_and_leaves_others(accepts, taken, left):
    assert taken is None or takes(accepts, taken)
    assert left is None or not takes(accepts, left)


WRONG = [
    (geth.by_ip, ["", "8.8.8.8/33", "8.8.8.8/", "8.8.8.8/08", "8.8.8.0/255.255.255.0", "fe80::1%eth0/64", "x"], "such as 10.0.0.0/8"),
    (geth.by_min_age, ["-1h", "tomorrow"], "such as 24h"),
    (geth.by_eth_network, ["ropsten", ""], "there are mainnet, sepolia, hoodi, holesky"),
    (ours.by_client, ["", "geth/v1", "geth,"], "such as geth"),
    (ours.by_version, ["", "new", ">=", "~1.2", "1.2,"], "such as 1.14"),
    (ours.by_fork, ["", "07c9462", "mainnet/none", "what/osaka"], "or write a fork hash"),
    (ours.by_readiness, ["osaka", "mainnet/none"], "such as mainnet/osaka|it has homestead"),
    (ours.by_country, ["", "Germany", "DE;FR"], "two letters for each country"),
    (ours.by_asn, ["", "AS", "hetzner", "4294967296"], "the number of a network"),
    (ours.by_max_rtt, ["150", "-1ms"], "150ms"),
    (ours.by_capabilities, ["", "eth/", "eth 68"], "such as eth"),
    (ours.by_protocol, ["udp", ""], "v4, v5 or rlpx"),
    (ours.by_vantages, ["-1", "many", ""], "such as 2"),
]


@pytest.mark.parametrize(("make", "texts", "advice"), WRONG, ids=[make.__name__ for make, _, _ in WRONG])
def test_a_value_that_makes_no_sense_is_refused_with_what_to_write(make, texts, advice):
    for text in texts:
        with pytest.raises(ValueError, match=advice):
            make(text)


def test_every_filter_has_a_case_above():
    made = {name for name, each in vars(ours).items() if name.startswith("by_") and inspect.isfunction(each)}
    assert made <= {make.__name__ for make, _, _ in WRONG}


def test_the_best_are_those_with_the_highest_scores():
    nodes = random_nodes(4, 30)
    chosen = best(nodes, 10)
    assert chosen == sorted(chosen, key=lambda node: node.node)
    assert min(node.score for node in chosen) >= max(node.score for node in nodes if node not in chosen)
    assert best(nodes, 99) == nodes
    assert best(nodes, 0) == []


def test_an_upgrade_of_the_first_block_is_ready_everywhere_in_the_network():
    assert parse_upgrade("hoodi/cancun").hash == NETWORKS["hoodi"].fork_hashes[0]


@settings(max_examples=30)
@given(st.binary(max_size=300))
def test_no_bytes_of_a_record_break_a_filter(raw):
    node = replace(NODE, record=replace(signed(Record.sign(key(1), 1, {})), raw=raw))
    for accepts, _, _ in CHOICES:
        takes(accepts, node)
