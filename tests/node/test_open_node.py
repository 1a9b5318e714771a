"""What a user gets wrong in opening a node, and in using one, is said at once, and says what to write instead."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from devp2p import Capability, DialError, DisconnectReason, DiscoverySettings, Limits, LocalProtocolError, NodeRecord, PrivateKey, open_node
from devp2p.discovery import open_discovery
from devp2p.testing import MemoryTransport, scripted_peer, two_nodes
from devp2p.transports.tcp import TcpTransport
from tests.wire.handshakes import Constant
from tests.wire.test_extension import broken

KEY = PrivateKey(bytes(31) + b"\x01")
OTHER = PrivateKey(bytes(31) + b"\x02").public_key
OPEN: Any = open_node
DISCOVERY: Any = open_discovery
SETTINGS: Any = DiscoverySettings
NOWHERE = f"enode://{bytes(OTHER).hex()}"


@dataclass(frozen=True)
class Say:
    text: str


class Chat(Capability[Say]):
    name, version, messages = "chat", 1, {0: Say}

    async def run(self, peer: Any, channel: Any) -> None:  # noqa: ARG002  (all that is wanted of it is that it goes on)
        async for _ in channel:
            pass


class Sure(Chat):
    name = "sure"
    slots, minimum = 60, 60


class Other(Chat):
    name = "other"


async def candidates() -> AsyncIterator[NodeRecord]:
    yield NodeRecord(OTHER)


async def opening(*arguments: Any, **options: Any) -> None:
    async with OPEN(*arguments, **options):
        pytest.fail("it opened")


WRONG_ARGUMENTS = [
    # what is wrong, the error, what the message says
    ({"key": bytes(32)}, TypeError, "key is a PrivateKey, not bytes: PrivateKey.from_bytes(...) makes one of 32 bytes"),
    ({"key": "ab" * 32}, TypeError, "key is a PrivateKey, not a str"),
    (
        {"capabilities": [Chat]},
        TypeError,
        "each of capabilities is an object of a class derived from Capability, not the class Chat: write Chat()",
    ),
    ({"capabilities": Chat()}, TypeError, "capabilities is a list, not a Chat: write capabilities=[...]"),
    ({"capabilities": Chat}, TypeError, "capabilities is a list, not the class Chat: write capabilities=[...]"),
    (
        {"capabilities": [(Chat(),)]},
        TypeError,
        "each of capabilities is an object of a class derived from Capability, not a tuple: write *f() for a function that makes several",
    ),
    ({"capabilities": ["chat"]}, TypeError, "each of capabilities is an object of a class derived from Capability, not a str"),
    ({"listen": "tcp://127.0.0.1:0"}, TypeError, "listen is a list, not one text: write listen=['tcp://127.0.0.1:0']"),
    (
        {"dns_trees": "enrtree://key@example.org"},
        TypeError,
        "dns_trees is a list, not one text: write dns_trees=['enrtree://key@example.org']",
    ),
    ({"static_peers": NOWHERE}, TypeError, "static_peers is a list, not one text: write static_peers=['enode://"),
    ({"bootnodes": NOWHERE}, TypeError, "bootnodes is a list, not one text: write bootnodes=['enode://"),
    ({"trusted_peers": NOWHERE}, TypeError, "trusted_peers is a list, not one text: write trusted_peers=['enode://"),
    ({"trusted_peers": NodeRecord(OTHER)}, TypeError, "trusted_peers is a list, not a NodeRecord: write trusted_peers=[...]"),
    ({"listen": ["127.0.0.1:30303"]}, ValueError, "listen: an address looks like tcp://127.0.0.1:30303, not '127.0.0.1:30303'"),
    ({"listen": [30303]}, TypeError, "listen is text such as 'tcp://127.0.0.1:30303', or an Address, not an int"),
    ({"static_peers": ["foo"]}, ValueError, "static_peers: a node is written enode://<public key>@<host>:<port> or enr:..., not 'foo'"),
    ({"static_peers": [NOWHERE]}, ValueError, "has no address to dial: add @<host>:<port>"),
    ({"static_peers": [f"{NOWHERE}@127.0.0.1:0"]}, ValueError, "says port 0: the node does not take connections"),
    (
        {"static_peers": [f"nope://{bytes(OTHER).hex()}@127.0.0.1:1"]},
        ValueError,
        "no transport for nope://127.0.0.1:1: this node has",
    ),
    (
        {"trusted_peers": [5]},
        TypeError,
        "each of trusted_peers is text such as 'enode://<public key>@<host>:<port>', or a NodeRecord, not an int",
    ),
    ({"bootnodes": [NOWHERE]}, ValueError, "has no UDP port at which discovery could ask it"),
    ({"dns_trees": ["enrtree://abc"]}, ValueError, "a node list in DNS is written enrtree://<key>@<domain>, not 'enrtree://abc'"),
    ({"discovery": "yes"}, TypeError, "discovery is True, False, None or DiscoverySettings(...), not a str"),
    (
        {"discovery": DiscoverySettings},
        TypeError,
        "discovery is True, False, None or DiscoverySettings(...), not the class DiscoverySettings",
    ),
    ({"candidates": [NodeRecord(OTHER)]}, TypeError, "candidates is an async iterable of NodeRecord, not a list"),
    ({"candidates": candidates}, TypeError, "candidates is an async iterable of NodeRecord, not a function"),
    ({"book": 5}, TypeError, "book is a Book, or the path of a file, not an int"),
    ({"max_peers": -1}, LocalProtocolError, "max_peers is a whole number from 0 up, not -1"),
    ({"max_peers": "50"}, TypeError, "max_peers is a whole number from 0 up, not '50'"),
    ({"max_peers": 2.5}, LocalProtocolError, "max_peers is a whole number from 0 up, not 2.5"),
    ({"slots": {"nope": 3}}, LocalProtocolError, "slots names 'nope', which is none of this node's capabilities: chat"),
    ({"slots": {"chat": 100}}, LocalProtocolError, "slots for 'chat' is 100, more than max_peers, which is 50: raise that, or want fewer"),
    ({"slots": {"chat": 0}}, LocalProtocolError, "slots for 'chat' is a whole number from 1 up, not 0"),
    ({"slots": {"chat": "3"}}, TypeError, "slots for 'chat' is a whole number from 1 up, not '3'"),
    ({"slots": ["chat"]}, TypeError, "slots is a dict of capabilities' names and numbers, such as {'chat': 8}, not a list"),
    ({"capabilities": [Sure()]}, LocalProtocolError, "a minimum of 60 for sure is more than max_peers, which is 50: raise that, or lower"),
    (
        {"capabilities": [Sure(), Chat()], "max_peers": 10},
        LocalProtocolError,
        "a minimum of 60 for sure is more than max_peers, which is 10",
    ),
    ({"pace": 0}, LocalProtocolError, "pace is a finite number above 0, not 0"),
    ({"pace": "fast"}, TypeError, "pace is a finite number above 0, not 'fast'"),
    ({"client_id": 5}, TypeError, "client_id is text, not an int"),
    ({"limits": Limits}, TypeError, "limits is a Limits, not the class Limits"),
    ({"limits": {"ping_interval": 3}}, TypeError, "limits is a Limits, not a dict: Limits(ping_interval=...) changes one of them"),
    (
        {"transports": [TcpTransport]},
        TypeError,
        "each of transports is an object with schemes, dial and bind, not the class TcpTransport: write",
    ),
    ({"transports": TcpTransport()}, TypeError, "transports is a list, not a TcpTransport: write transports=[...]"),
    ({"transports": ["tcp"]}, TypeError, "each of transports is an object with schemes, dial and bind, not a str"),
    ({"extension": broken("offer")}, ZeroDivisionError, "as it has to"),
    ({"extension": broken("answer")}, ZeroDivisionError, "as it has to"),
    ({"extension": [b"abc"]}, TypeError, "extension is an object of a class derived from Extension, not a list"),
    (
        {"extension": Constant},
        TypeError,
        "extension is an object of a class derived from Extension, not the class Constant: write Constant()",
    ),
    (
        {"extension": Constant(cast("bytes", 1))},
        TypeError,
        "each element of what Constant.offer returns is bytes, one encoded RLP item, not an int",
    ),
    (
        {"extension": Constant(b"abc")},
        LocalProtocolError,
        "an element of what Constant.offer returns is not the encoding of one item: 2 bytes after the item's end: rlp.encode(...)",
    ),
]


@pytest.mark.parametrize(("wrong", "error", "message"), WRONG_ARGUMENTS)
async def test_a_node_is_not_opened_with_what_cannot_be(wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        await opening(**{"key": KEY, "capabilities": [Chat()], **wrong})
    assert caught.type is error
    assert message in str(caught.value)


async def test_a_key_that_is_wrong_is_not_shown() -> None:
    with pytest.raises(TypeError) as caught:
        await opening(b"secret" * 5, [Chat()])
    assert "secret" not in str(caught.value)


async def test_a_node_without_places_guarantees_none_and_a_wish_is_no_guarantee() -> None:
    async with open_node(KEY, [Sure()], max_peers=0), open_node(KEY, [Chat()], max_peers=2), open_node(KEY, [Sure()], slots={"sure": 3}):
        pass  # eight slots of two places, and a minimum that the user has lowered


async def test_a_class_that_wishes_for_more_peers_than_there_can_be_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    class Many(Chat):
        slots = 100

    async with open_node(KEY, [Chat()], max_peers=5), open_node(KEY, [Many()], max_peers=0), open_node(KEY, [Many()], slots={"chat": 50}):
        assert not caplog.records
    async with open_node(KEY, [Many()]):
        assert caplog.messages == ["chat wants 100 peers, more than max_peers, which is 50: it will have fewer"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"versions": {7}}, ValueError, "versions of discovery are 4 and 5, not 7"),
        ({"versions": ()}, ValueError, "versions of discovery are 4 and 5, not none"),
        ({"versions": 5}, TypeError, "versions of discovery is a set such as {4, 5}, not an int"),
        ({"external": "203.0.113.5"}, TypeError, "external is a list, not one text: write external=['203.0.113.5']"),
        ({"external": ["here"]}, ValueError, "such as 203.0.113.5 or 203.0.113.5:30303, not 'here'"),
        ({"listen": "30303"}, ValueError, "listen of discovery: an address looks like tcp://127.0.0.1:30303, not '30303'"),
        ({"listen": 30303}, TypeError, "listen of discovery is text such as"),
        ({"listen": "tcp://127.0.0.1:0"}, ValueError, "listen of discovery is udp://<host>:<port>, not tcp://127.0.0.1:0"),
        ({"external": ["192.0.2.1", "192.0.2.2"]}, ValueError, "external has two addresses of one kind, '192.0.2.2' is the second"),
        ({"entries": [1]}, TypeError, "entries of a record is a dict, such as {'tcp': 30303}, not a list"),
    ],
)
async def test_settings_of_discovery_are_looked_at_when_they_are_made(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as made:
        SETTINGS(**options)
    with pytest.raises(error) as opened:
        async with DISCOVERY(KEY, **options):
            pytest.fail("it opened")
    assert message in str(made.value)
    assert message in str(opened.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"talk": [b"x"]}, "talk is a dict of protocols, as bytes, and handlers, not a list"),
    ],
)
def test_other_settings_of_discovery_have_their_types(options: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        SETTINGS(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize("opens", ["open_node(key, [])", "open_discovery(key)"])
def test_under_asyncio_the_error_says_what_to_run_instead(opens: str) -> None:
    code = f"""
