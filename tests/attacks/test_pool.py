"""Rows E4 and E5 of THREATS.md: transactions that are of no use to anybody, and those that want the room of others.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

from dataclasses import replace
from typing import Any

import pytest
import trio

from devp2p import DisconnectReason, rlp
from devp2p.capabilities.eth.messages import Transactions
from devp2p.capabilities.eth.pool import TransactionPool, examining, judging, ledger, shelf
from devp2p.capabilities.eth.pool import pool as pool_module
from devp2p.capabilities.eth.pool.entries import Fault
from devp2p.capabilities.ethereum.blocks import Transaction
from tests.capabilities.pool.seals import Seals, blob_transaction
from tests.capabilities.pool.test_pool_sessions import played
from tests.capabilities.pool.worlds import ETHER, LittleChain, Script, announcement, pool_of, scripted, transfer

# E4, of no use

JUNK = {
    "another chain": {"chain_id": 5},
    "too little gas": {"gas_limit": 20_999},
    "more gas than a block": {"gas_limit": 30_000_001},
    "a tip above the fee": {"max_priority_fee": 200, "max_fee": 100},
    "more value than there is": {"value": 101 * ETHER},
    "a nonce that was used": {"nonce": 0},
}


def forged() -> Transaction:
    """One whose signature is that of another, so that it is of a sender who has nothing."""
    good, other = transfer(1), transfer(2, data=b"other")
    return replace(good, v=other.v, r=other.r, s=other.s)


async def after_junk(*sent: Transaction, **limits: Any) -> tuple[TransactionPool, Script, Script]:
    """Let a peer send junk, and have another that is told what is kept."""
    chain = LittleChain()
    used = chain.all_accounts[transfer(0).sender]
    chain.all_accounts[transfer(0).sender] = type(used)(1, used.balance, used.storage_root, used.code_hash)
    pool, peer, reader = pool_of(chain, **limits), Script(), Script()
    async with scripted(pool, peer, reader):
        await pool.received(peer, [each.raw for each in sent])
        await trio.sleep(1)
    return pool, peer, reader


@pytest.mark.parametrize("kind", [*JUNK, "a forged signature"])
async def test_e4_junk_is_not_kept_nor_told_and_costs_the_peer(kind):
    junk = forged() if kind not in JUNK else transfer(0, **{"nonce": 1} | JUNK[kind])
    pool, peer, reader = await after_junk(junk, junk=1)
    assert len(pool) == 0
    assert reader.told == set()
    assert (peer.faults, peer.ended) == (1, None)


@pytest.mark.parametrize("kind", ["another chain", "too little gas", "more gas than a block", "a tip above the fee"])
async def test_e4_control_if_it_were_not_examined_it_would_be_kept_and_told(kind, monkeypatch):
    monkeypatch.setattr(examining, "fault_of", lambda *_: None)
    pool, peer, reader = await after_junk(transfer(0, **{"nonce": 1} | JUNK[kind]), junk=1)
    assert len(pool) == 1
    assert len(reader.told) == 1
    assert peer.faults == 0


async def flooded(**limits: Any) -> tuple[float, int]:
    """For how long a peer's messages wait that has sent twenty of junk, and what it costs it."""
    pool, peer = pool_of(**limits), Script()
    junk = [transfer(1, value=1000 * ETHER + number).raw for number in range(200)]
    async with scripted(pool, peer):
        began = trio.current_time()
        for at in range(20):
            await pool.received(peer, junk[10 * at : 10 * at + 10])
        return trio.current_time() - began, peer.faults


async def test_e4_who_sends_nothing_but_junk_is_read_from_five_times_a_second():
    seconds, faults = await flooded()
    assert seconds == pytest.approx(4.0)
    assert faults == 3


async def test_e4_control_without_a_pause_and_a_count_it_is_as_fast_as_it_goes_and_costs_nothing():
    assert await flooded(pause=0.0, junk=10**9) == (0, 0)


