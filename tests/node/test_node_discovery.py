"""Nodes that find each other: discovery, dials and sessions together, on real sockets of this machine."""

import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio

from devp2p import Address, DialError, DisconnectReason, DiscoverySettings, Node, NodeRecord, PrivateKey, open_node
from devp2p.book import Book, BookError
from devp2p.discovery import DiscoveryLimits
from devp2p.node.events import PeerConnected
from devp2p.records.enr import Record
from tests.chat import Chat
from tests.discovery.services import TreeZone, eventually, found

pytestmark = pytest.mark.real_clock

KEY = PrivateKey.generate()


@pytest.fixture(autouse=True)
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devp2p.discovery.table.kademlia._FAST", 0.3)


@asynccontextmanager
async def running(host: str = "127.0.0.1", **options: Any) -> AsyncIterator[Node]:
    options = {"key": PrivateKey.generate(), "capabilities": [Chat()], "listen": [f"tcp://{host}:0"], "strict": True, **options}
    async with open_node(options.pop("key"), options.pop("capabilities"), **options) as node:
        yield node


async def has_peers(node: Node, count: int) -> None:
    """Wait until a node has so many peers."""
    events = node.events()
    while len(node.connected) < count:
        await anext(events)


async def refusal(dialler: Node, node: Node) -> int | None:
    """The reason by which a node does not let another one in, which comes with its Hello or just after it."""
    try:
        peer = await dialler.connect(node.enode)
    except DialError as error:
        return error.reason
    return (await peer.wait_ended()).reason


@pytest.mark.parametrize("versions", [{4}, {5}, {4, 5}], ids=["v4", "v5", "both"])
async def test_six_nodes_that_know_one_bootnode_are_all_connected(versions):
    settings = DiscoverySettings(versions=versions)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running(discovery=settings))
        others = [await stack.enter_async_context(running(bootnodes=[first.record], discovery=settings)) for _ in range(5)]
        for node in (first, *others):
            await has_peers(node, 5)

        async def settled() -> bool | None:
            """Each pair has one session, whoever of the two dialled; where both did, they have agreed on one."""
            await trio.lowlevel.checkpoint()
            return sum(not peer.inbound for node in (first, *others) for peer in node.connected) == 15 or None

        assert await eventually(settled)


@pytest.mark.parametrize("host", ["[::1]", "*"])
async def test_nodes_find_each_other_over_ipv6_and_at_wildcards(host):
    async with running(host, discovery=True) as first, running(host, bootnodes=[first.enode]) as second:
        await has_peers(second, 1)
        if host == "[::1]":
            assert (first.record.addresses[0].host, first.record.udp_endpoints[0][0]) == ("::1", "::1")
            assert second.connected[0].address.host == "::1"


async def test_a_node_has_its_record_and_others_find_it_there():
    async with running(key=KEY, discovery=DiscoverySettings(entries={"eth": b"\xc0"})) as node:
        assert node.discovery is not None
        assert node.enr is not None
        record = Record.parse(node.enr)
        assert record.public_key == KEY.public_key
        assert record.tcp == record.udp == node.addresses[0].port
        assert record.get("eth") == b"\xc0"
        assert node.record == NodeRecord.from_enr(record)
        assert NodeRecord.parse(node.enode).udp_endpoints == node.record.udp_endpoints


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ({}, False),
        ({"discovery": True}, True),
        ({"discovery": False, "bootnodes": [NodeRecord(KEY.public_key, (Address("tcp", "127.0.0.1", 9),))]}, False),
        ({"bootnodes": [NodeRecord(KEY.public_key, (Address("tcp", "127.0.0.1", 9),))]}, True),
        ({"discovery": DiscoverySettings(dials=False)}, True),
    ],
)
async def test_discovery_runs_when_it_is_asked_for_or_has_something_to_begin_with(options, runs):
    async with running(**options) as node:
        assert (node.discovery is not None) == (node.enr is not None) == runs


@pytest.mark.parametrize("discovery", [False, True])
async def test_what_leaves_the_block_is_in_one_group_with_discovery_as_without_it(discovery):
    with pytest.raises(ExceptionGroup) as caught:
        async with running(discovery=discovery):
            raise ZeroDivisionError
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]


async def test_what_fails_in_discovery_itself_ends_the_node():
    def unable(*_: object) -> bytes:
        raise ZeroDivisionError

    async def talk() -> None:
        async with running(discovery=settings) as node, running(discovery=True) as other:
            assert other.discovery is not None
            await other.discovery.talk(node.enr or "", b"x", b"")
            await trio.sleep_forever()

    settings = DiscoverySettings(versions={5}, talk={b"x": unable})
    with pytest.raises(ExceptionGroup) as caught:
        await talk()
    assert caught.group_contains(ZeroDivisionError)


async def test_a_node_that_takes_the_port_for_udp_is_no_obstacle_when_any_will_do():
    async with running() as node:
        port = node.addresses[0].port or 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", port))
            with pytest.raises(OSError, match="in use"):
                async with running(listen=[f"tcp://127.0.0.2:{port}"], discovery=DiscoverySettings(listen=f"udp://127.0.0.1:{port}")):
                    raise AssertionError
        async with running(listen=[], discovery=True) as silent:
            assert silent.enr is not None
            assert Record.parse(silent.enr).tcp is None


