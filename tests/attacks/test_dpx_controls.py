"""Rows X7 to X9 of THREATS.md: floods of what costs its sender nothing: control messages, messages begun and given up, tiny chunks.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import random
from collections.abc import Iterator
from itertools import count

import pytest
import trio

from devp2p import Channel, DisconnectReason, Peer, PrivateKey
from devp2p.bounded import Throttle
from devp2p.wire import base
from devp2p.wire.dpx import contexts, control, header
from devp2p.wire.dpx.control import BUSY, CANCEL, CONNECTION, Committed, Control, Delta, Pad, Release, Reset, Shape, Weight
from tests.attacks.dpx_raw import Raw, asleep, attacked, blob
from tests.chat import Blob, ChatMessage, chat
from tests.dpx_scripts import DpxScript
from tests.wires import WIRES

BATCH = 100
NOISE = random.Random(8).randbytes(300_000)
FLOODS: list[Control] = [Weight(1, 1), Delta(1, 1), Delta(CONNECTION, 1), Shape(0, 0, 0, 0, 0, 0), Committed()]


def unlimited(monkeypatch) -> None:
    monkeypatch.setattr(Throttle, "allows", lambda *_: True)


# X7: control messages


async def flood(*told: Control, seconds: float = 0.0) -> int:
    """Send control messages, a hundred at a time with so many seconds between: how many came in, of 2,000 at most."""
    async with attacked() as (_, raw):
        for sent in range(0, 2000, BATCH):
            await raw.tell(*told * (BATCH // len(told)))
            if raw.end is not None:
                assert raw.end.reason == DisconnectReason.PROTOCOL_BREACH
                return sent + BATCH
            await trio.sleep(seconds)
        return 2000


@pytest.mark.parametrize("told", FLOODS, ids=repr)
async def test_x7_a_flood_of_control_messages_ends_the_session(told: Control):
    assert await flood(told) == 300
    assert await flood(told, seconds=1.0) == 2000


async def test_x7_unknown_ones_count_too():
    async with attacked() as (_, raw):
        for _ in range(3):
            await raw.send(b"".join(raw.sealed(b"\x55", CONNECTION) for _ in range(BATCH)))
        assert raw.end is not None


async def test_x7_control_without_a_limit_all_are_acted_on(monkeypatch):
    unlimited(monkeypatch)
    assert await flood(Weight(1, 1)) == 2000


async def test_x7_padding_is_dropped_and_nothing_is_kept_of_it():
    assert await flood(Pad(200)) == 2000


async def test_x7_what_comes_with_a_hello_counts_like_what_comes_later():
    """It is opened before there is a line."""
    network = WIRES["dpx"].network()
    async with network.running(capabilities=[chat(asleep)]) as node:
        script = await network.peer(node, [chat()], key=PrivateKey.generate())
        assert isinstance(script, DpxScript)
        await script.shake_hands()
        sealer = script._streams.first.framing._sealer  # type: ignore[union-attr]
        hello = sealer.seal(b"\xc1\x80", b"\x80", base.encode_hello(script.hello))
        early = [sealer.seal(b"\xc1\x7f", control.encode(Weight(1, 2))) for _ in range(3)]
        early.append(sealer.seal(header.encode(header.Header(1, 1, 10**6)), blob(600)))
        await script.stream.send_all(hello + b"".join(early))
        await script.hear_hello()
        await trio.sleep(1)
        raw = Raw(script, node.connected[0])
        for _ in range(5):
            await raw.tell(Weight(1, 3))
            await trio.sleep(10)
        assert raw.end is None
        assert raw.ledgers.receiving.held == 600
        await trio.sleep(20)
        assert raw.ledgers.receiving.held == 0, "a minute from when there was a line"


# X8: messages that are begun and given up (rapid reset, CVE-2023-44487)


async def begin_and_give_up(times: int, seconds: float = 0.0) -> int:
    """How many times it worked."""
    async with attacked() as (_, raw):
        for done in range(times):
            await raw.frame(blob(600), context=1, total=10**6)
            await raw.tell(Reset(1, 1, CANCEL))
            if raw.end is not None:
                return done
            await trio.sleep(seconds)
            assert raw.ledgers.receiving.held == 0
            assert raw.timeouts == done + 1, "it lowers the rating"
        return times


async def test_x8_messages_that_are_begun_and_given_up_end_the_session_at_fifty_a_minute():
    assert await begin_and_give_up(200) == 50
    assert await begin_and_give_up(200, seconds=1.2) == 200


async def test_x8_control_without_a_limit_it_goes_on(monkeypatch):
    unlimited(monkeypatch)
    assert await begin_and_give_up(200) == 200


async def blobs(_: Peer, channel: Channel[ChatMessage]) -> None:
    while True:
        await channel.send(Blob(NOISE))


async def refuse_each(most: int, seconds: float = 0.0) -> int:
    """Let a node send large messages, and refuse each when its first chunk has come: how many of them it makes, of so many at most."""
    refused = 0
    async with attacked(chat(blobs)) as (_, raw):
        while refused < most and raw.end is None:
            await raw.hear()
            begun = [head.context for head, _ in raw.frames if head.total]
            came = sum(len(data) for _, data in raw.frames)
            raw.frames.clear()
            for context in begun:
                await raw.tell(Reset(1, context, BUSY), Release(1, context))
                refused += raw.end is None
            if came:
                await raw.tell(Delta(1, came), Delta(CONNECTION, came))
            await trio.sleep(seconds * len(begun))
    return refused


async def test_x8_messages_that_are_refused_as_soon_as_they_come_end_the_session_at_fifty_a_minute():
    assert await refuse_each(80) == 50
    assert await refuse_each(80, seconds=1.5) >= 80


async def test_x8_control_without_a_limit_whatever_is_made_is_refused(monkeypatch):
    unlimited(monkeypatch)
    assert await refuse_each(80) >= 80


# X9: chunks of a byte


def trickle(raw: Raw) -> Iterator[bytes]:
    yield raw.sealed(blob(600), context=1, total=10**6)
    for _ in count():
        yield raw.sealed(b"x", context=1)


async def send_bytes(most: int) -> int:
    """How many chunks of a byte are taken."""
    async with attacked() as (_, raw):
        chunks = trickle(raw)
        for sent in range(most):
            await raw.send(next(chunks))
            if raw.end is not None:
                return sent - 1
        return most


async def test_x9_chunks_of_a_byte_end_the_session_when_they_are_many():
    assert await send_bytes(1000) == 256


async def test_x9_control_without_a_limit_it_goes_on(monkeypatch):
    monkeypatch.setattr(contexts, "MOST_DRIBBLES", 10**9)
    assert await send_bytes(1000) == 1000


async def test_x9_releases_of_nothing_are_a_fault_at_once():
    async with attacked() as (_, raw):
        await raw.tell(Release(1, 1))
        assert raw.end is not None
