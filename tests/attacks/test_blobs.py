"""Row E3 of THREATS.md: blobs, cells and their proofs, which the hash of a transaction does not cover.

So whoever is first to bring a transaction could spoil it for those who bring it well, or have them blamed. Each name begins with its row.
A control runs the same attack with the defence disabled, and there it must succeed.
"""

from dataclasses import replace
from random import Random

import pytest
import trio

from devp2p.capabilities.eth.pool import TransactionPool, fetching
from devp2p.capabilities.eth.pool.fetching import Fetcher
from devp2p.capabilities.eth.pool.sidecars import Sidecars
from devp2p.capabilities.ethereum.blocks import Transaction
from tests.capabilities.pool.seals import Seals, blob_transaction, cells_answer
from tests.capabilities.pool.test_blobs import Holder
from tests.capabilities.pool.worlds import pool_of, scripted

GOOD = blob_transaction()


def sidecar(transaction: Transaction, **changes: object) -> Transaction:
    assert transaction.sidecar is not None
    return transaction.with_sidecar(replace(transaction.sidecar, **changes))  # type: ignore[arg-type]


def with_bad_proofs(transaction: Transaction) -> Transaction:
    return sidecar(transaction, proofs=tuple(Random(1).randbytes(48) for _ in range(128)))


def without_cell_proofs(transaction: Transaction) -> Transaction:
    return sidecar(transaction, version=0, proofs=(bytes(48),))


def with_bad_blobs(transaction: Transaction) -> Transaction:
    return sidecar(transaction, blobs=(bytes(131_072),))


class Spoiler(Holder):
    """Announces and brings a good transaction with another sidecar."""

    def __init__(self, spoilt: Transaction, version: int) -> None:
        super().__init__(spoilt, version=version)
        self.answer = lambda _: [(spoilt if version < 72 else spoilt.elided()).raw]
        self.answer_cells = None


async def spoil(spoilt: Transaction, version: int) -> tuple[TransactionPool, Spoiler, Holder]:
    """Let a spoiler be asked first, and an honest peer be there as well."""
    pool = pool_of(prover=Seals(), junk=1)
    spoiler, honest = Spoiler(spoilt, version), Holder(GOOD, version=version)
    async with scripted(pool, spoiler, honest):
        await spoiler.announce_all(pool)
        await trio.sleep(0.005)
        await honest.announce_all(pool)
        await trio.sleep(1)
        assert spoiler.asked == [[GOOD.hash]]
        await honest.announce_all(pool)
        await trio.sleep(10)
    return pool, spoiler, honest


SPOILT = pytest.mark.parametrize("version", [71, 72])


@SPOILT
async def test_e3_a_sidecar_of_the_old_kind_spoils_nothing_for_others(version):
    pool, spoiler, honest = await spoil(without_cell_proofs(GOOD), version)
    assert pool.get(GOOD.hash) == GOOD
    assert spoiler.faults > 0
    assert (honest.faults, honest.ended) == (0, None)


@SPOILT
async def test_e3_control_if_it_were_judged_as_the_transaction_it_would_be_refused_of_everybody(version, monkeypatch):
    monkeypatch.setattr(fetching, "is_usable", lambda _: True)
    pool, _, honest = await spoil(without_cell_proofs(GOOD), version)
    assert len(pool) == 0
    assert honest.faults == 2, "it is said to have lied about the size"


async def test_e3_wrong_proofs_are_held_against_whoever_brought_them():
    pool, spoiler, honest = await spoil(with_bad_proofs(GOOD), 72)
    assert spoiler.faults == 4
    assert (honest.faults, honest.ended) == (0, None)
    assert pool.get(GOOD.hash) == GOOD


async def test_e3_control_if_cells_were_not_held_against_the_commitment_the_honest_one_would_go(monkeypatch):
    async def none(*_: object) -> list[bytes]:
        return []

    monkeypatch.setattr(Sidecars, "_commitments", none)
    pool, spoiler, honest = await spoil(with_bad_proofs(GOOD), 72)
    assert "cells that are not those of their blobs" in str(honest.ended or spoiler.ended)
    assert len(pool) == 0


