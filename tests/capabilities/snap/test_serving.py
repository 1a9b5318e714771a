"""What peers are answered: the cases of go-ethereum's suites (snap.go, snap2.go in cmd/devp2p/internal/ethtest of v1.17.8), and bounds."""

from collections.abc import Sequence
from typing import Any

import pytest
import trio

from devp2p import RemoteProtocolError, keccak256
from devp2p.capabilities.ethereum import ChainError
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT, check_range, full_account
from devp2p.capabilities.snap import Snap1
from devp2p.capabilities.snap.checking import check_accounts
from devp2p.capabilities.snap.messages import (
    SOFT_LIMIT,
    AccountRange,
    BlockAccessLists,
    ByteCodes,
    GetAccountRange,
    GetBlockAccessLists,
    GetByteCodes,
    GetStorageRanges,
    GetTrieNodes,
    StorageRanges,
    TrieNodes,
)
from devp2p.capabilities.snap.serving import answer
from devp2p.rlp import Lazy
from tests.capabilities.snap.states import MemoryState, answered, small_state

STATE = small_state()
ROOT = STATE.root
KEYS = sorted(STATE.accounts_by_hash)
FIRST, LAST = bytes(32), b"\xff" * 32
STORED = next(key for key, slots in STATE.storage.items() if len(slots) == 30)
SLOTS = sorted(STATE.storage[STORED])
NODE = 300  # bytes that the root has, and more


def shifted(key: bytes, by: int) -> bytes:
    return (int.from_bytes(key) + by).to_bytes(32)


@pytest.mark.parametrize(
    ("start", "limit", "size", "expected"),
    [
        (FIRST, LAST, 10_000, KEYS),
        (FIRST, LAST, 1, KEYS[:1]),
        (FIRST, LAST, 0, KEYS[:1]),
        (FIRST, LAST, 2**64 - 1, KEYS),
        (shifted(KEYS[0], -500), shifted(KEYS[0], 1), 4000, KEYS[:2]),  # the first behind the limit is there, too
        (shifted(KEYS[0], -500), shifted(KEYS[0], -450), 4000, KEYS[:1]),
        (FIRST, FIRST, 4000, KEYS[:1]),
        (KEYS[0], LAST, 10_000, KEYS),
        (shifted(KEYS[0], 1), LAST, 10_000, KEYS[1:]),
        (LAST, FIRST, 4000, []),
        (KEYS[0], shifted(KEYS[0], -1), 4000, KEYS[:1]),  # the wrong order
        (KEYS[0], FIRST, 4000, KEYS[:1]),
    ],
)
async def test_accounts_of_a_range(start, limit, size, expected):
    found = await answered(STATE, GetAccountRange(ROOT, start, limit, size, request_id=7))
    assert isinstance(found, AccountRange)
    assert found.request_id == 7
    assert [one.hash for one in found.accounts] == expected
    leaves = [(one.hash, full_account(one.body)) for one in found.accounts]
    assert check_range(ROOT, start, leaves, found.proof) is (bool(expected) and expected[-1] != KEYS[-1])


@pytest.mark.parametrize("root", [b"\x13\x37".ljust(32, b"\0"), STATE.accounts_by_hash[STORED].storage_root, EMPTY_ROOT])
async def test_a_root_that_is_no_state_gets_an_empty_reply(root):
    found: Any = await answered(STATE, GetAccountRange(root, FIRST, LAST, 4000, request_id=7))
    assert (len(found.accounts), len(found.proof)) == (0, 0)
    found = await answered(STATE, GetStorageRanges(root, Lazy([STORED]), b"", b"", 4000, request_id=7))
    assert (len(found.slots), len(found.proof)) == (0, 0)
    found = await answered(STATE, GetTrieNodes(root, Lazy([(b"\0",)]), 4000, request_id=7))
    assert len(found.nodes) == 0


@pytest.mark.parametrize(
    ("start", "limit", "expected", "proved"),
    [
        (FIRST, LAST, SLOTS, False),
        (b"", b"", SLOTS, False),
        (SLOTS[0], LAST, SLOTS, True),
        (shifted(SLOTS[0], 1), LAST, SLOTS[1:], True),
        (SLOTS[0], SLOTS[1], SLOTS[:2], True),
        (shifted(SLOTS[0], 1), shifted(SLOTS[1], 1), SLOTS[1:3], True),  # the next one behind the limit
        (b"\1", LAST, SLOTS, True),  # shorter than 32 bytes: zeros on the left
        (FIRST, b"\1", SLOTS[:1], True),
        (LAST, FIRST, [], True),
    ],
)
async def test_slots_of_a_range(start, limit, expected, proved):
    found: Any = await answered(STATE, GetStorageRanges(ROOT, Lazy([STORED]), start, limit, 5000, request_id=7))
    assert isinstance(found, StorageRanges)
    (slots,) = found.slots
    assert [one.hash for one in slots] == expected
    assert bool(found.proof) is proved
    leaves = [(one.hash, one.data) for one in slots]
    check_range(STATE.accounts_by_hash[STORED].storage_root, start.rjust(32, b"\0"), leaves, found.proof)


