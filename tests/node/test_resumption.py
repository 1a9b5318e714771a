"""Whole nodes that resume their sessions: who becomes known, who does not any more, and what two links at once come to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, Limits, Node, Peer, PrivateKey, PublicKey, Trust, TrustRemoved
from devp2p.node.sessions import Sessions
from devp2p.testing import MemoryTransport
from devp2p.transports.links import ByteLink
from devp2p.wire.dpx import Resumption
from tests.network import LARGE, SMALL, Network, running

DAY = 86400.0
NOW = 1e9


def resumption(node: Node) -> Resumption:
    assert node._local.dpx is not None
    assert node._local.dpx.resumption is not None
    return node._local.dpx.resumption


def set_clock(now: float, *nodes: Node) -> None:
    for node in nodes:
        resumption(node)._clock = lambda: now


@asynccontextmanager
async def opened(network: MemoryTransport, name: str, key: PrivateKey, now: float = NOW) -> AsyncIterator[Node]:
    async with running(network, name, key=key) as node:
        set_clock(now, node)
        yield node


async def meet(caller: Node, called: Node) -> tuple[Peer, Peer]:
    """Have a session, and end it; how each side saw the other."""
    ours = await caller.connect(called.record)
    await wait_all_tasks_blocked()
    (theirs,) = [peer for peer in called.connected if peer.public_key == caller.public_key]
    ours.disconnect()
    await ours.wait_ended()
    await wait_all_tasks_blocked()
    return ours, theirs


async def make_known(one: Node, other: Node) -> None:
    await meet(one, other)
    set_clock(NOW + DAY, one, other)
    assert {peer.trust for peer in await meet(other, one)} == {Trust.KNOWN}


async def test_two_nodes_that_meet_again_after_a_day_know_each_other():
    network = Network()
    async with opened(network, "one", SMALL) as one, opened(network, "other", LARGE) as other:
        first = await meet(one, other)
        assert {(peer.trust, peer.profile.mode) for peer in first} == {(Trust.STRANGER, "plain")}
        set_clock(NOW + DAY, one, other)
        for peer in await meet(other, one):
            assert (peer.trust, peer.profile.mode, peer.profile.generation) == (Trust.KNOWN, "resumed", 2)
            assert "resume" in peer.profile.features
            assert str(peer.profile).endswith("resumed, generation 2)")
        for node in (one, other):
            (kept,) = resumption(node)._known.values()
            assert [len(lineage.generations) for lineage in kept.lineages] == [1], "each has told the other that it keeps the new secret"


async def test_a_node_that_lost_what_it_kept_is_a_stranger_and_users_are_told(caplog: pytest.LogCaptureFixture):
    network = Network()
    async with opened(network, "one", SMALL) as one:
        async with opened(network, "other", LARGE) as other:
            await make_known(one, other)
        events = one.events()
        async with opened(network, "again", LARGE, NOW + DAY) as other:
            ours, _ = await meet(one, other)
            assert ours.trust is Trust.STRANGER
            removed = await news(events)
            assert removed.public_key == LARGE.public_key
            assert "lost what it kept" in removed.why
            assert "forgotten" in removed.done
            assert "is trusted no more" in caplog.text


async def test_who_comes_with_a_known_nodes_key_only_is_a_stranger_and_the_real_one_stays_known():
    network = Network()
    async with opened(network, "one", SMALL) as one, opened(network, "other", LARGE) as other:
        await make_known(one, other)
        events = other.events()
        async with opened(network, "thief", SMALL, NOW + DAY) as thief:
            _, theirs = await meet(thief, other)
            assert theirs.trust is Trust.STRANGER
        assert (await news(events)).public_key == SMALL.public_key
        assert {peer.trust for peer in await meet(one, other)} == {Trust.KNOWN}


async def test_who_has_a_known_nodes_key_only_does_not_end_its_session():
    network = Network()
    async with opened(network, "one", SMALL) as one, opened(network, "other", LARGE) as other:
        await make_known(one, other)
        known = await other.connect(one.record)
        assert known.trust is Trust.KNOWN
        async with opened(network, "thief", SMALL, NOW + DAY) as thief:
            stranger = await thief.connect(other.record)  # the smaller key has dialled this link, and the larger one the other
            with trio.fail_after(10):
                await stranger.wait_ended()
            assert other.connected == (known,)


async def news(events: AsyncIterator[object]) -> TrustRemoved:
    with trio.fail_after(60):
        while not isinstance(event := await anext(events), TrustRemoved):
            pass
    return event


async def dial_each_other(one: Node, other: Node) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.connect, other.record)
        nursery.start_soon(other.connect, one.record)
    await wait_all_tasks_blocked()


async def test_two_that_dial_each_other_at_once_keep_the_same_link_at_once_and_their_trust():
    network = Network()
    async with opened(network, "one", SMALL) as one, opened(network, "other", LARGE) as other:
        await make_known(one, other)
        lost = one.events(), other.events()
        for number in range(10):
            before = trio.current_time()
            await dial_each_other(one, other)
            assert trio.current_time() - before < 1, "nobody waits for the other's choice"
            (ours,), (theirs,) = one.connected, other.connected
            assert (ours.inbound, theirs.inbound) == (False, True), "the one with the smaller key has dialled it"
            ours.disconnect()
            await theirs.wait_ended()
            await wait_all_tasks_blocked()
            set_clock(NOW + DAY + 700 * number, one, other)
        assert {peer.trust for peer in await meet(one, other)} == {Trust.KNOWN}
        for events in lost:
            assert not [event for event in events._events if isinstance(event, TrustRemoved)]


async def test_control_if_each_waited_for_the_others_choice_it_would_take_seconds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Sessions, "_have_crossed", lambda *_: False)
    network = Network()
    async with opened(network, "one", SMALL) as one, opened(network, "other", LARGE) as other:
        times: set[bool] = set()
        for _ in range(4):
            before = trio.current_time()
            await dial_each_other(one, other)
            (ours,) = one.connected
            times.add(trio.current_time() - before < 1 and not ours.inbound)
            ours.disconnect()
            await ours.wait_ended()
            await wait_all_tasks_blocked()
        assert False in times


class Second(MemoryTransport):
    """Lets a link that the smaller key dials come second."""

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
        link = await super().dial(address, expect=expect)
        if expect == LARGE.public_key:
            await trio.sleep(0.01)  # so long nothing else is left to do
        return link


@pytest.mark.parametrize("patience", [0.0, 2.0])
async def test_who_called_second_and_is_kept_has_the_session_and_the_place_that_it_wished_for(patience: float):
    network, limits = Second(), Limits(duplicate_wait=patience)
    async with running(network, "one", key=SMALL, limits=limits) as one, running(network, "other", key=LARGE, limits=limits) as other:
        await dial_each_other(one, other)
        (ours,), (theirs,) = one.connected, other.connected
        assert (ours.inbound, theirs.inbound) == (False, True)
        assert one.policy._census.wished == {LARGE.public_key.node_id}
        assert not one.policy._census.wishes
        theirs.disconnect()
        await ours.wait_ended()
        await wait_all_tasks_blocked()
        assert not one.policy._census.wished


class Spoilt(MemoryTransport):
    """Changes the end of what comes first over a link that is dialled, while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.spoils = 0
        self.dials = 0

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
        self.dials += 1
        link = await super().dial(address, expect=expect)
        if self.spoils:
            self.spoils -= 1
            receive, first = link.stream.receive_some, [True]

            async def receive_some(most: int | None = None) -> bytes | bytearray:
                data = await receive(most)
                if first and data:
                    first.clear()
                    data = data[:-1] + bytes([data[-1] ^ 1])
                return data

            link.stream.receive_some = receive_some  # type: ignore[method-assign, assignment]
        return link


async def test_a_first_record_that_is_not_authentic_makes_a_second_dial_at_once_without_secrets():
    network = Spoilt()
    async with opened(network, "one", SMALL) as one, opened(network, "other", LARGE) as other:
        await make_known(one, other)
        network.spoils, before = 1, network.dials
        ours, theirs = await meet(one, other)
        assert network.dials == before + 2
        assert (ours.profile.mode, ours.trust, theirs.trust) == ("plain", Trust.STRANGER, Trust.STRANGER)
        assert "may be on the way" in ours.profile.why
        assert {peer.trust for peer in await meet(one, other)} == {Trust.KNOWN}, "nothing was forgotten"
