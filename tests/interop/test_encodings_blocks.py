"""Headers, bodies, transactions, receipts, access lists and fork ids: this library and go-ethereum say the same of each."""

from dataclasses import replace
from typing import Any

import pytest

from devp2p import DecodingError, keccak256
from devp2p.capabilities.ethereum import Head
from devp2p.capabilities.ethereum.blocks import (
    EMPTY_OMMERS,
    Body,
    Fork,
    Header,
    Receipt,
    Transaction,
    access_list_fault,
    account_changes,
    body_fault,
    check_access_list,
    encode_access_list,
    receipts_fault,
    receipts_root,
)
from devp2p.capabilities.ethereum.networks import NETWORKS, ForkId, check_fork_id
from devp2p.capabilities.ethereum.tries import list_root
from tests.interop.encodings import Line, data, printed

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("chaintool")]

HEADER_FIELDS = {
    "parentHash": "parent_hash",
    "sha3Uncles": "ommers_hash",
    "miner": "coinbase",
    "stateRoot": "state_root",
    "transactionsRoot": "transactions_root",
    "receiptsRoot": "receipts_root",
    "logsBloom": "bloom",
    "difficulty": "difficulty",
    "number": "number",
    "gasLimit": "gas_limit",
    "gasUsed": "gas_used",
    "timestamp": "timestamp",
    "extraData": "extra_data",
    "mixHash": "mix_digest",
    "nonce": "nonce",
    "baseFeePerGas": "base_fee",
    "withdrawalsRoot": "withdrawals_root",
    "blobGasUsed": "blob_gas_used",
    "excessBlobGas": "excess_blob_gas",
    "parentBeaconBlockRoot": "parent_beacon_root",
    "requestsHash": "requests_hash",
    "blockAccessListHash": "access_list_hash",
    "slotNumber": "slot_number",
    "hash": "hash",
}
"""The names of go-ethereum's JSON and ours."""


def header(**fields: Any) -> Header:
    """A header of which only the given fields matter."""
    unused = {name: bytes(32) for name in ("parent_hash", "state_root", "transactions_root", "receipts_root")}
    return Header(**{**unused, "coinbase": bytes(20), "number": 1, "gas_limit": 30_000_000, "timestamp": 1, **fields})


def test_headers():
    assert len(printed()["header"]) == 8
    for line in printed()["header"]:
        read = Header.decode(data(line["rlp"]))
        assert read.hash == data(line["hash"]) == keccak256(read.raw)
        assert line["fields"].keys() == HEADER_FIELDS.keys()
        values: dict[str, Any] = {}
        for theirs, ours in HEADER_FIELDS.items():
            text, value = line["fields"][theirs], getattr(read, ours)
            assert value == (None if text is None else int(text, 16) if isinstance(value, int) else data(text)), ours
            if ours != "hash":
                values[ours] = value
        assert Header(**values).raw == data(line["rlp"])


def test_bodies():
    for line in printed()["body"]:
        raw = data(line["rlp"])
        read = Body.decode(raw)
        assert Body(read.transactions, read.ommers, read.withdrawals).raw == raw
        roots: dict[str, Any] = {"transactions_root": data(line["transactions"]), "ommers_hash": data(line["ommers"])}
        if line["withdrawals"] is not None:
            roots["withdrawals_root"] = data(line["withdrawals"])
            roots = {"base_fee": 1, **roots}
        assert body_fault(header(**roots), read) is None
        for name, value in roots.items():
            if isinstance(value, bytes):
                assert body_fault(header(**{**roots, name: keccak256(value)}), read) is not None
    assert data(printed()["body"][0]["ommers"]) == EMPTY_OMMERS


