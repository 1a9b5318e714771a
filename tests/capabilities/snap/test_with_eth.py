"""snap beside eth, over a chain file: what one node serves, the other fetches and proves."""

from typing import Any, cast

import pytest

from devp2p import LocalProtocolError, keccak256
from devp2p.capabilities.eth import Eth, eth
from devp2p.capabilities.ethereum import GenesisChain
from devp2p.capabilities.snap import Snap, snap, walk_accounts, walk_slots
from devp2p.testing import two_nodes
from tests.capabilities.chains import CONTRACT, build_chain

CHAIN = build_chain()


@pytest.mark.real_clock
async def test_a_node_fetches_the_whole_state_of_another_by_the_headers_that_it_got_from_it(tmp_path):
    with CHAIN.open(tmp_path) as chain:
        async with two_nodes([*eth(chain), *snap(chain, chain)], [*eth(chain), *snap(chain, chain)]) as (node, _):
            (peer,) = node.connected
            await peer.ready(Snap)
            (head,) = await peer[Eth].headers(peer[Eth].status.latest_hash, 1)
            accounts = dict([one async for one in walk_accounts([peer[Snap]], head.state_root)])
            assert {key: one.balance for key, one in accounts.items()} == {
                keccak256(address): holding.balance for address, holding in CHAIN.head.state.items()
            }
            contract = keccak256(CONTRACT)
            slots = [one async for one in walk_slots([peer[Snap]], head.state_root, contract, accounts[contract])]
            assert slots == sorted((keccak256(slot), value) for slot, value in CHAIN.head.state[CONTRACT].storage)
            codes = {holding.code for holding in CHAIN.head.state.values()}
            assert set((await peer[Snap].byte_codes({one.code_hash for one in accounts.values()})).values()) == codes
            headers = await peer[Eth].headers(1, 20)
            assert await peer[Snap].access_lists(headers) == tuple(block.access_list for block in CHAIN.blocks[1:])
            assert peer.conduct(Snap).useful > 0


@pytest.mark.real_clock
async def test_a_node_without_a_state_asks_others_and_brings_nothing(tmp_path):
    with CHAIN.open(tmp_path) as chain:
        only_asks = snap(chain, None)
        async with two_nodes([*eth(chain), *only_asks], [*eth(chain), *snap(chain, chain)]) as (node, other):
            (peer,), (back,) = node.connected, other.connected
            await peer.ready(Snap)
            root = CHAIN.head.header.state_root
            assert [key async for key, _ in walk_accounts([peer[Snap]], root)] == sorted(map(keccak256, CHAIN.head.state))
            await back.ready(Snap)
            assert await back[Snap].account_range(root) is None
            assert await back[Snap].byte_codes([keccak256(b"code")]) == {}
        assert [dict(one.record_entries()) for one in only_asks] == [{}, {}]


def test_what_is_no_state_is_refused_at_once():
    with pytest.raises(LocalProtocolError, match=r"a Genesis is no State: it lacks account, slots, codes, nodes, access_lists$"):
        snap(GenesisChain.of(CHAIN.genesis), cast("Any", CHAIN.genesis))


@pytest.mark.real_clock
async def test_nodes_of_different_chains_exchange_no_state(tmp_path):
    other = build_chain(accounts=3)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with CHAIN.open(tmp_path / "one") as chain, other.open(tmp_path / "other") as stranger:
        async with two_nodes([*eth(chain), *snap(chain, chain)], [*eth(stranger), *snap(stranger, stranger)]) as (node, _):
            for peer in node.connected:
                assert "first block" in (await peer.wait_ended()).detail
                assert Snap not in peer
