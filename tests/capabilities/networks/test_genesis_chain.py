"""A chain of one block, and the first blocks of the public networks."""

import json
from pathlib import Path

import pytest

from devp2p.capabilities.ethereum import Chain, GenesisChain
from devp2p.capabilities.ethereum.blocks import Body, Header, access_list_fault, body_fault, receipts_fault
from devp2p.capabilities.ethereum.networks import FIRST_HEADERS, NETWORKS, Genesis

CASES = json.loads((Path(__file__).parents[2] / "vectors" / "genesis.json").read_text())["cases"]
MUCH = 2**20
UNKNOWN = b"\x55" * 32


def test_first_headers_have_the_published_hashes():
    assert {name: header.hash for name, header in FIRST_HEADERS.items()} == {name: network.genesis for name, network in NETWORKS.items()}
    for header in FIRST_HEADERS.values():
        assert Header.decode(header.raw) == header


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_all_that_there_is_of_a_first_block_fits_its_header(case):
    chain: Chain = GenesisChain.of(Genesis.parse(json.dumps(case["genesis"])))
    (raw,) = await chain.headers(0, 5, skip=0, reverse=False, size=MUCH)
    header = Header.decode(raw)
    (body,) = await chain.bodies([header.hash], size=MUCH)
    (receipts,) = await chain.receipts([header.hash], size=MUCH)
    (accesses,) = await chain.access_lists([header.hash], size=MUCH)
    assert body_fault(header, Body.decode(body)) is None
    assert receipts_fault(header, receipts) is None
    assert (accesses is None) == (header.access_list_hash is None)
    assert accesses is None or access_list_fault(header, accesses) is None
    assert (chain.head.number, chain.head.hash, chain.head.timestamp, chain.head.earliest) == (0, header.hash, header.timestamp, 0)


async def test_nothing_else_is_there():
    chain = GenesisChain.public("hoodi")
    own = chain.head.hash
    nowhere: list[tuple[int | bytes, int]] = [(1, 1), (UNKNOWN, 1), (0, 0), (own, 0)]
    for start, count in nowhere:
        assert await chain.headers(start, count, skip=0, reverse=True, size=MUCH) == ()
    assert list(await chain.headers(own, 3, skip=2**64 - 1, reverse=True, size=1)) == [chain.header.raw]
    assert len(await chain.bodies([UNKNOWN, own, UNKNOWN, own], size=MUCH)) == 2
    assert len(await chain.bodies([own] * 9, size=9)) == 2  # of four bytes each
    assert len(await chain.bodies([own] * 9, size=0)) == 1
    assert list(await chain.receipts([own, own, UNKNOWN, own], size=MUCH)) == [(), ()]
    assert list(await chain.access_lists([UNKNOWN, own], size=MUCH)) == [None, None]
    assert list(await chain.bodies([], size=MUCH)) == list(await chain.access_lists([], size=0)) == []


def test_what_is_no_such_network():
    with pytest.raises(ValueError, match="there is no public network 'main' here; they are mainnet, sepolia, hoodi, holesky"):
        GenesisChain.public("main")
    with pytest.raises(ValueError, match=r"^the network's first block is d4e5.*, and this header is of bbe3"):
        GenesisChain(NETWORKS["mainnet"], FIRST_HEADERS["hoodi"])
