"""When snap runs, beside which eth, in which version, and how much of one peer it serves at a time."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import DisconnectReason, LocalProtocolError, NodeRecord, PrivateKey, Record, rlp
from devp2p.capabilities.ethereum.networks import NETWORKS, eth_entries, serves_snap
from devp2p.capabilities.snap import Snap, Snap1, snap
from devp2p.capabilities.snap.messages import AccountRange, ByteCodes, GetAccountRange, GetByteCodes, GetTrieNodes, TrieNodes
from devp2p.rlp import Lazy
from devp2p.testing import ScriptedPeer, scripted_peer, two_nodes
from tests.capabilities.snap.states import CHAIN, MemoryState, PlainEth, Status, small_state
from tests.chat import Chat, GetTime, Time

STATE = small_state()
ALL = GetAccountRange(STATE.root, bytes(32), b"\xff" * 32, 100_000, request_id=1)


def both(state: MemoryState = STATE, versions: Sequence[int] = (1, 2)) -> tuple[Snap, ...]:
    return snap(CHAIN, state, versions)


async def receive(peer: ScriptedPeer) -> Any:
    while isinstance(message := await peer.receive_message(), Status):
        pass
    return message


@pytest.mark.parametrize(("theirs", "version"), [((1, 2), 2), ((1,), 1), ((2,), 2)])
async def test_the_highest_shared_version_runs(theirs, version):
    async with two_nodes([PlainEth(), *both()], [PlainEth(), *both(versions=theirs)]) as (node, _):
        handle = await node.connected[0].ready(Snap)
        assert handle.version == version
        page = await handle.account_range(STATE.root)
        assert page is not None
        assert page.accounts == dict(sorted(STATE.accounts_by_hash.items()))
        assert not page.more


def test_a_version_that_there_is_not_is_named():
    with pytest.raises(LocalProtocolError, match="there is no snap/3: versions are 1, 2"):
        both(versions=[3])


async def test_nobody_is_served_before_eth_has_accepted_it():
    async with scripted_peer([PlainEth(), *both()]) as (_, peer), trio.open_nursery() as nursery:
        await peer.send_message(ALL)
        answers: list[Any] = []

        async def listen() -> None:
            answers.append(await receive(peer))

        nursery.start_soon(listen)
        await wait_all_tasks_blocked()
        assert not answers
        await peer.send_message(Status())
        await wait_all_tasks_blocked()
        assert isinstance(answers[0], AccountRange)


async def test_without_eth_snap_serves_nobody_and_leaves_the_session_to_others():
    async with scripted_peer([Chat(), *both()]) as (node, peer):
        await peer.send_message(ALL)
        await peer.send_message(GetTime("abc", request_id=1))
        assert await peer.receive_message() == Time(1, 3)
        await wait_all_tasks_blocked()
        assert Snap not in node.connected[0]
        assert Chat in node.connected[0]


async def test_trie_nodes_end_a_session_of_snap_2_and_none_of_snap_1():
    request = GetTrieNodes(STATE.root, Lazy([(b"\0",)]), 5000, request_id=1)
    for versions in ((1,), (2,)):
        async with scripted_peer([PlainEth(), *both(versions=versions)]) as (_, peer):
            await peer.send_message(Status())
            code, _, data = Snap1.table().encode(request)
            await peer.send(peer.space.offsets[1] + code, data)
            if versions == (1,):
                assert isinstance(await receive(peer), TrieNodes)
            else:
                assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH


@pytest.mark.parametrize(
    ("code", "shape"),
    [
        (4, [b"\1", [b"\1" * 31], b"\1"]),  # a hash of 31 bytes, which is not looked at before it is served
        (5, [b"\1", []]),  # an answer to what nobody asked for
        (6, [b"\1", STATE.root, [[]], b"\1"]),
    ],
)
async def test_who_breaks_the_rules_is_sent_away(code, shape):
    async with scripted_peer([PlainEth(), *both(versions=[1])]) as (_, peer):
        await peer.send_message(Status())
        await peer.send(peer.space.offsets[1] + code, rlp.encode(shape))
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH


class Slow(MemoryState):
    """Answers when it is told to, and knows how many wait."""

    waiting = most = 0

    async def codes(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:  # noqa: ARG002
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await trio.sleep(1)
        self.waiting -= 1
        return [b"code"]


async def test_of_one_peer_two_requests_are_served_at_a_time():
    state = Slow({}, {}, {})
    async with scripted_peer([PlainEth(), *both(state)]) as (_, peer):
        await peer.send_message(Status())
        for number in range(10):
            await peer.send_message(GetByteCodes(Lazy([STATE.root]), 1, request_id=number))
        started = trio.current_time()
        answers = [await receive(peer) for _ in range(10)]
        assert sorted(one.request_id for one in answers) == [*range(10)]
        assert all(isinstance(one, ByteCodes) for one in answers)
        assert state.most == 2
        assert trio.current_time() - started == pytest.approx(5, abs=0.1)


class Large(MemoryState):
    """Answers with 2 MiB each time."""

    asked = 0

    async def codes(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:  # noqa: ARG002
        self.asked += 1
        await trio.lowlevel.checkpoint()
        return [NOISE]


NOISE = Random(1).randbytes(2**21)


@pytest.mark.parametrize("reads", [False, True])
async def test_for_a_peer_that_takes_no_answers_few_are_looked_up(reads):
    state, asked = Large({}, {}, {}), 12
    async with scripted_peer([PlainEth(), *both(state)]) as (_, peer), trio.open_nursery() as nursery:
        await peer.send_message(Status())
        for number in range(asked):
            await peer.send_message(GetByteCodes(Lazy([STATE.root]), 2**21, request_id=number))

        async def read() -> None:
            for _ in range(asked):
                await receive(peer)

        if reads:
            nursery.start_soon(read)
        with trio.move_on_after(1):
            await trio.sleep_forever()
        assert state.asked == asked if reads else state.asked <= 6  # 4 MiB wait for the line, one is on it, two are looked up
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("network", "wanted"), [("hoodi", True), ("mainnet", False)])
def test_the_node_record_says_snap_and_nodes_of_the_same_network_are_wanted(network, wanted):
    one, *_ = both()
    entries: Any = {"ip": "203.0.113.5", "tcp": 30303, **dict[Any, Any](one.record_entries()), **eth_entries(NETWORKS[network], CHAIN.head)}
    record = NodeRecord.from_enr(Record.sign(PrivateKey.generate(), 1, entries))
    assert serves_snap(record)
    assert one.wants(record) is wanted
