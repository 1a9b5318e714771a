"""A session goes on over another line while it runs: nothing is lost, nothing comes twice, nothing overtakes."""

import random
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import DisconnectReason, LocalProtocolError, PeerDisconnected
from devp2p.session.credit_line import CreditLine
from devp2p.session.egress import Egress
from devp2p.wire.dpx import control
from tests.chat import Blob
from tests.session.moving import (
    KINDS,
    another,
    is_closed,
    move_both,
    talking,
)


@pytest.mark.parametrize("new", KINDS)
@pytest.mark.parametrize("old", KINDS)
async def test_a_session_moves_in_mid_traffic_and_every_message_comes_once(old: str, new: str) -> None:
    async with talking(old) as (one, other, pair):
        await trio.sleep(0.5)
        assert 20 < one.said < 100
        heard = len(one.heard), len(other.heard)
        sessions = await another(new, (one, other))
        assert await move_both((one, other), sessions, apart=0.2) == [True, True]
        assert one.said < 180, "it was in mid-traffic"
        assert await is_closed(pair[0])
        assert await is_closed(pair[1])
        await trio.sleep(60)  # pings go over the new line
        assert one.heard == other.heard == list(range(200)), (heard, old, new)
        assert one.session.peer.latency is not None
        assert one.ended is other.ended is None


@pytest.mark.parametrize("seed", range(12))
async def test_it_may_move_several_times_at_any_time(seed: int) -> None:
    chance = random.Random(seed)
    async with talking(chance.choice(KINDS)) as (one, other, _):
        for end in (one, other):
            end.pace = lambda: chance.choice([0.0, 0.001, 0.05])
        for _ in range(chance.randrange(1, 5)):
            await trio.sleep(chance.uniform(0, 1))
            sessions = await another(chance.choice(KINDS), (one, other))
            assert await move_both((one, other), sessions, apart=chance.choice([0.0, 0.001, 0.3])) == [True, True]
        await trio.sleep(60)
        assert one.heard == other.heard == list(range(200)), f"seed {seed}"


@pytest.mark.parametrize("failing", ["before", "while one waits", "never asked"])
@pytest.mark.parametrize("old", KINDS)
async def test_if_the_new_link_fails_before_both_marks_the_old_one_is_kept(old: str, failing: str) -> None:
    async with talking(old) as (one, other, pair):
        await trio.sleep(0.5)
        sessions = await another("plain", (one, other))
        if failing == "before":
            await sessions[1].close()
            assert await one.session.move(sessions[0]) is False
        elif failing == "while one waits":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one.session.move, sessions[0])
                await trio.sleep(1)
                said = one.said
                await trio.sleep(1)
                assert one.said <= said + 1024, "what it says waits"
                await sessions[1].close()
        else:  # the other does not know of it
            assert await one.session.move(sessions[0]) is False
            with pytest.raises(PeerDisconnected):
                await sessions[1].wait_farewell()
        await sessions[1].close()
        assert not await is_closed(pair[0]) or old == "streams"
        await trio.sleep(60)
        assert one.heard == other.heard == list(range(200))
        assert one.ended is other.ended is None


async def test_after_a_move_that_failed_it_can_move_again() -> None:
    async with talking("rlpx") as (one, other, _):
        sessions = await another("rlpx", (one, other))
        await sessions[1].close()
        assert await one.session.move(sessions[0]) is False
        assert await move_both((one, other), await another("rlpx", (one, other))) == [True, True]
        await trio.sleep(60)
        assert one.heard == other.heard == list(range(200))


async def test_if_the_old_link_breaks_meanwhile_the_session_ends() -> None:
    async with talking("rlpx") as (one, other, pair):
        sessions = await another("rlpx", (one, other))
        async with trio.open_nursery() as nursery:

            async def move() -> None:
                with pytest.raises(PeerDisconnected):
                    await one.session.move(sessions[0])

            nursery.start_soon(move)
            await trio.sleep(0.1)
            await pair[1].aclose()
        await trio.sleep(3)
        assert one.ended is not None
        assert one.ended.reason is DisconnectReason.NETWORK_ERROR
        with pytest.raises(PeerDisconnected):
            await sessions[1].wait_farewell()
        await sessions[1].close()


