"""The entries eth and snap of node records: written as go-ethereum writes them, and what they say of a node that was found."""

from dataclasses import dataclass
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import Address, Capability, Channel, DiscoverySettings, Entries, NodeRecord, Peer, PrivateKey, Record, open_node, rlp
from devp2p.capabilities.ethereum import Head
from devp2p.capabilities.ethereum.networks import (
    NETWORKS,
    EthEntry,
    ForkId,
    SnapEntry,
    advertised_fork_id,
    check_fork_id,
    eth_entries,
    serves_snap,
    snap_entries,
    wants_node,
)

KEY = PrivateKey.generate()
MAINNET, HOODI = NETWORKS["mainnet"], NETWORKS["hoodi"]
SHANGHAI, CANCUN = Head(18_000_000, b"", 1_700_000_000), Head(20_000_000, b"", 1_720_000_000)
START = Head(0, b"", 0)


def node(**entries: Any) -> NodeRecord:
    return NodeRecord.from_enr(Record.sign(KEY, 1, {"ip": "203.0.113.5", "tcp": 30303, **entries}))


def test_they_are_written_as_go_ethereum_writes_them():
    """`[[hash, next]]` and `[]`, the bytes by hand."""
    record = Record.sign(KEY, 1, {**eth_entries(MAINNET, SHANGHAI), **snap_entries()})
    assert record.get("eth") == bytes.fromhex("cb" + "ca" + "84dce96c2d" + "8465f1b057")
    assert record.get("snap") == b"\xc0"


def test_what_later_versions_add_is_passed_over():
    """enr-entries/eth.md: implementations should ignore any additional list elements."""
    found = node(eth=bytes.fromhex("d1" + "ca84dce96c2d8465f1b057" + "85" + "0102030405"), snap=bytes.fromhex("c105"))
    assert advertised_fork_id(found) == ForkId(bytes.fromhex("dce96c2d"), 1_710_338_135)
    assert serves_snap(found)


@pytest.mark.parametrize(
    "value", ["c0", "80", "c105", "c6840000000080", "c8c785000000000080"], ids=["empty", "text", "number", "not nested", "long checksum"]
)
def test_a_malformed_entry_is_none(value):
    found = node(eth=bytes.fromhex(value), snap=b"\x80")
    assert advertised_fork_id(found) is None
    assert not serves_snap(found)
    assert not wants_node(MAINNET, CANCUN, found)


@pytest.mark.parametrize(
    ("theirs", "wanted"),
    [
        (node(**eth_entries(MAINNET, CANCUN)), True),
        (node(**eth_entries(MAINNET, SHANGHAI)), True),  # it syncs
        (node(**eth_entries(MAINNET, START)), True),
        (node(eth=EthEntry(ForkId(MAINNET.fork_id(18_000_000, 1_700_000_000).hash, 0))), False),  # old software
        (node(**eth_entries(HOODI, CANCUN)), False),
        (node(snap=b"\xc0"), False),
        (NodeRecord(KEY.public_key, (Address("tcp", "203.0.113.5", 30303),)), False),
    ],
)
def test_which_nodes_are_worth_dialling(theirs, wanted):
    assert wants_node(MAINNET, CANCUN, theirs) == wanted


def test_a_node_without_blocks_wants_all_of_its_network():
    assert wants_node(MAINNET, START, node(**eth_entries(MAINNET, CANCUN)))
    assert not wants_node(MAINNET, START, node(**eth_entries(HOODI, CANCUN)))


@given(st.builds(ForkId, st.binary(min_size=4, max_size=4), st.integers(0, 2**64 - 1)), st.lists(st.binary(max_size=9)))
def test_round_trip(fork_id, later):
    entry = EthEntry(fork_id, tuple(map(rlp.encode, later)))
    assert rlp.codec(EthEntry).decode(rlp.codec(EthEntry).encode(entry)) == entry
    assert rlp.codec(SnapEntry).decode(rlp.codec(SnapEntry).encode(SnapEntry(entry.later))).later == entry.later


ITEMS = st.recursive(st.binary(max_size=9), lambda inner: st.lists(inner, max_size=3), max_leaves=8)


@settings(max_examples=50)
@given(ITEMS)
def test_whatever_a_stranger_signs_is_read_or_passed_over(item):
    found = node(eth=rlp.encode(item), snap=rlp.encode(item))
    assert serves_snap(found) == isinstance(item, list)
    fork_id = advertised_fork_id(found)
    assert wants_node(MAINNET, CANCUN, found) == (fork_id is not None and check_fork_id(MAINNET, CANCUN, fork_id).compatible)


@dataclass(frozen=True)
class Nothing:
    pass


class Follows(Capability[Nothing]):
    """A capability of a chain whose head moves."""

    name, version, messages = "follows", 1, {0: Nothing}

    def __init__(self) -> None:
        self.head = SHANGHAI

    def record_entries(self) -> Entries:
        return eth_entries(MAINNET, self.head)

    async def run(self, peer: Peer, channel: Channel[Nothing]) -> None:  # noqa: ARG002
        await trio.sleep_forever()


async def test_a_nodes_record_changes_when_a_fork_passes():
    chain = Follows()
    async with open_node(KEY, [chain], discovery=DiscoverySettings(listen="udp://127.0.0.1:0"), strict=True) as running:

        def said() -> ForkId | None:
            assert running.enr is not None
            return advertised_fork_id(NodeRecord.parse(running.enr))

        before = running.enr
        assert said() == MAINNET.fork_id(SHANGHAI.number, SHANGHAI.timestamp)
        chain.head = Head(SHANGHAI.number + 1, b"", SHANGHAI.timestamp + 12)
        await trio.sleep(60)
        assert running.enr == before  # no new record for each block
        chain.head = CANCUN
        await trio.sleep(60)
        assert said() == MAINNET.fork_id(CANCUN.number, CANCUN.timestamp)
