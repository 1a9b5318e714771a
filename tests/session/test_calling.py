"""Calls: which address leads to a node, how long each step takes, and how a node that refuses, breaks rules or hangs up is told apart."""

import inspect
import random
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import (
    Address,
    DialError,
    DisconnectReason,
    HandshakeError,
    Limits,
    LocalNode,
    NodeRecord,
    PeerDisconnected,
    PrivateKey,
    Progress,
    PublicKey,
    RemoteProtocolError,
    Transport,
    call,
    dial,
    local_node,
    open_node,
    rlp,
)
from devp2p.testing import MemoryTransport, ScriptedPeer
from devp2p.transports import MemoryMuxTransport
from devp2p.transports.links import ByteLink
from devp2p.wire import base
from tests.chat import Chat
from tests.network import LARGE, SMALL, Network, listening_script, silence

NODE, NOBODY, QUIC, SHUT = Address("memory", "node"), Address("memory", "nobody"), Address("quic", "1.2.3.4", 5), Address("memory", "x", 0)
NOISE = random.Random(1).randbytes(10_000)  # what snappy cannot make smaller
DEAF, MUTE = Address("memory", "deaf"), Address("memory", "mute")


class Deaf(MemoryTransport):
    """Where nobody answers, for as long as one asks."""

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
        if address in {DEAF, MUTE}:
            await trio.sleep_forever()
        return await super().dial(address, expect=expect)


@asynccontextmanager
async def a_node(kind: str) -> AsyncIterator[Transport]:
    """A node with links of one kind, and the transport by which SMALL calls it."""
    theirs: Transport
    ours: Transport
    if kind == "streams":
        theirs = mux = MemoryMuxTransport(key=LARGE.public_key)
        ours = MemoryMuxTransport(mux, key=SMALL.public_key)
    elif kind == "proof":
        theirs = memory = MemoryTransport(key=LARGE.public_key)
        ours = MemoryTransport(memory, key=SMALL.public_key)
    else:
        theirs = ours = MemoryTransport()
    async with open_node(LARGE, [Chat()], listen=[str(NODE)], client_id="a node", transports=[theirs], strict=True):
        yield ours


@pytest.mark.parametrize(
    ("kind", "steps"), [("bare", ["connect", "handshake", "hello"]), ("proof", ["connect", "hello"]), ("streams", ["connect", "hello"])]
)
async def test_a_node_is_called_over_links_of_all_kinds(kind: str, steps: list[str]) -> None:
    progress = Progress()
    async with a_node(kind) as transport:
        session = await call(NodeRecord(LARGE.public_key, (NODE,)), local_node(SMALL), [transport], timeout=7, progress=progress)
        assert (session.hello.client_id, [str(offer) for offer in session.hello.capabilities]) == ("a node", ["chat/1"])
        assert (session.public_key, session.inbound, session.hello) == (LARGE.public_key, False, progress.hello)
        await wait_all_tasks_blocked()  # else it would see us leave first
        assert await session.refuse(DisconnectReason.CLIENT_QUITTING) == DisconnectReason.USELESS_PEER
    assert (progress.address, progress.failures, list(progress.seconds)) == (NODE, {}, steps)


# Dials


async def test_each_address_is_tried_and_what_is_wrong_there_is_told() -> None:
    progress = Progress()
    record = NodeRecord(LARGE.public_key, (NOBODY, QUIC, SHUT, DEAF))
    with pytest.raises(DialError) as caught:
        await dial(record, [Deaf()], progress=progress)
    assert str(caught.value) == (
        "memory://nobody: nobody listens at memory://nobody; "
        "quic://1.2.3.4:5: no transport for quic://1.2.3.4:5: this node has memory; "
        f"{SHUT}: port 0 says that the node does not take connections; "
        "memory://deaf: no answer within 15 s"
    )
    assert (caught.value.target, caught.value.reason) == (record, None)
    assert {address: type(error) for address, error in progress.failures.items()} == {
        NOBODY: ConnectionRefusedError, QUIC: ValueError, SHUT: ValueError, DEAF: trio.TooSlowError
    }  # fmt: skip
    assert (progress.address, progress.awaited, progress.seconds) == (DEAF, "connect", {})


@pytest.mark.parametrize(
    ("addresses", "timeout", "each", "within"),
    [
        ([DEAF, MUTE], 10, 15, ["10 s", "9.75 s"]),
        ([NOBODY, DEAF, MUTE], 10, 15, ["10 s", "9.75 s"]),
        ([QUIC, SHUT, DEAF], 10, 15, ["10 s"]),
        ([DEAF, MUTE], 10, 2, ["2 s", "2 s"]),
        ([DEAF], 30, 15, ["15 s"]),
    ],
)
async def test_no_address_has_longer_than_all_together(addresses: list[Address], timeout: float, each: float, within: list[str]) -> None:  # noqa: ASYNC109
    began = trio.current_time()
    with pytest.raises(DialError) as caught:
        await dial(NodeRecord(LARGE.public_key, tuple(addresses)), [Deaf()], timeout=timeout, each=each)
    assert trio.current_time() - began == pytest.approx(min(timeout, each + 0.25 * (len(within) - 1)))
    told = [part.rpartition(" within ")[2] for part in str(caught.value).split("; ") if " within " in part]
    assert told == within


