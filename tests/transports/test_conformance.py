"""What every transport must do, over each of `WAYS`: carry sessions and messages of every size, say truly what it is, and end well
whatever is done to it.
"""

import gc
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from devp2p import Address, DialError, DisconnectReason, MuxLink, Node, Peer, PeerDisconnected, PeerMismatch, PrivateKey
from tests.chat import Chat, ChatMessage, GetTime, collect, echo, exchange
from tests.transports.linking import ALICE, BOB, CAROL, PIECE, SOON, Linking, both, flood, node_of, open_files, open_linking, until_it_ends
from tests.transports.ways import Case, cases, node_at, open_ground

SIZES = (1, 2, 31, 32, 1000, 16 * 1024, 64 * 1024 + 1, 300_000, 2**20)
MOST_HELD = 32 * 2**20  # bytes that may be on their way to somebody who does not read; Linux's buffers for TCP grow to a third of this


# Sessions


@pytest.mark.parametrize("case", cases())
async def test_a_session_carries_messages_of_every_size_and_says_what_carries_it(case: Case, tmp_path: Path) -> None:
    came: list[ChatMessage] = []
    way = case.way
    async with (
        open_ground(way, case.text, tmp_path) as ground,
        node_of(ground, ALICE, Chat(echo), listens=True) as alice,
        node_of(ground, BOB, Chat(collect(came))) as bob,
    ):
        peer = await bob.connect(node_at(ALICE, alice.addresses[0]))
        await exchange(peer, came, SIZES, within=SOON)
        back = alice.connected[0]
        for one, inbound in ((peer, False), (back, True)):
            facts = one.link
            assert (facts.transport, facts.native_auth, facts.native_mux) == (ground.address.scheme, way.native_auth, way.native_mux)
            assert inbound or facts.path.startswith(way.path)
        assert (peer.public_key, back.public_key) == (ALICE.public_key, BOB.public_key)
        assert peer.link.remote == alice.addresses[0]


@pytest.mark.parametrize("case", cases(once=True))
@pytest.mark.parametrize("by_dialler", [True, False], ids=["dialler leaves", "listener leaves"])
async def test_a_farewell_tells_the_other_side_why(case: Case, by_dialler: bool, tmp_path: Path) -> None:  # noqa: FBT001
    async with (
        open_ground(case.way, case.text, tmp_path) as ground,
        node_of(ground, ALICE, Chat(), listens=True) as alice,
        node_of(ground, BOB, Chat()) as bob,
    ):
        there = await bob.connect(node_at(ALICE, alice.addresses[0]))
        assert (await there[Chat].request(GetTime("abc"))).seconds == 3
        back: Peer = alice.connected[0]
        leaving, left = (there, back) if by_dialler else (back, there)
        leaving.disconnect(DisconnectReason.TOO_MANY_PEERS)
        with trio.fail_after(SOON):
            ended = await left.wait_ended()
            await leaving.wait_ended()
        assert (ended.reason, ended.by_remote) == (DisconnectReason.TOO_MANY_PEERS, True)
        assert (await (await bob.connect(node_at(ALICE, alice.addresses[0])))[Chat].request(GetTime("ab"))).seconds == 2


@pytest.mark.parametrize("case", cases(once=True))
async def test_t96_another_node_than_the_one_that_was_meant_is_no_peer(case: Case, tmp_path: Path) -> None:
    async with (
        open_ground(case.way, case.text, tmp_path) as ground,
        node_of(ground, ALICE, Chat(), listens=True) as alice,
        node_of(ground, BOB, Chat()) as bob,
    ):
        with pytest.raises(DialError) as caught:
            await bob.connect(node_at(CAROL, alice.addresses[0]))
        if case.way.native_auth:
            assert f"is the node with the key {bytes(ALICE.public_key).hex()}" in str(caught.value)
            with pytest.raises(PeerMismatch):
                await ground.transport(BOB).dial(alice.addresses[0], expect=CAROL.public_key)
        assert (list(bob.connected), list(alice.connected)) == ([], [])
        assert (await bob.connect(node_at(ALICE, alice.addresses[0]))).public_key == ALICE.public_key


@pytest.mark.parametrize("case", cases(once=True))
async def test_two_that_dial_each_other_at_once_have_one_session(case: Case, tmp_path: Path) -> None:
    async with open_ground(case.way, case.text, tmp_path) as ground:
        beside = replace(ground, text=ground.text if ground.address.port is not None else f"{ground.text}-2")
        async with node_of(ground, ALICE, Chat(), listens=True) as alice, node_of(beside, BOB, Chat(), listens=True) as bob:

            async def dial(caller: Node, key: PrivateKey, address: Address) -> None:
                with suppress(DialError):  # this one may be the link that is given up
                    await caller.connect(node_at(key, address))

            def settled() -> bool:
                sides = [peer.inbound for node in (alice, bob) for peer in node.connected]
                return sorted(sides) == [False, True]

            with trio.fail_after(SOON):
                await both(partial(dial, alice, BOB, bob.addresses[0]), partial(dial, bob, ALICE, alice.addresses[0]))
                while True:
                    if settled():
                        with suppress(PeerDisconnected):  # the other was only just let go
                            assert (await alice.connected[0][Chat].request(GetTime("abc"))).seconds == 3
                            if settled():
                                break
                    await trio.sleep(0.01)