async def test_a_session_of_somebody_else_or_a_second_move_is_refused() -> None:
    async with talking("rlpx") as (one, other, _):
        first, second = await another("rlpx", (one, other)), await another("rlpx", (one, other))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.session.move, first[0])
            await trio.sleep(0.1)
            with pytest.raises(LocalProtocolError, match="one at a time"):
                await one.session.move(second[0])
            await first[1].close()
        with pytest.raises(LocalProtocolError, match="same peer"):
            await one.session.move(second[1])  # that is a session of the other's, with us
        with pytest.raises(PeerDisconnected):
            await second[0].wait_farewell()
        await second[0].close()


async def test_a_peer_that_marks_a_last_message_and_goes_on_is_heard_on() -> None:
    async with talking("rlpx") as (one, other, _):
        one.session.outbox.pause()  # so it marks its last message, as if it moved
        await trio.sleep(0.1)
        one.session.outbox.resume()
        one.session._go_on.set()
        await trio.sleep(60)
        assert one.heard == other.heard == list(range(200))


@pytest.mark.parametrize("step", range(0, 40, 3))
async def test_a_move_that_is_cancelled_loses_nothing(step: int) -> None:
    async with talking("rlpx") as (one, other, _):
        await trio.sleep(0.3)
        sessions = await another("plain", (one, other))
        moved: list[bool] = []

        async def move() -> None:
            moved.append(await other.session.move(sessions[1]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(move)
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel_after, scope, step)
                moved.append(await one.session.move(sessions[0]))
        await trio.sleep(60)
        if one.ended is None:
            assert one.heard == other.heard == list(range(200))
        else:  # one side had both marks, and the other had given up
            assert {one.ended.reason, other.ended and other.ended.reason} == {DisconnectReason.NETWORK_ERROR}
            assert one.heard == list(range(len(one.heard)))
            assert other.heard == list(range(len(other.heard)))


async def cancel_after(scope: trio.CancelScope, steps: int) -> None:
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    scope.cancel()


LARGE = b"7".zfill(10) + random.Random(2).randbytes(8 * 2**20)


async def move_in_the_middle_of_a_large_message() -> tuple[list[bool], list[int]]:
    """Both move while a message of 8 MiB is on its way, which needs credit of a side that sends no message any more: whether they did."""
    async with talking("dpx", rounds=0) as (one, other, _):
        sessions = await another("dpx", (one, other))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.session.channel(0).send, Blob(LARGE))
            while not 0 < one.session.outbox.waiting(0)[1] < 7 * 2**20:  # part of it is on its way
                await trio.lowlevel.checkpoint()
            moved = await move_both((one, other), sessions)
        await trio.sleep(60)
        return moved, other.heard


async def test_who_moves_gives_credit_until_the_other_has_finished_its_message() -> None:
    assert await move_in_the_middle_of_a_large_message() == ([True, True], [7])


async def test_control_without_that_they_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    async def tell_nothing(_: CreditLine) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(CreditLine, "_tell", tell_nothing)
    assert await move_in_the_middle_of_a_large_message() == ([False, False], [7])


@pytest.mark.parametrize(
    ("takes", "says"), [(0.1, 0.05), (3.0, -0.05)], ids=["behind the farewell", "before it, for longer than closing may take"]
)
async def test_who_ends_while_it_moves_sends_with_one_task_at_a_time(monkeypatch: pytest.MonkeyPatch, takes: float, says: float) -> None:
    """There is credit to be given, at about the time of the farewell."""
    send, sending = Egress.send, [0, 0]

    async def slow(self: Egress, data: bytearray) -> None:
        if self is line._egress:
            sending[0] += 1
            sending[1] = max(sending)
            try:
                await trio.sleep(takes)
            finally:
                sending[0] -= 1
        await send(self, data)

    async with talking("dpx", rounds=0) as (one, other, _):
        sessions = await another("dpx", (one, other))
        line: Any = one.session._line

        async def move() -> None:
            with pytest.raises(PeerDisconnected):
                await one.session.move(sessions[0])

        async def tell() -> None:
            await trio.sleep(0.1 + says)
            line._dpx.pact.say(control.Committed())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(move)
            await wait_all_tasks_blocked()
            monkeypatch.setattr(Egress, "send", slow)
            nursery.start_soon(tell)
            await trio.sleep(0.1)
            one.session.end(PeerDisconnected(DisconnectReason.REQUESTED, by_remote=False))
        await trio.sleep(1)
    assert one.ended is not None
    assert sending == [0, 1]  # now, and at most
