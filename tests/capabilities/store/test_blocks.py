"""What a chain file answers about blocks: those that were asked for, within the size, from one moment."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p.capabilities.ethereum.blocks import headers_fault
from devp2p.capabilities.ethereum.store import Importer, SqliteChain, StoreError, block_rows
from devp2p.capabilities.ethereum.store.database import Database
from tests.capabilities.chains import BuiltBlock, BuiltChain, build_chain

PLENTY = 2**21
MAIN = build_chain(12, 2)
SIDE = MAIN.branch(7, 3)
"""Leaves the chain behind block 7, and ends below its head."""

pytestmark = pytest.mark.real_clock


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("chain")
    found = MAIN.store(directory)
    (directory / "side.rlp").write_bytes(SIDE.chain_file(8))
    (directory / "side-bals.rlp").write_bytes(SIDE.access_lists_file(8))
    with Importer.open(found) as importer:
        assert importer.blocks(directory / "side.rlp") == 3
        assert importer.access_lists(directory / "side-bals.rlp") == 3
    return found


@pytest.fixture(scope="module")
def database(path: Path) -> Iterator[Database]:
    opened = Database.open(str(path))
    yield opened
    opened.close()


@pytest.fixture
def chain(path: Path) -> Iterator[SqliteChain]:
    with SqliteChain.open(path) as opened:
        yield opened


def known_headers(start: int | bytes, count: int, step: int) -> list[BuiltBlock]:
    """What the answer should be, by another way than the file's."""
    blocks = MAIN.blocks
    if isinstance(start, bytes):
        beside = next((block for block in SIDE.blocks[8:] if block.hash == start), None)
        if beside is not None:
            blocks, start = SIDE.blocks[: beside.header.number + 1] if step < 0 else (beside,), beside.header.number if step < 0 else 0
        else:
            start = next((block.header.number for block in MAIN.blocks if block.hash == start), 2**64)
    found: list[BuiltBlock] = []
    while 0 <= start < len(blocks) and len(found) < count:
        found.append(blocks[start])
        start += step
    return found


starts = st.one_of(
    st.integers(0, 20),
    st.sampled_from([2**63 - 1, 2**63, 2**64 - 1]),
    st.sampled_from([*MAIN.blocks, *SIDE.blocks]).map(lambda block: block.hash),
    st.binary(min_size=32, max_size=32),
)


@settings(max_examples=120)
@given(start=starts, count=st.integers(0, 15), skip=st.one_of(st.integers(0, 14), st.just(2**64 - 1)), reverse=st.booleans())
def test_headers_are_those_that_were_asked_for(database: Database, start: int | bytes, count: int, skip: int, reverse: bool):  # noqa: FBT001
    step = -skip - 1 if reverse else skip + 1
    expected = known_headers(start, count, step)
    assert block_rows.headers(database, start, count, step, PLENTY) == [block.header.raw for block in expected]
    assert headers_fault([block.header for block in expected], start, count, skip=skip, reverse=reverse) is None


async def test_headers_are_as_far_apart_as_asked(chain: SqliteChain):
    ahead = await chain.headers(1, 3, skip=2, reverse=False, size=PLENTY)
    back = await chain.headers(MAIN.blocks[9].hash, 9, skip=3, reverse=True, size=PLENTY)
    assert ahead == [MAIN.blocks[n].header.raw for n in (1, 4, 7)]
    assert back == [MAIN.blocks[n].header.raw for n in (9, 5, 1)]


async def test_what_is_asked_by_hash_comes_in_that_order_without_what_is_not_known(chain: SqliteChain):
    blocks = [MAIN.blocks[5], SIDE.blocks[9], MAIN.blocks[0], MAIN.blocks[5]]
    hashes = [blocks[0].hash, bytes(32), *(block.hash for block in blocks[1:]), b"short"]
    assert list(await chain.bodies(hashes, size=PLENTY)) == [block.body.raw for block in blocks]
    assert [list(found) for found in await chain.receipts([MAIN.blocks[n].hash for n in (3, 0, 12)], size=PLENTY)] == [
        list(MAIN.blocks[n].receipts) for n in (3, 0, 12)
    ]
    assert list(await chain.access_lists(hashes, size=PLENTY)) == [
        *(blocks[0].access_list, None),
        *(block.access_list for block in blocks[1:]),
        None,
    ]


async def test_receipts_end_before_the_first_block_that_has_none_here(chain: SqliteChain):
    hashes = [MAIN.blocks[4].hash, SIDE.blocks[8].hash, MAIN.blocks[5].hash]
    assert len(await chain.receipts(hashes, size=PLENTY)) == 1
    assert await chain.receipts([bytes(32), *hashes], size=PLENTY) == []


