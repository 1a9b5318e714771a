"""What one asks a peer for: honest answers come typed; a lie of any kind is found and rated, and ends the session. Controls are honest."""

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import LocalProtocolError, Node, RemoteProtocolError, keccak256, rlp
from devp2p.capabilities.ethereum.blocks import AccountChanges, Header, encode_access_list
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT
from devp2p.capabilities.snap import AccountPage, Snap, SnapPeer, snap
from devp2p.capabilities.snap.checking import Steps
from devp2p.capabilities.snap.messages import AccountData, GetAccountRange, SlotData
from devp2p.rlp import Lazy
from devp2p.testing import scripted_peer
from tests.capabilities.snap.states import CHAIN, MemoryState, PlainEth, Status, answered, small_state

STATE = small_state()
KEYS = sorted(STATE.accounts_by_hash)
STORED = {len(slots): key for key, slots in STATE.storage.items()}  # by how many slots they have: 1, 30, 100
CODES = [key for key, code in STATE.code.items() if code]
Lie = Callable[[Any], Any]


def header(number: int, access_list: bytes) -> Header:
    """As much of one as is looked at."""
    return cast("Header", SimpleNamespace(number=number, hash=bytes([number]) * 32, access_list_hash=keccak256(access_list)))


LISTS = [rlp.encode([[bytes([at]) * 20, [], [], [], [], []]]) for at in range(1, 4)]
HEADERS = [header(at, raw) for at, raw in enumerate(LISTS, 1)]
STATE.lists = {header.hash: raw for header, raw in zip(HEADERS, LISTS, strict=True)}


@asynccontextmanager
async def asked(lie: Lie, *, version: int = 1, state: MemoryState = STATE) -> AsyncIterator[tuple[Node, SnapPeer]]:
    """A node, and the handle of its peer, which answers from a state, after `lie` has changed what it says."""
    capabilities = snap(CHAIN, state, [version])
    async with scripted_peer([PlainEth(), *capabilities]) as (node, script), trio.open_nursery() as nursery:

        async def reply() -> None:
            with suppress(trio.EndOfChannel):  # it is sent away
                while True:
                    message = await script.receive_message()
                    if not isinstance(message, Status):
                        await script.send_message(lie(await answered(state, message)))

        await script.send_message(Status())
        nursery.start_soon(reply)
        yield node, await node.connected[0].ready(Snap)
        nursery.cancel_scope.cancel()


def changed(**changes: Callable[[Any], Any]) -> Lie:
    """A lie about some fields of an answer."""
    return lambda one: dataclasses.replace(one, **{name: change(getattr(one, name)) for name, change in changes.items()})


def without(index: int) -> Callable[[Sequence[Any]], Any]:
    return lambda items: Lazy([item for at, item in enumerate(items) if at != index % len(items)])


def with_slots(change: Callable[[Sequence[Any]], Any]) -> Lie:
    """A lie about the last list of slots."""
    return changed(slots=lambda lists: (*lists[:-1], Lazy(change(lists[-1]))))


def poorer(one: AccountData) -> AccountData:
    nonce, _, *rest = cast("list[bytes]", rlp.decode(one.body))
    return AccountData(one.hash, rlp.encode([nonce, b"\1", *rest]))


ROOT, START, LIMIT = STATE.root, KEYS[5], KEYS[20]
GET_ALL = GetAccountRange(ROOT, START, b"\xff" * 32, 2**20, request_id=1)


async def some_accounts(peer: SnapPeer) -> Any:
    page = await peer.account_range(ROOT, START, LIMIT)
    return page and [*page.accounts]


async def some_slots(peer: SnapPeer) -> Any:
    key = STORED[100]
    slots = sorted(STATE.storage[key])
    pages = await peer.storage_ranges(ROOT, {key: STATE.accounts_by_hash[key]}, slots[10], slots[50])
    return [*pages[key].slots]


async def whole_storages(peer: SnapPeer) -> Any:
    return [*await peer.storage_ranges(ROOT, {key: STATE.accounts_by_hash[key] for key in STORED.values()})]


