"""Nodes of discovery v4 for tests: real ones that talk by hand-passed datagrams, and strangers who sign whatever a test wants."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from devp2p.addresses import Endpoint
from devp2p.discovery.events import Event
from devp2p.discovery.table.contacts import Contact
from devp2p.discovery.table.kademlia import Entry
from devp2p.discovery.v4 import packets
from devp2p.discovery.v4.bonds import Discv4Limits
from devp2p.discovery.v4.nodes import Node, contact_at, contact_of
from devp2p.discovery.v4.protocol import Discv4
from devp2p.keys import PrivateKey
from devp2p.records.enr import LocalRecord
from devp2p.records.node_record import NodeRecord

START = 1_700_000_000.0
FAR = packets.Endpoint(bytes(4), 0, 0)
OPEN = Discv4Limits(
    packets_per_minute=10**9,
    proved_packets_per_minute=10**9,
    strangers_per_second=10**9,
    queries_per_second=10**9,
    ping_back_interval=1e-9,
    duplicates=0,
)
"""Without the bounds on strangers, for controls."""


def key_of(number: int) -> PrivateKey:
    return PrivateKey.from_bytes((number + 1).to_bytes(32))


def endpoint_of(number: int, port: int = 30303) -> Endpoint:
    """A public address, the only one of its /24."""
    return Endpoint((0x14000001 + 256 * number).to_bytes(4), port)


def make_node(
    number: int = 0, *, bootnodes: Sequence[NodeRecord] = (), limits: Discv4Limits | None = None, at: Endpoint | None = None
) -> tuple[Discv4, Endpoint]:
    """A node, and where it is."""
    endpoint, key, chance = at or endpoint_of(number), key_of(number), random.Random(number)
    entries = {"ip" if len(endpoint.ip) == 4 else "ip6": packets.Neighbor(endpoint.ip, 1, 1, bytes(64)).address, "udp": endpoint.port}
    local = LocalRecord(key, entries)
    node = Discv4(
        local, key, random=chance.random, random_bytes=chance.randbytes, bootnodes=bootnodes, limits=limits, tcp_port=30300 + number % 30000
    )
    return node, endpoint


def record_of(node: Discv4) -> NodeRecord:
    return NodeRecord.from_enr(node._exchange._local.record)


def contact_to(node: Discv4) -> Node:
    contact = contact_of(record_of(node))
    assert contact is not None
    return contact


@dataclass
class Stranger:
    """Someone with a key and an endpoint who knows the packets, and keeps to no rule but those that a test calls for."""

    key: PrivateKey
    endpoint: Endpoint

    @property
    def contact(self) -> Node:
        return contact_at(self.key.public_key, self.endpoint, 30303)

    def say(self, node: Discv4, packet: packets.Packet, now: float, *, at: Endpoint | None = None) -> bytes:
        """Send a packet, from another endpoint if that is given; its hash."""
        data, packet_hash = packets.encode(packet, self.key)
        assert node.receive_datagram(data, at or self.endpoint, now)
        return packet_hash

    def ping(self, now: float, **fields: int) -> packets.Ping:
        here = packets.Endpoint(self.endpoint.ip, self.endpoint.port, 30303)
        return packets.Ping(here, packets.Endpoint(self.endpoint.ip, 1, 0), fields.pop("expiration", int(now) + 20), **fields)

    def bond(self, node: Discv4, now: float, **pong: int) -> list[packets.Packet]:
        """Ping, and answer the Ping that comes back; what the node sent."""
        self.say(node, self.ping(now), now)
        heard = sent(node, now)
        for packet, packet_hash, to in heard:
            if isinstance(packet, packets.Ping) and to == self.endpoint:
                self.say(node, packets.Pong(FAR, packet_hash, int(now) + 20, **pong), now)
        return [packet for packet, _, _ in heard]


def guest(number: int = 9) -> Stranger:
    return Stranger(key_of(number), endpoint_of(number))


def fresh(limits: Discv4Limits | None = None) -> Discv4:
    """A node that knows nobody, and has found out that there is nobody."""
    return quiet(make_node(0, limits=limits)[0], START)


def entry_of(node: Discv4, node_id: bytes) -> Entry[NodeRecord]:
    """What the node's table has of another."""
    entry = node.table.get(node_id)
    assert entry is not None
    return entry


def sent(node: Discv4, now: float) -> list[tuple[packets.Packet, bytes, Endpoint]]:
    """Take what a node sends: packets, their hashes, and where they go."""
    decoded = [(packets.decode(data), to) for data, to in node.datagrams_to_send(now)]
    return [(each.packet, each.hash, to) for each, to in decoded]


def kinds(node: Discv4, now: float, to: Endpoint | None = None) -> list[str]:
    """The names of the packets that a node sends, or of those to one endpoint."""
    return [type(packet).__name__ for packet, _, where in sent(node, now) if to is None or to == where]


def events(node: Discv4) -> list[Event]:
    found = []
    while (event := node.next_event()) is not None:
        found.append(event)
    return found


def pass_time(node: Discv4, now: float) -> None:
    """Let a node see what time it is, without the checks of its table and the refreshing that might be due."""
    node._exchange.handle_timer(now)
    node._conclude(now)


def quiet(node: Discv4, now: float) -> Discv4:
    """Let a node finish its first refreshing, so that it does nothing on its own for a while but check its table."""
    node.handle_timer(now)
    node.datagrams_to_send(now)
    return node


def due_of(node: Discv4) -> float:
    """When the node wants to be woken: some day in any case, as it keeps its table."""
    due = node.next_timer()
    assert due is not None
    return due


def deliver(now: float, *places: tuple[Discv4, Endpoint], seconds: float = 0.0) -> float:
    """Carry datagrams between nodes, each at once, and let time pass; what goes elsewhere is lost. The time at the end."""
    nodes = {endpoint: node for node, endpoint in places}
    end = now + seconds
    while True:
        moved = True
        while moved:
            moved = False
            for node, endpoint in places:
                for data, to in node.datagrams_to_send(now):
                    if to in nodes:
                        nodes[to].receive_datagram(data, endpoint, now)
                        moved = True
        due = min(due_of(node) for node, _ in places)
        if due > end:
            return end
        now = max(now, due)
        for node, _ in places:
            node.handle_timer(now)


def neighbors_of(stranger: Stranger, node: Discv4, now: float, target: bytes = bytes(64)) -> list[packets.Neighbor] | None:
    """Ask a node for others, as one with an endpoint proof; None if it does not answer."""
    stranger.say(node, packets.FindNode(target, int(now) + 20), now)
    answers = [packet for packet, _, to in sent(node, now) if isinstance(packet, packets.Neighbors) and to == stranger.endpoint]
    return [each for answer in answers for each in answer.nodes] if answers else None


def named(number: int, *, at: Endpoint | None = None) -> packets.Neighbor:
    """A node as others tell of it."""
    endpoint = at or endpoint_of(number)
    return packets.Neighbor(endpoint.ip, endpoint.port, 30303, bytes(key_of(number).public_key))


def moved(contact: Node, endpoint: Endpoint) -> Node:
    return Contact(contact.id, endpoint, contact.seq, contact.record)
