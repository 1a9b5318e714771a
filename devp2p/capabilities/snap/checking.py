"""What a peer answered, held against what it was asked. Pure; a lie is a RemoteProtocolError that names it (a DecodingError is one, too).

A range is proved as the specification's caveats say: the nodes on the ways to its first key, be it there or not, and to its last leaf fix
the trie left and right of it, and all that lies between has to follow from the leaves. So a peer can send less than it has, at the end
only, and nothing else. An answer of 2 MiB takes a quarter of a second, so all of this goes in steps: generators that yield about every 0.2
ms, and return what was proved.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

from devp2p import DecodingError, RemoteProtocolError, keccak256, rlp
from devp2p.capabilities.ethereum import Account
from devp2p.capabilities.ethereum.blocks import Header, access_list_fault
from devp2p.capabilities.ethereum.tries import check_range_in_steps, read_slim_account
from devp2p.capabilities.snap.messages import UNAVAILABLE, AccountData, AccountRange, BlockAccessLists, SlotData, StorageRanges
from devp2p.rlp import Lazy, item_end, list_bounds

T = TypeVar("T")
K = TypeVar("K", bytes, tuple[bytes, ...])
Steps = Generator[Callable[[], Any] | None, Any, T]
"""Between two steps others may have their turn; a callable is to be called in a thread, and what it returns to be sent back."""
Leaves = Sequence[tuple[bytes, bytes]]
Path = tuple[bytes, ...]

_STEP = 64  # small items
_LARGE = 64 * 2**10  # bytes whose hash takes half a millisecond
_ACCOUNT_DATA = rlp.codec(AccountData)


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Consecutive accounts of a state, which are proved to be all that there are between their keys."""

    accounts: Mapping[bytes, Account]
    """By the keccak of their addresses, in order."""
    more: bool
    """Whether the state has accounts behind the last of these."""
    size: int
    """Bytes of keys and values."""


@dataclass(frozen=True, slots=True)
class StoragePage:
    """The same of slots in an account's storage."""

    slots: Mapping[bytes, int]
    """Values by the keccak of their keys, in order."""
    more: bool
    size: int


def check_accounts(root: bytes, start: bytes, limit: bytes, answer: AccountRange) -> Steps[AccountPage | None]:
    """Prove a part of a state's accounts; None if the peer does not have that state."""
    accounts, leaves, size = dict[bytes, Account](), list[tuple[bytes, bytes]](), 0
    for count, item in enumerate(answer.accounts.encodings(), 1):
        key, body = _account_of(item)
        try:
            nonce, balance, storage_root, code_hash, full = read_slim_account(body)
        except DecodingError as error:
            raise DecodingError(f"account {key.hex()}: {error}") from None
        accounts[key] = Account(nonce, balance, storage_root, code_hash)
        leaves.append((key, full))
        size += len(key) + len(body)
        if count % _STEP == 0:
            yield None
    if not leaves and not answer.proof:
        return None
    more = yield from _check_leaves(root, start, limit, leaves, answer.proof)
    return AccountPage(accounts, more, size)


def _account_of(item: bytes) -> tuple[bytes, bytes]:
    """Read one item of AccountRange: key and slim account. The usual form is read at once, since they come by ten thousands."""
    start, end = list_bounds(item, 0, len(item))
    at = start + 33
    if at < end and item[start] == 0xA0 and item_end(item, at, end) == end:
        return item[start + 1 : at], item[at:]
    one = _ACCOUNT_DATA.decode(item)  # which says what is wrong, or ignores further elements
    return one.hash, one.body