async def test_a_dead_address_leaves_time_for_the_one_where_the_node_is() -> None:
    network, progress = Deaf(), Progress()
    listener = await network.bind(NODE)
    enode = f"enode://{bytes(LARGE.public_key).hex()}"
    link = await dial(NodeRecord(LARGE.public_key, (DEAF, NODE)), [network], timeout=8, progress=progress)
    assert (link.remote, progress.address, progress.failures, progress.seconds) == (NODE, NODE, {}, {"connect": 0})
    assert trio.current_time() == 0.25
    await link.aclose()
    await listener.aclose()
    with pytest.raises(DialError, match="has no address"):
        await dial(enode)
    with pytest.raises(ValueError, match="a node is written enode://"):
        await dial("not a node")


# What comes of calls


async def refuse(peer: ScriptedPeer) -> None:
    await peer.shake_hands()
    await peer.disconnect(DisconnectReason.TOO_MANY_PEERS)


async def hang_up(peer: ScriptedPeer) -> None:
    await peer.shake_hands()
    await peer.stream.aclose()


async def leave_at_once(peer: ScriptedPeer) -> None:
    await peer.shake_hands()
    await peer.say_hello()
    await peer.disconnect(DisconnectReason.TOO_MANY_PEERS)
    await peer.stream.aclose()


async def try_to(behave: object, progress: Progress, local: LocalNode | None = None) -> Exception:
    """Call a node that does not behave; what comes of it."""
    network = Network()
    async with listening_script(network, behave) as record:
        with pytest.raises((PeerDisconnected, RemoteProtocolError, trio.TooSlowError)) as caught:
            await call(record, local or local_node(SMALL), [network], timeout=4, progress=progress)
    return caught.value


async def test_a_refusal_is_no_hanging_up() -> None:
    for behave, reason, hung_up in (
        (refuse, DisconnectReason.TOO_MANY_PEERS, False),
        (hang_up, DisconnectReason.NETWORK_ERROR, True),
    ):
        error = await try_to(behave, progress := Progress())
        assert isinstance(error, PeerDisconnected)
        assert (error.reason, error.by_remote, error.hung_up) == (reason, True, hung_up)
        assert (list(progress.seconds), progress.awaited, progress.hello) == (["connect", "handshake"], "hello", None)


async def test_a_disconnect_that_names_the_network_is_a_refusal() -> None:
    async def behave(peer: ScriptedPeer) -> None:
        await peer.shake_hands()
        await peer.disconnect(DisconnectReason.NETWORK_ERROR)

    error = await try_to(behave, Progress())
    assert isinstance(error, PeerDisconnected)
    assert not error.hung_up


async def test_what_a_node_says_of_itself_is_known_though_it_left_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devp2p.session.opening.CHUNK", 100)  # so that it has left when we are ready to say Hello
    error = await try_to(leave_at_once, progress := Progress())
    assert isinstance(error, PeerDisconnected)
    assert error.reason == DisconnectReason.TOO_MANY_PEERS
    assert progress.hello is not None
    assert (progress.hello.client_id, list(progress.seconds)) == ("scripted", ["connect", "handshake", "hello"])


@pytest.mark.parametrize(("handshake_timeout", "after"), [(5.0, 4), (3.0, 3)])
async def test_a_silent_node_is_waited_for_as_long_as_caller_and_limits_want(handshake_timeout: float, after: float) -> None:
    began = trio.current_time()
    error = await try_to(silence, progress := Progress(), local_node(SMALL, limits=Limits(handshake_timeout=handshake_timeout)))
    assert isinstance(error, trio.TooSlowError)
    assert (progress.awaited, list(progress.seconds), trio.current_time() - began) == ("handshake", ["connect"], after)


async def test_a_fault_is_a_fault_though_the_node_hung_up_before_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devp2p.session.opening.CHUNK", 100)

    async def behave(peer: ScriptedPeer) -> None:
        await peer.shake_hands()
        await peer.hear_hello()
        await peer.send(base.HELLO, rlp.encode([]), compress=False)
        await peer.stream.aclose()

    assert isinstance(await try_to(behave, Progress()), RemoteProtocolError)