async def some_codes(peer: SnapPeer) -> Any:
    return [*await peer.byte_codes(CODES)]


async def some_nodes(peer: SnapPeer) -> Any:
    key = STORED[30]
    storage_root = STATE.accounts_by_hash[key].storage_root
    return [*await peer.trie_nodes(ROOT, {(b"\0",): ROOT, (key, b"\0"): storage_root})]


async def some_lists(peer: SnapPeer) -> Any:
    return [*await peer.access_lists(HEADERS)]


HONEST: dict[Callable[[SnapPeer], Awaitable[Any]], Any] = {
    some_accounts: KEYS[5:21],
    some_slots: sorted(STATE.storage[STORED[100]])[10:51],
    whole_storages: [*STORED.values()],
    some_codes: CODES,
    some_nodes: [(b"\0",), (STORED[30], b"\0")],
    some_lists: LISTS,
}

LIES: list[tuple[str, Callable[[SnapPeer], Awaitable[Any]], Lie, str]] = [
    ("a gap", some_accounts, changed(accounts=without(3)), "root"),
    ("the first left out", some_accounts, changed(accounts=without(0)), "root"),
    ("the last left out", some_accounts, changed(accounts=without(-1)), "proof"),
    ("an account changed", some_accounts, changed(accounts=lambda all_: Lazy([poorer(all_[0]), *all_[1:]])), "root"),
    (
        "an account added",
        some_accounts,
        changed(accounts=lambda all_: Lazy([all_[0], AccountData(START[:31] + b"\xff", all_[1].body), *all_[1:]])),
        "root",
    ),
    ("out of order", some_accounts, changed(accounts=lambda all_: Lazy([all_[1], all_[0], *all_[2:]])), "ascend"),
    ("one twice", some_accounts, changed(accounts=lambda all_: Lazy([all_[0], *all_])), "ascend"),
    ("no account", some_accounts, changed(accounts=lambda all_: Lazy([AccountData(all_[0].hash, b"\xc1\x80"), *all_[1:]])), "account"),
    ("none, though there are some", some_accounts, changed(accounts=lambda _: Lazy()), "no leaves"),
    ("a proof cut short", some_accounts, changed(proof=without(-1)), "proof"),
    ("a proof without the root", some_accounts, changed(proof=without(0)), "proof"),
    ("no proof", some_accounts, changed(proof=lambda _: Lazy()), "root"),
    ("a proof changed", some_accounts, changed(proof=lambda all_: Lazy([all_[0][:-1] + b"\1", *all_[1:]])), "proof"),
    ("a gap in storage", some_slots, with_slots(without(5)), "root"),
    ("a slot changed", some_slots, with_slots(lambda slots: [SlotData(slots[0].hash, b"\1"), *slots[1:]]), "root"),
    ("no number", some_slots, with_slots(lambda slots: [SlotData(slots[0].hash, b"\xc1\x01"), *slots[1:]]), "no number"),
    ("no proof of storage", some_slots, changed(proof=lambda _: Lazy()), "root"),
    ("storage left out in the middle", whole_storages, changed(slots=lambda lists: (lists[0], lists[2])), "root"),
    (
        "storage of one account too many",
        whole_storages,
        changed(slots=lambda lists: (*lists, lists[0])),
        "4 accounts with storage",
    ),
    ("storage that is not whole", whole_storages, with_slots(without(-1)), "root"),
    ("a code nobody asked for", some_codes, changed(codes=lambda codes: Lazy([b"junk", *codes[1:]])), "not asked for"),
    ("codes in another order", some_codes, changed(codes=lambda codes: Lazy([codes[1], codes[0], *codes[2:]])), "in this place"),
    ("a code twice", some_codes, changed(codes=lambda codes: Lazy([codes[0], *codes[:-1]])), "in this place"),
    ("a code changed", some_codes, changed(codes=lambda codes: Lazy([codes[0] + b"\0"])), "not asked for"),
    ("a node nobody asked for", some_nodes, changed(nodes=lambda nodes: Lazy([nodes[0], nodes[0]])), "in this place"),
    ("a node changed", some_nodes, changed(nodes=lambda nodes: Lazy([nodes[0][:-1] + b"\1"])), "not asked for"),
    ("one access list too many", some_lists, changed(access_lists=lambda all_: Lazy([*all_, all_[0]])), "4 access lists"),
    ("access lists in another order", some_lists, changed(access_lists=lambda all_: Lazy([all_[1], all_[0]])), "block 1"),
    ("an access list changed", some_lists, changed(access_lists=lambda all_: Lazy([*all_[:2], b"\xc0"])), "block 3"),
]


