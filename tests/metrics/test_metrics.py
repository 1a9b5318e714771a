"""The metrics that a node exposes agree with what happened, in a form that no stranger can break, and are not too many."""

import dataclasses
import os
import subprocess
import sys

import pytest
import trio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, Channel, DialError, DisconnectReason, NodeRecord, Peer, PeerDisconnected, PrivateKey, open_node
from devp2p.metrics import NodeCollector, listen, serve, url_of
from devp2p.metrics.tally import REASONS, Tally
from devp2p.node.events import PeerDropped, TrustRemoved
from devp2p.testing import ScriptedPeer
from devp2p.trust import Profile, Trust
from devp2p.wire.base import CapabilityVersion
from devp2p.wire.dpx import Failure, Params
from tests.chat import Blob, Chat, ChatMessage, Say
from tests.network import Network, running

Figures = dict[tuple[str, ...], float]
"""By the name of a sample and the values of its labels, in the order of the labels' names."""
KEYS = [PrivateKey.generate() for _ in range(12)]
HOSTILE = 'x"} 1\n# TYPE evil counter\nevil_total{a="\\\x1b[31m\u2028'


def parsed(text: str) -> Figures:
    families = list(text_string_to_metric_families(text))
    samples = [sample for family in families for sample in family.samples]
    metrics = {(sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value for sample in samples}
    assert len(metrics) == len(samples), "the same series twice"
    assert all(family.documentation for family in families)
    return metrics


def exposed(collector: NodeCollector) -> Figures:
    registry = CollectorRegistry()
    registry.register(collector)
    return parsed(generate_latest(registry).decode())


async def asked(url: str, request: str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n") -> tuple[str, str]:
    """Ask by HTTP; the head of the answer, and its body."""
    host, port = url.removeprefix("http://").partition("/")[0].rsplit(":", 1)
    stream = await trio.open_tcp_stream(host, int(port))
    async with stream:
        await stream.send_all(request.encode())
        answer = b"".join([data async for data in stream]).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert f"Content-Length: {len(body.encode())}" in head
    return head, body


class Deaf(Chat):
    """Takes nothing of what comes."""

    async def run(self, peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG002
        await trio.sleep_forever()


class Quoted(Chat):
    """With a name that wants to be more than one."""

    name = 'a"\\}{#,'


class Counting(Chat):
    """Says nothing by itself; a test can wait for what has come."""

    def __init__(self) -> None:
        self._seen, self._taken = trio.open_memory_channel[None](100)

    async def run(self, peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG002
        async for _ in channel:
            await self._seen.send(None)

    async def took(self, count: int) -> None:
        for _ in range(count):
            await self._taken.receive()


# What is told


@pytest.mark.real_clock
async def test_a_node_that_is_asked_by_http_tells_what_was_sent_and_received():
    ours, theirs = Counting(), Counting()
    async with (
        open_node(KEYS[0], [ours], listen=["tcp://127.0.0.1:0"], strict=True) as node,
        open_node(KEYS[1], [theirs], strict=True) as friend,
        open_node(KEYS[2], [Counting()], strict=True) as other,
        trio.open_nursery() as nursery,
    ):
        listeners = await listen(Address("tcp", "127.0.0.1", 0))
        await nursery.start(serve, node, listeners)
        url = url_of(listeners[0])
        peers = [await one.connect(node.record) for one in (friend, other)]
        for number, peer in enumerate(peers):
            for _ in range(5 + number):
                await peer[Counting].send(Say("hello" * 100))
        await ours.took(11)
        events = node.events()
        back = node.roster.get(friend.public_key)
        assert back is not None
        await back[Counting].send(Say("what?"))
        await theirs.took(1)
        sent = [peer.traffic(Counting) for peer in peers]
        peers[1].disconnect(DisconnectReason.USELESS_PEER)
        while not isinstance(await anext(events), PeerDropped):
            pass
        head, body = await asked(url)
        nursery.cancel_scope.cancel()
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "text/plain; version=0.0.4" in head
    metrics = parsed(body)
    assert metrics["devp2p_messages_total", "chat", "in"] == 11
    assert metrics["devp2p_messages_total", "chat", "out"] == 1
    assert metrics["devp2p_wire_bytes_total", "chat", "in"] == sum(traffic.bytes_out for traffic in sent)
    assert metrics["devp2p_wire_bytes_total", "chat", "out"] == sum(traffic.bytes_in for traffic in sent) > 0
    assert metrics["devp2p_sessions", "inbound"] == 1
    assert metrics["devp2p_sessions_opened_total", "inbound"] == 2
    assert metrics["devp2p_sessions_ended_total", "remote", "useless_peer"] == 1
    assert metrics["process_resident_memory_bytes",] > 0 if sys.platform == "linux" else True


async def test_it_tells_of_queues_ratings_and_slots():
    network = Network()
    async with running(network, capabilities=[Deaf()], slots={"chat": 3}) as node, running(network, "other", key=KEYS[0]) as friend:
        collector = NodeCollector(node)
        peer = await friend.connect(node.record)
        for size in (100, 200, 300):
            await peer[Chat].send(Say("x" * size))
        await wait_all_tasks_blocked()
        metrics = exposed(collector)
        waiting = node.connected[0].backlog(Deaf)
        assert waiting.unread_messages == 3
        assert metrics["devp2p_queue_messages", "chat", "inbox"] == 3
        assert metrics["devp2p_queue_bytes", "chat", "inbox"] == waiting.unread_bytes > 0
        assert metrics["devp2p_queue_largest_bytes", "chat", "inbox"] == waiting.unread_bytes
        assert metrics["devp2p_queue_messages", "chat", "outbox"] == 0
        assert metrics["devp2p_slots_wanted", "chat"] == 3
        assert [metrics["devp2p_slots_filled", "chat", kind] for kind in ("core", "diverse", "explore")] == [1, 0, 0]
        assert not any(key[0] == "devp2p_peer_rating" for key in metrics)
        node.connected[0]._channels[0][1].conduct.useful(9)
        await trio.sleep(11)
        metrics = exposed(collector)
        rating = node.policy.rating(friend.record.id, "chat")
        assert [metrics["devp2p_peer_rating", "chat", kind] for kind in ("min", "median", "max")] == [rating] * 3
        assert (metrics["devp2p_rated_peers", "chat"], metrics["devp2p_remembered_peers",]) == (1, 1)


async def test_what_waits_to_be_sent_is_told():
    network = Network()
    async with running(network) as node:
        collector = NodeCollector(node)
        peer = await ScriptedPeer.dial(network, node.record, [Chat()], key=KEYS[0])
        await peer.begin()
        await wait_all_tasks_blocked()
        for _ in range(3):
            await node.connected[0][Chat].send(Blob(os.urandom(2**19)))
        await wait_all_tasks_blocked()
        metrics = exposed(collector)
        waiting = node.connected[0].backlog(Chat)
        assert metrics["devp2p_queue_messages", "chat", "outbox"] == waiting.unsent_messages == 2  # the first one is on its way
        assert metrics["devp2p_queue_bytes", "chat", "outbox"] == waiting.unsent_bytes > 2**20
        assert waiting.credit is None  # it speaks stock RLPx
        assert ("devp2p_credit_least_bytes", "chat") not in metrics
        await trio.aclose_forcefully(peer.stream)


async def test_it_tells_of_dials_handshakes_decisions_and_bans():
    network = Network()
    async with running(network, trusted_peers=[], max_peers=5) as node, running(network, "other", key=KEYS[0]) as friend:
        collector = NodeCollector(node)
        with pytest.raises(DialError):
            await node.connect(NodeRecord(KEYS[1].public_key, (Address("memory", "nowhere"),)))
        await node.connect(friend.record)
        node.ban(node.connected[0], reason="spam")
        await node.roster.wait_left(friend.public_key)
        refused = await friend.connect(node.record)
        await refused.wait_ended()
        silent = await network.dial(node.addresses[0], expect=None)
        await wait_all_tasks_blocked()
        metrics = exposed(collector)
        assert metrics["devp2p_dials_total",] == 2
        assert metrics["devp2p_dial_failures_total", "unreachable"] == 1
        assert sum(value for key, value in metrics.items() if key[0] == "devp2p_dial_failures_total") == 1
        assert metrics["devp2p_sessions_opened_total", "outbound"] == 1
        assert metrics["devp2p_sessions_ended_total", "local", "useless_peer"] == 1
        assert metrics["devp2p_decisions_total", "refuse"] == 1
        assert metrics["devp2p_links_refused_total",] == 1
        assert metrics["devp2p_handshakes_pending",] == 1
        assert metrics["devp2p_bans",] == 1
        await silent.aclose()


@pytest.mark.real_clock
async def test_a_node_with_discovery_tells_of_it():
    async with open_node(KEYS[0], [Chat()], listen=["tcp://127.0.0.1:0"], discovery=True) as node:
        assert node.discovery is not None
        metrics = exposed(NodeCollector(node))
        assert metrics["devp2p_discovery_datagrams_received_total",] == node.discovery.statistics.received
        assert {key[1] for key in metrics if key[0] == "devp2p_discovery_table_nodes"} == {"v4", "v5"}


# What a stranger says is not told


async def test_names_cannot_break_the_format():
    """A stranger's names appear nowhere; our own, of which one may have quotes in it, are read as they are."""
    network = Network()
    offers = [CapabilityVersion(name, 1) for name in ("evil", "x{}")]
    async with running(network, capabilities=[Quoted(), Chat()], client_id=HOSTILE) as node:
        collector = NodeCollector(node)
        peer = await ScriptedPeer.dial(network, node.record, [Quoted()], key=KEYS[0])
        peer.hello = type(peer.hello)(HOSTILE, (*peer.hello.capabilities, *offers), KEYS[0].public_key)
        await peer.begin()
        await peer.send_message(Say(HOSTILE))
        await wait_all_tasks_blocked()
        assert len(node.connected) == 1
        assert {"evil", "x{}"} < {offer.name for offer in node.connected[0].offers}
        registry = CollectorRegistry()
        registry.register(collector)
        text = generate_latest(registry).decode()
        metrics = parsed(text)
        assert metrics["devp2p_messages_total", Quoted.name, "in"] == 1
        assert {key[1] for key in metrics if key[0] == "devp2p_messages_total"} == {Quoted.name, "chat"}
        assert "evil" not in text
        assert node.connected[0].client_id not in text
        await trio.aclose_forcefully(peer.stream)


async def test_there_are_no_more_series_with_many_peers_than_with_one():
    network = Network()
    async with running(network, max_peers=20) as node:
        collector = NodeCollector(node)
        with_peers: list[set[tuple[str, ...]]] = []
        for key in KEYS:
            peer = await ScriptedPeer.dial(network, node.record, [Chat()], key=key)
            await peer.begin()
            await wait_all_tasks_blocked()
            for one in node.connected:
                one._channels[0][1].conduct.useful(1)
            await trio.sleep(11)
            with_peers.append(set(exposed(collector)))
            if len(with_peers) % 2 == 0:
                await peer.disconnect(100 + len(with_peers))  # each for a reason that it has made up
                await peer.receive_end()
        assert len(with_peers[0]) > 40
        assert with_peers[-1] - with_peers[0] == {("devp2p_sessions_ended_total", "remote", "unknown")}


async def test_reasons_that_peers_make_up_are_one():
    network = Network()
    async with running(network) as node, running(network, "other", key=KEYS[0]) as friend:
        peer = await friend.connect(node.record)
        tally = Tally(())
        for code in range(256):
            for by_remote in (True, False):
                tally.put(PeerDropped(peer, PeerDisconnected(code, by_remote=by_remote)))
        assert {reason for _, reason in tally.ended} == set(REASONS)
        assert len(tally.ended) == 2 * len(REASONS) == 28
        assert sum(tally.ended.values()) == 512


async def test_it_tells_of_a_peer_that_reads_nothing_and_so_takes_no_more():
    network = Network()
    async with running(network) as node, running(network, "deaf", key=KEYS[1], capabilities=[Deaf()]) as deaf:
        peer = await deaf.connect(node.record)
        await wait_all_tasks_blocked()
        (other,) = node.connected
        assert other.backlog(Chat).credit == Params().capability_window == peer.backlog(Deaf).credit
        for _ in range(Params().capability_window // 10_000 + 5):
            await other[Chat].send(Blob(os.urandom(10_000)))
        await wait_all_tasks_blocked()
        backlog = other.backlog(Chat)
        assert backlog.credit is not None
        assert 0 <= backlog.credit < 16 * 1024
        assert backlog.unsent_by_lane == (0, 0, backlog.unsent_messages)  # a Blob is bulk
        metrics = exposed(NodeCollector(node))
        assert metrics["devp2p_credit_least_bytes", "chat"] == backlog.credit
        assert metrics["devp2p_credit_exhausted_peers", "chat"] == 1
        assert metrics["devp2p_unsent_messages", "chat", "bulk"] == backlog.unsent_messages > 0


async def test_it_tells_what_sessions_speak_and_how_they_began():
    network = Network()
    stock = running(network, "stock", key=KEYS[1], dpx=False)
    async with running(network) as node, stock as one, running(network, "other", key=KEYS[2]) as another:
        await one.connect(node.record)
        await wait_all_tasks_blocked()
        collector = NodeCollector(node)
        (peer,) = node.connected
        await another.connect(node.record)
        await wait_all_tasks_blocked()
        metrics = exposed(collector)
        assert metrics["devp2p_sessions_by_profile", "RLPx", "stranger"] == metrics["devp2p_sessions_by_profile", "dpx/1", "stranger"] == 1
        assert (metrics["devp2p_sessions_begun_total", "plain", "RLPx"], metrics["devp2p_sessions_begun_total", "plain", "dpx/1"]) == (1, 1)
        found = next(one for one in node.connected if one is not peer)
        found.profile = dataclasses.replace(found.profile, mode="resumed", trust=Trust.KNOWN)
        peer.profile = Profile("mine", mode="fast")
        collector = NodeCollector(node)
        for failure in (Failure.UNKNOWN, Failure.UNKNOWN, Failure.WITHHELD):
            node.roster.publish(TrustRemoved(KEYS[3].public_key, failure.value, "nothing"))
        metrics = exposed(collector)
    assert metrics["devp2p_trust_removed_total", "unknown"] == 2
    assert metrics["devp2p_trust_removed_total", "withheld"] == 1
    assert metrics["devp2p_trust_removed_total", "not_sealed"] == 0
    assert metrics["devp2p_sessions_by_profile", "dpx/1", "known"] == metrics["devp2p_sessions_by_profile", "other", "stranger"] == 1
    assert metrics["devp2p_sessions_begun_total", "resumed", "dpx/1"] == metrics["devp2p_sessions_begun_total", "plain", "other"] == 1


def test_the_core_does_not_import_it():
    def imported(statement: str) -> bool:
        program = f"import sys\n{statement}\nsys.exit('prometheus_client' in sys.modules)"
        return subprocess.run([sys.executable, "-c", program], check=False).returncode == 1

    assert not imported("import devp2p, devp2p.cli, devp2p.node, devp2p.node.steering, devp2p.testing, devp2p.discovery.service")
    assert imported("import devp2p.metrics")
