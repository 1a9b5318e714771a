"""Calling nodes: those that answer, those that refuse, and those that do not answer as they should."""

import dataclasses
import json
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
import trio

import devp2p.session.opening
from devp2p import Address, DisconnectReason, Node, NodeRecord, PeerRefused, PrivateKey, open_node
from devp2p.cli import main
from devp2p.cli.ping import Answer, ping
from devp2p.terminal.output import Exit
from devp2p.testing import MemoryTransport, ScriptedPeer
from devp2p.transports.links import ByteLink
from devp2p.trust import STOCK
from devp2p.wire import base
from tests.chat import Chat
from tests.cli.processes import COMMAND, PATIENCE, ROOT, closed_port, write_secret

KEY = PrivateKey.generate()
OTHER = PrivateKey.generate()
NODE, NOBODY = Address("memory", "node"), Address("memory", "nobody")
HERE = NodeRecord(KEY.public_key, (NODE,))
TIMEOUT = 7.0

Behaviour = Callable[[ScriptedPeer], Awaitable[object]]


async def call(behave: Behaviour, record: NodeRecord = HERE) -> Answer:
    """Ping a node that does as it is told, from the first byte on; its link is closed afterwards."""
    network = MemoryTransport()

    async def serve(link: ByteLink) -> None:
        stream = link.stream
        with suppress(trio.EndOfChannel):
            await behave(ScriptedPeer(stream, [Chat()], key=KEY))
        await stream.aclose()

    async with trio.open_nursery() as nursery:

        async def on_link(link: ByteLink) -> None:
            await trio.lowlevel.checkpoint()
            nursery.start_soon(serve, link)

        nursery.start_soon((await network.bind(NODE)).serve, on_link)
        answer = await ping(record, OTHER, timeout=TIMEOUT, transports=[network])
        nursery.cancel_scope.cancel()
    return answer


async def begin(peer: ScriptedPeer) -> None:
    await peer.begin()


async def shake_hands(peer: ScriptedPeer) -> None:
    await peer.shake_hands()


async def hang_up(_: ScriptedPeer) -> None:
    await trio.lowlevel.checkpoint()


async def stay_silent(_: ScriptedPeer) -> None:
    await trio.sleep_forever()


async def stay_silent_after_handshake(peer: ScriptedPeer) -> None:
    await peer.shake_hands()
    await trio.sleep_forever()


async def say_nonsense(peer: ScriptedPeer) -> None:
    await peer.stream.send_all(b"HTTP/1.1 400 Bad Request\r\n" * 20)
    await trio.sleep_forever()


async def damage_a_frame(peer: ScriptedPeer) -> None:
    await peer.shake_hands()
    await peer.stream.send_all(bytes(100))
    await trio.sleep_forever()


async def name_another_key(peer: ScriptedPeer) -> None:
    peer.hello = dataclasses.replace(peer.hello, public_key=OTHER.public_key)
    await peer.begin()
    await trio.sleep_forever()


# What comes of a call


async def test_a_node_says_what_it_is_and_hears_that_the_call_is_over():
    farewells = []

    async def behave(peer):
        hello = await peer.begin()
        assert hello.capabilities == ()
        farewells.append(await peer.receive_disconnect())

    answer = await call(behave)
    assert answer.status is Exit.OK
    assert answer.profile == STOCK  # a scripted peer has no dpx/1
    assert answer.hello is not None
    assert (answer.hello.client_id, [str(offer) for offer in answer.hello.capabilities]) == ("scripted", ["chat/1"])
    assert (answer.farewell, answer.error) == (None, "")
    assert farewells == [DisconnectReason.CLIENT_QUITTING]


async def test_each_step_is_timed():
    async def behave(peer):
        await trio.sleep(2)
        await peer.shake_hands()
        await trio.sleep(3)
        await peer.say_hello()
        await peer.receive_end()

    answer = await call(behave)
    assert {step: round(seconds, 3) for step, seconds in answer.seconds.items()} == {"connect": 0, "handshake": 2, "hello": 3}


@pytest.mark.parametrize("read_first", [False, True])
async def test_a_disconnect_instead_of_hello_is_a_refusal_by_a_living_node(read_first):
    async def behave(peer):
        await peer.shake_hands()
        if read_first:
            await peer.receive()
        await peer.disconnect(DisconnectReason.TOO_MANY_PEERS)

    answer = await call(behave)
    assert (answer.status, answer.farewell, answer.hello) == (Exit.REFUSED, DisconnectReason.TOO_MANY_PEERS, None)
    assert list(answer.seconds) == ["connect", "handshake"]


async def test_a_refusal_is_not_answered():
    heard = []

    async def behave(peer):
        await peer.shake_hands()
        await peer.disconnect(DisconnectReason.TOO_MANY_PEERS)
        while True:
            heard.append((await peer.receive())[0])

    assert (await call(behave)).status is Exit.REFUSED
    assert heard == [base.HELLO]


