"""Row E1 of THREATS.md: peers that want a backfill to stand still, or to keep what is not true.

The honest node joins when the other has been asked for something already. Each name begins with its row. A control runs the same attack
with the defence disabled, and there it must succeed.
"""

import importlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import devp2p
from devp2p import Node, Peer, PrivateKey, rlp
from devp2p.capabilities.backfill import BackfillError, Journal, Order, backfill
from devp2p.capabilities.backfill.backfill import _Backfill
from devp2p.capabilities.backfill.portion import Portion
from devp2p.capabilities.backfill.span import Span
from devp2p.capabilities.eth import Eth, eth
from devp2p.capabilities.eth.capability import Eth72, Side
from devp2p.capabilities.eth.messages import BlockHeaders, EthMessage, GetBlockHeaders, GetReceipts, Receipts
from devp2p.capabilities.eth.serving import Server
from devp2p.rlp import Lazy
from devp2p.testing import MemoryTransport
from tests.capabilities.memory_chain import MemoryChain

MODULE = importlib.import_module(_Backfill.__module__)  # the package has a function of that name
LAST = 20
CHAIN = MemoryChain(LAST)
FORGED = MemoryChain(LAST, name=b"forged")
pytestmark = pytest.mark.real_clock  # the journal is written in threads


class Silent(MemoryChain):
    """Serves all but one kind of data, for which it lets others wait for ever."""

    def __init__(self, kind: str) -> None:
        super().__init__(LAST)
        self.kind = kind
        self.is_asked = trio.Event()

    async def _asked(self, what: str) -> None:
        if what == self.kind:
            self.is_asked.set()
            await trio.sleep_forever()


class Empty(MemoryChain):
    """Has nothing, whatever it says."""

    def __init__(self) -> None:
        super().__init__(LAST)
        self.is_asked = trio.Event()

    async def headers(self, start: int | bytes, count: int, *, skip: int, reverse: bool, size: int) -> Sequence[bytes]:  # noqa: ARG002
        self.is_asked.set()
        await self._asked("headers")
        return []


class Dribbler(Eth72):
    """Brings a receipt, or a header, now and then, with more to come."""

    def __init__(self, *, drips_headers: bool = False) -> None:
        super().__init__(Side(CHAIN))
        self.drips_headers = drips_headers
        self.is_asked = trio.Event()
        self.headers = 0

    async def _take(self, message: EthMessage, peer: Any, server: Server) -> None:
        if isinstance(message, GetReceipts) and not self.drips_headers:
            self.is_asked.set()
            await trio.sleep(0.2)
            answer = Receipts(message.request_id, incomplete=True, receipts=Lazy.encoded([rlp.encode_list(b"\x01")]))
            await server._channel.send(answer)
        elif isinstance(message, GetBlockHeaders) and self.drips_headers:
            self.is_asked.set()
            self.headers += 1
            await trio.sleep(0.1)
            number = message.start if isinstance(message.start, int) else LAST  # the last by its hash
            await server._channel.send(BlockHeaders(message.request_id, Lazy([CHAIN.chain[number].raw])))
        else:
            await super()._take(message, peer, server)


class Forging(MemoryChain):
    """Says that it has our chain, and has its last headers, but brings headers of another where it is asked by numbers."""

    def __init__(self) -> None:
        super().__init__(LAST, name=b"forged")
        self.network, self.head = CHAIN.network, CHAIN.head

    async def headers(self, start: int | bytes, count: int, *, skip: int, reverse: bool, size: int) -> Sequence[bytes]:
        if start == CHAIN.chain[LAST].hash:
            return await CHAIN.headers(start, count, skip=skip, reverse=reverse, size=size)
        return await super().headers(start, count, skip=skip, reverse=reverse, size=size)


class World:
    """A node that has nothing, and those that it is connected to."""

    def __init__(self, node: Node, transport: MemoryTransport, nursery: trio.Nursery) -> None:
        self.node = node
        self._transport = transport
        self._nursery = nursery
        self._count = 0

    async def join(self, *capabilities: Eth) -> Peer:
        """Have another node, and connect to it."""
        self._count += 1
        place = f"memory://{self._count}"

        async def run(*, task_status: trio.TaskStatus[Node]) -> None:
            async with devp2p.open_node(PrivateKey.generate(), capabilities, listen=[place], transports=[self._transport]) as node:
                task_status.started(node)
                await trio.sleep_forever()

        node = await self._nursery.start(run)
        peer = await self.node.connect(node.record)
        await peer.ready(Eth)
        return peer


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    transport = MemoryTransport()
    async with (
        trio.open_nursery() as nursery,
        devp2p.open_node(PrivateKey.generate(), eth(CHAIN), listen=["memory://asker"], transports=[transport]) as node,
    ):
        yield World(node, transport, nursery)
        nursery.cancel_scope.cancel()


def order(last: int = LAST) -> Order:
    return Order(0, last, CHAIN.chain[last].hash, CHAIN.chain[0].hash, bodies=True, receipts=True)


async def filled_beside(attacker: tuple[Eth, ...], is_asked: trio.Event, folder: Path, patience: float = 60.0) -> int:
    """Let an honest node join when the attacker is asked; return how often the attacker was late."""
    async with world() as place, trio.open_nursery() as nursery:
        peer = await place.join(*attacker)
        with Journal.open(folder / "journal", order()) as journal:

            async def join() -> None:
                await is_asked.wait()
                await place.join(*eth(CHAIN))

            nursery.start_soon(join)
            await backfill(place.node, journal, patience=patience)
            assert [block.header for block in journal.blocks()] == [header.raw for header in CHAIN.chain]
        return peer.conduct(Eth).timeouts


