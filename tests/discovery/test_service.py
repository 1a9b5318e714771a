"""Discovery on real sockets of this machine: nodes ask, find and tell each other."""

import socket
from contextlib import AsyncExitStack

import pytest
import trio

from devp2p.addresses import Endpoint
from devp2p.book import Book
from devp2p.discovery import Discovery, DiscoveryLimits
from devp2p.discovery.known_nodes import with_ip_addresses
from devp2p.discovery.v4 import Discv4Limits
from devp2p.discovery.v5 import Discv5Limits
from devp2p.errors import LocalProtocolError
from devp2p.keys import PrivateKey
from devp2p.records.enr import Record
from devp2p.records.node_record import NodeRecord
from tests.discovery.services import BOTH, eventually, network, running, silent

pytestmark = pytest.mark.real_clock

KEY = PrivateKey.generate()


@pytest.fixture(autouse=True)
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes are told to others once they were checked, for which nobody here wants to wait three seconds."""
    monkeypatch.setattr("devp2p.discovery.table.kademlia._FAST", 0.3)


@BOTH
async def test_a_node_answers_a_ping_and_says_from_where_it_came(versions):
    async with network(2, versions=versions) as [first, second]:
        pinged = await second.ping(first.record.text)
        assert pinged is not None
        assert pinged.version == max(versions)
        assert pinged.seen_as == Endpoint(socket.inet_aton("127.0.0.1"), second.address.port or 0)
        assert pinged.sequence == first.record.sequence
        assert 0 < pinged.rtt < 5


async def test_a_node_without_a_known_record_is_asked_by_v4():
    async with network(1) as [first], running() as second:
        pinged = await second.ping(NodeRecord.from_enr(first.record).enode)
        assert pinged is not None
        assert pinged.version == 4


@BOTH
async def test_silence_is_none(versions):
    async with running(versions=versions) as node:
        absent = silent()
        assert await node.ping(absent) is None
        assert await node.request_enr(absent) is None
        assert await node.lookup(absent.public_key) == ()


@BOTH
async def test_a_node_is_resolved_by_its_address_and_by_its_key_alone(versions):
    async with network(3, versions=versions) as [first, second, third]:
        direct = await third.resolve(NodeRecord.from_enr(first.record))
        assert direct is not None
        assert direct.enr == first.record
        found = await eventually(lambda: third.resolve(second.record.public_key))  # once the first one knows it
        assert found.enr == second.record


async def test_a_changed_record_is_what_others_get():
    async with network(2, versions={5}) as [first, second]:
        assert first.update_record({"eth": b"\xc0"})
        assert not first.update_record({"eth": b"\xc0"})
        newer = await second.request_enr(first.record.text)
        assert newer is not None
        assert newer.enr == first.record
        assert first.record.get("eth") == b"\xc0"


@BOTH
async def test_a_lookup_finds_the_closest_nodes_closest_first(versions):
    async with network(5, versions=versions) as nodes:
        target = nodes[2].record.public_key

        async def with_target() -> tuple[NodeRecord, ...] | None:
            found = await nodes[4].lookup(target)
            return found if any(node.public_key == target for node in found) else None

        result = await eventually(with_target)  # once the first node knows it
        place = int.from_bytes(target.node_id, "big")
        distances = [int.from_bytes(node.id, "big") ^ place for node in result]
        assert distances == sorted(distances)
        assert distances[0] == 0
        assert {node.id for node in result} <= {node.record.id for node in nodes[:4]}


async def test_a_talk_is_answered_by_the_handler_of_its_protocol():
    heard = []

    def handle(asker: Record, endpoint: Endpoint, request: bytes) -> bytes:
        heard.append((asker.id, endpoint.port))
        return request[::-1]

    async with running(talk={b"echo": handle}) as first, running() as second:
        assert await second.talk(first.record.text, b"echo", b"abc") == b"cba"
        assert heard == [(second.record.id, second.address.port)]
        assert await second.talk(first.record.text, b"other", b"abc") == b""
        first.on_talk(b"echo", None)
        assert await second.talk(first.record.text, b"echo", b"abc") == b""
        assert await second.talk(silent(), b"echo", b"abc") is None


async def test_what_a_version_cannot_do_is_said():
    async with running(versions={4}) as node:
        with pytest.raises(LocalProtocolError, match="v5 does not run"):
            await node.talk(silent(), b"echo", b"")
        with pytest.raises(LocalProtocolError, match="v5 does not run"):
            await node.ping(silent(), version=5)
        with pytest.raises(LocalProtocolError, match="a target has 64 bytes"):
            await node.lookup(bytes(32))
    with pytest.raises(ValueError, match="versions of discovery are 4 and 5"):
        async with running(versions={3}):
            raise AssertionError


async def test_a_cancelled_operation_leaves_the_others_alone():
    async with network(2, versions={4}) as [first, second]:
        absent = silent()
        for _ in range(20):
            with trio.move_on_after(0.001):
                await second.ping(absent)
            with trio.move_on_after(0.001):
                await second.lookup(absent.public_key)
        assert await second.ping(first.record.text) is not None
        assert await second.ping(absent) is None


async def test_more_operations_than_there_are_places_wait_for_one():
    async with network(2, versions={4}, limits=DiscoveryLimits(v4=Discv4Limits(operations=4))) as [first, second]:
        answers = []

        async def ping() -> None:
            answers.append(await second.ping(first.record.text))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ping)
        assert len(answers) == 20
        assert None not in answers


async def test_the_end_of_discovery_is_told_to_those_who_wait():
    waiting = trio.Event()

    async def ping() -> None:
        waiting.set()
        with pytest.raises(trio.ClosedResourceError):
            await node.ping(silent())

    async def iterate() -> None:
        assert [candidate async for candidate in candidates] == []

    async with trio.open_nursery() as nursery, running() as node:
        candidates = node.candidates()
        nursery.start_soon(iterate)
        nursery.start_soon(ping)
        await waiting.wait()
    with pytest.raises(trio.ClosedResourceError):
        await node.ping(silent())


async def test_the_end_of_discovery_is_told_to_those_who_wait_for_a_place_too():
    limits = DiscoveryLimits(v4=Discv4Limits(operations=4), v5=Discv5Limits(operations=4))
    told = 0

    async def ping() -> None:
        nonlocal told
        with pytest.raises(trio.ClosedResourceError):
            await node.ping(silent())
        told += 1

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery, running(limits=limits) as node:
            for _ in range(5):
                nursery.start_soon(ping)
            await trio.sleep(0.05)
    assert told == 5


# Our own record


async def test_the_record_says_where_the_node_is_and_what_the_user_wants():
    async with running(key=KEY, entries={"tcp": 40404, "eth": b"\xc0"}) as node:
        record = node.record
        assert (str(record.ip), record.udp, record.tcp, record.get("eth")) == ("127.0.0.1", node.address.port, 40404, b"\xc0")
        assert record.public_key == KEY.public_key


async def test_a_wildcard_is_no_address_and_reaches_both_families():
    async with running(listen="udp://*:0") as node:
        assert (node.record.ip, node.record.ip6) == (None, None)
        assert node.record.udp == node.address.port
        assert node.address.host == "*"
        async with running() as other:
            pinged = await other.ping(f"enode://{bytes(node.record.public_key).hex()}@127.0.0.1:{node.address.port}")
            assert pinged is not None
            assert pinged.seen_as.ip == socket.inet_aton("127.0.0.1")  # not as one mapped into IPv6
        async with running(listen="udp://[::1]:0") as other:
            pinged = await other.ping(f"enode://{bytes(node.record.public_key).hex()}@[::1]:{node.address.port}")
            assert pinged is not None
            assert pinged.seen_as.ip == socket.inet_pton(socket.AF_INET6, "::1")
            assert (other.record.ip, str(other.record.ip6), other.record.udp6) == (None, "::1", other.address.port)


async def test_the_user_may_say_where_others_reach_the_node():
    async with running(listen="udp://*:0", external=["203.0.113.5", "[2001:db8::5]:9"]) as node:
        record = node.record
        assert (str(record.ip), record.udp, str(record.ip6), record.udp6) == ("203.0.113.5", node.address.port, "2001:db8::5", 9)
    for wrong in ("nowhere", "203.0.113.5:x", "1.2.3"):
        with pytest.raises(ValueError, match=r"."):
            async with running(external=[wrong]):
                raise AssertionError


async def test_the_number_of_the_record_is_never_used_twice():
    with Book.open(":memory:") as book:
        numbers = []
        for entries in ({}, {"eth": b"\xc0"}):
            async with running(key=KEY, book=book, entries=entries) as node:
                numbers.append(node.record.sequence)
                node.update_record({"x": 1})
                numbers.append(node.record.sequence)
                assert book.sequence == node.record.sequence
        assert numbers == sorted(set(numbers))
    async with running(key=KEY) as node:  # without a book it is the time that makes it higher
        before = node.record.sequence
    await trio.sleep(0.01)
    async with running(key=KEY) as node:
        assert node.record.sequence > before


# The socket


async def test_datagrams_of_other_protocols_are_passed_on_and_can_be_answered():
    came = []
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as stranger:
        await stranger.bind(("127.0.0.1", 0))
        arrived = trio.Event()

        def unhandled(data: bytes, sender: Endpoint) -> None:
            came.append((data, sender))
            node.send(b"no", sender)
            arrived.set()

        async with running(unhandled=unhandled) as node:
            await stranger.sendto(b"hello?", ("127.0.0.1", node.address.port or 0))
            await arrived.wait()
            assert await stranger.recv(100) == b"no"
            assert node.statistics.unhandled == 1
    assert came == [(b"hello?", Endpoint(socket.inet_aton("127.0.0.1"), stranger_port(came)))]


def stranger_port(came: list[tuple[bytes, Endpoint]]) -> int:
    return came[0][1].port


@BOTH
async def test_a_flood_of_junk_does_not_stop_it_from_answering(versions):
    async with network(2, versions=versions) as [first, second]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
            for size in range(2000):
                flood.sendto(bytes(size % 1400), ("127.0.0.1", first.address.port or 0))
        answers = [await second.ping(first.record.text) for _ in range(3)]  # what the flood has thrown out is lost
        assert any(answer is not None for answer in answers)
        assert first.statistics.unhandled > 0


async def test_what_cannot_be_sent_does_not_end_it():
    async with network(2) as [first, second]:
        second.send(b"x", Endpoint(bytes([255] * 4), 1))  # broadcast, which needs a permission
        second.send(b"x", Endpoint(b"\x20\x01" + bytes(13) + b"\x01", 1))  # IPv6, from a socket of IPv4
        second.send(bytes(70_000), Endpoint(socket.inet_aton("127.0.0.1"), 1))
        second.send(b"x", Endpoint(socket.inet_aton("127.0.0.1"), 70_000))
        assert second.statistics.not_sent == 4
        assert await second.ping(first.record.text) is not None


async def test_a_port_in_use_is_an_error_before_anything_begins():
    async with running() as node:
        with pytest.raises(OSError, match="in use"):
            async with running(listen=node.address):
                raise AssertionError


async def test_a_bootnode_by_a_name_of_dns_is_found_and_a_wrong_name_is_passed_over():
    async with running() as first:
        port, hex_key = first.address.port, bytes(first.record.public_key).hex()
        wrong = f"enode://{bytes(KEY.public_key).hex()}@nowhere.invalid:{port}"
        async with running(bootnodes=[wrong, f"enode://{hex_key}@localhost:{port}"], listen="udp://*:0") as second:
            assert [node.id for node in await second.lookup(first.record.public_key)] == [first.record.id]


async def both_are_live(node: Discovery) -> bool | None:
    tables = [protocol.protocol.table.statistics() for protocol in (node.v4, node.v5) if protocol is not None]
    await trio.lowlevel.checkpoint()
    return all(table.live == 2 for table in tables) or None


@BOTH
async def test_a_node_that_has_only_ipv6_finds_those_that_name_an_ipv4_address_first(versions):
    async with AsyncExitStack() as stack:
        records: list[NodeRecord] = []
        for _ in range(2):
            key = PrivateKey.generate()
            node = await stack.enter_async_context(running(key=key, listen="udp://[::1]:0", versions=versions, bootnodes=records))
            port = node.address.port
            records.append(NodeRecord.from_enr(Record.sign(key, 1, {"ip": "127.0.0.1", "udp": port, "ip6": "::1", "udp6": port, "tcp": 1})))
        node = await stack.enter_async_context(running(listen="udp://[::1]:0", versions=versions, bootnodes=records))
        with trio.fail_after(30):
            assert await eventually(lambda: both_are_live(node))
        assert node.statistics.not_sent == 0


async def test_a_name_stands_for_an_address_that_the_socket_can_send_to(monkeypatch):
    async def getaddrinfo(host, port, **_):
        await trio.lowlevel.checkpoint()
        assert host == "node.example"
        v6 = (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("2001:db8::1", port, 0, 0))
        return [v6, (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("9.9.9.9", port))]

    node = NodeRecord.parse(f"enode://{bytes(PrivateKey.generate().public_key).hex()}@node.example:30303")
    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
    for versions, host in (((4,), "9.9.9.9"), ((6,), "2001:db8::1"), ((4, 6), "2001:db8::1")):
        reachable = await with_ip_addresses(node, versions)
        assert reachable is not None
        assert reachable.udp_endpoints == ((host, 30303),)
