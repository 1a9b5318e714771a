"""What one node costs another that asks a thousand questions a second: row D11 of THREATS.md, without sockets."""

import random
import time
from collections.abc import Callable
from typing import Final

from devp2p.addresses import Endpoint
from devp2p.discovery.table import contact_of
from devp2p.discovery.v4 import Discv4, contact_at
from devp2p.discovery.v4 import packets as v4_packets
from devp2p.discovery.v5 import Discv5, Discv5Limits
from devp2p.keys import PrivateKey
from devp2p.records import LocalRecord, Record
from tools.bench.figures import Row

NAMES: Final = ("flood/one_asker_v4", "flood/one_asker_v5")

_RATE: Final = 1000
_QUESTIONS: Final = 4000
_NOW: Final = 1_700_000_000.0
_KNOWN: Final = 30  # nodes that there are to tell of
_CHANCE: Final = random.Random(1)  # noqa: S311  (nobody's secrets are made of it)


def _endpoint(number: int) -> Endpoint:
    return Endpoint(bytes([20, 0, number, 1]), 30303)


def _record(key: PrivateKey, number: int) -> LocalRecord:
    return LocalRecord(key, {"ip": f"20.0.{number}.1", "udp": 30303})


def _v5(number: int, *, operations: int = 1024) -> tuple[Discv5, Record]:
    key = PrivateKey.generate()
    local, limits = _record(key, number), Discv5Limits(operations=operations)
    node = Discv5(local, key, random=_CHANCE.random, random_bytes=_CHANCE.randbytes, limits=limits, maintains=False)
    return node, local.record


def _timed(take: Callable[[bytes, float], object], datagrams: list[bytes]) -> float:
    """Per cent of a core that a node needs for datagrams that come at the rate."""
    begun = time.process_time()
    for number, data in enumerate(datagrams):
        take(data, _NOW + 1 + number / _RATE)
    return 100 * (time.process_time() - begun) / (len(datagrams) / _RATE)


def asker_v4() -> float:
    """Per cent of a core for FindNodes of a node with an endpoint proof."""
    key, asker = PrivateKey.generate(), PrivateKey.generate()
    node = Discv4(_record(key, 1), key, random=_CHANCE.random, random_bytes=_CHANCE.randbytes)
    source = _endpoint(2)
    for number in range(_KNOWN):
        node.table.add(contact_at(PrivateKey.generate().public_key, _endpoint(10 + number), 0), _NOW, live=True)

    def say(packet: v4_packets.Packet) -> list[v4_packets.Decoded]:
        node.receive_datagram(v4_packets.encode(packet, asker)[0], source, _NOW)
        return [v4_packets.decode(data) for data, _ in node.datagrams_to_send(_NOW)]

    nowhere = v4_packets.Endpoint(bytes(4), 0, 0)
    for answer in say(v4_packets.Ping(nowhere, nowhere, int(_NOW) + 20)):
        if isinstance(answer.packet, v4_packets.Ping):
            say(v4_packets.Pong(nowhere, answer.hash, int(_NOW) + 20))

    def take(data: bytes, now: float) -> None:
        node.receive_datagram(data, source, now)
        node.datagrams_to_send(now)

    expiration = int(_NOW) + 60
    questions = [v4_packets.FindNode(number.to_bytes(64, "big"), expiration) for number in range(_QUESTIONS)]
    return _timed(take, [v4_packets.encode(question, asker)[0] for question in questions])


def asker_v5() -> float:
    """The same for FINDNODEs in a session."""
    (node, record), (asker, _) = _v5(1), _v5(2, operations=2 * _QUESTIONS)
    here, source = _endpoint(1), _endpoint(2)
    for number in range(_KNOWN):
        other = contact_of(_record(PrivateKey.generate(), 10 + number).record)
        if other is not None:
            node.table.add(other, _NOW, live=True)
    known = contact_of(record)
    if known is None:
        raise AssertionError("it has an endpoint")
    asker.ping(known, _NOW)
    for _ in range(3):  # the message that does not open, its question, the proof and the answer
        for data, _ in asker.datagrams_to_send(_NOW):
            node.receive_datagram(data, source, _NOW)
        for data, _ in node.datagrams_to_send(_NOW):
            asker.receive_datagram(data, here, _NOW)
    for _ in range(_QUESTIONS):
        asker.find_node(known, (256, 255, 254), _NOW)

    def take(data: bytes, now: float) -> None:
        node.receive_datagram(data, source, now)
        node.datagrams_to_send(now)

    return _timed(take, [data for data, _ in asker.datagrams_to_send(_NOW)])


def rows() -> list[Row]:
    """Both, as rows of a table."""
    return [Row(name, measure(), None, "% of a core", None, None) for name, measure in zip(NAMES, (asker_v4, asker_v5), strict=True)]