@pytest.fixture
def impatient(monkeypatch):
    """Requests wait for a tenth of their usual time, so that the tests do."""
    monkeypatch.setattr(Eth, "request_timeout", 0.7)


@pytest.mark.parametrize("kind", ["headers", "bodies", "receipts"])
@pytest.mark.usefixtures("impatient")
async def test_e1_who_never_answers_keeps_nothing_from_others(kind, tmp_path):
    silent = Silent(kind)
    late = await filled_beside(eth(silent), silent.is_asked, tmp_path)
    assert silent.is_asked.is_set()
    assert late > 0 or kind == "headers", "the others need not wait for what is late of the highest headers"


async def test_e1_who_brings_receipts_one_by_one_keeps_nothing_from_others(monkeypatch, tmp_path):
    monkeypatch.setattr(MODULE, "_ONE_ANSWER", 0.5)
    dribbler = Dribbler()
    assert await filled_beside((dribbler,), dribbler.is_asked, tmp_path) > 0


@pytest.mark.usefixtures("impatient")
async def test_e1_control_who_is_asked_again_at_once_keeps_it_for_ever(monkeypatch, tmp_path):
    async def no_rest(*_: object) -> None:
        pass

    monkeypatch.setattr(_Backfill, "_rest", no_rest)
    monkeypatch.setattr(Span, "_take_second", lambda *_: None)
    silent = Silent("headers")
    with pytest.RaisesGroup(BackfillError, flatten_subgroups=True):
        await filled_beside(eth(silent), silent.is_asked, tmp_path, patience=2)


async def test_e1_control_without_a_time_for_all_parts_they_keep_coming(tmp_path):
    dribbler = Dribbler()
    with pytest.RaisesGroup(BackfillError, flatten_subgroups=True):
        await filled_beside((dribbler,), dribbler.is_asked, tmp_path, patience=1.5)


async def asked_of_who_has_nothing(folder: Path) -> int:
    """How many headers a node is asked for that leaves out everything, until an honest one joins and a second has passed."""
    empty = Empty()
    async with world() as place, trio.open_nursery() as nursery:
        await place.join(*eth(empty))

        async def join() -> None:
            await trio.sleep(1)
            await place.join(*eth(CHAIN))

        nursery.start_soon(join)
        with Journal.open(folder / "journal", order()) as journal:
            await backfill(place.node, journal)
            assert journal.progress.headers == LAST + 1
    return empty.asked.count("headers")


async def test_e1_who_leaves_out_everything_is_asked_once_and_keeps_nothing_from_others(tmp_path):
    assert await asked_of_who_has_nothing(tmp_path) == 1


async def headers_of_a_dribbler(folder: Path) -> int:
    """How many headers come from a node that brings one at a time, while another has all."""
    dribbler = Dribbler(drips_headers=True)
    await filled_beside((dribbler,), dribbler.is_asked, folder)
    return dribbler.headers


async def test_e1_who_brings_headers_one_by_one_keeps_nothing_from_others(monkeypatch, tmp_path):
    monkeypatch.setattr(MODULE, "SLOW", 0.05)
    assert await headers_of_a_dribbler(tmp_path) == 1


async def test_e1_control_who_may_linger_keeps_all(monkeypatch, tmp_path):
    monkeypatch.setattr(MODULE, "SLOW", 1000.0)
    monkeypatch.setattr(Span, "_take_second", lambda *_: None)
    monkeypatch.setattr(Portion, "answered", lambda *_: None)
    assert await headers_of_a_dribbler(tmp_path) > 10


async def kept_of(folder: Path, *chains: MemoryChain) -> tuple[set[bytes], Peer]:
    """What is in the journal after the first of these nodes was asked, and the node as a peer."""
    async with world() as place:
        peers = [await place.join(*eth(chain)) for chain in chains]
        with Journal.open(folder / "journal", Order(0, LAST, CHAIN.chain[LAST].hash)) as journal:
            try:
                await backfill(place.node, journal, patience=0.5)
            except BackfillError:
                assert len(chains) == 1
            return {block.header for block in journal.blocks()}, peers[0]


async def test_e1_headers_of_another_chain_are_not_kept_cost_the_peer_and_end_the_session(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.import_module(Span.__module__), "PIECE", 8)
    kept, liar = await kept_of(tmp_path, Forging())
    assert kept == {header.raw for header in CHAIN.chain[LAST - 7 :]}
    assert liar.conduct(Eth).invalid == 2
    assert liar.ended is not None
    assert not liar.ended.by_remote
    (tmp_path / "journal").unlink()
    kept, honest = await kept_of(tmp_path, CHAIN)
    assert len(kept) == LAST + 1
    assert honest.conduct(Eth).invalid == 0


async def test_e1_control_if_their_link_to_the_anchor_were_not_looked_at_they_would_be_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(Span, "expected", property(lambda _: FORGED.chain[LAST].hash, lambda *_: None), raising=False)
    kept, liar = await kept_of(tmp_path, Forging())
    assert kept == {header.raw for header in FORGED.chain}
    assert liar.conduct(Eth).invalid == 0