BREACHES = {
    "an unknown type": (b"\x84\x09\xc2\x01\x02",),
    "a list of nothing": (b"\xc0",),
    "one twice": (transfer(9).raw,),
    "a blob transaction": (blob_transaction().elided().raw,),
    "junk": (rlp.encode(bytes(range(200))),),
}


@pytest.mark.parametrize("kind", BREACHES)
async def test_e4_what_no_peer_may_send_ends_the_session(kind):
    async with played() as (pool, play):
        await play.peer.send_message(Transactions((transfer(9).raw, *BREACHES[kind])))
        await play.peer.send_message(Transactions((transfer(8).raw,)))
        assert await play.peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
        assert len(pool) <= 1


async def test_e4_a_thousand_forged_ones_in_a_message_hold_up_nobody():
    """What a step may take is in conftest.py; another peer's transaction is taken in between."""
    many = [replace(forged(), nonce=number) for number in range(1000)]
    async with played() as (pool, play):
        other = Script()
        await play.peer.send_message(Transactions(tuple(each.raw for each in many)))
        async with scripted(pool, other):
            while not pool._states or max(state._junk for state in pool._states.values()) == 0:
                await trio.lowlevel.checkpoint()
            await pool.received(other, [transfer(3).raw])
            assert transfer(3).hash in pool
            assert len(pool) == 1
            state = next(state for state in pool._states.values() if state.peer is not other)
            assert state.peer.conduct.total.invalid < 1000 // 64, "not all of the message has been looked at"
        await trio.sleep(1)
        assert state.peer.conduct.total.invalid == 1000 // 64
        assert len(pool) == 1


async def sent_large(size: int) -> tuple[bool, int]:
    """Whether the session lives after a message with one transaction of so many bytes, and how many were looked at that came with it."""
    large = rlp.encode_list(rlp.encode(bytes(size)) + transfer(1).raw)
    async with played() as (pool, play):
        await play.peer.send(play.peer.space.offsets[0] + 0x02, large)
        await play.peer.ping()
        code, _ = await play.peer.receive()
        await trio.sleep(1)
        return code == 0x03, len(pool)


async def test_e4_sixteen_mebibytes_end_the_session_before_they_are_inflated():
    assert await sent_large(2**20) == (True, 1)  # what is too large to be taken in is junk
    assert await sent_large(16 * 2**20 - 300) == (False, 0)


async def test_e4_control_without_a_bound_of_the_message_they_are_taken_in(monkeypatch):
    monkeypatch.setattr(Transactions, "max_size", 2**24 - 1)
    assert await sent_large(16 * 2**20 - 300) == (True, 1)


# E5, room

SMALL: dict[str, Any] = {"transactions": 20, "sender_guaranteed": 2}


async def full_of_honest(**limits: Any) -> tuple[TransactionPool, list[Transaction]]:
    pool = pool_of(**SMALL | limits)
    honest = [transfer(sender, nonce, tip=10) for sender in range(10) for nonce in range(2)]
    for each in honest:
        await pool.add(each)
    return pool, honest


ROOM = {
    "as cheap as others": [transfer(20 + number, tip=10) for number in range(20)],
    "dear, and behind a gap": [transfer(20 + number, 1, tip=1000, max_fee=2000) for number in range(20)],
    "dear, behind a cheap one": [
        transfer(20 + number, nonce, tip=(1000 if nonce else 5), max_fee=2000) for number in range(10) for nonce in range(3)
    ],
    "many of one": [transfer(20, nonce, tip=100, max_fee=2000) for nonce in range(20)],
}


@pytest.mark.parametrize("kind", ROOM)
async def test_e5_who_does_not_pay_more_drives_out_nobody(kind):
    pool, honest = await full_of_honest()
    peer = Script()
    await pool.received(peer, [each.raw for each in ROOM[kind]])
    left = sum(each.hash in pool for each in honest)
    assert left == 20 if kind != "many of one" else left >= 18, "two of a sender are nobody's guaranteed places"
    assert len(pool) == 20


