"""Rows E10 and E11 of THREATS.md: lies about the state, answers made to be dear, and requests for more than anybody needs (CVE-2021-41173).

All lies about ranges, storage, codes, nodes and access lists, with an honest answer beside each kind, are in
tests/capabilities/snap/test_peer.py. Each name begins with its row. A control runs the same attack with the defence disabled.
"""

from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from trio.testing import wait_all_tasks_blocked

from devp2p import DecodingError, DisconnectReason, RemoteProtocolError, keccak256, rlp
from devp2p.capabilities.ethereum import Range
from devp2p.capabilities.snap import Snap, capability, checking, serving, snap
from devp2p.capabilities.snap.capability import Snap1
from devp2p.capabilities.snap.messages import (
    AccountRange,
    GetAccountRange,
    GetByteCodes,
    GetStorageRanges,
    GetTrieNodes,
)
from devp2p.rlp import Lazy
from devp2p.testing import ScriptedPeer, scripted_peer
from tests.capabilities.chains import build_chain
from tests.capabilities.snap.states import CHAIN, MemoryState, PlainEth, Status, small_state
from tests.capabilities.snap.test_peer import LIES, asked

MOST = 2**64 - 1
FIRST, LAST = bytes(32), b"\xff" * 32
STATE = small_state()

# E10, lies

RANGES = [
    row
    for row in LIES
    if row[0] in {"a gap", "the first left out", "the last left out", "a proof cut short", "no proof", "a gap in storage"}
]


