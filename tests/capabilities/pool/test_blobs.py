"""How blob transactions and their cells travel (eth, "Blob Transaction and Cell Exchange"; EIP-8070): the cases of go-ethereum's suite."""

import dataclasses
from collections.abc import Callable, Sequence

import pytest
import trio
import trio.lowlevel

from devp2p.capabilities.eth.pool import CellGroups, TransactionPool, sidecars
from devp2p.capabilities.eth.pool.columns import ALL, DATA, indices
from devp2p.capabilities.ethereum.blocks import Transaction
from tests.capabilities.pool.seals import Seals, blob_transaction, cells_answer
from tests.capabilities.pool.worlds import Script, announcement, linked, pool_of, scripted

SAMPLE = sum(1 << column for column in (7, 19, 33, 52, 68, 90, 111, 126))


class Holder(Script):
    """A peer that has all of some blob transactions, and answers well."""

    def __init__(self, *transactions: Transaction, version: int = 72) -> None:
        super().__init__(version)
        self.transactions = transactions
        known = {each.hash: each if version < 72 else each.elided() for each in transactions}
        self.answer = lambda hashes: [known[name].raw for name in hashes if name in known]
        self.answer_cells = lambda hashes, columns: cells_answer(transactions, hashes, columns)

    async def announce_all(self, pool: TransactionPool, cells: int = ALL) -> None:
        own = [each if self.version < 72 else each.elided() for each in self.transactions]
        await pool.announced(self, *announcement(*own, cells=cells if self.version >= 72 else 0))


def sampler(seed: int = 1) -> TransactionPool:
    pool = pool_of(prover=Seals(), seed=seed, full_probability=0.0)
    pool.set_custody(SAMPLE)
    return pool


async def test_all_blobs_are_fetched_as_one_column_more_than_half() -> None:
    pool, transaction = pool_of(prover=Seals()), blob_transaction(count=2)
    holder, other = Holder(transaction), Script()
    async with scripted(pool, holder, other):
        await holder.announce_all(pool)
        await trio.sleep(1)
        ((hashes, columns),) = holder.asked_cells
        assert (hashes, columns & DATA, columns.bit_count()) == ([transaction.hash], DATA, 65)
        assert pool.get(transaction.hash) == transaction
        assert other.announced == [(b"\x03", [transaction.elided().size], [transaction.hash], ALL)]
        assert not other.whole
        assert not holder.announced


async def test_only_cells_in_custody_are_fetched_once_two_have_announced_all() -> None:
    pool, transaction = sampler(), blob_transaction(count=2)
    holders, other = [Holder(transaction), Holder(transaction)], Script()
    async with scripted(pool, *holders, other):
        await holders[0].announce_all(pool)
        await trio.sleep(1)
        assert not holders[0].asked_cells
        await holders[1].announce_all(pool)
        await trio.sleep(1)
        ((_, columns),) = [each for holder in holders for each in holder.asked_cells]
        assert columns & SAMPLE == SAMPLE
        assert columns.bit_count() == 9  # and one that the peer cannot foresee
        assert transaction.hash in pool
        assert other.announced == [(b"\x03", [transaction.elided().size], [transaction.hash], SAMPLE)]


async def test_with_one_announcer_all_blobs_are_fetched_after_a_while_and_never_few_cells() -> None:
    """BlobTxAvailabilityFailure."""
    pool = sampler()
    transactions = [blob_transaction(number, 1, 0, number) for number in range(10)]
    holder = Holder(*transactions)
    async with scripted(pool, holder):
        await holder.announce_all(pool)
        await trio.sleep(1.9)
        assert not holder.asked_cells
        await trio.sleep(5)
        assert holder.asked_cells
        assert all(columns.bit_count() >= 64 for _, columns in holder.asked_cells)
        assert len(pool) == 10


async def test_by_chance_all_blobs_of_some_are_fetched() -> None:
    pool = pool_of(prover=Seals(), full_probability=0.15)
    pool.set_custody(SAMPLE)
    transactions = [blob_transaction(number, 1, number) for number in range(20)]
    holders = [Holder(*transactions), Holder(*transactions)]
    async with scripted(pool, *holders):
        for holder in holders:
            await holder.announce_all(pool)
        await trio.sleep(1.5)
        asked = [(name, columns.bit_count()) for holder in holders for names, columns in holder.asked_cells for name in names]
        full = sum(count >= 64 for _, count in asked)
        assert len(asked) == len({name for name, _ in asked}) == 20
        assert 0 < full < 10


