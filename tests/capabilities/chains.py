"""Small chains with everything that hangs on them: transactions that are signed, receipts, access lists, states, all with their roots.

Nothing here executes code. Transactions are transfers, whose effects are computed; what a contract stores changes with each block, as
that of system contracts does; logs are made up. So another client would not accept these blocks, but every hash, root and balance is right.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from devp2p import PrivateKey, keccak256, rlp
from devp2p.capabilities.ethereum.blocks import (
    AccountChanges,
    Block,
    Body,
    Header,
    Log,
    Receipt,
    Transaction,
    Withdrawal,
    address_of,
    encode_access_list,
    receipts_root,
    transactions_root,
)
from devp2p.capabilities.ethereum.networks import Genesis
from devp2p.capabilities.ethereum.store import Importer, SqliteChain
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT, list_root, ordered_root

FORKS = ("london", "shanghai", "cancun", "prague", "osaka", "amsterdam")
CONTRACT = bytes.fromhex("c0de" * 10)
"""The address of the contract whose storage changes with each block."""
GAS_LIMIT = 30_000_000
SECONDS_PER_BLOCK = 10
_PLAIN_GAS = 21_000
_NO_REQUESTS = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


@dataclass(frozen=True)
class Holding:
    """An account of a state; `storage` by slot, numbers above 0."""

    nonce: int = 0
    balance: int = 0
    code: bytes = b""
    storage: tuple[tuple[bytes, int], ...] = ()

    @property
    def leaves(self) -> list[tuple[bytes, bytes]]:
        return sorted((keccak256(slot), rlp.encode(value)) for slot, value in self.storage)

    @property
    def storage_root(self) -> bytes:
        return ordered_root(self.leaves)

    @property
    def full(self) -> bytes:
        return rlp.encode([self.nonce, self.balance, self.storage_root, keccak256(self.code)])

    @property
    def slim(self) -> bytes:
        root = self.storage_root if self.storage else b""
        return rlp.encode([self.nonce, self.balance, root, keccak256(self.code) if self.code else b""])


State = Mapping[bytes, Holding]


def state_leaves(state: State) -> list[tuple[bytes, bytes]]:
    """The leaves of the trie of all accounts."""
    return sorted((keccak256(address), holding.full) for address, holding in state.items())


@dataclass(frozen=True)
class BuiltBlock:
    """A block, what hangs on it, and the state behind it, by address."""

    header: Header
    body: Body
    receipts: tuple[bytes, ...]
    access_list: bytes | None
    state: State

    @property
    def hash(self) -> bytes:
        return self.header.hash

    @property
    def raw(self) -> bytes:
        """As a chain file has it."""
        return Block(self.header, self.body).raw

    @property
    def transactions(self) -> list[Transaction]:
        return [Transaction.decode(item) for item in self.body.transactions]


@dataclass(frozen=True)
class ChainFiles:
    """What `devp2p chain import` takes; `states` by number."""

    genesis: Path
    chain: Path
    receipts: Path
    access_lists: Path
    states: Mapping[int, Path]


@dataclass(frozen=True)
class BuiltChain:
    """A chain, of which `blocks[0]` is the genesis block."""

    genesis_json: str
    genesis: Genesis
    blocks: tuple[BuiltBlock, ...]
    keys: tuple[PrivateKey, ...]
    """Of accounts that have something."""

    @property
    def head(self) -> BuiltBlock:
        return self.blocks[-1]

    def by_hash(self, hash_: bytes) -> BuiltBlock:
        return next(block for block in self.blocks if block.hash == hash_)

    def branch(self, number: int, count: int = 2, *, transactions: int = 2, seed: int = 99) -> "BuiltChain":
        """A chain that leaves this one behind a block, and has `count` blocks of its own."""
        start = self.blocks[number]
        maker = _Maker(self, seed, bytes([0xBB]) * 20)
        return replace(self, blocks=(*self.blocks[: number + 1], *maker.blocks(start, count, transactions)))

    def chain_file(self, first: int = 1) -> bytes:
        """Blocks as `geth export` writes them."""
        return b"".join(block.raw for block in self.blocks[first:])

    def receipts_file(self, first: int = 1) -> bytes:
        return b"".join(
            rlp.encode_list(rlp.encode(block.hash) + rlp.encode_list(b"".join(block.receipts))) for block in self.blocks[first:]
        )

    def access_lists_file(self, first: int = 1, *, with_headers: bool = False) -> bytes:
        return b"".join(
            rlp.encode_list((block.header.raw if with_headers else rlp.encode(block.hash)) + block.access_list)
            for block in self.blocks[first:]
            if block.access_list is not None
        )

    def dump(self, number: int = -1, *, lines: bool = False, hashed: bool = False) -> str:
        """A state as `geth dump` prints it, or, in `lines`, `geth dump --iterative`; slots `hashed` as older versions have them."""
        block = self.blocks[number]
        accounts = {f"0x{address.hex()}": _dumped(address, holding, hashed) for address, holding in block.state.items()}
        root = block.header.state_root.hex()
        if lines:
            return "".join(f"{json.dumps(line)}\n" for line in ({"root": f"0x{root}"}, *accounts.values()))
        return json.dumps({"root": root, "accounts": accounts}, indent=4)

    def write(self, directory: Path, *, states: tuple[int, ...] = (-1,)) -> ChainFiles:
        """Write all of it to files."""
        files = ChainFiles(
            directory / "genesis.json",
            directory / "chain.rlp",
            directory / "receipts.rlp",
            directory / "bals.rlp",
            {number % len(self.blocks): directory / f"state-{number % len(self.blocks)}.json" for number in states},
        )
        files.genesis.write_text(self.genesis_json)
        files.chain.write_bytes(self.chain_file())
        files.receipts.write_bytes(self.receipts_file())
        files.access_lists.write_bytes(self.access_lists_file())
        for number, path in files.states.items():
            path.write_text(self.dump(number))
        return files

    def store(self, directory: Path, *, states: tuple[int, ...] = (-1,)) -> Path:
        """Import all of it into a chain file, which `SqliteChain.open` opens."""
        files = self.write(directory, states=states)
        path = directory / "chain.db"
        with Importer.open(path, self.genesis) as importer:
            importer.blocks(files.chain)
            importer.receipts(files.receipts)
            importer.access_lists(files.access_lists)
            for number, dump in files.states.items():
                importer.state(number, dump)
        return path

    def open(self, directory: Path, *, states: tuple[int, ...] = (-1,)) -> SqliteChain:
        """Import all of it, and open it."""
        return SqliteChain.open(self.store(directory, states=states))


@cache
def build_chain(  # noqa: PLR0913  (all by name)
    blocks: int = 8, transactions: int = 3, *, fork: str = "amsterdam", accounts: int = 6, slots: int = 12, seed: int = 1
) -> BuiltChain:
    """Build a chain of `blocks` behind genesis, with as many transactions in each, under the rules of `fork` (one of FORKS).

    Its state has `accounts` with keys, some that blocks pay, and three contracts: one whose `slots` change with each block, one with the
    same code whose storage never changes, and one with code alone. From Shanghai on each block has a withdrawal, in Amsterdam access lists.
    """
    keys = tuple(PrivateKey.from_bytes(keccak256(b"account %d of a chain for tests" % index)) for index in range(accounts))
    code = bytes(range(1, 200))
    storage = {f"0x{slot:064x}": f"0x{slot * 7919 + 1:064x}" for slot in range(slots)}
    alloc: dict[str, dict[str, Any]] = {address_of(key).hex(): {"balance": hex(10**21)} for key in keys}
    alloc |= {
        CONTRACT.hex(): {"balance": "0x1", "nonce": "0x1", "code": f"0x{code.hex()}", "storage": storage},
        "c1" * 20: {"balance": "0x0", "nonce": "0x1", "code": f"0x{code.hex()}", "storage": storage},
        "c2" * 20: {"balance": "0x0", "nonce": "0x1", "code": f"0x{code[::-1].hex()}"},
    }
    text = json.dumps(
        {
            "config": {
                "chainId": 1337,
                **dict.fromkeys(
                    [
                        f"{name}Block"
                        for name in ("homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul")
                    ],
                    0,
                ),
                "berlinBlock": 0,
                "londonBlock": 0,
                "terminalTotalDifficulty": 0,
                **{f"{name}Time": 0 for name in FORKS[1 : FORKS.index(fork) + 1]},
            },
            "gasLimit": hex(GAS_LIMIT),
            "difficulty": "0x0",
            "alloc": alloc,
        },
        indent=1,
    )
    genesis = Genesis.parse(text)
    state = {
        address: Holding(
            account.nonce,
            account.balance,
            account.code,
            tuple((slot, int.from_bytes(value, "big")) for slot, value in account.storage.items()),
        )
        for address, account in genesis.accounts.items()
    }
    withdrawals = () if genesis.header.withdrawals_root is not None else None
    first = BuiltBlock(genesis.header, Body(withdrawals=withdrawals), (), None, state)
    chain = BuiltChain(text, genesis, (first,), keys)
    return replace(chain, blocks=(first, *_Maker(chain, seed, bytes([0xAA]) * 20).blocks(first, blocks, transactions)))


class _Changes:
    """A state while a block is made, and who has changed at which index of its access list."""

    def __init__(self, state: State) -> None:
        self.state = dict(state)
        self.balances: dict[bytes, dict[int, int]] = {}
        self.nonces: dict[bytes, dict[int, int]] = {}

    def pay(self, index: int, address: bytes, amount: int) -> None:
        holding = self.state.get(address, Holding())
        self.state[address] = replace(holding, balance=holding.balance + amount)
        self.balances.setdefault(address, {})[index] = holding.balance + amount

    def use_nonce(self, index: int, address: bytes) -> int:
        holding = self.state[address]
        self.state[address] = replace(holding, nonce=holding.nonce + 1)
        self.nonces.setdefault(address, {})[index] = holding.nonce + 1
        return holding.nonce


class _Maker:
    def __init__(self, chain: BuiltChain, seed: int, coinbase: bytes) -> None:
        self.chain = chain
        self.random = Random(seed)
        self.coinbase = coinbase

    def blocks(self, parent: BuiltBlock, count: int, transactions: int) -> list[BuiltBlock]:
        made: list[BuiltBlock] = []
        for _ in range(count):
            parent = self.block(parent, transactions)
            made.append(parent)
        return made

    def block(self, parent: BuiltBlock, transactions: int) -> BuiltBlock:
        number, before = parent.header.number + 1, parent.header
        base_fee = _base_fee(before)
        changes = _Changes(parent.state)
        written = self._write_slot(changes, number)
        sent, receipts = [], []
        for index in range(1, transactions + 1):
            transaction = self._transfer(changes, index, base_fee)
            sent.append(transaction.item)
            log = Log(CONTRACT, (keccak256(b"Paid"), keccak256(transaction.hash)), self.random.randbytes(40))
            receipts.append(Receipt(transaction.type, b"\x01", _PLAIN_GAS * index, (log,)))
        withdrawals = None
        if before.withdrawals_root is not None:
            paid = Withdrawal(index=number, validator_index=number % 7, address=self.coinbase, amount=number)
            changes.pay(transactions + 1, self.coinbase, number * 10**9)
            withdrawals = (paid.raw,)
        access_list = None if before.access_list_hash is None else _access_list(changes, written)
        raws = tuple(receipt.raw for receipt in receipts)
        header = replace(
            before,
            parent_hash=before.hash,
            number=number,
            timestamp=before.timestamp + SECONDS_PER_BLOCK,
            base_fee=base_fee,
            coinbase=self.coinbase,
            state_root=ordered_root(state_leaves(changes.state)),
            transactions_root=transactions_root(sent),
            receipts_root=receipts_root(raws) if raws else EMPTY_ROOT,
            bloom=_union([receipt.bloom for receipt in receipts]),
            gas_used=_PLAIN_GAS * transactions,
            withdrawals_root=None if withdrawals is None else list_root(withdrawals),
            parent_beacon_root=None if before.parent_beacon_root is None else keccak256(before.hash),
            requests_hash=None if before.requests_hash is None else _NO_REQUESTS,
            access_list_hash=None if access_list is None else keccak256(access_list),
            slot_number=None if before.slot_number is None else number,
        )
        return BuiltBlock(header, Body(tuple(sent), (), withdrawals), raws, access_list, changes.state)

    def _write_slot(self, changes: _Changes, number: int) -> tuple[bytes, int]:
        """What the contract stores in a block: a new slot, or another number in one."""
        slot, value = (number % 29).to_bytes(32, "big"), self.random.getrandbits(128) + 1
        contract = changes.state[CONTRACT]
        changes.state[CONTRACT] = replace(contract, storage=tuple(sorted({**dict(contract.storage), slot: value}.items())))
        return slot, value

    def _transfer(self, changes: _Changes, index: int, base_fee: int) -> Transaction:
        key = self.random.choice(self.chain.keys)
        sender, price = address_of(key), base_fee + 2
        to = self.random.choice([self.random.randbytes(20), *(address_of(other) for other in self.chain.keys if other is not key)])
        nonce, value = changes.use_nonce(index, sender), self.random.randrange(1, 10**12)
        match self.random.randrange(3):
            case 0:
                draft = Transaction(type=0, chain_id=1337, gas_price=price, nonce=nonce, to=to, value=value)
            case 1:
                draft = Transaction(type=1, chain_id=1337, gas_price=price, nonce=nonce, to=to, value=value)
            case _:
                draft = Transaction(type=2, chain_id=1337, max_fee=2 * price, max_priority_fee=2, nonce=nonce, to=to, value=value)
        changes.pay(index, sender, -value - _PLAIN_GAS * price)
        changes.pay(index, to, value)
        changes.pay(index, self.coinbase, 2 * _PLAIN_GAS)
        return draft.signed(key)


def _base_fee(parent: Header) -> int:
    """EIP-1559."""
    assert parent.base_fee is not None
    target = parent.gas_limit // 2
    if parent.gas_used > target:
        return parent.base_fee + max(1, parent.base_fee * (parent.gas_used - target) // target // 8)
    return parent.base_fee - parent.base_fee * (target - parent.gas_used) // target // 8


def _union(blooms: list[bytes]) -> bytes:
    found = 0
    for bloom in blooms:
        found |= int.from_bytes(bloom, "big")
    return found.to_bytes(256, "big")


def _access_list(changes: _Changes, written: tuple[bytes, int]) -> bytes:
    """EIP-7928."""
    slot, value = written
    return encode_access_list(
        AccountChanges(
            address,
            storage_changes=((slot, ((0, value.to_bytes(32, "big")),)),) if address == CONTRACT else (),
            balance_changes=tuple(sorted(changes.balances.get(address, {}).items())),
            nonce_changes=tuple(sorted(changes.nonces.get(address, {}).items())),
        )
        for address in sorted({CONTRACT, *changes.balances, *changes.nonces})
    )


def _dumped(address: bytes, holding: Holding, hashed: bool) -> dict[str, Any]:  # noqa: FBT001
    dumped: dict[str, Any] = {
        "balance": str(holding.balance),
        "nonce": holding.nonce,
        "root": f"0x{holding.storage_root.hex()}",
        "codeHash": f"0x{keccak256(holding.code).hex()}",
    }
    if holding.code:
        dumped["code"] = f"0x{holding.code.hex()}"
    if holding.storage:
        dumped["storage"] = {
            f"0x{(keccak256(slot) if hashed else slot).hex()}": f"{value:x}".rjust(len(f"{value:x}") + 1 & ~1, "0")
            for slot, value in holding.storage
        }
    return {**dumped, "address": f"0x{address.hex()}", "key": f"0x{keccak256(address).hex()}"}