@pytest.mark.parametrize(("ask", "lie", "why"), [row[1:] for row in LIES], ids=[row[0] for row in LIES])
async def test_a_lie_is_found_and_rated_and_ends_the_session(ask, lie, why):
    version = 2 if ask is some_lists else 1
    async with asked(lie, version=version) as (node, handle):
        peer = node.connected[0]
        with pytest.raises(RemoteProtocolError, match=why):
            await ask(handle)
        assert peer.conduct(Snap).invalid == 4
        assert peer.conduct(Snap).useful == 0
        await peer.wait_ended()
    async with asked(lambda honest: honest, version=version) as (node, handle):
        assert await ask(handle) == HONEST[ask]
        conduct = node.connected[0].conduct(Snap)
        assert conduct.useful > 0
        assert conduct.invalid == 0
        assert conduct.latency is not None


def _instead(brought: Lazy[bytes], _: object) -> Lazy[bytes]:
    return brought


@pytest.mark.real_clock  # a thread hashes it
async def test_a_large_access_list_is_judged_as_a_small_one():
    large = encode_access_list([AccountChanges(bytes(20), code_changes=((1, bytes(60_000)), (2, bytes(60_000))))])
    asked_for = [header(1, large)]
    for raw in (large, large[:-1] + b"\1"):
        brought = Lazy([raw])
        async with asked(changed(access_lists=partial(_instead, brought)), version=2) as (_, handle):
            if raw == large:
                assert await handle.access_lists(asked_for) == (large,)
            else:
                with pytest.raises(RemoteProtocolError, match="block 1"):
                    await handle.access_lists(asked_for)


async def test_who_goes_on_behind_the_limit_sends_more_than_was_asked_for():
    async with asked(lambda honest: honest) as (_, handle):
        assert (page := await handle.account_range(ROOT, START))
        assert len(page.accounts) == 35
    whole = await answered(STATE, GET_ALL)
    async with asked(lambda one: dataclasses.replace(whole, request_id=one.request_id)) as (_, handle):
        with pytest.raises(RemoteProtocolError, match="goes on behind"):
            await handle.account_range(ROOT, START, LIMIT)


async def test_what_a_peer_does_not_have_is_no_lie():
    other = b"\1" * 32
    async with asked(lambda honest: honest) as (node, handle):
        assert await handle.account_range(other) is None
        assert await handle.storage_ranges(other, {STORED[1]: STATE.accounts_by_hash[STORED[1]]}) == {}
        assert await handle.byte_codes([other, CODES[0]]) == {CODES[0]: STATE.code[CODES[0]]}
        assert await handle.trie_nodes(other, {(b"\0",): other}) == {}
        assert await handle.trie_nodes(ROOT, {(b"\x1f", b"\0"): other, (b"\0",): ROOT}) == {(b"\0",): STATE.hashes_of_nodes[ROOT]}
        assert node.connected[0].conduct(Snap).invalid == 0
    async with asked(lambda honest: honest, version=2, state=MemoryState({}, {}, {}, {HEADERS[1].hash: LISTS[1]})) as (_, handle):
        assert await handle.access_lists(HEADERS) == (None, LISTS[1], None)


