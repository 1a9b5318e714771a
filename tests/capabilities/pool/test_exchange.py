"""How transactions travel between pools: everyone gets them, nobody is told what it knows, and a peer that lies or floods pays for it."""

from collections.abc import Sequence
from math import isqrt

import pytest
import trio
import trio.lowlevel

from devp2p import DecodingError, RemoteProtocolError
from devp2p.capabilities.ethereum.blocks import Transaction
from tests.capabilities.pool.worlds import LittleChain, Script, announcement, linked, pool_of, scripted, transfer


async def test_all_of_many_pools_get_a_transaction_and_the_square_root_gets_it_whole() -> None:
    count = 10
    pools = [pool_of(seed=seed) for seed in range(count)]
    transaction = transfer()
    async with linked(*pools) as wires:
        await pools[0].add(transaction)
        await trio.sleep(10)
        assert all(transaction.hash in pool for pool in pools)
        whole = [j for j in range(1, count) if wires[0, j].of("whole")]
        assert len(whole) == isqrt(count - 1)  # 3 of 9
        for i, j in wires:
            told, back = wires[i, j].told(), wires[j, i].told()
            assert len(told) <= 1  # once, and so
            if i == 0:
                assert told
                assert not back  # no echo to whoever it came from
        copies = sum(len(wire.of("whole")) for wire in wires.values())
        assert copies < count * (count - 1) / 2


async def test_a_transaction_crosses_pools_that_are_not_linked() -> None:
    pools = [pool_of(seed=seed) for seed in range(5)]
    async with linked(*pools, pairs=[(number, number + 1) for number in range(4)], version=69):
        await pools[0].add(transfer(1))
        await trio.sleep(10)
        assert all(len(pool) == 1 for pool in pools)


async def test_a_new_peer_is_told_of_what_is_here_in_messages_of_a_bounded_length() -> None:
    pool = pool_of(announce_hashes=3)
    transactions = [transfer(sender, nonce) for sender in range(4) for nonce in range(2)]
    for transaction in transactions:
        await pool.add(transaction)
    await pool.add(transfer(9, 1))  # it waits for nonce 0, so that it is of no use to anybody yet
    peer = Script()
    async with scripted(pool, peer):
        await trio.sleep(1)
        assert peer.told == {each.hash for each in transactions}
        assert [len(names) for _, _, names, _ in peer.announced] == [3, 3, 2]
        await pool.add(transfer(9, 0))
        await trio.sleep(1)
        assert len(peer.told) == len(transactions) + 2  # now both


async def test_large_transactions_are_announced_only() -> None:
    pool = pool_of()
    peer = Script()
    small, large = transfer(0), transfer(1, data=bytes(5000), gas_limit=10**6)
    async with scripted(pool, peer):
        await pool.add(small)
        await pool.add(large)
        await trio.sleep(1)
        assert peer.whole == [small.hash]
        assert [names for _, _, names, _ in peer.announced] == [[large.hash]]


async def test_an_announced_transaction_is_asked_for_when_nobody_sends_it() -> None:
    pool = pool_of()
    first, second = transfer(0), transfer(1)
    peer, other = Script(answer=lambda hashes: [first.raw] if first.hash in hashes else []), Script()
    async with scripted(pool, peer, other):
        await pool.announced(peer, *announcement(first, second))
        await trio.sleep(0.4)
        assert not peer.asked
        await pool.received(other, [second.raw])
        await trio.sleep(0.4)
        assert peer.asked == [[first.hash]]
        assert first.hash in pool
        assert second.hash in pool
        assert peer.conduct.total.useful > 0
        assert other.conduct.total.useful > 0


async def test_another_announcer_is_asked_when_one_does_not_deliver() -> None:
    pool = pool_of()
    transactions = [transfer(sender) for sender in range(3)]
    raws = {each.hash: each.raw for each in transactions}
    silent, lazy, good = Script(), Script(answer=lambda _: []), Script(answer=lambda hashes: [raws[name] for name in hashes])
    async with scripted(pool, silent, lazy, good):
        await pool.announced(silent, *announcement(*transactions))
        await trio.sleep(1)
        await pool.announced(lazy, *announcement(*transactions))
        await trio.sleep(1)
        await pool.announced(good, *announcement(*transactions[1:]))
        await trio.sleep(20)
        assert len(silent.asked) == len(lazy.asked) == len(good.asked) == 1
        assert transactions[0].hash not in pool
        assert all(each.hash in pool for each in transactions[1:])
        assert silent.conduct.total.timeouts == 1
        assert silent.ended is lazy.ended is None


