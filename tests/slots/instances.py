"""Problems of choosing peers, drawn at random, and the best answer to each, found by trying every set.

Each generator is named by what makes its problems hard, and gives the same ones for the same seed. Sizes are those of which all sets can be
tried: 12 items. Some of the bounded problems cannot be solved: then the best answer is one that lacks least.
"""

import math
import random
from collections.abc import Callable, Sequence

from devp2p.peers.slots.objective import Item, Rules, Selection
from devp2p.peers.slots.values import SlotSpec

ITEMS = 12
Instance = tuple[Rules, list[Item]]


def _rules(chance: random.Random, capabilities: int = 3, **bounds: object) -> Rules:
    specs = tuple(SlotSpec(f"p{index}", chance.randint(1, 4), weight=chance.choice([0.5, 1.0, 2.0, 5.0])) for index in range(capabilities))
    return Rules(specs, chance.randint(3, 6), **bounds)  # type: ignore[arg-type]


def _items(chance: random.Random, rules: Rules, share: float, *, inbound: float = 0.0, networks: int = 0) -> list[Item]:
    """`share`: how probable it is that an item has a capability; `inbound`, that it dialled us; `networks`: how many there are."""
    items: list[Item] = []
    for number in range(ITEMS):
        serves = sum((chance.random() < share) << index for index in range(len(rules.specs)))
        values = tuple(chance.random() if serves >> index & 1 else 0.0 for index in range(len(rules.specs)))
        network = bytes([chance.randrange(networks)]) if networks else None
        items.append(Item(bytes([number]), values, serves, chance.random() >= inbound, network))
    return items


def dense(seed: int) -> Instance:
    """Nearly everybody has every capability."""
    chance = random.Random(seed)
    rules = _rules(chance)
    return rules, _items(chance, rules, 0.9)


def cover(seed: int) -> Instance:
    """Values are 0 and 1, and each capability has one slot: maximum coverage."""
    chance = random.Random(seed)
    rules = Rules(tuple(SlotSpec(f"p{index}", 1) for index in range(8)), chance.randint(2, 5))
    items = _items(chance, rules, 0.3)
    return rules, [Item(item.id, tuple(float(value > 0) for value in item.values), item.serves) for item in items]


def sparse(seed: int) -> Instance:
    """Few have a capability, fewer have two."""
    chance = random.Random(seed)
    rules = _rules(chance, capabilities=5)
    return rules, _items(chance, rules, 0.25)


def capped(seed: int) -> Instance:
    """As `sparse`, with few networks, of which each may have one or two."""
    chance = random.Random(seed)
    rules = _rules(chance, capabilities=5, network_cap=chance.randint(1, 2))
    return rules, _items(chance, rules, 0.25, networks=4)


def dialled(seed: int) -> Instance:
    """Half have dialled us; some places are only for those that we dial, and only some inbound ones count. May be impossible."""
    chance = random.Random(seed)
    rules = _rules(chance)
    quota = tuple(chance.randint(0, spec.slots) for spec in rules.specs)
    floor = chance.randint(1, rules.budget)
    rules = Rules(rules.specs, rules.budget, network_cap=2, dialled_floor=floor, inbound_quota=quota)
    return rules, _items(chance, rules, 0.5, inbound=0.6, networks=5)


def minimums(seed: int) -> Instance:
    """Each capability is guaranteed some peers, few have it, and one weighs a hundred times as much. Often impossible."""
    chance = random.Random(seed)
    specs = list(_rules(chance, capabilities=4).specs)
    specs = [SlotSpec(spec.name, spec.slots, chance.randint(0, min(2, spec.slots)), spec.weight) for spec in specs]
    specs[0] = SlotSpec("p0", 4, 0, 100.0)
    rules = Rules(tuple(specs), chance.randint(3, 6), network_cap=chance.choice([1, 2, 3]), dialled_floor=chance.randint(0, 2))
    return rules, _items(chance, rules, 0.3, inbound=0.5, networks=5)


FREE: tuple[Callable[[int], Instance], ...] = (dense, cover, sparse)
BOUNDED: tuple[Callable[[int], Instance], ...] = (capped, dialled, minimums)