import asyncio
from devp2p import PrivateKey, open_node
from devp2p.discovery import open_discovery

key = PrivateKey.generate()

async def main():
    async with {opens}:
        pass

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    said = f"{opens.partition('(')[0]} runs under trio: start the program with trio.run(main), not with asyncio.run(main())"
    assert done.stderr.splitlines()[-1] == f"devp2p.errors.LocalProtocolError: {said}"


def test_so_it_does_without_any_loop() -> None:
    with pytest.raises(LocalProtocolError, match="open_node runs under trio"):
        opening(KEY, []).send(None)
    with pytest.raises(LocalProtocolError, match="open_node runs under trio"):
        asyncio.run(opening(KEY, []))


async def asked(ask: Any, wrong: object) -> None:
    """Call a method, and await it where that is how it is called."""
    answer = ask(wrong)
    if hasattr(answer, "send"):
        await answer


async def test_a_capability_that_the_node_does_not_have_is_named_instead_of_awaited() -> None:
    message = "Other is none of this node's capabilities, which are Chat: give it to open_node"
    async with two_nodes([Chat()], [Chat()]) as (node, _):
        anything: Any = Capability  # whatever it runs
        peer, untyped = node.connected[0], [node.peers, lambda capability: node.request_peers(capability, 1)]
        with pytest.raises(LocalProtocolError, match=message):
            node.peers(Other)
        with pytest.raises(LocalProtocolError, match=message):
            await node.request_peers(Other, 1)
        with pytest.raises(KeyError, match=r"Other is not shared with .*: shared is Chat"):
            peer[Other]
        for wrong, hint in ((Chat(), "not by a Chat: write Chat"), ("chat", "not by a str"), (Say, "not by the class Say")):
            for ask in (*untyped, peer.__getitem__, peer.__contains__, peer.conduct, peer.traffic, peer.backlog, peer.ready):
                with pytest.raises(TypeError, match=f"a capability is named by its class, {hint}"):
                    await asked(ask, wrong)
        assert await anext(node.peers(anything)) is peer
        assert (await node.request_peers(anything, 1)) == (peer,)


