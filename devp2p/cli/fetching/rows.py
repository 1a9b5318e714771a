"""Headers, blocks and receipts as rows with named columns, under the names that Ethereum's JSON-RPC has for them.

A value is an int, bytes, None, or a list of objects of such values. How these are written is the business of a format.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from devp2p import keccak256, rlp
from devp2p.capabilities.backfill import Filled
from devp2p.capabilities.ethereum.blocks import Block, Body, Header, Receipt, Transaction, Withdrawal

Value: TypeAlias = "int | bytes | Sequence[Value] | Mapping[str, Value] | None"
Row: TypeAlias = Mapping[str, Value]
Type: TypeAlias = Literal["uint", "big", "bytes", "list"]
"""A number up to 64 bits, a larger one, bytes, or a list of objects."""

_HEADER: Mapping[str, tuple[str, Type]] = {
    "number": ("number", "uint"),
    "hash": ("hash", "bytes"),
    "parentHash": ("parent_hash", "bytes"),
    "sha3Uncles": ("ommers_hash", "bytes"),
    "miner": ("coinbase", "bytes"),
    "stateRoot": ("state_root", "bytes"),
    "transactionsRoot": ("transactions_root", "bytes"),
    "receiptsRoot": ("receipts_root", "bytes"),
    "logsBloom": ("bloom", "bytes"),
    "difficulty": ("difficulty", "big"),
    "gasLimit": ("gas_limit", "uint"),
    "gasUsed": ("gas_used", "uint"),
    "timestamp": ("timestamp", "uint"),
    "extraData": ("extra_data", "bytes"),
    "mixHash": ("mix_digest", "bytes"),
    "nonce": ("nonce", "bytes"),
    "baseFeePerGas": ("base_fee", "big"),
    "withdrawalsRoot": ("withdrawals_root", "bytes"),
    "blobGasUsed": ("blob_gas_used", "uint"),
    "excessBlobGas": ("excess_blob_gas", "uint"),
    "parentBeaconBlockRoot": ("parent_beacon_root", "bytes"),
    "requestsHash": ("requests_hash", "bytes"),
    "blockAccessListHash": ("access_list_hash", "bytes"),
    "slotNumber": ("slot_number", "uint"),
}
_BLOCK: Mapping[str, Type] = {"transactions": "list", "uncles": "list", "withdrawals": "list"}
_RECEIPT: Mapping[str, Type] = {
    "blockNumber": "uint",
    "blockHash": "bytes",
    "transactionIndex": "uint",
    "type": "uint",
    "status": "uint",
    "root": "bytes",
    "cumulativeGasUsed": "uint",
    "gasUsed": "uint",
    "logs": "list",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that can be fetched: its columns, and of a block its rows and its RLP."""

    columns: Mapping[str, Type]
    rows: Callable[[Filled], Iterator[Row]]
    raw: Callable[[Filled], bytes]


def _header_row(block: Filled) -> dict[str, Value]:
    header = Header.decode(block.header)
    return {name: cast("Value", getattr(header, attribute)) for name, (attribute, _) in _HEADER.items()}


def _headers(block: Filled) -> Iterator[Row]:
    yield _header_row(block)


def _blocks(block: Filled) -> Iterator[Row]:
    body = _body_of(block)
    yield {
        **_header_row(block),
        "transactions": [_transaction(item, index) for index, item in enumerate(body.transactions)],
        "uncles": [Header.decode(raw).hash for raw in body.ommers],
        "withdrawals": None if body.withdrawals is None else [_withdrawal(raw) for raw in body.withdrawals],
    }


def _receipts(block: Filled) -> Iterator[Row]:
    header, before, logs = Header.decode(block.header), 0, 0
    for index, raw in enumerate(block.receipts or ()):
        receipt = Receipt.decode(raw)
        has_root = len(receipt.status) == 32  # before Byzantium
        yield {
            "blockNumber": header.number,
            "blockHash": header.hash,
            "transactionIndex": index,
            "type": receipt.type,
            "status": None if has_root else int.from_bytes(receipt.status, "big"),
            "root": receipt.status if has_root else None,
            "cumulativeGasUsed": receipt.cumulative_gas,
            "gasUsed": receipt.cumulative_gas - before,
            "logs": [
                {"logIndex": logs + place, "address": log.address, "topics": log.topics, "data": log.data}
                for place, log in enumerate(receipt.logs)
            ],
        }
        before, logs = receipt.cumulative_gas, logs + len(receipt.logs)


def _transaction(item: bytes, index: int) -> Row:
    tx = Transaction.decode(item)
    row: dict[str, Value] = {
        "transactionIndex": index,
        "hash": tx.hash,
        "type": tx.type,
        "chainId": tx.chain_id,
        "nonce": tx.nonce,
        "from": tx.sender_in_block,
        "to": tx.to,
        "value": tx.value,
        "gas": tx.gas_limit,
        "input": tx.data,
    }
    row |= {"gasPrice": tx.gas_price} if tx.type < 2 else {"maxFeePerGas": tx.max_fee, "maxPriorityFeePerGas": tx.max_priority_fee}
    if tx.type:
        row["accessList"] = [{"address": address, "storageKeys": keys} for address, keys in tx.access_list]
    if tx.type == 3:
        row |= {"maxFeePerBlobGas": tx.max_blob_fee, "blobVersionedHashes": tx.blob_hashes}
    if tx.type == 4:
        row["authorizationList"] = [
            {"chainId": one.chain_id, "address": one.address, "nonce": one.nonce, "yParity": one.y_parity, "r": one.r, "s": one.s}
            for one in tx.authorizations
        ]
    return row


def _withdrawal(raw: bytes) -> Row:
    one = Withdrawal.decode(raw)
    return {"index": one.index, "validatorIndex": one.validator_index, "address": one.address, "amount": one.amount}


def _body_of(block: Filled) -> Body:
    assert block.body is not None  # noqa: S101  (it was ordered)
    return Body.decode(block.body)


def _raw_block(block: Filled) -> bytes:
    return Block(Header.decode(block.header), _body_of(block)).raw


def _raw_receipts(block: Filled) -> bytes:
    """As `devp2p chain import --receipts` reads them: ``[block-hash, [receipt, ...]]``."""
    return rlp.encode_list(rlp.encode(keccak256(block.header)) + rlp.encode_list(b"".join(block.receipts or ())))


_COLUMNS: Mapping[str, Type] = {name: kind for name, (_, kind) in _HEADER.items()}
KINDS: Mapping[str, Kind] = {
    "headers": Kind(_COLUMNS, _headers, lambda block: block.header),
    "blocks": Kind({**_COLUMNS, **_BLOCK}, _blocks, _raw_block),
    "receipts": Kind(_RECEIPT, _receipts, _raw_receipts),
}
