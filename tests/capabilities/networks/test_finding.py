"""Nodes of eth find those of their network, and leave others alone, on real sockets of this machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from devp2p import Entries, Node, NodeRecord, PrivateKey, Record, open_node
from devp2p.capabilities.eth import Eth, eth
from devp2p.capabilities.ethereum import GenesisChain
from devp2p.capabilities.ethereum.networks import NETWORKS, advertised_fork_id, serves_snap
from devp2p.capabilities.snap import Snap, snap
from tests.capabilities.snap.states import small_state
from tests.discovery.services import eventually

pytestmark = pytest.mark.real_clock


@asynccontextmanager
async def running(network: str, **options: Any) -> AsyncIterator[Node]:
    capabilities = eth(GenesisChain.public(network))
    async with open_node(PrivateKey.generate(), capabilities, listen=["tcp://127.0.0.1:0"], discovery=True, strict=True, **options) as node:
        yield node


async def test_a_node_dials_those_of_its_network_only():
    async with running("hoodi") as first, running("sepolia", bootnodes=[first.record]) as other:
        assert await eventually(lambda: _has_turned_away(other))
        async with running("hoodi", bootnodes=[first.record, other.record]) as second:
            async for peer in second.peers(Eth):
                assert peer.id == first.record.id
                assert peer[Eth].status.genesis == NETWORKS["hoodi"].genesis
                break
            assert not other.connected


async def test_the_record_of_a_node_has_its_fork_id():
    async with running("mainnet") as node:
        assert advertised_fork_id(node.record) == NETWORKS["mainnet"].fork_id(0, 0)


def test_snap_wants_what_eth_wants_and_says_that_it_is_there():
    chain, state = GenesisChain.public("hoodi"), small_state()
    ours, others = (_signed(eth(GenesisChain.public(name))[0].record_entries()) for name in ("hoodi", "sepolia"))
    both: list[Eth | Snap] = [*eth(chain), *snap(chain, state)]
    for one in both:
        assert one.wants(ours)
        assert not one.wants(others)
    assert {serves_snap(_signed(one.record_entries())) for one in snap(chain, state)} == {True}
    assert {serves_snap(_signed(one.record_entries())) for one in snap(chain, None)} == {False}


async def _has_turned_away(node: Node) -> bool | None:
    await trio.lowlevel.checkpoint()
    return node.statistics.turned_away["unwanted"] > 0 or None


def _signed(entries: Entries) -> NodeRecord:
    return NodeRecord.from_enr(Record.sign(PrivateKey.generate(), 1, entries))