async def test_what_is_asked_of_a_node_is_looked_at() -> None:
    async with two_nodes([Chat()], [Chat()]) as (node, _):
        loose: Any = node
        for call, error, message in (
            (lambda: loose.request_peers(Chat, 0), LocalProtocolError, "count is a whole number from 1 up, not 0"),
            (lambda: loose.request_peers(Chat, "1"), TypeError, "count is a whole number from 1 up, not '1'"),
            (lambda: loose.request_peers(Chat, 51), LocalProtocolError, "51 peers of chat are more than max_peers, which is 50"),
            (
                lambda: loose.connect(5),
                TypeError,
                "the node to dial is text such as 'enode://<public key>@<host>:<port>', or a NodeRecord, not an",
            ),
            (lambda: loose.listen(5), TypeError, "an address is text such as 'tcp://127.0.0.1:30303', or an Address, not an int"),
            (lambda: loose.connected[0][Chat].request(Say("x")), LocalProtocolError, "chat/1 has no request Say"),
            (
                lambda: loose.connected[0][Chat].request(Say("x"), timeout=-1),
                LocalProtocolError,
                "timeout of a request is a number from 0 up",
            ),
            (
                lambda: loose.connected[0][Chat].send(Say),
                LocalProtocolError,
                "has no message the class Say; make an object of it, Say(...)",
            ),
        ):
            with pytest.raises(error) as caught:
                await call()
            assert message in str(caught.value)
        for call, error, message in (
            (lambda: loose.ban(5), TypeError, "the node to ban is text such as"),
            (lambda: loose.ban(node.connected[0], seconds=-1), LocalProtocolError, "seconds of a ban is a finite number above 0, not -1"),
            (
                lambda: loose.connected[0].disconnect("bye"),
                TypeError,
                "the reason of a Disconnect is a whole number from 0 to 255, not 'bye'",
            ),
            (lambda: loose.connected[0].disconnect(256), LocalProtocolError, "the reason of a Disconnect is a whole number from 0 to 255"),
        ):
            with pytest.raises(error) as caught:
                call()
            assert message in str(caught.value)
        assert node.connected  # and nothing has come of it


