"""Row X6 of THREATS.md: messages in chunks that are begun, and hardly ever go on.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from math import inf

import trio

from devp2p import Limits, PrivateKey
from devp2p.capability.budget import Arriving
from devp2p.wire.dpx import contexts
from devp2p.wire.dpx.control import BUSY, Delta, Pad, Release, Reset
from tests.attacks.dpx_raw import FRAME, Raw, attacked, blob, raw_peer
from tests.chat import Chat
from tests.wires import WIRES

COUNT = 8
CONTEXTS = 4
FRAMES = 3
EACH = CONTEXTS * FRAMES * FRAME
KEYS = [PrivateKey.generate() for _ in range(COUNT)]


async def begin(raw: Raw) -> None:
    """Begin as many messages as one may, and send a part of each."""
    for context in range(1, CONTEXTS + 1):
        await raw.frame(blob(FRAME, declared=10**6), context=context, total=10**6)
        for _ in range(FRAMES - 1):
            await raw.frame(bytes(FRAME), context=context)


@dataclass
class Siege:
    """What came of it."""

    counted: int
    """Bytes in the node's budget once all have begun."""
    held: int
    """Bytes that the sessions held by then, of those that were left."""
    left: int
    """Sessions that were left."""
    held_later: int
    """Bytes after two minutes."""
    left_later: int


async def besiege(limit: int, step: float = 10**6) -> Siege:
    """Let eight peers begin messages, and send 600 bytes of one of them each `step` seconds."""
    network = WIRES["dpx"].network()
    limits = Limits(total_inbox_bytes=limit, ping_interval=10**6)
    async with network.running(capabilities=[Chat()], max_peers=100, limits=limits, strict=False) as node:
        with ExitStack() as stack:
            peers = [await raw_peer(network, node, key) for key in KEYS]
            for raw in peers:
                stack.callback(raw.cut_off)
                await begin(raw)
                await trio.sleep(0.1)
            budget = node._local.budget
            assert budget is not None
            counted, left = budget.used, [raw for raw in peers if raw.end is None]
            held = sum(raw.ledgers.receiving.held for raw in left)
            began = trio.current_time()
            while trio.current_time() + step < began + 120:
                await trio.sleep(step)
                for raw in left:
                    await raw.frame(bytes(600), context=1)
            await trio.sleep_until(began + 120)
            later = [raw for raw in peers if raw.end is None]
            return Siege(counted, held, len(left), sum(raw.ledgers.receiving.held for raw in later), len(later))


async def test_x6_messages_that_do_not_go_on_are_dropped_after_a_minute():
    siege = await besiege(2 * COUNT * EACH)
    assert (siege.counted, siege.held, siege.left) == (COUNT * EACH, COUNT * EACH, COUNT), "all of it fits"
    assert (siege.held_later, siege.left_later) == (0, COUNT)


async def test_x6_what_they_hold_counts_and_a_full_budget_ends_the_slowest():
    siege = await besiege(COUNT * EACH // 2, step=50)
    assert siege.counted == siege.held <= COUNT * EACH // 2
    assert siege.left == COUNT // 2
    assert siege.held_later <= COUNT * EACH // 2


async def test_x6_control_uncounted_and_without_a_deadline_they_keep_what_they_like(monkeypatch):
    monkeypatch.setattr(Arriving, "hold", lambda *_: None)
    monkeypatch.setattr(contexts, "PATIENCE", inf)
    siege = await besiege(COUNT * EACH // 2)
    assert (siege.counted, siege.left) == (0, COUNT)
    assert (siege.held_later, siege.left_later) == (COUNT * EACH, COUNT)


async def test_x6_a_message_that_was_dropped_is_told_once_and_its_context_is_free_again():
    async with attacked() as (_, raw):
        await raw.frame(blob(600), context=1, total=1200)
        await trio.sleep(70)
        assert raw.ledgers.receiving.held == 0
        await raw.frame(bytes(600), context=1)
        await raw.hear()
        assert [told for told in raw.told if not isinstance(told, Delta)] == [Reset(1, 1, BUSY), Release(1, 1)]
        await raw.frame(blob(600), context=1, total=1200)
        assert raw.ledgers.receiving.held == 600
        assert raw.end is None


async def send_beside_padding(seconds: int) -> tuple[int, list[str]]:
    """Let two peers begin messages and send padding from then on, and a third send a large message at 16 KiB a second.

    There is room for what the two hold, and for half of the third's message. How much of that is held at the end, and how others ended.
    """
    network = WIRES["dpx"].network()
    limits = Limits(total_inbox_bytes=2 * EACH + seconds // 2 * FRAME, ping_interval=10**6)
    async with network.running(capabilities=[Chat()], max_peers=100, limits=limits, strict=False) as node:
        with ExitStack() as stack:
            two = [await raw_peer(network, node, key) for key in KEYS[:2]]
            honest = await raw_peer(network, node, KEYS[2])
            for raw in (*two, honest):
                stack.callback(raw.cut_off)
            for raw in two:
                await begin(raw)
            await honest.frame(blob(FRAME, declared=2**20), context=1, total=2**20)
            for _ in range(seconds - 1):
                await trio.sleep(1)
                await honest.frame(bytes(FRAME), context=1)
                await honest.hear()
                for raw in two:
                    await raw.tell(*[Pad(FRAME)] * 8)
            return 0 if honest.end else honest.ledgers.receiving.held, [raw.end.detail for raw in two if raw.end is not None]


async def test_x6_padding_makes_nobody_faster_than_who_sends_what_he_has_begun():
    held, ended = await send_beside_padding(40)
    assert held == 40 * FRAME
    assert len(ended) == 1 + (20 * FRAME > EACH)
    assert all("came slowest" in detail for detail in ended)


async def test_x6_control_if_all_that_comes_counts_as_progress_the_honest_one_is_ended(monkeypatch):
    progressed = Arriving.progressed
    monkeypatch.setattr(Arriving, "progressed", lambda arriving, _, waited: progressed(arriving, 2**20, waited))
    held, ended = await send_beside_padding(40)
    assert (held, ended) == (0, [])