async def test_what_a_peer_that_leaves_was_asked_for_is_asked_of_others() -> None:
    pool = pool_of()
    transaction = transfer()
    leaving, good = Script(), Script(answer=lambda _: [transaction.raw])
    async with scripted(pool, good), trio.open_nursery() as nursery:
        nursery.start_soon(leaving.run, pool)
        await trio.lowlevel.checkpoint()
        await pool.announced(leaving, *announcement(transaction))
        await trio.sleep(1)
        await pool.announced(good, *announcement(transaction))
        await trio.sleep(1)
        assert (len(leaving.asked), len(good.asked)) == (1, 0)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
        assert transaction.hash in pool


async def test_requests_are_bounded_in_hashes_and_bytes() -> None:
    pool = pool_of(fetch_hashes=4, fetch_bytes=1000)
    transactions = [transfer(sender) for sender in range(10)]
    large = [transfer(sender, data=bytes(5000), gas_limit=10**6) for sender in range(10, 12)]
    raws = {each.hash: each.raw for each in (*transactions, *large)}
    peer = Script(answer=lambda hashes: [raws[name] for name in hashes])
    async with scripted(pool, peer):
        await pool.announced(peer, *announcement(*transactions, *large))
        await trio.sleep(5)
        assert len(pool) == 12
        assert sorted(map(len, peer.asked)) == [1, 1, 2, 4, 4]


async def test_a_request_is_answered_in_its_order_and_what_is_not_here_is_left_out() -> None:
    pool = pool_of()
    transactions = [transfer(sender) for sender in range(6)]
    for each in transactions[1:]:
        await pool.add(each)
    peer = Script()
    hashes = [each.hash for each in reversed(transactions)]
    items = await pool.transactions(peer, [*hashes, hashes[0]], size=2**21)
    assert [Transaction.decode(item).hash for item in items] == hashes[:5]
    assert len(await pool.transactions(peer, hashes, size=1)) == 1
    assert len(await pool.transactions(peer, hashes, size=len(items[0]) * 2 + 5)) == 2
    assert await pool.transactions(peer, [bytes(32)], size=2**21) == []


@pytest.mark.parametrize("lie", ["type", "size", "nothing", "slightly"])
async def test_a_lie_about_type_or_size_ends_the_session(lie: str) -> None:
    pool = pool_of()
    transaction = transfer()
    kind, size = (1 if lie == "type" else 2), transaction.size + {"size": 9, "slightly": 8}.get(lie, 0)
    liar, honest = Script(), Script(answer=lambda _: [transaction.raw])
    liar.answer = honest.answer
    async with scripted(pool, liar, honest):
        await pool.announced(liar, bytes([kind]), [size], [transaction.hash], 0)
        await trio.sleep(2)
        assert (liar.ended is not None) is (lie in {"type", "size"})
        assert liar.faults == (2 if liar.ended else 0)
        await pool.announced(honest, *announcement(transaction))
        await trio.sleep(2)
        assert honest.ended is None
        assert (transaction.hash in pool) is True


async def test_who_lied_about_what_another_brings_is_rated() -> None:
    pool = pool_of()
    transaction = transfer()
    liar, honest = Script(), Script()
    async with scripted(pool, liar, honest):
        await pool.announced(liar, b"\x02", [transaction.size + 1000], [transaction.hash], 0)
        await pool.received(honest, [transaction.raw])
        assert (liar.faults, honest.faults) == (2, 0)


@pytest.mark.parametrize("kind", ["unasked", "order", "twice", "good"])
async def test_an_answer_has_what_was_asked_for_in_that_order(kind: str) -> None:
    pool = pool_of()
    asked = [transfer(sender) for sender in range(3)]
    answers: dict[str, Sequence[Transaction]] = {
        "unasked": [*asked, transfer(9)],
        "order": asked[::-1],
        "twice": [asked[0], asked[0]],
        "good": [asked[0], asked[2]],
    }
    peer = Script(answer=lambda _: [each.raw for each in answers[kind]])
    async with scripted(pool, peer):
        await pool.announced(peer, *announcement(*asked))
        await trio.sleep(2)
        assert (peer.ended is None) is (kind == "good")
        assert len(pool) == (2 if kind == "good" else 0)


