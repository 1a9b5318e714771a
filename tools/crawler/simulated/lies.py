"""What liars and bombs answer (pure): nodes that do not exist, and what no node may say.

A bomb has one of several ways, by its place in the network. None of them is more than a nuisance to who bounds what it takes: a few dozen
datagrams for one question, which is why no bomb can keep the simulator busy.
"""

import random
from collections.abc import Sequence
from typing import Final

from devp2p import rlp
from devp2p.discovery.v4.packets import Neighbor
from devp2p.discovery.v5.messages import Nodes, encode_message
from devp2p.keys import PrivateKey, keccak256
from devp2p.records import Record
from tools.crawler.simulated.population import MadeUp, Member, Population

_ANSWER: Final = 16
_STREAM: Final = 48  # datagrams of one endless answer
_NEIGHBOR: Final = rlp.codec(Neighbor)
_NEIGHBORS, _RESPONSE = 0x04, 0x06
_FAMOUS_PORTS: Final = (22, 53, 80, 443)


def signed(kind: int, body: bytes, key: PrivateKey) -> bytes:
    """A packet of v4 with any body."""
    said = bytes([kind]) + body
    rest = key.sign(keccak256(said)) + said
    return keccak256(rest) + rest


def some_fakes(population: Population, dice: random.Random) -> list[MadeUp]:
    """Sixteen of the nodes that liars tell of."""
    fakes = population.fakes
    return [fakes[dice.randrange(len(fakes))] for _ in range(_ANSWER)]


def some_fakes_v4(population: Population, dice: random.Random) -> list[bytes]:
    """The same as items of Neighbors."""
    return [fake.neighbor for fake in some_fakes(population, dice)]


def some_fakes_v5(liar: Member, distances: Sequence[int], population: Population, dice: random.Random) -> list[bytes]:
    """The records of up to sixteen that are as far from the liar as was asked for."""
    there = [index for distance in distances if 0 < distance <= 256 for index in population.fakes.at(liar.number, distance)]
    return [population.fakes[index].record_data for index in dice.sample(there, min(_ANSWER, len(there)))]


def bomb_v4(member: Member, asked: bytes | None, expiration: int, population: Population, dice: random.Random) -> list[bytes]:
    """What a bomb answers to a question of v4: to the ENRRequest whose hash is `asked`, or to a FindNode."""
    if asked is not None:
        return [signed(_RESPONSE, rlp.encode_list(rlp.encode(asked) + _no_record(member, population, dice)), member.key)]
    way = member.index % 4
    if way == 0:
        return [signed(_NEIGHBORS, dice.randbytes(dice.randrange(1, 1000)), member.key) for _ in range(3)]
    end = rlp.encode(expiration)
    items = some_fakes_v4(population, dice)[:11]
    items.append(_NEIGHBOR.encode(Neighbor(member.endpoint.ip, 0, 0, bytes(64))))  # no point of the curve
    if way == 1:  # larger than any packet
        return [signed(_NEIGHBORS, rlp.encode_list(rlp.encode_list(b"".join(items * 40)) + end), member.key)]
    if way == 2:
        told = [some_fakes_v4(population, dice)[:12] for _ in range(_STREAM)]
        return [signed(_NEIGHBORS, rlp.encode_list(rlp.encode_list(b"".join(some)) + end), member.key) for some in told]
    places = zip([bytes(4), b"\xff" * 4, b"\xe0\0\0\1", *sorted(population.victims)], _FAMOUS_PORTS, strict=False)
    keys = [bytes(fake.key.public_key) for fake in some_fakes(population, dice)]
    items[:4] = [_NEIGHBOR.encode(Neighbor(ip, port, port, key)) for (ip, port), key in zip(places, keys, strict=False)]
    return [signed(_NEIGHBORS, rlp.encode_list(rlp.encode_list(b"".join(items)) + end), member.key)]


def _no_record(member: Member, population: Population, dice: random.Random) -> bytes:
    """What is none, or not the node's own."""
    match member.index % 4:
        case 0:
            return rlp.encode_list(rlp.encode(bytes(600)))  # larger than any record
        case 1:
            return dice.randbytes(200)
        case 2:
            return some_fakes(population, dice)[0].record_data
        case _:
            return member.record_data[:-1] + bytes([member.record_data[-1] ^ 1])  # not what was signed


def bomb_v5(member: Member, request_id: bytes, population: Population, dice: random.Random) -> list[bytes]:
    """What a bomb answers to a FINDNODE of v5, as messages to be sealed."""
    way = member.index % 4
    records = [fake.record_data for fake in some_fakes(population, dice)[:5]]
    if way == 0:
        return [encode_message(Nodes(request_id, 2**63, tuple(records)))]  # so many never come
    if way == 1:
        return [encode_message(Nodes(request_id, 16, tuple(records[:3]))) for _ in range(_STREAM)]
    if way == 2:
        return [dice.randbytes(dice.randrange(1, 1000)), encode_message(Nodes(request_id, 0, ()))]
    forged = Record.sign(member.key, 2**40, {"ip": "0.0.0.0", "udp": 1, "tcp": 1}).encode()  # noqa: S104  (nowhere)
    broken = forged[:-1] + bytes([forged[-1] ^ 1])
    return [encode_message(Nodes(request_id, 1, (broken, forged, forged, *records[:1])))]