@pytest.mark.parametrize(
    ("report", "error", "message"),
    [
        (lambda conduct: conduct.useful(-1), LocalProtocolError, "a useful amount is a finite number from 0 up, not -1"),
        (lambda conduct: conduct.useful("much"), TypeError, "a useful amount is a finite number from 0 up, not 'much'"),
        (lambda conduct: conduct.latency(float("inf")), LocalProtocolError, "a latency in seconds is a finite number from 0 up, not inf"),
        (lambda conduct: conduct.invalid(0), LocalProtocolError, "a severity is a whole number from 1 to 4, not 0"),
        (lambda conduct: conduct.invalid("bad"), TypeError, "a severity is a whole number from 1 to 4, not 'bad'"),
    ],
)
async def test_what_is_reported_of_a_peer_is_looked_at(report: Any, error: type[Exception], message: str) -> None:
    async with two_nodes([Chat()], [Chat()]) as (node, _):
        with pytest.raises(error) as caught:
            report(node.connected[0][Chat].conduct)
        assert message in str(caught.value)


@pytest.mark.real_clock
async def test_what_was_bound_is_given_back_if_something_else_cannot_be(tmp_path: Path) -> None:
    path, network = tmp_path / "node.sock", MemoryTransport()
    with pytest.raises(OSError, match="somebody listens at memory://a already") as caught:
        await opening(KEY, [Chat()], listen=["memory://a", "memory://a"], transports=[network])
    assert caught.type is OSError
    async with open_node(KEY, [Chat()], listen=["memory://a"], transports=[network]):
        pass
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        settings = DiscoverySettings(listen=f"udp://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(OSError, match="in use") as caught:
            await opening(KEY, [Chat()], listen=[f"unix://{path}"], discovery=settings)
        assert caught.type is OSError
    assert not path.exists()


async def test_a_node_can_listen_at_a_text_as_open_node_can() -> None:
    async with open_node(KEY, [Chat()], transports=[MemoryTransport()]) as node:
        assert str((await node.listen("memory://there"))[0]) == "memory://there"


@pytest.mark.parametrize("opens", [lambda one: two_nodes(one, [one]), scripted_peer])
async def test_what_tests_open_is_looked_at_in_the_same_way(opens: Any) -> None:
    with pytest.raises(TypeError, match="capabilities is a list, not a Chat"):
        async with opens(Chat()):
            pytest.fail("it opened")


async def test_a_wrong_key_is_among_the_reasons_why_nobody_answers_a_call() -> None:
    network = MemoryTransport()
    async with (
        open_node(KEY, [Chat()], listen=["memory://a"], transports=[network]) as called,
        open_node(PrivateKey.generate(), [Chat()], transports=[network]) as caller,
    ):
        wrong = NodeRecord(OTHER, called.addresses)
        with pytest.raises(DialError) as caught:
            await caller.connect(wrong)
    assert str(caught.value) == (
        f"{wrong.enode}: the peer hung up during the handshake: "
        "it may have another key than the enode says, or be turning away calls at the moment"
    )
    assert caught.value.reason == DisconnectReason.NETWORK_ERROR


async def test_what_is_told_to_discovery_is_looked_at() -> None:
    async with open_discovery(KEY, listen="udp://127.0.0.1:0") as discovery:
        loose: Any = discovery
        for call, error, message in (
            (lambda: loose.on_talk("eth", None), TypeError, "a protocol of TALKREQ is bytes, such as b'eth', not a str"),
            (lambda: loose.on_talk(b"eth", 5), TypeError, "a handler of TALKREQ is a function, not an int"),
            (lambda: loose.update_record([1]), TypeError, "entries of a record is a dict, such as {'tcp': 30303}, not a list"),
            (lambda: loose.update_record({5: 1}), TypeError, "a key of a record is text or bytes, not an int"),
        ):
            with pytest.raises(error) as caught:
                call()
            assert message in str(caught.value)
        with pytest.raises(TypeError, match="a node is text such as"):
            await loose.ping(5)
        with pytest.raises(TypeError, match="the target of a lookup is bytes, not a str"):
            await loose.lookup("key")