async def test_an_announcement_whose_parts_differ_in_length_ends_the_session() -> None:
    pool = pool_of()
    one = transfer()
    for types, sizes, hashes in ((b"", [1], [one.hash]), (b"\x02", [], [one.hash]), (b"\x02", [1], [])):
        with pytest.raises(RemoteProtocolError, match="announcement of"):
            await pool.announced(Script(), types, sizes, hashes, 0)


async def test_one_peer_cannot_fill_the_list_of_what_is_wanted() -> None:
    pool = pool_of(announced_by_peer=10, junk=5)
    flooder, honest, transaction = Script(), Script(), transfer()
    honest.answer = lambda _: [transaction.raw]
    async with scripted(pool, flooder, honest):
        names = [number.to_bytes(32, "big") for number in range(1000)]
        await pool.announced(flooder, b"\x02" * 1000, [100] * 1000, names, 0)
        await pool.announced(honest, *announcement(transaction))
        assert flooder.faults == 990 // 5
        await trio.sleep(5)
        assert transaction.hash in pool
        assert sum(map(len, flooder.asked)) == 10


async def test_invalid_transactions_end_no_session_but_many_cost_the_peer() -> None:
    pool = pool_of(junk=10, pause=0.5)
    flooder, honest = Script(), Script()
    async with scripted(pool, flooder, honest):
        began = trio.current_time()
        await pool.received(flooder, [transfer(1, value=10**30 + number).raw for number in range(30)])
        assert trio.current_time() == began + 0.5  # its messages wait
        assert flooder.faults == 3
        await pool.received(honest, [transfer(2, nonce).raw for nonce in range(9)] + [transfer(3, value=10**30).raw])
        assert trio.current_time() == began + 0.5
        assert honest.faults == 0
        assert flooder.ended is honest.ended is None
        assert len(pool) == 9
    assert not honest.told & {transfer(1, value=10**30).hash}


async def test_a_transaction_that_a_peer_sends_again_is_junk() -> None:
    pool, peer = pool_of(junk=2), Script()
    transaction = transfer()
    for count in range(5):
        await pool.received(peer, [transaction.raw])
        assert peer.faults == count // 2
    fresh = Script()  # control: what another has sent before is no fault
    await pool.received(fresh, [transaction.raw])
    assert fresh.faults == 0


async def test_what_breaks_the_protocol_ends_the_session() -> None:
    pool, peer = pool_of(), Script()
    with pytest.raises(DecodingError, match="type 9"):
        await pool.received(peer, [b"\x84\x09\xc2\x01\x02"])
    with pytest.raises(RemoteProtocolError, match="twice in one message"):
        await pool.received(peer, [transfer(2).raw] * 2)
    await pool.received(Script(), [])


async def test_refused_transactions_are_not_fetched_again() -> None:
    pool = pool_of(refused_for=100)
    bad = transfer(1, chain_id=5)
    peer = Script(answer=lambda _: [bad.raw])
    async with scripted(pool, peer):
        for wait in (2, 2, 100):
            await pool.announced(peer, *announcement(bad))
            await trio.sleep(wait)
        assert len(peer.asked) == 1
        await pool.announced(peer, *announcement(bad))
        await trio.sleep(2)
        assert len(peer.asked) == 2


async def test_a_new_head_takes_out_what_it_includes_and_tells_of_what_it_makes_possible() -> None:
    chain = LittleChain()
    pool, peer = pool_of(chain), Script()
    transactions = [transfer(0, nonce) for nonce in (0, 1, 3)]
    async with scripted(pool, peer):
        for each in transactions:
            await pool.add(each)
        await trio.sleep(1)
        assert peer.told == {each.hash for each in transactions[:2]}
        account = chain.all_accounts[transactions[0].sender]
        chain.advance({transactions[0].sender: type(account)(3, account.balance, account.storage_root, account.code_hash)})
        await pool.refresh()
        await trio.sleep(1)
        assert pool.pending() == [pool.get(transactions[2].hash)]
        assert transactions[2].hash in peer.told


