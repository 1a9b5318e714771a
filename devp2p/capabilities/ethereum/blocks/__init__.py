"""Blocks of an Ethereum chain, and what they are made of (eth, "Transaction Encoding and Validity" to "Block Access List Encoding").

`X.decode(raw)` makes an object of bytes that a peer has sent, or raises DecodingError, and `.raw` gives the bytes back. What a body holds
stays encoded until somebody asks, since its roots and hashes are of those bytes. The functions `..._fault` compare what a peer has sent
with a header or a request, and say in words what is wrong, or return None.

    header.py           Header; headers_fault
    succession.py       whether a header may follow another; base fees
    body.py block.py    Body, Withdrawal, body_fault; Block, and files of them
    transaction.py      Transaction, of types 0 to 4
    validity.py         transaction_fault: the rules for transactions that need no state
    signing.py          addresses, signatures, Authorization (EIP-7702)
    sidecar.py          Sidecar: blobs beside a transaction (EIP-4844, EIP-7594), or elided (EIP-8070)
    forks.py gas.py     Fork; what a transaction costs before it does anything
    receipt.py          Receipt, Log, receipts_fault
    access_list.py      AccountChanges, access_list_fault (EIP-7928)
    reading.py          Fields: the elements of a list, one after another
"""

from devp2p.capabilities.ethereum.blocks.access_list import (
    AccountChanges,
    access_list_fault,
    account_changes,
    check_access_list,
    encode_access_list,
)
from devp2p.capabilities.ethereum.blocks.block import Block, read_blocks, read_items
from devp2p.capabilities.ethereum.blocks.body import Body, Withdrawal, body_fault, transactions_root
from devp2p.capabilities.ethereum.blocks.forks import Fork
from devp2p.capabilities.ethereum.blocks.header import EMPTY_OMMERS, Header, headers_fault
from devp2p.capabilities.ethereum.blocks.receipt import Log, Receipt, receipts_fault, receipts_root
from devp2p.capabilities.ethereum.blocks.sidecar import Sidecar, blob_hash_of
from devp2p.capabilities.ethereum.blocks.signing import Authorization, address_of
from devp2p.capabilities.ethereum.blocks.succession import child_fault, next_base_fee
from devp2p.capabilities.ethereum.blocks.transaction import AccessList, Transaction
from devp2p.capabilities.ethereum.blocks.validity import transaction_fault

__all__ = [
    "EMPTY_OMMERS",
    "AccessList",
    "AccountChanges",
    "Authorization",
    "Block",
    "Body",
    "Fork",
    "Header",
    "Log",
    "Receipt",
    "Sidecar",
    "Transaction",
    "Withdrawal",
    "access_list_fault",
    "account_changes",
    "address_of",
    "blob_hash_of",
    "body_fault",
    "check_access_list",
    "child_fault",
    "encode_access_list",
    "headers_fault",
    "next_base_fee",
    "read_blocks",
    "read_items",
    "receipts_fault",
    "receipts_root",
    "transaction_fault",
    "transactions_root",
]
