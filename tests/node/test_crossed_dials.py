"""Two nodes that dial each other at once, where places are few: they keep one link, and count each other as dialled, whichever that is."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, Node, PublicKey
from devp2p.transports.links import ByteLink
from tests.network import LARGE, MIDDLE, SMALL, Network, running


class Late(Network):
    """Lets the links come late that lead to one node."""

    def __init__(self, late: PublicKey | None) -> None:
        super().__init__()
        self.late = late

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
        link = await super().dial(address, expect=expect)
        if expect == self.late:
            await trio.sleep(0.01)  # so long nothing else is left to do
        return link


async def dial_each_other(one: Node, other: Node) -> None:
    async def dial(node: Node, whom: Node) -> None:
        node.policy.candidates.begin_dial(whom.record)  # as for a place: a user's own dial would be protected
        await node._dialer.reach(whom.record)
        node.policy.candidates.dial_over(whom.record)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dial, one, other)
        nursery.start_soon(dial, other, one)
    await wait_all_tasks_blocked()


async def knock(caller: Node, called: Node) -> None:
    await caller.connect(called.record)  # a session on our side, until the other one refuses
    await wait_all_tasks_blocked()


def seen_by(node: Node, whom: Node) -> bool:
    """Whether a node counts another one as inbound."""
    (found,) = [peer.inbound for peer in node.slots().peers if peer.id == whom.record.id]
    return found


@pytest.mark.parametrize("late", [None, SMALL.public_key, LARGE.public_key])
@pytest.mark.parametrize("full", [SMALL, LARGE])
async def test_a_node_whose_inbound_places_are_taken_keeps_whom_it_dials_and_who_dials_it(full, late):
    for _ in range(2):
        network = Late(late)
        async with (
            running(network, "full", key=full, max_peers=2) as one,
            running(network, "other", key=SMALL if full is LARGE else LARGE) as other,
            running(network, "third", key=MIDDLE) as third,
        ):
            await knock(third, one)
            await dial_each_other(one, other)
            assert {peer.id for peer in one.connected} == {other.record.id, third.record.id}
            assert {peer.id for peer in other.connected} == {one.record.id}
            assert not seen_by(one, other), "one had a place for it only as for one that it has dialled"
            assert not one.policy._census._kept


@pytest.mark.parametrize("late", [None, SMALL.public_key, LARGE.public_key])
async def test_each_counts_as_dialled_by_the_other_whichever_link_is_kept(late):
    network = Late(late)
    async with running(network, "one", key=SMALL) as one, running(network, "other", key=LARGE) as other:
        await dial_each_other(one, other)
        (ours,), (theirs,) = one.connected, other.connected
        assert (ours.inbound, theirs.inbound) == (False, True)
        assert not seen_by(one, other)
        assert not seen_by(other, one)
        theirs.disconnect()
        await ours.wait_ended()
        await wait_all_tasks_blocked()
        await one.connect(other.record)
        await wait_all_tasks_blocked()
        assert seen_by(other, one), "this time it has not dialled"


async def test_nobody_gets_the_place_of_a_link_that_another_one_replaces():
    network = Network()
    async with running(network, "full", max_peers=1) as full, running(network, "peer", key=LARGE) as peer:
        theirs = await peer.connect(full.record)
        await wait_all_tasks_blocked()
        (ours,) = full.connected
        full.policy.keep_place(ours)
        theirs.disconnect()
        await ours.wait_ended()
        await wait_all_tasks_blocked()
        async with running(network, "third", key=SMALL) as third:
            await knock(third, full)
            assert not full.connected
            full.policy.give_place_back(peer.record.id)
            await knock(third, full)
            assert len(full.connected) == 1