async def test_only_nodes_that_a_capability_wants_are_dialled():
    class Picky(Chat):
        def wants(self, record: NodeRecord) -> bool:
            return record.enr is not None and record.enr.get("eth") == b"\xc1\x01"

    ours, others = (DiscoverySettings(entries={"eth": value}) for value in (b"\xc1\x01", b"\xc1\x02"))
    async with (
        running(discovery=DiscoverySettings(entries=others.entries, dials=False)) as first,
        running(bootnodes=[first.record], discovery=DiscoverySettings(entries=others.entries, dials=False)),
        running(bootnodes=[first.record], discovery=DiscoverySettings(entries=ours.entries, dials=False)) as wanted,
        running(capabilities=[Picky()], bootnodes=[first.record]) as node,
    ):
        await has_peers(node, 1)
        await trio.sleep(1)
        assert [peer.public_key for peer in node.connected] == [wanted.public_key]
        assert node.statistics.place_dials == 1


async def test_it_dials_as_many_as_the_slots_want():
    async with AsyncExitStack() as stack:
        passive = DiscoverySettings(dials=False)
        first = await stack.enter_async_context(running(discovery=passive))
        for _ in range(5):
            await stack.enter_async_context(running(bootnodes=[first.record], discovery=passive))
        node = await stack.enter_async_context(running(bootnodes=[first.record], max_peers=6, slots={"chat": 2}))
        await has_peers(node, 2)
        await trio.sleep(1)
        assert 2 <= len(node.connected) <= 3  # of the dials under way two count as one
        view = node.slots()
        assert (view.budget, view.inbound, view.dialled) == (6, 0, len(node.connected))
        assert sum(1 for peer in view.peers if "chat" in peer.slots) == 2


async def test_the_places_for_nodes_of_our_choice_are_not_for_those_who_come():
    async with running(max_peers=4, discovery=True) as node, AsyncExitStack() as stack:
        for _ in range(3):
            other = await stack.enter_async_context(running())
            await other.connect(node.enode)
        late = await stack.enter_async_context(running())
        assert await refusal(late, node) == DisconnectReason.TOO_MANY_PEERS
        await node.connect(late.record)
        assert len(node.connected) == 4


async def test_static_peers_are_left_to_those_who_keep_them_connected():
    async with running(discovery=True) as first, running(bootnodes=[first.record], static_peers=[first.record]) as second:
        await has_peers(second, 1)
        await trio.sleep(0.5)
        assert second.statistics.place_dials == 0


async def test_a_dns_tree_is_enough_to_begin_with():
    async with running(discovery=True) as first:
        assert first.discovery is not None
        zone = TreeZone(first.discovery)
        settings = DiscoverySettings(resolver=zone, limits=DiscoveryLimits(local_addresses_in_dns=True))
        async with running(dns_trees=[str(zone.url)], discovery=settings) as second:
            await has_peers(second, 1)


async def test_a_book_is_enough_to_begin_with_the_next_time(tmp_path):
    book = tmp_path / "nodes.db"
    async with running(discovery=True) as first, running(discovery=True, bootnodes=[first.record]) as third:
        async with running(bootnodes=[first.record], book=book) as second:
            assert second.discovery is not None
            await has_peers(second, 2)
            await found(second.discovery, 1, lambda node: node.id == third.public_key.node_id)
        with Book.open(book) as opened:
            assert opened.get(third.public_key.node_id) is not None
        async with running(book=book, discovery=True) as second:
            await has_peers(second, 1)


async def test_a_book_in_use_is_an_error_before_anything_begins(tmp_path):
    with Book.open(tmp_path / "nodes.db"), pytest.raises(BookError, match="in use"):
        async with running(book=tmp_path / "nodes.db", discovery=True):
            raise AssertionError


async def test_a_peer_that_was_lost_is_replaced():
    async with running(discovery=True) as first, AsyncExitStack() as stack:
        second = await stack.enter_async_context(running(bootnodes=[first.record], max_peers=3, slots={"chat": 1}))
        await has_peers(second, 1)
        replacement = await stack.enter_async_context(running(bootnodes=[first.record], discovery=DiscoverySettings(dials=False)))
        events = second.events()
        second.connected[0].disconnect()
        while True:
            event = await anext(events)
            if isinstance(event, PeerConnected) and not event.peer.inbound:
                assert event.peer.public_key == replacement.public_key  # the other one is left alone for a minute
                break


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"bootnodes": ["enode://x"]}, "public key"),
        ({"dns_trees": ["enrtree:x"]}, "enrtree"),
    ],
)
async def test_wrong_settings_are_explained(options, problem):
    with pytest.raises(ValueError, match=problem):
        async with running(**options):
            raise AssertionError


def test_who_does_without_discovery_does_not_import_it():
    # It would double what `import devp2p` costs.
    code = "import sys, devp2p; print(*{'devp2p.discovery.service', 'devp2p.book', 'sqlite3', 'dns'} & {*sys.modules})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []
