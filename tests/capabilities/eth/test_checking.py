"""What is checked at once, and what by a thread."""

import threading

import pytest
import trio

from devp2p import rlp
from devp2p.capabilities.eth.answers import InvalidAnswer, bodies_of, receipts_of
from devp2p.capabilities.eth.checking import AT_ONCE, EACH, Checks, cost
from devp2p.capabilities.ethereum.blocks import Body
from tests.capabilities.memory_chain import MemoryChain


@pytest.mark.real_clock
async def test_what_costs_much_goes_to_a_thread_and_little_does_not():
    checks = Checks()
    assert await checks.run(AT_ONCE, threading.get_ident) == threading.get_ident()
    assert await checks.run(AT_ONCE + 1, threading.get_ident) != threading.get_ident()


@pytest.mark.parametrize(
    ("raw", "depth", "expected"),
    [
        (rlp.encode([b"a" * 300] * 10), 1, 3033),  # usual items: their bytes
        (rlp.encode([b""] * 100), 1, 100 * EACH),
        (rlp.encode([[b""] * 100, [], [b""] * 3]), 2, 106 * EACH),
        (rlp.encode([]), 1, 1),
        (b"\x80", 1, 1),
        (b"\xc5", 1, 1),
        (b"", 1, 0),
    ],
)
def test_tiny_items_cost_what_usual_ones_do(raw, depth, expected):
    assert cost(raw, depth) == expected


@pytest.mark.parametrize("depth", [1, 2])
def test_counting_ends_where_it_is_known_that_there_are_too_many(depth):
    raw = rlp.encode([[[]] * 60_000] * 4)
    raw = raw if depth == 2 else rlp.encode([[]] * 60_000)
    assert AT_ONCE < cost(raw, depth) < max(len(raw), 2 * AT_ONCE) + 1


@pytest.mark.real_clock
async def test_what_is_made_of_tiny_items_is_checked_by_a_thread(monkeypatch):
    """60,000 of them, in 60 kB, would hold the loop for a quarter of a second."""
    chain, in_threads = MemoryChain(1), []
    run_sync = trio.to_thread.run_sync

    async def counted(check, *arguments, **options):
        in_threads.append(check)
        return await run_sync(check, *arguments, **options)

    monkeypatch.setattr(trio.to_thread, "run_sync", counted)
    await bodies_of([chain.body_of(1)], chain.chain[1:])
    await receipts_of([rlp.encode_list(b"".join(chain.receipts_of(1)))], chain.chain[1:])
    assert not in_threads
    with pytest.raises(InvalidAnswer, match="not that of block 1"):
        await bodies_of([Body((b"\xc0",) * 1000).raw], chain.chain[1:])
    assert len(in_threads) == 2
    with pytest.raises(InvalidAnswer, match="a list of receipts that is none"):
        await receipts_of([rlp.encode([[]] * 1000)], chain.chain[1:])
    assert len(in_threads) == 4
