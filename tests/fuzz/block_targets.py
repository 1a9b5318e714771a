"""Fuzz targets for what a chain is made of: headers, bodies, transactions, receipts, access lists."""

import contextlib
from dataclasses import replace
from typing import Final

from devp2p import DecodingError, rlp
from devp2p.capabilities.ethereum.blocks import (
    Block,
    Body,
    Fork,
    Header,
    Receipt,
    Transaction,
    Withdrawal,
    account_changes,
    body_fault,
    encode_access_list,
    receipts_fault,
    transaction_fault,
)
from devp2p.capabilities.ethereum.blocks.header import _read, _read_usual
from devp2p.capabilities.ethereum.blocks.receipt import consensus_receipt

SOME: Final = Header(
    parent_hash=bytes(32),
    coinbase=bytes(20),
    state_root=bytes(32),
    transactions_root=bytes(32),
    receipts_root=bytes(32),
    number=1,
    gas_limit=1,
    timestamp=1,
)
BLOB: Final = bytes(131_072)


def fuzz_header(data: bytes) -> None:
    # Invariant: any bytes are refused as DecodingError, or are the only bytes of their header; both ways to read it agree.
    usual = _read_usual(data)
    try:
        header = Header.decode(data)
    except DecodingError:
        assert usual is None
        return
    assert header.raw == replace(header).raw == data
    assert usual in (None, _read(data))


def fuzz_block(data: bytes) -> None:
    # Invariant: any bytes are refused as DecodingError, or are the only bytes of a body, or a block, whose parts can be looked into.
    with contextlib.suppress(DecodingError):
        body = Body.decode(data)
        assert replace(body).raw == data
        look_into(body)
    for raw in (data, rlp.encode_list(SOME.raw + data)):
        with contextlib.suppress(DecodingError):
            block = Block.decode(raw)
            assert block.raw == raw
            look_into(block.body)


def look_into(body: Body) -> None:
    body_fault(SOME, body)
    for decode, items in (
        (Transaction.decode, body.transactions),
        (Header.decode, body.ommers),
        (Withdrawal.decode, body.withdrawals or ()),
    ):
        for item in items:
            with contextlib.suppress(DecodingError):
                assert decode(item).raw == item


def fuzz_transaction(data: bytes) -> None:
    # Invariant: any bytes are refused as DecodingError, or make a transaction that can be written, judged and read again.
    typed = [bytes([kind]) + payload for kind in range(1, 5) for payload in (data, rlp.encode_list(data))]
    with_blob = b"\x03" + rlp.encode_list(data + rlp.encode([BLOB]) + b"\xc0\xc0")
    for envelope in (data, *typed, with_blob):
        try:
            transaction = Transaction.from_envelope(envelope)
        except DecodingError:
            continue
        again = Transaction.decode(transaction.raw)
        assert again == transaction
        assert again.raw == transaction.raw
        assert transaction.size == len(transaction.network_envelope) <= len(envelope)
        assert transaction.network_envelope == envelope or (transaction.sidecar is not None and transaction.sidecar.version == 1)
        assert Transaction.decode(transaction.item).hash == transaction.hash
        for fork in (Fork.FRONTIER, Fork.PRAGUE, Fork.AMSTERDAM):
            assert transaction_fault(transaction, fork, chain_id=1) != ""


def fuzz_receipt(data: bytes) -> None:
    # Invariant: any bytes are refused as DecodingError in both ways to read them, or are a receipt in both, with the same encodings.
    try:
        receipt = Receipt.decode(data)
    except DecodingError:
        assert receipts_fault(SOME, [data]) not in {None, "its receipts have another root"}
    else:
        assert receipt.raw == data
        assert consensus_receipt(data) == receipt.consensus
        assert Receipt.from_consensus(receipt.consensus) == receipt
    for consensus in (data, b"\x02" + data):
        with contextlib.suppress(DecodingError):
            assert Receipt.from_consensus(consensus).consensus == consensus


def fuzz_access_list(data: bytes) -> None:
    # Invariant: any bytes are refused as DecodingError, or are the only bytes of an access list.
    for raw in (data, rlp.encode_list(data)):
        with contextlib.suppress(DecodingError):
            assert encode_access_list(account_changes(raw)) == raw
