"""The first block of a network, and its state, as a file in go-ethereum's form says (``geth init FILE``).

The header is what go-ethereum 1.17.8 makes of such a file (core/genesis.go): it has the fields of all upgrades that are active in the first
block, and its state root is that of the accounts under ``alloc``.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Final

from devp2p import keccak256, rlp
from devp2p.capabilities.ethereum.blocks import Header
from devp2p.capabilities.ethereum.networks.fields import U256, Fields, members, read_bytes, read_word, refuse
from devp2p.capabilities.ethereum.networks.network import BLOCK_UPGRADES, TIME_UPGRADES, BlobParameters, Network
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT, ordered_root

_GAS_LIMIT: Final = 4_712_388
"""What a gas limit of 0 stands for."""
_BASE_FEE: Final = 1_000_000_000
"""In wei; the first one of London (EIP-1559)."""
_NO_REQUESTS: Final = sha256().digest()
_NO_ACCESSES: Final = keccak256(rlp.encode([]))
_NO_CODE: Final = keccak256(b"")
_KINDS: Final = {"Block": BLOCK_UPGRADES, "Time": TIME_UPGRADES}
_ADDRESS_SIZE: Final = 20


@dataclass(frozen=True)
class GenesisAccount:
    """An account of the first block's state."""

    nonce: int
    balance: int
    """In wei."""
    code: bytes = b""
    storage: Mapping[bytes, bytes] = field(default_factory=dict[bytes, bytes], hash=False)
    """Slots that are not zero: keys of 32 bytes, and values of 32 bytes."""

    @cached_property
    def leaves(self) -> tuple[tuple[bytes, bytes], ...]:
        """The leaves of its storage trie in order: keccak256 of the key, and the value as a number in RLP."""
        return tuple(sorted((keccak256(key), rlp.encode(value.lstrip(b"\0"))) for key, value in self.storage.items()))

    @cached_property
    def storage_root(self) -> bytes:
        """The root of its storage trie."""
        return ordered_root(self.leaves) if self.storage else EMPTY_ROOT

    @property
    def code_hash(self) -> bytes:
        """keccak256 of its code."""
        return keccak256(self.code) if self.code else _NO_CODE

    @property
    def raw(self) -> bytes:
        """The account in RLP, as the trie of the state has it."""
        return rlp.encode([self.nonce, self.balance, self.storage_root, self.code_hash])


@dataclass(frozen=True)
class Genesis:
    """The first block of a network; `load_genesis` reads one."""

    network: Network
    header: Header
    accounts: Mapping[bytes, GenesisAccount] = field(hash=False, repr=False)
    """The state, by address."""
    unknown_upgrades: tuple[str, ...] = ()
    """Keys under ``config`` that look like upgrades and are none that is known here: they are not in fork ids, as they are not in those of
    go-ethereum 1.17.8."""

    @classmethod
    def parse(cls, text: str | bytes, file: str = "genesis.json", *, network_id: int | None = None) -> "Genesis":
        """Read the text of a genesis file; `file` names it in complaints. `network_id`: if it is another than the chain id.

        ValueError says which key is wrong, and what to write instead.
        """
        top = Fields.parse(text, file)
        config = top.object("config")
        accounts = _read_accounts(top)
        chain_id = config.number("chainId", U256)
        upgrades, unknown = _read_upgrades(config)
        draft = Network.of(
            network_id=chain_id if network_id is None else network_id,
            chain_id=chain_id,
            genesis=bytes(32),
            timestamp=top.number("timestamp", default=0),
            upgrades=upgrades,
            blob_schedule=_read_blob_schedule(config),
        )
        header = _make_header(top, draft, _state_root(accounts))
        return cls(_replace_genesis(draft, header.hash), header, accounts, unknown)

    @property
    def hash(self) -> bytes:
        """The hash of the first block."""
        return self.network.genesis

    @cached_property
    def leaves(self) -> tuple[tuple[bytes, bytes], ...]:
        """The leaves of the trie of the state in order: keccak256 of the address, and the account in RLP."""
        return _leaves(self.accounts)


def load_genesis(path: str | os.PathLike[str], *, network_id: int | None = None) -> Genesis:
    """Read a genesis file; OSError if it cannot be read, ValueError as `Genesis.parse`."""
    return Genesis.parse(Path(path).read_bytes(), os.fspath(path), network_id=network_id)


