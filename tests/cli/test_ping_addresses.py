"""`devp2p ping` gives each address of a node its chance, and none that has no chance; over links of any kind."""

import json
from typing import Any

import pytest
import trio

from devp2p import Address, NodeRecord, PrivateKey, open_node
from devp2p.cli.output import Exit
from devp2p.cli.ping import ping, show
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
        assert (answer.status, answer.error) == (Exit.FAILED, "no transport for quic://1.2.3.4:5")


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
