"""go-ethereum's nodes in our slots: rated, displaced by better ones with the right reason, dropped for bad conduct, and back again."""

from collections.abc import AsyncIterator

import pytest
import trio

from devp2p import Channel, DisconnectReason, Node, NodeRecord, Peer, PeerReady
from devp2p.discovery.candidates import Candidate
from devp2p.node.events import SlotDecision
from devp2p.peers.slots.values import Drop, Swap
from tests.interop.capabilities import Echoing, EchoMessage
from tests.interop.peers import PATIENCE, GethPeer, geth_peer

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("geth")]

PACE = 120.0  # tenure is two and a half seconds, and a tick a twelfth of one


class Choosy(Echoing):
    """Reports of each peer what a test says: a useful amount, or a severity below zero."""

    slots = 2

    def __init__(self) -> None:
        super().__init__()
        self.conduct: dict[bytes, float] = {}

    async def run(self, peer: Peer, channel: Channel[EchoMessage]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._report, peer, channel)
            await super().run(peer, channel)

    async def _report(self, peer: Peer, channel: Channel[EchoMessage]) -> None:
        while True:
            worth = self.conduct.get(bytes(peer.public_key), 0.0)
            if worth < 0:
                channel.conduct.invalid(round(-worth), "it lied")
            else:
                channel.conduct.useful(worth)
            await trio.sleep(0.1)


async def candidates(*peers: GethPeer) -> AsyncIterator[Candidate]:
    for peer in peers:
        yield Candidate(NodeRecord.parse(peer.enode), "v4")
    await trio.sleep_forever()


async def until_ready(node: Node, *peers: GethPeer) -> None:
    events, wanted = node.events(), {bytes(peer.public_key) for peer in peers}
    wanted -= {bytes(peer.public_key) for peer in node.connected if Choosy in peer}
    with trio.fail_after(PATIENCE):
        while wanted:
            event = await anext(events)
            if isinstance(event, PeerReady):
                wanted.discard(bytes(event.peer.public_key))


async def test_they_fill_slots_are_displaced_and_come_back(our_plain_node):
    choosy = Choosy()
    async with (
        geth_peer() as poor,
        geth_peer() as good,
        geth_peer() as unknown,
        our_plain_node(choosy, max_peers=3, pace=PACE) as node,
        trio.open_nursery() as nursery,
    ):
        node._steering._dials = True  # as with discovery
        us, events = node.public_key.node_id.hex(), node.events()
        choosy.conduct = {bytes(poor.public_key): 0.1, bytes(good.public_key): 5.0, bytes(unknown.public_key): 3.0}
        nursery.start_soon(node._steering.collect, candidates(poor, good))
        await until_ready(node, poor, good)
        await trio.sleep(1)
        slots = {peer.id: peer for peer in node.slots().peers}
        worse, better = (slots[bytes(NodeRecord.parse(peer.enode).id)].quantiles["echo"] for peer in (poor, good))
        assert worse < better
        nursery.start_soon(node._steering.collect, candidates(unknown))
        dropped = await poor.event("drop", peer=us)
        assert dropped["reason"] == DisconnectReason.TOO_MANY_PEERS
        await until_ready(node, unknown)
        swaps = [event.decision for event in events._events if isinstance(event, SlotDecision) and isinstance(event.decision, Swap)]
        assert "it is expected to be worth" in swaps[0].reason
        await poor.command("connect", enode=node.enode)
        await until_ready(node, poor)
        assert {bytes(peer.public_key) for peer in node.connected} == set(choosy.conduct)
        nursery.cancel_scope.cancel()


async def test_bad_conduct_is_answered_at_once_and_remembered(our_plain_node):
    choosy = Choosy()
    async with geth_peer() as hostile, our_plain_node(choosy, pace=PACE) as node:
        us, events = node.public_key.node_id.hex(), node.events()
        choosy.conduct = {bytes(hostile.public_key): -4.0}
        await hostile.command("connect", enode=node.enode)
        assert (await hostile.event("drop", peer=us))["reason"] == DisconnectReason.USELESS_PEER
        (drop,) = [event.decision for event in events._events if isinstance(event, SlotDecision)]
        assert isinstance(drop, Drop)
        assert "it lied" in drop.reason
        assert drop.ban == 12 * 3600