def _leaves(accounts: Mapping[bytes, GenesisAccount]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(sorted((keccak256(address), account.raw) for address, account in accounts.items()))


def _state_root(accounts: Mapping[bytes, GenesisAccount]) -> bytes:
    return ordered_root(_leaves(accounts))


def _replace_genesis(draft: Network, genesis: bytes) -> Network:
    return Network.of(
        network_id=draft.network_id,
        chain_id=draft.chain_id,
        genesis=genesis,
        timestamp=draft.timestamp,
        upgrades=draft.upgrades,
        blob_schedule=draft.blob_schedule,
    )


def _read_upgrades(config: Fields) -> tuple[dict[str, int], tuple[str, ...]]:
    """When upgrades come, and what looks like one and is unknown."""
    keys = {f"{name}{kind}".lower(): name for kind, names in _KINDS.items() for name in names}
    upgrades: dict[str, int] = {}
    unknown: list[str] = []
    for key in config:
        if key not in config:
            continue  # null: not scheduled
        if (name := keys.get(key.lower())) is not None:
            upgrades[name] = config.number(key)
        elif key.endswith(tuple(_KINDS)):
            unknown.append(key)
    return upgrades, tuple(unknown)


def _read_blob_schedule(config: Fields) -> dict[str, BlobParameters]:
    if "blobSchedule" not in config:
        return {}
    schedule = config.object("blobSchedule")
    found: dict[str, BlobParameters] = {}
    for name in schedule:
        one = schedule.object(name)
        found[name] = BlobParameters(one.number("target"), one.number("max"), one.number("baseFeeUpdateFraction"))
    return found


def _read_accounts(top: Fields) -> dict[bytes, GenesisAccount]:
    accounts: dict[bytes, GenesisAccount] = {}
    for text, value in members(top.get("alloc"), top.at("alloc")).items():
        where = f"alloc.{text[:50]}"
        address = read_bytes(text, f"{top.file}: {where}: the address", _ADDRESS_SIZE, bare=True)
        if address in accounts:
            refuse(f"{top.file}: {where}", "this address is there twice")
        accounts[address] = _read_account(Fields(value, top.file, where))
    return accounts


def _read_account(fields: Fields) -> GenesisAccount:
    storage: dict[bytes, bytes] = {}
    if "storage" in fields:
        at = fields.at("storage")
        for text, value in members(fields.get("storage"), at).items():
            key, word = read_word(text, f"{at}: a key"), read_word(value, f"{at}.{text[:70]}")
            if any(word):
                storage[key] = word
    return GenesisAccount(fields.number("nonce", default=0), fields.number("balance", U256), fields.data("code"), storage)


def _make_header(top: Fields, network: Network, state_root: bytes) -> Header:
    number = top.number("number", default=0)
    if number:
        refuse(top.at("number"), f"{number} is not the number of a first block, which is 0: leave it out")
    active = {name for name in TIME_UPGRADES if network.is_active(name, number, network.timestamp)}
    excess, used, slot = (top.number_or_none(name) for name in ("excessBlobGas", "blobGasUsed", "slotNumber"))
    base_fee = top.number_or_none("baseFeePerGas", U256)
    if base_fee is None and network.is_active("london", 0, 0):
        base_fee = _BASE_FEE
    if "cancun" not in active and excess is not None:
        refuse(
            top.at("excessBlobGas"),
            "the first block has none, since Cancun is not active in it: leave it out, or set config.cancunTime to 0",
        )
    return Header(
        parent_hash=top.data("parentHash", 32),
        coinbase=top.data("coinbase", _ADDRESS_SIZE),
        state_root=state_root,
        transactions_root=EMPTY_ROOT,
        receipts_root=EMPTY_ROOT,
        difficulty=top.number("difficulty", U256),
        number=number,
        gas_limit=top.number("gasLimit") or _GAS_LIMIT,
        gas_used=top.number("gasUsed", default=0),
        timestamp=network.timestamp,
        extra_data=top.data("extraData"),
        mix_digest=top.data("mixHash", 32),
        nonce=top.number("nonce", default=0).to_bytes(8, "big"),
        base_fee=base_fee,
        withdrawals_root=EMPTY_ROOT if "shanghai" in active else None,
        blob_gas_used=(used or 0) if "cancun" in active else None,
        excess_blob_gas=(excess or 0) if "cancun" in active else None,
        parent_beacon_root=bytes(32) if "cancun" in active else None,
        requests_hash=_NO_REQUESTS if "prague" in active else None,
        access_list_hash=_NO_ACCESSES if "amsterdam" in active else None,
        slot_number=(slot or 0) if "amsterdam" in active else None,
    )