async def test_what_a_node_says_of_itself_is_known_though_a_fault_came_with_it() -> None:
    async def behave(peer: ScriptedPeer) -> None:
        await peer.shake_hands()
        await peer.stream.send_all(peer.seal(rlp.encode(base.HELLO) + base.encode_hello(peer.hello)) + bytes(100))
        await peer.receive_end()

    error = await try_to(behave, progress := Progress())
    assert isinstance(error, HandshakeError)
    assert progress.hello is not None
    assert progress.hello.client_id == "scripted"


async def test_the_limits_of_this_side_hold_for_dials_too() -> None:
    record = NodeRecord(LARGE.public_key, (DEAF, MUTE))
    with pytest.raises(DialError, match=r"memory://deaf: no answer within 2 s; memory://mute: no answer within 2 s"):
        await call(record, local_node(SMALL, limits=Limits(dial_timeout=2)), [Deaf()], timeout=10)
    with pytest.raises(DialError, match=r"memory://deaf: no answer within 1.4 s; memory://mute: no answer within 1.15 s"):
        await call(record, local_node(SMALL), [Deaf()], timeout=1.4)


async def test_what_is_no_local_node_is_told_how_to_make_one() -> None:
    with pytest.raises(TypeError, match=r"local_node\(key\) makes one"):
        await call(NodeRecord(LARGE.public_key, (NODE,)), SMALL)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="key is a PrivateKey"):
        local_node(b"1" * 32)  # type: ignore[arg-type]


# Goodbyes


@pytest.mark.parametrize(("megabytes", "heard"), [(0.1, DisconnectReason.USELESS_PEER), (3, None)])
async def test_who_is_refused_is_listened_to_for_its_reason_but_not_for_long(megabytes: float, heard: DisconnectReason | None) -> None:
    async def behave(peer: ScriptedPeer) -> None:
        await peer.begin()
        assert await peer.receive_disconnect() == DisconnectReason.CLIENT_QUITTING
        for _ in range(int(megabytes * 100)):
            await peer.send(0x10, rlp.encode([NOISE]))
        await peer.disconnect(DisconnectReason.USELESS_PEER)
        await peer.stream.aclose()

    network = Network()
    async with listening_script(network, behave) as record:
        session = await call(record, local_node(SMALL, [Chat()]), [network])
        assert await session.refuse(DisconnectReason.CLIENT_QUITTING) == heard
        held = 0
        while (event := session.connection.next_event()) is not None:
            held += getattr(event, "wire_size", 0)
        assert held <= 256 * 1024


async def test_who_has_left_first_is_told_nothing() -> None:
    heard: list[int] = []

    async def behave(peer: ScriptedPeer) -> None:
        await peer.shake_hands()
        hello = peer.seal(rlp.encode(base.HELLO) + base.encode_hello(peer.hello))
        farewell = peer.seal(rlp.encode(base.DISCONNECT) + base.encode_disconnect(DisconnectReason.TOO_MANY_PEERS))
        await peer.stream.send_all(hello + farewell)
        with suppress(trio.EndOfChannel):
            while True:
                heard.append((await peer.receive())[0])

    network = Network()
    async with listening_script(network, behave) as record:
        session = await call(record, local_node(SMALL), [network])
        assert await session.refuse(DisconnectReason.CLIENT_QUITTING) == DisconnectReason.TOO_MANY_PEERS
        await wait_all_tasks_blocked()
    assert heard == [base.HELLO]


async def test_a_goodbye_that_is_cancelled_closes_the_link() -> None:
    closed = trio.Event()

    async def behave(peer: ScriptedPeer) -> None:
        await peer.begin()
        await peer.receive_disconnect()
        await peer.receive_end()
        await trio.sleep(0.55)  # until the caller has given up
        with pytest.raises(trio.BrokenResourceError):
            await peer.ping()
        closed.set()

    network = Network()
    async with listening_script(network, behave) as record:
        session = await call(record, local_node(SMALL), [network])
        with trio.move_on_after(0.5):
            await session.refuse(DisconnectReason.CLIENT_QUITTING)
        with trio.fail_after(0.1):
            await closed.wait()


# The example of `local_node`


async def test_the_example_in_the_docstring_runs_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = (inspect.getdoc(local_node) or "").splitlines()
    example = "\n".join(line for line in lines if line.startswith("    "))
    program = f"async def program(enode, call):\n{example}\n"
    names = {"local_node": local_node, "PrivateKey": PrivateKey, "DisconnectReason": DisconnectReason}
    exec(textwrap.dedent(program), names)  # noqa: S102
    async with a_node("bare") as transport:

        async def in_memory(node: str, local: LocalNode) -> object:
            return await call(node, local, [transport])

        await names["program"](f"memory://{bytes(LARGE.public_key).hex()}@node", in_memory)  # type: ignore[operator]
    assert capsys.readouterr().out == "a node chat/1\n"
