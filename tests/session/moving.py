"""Two ends of a session that moves to another link while they talk."""

import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, DisconnectReason, Limits, Peer, PeerDisconnected, PrivateKey
from devp2p.session import LocalNode, RunningSession, Session, local_node, open_session, run_session
from devp2p.transports.links import Link
from devp2p.transports.memory import memory_link_pair, memory_mux_pair
from devp2p.wire.dpx import Dpx
from tests.chat import Blob, Chat, ChatMessage, Say, chat

ALICE, BOB = PrivateKey.generate(), PrivateKey.generate()
KEYS = ALICE.public_key, BOB.public_key
LIMITS = Limits(ping_interval=2.0)
NOISE = random.Random(1).randbytes(30_000)


@dataclass
class End:
    """One side: what it has said and heard."""

    local: LocalNode
    said: int = 0
    heard: list[int] = field(default_factory=list[int])
    running: RunningSession | None = None
    ended: PeerDisconnected | None = None
    pace: Callable[[], float] = lambda: 0.01

    @property
    def session(self) -> RunningSession:
        assert self.running is not None
        return self.running


def count(end: End, rounds: int) -> Chat:
    """A capability that says numbers, some of them in large messages, and hears the other's."""

    async def run(_: Peer, channel: Channel[ChatMessage]) -> None:
        async def talk() -> None:
            for number in range(rounds):
                text = str(number).encode()
                await channel.send(Say(str(number)) if number % 5 else Blob(text.zfill(10) + NOISE[: number * 300]))
                end.said += 1
                await trio.sleep(end.pace())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            async for message in channel:
                end.heard.append(int(message.text if isinstance(message, Say) else message.data[:10]))  # type: ignore[union-attr]
                await trio.sleep(end.pace() / 3)

    return chat(run, bulk=())


def links(kind: str) -> tuple[Link, Link]:
    if kind == "streams":
        return memory_mux_pair(KEYS)
    return memory_link_pair(KEYS if kind == "plain" else None)


def node(key: PrivateKey, kind: str, rounds: int) -> End:
    end = End(local_node(key, limits=LIMITS, strict=True))
    end.local = local_node(key, [count(end, rounds)], limits=LIMITS, strict=True, dpx=kind == "dpx")
    return end


async def opened(pair: tuple[Link, Link], ends: tuple[End, End]) -> tuple[Session, Session]:
    """Both sides of a session, which does not run."""
    sessions: list[Session] = []

    async def accept() -> None:
        sessions.append(await open_session(pair[1], ends[1].local))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        sessions.append(await open_session(pair[0], ends[0].local, expect=BOB.public_key))
    one, other = sorted(sessions, key=lambda session: session.inbound)
    return one, other


@asynccontextmanager
async def talking(kind: str, rounds: int = 200) -> AsyncIterator[tuple[End, End, tuple[Link, Link]]]:
    """Two ends with a session over a link of some kind, one of `KINDS`."""
    ends = node(ALICE, kind, rounds), node(BOB, kind, rounds)
    pair = links(kind)
    sessions = await opened(pair, ends)

    async def live(end: End, session: Session) -> None:
        def start(running: RunningSession) -> None:
            end.running = running

        end.ended = await run_session(session, on_start=start)

    async with trio.open_nursery() as nursery:
        for end, session in zip(ends, sessions, strict=True):
            nursery.start_soon(live, end, session)
        await wait_all_tasks_blocked()
        yield *ends, pair
        for end in ends:
            end.session.end(PeerDisconnected(DisconnectReason.CLIENT_QUITTING, by_remote=False))


async def another(kind: str, ends: tuple[End, End]) -> tuple[Session, Session]:
    """A second session of the same two, over another kind of link."""
    for end in ends:
        end.local = LocalNode(
            end.local.key,
            "again",
            end.local.capabilities,
            LIMITS,
            strict=True,
            dpx=Dpx(os.urandom) if kind == "dpx" else None,
        )
    return await opened(links(kind), ends)


async def is_closed(link: Link) -> bool:
    try:
        with trio.move_on_after(1):
            stream: Any = await link.accept() if kind_of(link) == "streams" else link.stream  # type: ignore[union-attr]
            await stream.receive_some(1)
    except (trio.ClosedResourceError, trio.BrokenResourceError):
        return True
    except trio.BusyResourceError:
        pass  # the session reads it
    return False


def kind_of(link: Link) -> str:
    return "streams" if hasattr(link, "accept") else "one"


async def move_both(ends: tuple[End, End], sessions: tuple[Session, Session], *, apart: float = 0.0) -> list[bool]:
    moved: list[bool] = [False, False]

    async def move(side: int) -> None:
        await trio.sleep(apart * side)
        moved[side] = await ends[side].session.move(sessions[side])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(move, 0)
        nursery.start_soon(move, 1)
    return moved


KINDS = ["rlpx", "plain", "streams", "dpx"]
