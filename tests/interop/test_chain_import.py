"""The chain of go-ethereum's conformance suites in a chain file: all of it fits, and states are answered as the suites want them.

The counts and hashes are those of cmd/devp2p/internal/ethtest/snap.go, v1.17.8.
"""

import subprocess
from pathlib import Path

import pytest

from devp2p import keccak256
from devp2p.capabilities.ethereum.blocks import Header
from devp2p.capabilities.ethereum.networks import load_genesis
from devp2p.capabilities.ethereum.store import Importer, Misfit, SqliteChain
from tests.interop.chains import LENGTH, Exported, elements, imported, items, suite_files
from tests.interop.geth_node import GETH

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]

FIRST, LAST = bytes(32), b"\xff" * 32
PLENTY = 2**21
ACCESS_LISTS = 565
"""Of the blocks from Amsterdam on."""
CONTRACT = bytes.fromhex("8bebc8ba651aee624937e7d897853ac30c95a067")


@pytest.fixture
def path(exported: Exported, tmp_path: Path) -> Path:
    database = tmp_path / "chain.db"
    told = imported(exported, database)
    transacting = sum(len(elements(elements(item)[1])) > 0 for item in items(exported.blocks.read_bytes()))
    assert told["imported"] == {
        "blocks": LENGTH,
        "receipts": transacting,
        "access_lists": ACCESS_LISTS,
        "states": len(exported.states),
    }
    assert (told["earliest"], told["receipts"]) == (0, LENGTH + 1)
    return database


async def test_every_block_is_served_with_all_that_hangs_on_it(exported: Exported, path: Path):
    blocks = [elements(item) for item in items(exported.blocks.read_bytes())]
    hashes = [keccak256(block[0]) for block in blocks]
    receipts = [elements(elements(item)[1]) for item in items(exported.receipts.read_bytes())]
    with SqliteChain.open(path) as chain:
        assert (chain.head.number, chain.head.hash) == (LENGTH, hashes[-1])
        assert await chain.headers(1, 1024, skip=0, reverse=False, size=PLENTY) == [block[0] for block in blocks]
        for number, hash_ in enumerate(hashes):
            [body] = await chain.bodies([hash_], size=0)
            [listed] = await chain.receipts([hash_], size=0)
            assert elements(body) == blocks[number][1:]
            assert list(listed) == receipts[number]
        found = await chain.access_lists(hashes, size=2**30)
        assert len([bal for bal in found if bal is not None]) == ACCESS_LISTS


async def test_states_are_answered_as_the_suite_of_snap_wants_them(path: Path):
    with SqliteChain.open(path) as chain:

        async def root_at(number: int) -> bytes:
            return Header.decode((await chain.headers(number, 1, skip=0, reverse=False, size=0))[0]).state_root

        head = await root_at(LENGTH)
        for size, count in ((4000, 48), (3000, 46), (2000, 32), (1, 1), (0, 1)):
            found = await chain.accounts(head, FIRST, LAST, size=size)
            assert found is not None
            assert len(found.leaves) == count
        assert await chain.accounts(await root_at(LENGTH - 127), FIRST, LAST, size=4000) is not None
        assert await chain.accounts(await root_at(0), FIRST, LAST, size=4000) is None
        nothing = await chain.accounts(head, LAST, FIRST, size=4000)
        assert nothing is not None
        assert not nothing.leaves
        slots = await chain.slots(head, [keccak256(CONTRACT)], FIRST, LAST, size=500)
        assert slots is not None
        assert [value for _, value in slots[0].leaves] == [b"\x02", b"\x01", b"\x03"]
        nodes = await chain.nodes(head, [[keccak256(CONTRACT), b"\0", b"\x1b"]], size=5000)
        assert [keccak256(node).hex()[:8] for node in nodes] == ["be3d75a1", "f4984a11"]
        [parent] = await chain.nodes(await root_at(LENGTH - 1), [[b"\0"], [b"\1", b"\0"]], size=5000)
        assert keccak256(parent) == await root_at(LENGTH - 1)


def test_what_geth_itself_exports_and_dumps_is_taken(tmp_path: Path):
    """Blocks, compressed, with the access lists in them, and a state of a geth that keeps preimages; and of one that does not, why not."""
    genesis, blocks = suite_files() / "genesis.json", suite_files() / "chain.rlp"
    exported, database = tmp_path / "exported.rlp.gz", tmp_path / "chain.db"

    def geth(name: str, *arguments: str) -> bytes:
        keeping = ["--cache.preimages"] if name == "keeping" else []
        command = [str(GETH), "--verbosity=0", f"--datadir={tmp_path / name}", "--state.scheme=hash", *keeping, *arguments]
        return subprocess.run(command, capture_output=True, check=True).stdout

    for name in ("keeping", "forgetting"):
        geth(name, "init", str(genesis))
        geth(name, "import", str(blocks))
        (tmp_path / f"{name}.json").write_bytes(geth(name, "dump", "--incompletes", str(LENGTH)))
    geth("keeping", "export", str(exported))
    with Importer.open(database, load_genesis(genesis)) as importer:
        assert importer.blocks(exported) == LENGTH
        assert importer.contents().access_lists == ACCESS_LISTS
        with pytest.raises(Misfit, match="have geth keep preimages"):
            importer.state(LENGTH, tmp_path / "forgetting.json")
        (tmp_path / "some.json").write_bytes(geth("forgetting", "dump", str(LENGTH)))
        with pytest.raises(Misfit, match="dump it with --incompletes"):
            importer.state(LENGTH, tmp_path / "some.json")
        assert importer.state(LENGTH, tmp_path / "keeping.json")