@pytest.mark.parametrize("lie", ["size", "type", "nothing"])
async def test_a_lie_in_the_announcement_of_a_blob_transaction_ends_the_session(lie: str) -> None:
    """BlobViolations: the answer is the same whatever was asked for."""
    pool = pool_of(prover=Seals())
    transactions = [blob_transaction(1, 3, 0, 0).elided(), blob_transaction(4, 3, 0, 1).elided()]
    types, sizes, hashes, _ = announcement(*transactions)
    if lie == "size":
        sizes[1] += 10
    if lie == "type":
        types = b"\x02\x03"
    peers = [Script(answer=lambda _: [each.raw for each in transactions]) for _ in range(2)]
    async with scripted(pool, *peers):
        for peer in peers:
            await pool.announced(peer, types, sizes, hashes, ALL)
        await trio.sleep(2)
        asked = [peer for peer in peers if peer.asked]
        assert all((peer.ended is not None) is (lie != "nothing") for peer in asked)
        assert asked


def without_sidecar(transaction: Transaction) -> Transaction:
    return transaction.with_sidecar(None)


def with_another_commitment(transaction: Transaction) -> Transaction:
    assert transaction.sidecar is not None
    return transaction.with_sidecar(dataclasses.replace(transaction.sidecar, commitments=(bytes(48), *transaction.sidecar.commitments[1:])))


def with_its_blobs(transaction: Transaction) -> Transaction:
    assert transaction.sidecar is not None
    return transaction.with_sidecar(dataclasses.replace(transaction.sidecar, blobs=(bytes(131_072),) * 2))


@pytest.mark.parametrize("spoil", [without_sidecar, with_another_commitment, with_its_blobs])
async def test_a_bad_sidecar_ends_the_session_and_another_is_asked(spoil: Callable[[Transaction], Transaction]) -> None:
    """BlobTxWithoutSidecar, BlobTxWithMismatchedSidecar."""
    pool, transaction = pool_of(prover=Seals()), blob_transaction(count=2)
    bad, good = Holder(transaction), Holder(transaction)
    bad.answer = lambda _: [spoil(transaction.elided()).raw]
    async with scripted(pool, bad, good):
        await bad.announce_all(pool)
        await trio.sleep(0.005)
        await good.announce_all(pool)
        await trio.sleep(2)
        assert bad.ended is not None
        assert good.ended is None
        assert pool.get(transaction.hash) == transaction


def zeros(transactions: Sequence[Transaction], hashes: Sequence[bytes], columns: int) -> CellGroups:
    names, groups, mask = cells_answer(transactions, hashes, columns)
    return names, [[bytes(2048)] * len(group) for group in groups], mask


def too_few(transactions: Sequence[Transaction], hashes: Sequence[bytes], columns: int) -> CellGroups:
    names, groups, mask = cells_answer(transactions, hashes, columns)
    return names, [group[1:] for group in groups], mask


def other_columns(transactions: Sequence[Transaction], hashes: Sequence[bytes], columns: int) -> CellGroups:
    return cells_answer(transactions, hashes, columns ^ 1 << 127 ^ 1 << 126)


def another_transaction(transactions: Sequence[Transaction], hashes: Sequence[bytes], columns: int) -> CellGroups:
    return [bytes(32)], cells_answer(transactions, hashes, columns)[1], columns


def twice(transactions: Sequence[Transaction], hashes: Sequence[bytes], columns: int) -> CellGroups:
    return cells_answer(transactions, [*hashes, *hashes], columns)


def uneven(_: Sequence[Transaction], hashes: Sequence[bytes], columns: int) -> CellGroups:
    return hashes, [], columns


def no_columns(transactions: Sequence[Transaction], hashes: Sequence[bytes], columns: int) -> CellGroups:
    return hashes, cells_answer(transactions, hashes, columns)[1], 0


def wrong_size(transactions: Sequence[Transaction], hashes: Sequence[bytes], columns: int) -> CellGroups:
    names, groups, mask = cells_answer(transactions, hashes, columns)
    return names, [[b"short"] * len(group) for group in groups], mask