async def test_e3_wrong_blobs_end_the_session_and_the_next_announcer_is_asked():
    pool, spoiler, honest = await spoil(with_bad_blobs(GOOD), 71)
    assert "not those of its commitments" in str(spoiler.ended)
    assert (honest.faults, honest.ended, len(honest.asked)) == (0, None, 1)
    assert pool.get(GOOD.hash) == GOOD


async def test_e3_control_if_all_announcers_were_forgotten_at_once_nobody_would_be_asked(monkeypatch):
    monkeypatch.setattr(Fetcher, "_compare", lambda self, transaction, _: self.wanted.arrived(transaction.hash))
    pool = pool_of(prover=Seals())
    spoiler, honest = Spoiler(with_bad_blobs(GOOD), 71), Holder(GOOD, version=71)
    async with scripted(pool, spoiler, honest):
        await spoiler.announce_all(pool)
        await trio.sleep(0.005)
        await honest.announce_all(pool)
        await trio.sleep(60)
    assert honest.asked == []
    assert len(pool) == 0


@pytest.mark.parametrize("version", [71, 72])
async def test_e3_control_if_nothing_were_verified_junk_would_be_kept(version, monkeypatch):
    async def yes(*_: object) -> bool:
        return True

    monkeypatch.setattr(Seals, "verify_cells", yes)
    pool = pool_of(prover=Seals())
    spoiler = Spoiler(with_bad_blobs(GOOD), version)
    spoiler.answer_cells = lambda hashes, columns: (hashes, [[bytes(2048)] * columns.bit_count()], columns)
    async with scripted(pool, spoiler):
        await spoiler.announce_all(pool)
        await trio.sleep(2)
        assert pool.get(GOOD.hash) not in {None, GOOD}


async def test_e3_cells_that_are_not_true_end_the_session_and_are_not_kept():
    pool, spoiler = pool_of(prover=Seals()), Spoiler(GOOD, 72)
    spoiler.answer_cells = lambda hashes, columns: (hashes, [[bytes(2048)] * columns.bit_count()], columns)
    async with scripted(pool, spoiler):
        await spoiler.announce_all(pool)
        await trio.sleep(2)
        assert "cells that are not those of their blobs" in str(spoiler.ended)
        assert len(pool) == 0


BOUND = 600_000


async def waiting_for_cells() -> tuple[int, bool]:
    """Let peers bring all but one of the cells of many transactions, and one peer another transaction; what is held, and if that comes."""
    pool = pool_of(prover=Seals(), cells_bytes=BOUND)
    greedy = [blob_transaction(number, 1, number) for number in range(2, 20)]
    honest, holders = Holder(GOOD), [Holder(*greedy[:9]), Holder(*greedy[9:])]
    for holder in holders:
        holder.answer_cells = lambda hashes, columns: cells_answer(greedy, hashes, columns & (2**40 - 1))
    most = 0
    async with scripted(pool, honest, *holders):
        for _ in range(4):
            for holder in holders:
                await holder.announce_all(pool)
            await trio.sleep(1)
            most = max(most, sum(each.footprint for each in pool._sidecars._waiting.values()))
        await honest.announce_all(pool)
        await trio.sleep(2)
        return most, GOOD.hash in pool


async def test_e3_who_brings_most_that_has_to_wait_gives_way():
    held, came = await waiting_for_cells()
    assert BOUND / 2 < held <= BOUND
    assert came


async def test_e3_control_without_that_it_grows_with_all_that_is_brought(monkeypatch):
    monkeypatch.setattr(Sidecars, "_keep_within", lambda _: None)
    held, _ = await waiting_for_cells()
    assert held > 2 * BOUND


async def test_e3_control_if_newcomers_gave_way_others_would_not_be_heard(monkeypatch):
    def the_last_goes(self: Sidecars) -> None:
        while sum(each.footprint for each in self._waiting.values()) > BOUND:
            self.forget(next(reversed(self._waiting)))

    monkeypatch.setattr(Sidecars, "_keep_within", the_last_goes)
    _, came = await waiting_for_cells()
    assert not came
