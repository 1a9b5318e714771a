"""Nodes from a source of the user's own, which `open_node` is given as `candidates`."""

from collections.abc import AsyncIterator

import trio

from devp2p import Address, NodeRecord, PeerConnected, PrivateKey
from devp2p.node.steering import BETWEEN_NEWS
from devp2p.peers.candidates import POOL
from tests.chat import Chat
from tests.network import LARGE, SMALL, Network, running


async def test_nodes_that_nobody_wants_do_not_hold_up_a_source_when_there_are_many_candidates() -> None:
    class Picky(Chat):
        def wants(self, record: NodeRecord) -> bool:
            return record.addresses[0].host.startswith("good")

    given: list[float] = []

    async def source() -> AsyncIterator[NodeRecord]:
        for host in (*(f"good{number}" for number in range(POOL)), *["bad"] * 20, "good"):
            await trio.lowlevel.checkpoint()
            given.append(trio.current_time())
            yield NodeRecord(PrivateKey.generate().public_key, (Address("memory", host),))
        over.set()
        await trio.sleep_forever()

    over = trio.Event()
    async with running(Network(), capabilities=[Picky()], candidates=source()) as node:
        await over.wait()
        assert len(node.policy.candidates.pool) == POOL
        assert given[-1] - given[0] < 2 * BETWEEN_NEWS


async def test_a_source_is_closed_when_the_node_ends_also_if_it_is_not_asked_just_then() -> None:
    ends: list[str] = []

    async def source() -> AsyncIterator[NodeRecord]:
        try:
            for number in range(POOL + 1):
                yield NodeRecord(PrivateKey.generate().public_key, (Address("memory", str(number)),))
        finally:
            ends.append("closed")

    async with running(Network(), candidates=source()) as node:
        await trio.sleep(BETWEEN_NEWS / 2)
        assert len(node.policy.candidates.pool) == POOL
        assert not ends
    assert ends == ["closed"]


async def test_nodes_of_a_source_of_ones_own_are_dialled_as_slots_want_them() -> None:
    network = Network()
    found, nodes = trio.open_memory_channel[NodeRecord](2)
    async with (
        running(network, "other", key=SMALL) as other,
        running(network, "itself", key=LARGE, capabilities=[], max_peers=0) as elsewhere,
        running(network, "seeking", candidates=nodes) as node,
    ):
        events = node.events()
        await found.send(elsewhere.record)
        await found.send(other.record)
        async for event in events:
            if isinstance(event, PeerConnected):
                break
        assert [peer.public_key for peer in node.connected] == [other.public_key]
        assert [known.source for known in node.policy.candidates.pool] == ["own", "own"]