def check_storage(accounts: Mapping[bytes, Account], start: bytes, limit: bytes, answer: StorageRanges) -> Steps[dict[bytes, StoragePage]]:
    """Prove storage of accounts, by their hashes, of which none is empty; those at the end may be missing."""
    lists = answer.slots
    if not lists and answer.proof:
        lists = (Lazy[SlotData](),)  # so go-ethereum says that there is nothing from `start` on
    require_few(len(lists), len(accounts), "accounts with storage")
    pages: dict[bytes, StoragePage] = {}
    for at, ((key, account), slots) in enumerate(zip(accounts.items(), lists, strict=False), 1):
        values, leaves, size = dict[bytes, int](), list[tuple[bytes, bytes]](), 0
        for count, slot in enumerate(slots, 1):
            leaves.append((slot.hash, slot.data))
            values[slot.hash] = _value(slot.data)
            size += len(slot.hash) + len(slot.data)
            if count % _STEP == 0:
                yield None
        more = yield from _check_leaves(account.storage_root, start, limit, leaves, answer.proof if at == len(lists) else ())
        pages[key] = StoragePage(values, more, size)
    return pages


def require_few(count: int, asked: int, what: str) -> None:
    """Refuse more items than were asked for, before any is looked at."""
    if count > asked:
        raise RemoteProtocolError(f"{count} {what} came where {asked} were asked for")


def check_codes(hashes: Sequence[bytes], codes: Sequence[bytes]) -> Steps[dict[bytes, bytes]]:
    """See which of the codes that were asked for came: any, but in the order of `hashes`."""
    require_few(len(codes), len(hashes), "codes")
    return (yield from _in_order([(one, one) for one in hashes], codes, "code"))


def check_nodes(wanted: Mapping[Path, bytes], nodes: Sequence[bytes]) -> Steps[dict[Path, bytes]]:
    """The same for trie nodes, by their paths, with the hashes that they must have; empty ones stand for what is not there."""
    require_few(len(nodes), len(wanted), "trie nodes")
    return (yield from _in_order(list(wanted.items()), (node for node in nodes if node), "trie node"))


def check_access_lists(headers: Sequence[Header], answer: BlockAccessLists) -> Steps[tuple[bytes | None, ...]]:
    """Hold access lists against the headers of their blocks; None for each that the peer does not have."""
    require_few(len(answer.access_lists), len(headers), "access lists")
    found: list[bytes | None] = []
    for header, raw in zip(headers, answer.access_lists, strict=False):
        fault = None if raw == UNAVAILABLE else (yield from _hashed(raw, partial(access_list_fault, header, raw)))
        if fault is not None:
            raise RemoteProtocolError(f"block {header.number}: {fault}")
        found.append(None if raw == UNAVAILABLE else raw)
    return tuple(found)


def _check_leaves(root: bytes, start: bytes, limit: bytes, leaves: Leaves, proof: Sequence[bytes]) -> Steps[bool]:
    """Prove leaves, and say whether there are more behind them."""
    if len(leaves) > 1 and leaves[-2][0] >= limit:
        raise RemoteProtocolError(f"a range goes on behind {leaves[-2][0].hex()}, and was asked for up to {limit.hex()}")
    return (yield from check_range_in_steps(root, start, leaves, proof))


def _in_order(wanted: Iterable[tuple[K, bytes]], items: Iterable[bytes], what: str) -> Steps[dict[K, bytes]]:
    """Find each item's place by its hash: items may be left out, but come in the order of `wanted`, which has names and hashes."""
    found: dict[K, bytes] = {}
    rest = iter(wanted)
    for item in items:
        own = yield from _hashed(item, partial(keccak256, item))
        name = next((name for name, expected in rest if expected == own), None)
        if name is None:
            raise RemoteProtocolError(f"{what} {own.hex()} came, which was not asked for, or not in this place")
        found[name] = item
    return found


def _hashed(data: bytes, work: Callable[[], T]) -> Steps[T]:
    """One step, which hashes some bytes; of megabytes in a thread."""
    if len(data) > _LARGE:
        return cast("T", (yield work))
    yield None
    return work()


def _value(data: bytes) -> int:
    value = rlp.decode(data)
    if not isinstance(value, bytes) or len(value) > 32:
        raise RemoteProtocolError(f"a storage slot holds {data.hex()[:80]}, which is no number of 256 bits")
    return int.from_bytes(value, "big")
