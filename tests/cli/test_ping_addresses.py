"""`devp2p ping` gives each address of a node its chance, and none that has no chance; over links of any kind.

Where it is given nothing but an address it asks whoever is there for its key.
"""

import json
import re
from argparse import ArgumentTypeError
from typing import Any

import pytest
import trio

from devp2p import Address, NodeRecord, PrivateKey, open_node
from devp2p.cli import main
from devp2p.cli.ping import ping, show
from devp2p.terminal.arguments import node_or_address
from devp2p.terminal.output import Exit
from devp2p.testing import MemoryTransport
from devp2p.transports import MemoryMuxTransport
from devp2p.transports.links import require_peer
from tests.chat import Chat

KEY, OTHER = PrivateKey.generate(), PrivateKey.generate()
NODE, NOBODY = Address("memory", "node"), Address("memory", "nobody")
TIMEOUT = 7.0


async def test_an_address_that_does_not_answer_leaves_time_for_the_others():
    class Network(MemoryTransport):
        async def dial(self, address, *, expect):
            if address == NOBODY:
                await trio.sleep_forever()
            return await super().dial(address, expect=expect)

    async with open_node(KEY, [Chat()], listen=["memory://node"], transports=[network := Network()]):
        answer = await ping(NodeRecord(KEY.public_key, (NOBODY, NODE)), OTHER, timeout=TIMEOUT, transports=[network])
        assert answer.status is Exit.OK
        answer = await ping(NodeRecord(KEY.public_key, (NODE, NOBODY)), OTHER, timeout=TIMEOUT, transports=[network])
        assert answer.status is Exit.OK
        answer = await ping(NodeRecord(KEY.public_key, (NOBODY,)), OTHER, timeout=TIMEOUT, transports=[network])
        assert (answer.status, answer.error) == (Exit.FAILED, "no connection within 7 s")


async def test_addresses_that_cannot_be_dialled_do_not_keep_from_those_that_can():
    record = NodeRecord(KEY.public_key, (Address("quic", "1.2.3.4", 5), Address("memory", "node", 0), NODE))
    async with open_node(KEY, [Chat()], listen=["memory://node"], transports=[network := MemoryTransport()]):
        answer = await ping(record, OTHER, timeout=TIMEOUT, transports=[network])
        assert (answer.status, answer.address) == (Exit.OK, NODE)
        answer = await ping(NodeRecord(KEY.public_key, record.addresses[:2]), OTHER, timeout=TIMEOUT, transports=[network])
        assert (answer.status, answer.error) == (Exit.FAILED, "no transport for quic://1.2.3.4:5: this node has memory")


async def test_another_node_at_the_address_is_told_and_the_next_one_tried():
    class Proving(MemoryTransport):
        async def dial(self, address, *, expect):
            if address == NOBODY:
                require_peer(OTHER.public_key, expect, address)
            return await super().dial(address, expect=expect)

    async with open_node(KEY, [Chat()], listen=["memory://node"], transports=[network := Proving()]):
        answer = await ping(NodeRecord(KEY.public_key, (NOBODY, NODE)), OTHER, timeout=TIMEOUT, transports=[network])
        assert answer.status is Exit.OK
        answer = await ping(NodeRecord(KEY.public_key, (NOBODY,)), OTHER, timeout=TIMEOUT, transports=[network])
        assert answer.status is Exit.FAILED
        assert answer.error.startswith("the handshake failed: at memory://nobody is the node with the key")


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("network", [MemoryTransport, MemoryMuxTransport])
async def test_over_a_link_that_proves_the_node_there_is_no_handshake(network, as_json, capsys):
    theirs = network(key=KEY.public_key)
    async with open_node(KEY, [Chat()], listen=["memory://node"], transports=[theirs]):
        ours = network(theirs, key=OTHER.public_key)
        answer = await ping(NodeRecord(KEY.public_key, (NODE,)), OTHER, timeout=TIMEOUT, transports=[ours])
    assert (answer.status, list(answer.seconds)) == (Exit.OK, ["connect", "hello"])
    show(answer, as_json=as_json)
    shown = capsys.readouterr().out
    if as_json:
        assert json.loads(shown)["seconds"]["handshake"] is None
    else:
        assert shown.count(" ms") == 2


@pytest.mark.parametrize("network", [MemoryTransport, MemoryMuxTransport])
async def test_a_node_that_proved_itself_and_says_nothing_is_not_told_to_have_another_key(network):
    links: list[Any] = []

    async def on_link(link):
        links.append(link)

    theirs = network(key=KEY.public_key)
    listener = await theirs.bind(NODE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, on_link)
        ours = network(theirs, key=OTHER.public_key)
        answer = await ping(NodeRecord(KEY.public_key, (NODE,)), OTHER, timeout=TIMEOUT, transports=[ours])
        nursery.cancel_scope.cancel()
    assert (answer.status, answer.error, list(answer.seconds)) == (Exit.FAILED, "no Hello within 7 s", ["connect"])
    for link in links:
        await link.aclose()


