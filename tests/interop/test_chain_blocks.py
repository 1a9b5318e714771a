"""The chain of go-ethereum's suites, from Shanghai to Amsterdam: all rules for blocks hold for it, and for no block of another."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from devp2p import rlp
from devp2p.capabilities.ethereum.blocks import (
    Block,
    Fork,
    Header,
    Transaction,
    access_list_fault,
    body_fault,
    check_access_list,
    child_fault,
    headers_fault,
    read_blocks,
    receipts_fault,
    transaction_fault,
)
from devp2p.capabilities.ethereum.networks import Network, load_genesis
from tests.interop.chains import LENGTH, Exported, elements, items, suite_files

pytestmark = [pytest.mark.interop]


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    with (suite_files() / "chain.rlp").open("rb") as file:
        return list(read_blocks(file))


def test_headers(blocks: list[Block]):
    headers = [block.header for block in blocks]
    assert headers_fault(headers, 1, LENGTH) is None
    assert headers_fault(headers[::-1], headers[-1].hash, LENGTH, reverse=True) is None
    first = load_genesis(suite_files() / "genesis.json").header
    assert [child_fault(child, parent) for parent, child in pairwise([first, *headers])] == [None] * LENGTH
    assert headers_fault(headers[::7], headers[0].hash, LENGTH, skip=6) is None
    assert b"".join(replace(block).raw for block in blocks) == (suite_files() / "chain.rlp").read_bytes()


def test_bodies(blocks: list[Block]):
    assert [body_fault(block.header, block.body) for block in blocks] == [None] * LENGTH
    for block, other in pairwise(blocks):
        assert (body_fault(block.header, other.body) is None) == (block.body == other.body)


def fork_of(network: Network, header: Header) -> Fork:
    return Fork.among(lambda name: network.is_active(name, header.number, header.timestamp))


def test_transactions(blocks: list[Block]):
    genesis = load_genesis(suite_files() / "genesis.json")
    found: dict[str, Transaction] = {}
    forks: set[Fork] = set()
    for header, body in ((block.header, block.body) for block in blocks):
        fork = fork_of(genesis.network, header)
        forks.add(fork)
        for transaction in map(Transaction.decode, body.transactions):
            limit = header.gas_limit
            assert transaction_fault(transaction, fork, chain_id=genesis.network.chain_id, block_gas_limit=limit) is None
            found["0x" + transaction.hash.hex()] = transaction
    assert forks == {Fork.SHANGHAI, Fork.CANCUN, Fork.PRAGUE, Fork.OSAKA, Fork.AMSTERDAM}
    told: Any = json.loads((suite_files() / "txinfo.json").read_text("utf-8"))
    senders = {each["txhash"]: each["sender"] for many in told.values() if isinstance(many, list) for each in many if "sender" in each}
    assert len(senders) > 100
    assert {name: "0x" + found[name].sender.hex() for name in senders} == senders


def test_receipts(blocks: list[Block], exported: Exported):
    lists = [elements(elements(item)[1]) for item in items(exported.receipts.read_bytes())]
    assert [receipts_fault(block.header, raws) for block, raws in zip(blocks, lists, strict=True)] == [None] * LENGTH
    assert [len(raws) for raws in lists] == [len(block.body.transactions) for block in blocks]
    some = [(block.header, raws) for block, raws in zip(blocks, lists, strict=True) if 0 < sum(map(len, raws)) < 10_000][:50]
    for header, raws in some:
        assert receipts_fault(header, raws[:-1]) is not None
        assert receipts_fault(header, [*raws, raws[-1]]) is not None


def test_access_lists(blocks: list[Block], exported: Exported):
    by_hash = {block.hash: block for block in blocks}
    pairs = [elements(item) for item in items(exported.access_lists.read_bytes())]
    for name, raw in pairs:
        block = by_hash[bytes(rlp.decode(name))]  # type: ignore[arg-type]
        assert access_list_fault(block.header, raw) is None
        check_access_list(raw, gas_limit=block.header.gas_limit, transactions=len(block.body.transactions))
        assert access_list_fault(block.header, raw + b"\0") is not None
    assert len(pairs) > LENGTH // 2