@pytest.mark.parametrize("method", ["bodies", "receipts", "access_lists"])
async def test_an_answer_is_no_larger_than_asked_but_for_its_first_item(chain: SqliteChain, method: str):
    hashes = [block.hash for block in MAIN.blocks[1:]]
    whole = await getattr(chain, method)(hashes, size=PLENTY)
    sizes = [len(item) if isinstance(item, bytes) else sum(map(len, item)) for item in whole]
    assert len(sizes) == 12
    for size in (0, 1, sizes[0], sizes[0] + sizes[1] - 1):
        assert list(await getattr(chain, method)(hashes, size=size)) == list(whole[:1])
    assert 2 <= len(await getattr(chain, method)(hashes, size=sum(sizes[:4]))) <= 4


async def test_headers_are_no_larger_than_asked_but_for_the_first(chain: SqliteChain):
    first, second = (len(block.header.raw) for block in MAIN.blocks[1:3])
    for size, count in ((0, 1), (first + second - 1, 1), (first + second, 2)):
        assert len(await chain.headers(1, 10, skip=0, reverse=False, size=size)) == count


async def test_the_head_moves_back_and_on_and_to_another_branch(chain: SqliteChain):
    async def by_number() -> list[bytes]:
        return list(await chain.headers(0, 100, skip=0, reverse=False, size=PLENTY))

    def raws(built: BuiltChain, until: int) -> list[bytes]:
        return [block.header.raw for block in built.blocks[: until + 1]]

    assert (chain.head.number, chain.head.hash, chain.head.timestamp) == (12, MAIN.head.hash, MAIN.head.header.timestamp)
    for built, number in ((MAIN, 4), (MAIN, 12), (SIDE, 10), (SIDE, 9), (MAIN, 8), (MAIN, 12)):
        head = await chain.set_head(built.blocks[number].hash)
        assert (head.number, head.hash) == (number, built.blocks[number].hash)
        assert await by_number() == raws(built, number)
    assert await chain.headers(MAIN.blocks[12].hash, 2, skip=0, reverse=True, size=PLENTY) == [
        MAIN.blocks[12].header.raw,
        MAIN.blocks[11].header.raw,
    ]


async def test_a_block_that_is_not_in_the_file_cannot_be_the_head(chain: SqliteChain):
    with pytest.raises(StoreError, match="has no block 0x0101"):
        await chain.set_head(b"\1" * 32)
    assert chain.head.number == 12


async def test_above_the_head_there_is_nothing_by_number(path: Path):
    with SqliteChain.open(path) as chain, SqliteChain.open(path) as other:
        await chain.set_head(MAIN.blocks[6].hash)
        assert other.head.number == 6  # another connection, as an import is
        assert await other.headers(7, 5, skip=0, reverse=False, size=PLENTY) == []
        assert await other.headers(9, 5, skip=0, reverse=True, size=PLENTY) == []
        assert len(await other.headers(MAIN.blocks[9].hash, 5, skip=0, reverse=True, size=PLENTY)) == 5
        await other.set_head(MAIN.head.hash)
        assert chain.head.number == 12


async def test_earliest_is_from_where_on_nothing_is_missing(tmp_path: Path):
    files = MAIN.write(tmp_path)
    late = tmp_path / "late.rlp"
    late.write_bytes(MAIN.receipts_file(6))
    with Importer.open(tmp_path / "db", MAIN.genesis) as importer, SqliteChain.open(tmp_path / "db") as chain:
        assert chain.head.earliest == chain.head.number == 0
        importer.blocks(files.chain)
        assert chain.head.earliest == 12
        importer.receipts(late)
        assert chain.head.earliest == 6
        importer.receipts(files.receipts)
        assert chain.head.earliest == 0


async def test_a_closed_chain_says_so(path: Path):
    chain = SqliteChain.open(path)
    chain.close()
    chain.close()
    with pytest.raises(StoreError, match="was closed"):
        await chain.bodies([], size=0)
    with pytest.raises(StoreError, match="was closed"):
        _ = chain.head


async def test_a_connection_that_another_thread_has_just_taken_is_not_missed(chain: SqliteChain):
    class JustTaken(list[Database]):
        """Not empty when one looks, and empty when one takes."""

        def __bool__(self) -> bool:
            return True

    chain._idle = JustTaken()
    assert len(await chain.headers(0, 3, skip=0, reverse=False, size=PLENTY)) == 3