# An address without a key


@pytest.mark.parametrize("as_json", [False, True])
async def test_a_node_that_tells_its_key_is_shown_with_it(as_json, capsys):
    network = MemoryTransport()
    async with open_node(KEY, [Chat()], listen=["memory://node"], transports=[network], reveal_key=True):
        answer = await ping(NODE, OTHER, timeout=TIMEOUT, transports=[network])
    assert (answer.status, answer.record) == (Exit.OK, NodeRecord(KEY.public_key, (NODE,)))
    show(answer, as_json=as_json)
    shown = capsys.readouterr().out
    enode = NodeRecord(KEY.public_key, (NODE,)).enode
    if as_json:
        read = json.loads(shown)
        assert (read["enode"], read["public_key"], read["id"]) == (enode, bytes(KEY.public_key).hex(), KEY.public_key.node_id.hex())
        assert read["session"]["protocol"] == "dpx/1"
    else:
        assert f"enode         {enode}\n" in shown


@pytest.mark.parametrize("as_json", [False, True])
async def test_a_node_that_does_not_tell_its_key_hangs_up_and_what_to_write_instead_is_said(as_json, capsys):
    network = MemoryTransport()
    async with open_node(KEY, [Chat()], listen=["memory://node"], transports=[network]):
        answer = await ping(NODE, OTHER, timeout=TIMEOUT, transports=[network])
    assert (answer.status, answer.record) == (Exit.FAILED, None)
    show(answer, as_json=as_json)
    shown = capsys.readouterr()
    error = (
        "the node hung up before its answer to the handshake: it speaks no dpx/1 prelude, or tells nobody its key: write its key before "
        "the address, as in enode://<public key>@HOST:PORT"
    )
    if as_json:
        read = json.loads(shown.out)
        assert (read["status"], read["enode"], read["public_key"], read["id"], read["error"]) == ("unreachable", None, None, None, error)
    else:
        assert shown.err == f"devp2p: memory://node: {error}\n"


async def test_one_that_waits_for_more_of_so_large_a_packet_is_told_of_too():
    """As stock nodes may that judge a packet by its size when it is whole."""
    network, links = MemoryTransport(), list[Any]()

    async def on_link(link):
        links.append(link)

    listener = await network.bind(NODE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, on_link)
        answer = await ping(NODE, OTHER, timeout=TIMEOUT, transports=[network])
        nursery.cancel_scope.cancel()
    assert answer.error.startswith("no answer to the handshake within 7 s: it speaks no dpx/1 prelude")
    for link in links:
        await link.aclose()


async def test_a_node_at_an_address_that_cannot_be_reached():
    network = MemoryTransport()
    answer = await ping(NOBODY, OTHER, timeout=TIMEOUT, transports=[network])
    assert (answer.status, answer.record, answer.address) == (Exit.FAILED, None, NOBODY)
    answer = await ping(Address("quic", "1.2.3.4", 5), OTHER, timeout=TIMEOUT, transports=[network])
    assert answer.error == "no transport for quic://1.2.3.4:5: this node has memory"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("tcp://127.0.0.1:30303", Address("tcp", "127.0.0.1", 30303)),
        ("tcp://[::1]:30303", Address("tcp", "::1", 30303)),
        ("unix:///run/a@b.sock", Address("unix", "/run/a@b.sock")),
        (f"tcp://{bytes(KEY.public_key).hex()}@[::1]:30303", NodeRecord(KEY.public_key, (Address("tcp", "::1", 30303),))),
        (f"unix://{bytes(KEY.public_key).hex()}@/run/sock", NodeRecord(KEY.public_key, (Address("unix", "/run/sock"),))),
    ],
)
def test_an_address_is_told_from_a_node(text, read):
    assert node_or_address(text) == read


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tcp://127.0.0.1", "the port is missing in '127.0.0.1'"),
        ("tcp://127.0.0.1:0", "is where one can listen, and not dial: write a host and a port above 0"),
        ("tcp://*:30303", "is where one can listen, and not dial"),
        ("tcp://12@127.0.0.1:30303", "a node's public key is 128 hex digits, not 2 characters"),
        ("enode://127.0.0.1:30303", "a node's public key is 128 hex digits"),
        ("nope://127.0.0.1:1", "a node's public key is 128 hex digits"),
    ],
)
def test_what_is_neither_is_explained(text, problem):
    with pytest.raises(ArgumentTypeError, match=re.escape(problem)):
        node_or_address(text)


def test_a_node_that_tells_its_key_has_to_speak_dpx(capsys):
    with pytest.raises(SystemExit) as exited:
        main(["node", "--capability", "examples.chat:Chat", "--no-dpx", "--reveal-key"])
    assert exited.value.code == Exit.USAGE
    assert "--reveal-key answers a question that dpx/1 asks, and --no-dpx does not speak it" in capsys.readouterr().err
