"""Rows X5, X10 and X11 of THREATS.md: frames that break the rules of credit, messages that are too large, capabilities that hold up others.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import random
from collections.abc import Awaitable, Callable

import pytest
import trio

from devp2p import Channel, DisconnectReason, Limits, Peer
from devp2p.wire.dpx import Contexts, Params, control
from devp2p.wire.dpx.control import CONNECTION, TOO_BIG, Delta, GoAway, Release, Reset
from tests.attacks.dpx_raw import FRAME, Raw, asleep, attacked, blob
from tests.chat import ChatMessage, Hint, Say, chat, collect
from tests.wires import WIRES

OURS = Params()
NOISE = random.Random(9).randbytes(1000)
Deed = Callable[[Raw], Awaitable[None]]


# X5: what breaks the rules of credit


async def beyond_credit(raw: Raw) -> None:
    for _ in range(OURS.capability_window // FRAME + 1):
        await raw.frame(blob(FRAME, declared=100_000))


async def too_many_contexts(raw: Raw) -> None:
    for context in range(1, OURS.contexts + 2):
        await raw.frame(blob(600), context=context, total=1000)


async def too_much_announced(raw: Raw) -> None:
    await raw.frame(blob(600), context=1, total=OURS.reassembly + 1)


async def too_much_announced_together(raw: Raw) -> None:
    for context in (1, 2):
        await raw.frame(blob(600, declared=12 * 2**20), context=context, total=9 * 2**20)


async def a_context_twice(raw: Raw) -> None:
    for _ in range(2):
        await raw.frame(blob(600), context=1, total=1000)


async def no_such_context(raw: Raw) -> None:
    await raw.frame(bytes(600), context=1)


async def more_than_announced(raw: Raw) -> None:
    await raw.frame(blob(600), context=1, total=1000)
    await raw.frame(bytes(401), context=1)


async def all_in_the_first(raw: Raw) -> None:
    await raw.frame(blob(600), context=1, total=600)


async def of_nobody(raw: Raw) -> None:
    await raw.frame(blob(600), capability=2, context=1, total=1000)


async def of_the_base_protocol(raw: Raw) -> None:
    await raw.frame(blob(600), capability=0, context=1, total=1000)


async def control_in_chunks(raw: Raw) -> None:
    await raw.frame(control.encode(Delta(1, 1)), capability=CONNECTION, context=1, total=1000)


async def nothing(raw: Raw) -> None:
    await raw.frame(b"")


async def overflow(raw: Raw) -> None:
    await raw.tell(Delta(1, 2**31 - 1))


async def release_of_nothing(raw: Raw) -> None:
    await raw.tell(Release(1, 1))


async def refusal_of_nothing(raw: Raw) -> None:
    await raw.tell(Reset(1, 1, TOO_BIG))


DEEDS: list[Deed] = [
    beyond_credit,
    too_many_contexts,
    too_much_announced,
    too_much_announced_together,
    a_context_twice,
    no_such_context,
    more_than_announced,
    all_in_the_first,
    of_nobody,
    of_the_base_protocol,
    control_in_chunks,
    nothing,
    overflow,
    release_of_nothing,
    refusal_of_nothing,
]


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
async def test_x5_each_rule_that_is_broken_ends_the_session_and_what_was_held_is_free(deed: Deed):
    async with attacked(chat(asleep)) as (node, raw):
        await deed(raw)
        await raw.hear()
        assert raw.told[-1] == GoAway(DisconnectReason.PROTOCOL_BREACH)
        assert raw.reason == DisconnectReason.PROTOCOL_BREACH
        await raw.peer.wait_ended()
        assert raw.end is not None
        assert raw.end.reason == DisconnectReason.PROTOCOL_BREACH
        assert node._local.budget.used == 0  # type: ignore[union-attr]


async def announce_and_send(count: int, size: int) -> int:
    """Begin so many messages of 128 KiB, and send so much of each: what of it is held at most."""
    async with attacked() as (_, raw):
        most = 0
        for context in range(1, count + 1):
            await raw.frame(blob(FRAME, declared=100_000), context=context, total=128 * 1024)
            for _ in range(size // FRAME - 1):
                await raw.frame(bytes(FRAME), context=context)
            if raw.end is not None:
                break
            most = max(most, raw.ledgers.receiving.held)
        return most


async def test_x5_a_peer_has_as_many_messages_on_their_way_as_we_have_said():
    assert await announce_and_send(80, 2 * FRAME) == OURS.contexts * 2 * FRAME


async def test_x5_control_who_counts_nothing_holds_whatever_comes(monkeypatch):
    class Trusting(Contexts):
        def first(self, capability: int, context: int, total: int, data: bytes | memoryview, now: float) -> bool:
            self._counts = [0] * len(self._counts)
            self._reserved = [0] * len(self._reserved)
            return super().first(capability, context, total, data, now)

    monkeypatch.setattr("devp2p.wire.dpx.ledgers.Contexts", Trusting)
    assert await announce_and_send(80, 2 * FRAME) == 80 * 2 * FRAME


# X10: messages that are larger than their kind may be


async def send_too_large() -> tuple[int, list[object], bool]:
    """Send a message that says it inflates to 16 MiB, of a kind that may have 12: what is held, what was answered, is it over."""
    async with attacked() as (_, raw):
        most = 0
        await raw.frame(blob(FRAME, declared=16 * 2**20), context=1, total=2**20)
        for _ in range(20):
            await raw.frame(bytes(FRAME), context=1)
            most = max(most, raw.ledgers.receiving.held)
        await raw.hear()
        return most, [told for told in raw.told if not isinstance(told, Delta)], raw.end is not None


async def test_x10_a_message_that_declares_too_much_is_refused_before_it_is_held():
    assert await send_too_large() == (0, [Reset(1, 1, TOO_BIG)], False)


async def test_x10_control_who_judges_when_it_is_whole_holds_it(monkeypatch):
    judged = Contexts._judge
    monkeypatch.setattr(Contexts, "_judge", lambda *frame: judged(*frame) or True)
    held, _, _ = await send_too_large()
    assert held == 21 * FRAME


async def test_x10_a_peer_that_goes_on_with_a_refused_message_harms_itself_alone():
    """What it sends is dropped and credited, until the announced total has come; then the context is free again."""
    async with attacked() as (_, raw):
        await raw.frame(blob(FRAME, declared=16 * 2**20), context=1, total=4 * FRAME)
        for _ in range(3):
            await raw.frame(bytes(FRAME), context=1)
        await raw.hear()
        assert raw.told == [Reset(1, 1, TOO_BIG), Release(1, 1)]
        await raw.frame(blob(600, declared=1000), context=1, total=1000)
        assert raw.end is None
        await raw.frame(bytes(401), context=1)
        await raw.hear()
        assert raw.reason == DisconnectReason.PROTOCOL_BREACH


# X11: a capability that is flooded, and takes nothing


async def flood_a_sleeper(wire: str) -> tuple[list[str], bool]:
    """Send a capability that takes nothing whatever it may be sent, and say something to another: what that one got, is it over."""
    seen: list[ChatMessage] = []

    async def flood(_: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await channel.send(Hint(NOISE))

    async def speak(_: Peer, channel: Channel[ChatMessage]) -> None:
        for number in range(10):
            await trio.sleep(10)
            await channel.send(Say(str(number)))
        await trio.sleep_forever()

    left = [chat(flood, name="asleep"), chat(speak)]
    right = [chat(asleep, name="asleep"), chat(collect(seen))]
    async with WIRES[wire].two_nodes(left, right, limits=Limits(ping_interval=10**6), strict=False) as (_, other):
        peer = other.connected[0]
        await trio.sleep(110)
        return [message.text for message in seen if isinstance(message, Say)], peer.ended is not None


async def test_x11_a_capability_that_takes_nothing_holds_up_itself_alone():
    assert await flood_a_sleeper("dpx") == ([str(number) for number in range(10)], False)


async def test_x11_control_on_one_stream_without_credit_it_ends_the_session():
    heard, is_over = await flood_a_sleeper("rlpx")
    assert is_over
    assert len(heard) < 2
