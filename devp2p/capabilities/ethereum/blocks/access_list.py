"""Block access lists (EIP-7928): what the transactions of a block read, and what they left behind."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.blocks.header import Header
from devp2p.capabilities.ethereum.blocks.reading import Fields

ITEM_COST: Final = 2_000
"""Gas of a block for each account and slot that its access list may have."""
MAX_CODE_SIZE: Final = 65_536
"""Bytes of a contract's code (Amsterdam, EIP-7954)."""
_NAMES: Final = ("address", "storage-changes", "storage-reads", "balance-changes", "nonce-changes", "code-changes")
T = TypeVar("T", int, bytes)


@dataclass(frozen=True)
class AccountChanges:
    """What a block did with one account.

    Changes are pairs of a block access index (0 before all transactions, 1 to n for them, n + 1 behind them) and what was there after it,
    in order. Slots are 32 bytes, in order; one that was written is not among `storage_reads`.
    """

    address: bytes
    storage_changes: tuple[tuple[bytes, tuple[tuple[int, bytes], ...]], ...] = ()
    storage_reads: tuple[bytes, ...] = ()
    balance_changes: tuple[tuple[int, int], ...] = ()
    nonce_changes: tuple[tuple[int, int], ...] = ()
    code_changes: tuple[tuple[int, bytes], ...] = ()

    @property
    def raw(self) -> bytes:
        """The changes in RLP, as an item of an access list. Slots and values are integers there."""
        storage = tuple(
            (_stripped(slot), tuple((index, _stripped(value)) for index, value in changes)) for slot, changes in self.storage_changes
        )
        reads = tuple(map(_stripped, self.storage_reads))
        return rlp.encode((self.address, storage, reads, self.balance_changes, self.nonce_changes, self.code_changes))


def encode_access_list(accounts: Iterable[AccountChanges]) -> bytes:
    """Return the RLP of an access list; the caller has put the accounts in order."""
    return rlp.encode_list(b"".join(account.raw for account in accounts))


def account_changes(raw: bytes, *, gas_limit: int | None = None, transactions: int | None = None) -> Iterator[AccountChanges]:
    """Decode an access list account by account, checking it against EIP-7928, "RLP Data Structures" and "Ordering".

    DecodingError comes with the first account that breaks a rule, or at the end if there are more accounts and slots than the block's
    `gas_limit` allows, or as soon as an index is greater than a block with so many `transactions` has. A list of megabytes takes seconds,
    so whoever shares a loop with others gives way between the accounts.
    """
    fields = Fields.of(raw)
    last = 2**32 - 1 if transactions is None else transactions + 1
    left = None if gas_limit is None else gas_limit // ITEM_COST
    before = b""
    while fields:
        inner = fields.list()
        try:
            account = _read_account(inner, last, left)
        except DecodingError as error:
            raise inner.named("an account of an access list", _NAMES, error) from None
        if account.address <= before:
            raise DecodingError(f"an access list in which account {account.address.hex()} is out of order")
        if left is not None:
            left -= 1 + len(account.storage_changes) + len(account.storage_reads)
            if left < 0:
                raise DecodingError(f"an access list of more items than a block of {gas_limit} gas has")
        before = account.address
        yield account


def check_access_list(raw: bytes, *, gas_limit: int | None = None, transactions: int | None = None) -> None:
    """Do at once what `account_changes` does; DecodingError if a rule is broken."""
    for _ in account_changes(raw, gas_limit=gas_limit, transactions=transactions):
        pass


def access_list_fault(header: Header, raw: bytes) -> str | None:
    """Say why an access list in RLP is not that of a header; None if it is, so that each byte is the chain's.

    A list with the right hash needs no `check_access_list`, since no valid block commits to one that breaks a rule.
    """
    if header.access_list_hash is None:
        return "there is an access list, and its header has no hash of one"
    return None if keccak256(raw) == header.access_list_hash else "its access list has another hash"


def _read_account(fields: Fields, last: int, most: int | None) -> AccountChanges:
    address = fields.fixed(20)
    storage = _read_storage(fields.list(), last, most)
    reads = _read_slots(fields.list(), most)
    if not {slot for slot, _ in storage}.isdisjoint(reads):
        raise DecodingError("a slot that was written as well")
    balances = _read_changes(fields.list(), last, Fields.uint)
    nonces = _read_changes(fields.list(), last, lambda change: change.uint(8))
    codes = _read_changes(fields.list(), last, lambda change: change.string(MAX_CODE_SIZE))
    fields.close()
    return AccountChanges(address, storage, reads, balances, nonces, codes)


def _read_storage(fields: Fields, last: int, most: int | None) -> tuple[tuple[bytes, tuple[tuple[int, bytes], ...]], ...]:
    found: list[tuple[bytes, tuple[tuple[int, bytes], ...]]] = []
    while fields:
        inner = fields.list()
        slot = _read_word(inner)
        if found and slot <= found[-1][0]:
            raise DecodingError("slots out of order")
        changes = _read_changes(inner.list(), last, _read_word)
        inner.close()
        if not changes:
            raise DecodingError("a slot without a change")
        _require_room(len(found), most)
        found.append((slot, changes))
    return tuple(found)


def _read_slots(fields: Fields, most: int | None) -> tuple[bytes, ...]:
    found: list[bytes] = []
    while fields:
        slot = _read_word(fields)
        if found and slot <= found[-1]:
            raise DecodingError("slots out of order")
        _require_room(len(found), most)
        found.append(slot)
    return tuple(found)


def _read_changes(fields: Fields, last: int, read: Callable[[Fields], T]) -> tuple[tuple[int, T], ...]:
    found: list[tuple[int, T]] = []
    before = -1
    while fields:
        change = fields.list()
        index = change.uint(4)
        if not before < index <= last:
            raise DecodingError(f"index {index} behind {before}" if index <= before else f"index {index}, and the last is {last}")
        found.append((index, read(change)))
        change.close()
        before = index
    return tuple(found)


def _read_word(fields: Fields) -> bytes:
    return fields.uint().to_bytes(32, "big")


def _require_room(count: int, most: int | None) -> None:
    if most is not None and count >= most:
        raise DecodingError("more slots than the gas of the block allows")


def _stripped(word: bytes) -> bytes:
    return word.lstrip(b"\0")