@pytest.mark.parametrize("lie", [zeros, too_few, other_columns, another_transaction, twice, uneven, no_columns, wrong_size, cells_answer])
async def test_cells_that_are_wrong_end_the_session_and_nobody_elses(
    lie: Callable[[Sequence[Transaction], Sequence[bytes], int], CellGroups],
) -> None:
    """BlobTxWithInvalidCells; and the control, in which they are right."""
    pool, transaction = pool_of(prover=Seals()), blob_transaction(count=2)
    bad, good = Holder(transaction), Holder(transaction)
    bad.answer_cells = lambda hashes, columns: lie([transaction], hashes, columns)
    async with scripted(pool, bad, good):
        await bad.announce_all(pool)
        await trio.sleep(0.1)
        await good.announce_all(pool)
        await trio.sleep(2)
        assert (bad.ended is None) is (lie is cells_answer)
        assert good.ended is None
        assert pool.get(transaction.hash) == transaction


async def test_what_one_leaves_out_is_asked_of_another() -> None:
    pool, transaction = pool_of(prover=Seals()), blob_transaction()
    half, rest, silent = Holder(transaction), Holder(transaction), Holder(transaction)
    half.answer_cells = lambda hashes, columns: cells_answer([transaction], hashes, columns & 2**32 - 1)
    silent.answer_cells = None
    async with scripted(pool, silent, half, rest):
        for holder in (silent, half, rest):
            await holder.announce_all(pool)
            await trio.sleep(6)
        assert half.asked_cells[0][1].bit_count() == 65
        assert indices(rest.asked_cells[0][1])[0] == 32
        assert transaction.hash in pool
        assert silent.conduct.total.timeouts == 1
        assert half.faults == 1  # it had said that it has all


async def test_blobs_are_recovered_of_any_half_of_the_columns() -> None:
    prover = Seals()
    pool, transaction = pool_of(prover=prover), blob_transaction(count=2)
    low, high = Holder(transaction), Holder(transaction)
    async with scripted(pool, low, high):
        await low.announce_all(pool, 2**32 - 1)
        await high.announce_all(pool, (2**32 - 1) << 96)
        await trio.sleep(2)
        assert prover.recovered == 1
        assert pool.get(transaction.hash) == transaction


async def test_a_change_of_custody_fetches_what_is_new_and_tells_of_it() -> None:
    pool, transaction = sampler(), blob_transaction()
    holders, other = [Holder(transaction), Holder(transaction)], Script()
    async with scripted(pool, *holders, other):
        for holder in holders:
            await holder.announce_all(pool)
        await trio.sleep(1)
        more = SAMPLE | 0b11
        pool.set_custody(more)
        await trio.sleep(1)
        last = [columns for holder in holders for _, columns in holder.asked_cells][-2:]
        assert any(columns & 0b11 == 0b11 and columns & SAMPLE == 0 for columns in last)
        assert [cells for _, _, _, cells in other.announced] == [SAMPLE, more]
        pool.set_custody(more)
        with pytest.raises(ValueError, match="at least one is set"):
            pool.set_custody(0)


async def test_cells_are_served_column_by_column_within_the_size() -> None:
    pool, peer = pool_of(prover=Seals()), Script()
    first, second = blob_transaction(1, 2, 0), blob_transaction(3, 1, 1)
    for each in (first, second):
        await pool.add(each)
    columns = 1 << 3 | 1 << 100
    hashes = [first.hash, bytes(32), second.hash]
    assert await pool.cells(peer, hashes, columns, size=2**21) == cells_answer([first, second], [first.hash, second.hash], columns)
    names, groups, told = await pool.cells(peer, hashes, ALL, size=20 * 2048)
    assert (names, told, len(groups[0])) == ([first.hash], 2**10 - 1, 20)
    assert await pool.cells(peer, [bytes(32)], ALL, size=2**21) == ([], [], 0)


