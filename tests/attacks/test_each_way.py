"""Rows T91 (by UDP) and T95 to T97 of THREATS.md: handshakes that are left or bad, and capabilities that flood, over every transport.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

from devp2p import Channel, DisconnectReason, HandshakeError, Limits, MuxLink, Node, Peer, PeerMismatch, PrivateKey, open_node
from devp2p.transports import Link
from devp2p.wire.rlpx.replays import SeenAuths
from tests.attacks.test_frames import NOISE
from tests.attacks.test_handshake import auth, bad_auths
from tests.chat import Blob, Chat, ChatMessage, GetTime, Run, chat
from tests.transports.linking import ALICE, BOB, CAROL, SOON, node_of
from tests.transports.middle import Fault, between
from tests.transports.ways import Case, Ground, cases, node_at, open_ground

NEVER = 10**6
PATIENT = Limits(inbound_retry=0, handshake_timeout=SOON, crowded_timeout=SOON)
PROVE_NOBODY = cases(lambda way: way.real and not way.native_auth, once=True)
"""Those inside of which RLPx runs."""
BY_UDP = cases(lambda way: way.carrier == "udp", once=True)
PROVE = cases(lambda way: way.real and way.native_auth, once=True)
HAVE_STREAMS = cases(lambda way: way.real and way.native_mux, once=True)
ON_ONE_STREAM = cases(lambda way: way.name in {"tcp", "tls"}, once=True)


@asynccontextmanager
async def attacked(case: Case, folder: Path, limits: Limits = PATIENT) -> AsyncGenerator[tuple[Ground, Node]]:
    async with open_ground(case.way, case.text, folder) as ground, node_of(ground, ALICE, Chat(), limits, listens=True) as alice:
        yield ground, alice


# T91: handshakes by UDP that are begun and left, each by a caller that shows that it is where it says


async def left(case: Case, folder: Path, limits: Limits, count: int = 20) -> int:
    """So many begin, and fall silent after some datagrams; how many the node has at most, while it serves others."""
    most = 0
    async with attacked(case, folder, limits) as (ground, alice), trio.open_nursery() as nursery:

        async def leave() -> None:
            fault = Fault(to_node=True, after=2, how="silence")
            async with between("udp", alice.addresses[0], fault) as middle:
                with suppress(OSError, HandshakeError):
                    link = await ground.transport(PrivateKey.generate()).dial(middle.address, expect=ALICE.public_key)
                    await link.aclose()
                await trio.sleep_forever()

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, alice._door.waiting)
                await trio.sleep(0.005)

        nursery.start_soon(watch)
        for _ in range(count):
            nursery.start_soon(leave)
        with trio.move_on_after(SOON / 2):
            while most <= 9 and limits.pending_inbound > 9:  # noqa: ASYNC110  (the control waits until it has come to that)
                await trio.sleep(0.01)
        await trio.sleep(0.3)
        async with node_of(ground, BOB, Chat()) as bob:
            with trio.fail_after(SOON):
                peer = await bob.connect(node_at(ALICE, alice.addresses[0]))
                assert (await peer[Chat].request(GetTime("abc"))).seconds == 3
        nursery.cancel_scope.cancel()
    return most


@pytest.mark.parametrize("case", BY_UDP)
async def test_t91_handshakes_by_udp_that_are_left_are_few_and_keep_nobody_out(case: Case, tmp_path: Path) -> None:
    assert await left(case, tmp_path, Limits(unheard_inbound=6, pending_inbound=3, crowded_timeout=0.1, inbound_retry=0)) <= 9


@pytest.mark.parametrize("case", BY_UDP)
async def test_t91_control_without_bounds_those_by_udp_are_held_too(case: Case, tmp_path: Path) -> None:
    assert await left(case, tmp_path, Limits(crowded_timeout=NEVER, handshake_timeout=NEVER, inbound_retry=0)) > 9


# T95: what H1 to H4 are, within whatever carries it


async def answered(ground: Ground, alice: Node, data: bytes) -> int:
    """How many bytes come back for these, up to the end of the link, or to the answer."""
    link: Link = await ground.transport(BOB).dial(alice.addresses[0], expect=ALICE.public_key)
    assert not isinstance(link, MuxLink)
    try:
        with trio.fail_after(SOON / 2):  # long before the node would give up waiting
            await link.stream.send_all(data)
            return len(await link.stream.receive_some())
    except trio.BrokenResourceError:
        return 0
    finally:
        await link.aclose()


@pytest.mark.parametrize("case", PROVE_NOBODY)
async def test_t95_a_bad_auth_ends_the_link_without_a_byte_whatever_is_wrong_with_it(case: Case, tmp_path: Path) -> None:
    async with attacked(case, tmp_path) as (ground, alice):
        kinds = [*bad_auths(alice).items()][:: 4 if case.way.name == "wss" else 1]  # each takes a handshake of TLS
        for name, data in kinds:
            assert not await answered(ground, alice, data), name
        assert await answered(ground, alice, auth(alice, 40)), "one that is good has its answer"
        assert not await answered(ground, alice, auth(alice, 40)), "and none when it is sent again"
        assert not alice.connected


@pytest.mark.parametrize("case", PROVE_NOBODY)
async def test_t95_control_where_nobody_remembers_auths_one_that_is_sent_again_is_answered(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SeenAuths, "is_new", lambda *_: True)
    async with attacked(case, tmp_path) as (ground, alice):
        assert await answered(ground, alice, auth(alice, 40))
        assert await answered(ground, alice, auth(alice, 40))


# T96: another node than the one that was called (the attack itself is in transports/test_conformance.py)


@pytest.mark.parametrize("case", PROVE)
async def test_t96_control_who_expects_nobody_takes_whoever_is_there(case: Case, tmp_path: Path) -> None:
    async with attacked(case, tmp_path) as (ground, alice):
        link = await ground.transport(BOB).dial(alice.addresses[0], expect=None)
        assert link.peer == ALICE.public_key
        await link.aclose()
        with pytest.raises(PeerMismatch):
            await ground.transport(BOB).dial(alice.addresses[0], expect=CAROL.public_key)


# T97: a capability that floods another side that takes nothing of it (F11)


def pipe(run: Run) -> Chat:
    """A second capability with the messages of `Chat`."""
    return chat(run, name="pipe")


async def beside_a_flood(case: Case, folder: Path) -> int:
    """How many of ten questions of one capability are answered while another one floods a node that takes nothing of that."""
    sent = 0

    async def flood(_: Peer, channel: Channel[ChatMessage]) -> None:
        nonlocal sent
        while True:
            await channel.send(Blob(NOISE))
            sent += 1

    async def deaf(_: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        await trio.sleep_forever()

    limits = Limits(inbox_patience=NEVER, ping_interval=NEVER, write_timeout=NEVER, inbox_bytes=2**18)
    async with open_ground(case.way, case.text, folder) as ground:
        here = open_node(
            ALICE, [Chat(), pipe(deaf)], listen=[ground.text], transports=[ground.transport(ALICE)], limits=limits, dpx=False, strict=True
        )
        there = open_node(BOB, [Chat(), pipe(flood)], transports=[ground.transport(BOB)], limits=limits, dpx=False, strict=True)
        async with here as alice, there as bob:
            peer = await bob.connect(node_at(ALICE, alice.addresses[0]))
            before = -1
            with trio.fail_after(SOON):
                while not sent or sent != before:  # until no more is taken
                    before = sent
                    await trio.sleep(0.1)
            answers = 0
            with trio.move_on_after(SOON if peer.link.native_mux else 0.5):
                for _ in range(10):
                    await peer[next(type(one) for one in peer.capabilities if one.name == "chat")].request(GetTime("abc"))
                    answers += 1
            peer.disconnect(DisconnectReason.REQUESTED)
    return answers


@pytest.mark.parametrize("case", HAVE_STREAMS)
async def test_t97_a_flooded_stream_holds_up_no_other_capability(case: Case, tmp_path: Path) -> None:
    assert await beside_a_flood(case, tmp_path) == 10


@pytest.mark.parametrize("case", ON_ONE_STREAM)
async def test_t97_control_on_one_stream_without_patience_or_credit_nothing_gets_through(case: Case, tmp_path: Path) -> None:
    assert await beside_a_flood(case, tmp_path) == 0
