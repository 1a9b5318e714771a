"""Who takes part: names, what each node is truly like, where it listens, how many peers it has room for (pure, all of it from one seed)."""

import enum
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

# fmt: off
NAMES = (
    "ada", "abe", "ana", "art", "bea", "ben", "bob", "boa", "cal", "cam", "cleo", "coy", "dan", "dee", "dora", "dov", "eda", "eli",
    "emil", "eve", "fay", "flo", "fox", "fred", "gil", "gus", "guy", "gwen", "hal", "hani", "hugo", "ian", "ida", "ines", "ivo", "jan",
    "jill", "joe", "jon", "kai", "kate", "ken", "kim", "lea", "leo", "lina", "lou", "mae", "max", "mia", "moe", "nat", "ned", "nina",
    "noa", "olga", "otto", "pam", "pia", "rex", "rita",
)
# fmt: on
FEWEST_NODES, MOST_NODES = 3, len(NAMES)

BULK, ECHO, NEWS = CAPABILITIES = ("bulk", "echo", "news")
SLOTS = 4
"""From how many peers at a time each capability has a use."""

_FEWEST_PLACES, _MOST_PLACES = 3, 8  # of an observer: for a third of the nodes, if that lies between
_EACH_OBSERVER = 5  # one node of so many observes
_SHARES = {"good": 0.46, "slow": 0.2, "useless": 0.17, "hostile": 0.17}  # of the others
_OBSERVERS_SERVE = 0.15
_GOOD, _SLOW, _BAIT = (0.1, 1.0), (0.04, 0.1), (0.9, 1.0)  # the least and the greatest quality
_SKEW = 1.5  # there is more of the little than of the great
_TURNS = (6.0, 14.0)  # seconds of a session after which a hostile node shows what it is
_NO_ROOM = 2
_ROOM = 1.2  # places for each node of the show
_PER_WORKER, _MOST_WORKERS = 12, 3


@dataclass(frozen=True, slots=True)
class Tempo:
    """How often things happen in the show. How long an answer takes is not of it, but of the plan."""

    echo_pause: float = 0.04
    """Seconds that an observer waits between an answer and its next question to the same peer."""
    bulk_pause: float = 0.005
    news_interval: float = 0.2
    """Seconds between two items."""
    patience: float = 1.0
    """A hostile node turns against its peers so many times later than its plan says."""


LIVELY = Tempo()
"""For people who watch."""
SLOW = Tempo(echo_pause=30.0, bulk_pause=40.0, news_interval=20.0, patience=60.0)
"""For hours at the usual pace under a simulated clock."""


class Nature(enum.StrEnum):
    """What a node is truly like, which nobody in the show is told."""

    GOOD = "good"
    """It serves well, in each of its capabilities as well as it can."""
    SLOW = "slow"
    """It serves, late and little."""
    USELESS = "useless"
    """It connects and serves nothing, or it has no room."""
    HOSTILE = "hostile"
    """It serves best of all, until it begins to cheat or to break the rules."""


class Choice(enum.StrEnum):
    """How an observer chooses its peers."""

    SLOTS = "slots"
    """As the library does: each capability's rating, for its own slots."""
    ONE_SCORE = "one score"
    """By a single number for each peer, of its conduct in all capabilities together."""
    RANDOM = "random"
    """Nobody is better than another."""


