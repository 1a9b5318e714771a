"""True proofs, by ckzg in its process. They cost seconds, so that `make simulation` runs them; test_blobs.py needs none."""

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import trio

from devp2p import LocalProtocolError
from devp2p.capabilities.eth.pool import kzg, kzg_worker
from devp2p.capabilities.ethereum.blocks import Sidecar, blob_hash_of
from tests.capabilities.pool.test_blobs import SAMPLE
from tests.capabilities.pool.worlds import Script, linked, pool_of, transfer

pytestmark = pytest.mark.real_clock
BLOB = b"\x00\x01" + bytes(131_070)


@pytest.fixture(scope="module")
def prover() -> Iterator[kzg.Kzg]:
    found = kzg.Kzg()
    yield found
    found.close()


@pytest.mark.simulation
async def test_cells_are_proved_refuted_and_recovered(prover: kzg.Kzg) -> None:
    (commitment,), proofs = await prover.seal([BLOB])
    ((*cells,),) = await prover.extend([BLOB])
    assert (len(cells), {len(cell) for cell in cells}, len(proofs)) == (128, {2048}, 128)
    assert b"".join(cells[:64]) == BLOB
    assert await prover.verify_blobs([BLOB], [commitment], proofs)
    assert not await prover.verify_blobs([bytes(131_072)], [commitment], proofs)
    columns = [3, 77, 127]
    own, its = [cells[column] for column in columns], [proofs[column] for column in columns]
    assert await prover.verify_cells([commitment] * 3, columns, own, its)
    assert not await prover.verify_cells([commitment] * 3, [3, 77, 126], own, its)
    assert not await prover.verify_cells([commitment] * 3, columns, [bytes(2048)] * 3, its)
    assert not await prover.verify_cells([b"\xff" * 48] * 3, columns, own, its)  # no point
    odd = list(range(1, 128, 2))
    assert await prover.recover(odd, [[cells[column] for column in odd]]) == [BLOB]
    with pytest.raises(LocalProtocolError, match="ckzg"):
        await prover.recover(odd[1:], [[cells[column] for column in odd[1:]]])


@pytest.mark.simulation
async def test_the_loop_goes_on_while_a_proof_is_computed(prover: kzg.Kzg) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await trio.sleep(0.005)
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn)
        await prover.start()
        turns = 0
        await prover.seal([BLOB])
        assert turns > 5  # ckzg holds Python's lock: in a thread of ours there would be none
        nursery.cancel_scope.cancel()


@pytest.mark.simulation
async def test_a_process_that_dies_is_an_error_and_the_next_call_starts_another() -> None:
    prover = kzg.Kzg()
    try:
        await prover.start()
        assert prover._process is not None
        os.kill(prover._process._popen.pid, signal.SIGKILL)
        with pytest.raises(LocalProtocolError, match="process for KZG ended"):
            await prover.start()
        await prover.start()
    finally:
        prover.close()


@pytest.mark.simulation
async def test_blobs_travel_between_pools_with_true_proofs(prover: kzg.Kzg) -> None:
    commitments, proofs = await prover.seal([BLOB])
    bare = transfer(type=3, blob_hashes=tuple(map(blob_hash_of, commitments)), max_blob_fee=100, gas_limit=100_000)
    transaction = bare.with_sidecar(Sidecar(1, (BLOB,), tuple(commitments), tuple(proofs)))
    pools = [pool_of(prover=prover, seed=seed, full_probability=0.0) for seed in range(4)]
    pools[3].set_custody(SAMPLE)
    async with linked(*pools, pairs=[(0, 1), (0, 2), (1, 3), (2, 3)]):
        await pools[0].add(transaction)
        with trio.move_on_after(60):
            while not all(transaction.hash in pool for pool in pools):  # noqa: ASYNC110  (a pool tells only peers)
                await trio.sleep(0.05)
    assert [pool.get(transaction.hash) for pool in pools] == [transaction] * 3 + [transaction.elided()]
    names, groups, columns = await pools[0].cells(Script(), [transaction.hash], 1 << 127 | 1, size=2**21)
    assert await prover.verify_cells(commitments * 2, [0, 127], groups[0], [proofs[0], proofs[127]])
    assert (names, columns) == ([transaction.hash], 1 << 127 | 1)


def test_a_setup_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    short = tmp_path / "trusted_setup.bin"
    short.write_bytes(Random(1).randbytes(1000))
    with pytest.raises(ValueError, match="has 1000 bytes, not 399456"):
        kzg_worker.load(short)


def test_the_setup_is_that_of_the_ceremony() -> None:
    """The points of go-ethereum's crypto/kzg4844/trusted_setup.json: g1_lagrange, g2_monomial, g1_monomial, one behind the other."""
    data = (Path(kzg.__file__).parent / "trusted_setup.bin").read_bytes()
    assert hashlib.sha256(data).hexdigest() == "608ac720ba55fc77f65d155391020fc5b0501db266a3e360e734d6c0db0dfae3"