def plain_value(rules: Rules, chosen: Sequence[Item]) -> float:
    """F, as its definition says it."""
    total = -sum(item.cost for item in chosen)
    for index, spec in enumerate(rules.specs):
        having = [item for item in chosen if item.serves >> index & 1]
        inbound = sorted((item.values[index] for item in having if not item.dialled), reverse=True)[: rules.quota(index)]
        outbound = [item.values[index] for item in having if item.dialled]
        total += spec.weight * sum(sorted(inbound + outbound, reverse=True)[: spec.slots])
    return total


def plain_shortfall(rules: Rules, chosen: Sequence[Item]) -> int:
    """What a set lacks, as its definition says it."""
    lacking = max(0, rules.dialled_floor - sum(item.dialled for item in chosen))
    for index, spec in enumerate(rules.specs):
        lacking += max(0, spec.minimum - sum(item.serves >> index & 1 for item in chosen))
    return lacking


def fits(rules: Rules, chosen: Sequence[Item]) -> bool:
    """Whether a set keeps the bounds that are never broken."""
    networks = [item.network for item in chosen if item.network is not None]
    cap = rules.network_cap
    return len(chosen) <= rules.budget and (cap is None or all(networks.count(network) <= cap for network in networks))


def best_of_all(rules: Rules, items: Sequence[Item]) -> tuple[int, float]:
    """The least shortfall that any set has, and the most that a set with it is worth. Tries every set, quickly."""
    count, half = len(items), len(items) // 2
    lower = 2**half - 1
    tables = [_table(rules, index, items) for index in range(len(rules.specs))]
    bounds = _bounds(rules, items)
    exact = rules.network_cap is None and not rules.dialled_floor  # then more is never worth less
    best = (-math.inf, -math.inf)
    for mask in range(2**count):
        size = mask.bit_count()
        if size > rules.budget or (exact and size < min(rules.budget, count)):
            continue
        lacking = bounds(mask)
        if lacking is None:
            continue
        value = 0.0
        for weight, minimum, low, high, totals in tables:
            part = low[mask & lower] | high[mask >> half]
            value += weight * totals[part]
            lacking += max(0, minimum - part.bit_count()) if minimum else 0
        best = max(best, (-lacking, value))
    return -int(best[0]), best[1]


_Table = tuple[float, int, list[int], list[int], list[float]]


def _table(rules: Rules, index: int, items: Sequence[Item]) -> _Table:
    """One capability: its worth for each set of those who have it (as bits, best first), and how a set of items becomes one of these."""
    ranked = sorted((number for number, item in enumerate(items) if item.serves >> index & 1), key=lambda n: -items[n].values[index])
    totals, counted, inbound = [0.0], [0], [0]
    spec, quota = rules.specs[index], rules.quota(index)
    for place, number in enumerate(ranked):  # the sets whose worst member this is
        item = items[number]
        for part in range(2**place):
            counts = counted[part] < spec.slots and (item.dialled or inbound[part] < quota)
            totals.append(totals[part] + (item.values[index] if counts else 0.0))
            counted.append(counted[part] + counts)
            inbound.append(inbound[part] + (counts and not item.dialled))
    bit = {number: 1 << place for place, number in enumerate(ranked)}
    half = len(items) // 2

    def spread(first: int, width: int) -> list[int]:
        return [sum(bit.get(first + n, 0) for n in range(width) if part >> n & 1) for part in range(2**width)]

    return spec.weight, spec.minimum, spread(0, half), spread(half, len(items) - half), totals


def _bounds(rules: Rules, items: Sequence[Item]) -> Callable[[int], int | None]:
    """How many dialled ones a set lacks; None if it has too many of a network."""
    ours = sum(1 << number for number, item in enumerate(items) if item.dialled)
    networks: dict[bytes, int] = {}
    for number, item in enumerate(items):
        if item.network is not None:
            networks[item.network] = networks.get(item.network, 0) | 1 << number
    cap = rules.network_cap
    crowded = [] if cap is None else [members for members in networks.values() if members.bit_count() > cap]

    def check(mask: int) -> int | None:
        for members in crowded:
            if (mask & members).bit_count() > (cap or 0):
                return None
        return max(0, rules.dialled_floor - (mask & ours).bit_count()) if rules.dialled_floor else 0

    return check


def ratio(found: Selection, best: tuple[int, float]) -> float:
    """What part of the best value was found; 0 if it lacks more than it had to."""
    if found.shortfall > best[0]:
        return 0.0
    return 1.0 if best[1] <= 0 else found.value / best[1]