def test_transactions():
    for line in printed()["transaction"]:
        item = data(line["item"])
        read = Transaction.decode(item)
        assert read.raw == item
        assert (read.envelope, read.hash, read.size) == (data(line["envelope"]), data(line["hash"]), line["size"])
        assert read.sender == data(line["sender"])
        assert Transaction.from_envelope(read.envelope).sender == read.sender
        for name in ("type", "nonce", "gas_limit", "value", "max_fee", "max_priority_fee", "chain_id"):
            assert getattr(read, name) == line[name], name
        assert read.data == data(line["data"])
        assert read.to == (line["to"] and data(line["to"]))
        assert read.blob_hashes == tuple(map(data, line["blob_hashes"]))
        assert read.access_list == tuple((data(each["address"]), tuple(map(data, each["storageKeys"]))) for each in line["access_list"])
        assert len(read.authorizations) == line["authorizations"]
        anew = replace(read, sidecar=read.sidecar and replace(read.sidecar))  # of its fields alone
        assert (anew.raw, anew.hash) == (item, read.hash)


def test_gas():
    for line in printed()["transaction"]:
        read = Transaction.decode(data(line["item"]))
        for name, (intrinsic, floor) in line["gas"].items():
            assert read.intrinsic_gas(Fork[name.upper()]) == max(intrinsic, floor), (name, line["nonce"])


def test_receipts():
    for line in printed()["receipts"]:
        raws = list(map(data, line["network"]))
        for raw, consensus, bloom in zip(raws, line["consensus"], line["blooms"], strict=True):
            read = Receipt.decode(raw)
            assert (read.raw, read.consensus, read.bloom) == (raw, data(consensus), data(bloom))
            assert Receipt.from_consensus(read.consensus) == read == Receipt(read.type, read.status, read.cumulative_gas, read.logs)
        assert receipts_root(raws) == data(line["root"])
        assert receipts_fault(header(receipts_root=data(line["root"])), raws) is None
        assert receipts_fault(header(receipts_root=keccak256(data(line["root"]))), raws) is not None


def fault_of(line: Line) -> str | None:
    """Our verdict about an access list."""
    try:
        check_access_list(data(line["rlp"]), gas_limit=line["gas_limit"], transactions=line["transactions"])
    except DecodingError as error:
        return str(error)
    return None


def test_access_lists():
    found = printed()["accessList"]
    verdicts = {(line["name"], line["gas_limit"]): (fault_of(line) is None, line["fault"] is None) for line in found}
    assert {name: ours for name, (ours, _) in verdicts.items()} == {name: theirs for name, (_, theirs) in verdicts.items()}
    assert len(found) > 20
    for line in found:
        if line["fault"] is None:
            assert keccak256(data(line["rlp"])) == data(line["hash"])
            assert encode_access_list(account_changes(data(line["rlp"]))) == data(line["rlp"])
            assert access_list_fault(header(base_fee=1, gas_limit=line["gas_limit"], **_amsterdam(line["hash"])), data(line["rlp"])) is None


def _amsterdam(access_list_hash: str) -> dict[str, Any]:
    """The fields that a header has before and with that of its access list."""
    hashes = {name: bytes(32) for name in ("withdrawals_root", "parent_beacon_root", "requests_hash")}
    return {**hashes, "blob_gas_used": 0, "excess_blob_gas": 0, "access_list_hash": data(access_list_hash), "slot_number": 1}


def test_roots_of_lists():
    for line in printed()["list"]:
        values = [_filler(1 + index % 90, index) for index in range(line["count"])]
        assert list_root(values) == data(line["root"])


def _filler(size: int, seed: int) -> bytes:
    """What chaintool fills values with."""
    blocks = [keccak256(((seed << 16) + block).to_bytes(8, "big")) for block in range(-(-size // 32))]
    return b"".join(blocks)[:size]


def test_fork_ids():
    assert {line["network"] for line in printed()["forkId"]} == {"mainnet", "sepolia", "hoodi"}
    for line in printed()["forkId"]:
        ours = NETWORKS[line["network"]].fork_id(line["number"], line["timestamp"])
        assert ours == ForkId(data(line["hash"]), line["next"]), line


def test_verdicts_about_fork_ids():
    found = printed()["forkFilter"]
    for line in found:
        here = Head(line["number"], bytes(32), line["timestamp"])
        verdict = check_fork_id(NETWORKS[line["network"]], here, ForkId(data(line["hash"]), line["next"]))
        assert verdict.compatible is (not line["verdict"]), (line, verdict)
    assert {bool(line["verdict"]) for line in found} == {True, False}