# Links


@pytest.mark.parametrize("case", cases())
async def test_a_link_says_truly_what_it_is(case: Case, tmp_path: Path) -> None:
    way = case.way
    async with open_linking(case, tmp_path) as linking, linking.pair() as (ours, theirs):
        assert (ours.link.initiator, theirs.link.initiator) == (True, False)
        keys = (ALICE.public_key, BOB.public_key) if way.native_auth else (None, None)
        assert (ours.link.peer, theirs.link.peer) == keys
        assert isinstance(ours.link, MuxLink) is isinstance(theirs.link, MuxLink) is way.native_mux
        assert ours.link.remote == linking.address
        schemes = {end.scheme for link in (ours.link, theirs.link) for end in (link.local, link.remote)}
        assert schemes == {linking.ground.address.scheme}
        if way.shows_local:
            assert (ours.link.local, theirs.link.local) == (theirs.link.remote, ours.link.remote)


@pytest.mark.parametrize("case", cases(once=True))
async def test_who_is_not_read_is_held_up_and_each_direction_ends_by_itself(case: Case, tmp_path: Path) -> None:
    async with open_linking(case, tmp_path) as linking, linking.pair() as (ours, theirs):
        sent = [0]

        async def flood() -> None:
            while sent[0] < MOST_HELD:
                await ours.stream.send_all(PIECE)
                sent[0] += len(PIECE)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            held = -1
            while held != sent[0]:
                held = sent[0]
                await trio.sleep(0.1)
            assert sent[0] < MOST_HELD, "what nobody reads has no bound"
            nursery.start_soon(theirs.receive, held + len(PIECE))
            with trio.fail_after(SOON):
                while sent[0] == held:  # noqa: ASYNC110
                    await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
    async with open_linking(case, tmp_path) as linking, linking.pair() as (ours, theirs):
        await ours.stream.send_all(b"question")
        await ours.stream.send_eof()
        with trio.fail_after(SOON):
            assert await theirs.receive(100) == b"question"
            await theirs.stream.send_all(b"answer")
            await theirs.stream.send_eof()
            assert await ours.receive(100) == b"answer"


@pytest.mark.parametrize("case", cases(lambda way: way.native_mux, once=True))
async def test_a_stream_that_nobody_reads_holds_up_no_other(case: Case, tmp_path: Path) -> None:
    async with open_linking(case, tmp_path) as linking, linking.pair() as (ours, theirs):
        assert isinstance(ours.link, MuxLink)
        assert isinstance(theirs.link, MuxLink)
        second = await ours.link.open()
        await second.send_all(b"#")
        with trio.fail_after(SOON):
            other = await theirs.link.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood, ours.stream)
            await trio.sleep(0.1)
            assert await other.receive_some(1) == b"#"
            with trio.fail_after(SOON):
                for number in range(20):
                    await second.send_all(number.to_bytes(1))
                    assert await other.receive_some(1) == number.to_bytes(1)
                    await other.send_all(b"back")
                    assert await second.receive_some(4) == b"back"
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("case", cases(once=True))
async def test_who_hangs_up_is_noticed_by_who_reads_and_who_writes(case: Case, tmp_path: Path) -> None:
    async with open_linking(case, tmp_path) as linking:
        for dialler in (True, False):
            async with linking.pair() as ends:
                leaving, left = ends if dialler else ends[::-1]
                await leaving.link.aclose()
                with trio.fail_after(SOON):
                    await until_it_ends(left)
                    if case.way.breaks:
                        with pytest.raises(trio.BrokenResourceError):
                            await flood(left.stream)
                await leaving.link.aclose()  # harmless
                with pytest.raises(trio.ClosedResourceError):
                    await leaving.stream.send_all(b"x")


# Many


async def _make_many(linking: Linking, count: int) -> None:
    for _ in range(count):
        async with linking.pair() as (ours, theirs):
            await theirs.stream.send_all(b"x")
            assert await ours.receive(1) == b"x"


async def _check_many(case: Case, count: int, folder: Path) -> None:
    """So many links, one after the other, cost no descriptor, no task and no memory."""
    before = trio.lowlevel.current_statistics().tasks_living
    files = open_files()
    async with open_linking(case, folder) as linking:
        await _make_many(linking, 8)
        gc.collect()
        objects, opened, tasks = len(gc.get_objects()), open_files(), trio.lowlevel.current_statistics().tasks_living
        await _make_many(linking, count)
        await trio.sleep(0.05)
        gc.collect()
        assert open_files() <= opened + 4
        assert trio.lowlevel.current_statistics().tasks_living <= tasks + 4
        assert len(gc.get_objects()) - objects < case.way.keeps + 3 * count
    with trio.fail_after(SOON):
        while trio.lowlevel.current_statistics().tasks_living > before or open_files() > files:  # noqa: ASYNC110
            await trio.sleep(0.02)


@pytest.mark.parametrize("case", cases(once=True))
async def test_many_links_one_after_the_other_leave_nothing(case: Case, tmp_path: Path) -> None:
    await _check_many(case, case.way.many, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("case", cases())
async def test_a_thousand_links_leave_nothing(case: Case, tmp_path: Path) -> None:
    await _check_many(case, 1000, tmp_path)