async def test_two_thousand_of_one_sender_go_through_at_once() -> None:
    """As go-ethereum's LargeTxRequest sends them, with fewer of them: the pool is not full, so that no sender has a bound."""
    chain = LittleChain()
    pool, other = pool_of(chain), pool_of(chain, seed=2)
    transactions = [transfer(0, nonce, 1, max_fee=7, to=None, gas_limit=75_000) for nonce in range(200)]
    async with linked(pool, other) as wires:
        await pool.received(wires[0, 1], [each.raw for each in transactions])
        await trio.sleep(0.1)
        assert len(pool) == 200
        assert not wires[0, 1].told()
    reader = Script()
    async with scripted(pool, reader):
        await trio.sleep(0.1)
        assert reader.told == {each.hash for each in transactions}


async def test_transactions_that_wait_too_long_for_another_go() -> None:
    chain = LittleChain()
    pool = pool_of(chain, future_for=100.0)
    await pool.add(transfer(0, 1))
    await pool.add(transfer(1, 0))
    for wait, left in ((90, 2), (20, 1)):
        await trio.sleep(wait)
        chain.advance()
        await pool.refresh()
        assert len(pool) == left


async def test_what_is_too_large_is_not_even_decoded() -> None:
    pool, peer = pool_of(junk=1), Script()
    await pool.received(peer, [b"\xba\x02\x10\x00" + b"\x02" + bytes(0x20FFF)])  # it is no transaction, which would end the session
    assert peer.faults == 1
    with pytest.raises(DecodingError):
        await pool.received(peer, [b"\xb9\x10\x00" + b"\x02" + bytes(0xFFF)])


@pytest.mark.real_clock
async def test_a_large_transaction_is_read_beside_the_loop() -> None:
    pool, peer = pool_of(), Script()
    touched = tuple((bytes(20), ()) for _ in range(4000))
    large = transfer(access_list=touched, gas_limit=15_000_000)
    assert 64 * 1024 < large.size < 128 * 1024
    await pool.received(peer, [large.raw])
    assert large.hash in pool


async def test_an_answer_larger_than_any_transaction_ends_the_session() -> None:
    pool, peer = pool_of(), Script(answer=lambda _: [bytes(3 * 2**20)])
    async with scripted(pool, peer):
        await pool.announced(peer, *announcement(transfer()))
        await trio.sleep(2)
        assert "announced as a smaller one" in str(peer.ended)


async def test_a_peer_whose_transactions_we_know_already_does_not_wait() -> None:
    pool = pool_of()
    raws = [transfer(0, nonce).raw for nonce in range(8)]
    first, second = Script(), Script()
    await pool.received(first, raws)
    began = trio.current_time()
    await pool.received(second, raws)
    assert (trio.current_time(), second.faults) == (began, 0)


@pytest.mark.parametrize("ends", [False, True])
async def test_a_session_that_ends_while_its_message_is_taken_leaves_nothing_behind(ends: bool) -> None:  # noqa: FBT001
    class SlowChain(LittleChain):
        def __init__(self) -> None:
            super().__init__()
            self.gate = trio.Event()

        async def headers(self, start: int | bytes, count: int, *, skip: int, reverse: bool, size: int) -> Sequence[bytes]:
            await self.gate.wait()
            return await super().headers(start, count, skip=skip, reverse=reverse, size=size)

    chain, peer = SlowChain(), Script()
    pool = pool_of(chain)
    async with trio.open_nursery() as nursery:
        async with scripted(pool, peer):
            nursery.start_soon(pool.announced, peer, *announcement(transfer(0), transfer(1)))
            nursery.start_soon(pool.received, peer, [transfer(2).raw])
            await trio.sleep(1)  # both look at the head now
            if not ends:
                chain.gate.set()
                await trio.sleep(0.1)
                assert len(pool._fetcher.wanted) == 2  # the control: this is what would stay
        chain.gate.set()
    await pool.announced(peer, *announcement(transfer(3)))  # it was on its way
    assert await pool.transactions(peer, [transfer(2).hash], size=1000) == [transfer(2).raw]
    assert len(pool._fetcher.wanted) == 0
    assert len(pool._states) == 0