async def test_a_refusal_is_read_though_the_node_has_hung_up(monkeypatch):
    async def behave(peer):
        await peer.shake_hands()
        await peer.disconnect(DisconnectReason.TOO_MANY_PEERS)

    monkeypatch.setattr(devp2p.session.opening, "CHUNK", 100)  # so that the ack is read, and our Hello sent, long after
    assert (await call(behave)).status is Exit.REFUSED


async def test_a_disconnect_after_hello_is_told_but_no_refusal():
    async def behave(peer):
        await peer.begin()
        await peer.disconnect(DisconnectReason.USELESS_PEER)

    answer = await call(behave)
    assert (answer.status, answer.farewell) == (Exit.OK, DisconnectReason.USELESS_PEER)


async def test_nonsense_after_hello_does_not_matter():
    async def behave(peer):
        await peer.shake_hands()
        await peer.say_hello()
        await peer.stream.send_all(bytes(100))
        await peer.receive_end()

    assert (await call(behave)).status is Exit.OK


async def test_a_node_that_never_closes_its_side_is_left_soon():
    async def behave(peer):
        await peer.begin()
        await trio.sleep_forever()

    began = trio.current_time()
    assert (await call(behave)).status is Exit.OK
    assert trio.current_time() - began < TIMEOUT


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (hang_up, "the node hung up before its answer to the handshake: it may have another key than the enode says, or be turning away"),
        (shake_hands, "the node hung up before its Hello"),
        (stay_silent, "no answer to the handshake within 7 s"),
        (stay_silent_after_handshake, "no Hello within 7 s"),
        (say_nonsense, "the handshake failed: a handshake packet of 18516 bytes"),
        (damage_a_frame, "the handshake failed: a frame header's MAC is wrong"),
        (name_another_key, "the node broke the rules: Hello names another node than the handshake"),
    ],
)
async def test_what_goes_wrong_is_told(behave, error):
    answer = await call(behave)
    assert (answer.status, answer.hello, answer.farewell) == (Exit.FAILED, None, None)
    assert answer.error.startswith(error)


async def test_who_breaks_the_rules_is_told_so():
    farewells = []

    async def behave(peer):
        peer.hello = dataclasses.replace(peer.hello, public_key=OTHER.public_key)
        await peer.begin()
        farewells.append(await peer.receive_disconnect())

    await call(behave)
    assert farewells == [DisconnectReason.UNEXPECTED_IDENTITY]


async def test_each_address_of_a_node_is_tried():
    answer = await call(begin, NodeRecord(KEY.public_key, (NOBODY, NODE)))
    assert (answer.status, answer.address) == (Exit.OK, NODE)


async def test_nobody_listens():
    answer = await call(begin, NodeRecord(KEY.public_key, (NOBODY,)))
    assert (answer.status, answer.error) == (Exit.FAILED, "nobody listens at memory://nobody")


# The command


async def command(*argv: str) -> int:
    """Run `devp2p ping` in a thread, beside the nodes of the test."""
    return await trio.to_thread.run_sync(main, ["ping", *argv])


def one_node(**options):
    return open_node(KEY, [Chat()], listen=["tcp://127.0.0.1:0"], client_id="a \x1b[31mnode", **options)


async def refusal(node: Node) -> PeerRefused:
    async for event in node.events():
        assert isinstance(event, PeerRefused)
        return event
    raise AssertionError


@pytest.mark.real_clock
async def test_text_for_a_node_that_shares_nothing(capsys):
    async with one_node() as node:
        assert await command(node.enode) == Exit.OK
        lines = [line.split("  ", 1) for line in capsys.readouterr().out.splitlines()]
    shown = {name: value.strip() for name, value in lines}
    assert shown.pop("times").count(" ms") == 3
    assert shown.pop("session").startswith("dpx/1 (")
    assert shown.pop("it left with", "useless peer (0x03)") == "useless peer (0x03)"  # unless it saw us leave first
    assert shown == {
        "client": "a \\x1b[31mnode",
        "p2p version": "5",
        "capabilities": "chat/1",
        "node ID": KEY.public_key.node_id.hex(),
        "address": str(node.addresses[0]),
        "transport": "tcp, direct; proves nobody, so the session does",
    }


@pytest.mark.real_clock
async def test_json_for_a_node_that_shares_nothing(capsys, tmp_path):
    write_secret(tmp_path / "key", bytes(OTHER).hex())
    async with one_node() as node, trio.open_nursery() as nursery:
        nursery.start_soon(refusal, node)
        assert await command(node.enode, "--json", "--key", str(tmp_path / "key")) == Exit.OK
        shown = json.loads(capsys.readouterr().out)
    assert {name: type(value) for name, value in shown.pop("seconds").items()} == dict.fromkeys(("connect", "handshake", "hello"), float)
    assert shown.pop("disconnect") in (None, {"reason": 3, "reason_text": "useless peer (0x03)"})
    session = shown.pop("session")
    assert (session["protocol"], session["mode"], session["trust"], session["generation"]) == ("dpx/1", "plain", "stranger", 0)
    assert set(session) == {"protocol", "features", "mode", "trust", "generation", "why"}
    assert shown == {
        "status": "ok",
        "enode": node.enode,
        "public_key": bytes(KEY.public_key).hex(),
        "id": KEY.public_key.node_id.hex(),
        "address": str(node.addresses[0]),
        "transport": "tcp",
        "native_auth": False,
        "native_mux": False,
        "path": "direct",
        "client": "a \\x1b[31mnode",
        "p2p_version": 5,
        "capabilities": ["chat/1"],
        "listen_port": 0,
        "error": None,
    }


