"""The chain of go-ethereum's conformance suites in a chain file: all of it fits, and states are answered as the suites want them.

The counts and hashes are those of cmd/devp2p/internal/ethtest/snap.go, v1.17.8.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from devp2p import keccak256
from devp2p.capabilities.ethereum.blocks import Header
from devp2p.capabilities.ethereum.store import SqliteChain
from devp2p.cli import main
from tests.interop.chains import LENGTH, Exported, elements, items

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]

FIRST, LAST = bytes(32), b"\xff" * 32
PLENTY = 2**21
ACCESS_LISTS = 565
"""Of the blocks from Amsterdam on."""
CONTRACT = bytes.fromhex("8bebc8ba651aee624937e7d897853ac30c95a067")


@pytest.fixture
def path(exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    database = tmp_path / "chain.db"
    states = [part for number, dump in exported.states.items() for part in ("--state", f"{number}={dump}")]
    files = ["--receipts", str(exported.receipts), "--bals", str(exported.access_lists), *states]
    assert main(["chain", "import", str(database), "--genesis", str(exported.genesis), str(exported.blocks), *files, "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    transacting = sum(len(elements(elements(item)[1])) > 0 for item in items(exported.blocks.read_bytes()))
    assert told["imported"] == {"blocks": LENGTH, "receipts": transacting, "access_lists": ACCESS_LISTS, "states": 3}
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