async def test_pages_say_whether_there_is_more():
    async with asked(lambda honest: honest) as (_, handle):
        page = await handle.account_range(ROOT, size=500)
        assert page is not None
        assert page.more
        assert 1 < len(page.accounts) < 20
        assert page.accounts == {key: STATE.accounts_by_hash[key] for key in KEYS[: len(page.accounts)]}
        last = await handle.account_range(ROOT, KEYS[-1])
        assert last is not None
        assert (list(last.accounts), last.more) == ([KEYS[-1]], False)
        end = await handle.account_range(ROOT, b"\xff" * 32)
        assert end == AccountPage({}, more=False, size=0)


async def test_storage_comes_by_account_and_what_does_not_fit_is_missing():
    accounts = {key: STATE.accounts_by_hash[key] for key in [*STORED.values(), KEYS[0]]}
    async with asked(lambda honest: honest) as (_, handle):
        pages = await handle.storage_ranges(ROOT, accounts)
        assert set(pages) == set(accounts)
        for key, page in pages.items():
            assert page.slots == STATE.storage.get(key, {})
            assert not page.more
        pages = await handle.storage_ranges(ROOT, accounts, size=100)
        assert {key: (len(page.slots), page.more) for key, page in pages.items() if page.slots} == {
            STORED[1]: (1, False),
            STORED[30]: (2, True),
        }


async def test_that_there_is_nothing_from_a_key_on_may_be_said_without_a_list_as_go_ethereum_does():
    key = STORED[30]
    async with asked(changed(slots=lambda _: ())) as (_, handle):
        pages = await handle.storage_ranges(ROOT, {key: STATE.accounts_by_hash[key]}, b"\xff" * 32)
        assert (pages[key].slots, pages[key].more) == ({}, False)


async def test_what_nobody_need_be_asked_for_is_not_asked_for():
    def refuse(_: Any) -> Any:
        raise AssertionError("somebody was asked")

    async with asked(refuse) as (_, handle):
        assert await handle.account_range(EMPTY_ROOT) == AccountPage({}, more=False, size=0)
        assert await handle.byte_codes([keccak256(b"")]) == {keccak256(b""): b""}
        empty = next(key for key in KEYS if STATE.accounts_by_hash[key].storage_root == EMPTY_ROOT)
        pages = await handle.storage_ranges(ROOT, {empty: STATE.accounts_by_hash[empty]})
        assert not pages[empty].slots


async def test_what_makes_no_sense_is_refused_here():
    accounts = {key: STATE.accounts_by_hash[key] for key in STORED.values()}
    async with asked(lambda honest: honest) as (_, handle):
        with pytest.raises(LocalProtocolError, match="for the storage of one account"):
            await handle.storage_ranges(ROOT, accounts, KEYS[0])
        with pytest.raises(LocalProtocolError, match="snap/1 has no request GetBlockAccessLists"):
            await handle.access_lists(HEADERS)
    async with asked(lambda honest: honest, version=2) as (_, handle):
        with pytest.raises(LocalProtocolError, match="snap/2 has no request GetTrieNodes"):
            await handle.trie_nodes(ROOT, {(b"\0",): ROOT})


async def test_a_peer_that_does_not_answer_is_no_liar_but_slow():
    async with scripted_peer([PlainEth(), *snap(CHAIN, STATE)]) as (node, script):
        await script.send_message(Status())
        handle = await node.connected[0].ready(Snap)
        with pytest.raises(trio.TooSlowError):
            await handle.account_range(ROOT)
        await wait_all_tasks_blocked()
        assert (node.connected[0].conduct(Snap).timeouts, node.connected[0].conduct(Snap).invalid) == (1, 0)


async def test_answers_are_proved_one_after_another_so_that_the_next_request_can_go_out_after_the_first():
    taken: list[str] = []

    def steps(name: str) -> Steps[None]:
        for _ in range(3):
            taken.append(name)
            yield None

    async with asked(lambda one: one) as (_, peer), trio.open_nursery() as nursery:
        for name in ("one", "other"):
            nursery.start_soon(peer._proved, steps(name))
    assert taken in (["one"] * 3 + ["other"] * 3, ["other"] * 3 + ["one"] * 3)
