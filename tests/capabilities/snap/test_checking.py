"""What is proved is true: whatever a peer makes of its answer, what is taken of it is what the state has there, without a gap."""

from collections.abc import Generator
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import DecodingError, RemoteProtocolError, keccak256, rlp
from devp2p.capabilities.ethereum.tries import slim_account
from devp2p.capabilities.snap.checking import check_accounts, check_codes, check_storage
from devp2p.capabilities.snap.messages import AccountRange, SlotData, StorageRanges
from devp2p.rlp import Lazy
from tests.capabilities.snap.states import Leaf, encoded, small_state

T = TypeVar("T")
STATE = small_state()
KEYS = sorted(STATE.accounts_by_hash)
LEAVES: list[Leaf] = [(key, slim_account(encoded(STATE.accounts_by_hash[key]))) for key in KEYS]
STORED = next(key for key, slots in STATE.storage.items() if len(slots) == 100)
SLOTS = sorted(STATE.storage[STORED])
some = settings(max_examples=40)

keys = st.one_of(st.sampled_from(KEYS), st.binary(min_size=32, max_size=32))
positions = st.integers(0, 200)
Change = tuple[str, int]
changes = st.lists(
    st.tuples(st.sampled_from(["drop", "swap", "twice", "damage", "drop node", "damage node", "nodes of another"]), positions), max_size=3
)


def result(steps: Generator[Any, Any, T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]


def received(leaves: list[Leaf], proof: list[bytes]) -> AccountRange:
    accounts = b"".join(rlp.encode_list(rlp.encode(key) + body) for key, body in leaves)
    return rlp.codec(AccountRange).decode(rlp.encode_list(rlp.encode(1) + rlp.encode_list(accounts) + rlp.encode(proof)))


def damaged(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def changed(leaves: list[Leaf], proof: list[bytes], done: list[Change]) -> tuple[list[Leaf], list[bytes]]:
    leaves, proof = leaves.copy(), proof.copy()
    for what, number in done:
        if what == "nodes of another":
            proof = STATE.proof(STATE.root, keccak256(bytes([number])), ())
        items: list[Any] = proof if "node" in what else leaves
        if not items:
            continue
        at = number % len(items)
        match what.partition(" ")[0]:
            case "drop":
                del items[at]
            case "swap":
                items[at], items[0] = items[0], items[at]
            case "twice":
                items.insert(at, items[at])
            case "damage" if items is leaves:
                key, value = items[at]
                items[at] = (damaged(key, at), value) if at % 2 else (key, damaged(value, at))
            case "damage":
                items[at] = damaged(items[at], at)
            case _:
                pass
    return leaves, proof


@some
@given(start=keys, limit=keys, size=st.integers(0, 4000), done=changes)
def test_accounts_that_are_taken_are_those_of_the_state(start, limit, size, done):
    honest, _ = STATE.some(STATE.root, start, limit, size, slim_account)
    leaves, proof = changed(honest, STATE.proof(STATE.root, start, honest), done)
    answer = received(leaves, proof)
    try:
        page = result(check_accounts(STATE.root, start, limit, answer))
    except RemoteProtocolError:
        assert (leaves, proof) != (honest, STATE.proof(STATE.root, start, honest))
        return
    assert page is not None or not (leaves or proof)
    if page is not None:
        end = max(page.accounts, default=b"\xff" * 32)
        there = [key for key in KEYS if start <= key <= end]
        assert page.accounts == {key: STATE.accounts_by_hash[key] for key in there}
        assert page.more is any(key > end for key in KEYS)


@some
@given(start=keys, limit=keys, size=st.integers(0, 4000), done=changes)
def test_slots_that_are_taken_are_those_of_the_state(start, limit, size, done):
    account = STATE.accounts_by_hash[STORED]
    honest, _ = STATE.some(account.storage_root, start, limit, size, lambda data: data)
    leaves, proof = changed(honest, STATE.proof(account.storage_root, start, honest), done)
    answer = StorageRanges(1, (Lazy(SlotData(*leaf) for leaf in leaves),), Lazy(proof))
    try:
        pages = result(check_storage({STORED: account}, start, limit, answer))
    except RemoteProtocolError:
        assert (leaves, proof) != (honest, STATE.proof(account.storage_root, start, honest))
        return
    page = pages[STORED]
    end = max(page.slots, default=b"\xff" * 32)
    assert page.slots == {key: STATE.storage[STORED][key] for key in SLOTS if start <= key <= end}
    assert page.more is any(key > end for key in SLOTS)


@some
@given(
    codes=st.lists(st.binary(max_size=3), unique=True, max_size=8),
    sent=st.lists(st.one_of(st.integers(0, 7), st.binary(max_size=3)), max_size=8),
)
def test_codes_that_are_taken_were_asked_for_and_come_in_order(codes, sent):
    items = [codes[one % len(codes)] if isinstance(one, int) and codes else b"" if isinstance(one, int) else one for one in sent]
    places = [codes.index(item) if item in codes else -1 for item in items]
    is_honest = all(low < high for low, high in zip([-1, *places], places, strict=False))
    try:
        found = result(check_codes([keccak256(code) for code in codes], items))
    except RemoteProtocolError:
        assert not is_honest
    else:
        assert is_honest
        assert found == {keccak256(item): item for item in items}


@some
@given(
    st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.binary(min_size=1, max_size=40)), max_size=4),
    st.lists(st.binary(max_size=40), max_size=4),
)
def test_any_bytes_are_refused_by_an_error_of_the_peer(leaves, proof):
    try:
        page = result(check_accounts(STATE.root, bytes(32), b"\xff" * 32, received(leaves, proof)))
    except (RemoteProtocolError, DecodingError):
        pass
    else:
        assert page is None
        assert not leaves


def test_what_takes_long_to_hash_is_handed_out_to_a_thread() -> None:
    large = bytes(100_000)
    steps = check_codes([keccak256(large)], [large])
    work = next(steps)
    assert work is not None
    assert work() == keccak256(large)
    with pytest.raises(StopIteration) as done:
        steps.send(work())
    assert done.value.value == {keccak256(large): large}
