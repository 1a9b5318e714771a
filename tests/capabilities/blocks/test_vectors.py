"""Blocks, transactions and receipts that others have published: decoded, hashed, written back."""

import json
from pathlib import Path
from typing import Any

import pytest

from devp2p import PrivateKey, keccak256
from devp2p.capabilities.ethereum.blocks import (
    Block,
    Receipt,
    Transaction,
    address_of,
    body_fault,
    receipts_fault,
    receipts_root,
)

VECTORS: Any = json.loads((Path(__file__).parents[2] / "vectors" / "ethereum_blocks.json").read_text("utf-8"))


@pytest.mark.parametrize("vector", [*VECTORS["blocks"], *VECTORS["chain"]])
def test_that_blocks_come_back_and_have_their_hashes(vector: Any) -> None:
    raw = bytes.fromhex(vector["rlp"])
    block = Block.decode(raw)
    assert block.raw == raw
    assert vector["hash"] in {None, block.hash.hex()}
    assert keccak256(block.header.raw) == block.hash
    for item in block.body.transactions:
        assert Transaction.decode(item).item == item


@pytest.mark.parametrize("vector", VECTORS["chain"])
def test_that_bodies_of_a_chain_belong_to_their_headers(vector: Any) -> None:
    block = Block.decode(bytes.fromhex(vector["rlp"]))
    assert block.header.number == vector["number"]
    assert body_fault(block.header, block.body) is None
    assert all(len(Transaction.decode(item).sender) == 20 for item in block.body.transactions)


def test_the_fields_of_headers() -> None:
    frontier, _, _, cancun = (Block.decode(bytes.fromhex(vector["rlp"])) for vector in VECTORS["blocks"])
    header = frontier.header
    assert (header.difficulty, header.gas_limit, header.gas_used, header.timestamp) == (131_072, 3_141_592, 21_000, 1_426_516_743)
    assert (header.coinbase.hex(), header.nonce.hex()) == ("8888f1f195afa192cfee860698584c030f4c9db1", "a13a5a8c8f2bb1c4")
    assert header.mix_digest.hex() == "bd4472abb6659ebe3ee06ee4d7b72a00a9f4d001caca51342001075469aff498"
    assert header.state_root.hex() == "ef1552a40b7165c3cd773806b9e0c165b75356e0314bf0706f279c729f51e017"
    assert (header.base_fee, header.withdrawals_root, header.rest) == (None, None, ())
    header = cancun.header
    assert (header.gas_limit, header.gas_used, header.timestamp) == (0x16345785D8A0000, 0x14820, 0x79E)
    assert header.withdrawals_root == bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
    assert (header.blob_gas_used, header.excess_blob_gas, header.parent_beacon_root) == (131_072, 0, bytes(32))
    assert (header.requests_hash, header.access_list_hash, header.slot_number) == (None, None, None)


def test_the_fields_of_a_blob_transaction() -> None:
    transaction = Transaction.decode(Block.decode(bytes.fromhex(VECTORS["blocks"][3]["rlp"])).body.transactions[3])
    assert (transaction.type, transaction.chain_id, transaction.nonce, transaction.gas_limit) == (3, 1, 3, 0xE8D4A51000)
    assert (transaction.max_priority_fee, transaction.max_fee, transaction.max_blob_fee, transaction.value) == (1, 0x3E8, 10, 7)
    assert transaction.to is not None
    assert transaction.to.hex() == "100000000000000000000000000000000000000a"
    assert [each.hex() for each in transaction.blob_hashes] == ["01a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8"]


@pytest.mark.parametrize("vector", VECTORS["eip155"])
def test_senders_by_eip_155(vector: Any) -> None:
    transaction = Transaction.decode(bytes.fromhex(vector["rlp"]))
    assert transaction.chain_id == 1
    assert transaction.sender.hex() == vector["sender"]


def test_the_example_of_eip_155() -> None:
    unsigned = Transaction(type=0, chain_id=1, nonce=9, gas_price=20 * 10**9, gas_limit=21_000, to=b"\x35" * 20, value=10**18)
    assert unsigned.signing_hash.hex() == "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
    signed = unsigned.signed(PrivateKey(b"\x46" * 32))
    assert signed.envelope.hex() == (
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d"
        "3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    )


def test_a_legacy_transaction_from_before_eip_155() -> None:
    raw = bytes.fromhex(
        "f86103018207d094b94f5374fce5edbc8e2a8697c15331677e6ebf0b0a8255441ca098ff921201554726367d2be8c804a7ff89ccf285ebc57dff8ae4c44b9c19"
        "ac4aa08887321be575c8095f789dd4c743dfe42c1820f9231f98a962b210e3ac2452a3"
    )
    transaction = Transaction.decode(raw)
    assert (transaction.chain_id, transaction.nonce, transaction.gas_limit, transaction.data) == (None, 3, 2000, b"\x55\x44")
    assert transaction.signing_hash.hex() == "fe7a79529ed5f7c3375d06b26b186a8644e0e16c373d7a12be41c62d6042b77a"


def test_a_transaction_of_eip_2930() -> None:
    transaction = Transaction.from_envelope(
        bytes.fromhex(
            "01f8630103018261a894b94f5374fce5edbc8e2a8697c15331677e6ebf0b0a825544c001a0c9519f4f2b30335884581971573fadf60c6204f59a911df35ee8"
            "a540456b2660a032f1e8e2c5dd761f9e4f88f41c8310aeaba26a8bfcdacfedfa12ec3862d37521"
        )
    )
    assert transaction.signing_hash.hex() == "49b486f0ec0a60dfbbca2d30cb07c9e8ffb2a2ff41f29a1ab6737475f6ff69f3"
    assert transaction.gas_price == transaction.max_fee == transaction.max_priority_fee == 1


@pytest.mark.parametrize("vector", VECTORS["homestead"])
def test_senders_from_before_eip_155(vector: Any) -> None:
    transaction = Transaction.decode(bytes.fromhex(vector["rlp"]))
    assert transaction.to == (bytes.fromhex(vector["to"]) if vector["to"] else None)
    assert transaction.sender == address_of(PrivateKey(bytes.fromhex(vector["key"])))


@pytest.mark.parametrize("consensus", VECTORS["receipts"])
def test_receipts(consensus: str) -> None:
    receipt = Receipt.from_consensus(bytes.fromhex(consensus))
    assert receipt.consensus.hex() == consensus
    assert [log.address[-2:].hex() for log in receipt.logs] == ["0011", "0111"]
    assert (receipt.status, receipt.cumulative_gas) == (b"", 1)
    assert Receipt.decode(receipt.raw) == receipt
    block = Block.decode(bytes.fromhex(VECTORS["chain"][0]["rlp"]))
    assert receipts_fault(block.header, [receipt.raw]) == "its receipts have another root"
    assert receipts_root([]).hex().startswith("56e81f17")
