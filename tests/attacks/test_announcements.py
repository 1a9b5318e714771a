"""Row E2 of THREATS.md: announcements of transactions by the hundred thousand, of what never comes, and of what is something else.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import DisconnectReason
from devp2p.capabilities.eth.messages import NewPooledTransactionHashes, bitmap_of
from devp2p.capabilities.eth.pool import TransactionPool, fetching
from devp2p.capabilities.eth.pool.columns import ALL, ColumnPlan
from devp2p.capabilities.eth.pool.wanted import Wanted
from devp2p.rlp import Lazy
from tests.capabilities.pool.seals import Seals
from tests.capabilities.pool.test_pool_sessions import played
from tests.capabilities.pool.worlds import Script, announcement, pool_of, scripted, transfer

MOST = 13_000  # hashes of one message, by its size


def names(count: int, start: int = 0) -> list[bytes]:
    return [number.to_bytes(32, "big") for number in range(start, start + count)]


async def announce(pool: TransactionPool, peer: Script, count: int, start: int = 0, *, kind: int = 2) -> None:
    """Announce so many that nobody will ever see."""
    await pool.announced(peer, bytes([kind]) * count, [200] * count, names(count, start), ALL if kind == 3 else 0)


def held(pool: TransactionPool, peer: Script) -> tuple[int, int, int]:
    """What is remembered of a peer's announcements: that it knows them, that they are wanted of it, that their cells are."""
    state = pool._states[peer]
    return len(state.known), pool._fetcher.wanted.count(state), len(pool._sidecars.plan._by_peer.get(state, ()))


async def after_a_flood(kind: int, **limits: Any) -> tuple[tuple[int, int, int], int]:
    pool, flooder = pool_of(prover=Seals(), **limits), Script()
    async with scripted(pool, flooder):
        for round_ in range(3):
            await announce(pool, flooder, MOST, round_ * MOST, kind=kind)
        return held(pool, flooder), flooder.faults


@pytest.mark.parametrize("kind", [2, 3])
async def test_e2_a_flood_of_announcements_takes_little_and_costs_the_peer(kind):
    (known, wanted, cells), faults = await after_a_flood(kind)
    assert known <= 32_768
    assert wanted <= 4096
    assert cells == (4096 if kind == 3 else 0)
    assert faults >= (3 * MOST - 4096) // 64


@pytest.mark.parametrize("kind", [2, 3])
async def test_e2_control_without_bounds_all_are_kept(kind):
    (known, wanted, cells), faults = await after_a_flood(kind, known=10**9, announced_by_peer=10**9, announced=10**9)
    assert known == 3 * MOST
    assert wanted == 3 * MOST
    assert cells == (3 * MOST if kind == 3 else 0)
    assert faults == 0


async def test_e2_what_never_comes_is_asked_for_once_and_holds_up_nobody():
    pool, transaction = pool_of(), transfer()
    silent, honest = Script(), Script(answer=lambda _: [transaction.raw])
    async with scripted(pool, silent, honest):
        await announce(pool, silent, 1024)
        await pool.announced(honest, *announcement(transaction))
        await trio.sleep(2)
        assert transaction.hash in pool
        assert len(silent.asked) == 1
        await trio.sleep(30)
        assert [len(asked) for asked in silent.asked] == [256] * 4
        assert silent.conduct.total.timeouts == 4
        assert len(pool._fetcher.wanted) == 0


async def crowded() -> tuple[bool, int]:
    """Let two peers announce all that all may; whether an honest one's transaction comes, and what it is blamed for."""
    pool, transaction = pool_of(announced=40, announced_by_peer=20, junk=1), transfer()
    greedy, honest = [Script(), Script()], Script(answer=lambda _: [transaction.raw])
    async with scripted(pool, *greedy, honest):
        for number, peer in enumerate(greedy):
            await announce(pool, peer, 20, 20 * number)
        await pool.announced(honest, *announcement(transaction))
        await trio.sleep(2)
        return transaction.hash in pool, honest.faults


async def test_e2_who_has_announced_most_gives_way():
    assert await crowded() == (True, 0)


async def test_e2_control_if_nobody_did_others_would_not_be_heard(monkeypatch):
    monkeypatch.setattr(Wanted, "_make_room", lambda *_: False)
    assert await crowded() == (False, 0)


@pytest.fixture
def kinds() -> dict[str, Any]:
    return {"size": {"sizes": [transfer().size + 9]}, "type": {"types": b"\x01"}}


@pytest.mark.parametrize("lie", ["size", "type"])
async def test_e2_a_lie_about_a_transaction_ends_the_session_and_it_is_not_kept(lie, kinds):
    async with played() as (pool, play):
        await play.announce(transfer(), **kinds[lie])
        await play.answer(transfer())
        assert await play.peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
        assert len(pool) == 0


@pytest.mark.parametrize("lie", ["size", "type"])
async def test_e2_control_if_nobody_compared_it_would_be_kept(lie, kinds, monkeypatch):
    monkeypatch.setattr(fetching, "_lie", lambda *_: None)
    async with played() as (pool, play):
        await play.announce(transfer(), **kinds[lie])
        await play.answer(transfer())
        await wait_all_tasks_blocked()
        assert transfer().hash in pool


async def looks(monkeypatch: pytest.MonkeyPatch) -> int:
    """How often all that a peer has announced is looked at while it says the same again, two hundred times one by one."""
    pool, flooder = pool_of(prover=Seals()), Script(answer=lambda _: [])
    looked, next_request = 0, ColumnPlan.next_request

    def spy(*arguments: Any) -> Any:
        nonlocal looked
        looked += 1
        return next_request(*arguments)

    async with scripted(pool, flooder):
        await announce(pool, flooder, 256, kind=3)
        await trio.sleep(5)
        await announce(pool, flooder, 256, kind=3)
        monkeypatch.setattr(ColumnPlan, "next_request", spy)
        before = len(flooder.asked)
        for number in range(200):
            await announce(pool, flooder, 1, number, kind=3)
            await trio.lowlevel.checkpoint()
        assert len(flooder.asked) <= before + 1
        return looked


async def test_e2_what_is_announced_again_has_nothing_looked_at_again(monkeypatch):
    assert await looks(monkeypatch) <= 1


async def test_e2_control_if_each_message_woke_who_asks_all_would_be(monkeypatch):
    monkeypatch.setattr(ColumnPlan, "offers", lambda *_: 0)
    assert await looks(monkeypatch) >= 100


async def test_e2_messages_as_large_as_they_may_be_are_taken_in_small_steps():
    """What a step may take is in conftest.py."""
    async with played() as (pool, play):
        for start in (0, MOST, 0):
            hashes = Lazy(names(MOST, start))
            await play.peer.send_message(NewPooledTransactionHashes(b"\x03" * MOST, Lazy([200] * MOST), hashes, bitmap_of(ALL)))
        await play.peer.ping()
        await play.until_pong()
        await wait_all_tasks_blocked()  # the pong passes by what the pool has still to take
        assert 3000 < len(pool._fetcher.wanted) <= 4096