class Mood(enum.Enum):
    """What a node does with a question."""

    SERVE = enum.auto()
    SILENT = enum.auto()
    LIE = enum.auto()
    """Answer in good form what is not true."""
    BREAK = enum.auto()
    """Send what no rule allows."""


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node."""

    name: str
    nature: Nature
    worker: int
    """The process that it lives in."""
    listen: str
    """A TCP address; discovery listens at the same host."""
    external: tuple[str, ...]
    """The addresses that it tells others."""
    places: int
    """How many peers it has room for."""
    observer: bool = False
    """Whether it asks its peers for things, and is shown."""
    choice: Choice = Choice.SLOTS
    """How it chooses its peers, if it observes."""
    qualities: Mapping[str, float] = field(default_factory=dict[str, float])
    """What it offers, and how well it serves there as long as it does, from 0 to 1: as well as anybody in the show."""
    turns: float = math.inf
    """Seconds of a session until it turns against its peer."""
    breaks: bool = False
    """Whether it then breaks the rules of the protocol; else it lies."""

    def mood(self, age: float) -> Mood:
        """What it does in a session that is `age` seconds old."""
        if self.nature is Nature.USELESS:
            return Mood.SILENT
        if age < self.turns:
            return Mood.SERVE
        return Mood.BREAK if self.breaks else Mood.LIE

    def service(self, capability: str) -> float:
        """What it truly gives in a capability, 0 to 1. Who turns against his peers gives nothing, however well it began."""
        serves = self.nature in {Nature.GOOD, Nature.SLOW}
        return self.qualities.get(capability, 0.0) if serves else 0.0


GO = NodePlan("geth", Nature.GOOD, -1, "tcp://127.0.0.1:0", ("127.0.0.1",), 200, qualities={ECHO: 1.0})
"""The go-ethereum node, which answers at once."""


def workers_for(count: int) -> int:
    """How many processes `count` nodes share."""
    return min(_MOST_WORKERS, max(1, math.ceil(count / _PER_WORKER)))


def plan_nodes(count: int, seed: int, *, ipv6: bool) -> list[NodePlan]:
    """`count` nodes, of which the first is the bootnode: a good one, at all addresses."""
    dice = random.Random(f"devp2p show {seed}")  # noqa: S311  (no secret is thrown with it)
    natures = _natures(count - 1 - len(_observers(count)))
    dice.shuffle(natures)
    names = dice.sample(NAMES, count)
    plans: list[NodePlan] = []
    for index, name in enumerate(names):
        observer = index in _observers(count)
        nature = Nature.GOOD if observer or index == 0 else natures.pop()
        alike = sum(plan.nature is nature for plan in plans)  # so that there are some of each kind
        listen, external = _addresses(index, ipv6=ipv6)
        plans.append(
            NodePlan(
                name=name,
                nature=nature,
                worker=index % workers_for(count),
                listen=listen,
                external=external,
                places=_places(nature, alike, count, observer=observer),
                observer=observer,
                qualities=dict.fromkeys(CAPABILITIES, _OBSERVERS_SERVE) if observer else _qualities(nature, dice),
                turns=dice.uniform(*_TURNS) if nature is Nature.HOSTILE else math.inf,
                breaks=nature is Nature.HOSTILE and alike % 2 == 1,
            )
        )
    return plans


def _observers(count: int) -> range:
    """Their indices: spread over the processes."""
    return range(1, count, _EACH_OBSERVER)


def _natures(count: int) -> list[Nature]:
    """`count` of them in the shares that are wanted, by largest remainder."""
    exact = {Nature(name): share * count for name, share in _SHARES.items()}
    natures = [nature for nature, amount in exact.items() for _ in range(int(amount))]
    by_remainder = sorted(exact, key=lambda nature: exact[nature] % 1, reverse=True)
    return natures + by_remainder[: count - len(natures)]


def _places(nature: Nature, alike: int, count: int, *, observer: bool) -> int:
    if observer:
        return max(_FEWEST_PLACES, min(_MOST_PLACES, count // 3))
    if nature is Nature.USELESS and alike % 3 == 2:
        return _NO_ROOM
    return max(_MOST_PLACES, round(_ROOM * count))  # for anybody who comes


def _qualities(nature: Nature, dice: random.Random) -> dict[str, float]:
    """Good and slow nodes offer some of the capabilities, the others say that they have them all."""
    if nature in {Nature.USELESS, Nature.HOSTILE}:
        return {capability: _draw(_BAIT, dice) for capability in CAPABILITIES}
    offered = dice.sample(CAPABILITIES, dice.choice((1, 2, 2, 3)))
    bounds = _GOOD if nature is Nature.GOOD else _SLOW
    return {capability: _draw(bounds, dice) for capability in CAPABILITIES if capability in offered}


def _draw(bounds: tuple[float, float], dice: random.Random) -> float:
    least, most = bounds
    return round(least + (most - least) * math.pow(dice.random(), _SKEW), 2)


def _addresses(index: int, *, ipv6: bool) -> tuple[str, tuple[str, ...]]:
    """The bootnode can be reached both ways; of the others one third has IPv4 alone, and one third tells its IPv6 address only."""
    if not ipv6 or index % 3 == 1:
        return "tcp://127.0.0.1:0", ("127.0.0.1",)
    if index == 0:
        return "tcp://*:0", ("127.0.0.1", "::1")
    return "tcp://*:0", ("127.0.0.1",) if index % 3 == 0 else ("::1",)
