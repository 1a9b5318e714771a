"""Discovery without sockets: single packets, questions and answers between two nodes of this process, and full tables.

Packets are timed where go-ethereum's ``v4wire.Encode`` and ``v4wire.Decode`` and its ``v5wire.Codec`` do the same: for v5 from a message to
a datagram and back, with the sessions, and without what a node then makes of it.
"""

import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import trio

from devp2p import PrivateKey
from devp2p.addresses import Endpoint
from devp2p.discovery import PingResult
from devp2p.discovery.table import BUCKET_SIZE, BUCKETS, CLOSEST, ID_SIZE, WAITING_SIZE, Contact, RoutingTable, contact_of
from devp2p.discovery.v4 import Discv4, contact_at
from devp2p.discovery.v4 import packets as v4_packets
from devp2p.discovery.v5 import Discv5, Discv5Limits, PacketSessions, Remote
from devp2p.discovery.v5 import messages as v5_messages
from devp2p.discovery.v5 import packets as v5_packets
from devp2p.keys import NodeId
from devp2p.records import LocalRecord, Record
from tools.bench.endpoints.basics import Options, emit

TABLES: Final = 8
"""How many tables are filled, one after the other."""
TABLE_NODES: Final = BUCKETS * (BUCKET_SIZE + WAITING_SIZE)
"""How many nodes a full one holds."""
_LOOPBACK: Final = bytes([127, 0, 0, 1])
_BATCH: Final = 32  # steps between two looks at the clock
_UNLIMITED: Final = 1e9


def repeat(options: Options, step: Callable[[], object]) -> dict[str, Any]:
    """Do a step over and over, first to warm up; how often, and the seconds that took."""
    count, spent = 0, 0.0
    for duration in (options.seconds / 5, options.seconds):
        count, begin = 0, time.perf_counter()
        while (spent := time.perf_counter() - begin) < duration:
            for _ in range(_BATCH):
                step()
            count += _BATCH
    return {"messages": count, "seconds": spent}


# Single packets


def _ping() -> v4_packets.Ping:
    return v4_packets.Ping(
        v4_packets.Endpoint(_LOOPBACK, 30301, 30303),
        v4_packets.Endpoint(_LOOPBACK, 30302, 0),
        int(time.time()) + 20,
        int(1000 * time.time()),
    )


async def encode_v4(options: Options) -> dict[str, Any]:
    """``discv4-encode``: a Ping, signed."""
    key, ping = PrivateKey.generate(), _ping()
    return repeat(options, partial(v4_packets.encode, ping, key))


async def decode_v4(options: Options) -> dict[str, Any]:
    """``discv4-decode``: the same Ping, and who has signed it."""
    data, _ = v4_packets.encode(_ping(), PrivateKey.generate())
    return repeat(options, partial(v4_packets.decode, data))


class Party:
    """A node of discovery v5, as far as its packets go."""

    def __init__(self, port: int) -> None:
        key = PrivateKey.generate()
        self.remote = Remote(key.public_key.node_id, Endpoint(_LOOPBACK, port))
        self.record = Record.sign(key, int(1000 * time.time()), {"ip": "127.0.0.1", "udp": port})
        limits = Discv5Limits()
        self.sessions = PacketSessions(
            key, os.urandom, sessions=limits.sessions, challenges=limits.challenges, handshake_timeout=limits.handshake_timeout
        )

    def ping(self) -> v5_messages.Ping:
        """Ask whether another one is there."""
        return v5_messages.Ping(os.urandom(8), self.record.sequence)

    def encode(self, message: v5_messages.Message, to: "Party") -> bytes:
        """Make the packet of a request within a session."""
        return self.sessions.seal_request(to.remote, v5_messages.encode_message(message))[0]

    def prove(self, message: v5_messages.Message, to: "Party") -> bytes:
        """Have another one ask who this is, and make the handshake packet of a message."""
        asked = to.sessions.challenge(self.remote, bytes(12), None, time.monotonic())
        assert asked is not None  # noqa: S101  (it asks nobody else)
        packet = v5_packets.decode(asked, self.remote.id)
        plaintext = v5_messages.encode_message(message)
        proof = self.sessions.prove(packet, to.remote, to.record, self.record.encode(), plaintext)
        assert proof is not None  # noqa: S101  (a Ping is short)
        return proof

    def decode(self, data: bytes, source: Endpoint) -> v5_messages.Message:
        """Read the packet of a message, which may be a handshake packet."""
        packet = v5_packets.decode(data, self.remote.id)
        header = packet.header
        opened = None
        if isinstance(header, v5_packets.Ordinary):
            opened = self.sessions.open(packet, Remote(header.source, source))
        elif isinstance(header, v5_packets.Handshake):
            opened = self.sessions.accept(packet, header, Remote(header.source, source), time.monotonic())
        if opened is None:
            raise SystemExit("a packet did not open")
        return v5_messages.decode_message(opened.plaintext)


def _acquainted() -> tuple[Party, Party]:
    """Two with a session."""
    initiator, recipient = Party(30301), Party(30302)
    recipient.decode(initiator.prove(initiator.ping(), recipient), initiator.remote.endpoint)
    return initiator, recipient


async def encode_v5(options: Options) -> dict[str, Any]:
    """``discv5-encode``: a Ping, within a session."""
    sender, receiver = _acquainted()
    ping = sender.ping()
    return repeat(options, partial(sender.encode, ping, receiver))


