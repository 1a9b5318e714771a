"""A stream that its capability holds up waits for as long as it likes, but not when others need the room that it takes."""

import random

import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, Limits, Peer, PeerDisconnected, PrivateKey, rlp
from devp2p.session import LocalNode, local_node, open_session, run_session
from devp2p.transports.memory import MemoryStream, memory_mux_pair
from devp2p.wire import base, compression
from tests.chat import Blob, ChatMessage, chat

OURS = PrivateKey.generate()
BLOB = 0x13
NOISE = random.Random(1).randbytes(2**20)  # what snappy cannot make smaller


def frame(code: int, data: bytes, *, compressed: bool = True) -> bytes:
    body = rlp.encode(code) + (bytes(compression.compress(data)) if compressed else data)
    return len(body).to_bytes(3) + body


async def begin(local: LocalNode, name: str, ends: dict[str, PeerDisconnected], nursery: trio.Nursery) -> tuple[MemoryStream, MemoryStream]:
    """Let a stranger dial us and open its stream: that, and its first one."""
    key = PrivateKey.generate().public_key
    theirs, ours = memory_mux_pair((key, OURS.public_key))

    async def live() -> None:
        ends[name] = await run_session(await open_session(ours, local))

    nursery.start_soon(live)
    first = await theirs.open()
    hello = base.Hello(name, (base.CapabilityVersion("chat", 1),), key)
    await first.send_all(frame(base.HELLO, base.encode_hello(hello), compressed=False))
    own = await theirs.open()
    opening = rlp.encode(["chat", 1])
    await own.send_all(len(opening).to_bytes(3) + opening)
    await wait_all_tasks_blocked()
    return own, first


async def test_who_holds_a_full_budget_for_long_makes_room_for_a_large_message() -> None:
    seen: list[ChatMessage] = []

    async def hear_honest_peers(peer: Peer, channel: Channel[ChatMessage]) -> None:
        if peer.client_id.startswith("stranger"):
            await trio.sleep_forever()  # as one does that waits for such a peer to take what it is sent
        async for message in channel:
            seen.append(message)  # noqa: PERF401  (a comprehension would show nothing before the end)

    limits = Limits(ping_interval=10**6, inbox_bytes=100_000, total_inbox_bytes=200_000)
    local = local_node(OURS, [chat(hear_honest_peers)], strict=True, limits=limits)
    assert local.budget is not None
    ends: dict[str, PeerDisconnected] = {}
    async with trio.open_nursery() as nursery:
        for name in ("stranger 1", "stranger 2"):
            own, _ = await begin(local, name, ends, nursery)
            await own.send_all(b"".join([frame(BLOB, rlp.encode([NOISE[:30_000]])) for _ in range(4)]))
            await wait_all_tasks_blocked()
        assert local.budget.used > 200_000
        await trio.sleep(1000)
        assert ends == {}, "nobody needs the room"
        honest, _ = await begin(local, "honest", ends, nursery)
        data = frame(BLOB, rlp.encode([NOISE[:70_000]]))
        await honest.send_all(data[:67_000])
        await trio.sleep(1)
        await honest.send_all(data[67_000:])
        await trio.sleep(5)
        assert seen == [Blob(NOISE[:70_000])]
        assert "honest" not in ends
        assert len(ends) == 1, "one of the two was enough"
        assert ends.popitem()[1].detail.startswith("chat/1 left 90")
        assert local.budget.used <= 200_000
        nursery.cancel_scope.cancel()
