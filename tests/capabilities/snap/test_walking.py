"""Walks through a whole state: all of it comes, in order, whoever of the peers fails on the way."""

from collections.abc import Sequence
from typing import cast

import pytest
import trio

from devp2p import PeerDisconnected, RemoteProtocolError
from devp2p.capabilities.ethereum import Account
from devp2p.capabilities.snap import AccountPage, SnapPeer, StateUnavailableError, StoragePage, walk_accounts, walk_slots
from tests.capabilities.snap.states import small_state
from tests.capabilities.snap.test_peer import asked

STATE = small_state()
ROOT = STATE.root
ACCOUNTS = sorted(STATE.accounts_by_hash.items())
STORED = max(STATE.storage, key=lambda key: len(STATE.storage[key]))


class Peer:
    """Has the first so many pages of a state, of some accounts each, and then fails."""

    def __init__(self, pages: int, failure: Exception | None = None) -> None:
        self.pages, self.failure = pages, failure
        self.asked = 0

    async def account_range(self, root: bytes, start: bytes, limit: bytes) -> AccountPage | None:
        assert root == ROOT
        await trio.lowlevel.checkpoint()
        self.asked += 1
        if self.asked > self.pages:
            if self.failure is None:
                return None
            raise self.failure
        there = [one for one in ACCOUNTS if one[0] >= start][:7]
        within = [one for at, one in enumerate(there) if at == 0 or there[at - 1][0] < limit]
        return AccountPage(dict(within), more=within[-1:] != ACCOUNTS[-1:], size=1)


def peers(*all_: Peer) -> Sequence[SnapPeer]:
    return cast("Sequence[SnapPeer]", all_)


async def walked(all_: Sequence[SnapPeer], start: bytes = bytes(32), limit: bytes = b"\xff" * 32) -> list[tuple[bytes, Account]]:
    return [one async for one in walk_accounts(all_, ROOT, start, limit)]


async def test_a_whole_state_over_a_session():
    async with asked(lambda honest: honest) as (_, handle):
        assert await walked([handle]) == ACCOUNTS
        slots = [slot async for slot in walk_slots([handle], ROOT, STORED, STATE.accounts_by_hash[STORED])]
        assert slots == sorted(STATE.storage[STORED].items())


@pytest.mark.parametrize("failure", [None, trio.TooSlowError(), RemoteProtocolError("a lie"), PeerDisconnected(4, by_remote=True)])
async def test_peers_take_turns_and_one_that_fails_is_asked_no_more(failure):
    good, bad = Peer(100), Peer(2, failure)
    assert await walked(peers(bad, good)) == ACCOUNTS
    assert bad.asked == 3
    assert good.asked == 4  # 40 accounts are six pages


async def test_where_nobody_is_left_the_walk_says_from_which_key_on():
    walk = walk_accounts(peers(Peer(1), Peer(2)), ROOT)
    seen = [await anext(walk) for _ in range(21)]
    assert seen == ACCOUNTS[:21]
    behind = (int.from_bytes(seen[-1][0]) + 1).to_bytes(32)
    with pytest.raises(StateUnavailableError, match=f"from key {behind.hex()} on: no peer has it"):
        await anext(walk)
    assert await walked(peers(Peer(100)), walk.key) == ACCOUNTS[21:]


async def test_a_part_of_a_state():
    first, last = ACCOUNTS[3][0], ACCOUNTS[20][0]
    assert await walked(peers(Peer(100)), first, last) == ACCOUNTS[3:21]
    behind = (int.from_bytes(last) + 1).to_bytes(32)  # the first account behind it comes with the last page, and is left out
    assert await walked(peers(Peer(100)), first, behind) == ACCOUNTS[3:21]


async def test_pages_of_storage_go_on_where_the_last_one_ended():
    slots = sorted(STATE.storage[STORED].items())

    class Stored:
        async def storage_ranges(self, root: bytes, accounts: dict[bytes, Account], start: bytes) -> dict[bytes, StoragePage]:
            assert (root, list(accounts)) == (ROOT, [STORED])
            await trio.lowlevel.checkpoint()
            page = [one for one in slots if one[0] >= start][:30]
            return {STORED: StoragePage(dict(page), more=page[-1] != slots[-1], size=1)}

    walk = walk_slots(cast("list[SnapPeer]", [Stored()]), ROOT, STORED, STATE.accounts_by_hash[STORED])
    assert [one async for one in walk] == slots
