"""Which nodes to publish in DNS, so that nobody can fill the list with nodes of his own.

Whoever reads such a list connects to what is in it. An attacker who has many addresses, or runs many nodes for a day, must not own a
large part of it. So a node has to be old, to have answered often, and to be what its record says; few may be of one network; and of those
that are left, chance chooses, by a seed that nobody knew before.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final

from devp2p import Address, DecodingError, Record
from devp2p_crawler.filters.described import Described
from devp2p_crawler.model import Kind, KnownNode

DAY: Final = 86_400 * 10**6
RULES: Final = ("record", "address", "dialable", "age", "handshakes", "subnet", "asn")
"""In the order in which they are asked; the last two after chance has put the nodes in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRules:
    """What a node has to be. A rule whose name is in `off` is not asked."""

    min_age: int = 7 * DAY
    """Microseconds between the first and the last answer."""
    min_handshakes: int = 3
    per_subnet: int = 2
    """Nodes of one /24 of IPv4, or one /48 of IPv6."""
    per_asn: int = 10
    """Nodes of one autonomous system. What has no known one is not bound by it."""
    size: int | None = None
    """How many at most; None takes all that may be taken."""
    seed: str = ""
    """What chance follows from."""
    off: frozenset[str] = frozenset()


@dataclass(slots=True)
class Chosen:
    """Who is on the list, and why others are not."""

    nodes: list[KnownNode] = field(default_factory=list[KnownNode])
    """By node-ID."""
    removed: Counter[str] = field(default_factory=Counter[str])
    """Rule -> how many it left out; each node counts for the first rule that did. Beside `RULES` there are "unsigned", which no list can
    do without: it has no record; and "size", for `ListRules.size`."""
    looked_at: int = 0
    without_asn: int = 0
    """Of those chosen: how many the rule about autonomous systems could not judge."""


def choose(nodes: Iterable[KnownNode], rules: ListRules) -> Chosen:
    """Choose nodes. The same nodes, rules and seed make the same choice, in whatever order the nodes come."""
    chosen = Chosen()
    eligible: list[tuple[bytes, KnownNode]] = []
    checks = [(name, check) for name, check in _CHECKS.items() if name not in rules.off]
    for node in nodes:
        chosen.looked_at += 1
        one = Described(node)
        unsigned = "unsigned" if node.record is None else None
        fault = unsigned or next((name for name, check in checks if not check(one, rules)), None)
        if fault is None:
            eligible.append((hashlib.blake2b(node.node, key=hashlib.sha256(rules.seed.encode()).digest()).digest(), node))
        else:
            chosen.removed[fault] += 1
    subnets, systems = Counter[bytes](), Counter[int]()
    for _, node in sorted(eligible, key=lambda pair: pair[0]):
        subnet = _subnet(Described(node))
        if rules.size is not None and len(chosen.nodes) >= rules.size:
            chosen.removed["size"] += 1
        elif "subnet" not in rules.off and subnets[subnet] >= rules.per_subnet:
            chosen.removed["subnet"] += 1
        elif "asn" not in rules.off and node.asn is not None and systems[node.asn] >= rules.per_asn:
            chosen.removed["asn"] += 1
        else:
            subnets[subnet] += 1
            if node.asn is None:
                chosen.without_asn += 1
            else:
                systems[node.asn] += 1
            chosen.nodes.append(node)
    chosen.nodes.sort(key=lambda node: node.node)
    return chosen


def _record(one: Described, _: ListRules) -> bool:
    """The signature of its record is checked once more; it has an IP address, and ports for both RLPx and discovery at it."""
    try:
        record = Record.decode(b"" if one.node.record is None else one.node.record.raw)
    except DecodingError:
        return False
    return bytes(record.id) == one.node.node and one.address is not None and bool(one.tcp and one.udp)


def _address(one: Described, _: ListRules) -> bool:
    """The address of its record is one that everybody can reach, and the one at which it answered."""
    if one.address is None:
        return False
    mapped = one.address.ipv4_mapped if isinstance(one.address, IPv6Address) else None
    address = mapped or one.address
    return Address("tcp", str(address)).scope.name == "PUBLIC" and one.node.ip in {address.packed, one.address.packed}


def _dialable(one: Described, _: ListRules) -> bool:
    """When it was called last, it answered."""
    return Kind.RLPX in one.node.outcomes and one.node.outcomes[Kind.RLPX].is_alive


def _age(one: Described, rules: ListRules) -> bool:
    return one.node.first_ok is not None and one.node.last_ok is not None and one.node.last_ok - one.node.first_ok >= rules.min_age


def _handshakes(one: Described, rules: ListRules) -> bool:
    return one.node.handshakes >= rules.min_handshakes


_CHECKS: Final[dict[str, Callable[[Described, ListRules], bool]]] = {
    "record": _record,
    "address": _address,
    "dialable": _dialable,
    "age": _age,
    "handshakes": _handshakes,
}


def _subnet(one: Described) -> bytes:
    """The network that a node counts for, of its record's address."""
    if one.address is None:
        return one.node.node
    packed = one.address.packed
    if packed.startswith(b"\0" * 10 + b"\xff\xff"):
        packed = packed[12:]
    return packed[: 3 if len(packed) == 4 else 6]