@pytest.mark.real_clock
@pytest.mark.parametrize("as_json", [False, True])
async def test_a_refusal_has_a_status_of_its_own(as_json, capsys):
    async def serve(stream):
        peer = ScriptedPeer(stream, key=KEY)
        await peer.shake_hands()
        await peer.disconnect(DisconnectReason.TOO_MANY_PEERS)
        await peer.receive_end()

    async with trio.open_nursery() as nursery:
        listener, *_ = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        enode = NodeRecord(KEY.public_key, (Address("tcp", *listener.socket.getsockname()),)).enode
        assert await command(enode, *(["--json"] if as_json else [])) == Exit.REFUSED
        nursery.cancel_scope.cancel()
    output = capsys.readouterr()
    assert output.err == ""
    if as_json:
        shown = json.loads(output.out)
        assert (shown["status"], shown["disconnect"]) == ("refused", {"reason": 4, "reason_text": "too many peers (0x04)"})
        assert (shown["client"], shown["seconds"]["hello"]) == (None, None)
    else:
        assert output.out.startswith("the node is there, but refused us: too many peers (0x04)\n")


def test_a_closed_port(capsys):
    where = closed_port()
    assert main(["ping", f"enode://{bytes(KEY.public_key).hex()}@{where}"]) == Exit.FAILED
    assert capsys.readouterr() == ("", f"devp2p: tcp://{where}: connection refused\n")


def test_a_closed_port_as_json(capsys):
    assert main(["ping", "--json", f"enode://{bytes(KEY.public_key).hex()}@{closed_port()}"]) == Exit.FAILED
    output = capsys.readouterr()
    assert output.err == ""
    shown = json.loads(output.out)
    assert (shown["status"], shown["error"]) == ("unreachable", "connection refused")


def test_a_socket_that_does_not_exist(tmp_path, capsys):
    assert main(["ping", f"unix://{bytes(KEY.public_key).hex()}@{tmp_path}/sock"]) == Exit.FAILED
    assert capsys.readouterr().err == f"devp2p: unix://{tmp_path}/sock: no such file or directory\n"


@pytest.mark.real_clock
async def test_a_wrong_key(capsys):
    async with one_node() as node:
        assert await command(NodeRecord(OTHER.public_key, node.addresses).enode, "--timeout", "20") == Exit.FAILED
    assert "it may have another key than the enode says" in capsys.readouterr().err


def test_an_interrupt_ends_it_without_a_traceback():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        enode = NodeRecord(KEY.public_key, (Address("tcp", *silent.getsockname()),)).enode
        with subprocess.Popen([*COMMAND, "ping", enode], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(1)  # it is waiting for our answer
                process.send_signal(signal.SIGINT)
                assert process.communicate(timeout=PATIENCE) == (b"", b"")
                assert process.returncode == 130


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["hello"], "argument ENODE: a node is written enode://"),
        (["enode://12@127.0.0.1:1"], "argument ENODE: a node's public key is 128 hex digits, not 2 characters"),
        ([f"enode://{bytes(KEY.public_key).hex()}"], "argument ENODE: it names a node but no address to dial"),
        ([f"enode://{bytes(KEY.public_key).hex()}@127.0.0.1:0"], "argument ENODE: it says port 0: the node does not take connections"),
        ([f"nope://{bytes(KEY.public_key).hex()}@127.0.0.1:1"], "argument ENODE: there is no transport 'nope': use "),
        ([HERE.enode.replace("memory", "unix"), "--timeout", "0"], "argument --timeout: a number of seconds above 0 is wanted, not '0'"),
        ([HERE.enode.replace("memory", "unix"), "--timeout", "soon"], "argument --timeout: a number of seconds above 0 is wanted"),
    ],
)
def test_wrong_arguments_are_explained(argv, problem, capsys):
    with pytest.raises(SystemExit) as exited:
        main(["ping", *argv])
    assert exited.value.code == Exit.USAGE
    assert f"devp2p ping: error: {problem}" in capsys.readouterr().err


def test_a_missing_key_file_is_not_taken_for_an_unreachable_node(tmp_path, capsys):
    assert main(["ping", HERE.enode.replace("memory", "unix"), "--key", str(tmp_path / "none")]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("devp2p: there is no key file ")
