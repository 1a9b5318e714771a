"""Rows X5 and X7 of THREATS.md once more: any frames and control messages in any order, against a node that would not survive a mistake."""

import random
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from devp2p import Channel, DisconnectReason, Peer, rlp
from devp2p.wire import compression
from devp2p.wire.dpx.control import CONNECTION, Delta, Release, Reset, Weight
from tests.attacks.dpx_raw import BLOB, FRAME, SAY, attacked, blob
from tests.chat import Blob, ChatMessage, chat, serve

NOISE = random.Random(5).randbytes(50_000)
SMALL = rlp.encode(SAY) + bytes(compression.compress(rlp.encode(["hello"])))
LARGE = rlp.encode(BLOB) + bytes(compression.compress(rlp.encode([NOISE])))
contexts = st.integers(1, 3)
STEPS: st.SearchStrategy[tuple[Any, ...]] = st.one_of(
    st.tuples(st.just("frame"), st.just(SMALL), st.integers(0, 2), st.just(0), st.just(0)),
    st.tuples(st.just("frame"), st.just(LARGE[:FRAME]), st.just(1), contexts, st.just(len(LARGE))),
    st.tuples(st.just("frame"), st.just(LARGE[FRAME : 2 * FRAME]), st.just(1), contexts, st.just(0)),
    st.tuples(st.just("frame"), st.just(LARGE[2 * FRAME : 3 * FRAME]), st.just(1), contexts, st.just(0)),
    st.tuples(st.just("frame"), st.just(LARGE[3 * FRAME :]), st.just(1), contexts, st.just(0)),
    st.tuples(st.just("frame"), st.binary(max_size=5), st.integers(0, 2), st.integers(0, 2), st.integers(0, 9)).filter(
        lambda step: step[3] > 0 or not step[4]
    ),
    st.tuples(st.just("frame"), st.just(blob(600, declared=2**24)), st.just(1), contexts, st.just(5000)),
    st.tuples(st.just("tell"), st.builds(Delta, st.sampled_from([1, CONNECTION]), st.sampled_from([1, 20_000, 2**31 - 1]))),
    st.tuples(st.just("tell"), st.builds(Reset, st.just(1), contexts, st.integers(1, 4))),
    st.tuples(st.just("tell"), st.builds(Release, st.just(1), contexts)),
    st.tuples(st.just("tell"), st.builds(Weight, st.integers(1, 2), st.integers(1, 255))),
    st.tuples(st.just("wait"), st.sampled_from([1, 30, 70])),
)


async def talkative(peer: Peer, channel: Channel[ChatMessage]) -> None:
    """Has large messages on their way as well."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, peer, channel)
        for _ in range(8):
            await channel.send(Blob(NOISE))


async def suffer(steps: list[tuple[Any, ...]]) -> None:
    async with attacked(chat(talkative), strict=True) as (node, raw):
        for kind, *what in steps:
            if raw.end is not None:
                break
            if kind == "frame":
                await raw.frame(*what)
            elif kind == "tell":
                await raw.tell(*what)
            else:
                await trio.sleep(*what)
            await raw.hear()
        if raw.end is not None:
            await raw.peer.wait_ended()
            assert raw.end.reason == DisconnectReason.PROTOCOL_BREACH or "took no data" in raw.end.detail
            assert node._local.budget.used == 0  # type: ignore[union-attr]


@settings(max_examples=30)
@given(st.lists(STEPS, max_size=15))
def test_x5_x7_whatever_comes_in_whatever_order_nobody_here_makes_a_mistake(steps: list[tuple[Any, ...]]):
    trio.run(suffer, steps, clock=MockClock(autojump_threshold=0))