def ids(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    return [row[0] for row in rows]


@pytest.mark.parametrize(("ask", "lie", "why"), [row[1:] for row in RANGES], ids=ids(RANGES))
async def test_e10_a_range_that_is_not_proved_is_not_returned_costs_the_peer_and_ends_the_session(ask, lie, why):
    async with asked(lie) as (node, handle):
        connected = node.connected[0]
        with pytest.raises(RemoteProtocolError, match=why):
            await ask(handle)
        assert (await connected.wait_ended()).reason == DisconnectReason.PROTOCOL_BREACH
        assert (connected.conduct(Snap).invalid, connected.conduct(Snap).useful) == (4, 0)


@pytest.mark.parametrize(("ask", "lie", "why"), [row[1:] for row in RANGES], ids=ids(RANGES))
async def test_e10_control_if_nothing_had_to_be_proved_it_would_be_returned(ask, lie, why, monkeypatch):  # noqa: ARG001
    def believe(*_: object) -> Generator[None, None, bool]:
        yield
        return False

    monkeypatch.setattr(checking, "check_range_in_steps", believe)
    async with asked(lie) as (node, handle):
        assert await ask(handle)
        assert node.connected[0].conduct(Snap).invalid == 0


BRANCH = rlp.encode([b"\x11" * 32] * 16 + [b""])


def extension(child: bytes) -> bytes:
    """A node that leads over one nibble to another."""
    return rlp.encode([b"\x11", keccak256(child)])


def chain_of(count: int) -> list[bytes]:
    """Nodes that lead one to the next, deeper than any key is long."""
    nodes = [BRANCH]
    for _ in range(count):
        nodes.append(extension(nodes[-1]))
    return nodes[::-1]


def with_bodies(one: AccountRange, body: bytes, count: int = 1) -> AccountRange:
    return replace(one, accounts=Lazy([replace(one.accounts[0], body=body)] * count))


DEAR: dict[str, Callable[[AccountRange], AccountRange]] = {
    "a proof of a path that never ends": lambda one: replace(one, proof=Lazy(chain_of(400))),
    "large nodes": lambda one: replace(one, proof=Lazy.encoded([rlp.encode(rlp.encode([bytes(60_000)] * 2))] * 20)),
    "nodes in nodes": lambda one: replace(one, proof=Lazy([b"\xc0" * 30, rlp.encode([b"\x11", [[[[[[[[[[[]]]]]]]]]]]])])),
    "an account as large as the message": lambda one: with_bodies(one, rlp.encode([bytes(10**6)] * 2)),
    "accounts of empty lists": lambda one: with_bodies(one, b"\xc0", 20_000),
}


@pytest.mark.parametrize("kind", DEAR)
async def test_e10_answers_made_to_be_dear_are_refused_in_small_steps(kind, monkeypatch):
    """What a step may take is in conftest.py."""
    async with asked(DEAR[kind]) as (node, handle):
        connected = node.connected[0]
        root = STATE.root
        if "never ends" in kind:
            root = keccak256(chain_of(400)[0])
            monkeypatch.setattr(handle._channel, "request", asking_for_the_other_root(handle._channel.request))
        with pytest.raises(RemoteProtocolError):
            await handle.account_range(root)
        assert (await connected.wait_ended()).reason == DisconnectReason.PROTOCOL_BREACH
        assert connected.conduct(Snap).useful == 0


def asking_for_the_other_root(request: Any) -> Any:
    """A request, to which the peer answers as if it were for a root that it has."""

    async def ask(message: Any, **options: Any) -> Any:
        return await request(replace(message, root_hash=STATE.root), **options)

    return ask


async def more_than_asked_for(monkeypatch: pytest.MonkeyPatch | None = None) -> str:
    """What comes of sixty thousand empty nodes for one path."""
    if monkeypatch is not None:
        monkeypatch.setattr(checking, "require_few", lambda *_: None)
    async with asked(lambda one: replace(one, nodes=Lazy([b""] * 60_000))) as (_, handle):
        try:
            return str(await handle.trie_nodes(STATE.root, {(b"\0",): STATE.root}))
        except RemoteProtocolError as error:
            return str(error)


async def test_e10_more_items_than_were_asked_for_are_refused_unseen():
    assert "60000 trie nodes came where 1 were asked for" in await more_than_asked_for()


async def test_e10_control_if_they_were_not_counted_each_would_be_looked_at(monkeypatch):
    assert await more_than_asked_for(monkeypatch) == "{}"


def test_e10_a_proof_of_a_hundred_thousand_nodes_is_no_message():
    data = rlp.encode([b"\x01", [], [b"\x80"] * 60_000])
    with pytest.raises(DecodingError, match="more than 512"):
        Snap1.table().decode(0x01, data)
    assert len(Snap1.table().decode(0x05, rlp.encode([b"\x01", [b"\x80"] * 60_000])).codes) == 60_000  # it is not that all are


# E11, requests


class Counting(MemoryState):
    """Has one account, one code and one node for everybody, and counts what it is asked for."""

    looked_up = 0
    most = 0

    async def slots(self, root: bytes, accounts: Sequence[bytes], start: bytes, limit: bytes, *, size: int) -> Sequence[Range] | None:  # noqa: ARG002
        self.note(len(accounts), size)
        return [Range([(FIRST, b"\x01")], ())]

    async def codes(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        self.note(len(hashes), size)
        return [b"code"]

    async def nodes(self, root: bytes, paths: Sequence[Sequence[bytes]], *, size: int) -> Sequence[bytes]:  # noqa: ARG002
        self.note(sum(max(len(one) - 1, 1) for one in paths), size)
        return [b"node"]

    async def accounts(self, root: bytes, start: bytes, limit: bytes, *, size: int) -> Range | None:  # noqa: ARG002
        self.note(1, size)
        return Range((), ())

    def note(self, count: int, size: int) -> None:
        self.looked_up = max(self.looked_up, count)
        self.most = max(self.most, size)


@asynccontextmanager
async def snap_peer(state: MemoryState) -> AsyncIterator[tuple[Any, ScriptedPeer]]:
    async with scripted_peer([PlainEth(), *snap(CHAIN, state, [1])]) as (node, peer):
        await peer.send_message(Status())
        assert isinstance(await peer.receive_message(), Status)
        yield node, peer


MANY: dict[str, Any] = {
    "storage of seven thousand accounts": GetStorageRanges(FIRST, Lazy([FIRST] * 7000), FIRST, LAST, MOST, request_id=1),
    "seven thousand codes": GetByteCodes(Lazy([FIRST] * 7000), MOST, request_id=1),
    "eight thousand paths in eight sets": GetTrieNodes(FIRST, Lazy([(FIRST, *[b"\x11"] * 1024)] * 8), MOST, request_id=1),
    "sixty thousand sets": GetTrieNodes(FIRST, Lazy([(b"\x11",)] * 60_000), MOST, request_id=1),
    "a range that ends before it starts": GetAccountRange(FIRST, LAST, FIRST, MOST, request_id=1),
}


async def looked_up(request: Any) -> tuple[int, int]:
    state = Counting({}, {}, {})
    async with snap_peer(state) as (_, peer):
        await peer.send_message(request)
        await peer.receive_message()
    return state.looked_up, state.most


@pytest.mark.parametrize("kind", MANY)
async def test_e11_whatever_is_asked_for_1024_things_are_looked_up_and_two_mebibytes(kind):
    count, size = await looked_up(MANY[kind])
    assert 1 <= count <= 1024
    assert size == 2 * 2**20


@pytest.mark.parametrize("kind", list(MANY)[:4])
async def test_e11_control_without_bounds_all_are(kind, monkeypatch):
    monkeypatch.setattr(serving, "MOST_LOOKUPS", MOST // 4)
    monkeypatch.setattr(serving, "SOFT_LIMIT", MOST)
    count, size = await looked_up(MANY[kind])
    assert count >= 7000
    assert size == MOST


@pytest.mark.real_clock
async def test_e11_a_real_state_answers_each_of_them_with_little(tmp_path):
    built = build_chain(blocks=8, transactions=3, fork="amsterdam")
    root = built.head.header.state_root
    with built.open(tmp_path) as chain:
        async with scripted_peer([PlainEth(), *snap(chain, chain, [1])]) as (_, peer):
            await peer.send_message(Status())
            assert isinstance(await peer.receive_message(), Status)
            for request in MANY.values():
                here = request if isinstance(request, GetByteCodes) else replace(request, root_hash=root)
                for one in (request, here):
                    await peer.send_message(one)
                    answer = await peer.receive_message()
                    assert len(rlp.codec(type(answer)).encode(answer)) < 600_000


TOO_MANY: dict[str, tuple[int, Any]] = {
    "storage of ten thousand accounts": (0x02, [b"\x01", FIRST, [FIRST] * 10_000, FIRST, LAST, b"\x01"]),
    "sixty thousand paths in a set": (0x06, [b"\x01", FIRST, [[b"\x11"] * 60_000], b"\x01"]),
}


@pytest.mark.parametrize("kind", TOO_MANY)
async def test_e11_more_than_a_message_may_hold_ends_the_session(kind):
    code, shape = TOO_MANY[kind]
    async with snap_peer(Counting({}, {}, {})) as (_, peer):
        await peer.send(peer.space.offsets[1] + code, rlp.encode(shape))
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH


class Large(MemoryState):
    """Answers with two mebibytes."""

    served = 0

    async def codes(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:  # noqa: ARG002
        self.served += 1
        return [self.served.to_bytes(8) + bytes(2**21 - 8)]


async def unread() -> tuple[int, int]:
    """How many of fifty answers are made for a peer that reads none; and whether the session has ended in the end."""
    state = Large({}, {}, {})
    async with snap_peer(state) as (node, peer):
        connected = node.connected[0]
        for _ in range(50):
            await peer.send_message(GetByteCodes(Lazy([FIRST]), MOST, request_id=1))
        await wait_all_tasks_blocked()
        made = state.served
        await connected.wait_ended()
        return made, connected.conduct(Snap).useful


async def test_e11_for_who_reads_nothing_a_few_answers_are_made_and_it_is_left():
    made, useful = await unread()
    assert made <= 6
    assert useful == 0


async def test_e11_control_if_all_were_served_at_once_they_would_all_wait_in_memory(monkeypatch):
    monkeypatch.setattr(capability, "_AT_ONCE", 50)
    made, _ = await unread()
    assert made == 50
