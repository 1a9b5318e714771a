"""What a node keeps of sessions is written down before a peer is told so, and is there after a restart."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Node, Peer
from devp2p.book import Vault
from devp2p.node.secrets import AGAIN, GATHERED
from devp2p.trust import Trust
from devp2p.wire.dpx import Resumption
from tests.network import LARGE, SMALL, Network, running


def kept(node: Node) -> Resumption:
    assert node._local.dpx is not None
    assert node._local.dpx.resumption is not None
    return node._local.dpx.resumption


@asynccontextmanager
async def meeting(book: Path | None, other: Node, network: Network) -> AsyncIterator[tuple[Node, Peer]]:
    """A node with this book calls another."""
    async with running(network, "one", key=SMALL, book=book, dpx=True) as node:
        yield node, await node.connect(other.record)


def confirmed(node: Node, other: Node) -> list[bool]:
    """Of each secret that a node keeps of another, the older one first, whether the other is known to hold it."""
    return [one.confirmed for lineage in kept(node).of(other.public_key.node_id).lineages for one in lineage.generations]


async def until_confirmed(node: Node, by: Node) -> None:
    """Wait until `by` has said that it holds the only secret: a thread writes it down, for which the clock of the test does not wait."""
    for _ in range(2000):
        if confirmed(node, by) == [True]:
            return
        await trio.sleep(GATHERED)
        await trio.to_thread.run_sync(time.sleep, 0.005)
    raise AssertionError("it has not come to that")


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, name: str, instead: object) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(Vault, name, instead)
        yield


async def test_after_a_restart_sessions_are_resumed(tmp_path: Path) -> None:
    network, path = Network(), tmp_path / "one.db"
    async with running(network, "other", key=LARGE, dpx=True) as other:
        for generation in range(1, 5):
            async with meeting(path, other, network) as (node, peer):
                assert (peer.profile.mode, peer.profile.generation) == (("resumed", generation) if generation > 1 else ("plain", 0))
                await until_confirmed(other, node)
                await until_confirmed(node, other)
            await wait_all_tasks_blocked()


async def test_without_the_book_a_node_has_lost_what_it_kept(tmp_path: Path) -> None:
    network = Network()
    async with running(network, "other", key=LARGE, dpx=True) as other:
        modes: list[str] = []
        for book in (tmp_path / "one.db", None, tmp_path / "one.db"):
            async with meeting(book, other, network) as (node, peer):
                if not modes:
                    await until_confirmed(other, node)
                modes.append(peer.profile.mode)
            await wait_all_tasks_blocked()
        assert modes == ["plain", "plain", "resumed"]  # what there was before is kept, in case it comes back with that


@pytest.mark.parametrize("name", ["keep", "flush"])
async def test_a_peer_is_told_nothing_that_is_not_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fails(*_: object) -> bool:
        if name == "flush":
            raise OSError("no space left")
        return False

    network = Network()
    async with running(network, "other", key=LARGE, dpx=True) as other:
        async with meeting(tmp_path / "one.db", other, network) as (node, _):
            await until_confirmed(other, node)
        await wait_all_tasks_blocked()
        async with meeting(tmp_path / "one.db", other, network) as (node, _):
            with failing(monkeypatch, name, fails):
                for _ in range(5):
                    await trio.sleep(AGAIN)
                    await trio.to_thread.run_sync(time.sleep, 0.005)
                assert confirmed(other, node) == [True, False]  # the older one stays, since the newer is not for sure
            await until_confirmed(other, node)


async def test_a_peer_is_told_nothing_that_is_written_into_a_file_that_is_gone(tmp_path: Path) -> None:
    network, path, elsewhere = Network(), tmp_path / "one.db", tmp_path / "elsewhere.db"
    async with running(network, "other", key=LARGE, dpx=True) as other, meeting(path, other, network) as (node, _):
        path.rename(elsewhere)
        for _ in range(5):
            await trio.sleep(AGAIN)
            await trio.to_thread.run_sync(time.sleep, 0.005)
        assert confirmed(other, node) == [False]
        elsewhere.rename(path)
        await until_confirmed(other, node)


async def test_a_node_that_was_known_comes_first_and_is_protected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Resumption, "is_known", lambda _self, node_id: node_id == LARGE.public_key.node_id)
    network = Network()
    async with running(network, "other", key=LARGE, dpx=True) as other, running(network, "one", key=SMALL, dpx=True) as node:
        node.policy.candidates.offer(other.record, "test")
        (known,) = node.policy.candidates.pool
        seen = node.policy.candidates.look_at(known)
        assert seen is not None
        assert seen.preferred
        peer = await node.connect(other.record)
        (slot,) = node.policy._census.peers(0.0)
        assert not slot.intro
        peer.profile = type(peer.profile)("dpx/1", trust=Trust.KNOWN)
        (slot,) = node.policy._census.peers(0.0)
        assert slot.intro
