"""Blob transactions that cannot be had, proved or kept."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import trio

from devp2p import LocalProtocolError
from devp2p.capabilities.eth.pool import CellGroups
from devp2p.capabilities.ethereum import Account
from tests.capabilities.pool.seals import Seals, blob_transaction, cells_answer
from tests.capabilities.pool.test_blobs import Holder
from tests.capabilities.pool.worlds import LittleChain, pool_of, scripted, transfer


async def test_without_the_library_blob_transactions_are_refused_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    pool, transaction = pool_of(), blob_transaction()
    holder = Holder(transaction)
    async with scripted(pool, holder):
        await holder.announce_all(pool)
        await trio.sleep(2)
        assert not holder.asked
    with pytest.raises(LocalProtocolError, match=r"pip install 'trio-devp2p\[kzg\]'"):
        await pool.add(transaction)
    with pytest.raises(LocalProtocolError, match="ckzg"):
        await pool.warm_up()


async def test_blob_transactions_that_wait_are_bounded_and_forgotten() -> None:
    pool = pool_of(prover=Seals(), cells_by_peer=3, cells_for=50.0)
    transactions = [blob_transaction(number, 1, number) for number in range(5)]
    withholder = Holder(*transactions)
    withholder.answer_cells = None
    async with scripted(pool, withholder):
        await withholder.announce_all(pool)
        await trio.sleep(3)
        assert withholder.asked_cells
        assert len(pool._sidecars._waiting) == 3
        await trio.sleep(50)
        honest = Holder(transactions[4])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(honest.run, pool)
            await trio.lowlevel.checkpoint()
            await honest.announce_all(pool)
            await trio.sleep(2)
            assert list(pool._sidecars._waiting) == []
            assert transactions[4].hash in pool
            nursery.cancel_scope.cancel()


async def test_one_sender_is_in_one_of_both_pools() -> None:
    pool = pool_of(prover=Seals())
    await pool.add(blob_transaction(1, sender=0))
    await pool.add(transfer(1))
    with pytest.raises(LocalProtocolError, match="with blobs"):
        await pool.add(transfer(0, 1))
    with pytest.raises(LocalProtocolError, match="without blobs"):
        await pool.add(blob_transaction(2, sender=1, nonce=1))
    with pytest.raises(LocalProtocolError, match="to replace another"):
        await pool.add(blob_transaction(3, sender=0, tip=19, max_fee=300))
    dearer = blob_transaction(3, sender=0, tip=20, max_fee=220, max_blob_fee=200)
    await pool.add(dearer)
    assert dearer.hash in pool


class Broken(Seals):
    """A prover that fails by itself."""

    async def verify_cells(
        self, commitments: Sequence[bytes], columns: Sequence[int], cells: Sequence[bytes], proofs: Sequence[bytes]
    ) -> bool:
        raise LocalProtocolError(f"the process for KZG ended at {len(commitments), len(columns), len(cells), len(proofs)}")

    async def extend(self, blobs: Sequence[bytes]) -> list[list[bytes]]:
        raise LocalProtocolError(f"the process for KZG ended at {len(blobs)} blobs")


async def test_a_prover_that_fails_ends_no_session() -> None:
    pool, transaction = pool_of(prover=Broken()), blob_transaction()
    new, old = Holder(transaction), Holder(transaction, version=71)
    async with scripted(pool, new, old):
        await new.announce_all(pool)
        await trio.sleep(2)
        await old.announce_all(pool)
        await trio.sleep(60)
        assert new.asked_cells
        assert (len(pool), new.ended, old.ended, new.faults) == (0, None, None, 0)
    with pytest.raises(LocalProtocolError, match="refused: the process"):
        await pool.add(transaction)
    other = pool_of(prover=Seals())
    await other.add(transaction)
    other._sidecars._prover = Broken()
    assert await other.cells(new, [transaction.hash], 1 << 100, size=2**21) == ([], [], 0)
    assert await other.cells(new, [transaction.hash], 1 << 3, size=2**21) == cells_answer([transaction], [transaction.hash], 1 << 3)


async def test_a_transaction_that_waits_for_cells_may_come_whole() -> None:
    pool, transaction = pool_of(prover=Seals()), blob_transaction()
    silent = Holder(transaction)
    silent.answer_cells = None
    async with scripted(pool, silent):
        await silent.announce_all(pool)
        await trio.sleep(1)
        assert transaction.hash in pool._sidecars
        await pool.add(transaction)
        assert pool.get(transaction.hash) == transaction
        assert transaction.hash not in pool._sidecars


async def test_what_was_included_while_its_blobs_were_verified_is_not_kept() -> None:
    class Slow(Seals):
        async def verify_blobs(self, blobs: Sequence[bytes], commitments: Sequence[bytes], proofs: Sequence[bytes]) -> bool:
            await trio.sleep(5)
            return await super().verify_blobs(blobs, commitments, proofs)

    chain, transaction = LittleChain(), blob_transaction()
    pool, holder = pool_of(chain, prover=Slow()), Holder(transaction, version=71)
    async with scripted(pool, holder):
        await holder.announce_all(pool)
        await trio.sleep(2)
        sender = chain.all_accounts[transaction.sender]
        chain.advance({transaction.sender: replace(sender, nonce=1)})
        await pool.refresh()
        await trio.sleep(10)
        assert len(pool) == 0


async def test_a_state_that_hangs_does_not_keep_a_session_from_ending() -> None:
    class Hanging(LittleChain):
        hangs = False

        async def account(self, address: bytes) -> Account | None:
            if self.hangs:
                await trio.sleep(1000)
            return await super().account(address)

    chain, transaction = Hanging(), blob_transaction()
    pool, holder = pool_of(chain, prover=Seals()), Holder(transaction)
    cells = holder.answer_cells
    assert cells is not None

    def answer_cells(hashes: Sequence[bytes], columns: int) -> CellGroups:
        chain.hangs = True
        chain.advance()  # what was read is not known any more
        return cells(hashes, columns)

    holder.answer_cells = answer_cells
    began = trio.current_time()
    async with scripted(pool, holder):
        await holder.announce_all(pool)
        await trio.sleep(3)
        assert chain.hangs
    assert trio.current_time() < began + 30
