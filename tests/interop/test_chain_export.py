"""What go-ethereum makes of the chain of its suites: all of it is exported, in the form that geth/README.md says."""

import json

import pytest

from devp2p import keccak256, rlp
from tests.interop.chains import LENGTH, Exported, elements, fetched, items, serving, suite_files

pytestmark = [pytest.mark.interop]

STATE_ROOT, ACCESS_LIST_HASH = 3, 21
"""Which fields of a header these are; the latter is EIP-7928's."""


@pytest.mark.real_clock
async def test_go_ethereum_fetches_the_chain_from_itself(exported: Exported):
    """What tests and benchmarks compare this library with works, and finds nothing wrong."""
    kinds = ("headers", "bodies", "receipts", "bals", "accounts")
    async with serving(exported) as go:
        listening = await go.event("listening")
        brought = await fetched(exported.genesis, listening["enode"], kinds)
    assert (brought["status"]["version"], brought["status"]["hash"]) == (72, listening["hash"])
    assert [brought[kind]["items"] for kind in kinds] == [LENGTH, LENGTH, LENGTH, LENGTH, 48]


def test_every_block_has_its_receipts(exported: Exported):
    receipts = [elements(item) for item in items(exported.receipts.read_bytes())]
    blocks = [elements(item) for item in items(exported.blocks.read_bytes())]
    assert [rlp.decode(of) for of, _ in receipts] == [keccak256(block[0]) for block in blocks]
    counts = [len(elements(listed)) for _, listed in receipts]
    assert counts == [len(elements(block[1])) for block in blocks]
    assert all(len(elements(receipt)) == 4 for _, listed in receipts for receipt in elements(listed))
    assert max(len(listed) for _, listed in receipts) > 10 * 1024 * 1024  # what GetLargeReceipts of the suite is about


def test_every_block_from_amsterdam_on_has_its_access_list(exported: Exported):
    headers = [elements(item)[0] for item in items(exported.blocks.read_bytes())]
    promised = {keccak256(header): elements(header)[ACCESS_LIST_HASH:][:1] for header in headers}
    found = {rlp.decode(of): [rlp.encode(keccak256(listed))] for of, listed in map(elements, items(exported.access_lists.read_bytes()))}
    assert found == {block: expected for block, expected in promised.items() if expected}
    assert len(found) > LENGTH // 2


def test_the_states_are_those_of_their_blocks(exported: Exported):
    headers = [elements(item)[0] for item in items(exported.blocks.read_bytes())]
    dumps = {number: json.loads(path.read_text()) for number, path in exported.states.items()}
    assert dumps.keys() == {LENGTH, LENGTH - 1, LENGTH - 64, LENGTH - 127}
    for number, dump in dumps.items():
        assert bytes.fromhex(dump["root"]) == rlp.decode(elements(headers[number - 1])[STATE_ROOT])
    assert dumps[LENGTH] == json.loads((suite_files() / "headstate.json").read_text())