async def test_a_sampler_serves_what_it_has_and_fetches_of_samplers() -> None:
    transaction = blob_transaction()
    pools = [pool_of(prover=Seals()), pool_of(prover=Seals(), seed=2), sampler(3), sampler(4)]
    pairs = [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    async with linked(*pools, pairs=pairs):
        for pool in pools[:2]:
            await pool.add(transaction)
        await trio.sleep(5)
        assert all(transaction.hash in pool for pool in pools)
        held = await pools[2].cells(Script(), [transaction.hash], ALL, size=2**21)
        assert held[2] & SAMPLE == SAMPLE
        assert held[2].bit_count() == 9
        assert pools[2].get(transaction.hash) == transaction.elided()


async def test_before_eth_72_blobs_travel_with_their_transaction() -> None:
    transaction = blob_transaction(count=2)
    pools = [pool_of(prover=Seals(), seed=seed) for seed in range(3)]
    async with linked(*pools, pairs=[(0, 1), (1, 2)], version=71) as wires:
        await pools[0].add(transaction)
        await trio.sleep(5)
        assert pools[2].get(transaction.hash) == transaction
        (announced,) = wires[1, 2].of("announced")
        assert announced == (b"\x03", [transaction.size], [transaction.hash], ALL)
        assert not any(wire.of("whole") or wire.of("cells") for wire in wires.values())


async def test_wrong_blobs_before_eth_72_end_the_session() -> None:
    pool, transaction = pool_of(prover=Seals()), blob_transaction(count=2)
    bad = Holder(with_its_blobs(transaction), version=71)
    async with scripted(pool, bad):
        await bad.announce_all(pool)
        await trio.sleep(2)
        assert bad.ended is not None
        assert len(pool) == 0


async def test_a_sampler_does_not_announce_to_who_cannot_fetch_cells() -> None:
    pool, transaction, old = sampler(), blob_transaction(), Script(version=71)
    holders = [Holder(transaction), Holder(transaction)]
    async with scripted(pool, *holders, old):
        for holder in holders:
            await holder.announce_all(pool)
        await trio.sleep(2)
        assert transaction.hash in pool
        assert not old.told
        assert list(await pool.transactions(old, [transaction.hash], size=2**21)) == []
        assert list(await pool.transactions(Script(), [transaction.hash], size=2**21)) == [transaction.elided().raw]


async def test_another_of_the_same_nonce_is_fetched_though_it_will_not_be_kept() -> None:
    """go-ethereum's cases all use one nonce: what has come is judged when it is complete."""
    pool = pool_of(prover=Seals())
    first, second = blob_transaction(1), blob_transaction(2)
    holder = Holder(first, second)
    async with scripted(pool, holder):
        await holder.announce_all(pool)
        await trio.sleep(2)
        assert {name for names, _ in holder.asked_cells for name in names} == {first.hash, second.hash}
        assert len(pool) == 1


async def test_what_an_answer_has_computed_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecars, "EXTENSIONS", 5)
    pool, peer = pool_of(prover=Seals()), Script()
    transactions = [blob_transaction(10 * sender, 2, sender) for sender in range(4)]
    for each in transactions:
        await pool.add(each)
    asked = [each.hash for each in transactions]
    assert (await pool.cells(peer, asked, 1 << 3, size=2**21))[0] == asked  # a part of the blob itself costs nothing
    assert (await pool.cells(peer, asked, 1 << 100, size=2**21)) == cells_answer(transactions, asked[:2], 1 << 100)
    assert (await pool.cells(peer, asked, 1 << 100, size=2**21))[0] == asked  # what was computed before costs nothing either
    assert (await pool.cells(peer, asked[3:], 1 << 100, size=2**21))[0] == asked[3:]


async def test_control_without_that_bound_all_blobs_are_extended_for_one_small_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecars, "EXTENSIONS", 10**6)
    pool, peer = pool_of(prover=Seals()), Script()
    transactions = [blob_transaction(10 * sender, 2, sender) for sender in range(4)]
    for each in transactions:
        await pool.add(each)
    asked = [each.hash for each in transactions]
    assert (await pool.cells(peer, asked, 1 << 100, size=2**21))[0] == asked


async def test_a_peer_is_worth_the_cells_that_it_brings_and_no_others() -> None:
    pool, transaction = pool_of(prover=Seals()), blob_transaction()
    without, holder = Holder(transaction), Holder(transaction)
    without.answer_cells = lambda *_: ([], [], 0)
    async with scripted(pool, without, holder):
        await without.announce_all(pool)
        await trio.sleep(1)
        assert without.asked_cells
        await holder.announce_all(pool)
        await trio.sleep(1)
        assert pool.get(transaction.hash) == transaction
        size = transaction.elided().size / 1024
        assert without.conduct.total.useful == pytest.approx(size, rel=0.01)
        assert holder.conduct.total.useful == 65 * 2