async def test_e5_control_if_price_did_not_count_all_honest_ones_would_go(monkeypatch):
    monkeypatch.setattr(ledger, "_pays_more", lambda *_: True)
    pool, honest = await full_of_honest()
    await pool.received(Script(), [each.raw for each in ROOM["as cheap as others"]])
    assert sum(each.hash in pool for each in honest) < 10


async def test_e5_control_without_guaranteed_places_one_rich_sender_drives_out_all():
    pool, honest = await full_of_honest(sender_guaranteed=10**6)
    await pool.received(Script(), [each.raw for each in ROOM["many of one"]])
    assert sum(each.hash in pool for each in honest) == 0


async def gaps(**limits: Any) -> tuple[int, int]:
    pool, peer = pool_of(**limits), Script()
    await pool.received(peer, [transfer(sender, 1 + nonce).raw for sender in range(6) for nonce in range(80)])
    return len(pool), peer.faults


async def test_e5_of_transactions_behind_a_gap_few_are_kept_and_the_others_cost():
    assert await gaps(futures=200, junk=16) == (200, 6)


async def test_e5_control_without_bounds_all_are_kept():
    assert await gaps(futures=10**9, sender_futures=10**9, nonce_gap=10**9, junk=16) == (480, 0)


async def replaced(**limits: Any) -> int:
    """How many of a hundred versions of a transaction, each of which pays a wei more, another peer is told."""
    pool, reader, peer = pool_of(**limits), Script(), Script()
    async with scripted(pool, reader, peer):
        for number in range(100):
            await pool.received(peer, [transfer(1, tip=1000 + number).raw])
            await trio.sleep(0.1)
        assert len(pool) == 1
        return len(reader.told)


async def test_e5_a_replacement_pays_a_tenth_more_or_nobody_is_told():
    assert await replaced() == 1


async def test_e5_control_without_that_all_are_told():
    assert await replaced(price_bump=0) == 100


async def promised() -> int:
    """How many transactions are kept of a sender each of which may cost all that it has."""
    pool = pool_of()
    await pool.received(Script(), [transfer(1, nonce, value=99 * ETHER).raw for nonce in range(40)])
    return len(pool)


async def test_e5_one_sender_cannot_promise_the_same_ether_twice():
    assert await promised() == 1


async def test_e5_control_if_costs_were_not_added_up_it_would(monkeypatch):
    monkeypatch.setattr(shelf, "entry_of", lambda *arguments: replace(judging.entry_of(*arguments), cost=0))
    assert await promised() == 40


async def brought_too_early() -> tuple[int, bool]:
    """Have somebody bring an honest sender's last transactions before the first, and one of a newcomer who has no ether yet."""
    chain = LittleChain()
    newcomer = transfer(2)
    rich = chain.all_accounts.pop(newcomer.sender)
    pool, attacker, run = pool_of(chain), Script(), [transfer(1, nonce) for nonce in range(80)]
    raws = {each.hash: each.raw for each in [*run, newcomer]}
    honest = Script(answer=lambda names: [raws[name] for name in names])
    async with scripted(pool, attacker, honest):
        await pool.received(attacker, [each.raw for each in [*run[70:], newcomer]])
        assert len(pool) == 0
        chain.advance({newcomer.sender: rich})
        await pool.announced(honest, *announcement(*run, newcomer))
        await trio.sleep(5)
        return len(pool), newcomer.hash in pool


async def test_e5_what_somebody_has_brought_too_early_comes_all_the_same():
    assert await brought_too_early() == (81, True)


async def test_e5_control_if_it_were_remembered_as_bad_it_would_not(monkeypatch):
    monkeypatch.setattr(pool_module, "LASTING", frozenset(Fault))
    assert await brought_too_early() == (70, False)


async def test_e5_blobs_and_others_of_one_sender_are_not_both_kept():
    pool = pool_of(prover=Seals())
    await pool.add(blob_transaction(sender=1))
    await pool.received(Script(), [transfer(1, 1).raw])
    assert len(pool) == 1