async def decode_v5(options: Options) -> dict[str, Any]:
    """``discv5-decode``: the same."""
    sender, receiver = _acquainted()
    data = sender.encode(sender.ping(), receiver)
    return repeat(options, partial(receiver.decode, data, sender.remote.endpoint))


async def handshake_v5(options: Options) -> dict[str, Any]:
    """``discv5-handshake``: the recipient's work on a handshake packet with a record and a Ping; making these is not timed."""
    initiator, recipient = _acquainted()
    count, spent, end = 0, 0.0, time.perf_counter() + options.seconds
    while time.perf_counter() < end:
        data = initiator.prove(initiator.ping(), recipient)
        begin = time.perf_counter()
        recipient.decode(data, initiator.remote.endpoint)
        spent += time.perf_counter() - begin
        count += 1
    return {"messages": count, "seconds": spent}


# Questions and answers


@dataclass
class End:
    """A node, and where its datagrams seem to come from."""

    node: Discv4 | Discv5
    endpoint: Endpoint

    def take(self, datagrams: list[tuple[bytes, Endpoint]], source: Endpoint, now: float) -> list[tuple[bytes, Endpoint]]:
        """Take in datagrams as the service does, and give those that are to be sent."""
        for data, _ in datagrams:
            self.node.receive_datagram(data, source, now)
        if (due := self.node.next_timer()) is not None and due <= now:
            self.node.handle_timer(now)
        return self.node.datagrams_to_send(now)


def ask(asker: End, answerer: End, begin: Callable[[float], int]) -> None:
    """Let one ping the other, and carry datagrams until neither has any."""
    now = time.time()
    begin(now)
    datagrams = asker.take([], answerer.endpoint, now)
    while datagrams:
        datagrams = asker.take(answerer.take(datagrams, asker.endpoint, now), answerer.endpoint, now)
    answered = False
    while (event := asker.node.next_event()) is not None:
        answered |= isinstance(event, PingResult) and event.pong is not None
    if not answered:
        raise SystemExit("a Ping was not answered")


def _local(port: int) -> tuple[PrivateKey, LocalRecord, Endpoint]:
    key = PrivateKey.generate()
    return key, LocalRecord(key, {"ip": "127.0.0.1", "udp": port}), Endpoint(_LOOPBACK, port)


async def pairs_v4(options: Options) -> dict[str, Any]:
    """``discv4-pairs``: Ping and Pong, over and over, after the endpoint proofs."""
    ends: list[tuple[Discv4, End, PrivateKey]] = []
    for port in (30301, 30302):
        key, local, endpoint = _local(port)
        node = Discv4(local, key, random=random.random, random_bytes=os.urandom)
        ends.append((node, End(node, endpoint), key))
    (node, asker, _), (_, answerer, key) = ends
    contact = contact_at(key.public_key, answerer.endpoint, 0)
    return repeat(options, lambda: ask(asker, answerer, lambda now: node.ping(contact, now)))


async def pairs_v5(options: Options) -> dict[str, Any]:
    """``discv5-pairs``: Ping and Pong within a session; each is a message. How often one may ask is not limited here."""
    ends: list[tuple[Discv5, End, LocalRecord]] = []
    for port in (30301, 30302):
        key, local, endpoint = _local(port)
        node = Discv5(local, key, random=random.random, random_bytes=os.urandom, limits=Discv5Limits(node_rate=_UNLIMITED))
        ends.append((node, End(node, endpoint), local))
    (node, asker, _), (_, answerer, local) = ends
    contact = contact_of(local.record)
    assert contact is not None  # noqa: S101  (the record names an endpoint)
    report = repeat(options, lambda: ask(asker, answerer, lambda now: node.ping(contact, now)))
    return report | {"messages": 2 * report["messages"]}


# Tables


def full_table() -> RoutingTable[Record]:
    """A table of discovery v5 with all the nodes that it holds, each with a record of its own.

    The node-IDs are made up, since it would take hours to find keys for the closest buckets.
    """
    own_id = os.urandom(ID_SIZE)
    table: RoutingTable[Record] = RoutingTable(own_id, random.random)
    for number in range(TABLE_NODES):
        record = _record(number)
        away = CLOSEST + number % BUCKETS
        place = int.from_bytes(own_id, "big") ^ (1 << (away - 1) | random.getrandbits(away - 1))
        node_id = NodeId(place.to_bytes(ID_SIZE, "big"))
        ip, udp = record.ip, record.udp
        assert ip is not None and udp is not None  # noqa: S101, PT018  (they are in it)
        table.add(Contact(node_id, Endpoint(ip.packed, udp), record.sequence, record), float(number), live=True)
    counts = table.statistics()
    if counts.entries + counts.waiting != TABLE_NODES:
        raise SystemExit(f"the table holds {counts.entries} nodes, and {counts.waiting} wait")
    return table


def _record(number: int) -> Record:
    """The record of a node at the address of its own network, as it would come from others."""
    key = PrivateKey.generate()
    entries = {"eth": bytes.fromhex("c7c684deadbeef80"), "ip": f"20.{number >> 8}.{number & 255}.1", "tcp": 30303, "udp": 30303}
    return Record.decode(Record.sign(key, int(1000 * time.time()), entries).encode())


async def fill_tables(_: Options) -> dict[str, Any]:
    """``discovery-tables``: fill tables; after each say how many there are, and wait for a line on stdin."""
    tables: list[RoutingTable[Record]] = []
    for _number in range(TABLES):
        tables.append(full_table())
        emit({"tables": len(tables)})
        await trio.to_thread.run_sync(sys.stdin.readline)
    return {}