async def test_of_several_accounts_only_the_one_that_was_cut_has_a_proof():
    keys = sorted(STATE.storage, key=lambda key: len(STATE.storage[key]))  # 1, 30, and 100 slots
    found: Any = await answered(STATE, GetStorageRanges(ROOT, Lazy(keys), b"", b"", 2000, request_id=7))
    counts = [len(slots) for slots in found.slots]
    assert counts[:2] == [1, 30]
    assert 0 < counts[2] < 100
    roots = [STATE.accounts_by_hash[key].storage_root for key in keys]
    lists = [[(one.hash, one.data) for one in slots] for slots in found.slots]
    assert [check_range(root, FIRST, leaves, ()) for root, leaves in zip(roots[:2], lists, strict=False)] == [False, False]
    assert check_range(roots[2], FIRST, lists[2], found.proof)


async def test_an_account_that_is_not_there_empties_the_reply():
    found: Any = await answered(STATE, GetStorageRanges(ROOT, Lazy([STORED, b"\1" * 32]), b"", b"", 10_000, request_id=7))
    assert (len(found.slots), len(found.proof)) == (0, 0)


CODES = [key for key, code in STATE.code.items() if code]
NO_CODE = keccak256(b"")


@pytest.mark.parametrize(
    ("hashes", "size", "count"),
    [
        ([], 10_000, 0),
        ([ROOT, ROOT], 10_000, 0),
        ([EMPTY_ROOT], 10_000, 0),
        ([NO_CODE], 10_000, 1),
        ([NO_CODE] * 3, 10_000, 3),
        (CODES, 10_000, 5),
        (CODES, 1, 1),
        (CODES, 0, 1),
        ([CODES[0]] * 4, 10_000, 4),
        ([CODES[0], ROOT, CODES[1]], 10_000, 2),
    ],
)
async def test_codes_that_are_known_in_the_order_of_the_request(hashes, size, count):
    found: Any = await answered(STATE, GetByteCodes(Lazy(hashes), size, request_id=7))
    assert [keccak256(code) for code in found.codes] == [one for one in hashes if one in STATE.code][:count]
    assert len(found.codes) == count


def compact(nibbles: str) -> bytes:
    return bytes.fromhex(("1" + nibbles) if len(nibbles) % 2 else ("00" + nibbles))


async def test_trie_nodes_by_their_paths():
    key, account = KEYS[0].hex(), STATE.accounts_by_hash[STORED]
    paths = [(compact(key[:length]),) for length in range(65)]
    found: Any = await answered(STATE, GetTrieNodes(ROOT, Lazy(paths), 50_000, request_id=7))
    assert len(found.nodes) == 65
    assert keccak256(found.nodes[0]) == ROOT
    deepest = max(at for at, node in enumerate(found.nodes) if node)
    assert 0 < deepest < 10
    assert all(found.nodes[: deepest + 1])
    assert not any(found.nodes[deepest + 1 :])
    backwards: Any = await answered(STATE, GetTrieNodes(ROOT, Lazy([paths[10], paths[1], paths[0]]), 50_000, request_id=7))
    assert [*backwards.nodes] == [b"", found.nodes[1], found.nodes[0]]
    stored: Any = await answered(STATE, GetTrieNodes(ROOT, Lazy([(STORED, compact(""), compact(SLOTS[0].hex()[0]))]), 50_000, request_id=7))
    assert keccak256(stored.nodes[0]) == account.storage_root
    assert stored.nodes[1]


@pytest.mark.parametrize(
    ("paths", "sizes"),
    [
        ([], []),
        ([(bytes(range(54)),)], [0]),  # too long for a path: an empty node
        ([(b"",)], [0]),
        ([(b"\x40",)], [0]),  # no such flags
        ([(b"\x20",)], [0]),  # a path to a value
        ([(b"\0",), (b"\1", b"\0")], [NODE]),  # of an account that is not there nothing comes
        ([(b"\0",), (b"\0",)], [NODE, NODE]),
    ],
)
async def test_odd_paths(paths, sizes):
    found: Any = await answered(STATE, GetTrieNodes(ROOT, Lazy(paths), 5000, request_id=7))
    assert [min(len(node), NODE) for node in found.nodes] == sizes


async def test_an_empty_set_of_paths_ends_the_session():
    with pytest.raises(RemoteProtocolError, match="empty set"):
        await answered(STATE, GetTrieNodes(ROOT, Lazy([(), (b"\0",)]), 5000, request_id=7))


BLOCKS = [bytes([number]) * 32 for number in range(1, 6)]
LISTS = {block: b"\xc8\x87" + block[:7] for block in BLOCKS[:3]}


@pytest.mark.parametrize(
    ("hashes", "size", "expected"),
    [
        ([], SOFT_LIMIT, []),
        ([BLOCKS[4]], SOFT_LIMIT, [b"\x80"]),
        ([BLOCKS[0], BLOCKS[4], BLOCKS[1], BLOCKS[4]], SOFT_LIMIT, [LISTS[BLOCKS[0]], b"\x80", LISTS[BLOCKS[1]], b"\x80"]),
        ([BLOCKS[0]] * 3, SOFT_LIMIT, [LISTS[BLOCKS[0]]] * 3),
        (BLOCKS, 1, [LISTS[BLOCKS[0]]]),
        (BLOCKS, 0, [LISTS[BLOCKS[0]]]),
    ],
)
async def test_access_lists_keep_their_places(hashes, size, expected):
    state = MemoryState({}, {}, {}, LISTS)
    found: Any = await answered(state, GetBlockAccessLists(Lazy(hashes), size, request_id=7))
    assert [*found.access_lists] == expected


class Watched(MemoryState):
    """Notes what it is asked for."""

    asked: tuple[int, int] = (0, 0)

    async def codes(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        self.asked = len(hashes), size
        return ()

    async def access_lists(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes | None]:
        self.asked = len(hashes), size
        return ()

    async def slots(self, root: bytes, accounts: Sequence[bytes], start: bytes, limit: bytes, *, size: int) -> None:  # noqa: ARG002
        self.asked = len(accounts), size

    async def nodes(self, root: bytes, paths: Sequence[Sequence[bytes]], *, size: int) -> Sequence[bytes]:  # noqa: ARG002
        self.asked = sum(max(len(one) - 1, 1) for one in paths), size
        return ()


@pytest.mark.parametrize("count", [1000, 5000])
@pytest.mark.parametrize("size", [1_000_000, 2**64 - 1])
@pytest.mark.parametrize(
    "request_of",
    [
        lambda count, size: GetByteCodes(Lazy([ROOT] * count), size, request_id=1),
        lambda count, size: GetBlockAccessLists(Lazy([ROOT] * count), size, request_id=1),
        lambda count, size: GetStorageRanges(ROOT, Lazy([ROOT] * count), b"", b"", size, request_id=1),
        lambda count, size: GetTrieNodes(ROOT, Lazy([(b"\0",)] * count), size, request_id=1),
        lambda count, size: GetTrieNodes(ROOT, Lazy([(ROOT, *[b"\0"] * 100)] * (count // 100)), size, request_id=1),
        lambda count, size: GetTrieNodes(ROOT, Lazy([(ROOT, *[b"\0"] * count)]), size, request_id=1),
    ],
    ids=["codes", "access lists", "storage", "nodes", "sets of nodes", "one set"],
)
async def test_what_a_request_may_have_looked_up_is_bounded(request_of, count, size):
    state = Watched({}, {}, {})
    await answered(state, request_of(count, size))
    assert state.asked == (min(count, 1024), min(size, SOFT_LIMIT))


class Failing(MemoryState):
    async def fail(self, *_: object, **__: object) -> Any:
        raise ChainError("the disk is gone")

    accounts = slots = codes = nodes = access_lists = fail


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (GetAccountRange(ROOT, FIRST, LAST, 1, request_id=7), AccountRange(7, Lazy(), Lazy())),
        (GetStorageRanges(ROOT, Lazy([STORED]), FIRST, LAST, 1, request_id=7), StorageRanges(7, (), Lazy())),
        (GetByteCodes(Lazy(CODES), 1, request_id=7), ByteCodes(7, Lazy())),
        (GetTrieNodes(ROOT, Lazy([(b"\0",)]), 1, request_id=7), TrieNodes(7, Lazy())),
        (GetBlockAccessLists(Lazy(BLOCKS), 1, request_id=7), BlockAccessLists(7, Lazy())),
    ],
)
async def test_a_state_that_cannot_be_read_is_none_to_peers(request_, expected):
    assert await answered(Failing({}, {}, {}), request_) == expected
    assert await answered(STATE, request_) != expected


async def test_large_answers_are_made_and_proved_in_steps():
    state = small_state(2000)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        made = await answer(state, GetAccountRange(state.root, FIRST, LAST, 2**20, request_id=7))
        nursery.cancel_scope.cancel()
    assert turns >= 4  # of seven
    assert isinstance(made, AccountRange)
    assert len(made.accounts) == 2000
    table = Snap1.table()
    code, _, data = table.encode(made)
    steps = check_accounts(state.root, FIRST, LAST, table.decode(code, data))
    assert sum(1 for _ in steps) > 30
