"""Who takes part: names, where each node listens, who dials whom and how (pure)."""

from dataclasses import dataclass

NAMES = ("ada", "slow", "bela", "fast", "cleo", "dana", "emil", "fay", "gil", "hugo", "ines", "jon")
MOST_NODES = len(NAMES)
FEWEST_NODES = 2

_SLOW_LINE = 0.03  # seconds by which each read of the slow node is late
_FAST_PACE = 2.0


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node. ``listen`` are addresses, of which the last is the one that its peers dial."""

    name: str
    listen: tuple[str, ...]
    delay: float = 0.0
    pace: float = 1.0

    @property
    def trait(self) -> str:
        """What is special about it, in a few words."""
        if self.delay:
            return f"+{self.delay * 1000:.0f} ms a read"
        return f"{self.pace:g} x the questions" if self.pace != 1 else ""


def plan_nodes(count: int, *, directory: str, ipv6: bool, unix: bool) -> list[NodePlan]:
    """`count` nodes. All listen on TCP; the third prefers a Unix socket in `directory`, every other one after the second IPv6."""
    plans = []
    for index, name in enumerate(NAMES[:count]):
        listen = ["tcp://127.0.0.1:0"]
        if index == 2 and unix:
            listen.append(f"unix://{directory}/{name}.sock")
        elif index % 2 and ipv6:
            listen.append("tcp://[::1]:0")
        delay = _SLOW_LINE if name == "slow" else 0.0
        plans.append(NodePlan(name, tuple(listen), delay, _FAST_PACE if name == "fast" else 1.0))
    return plans


def plan_dials(count: int) -> list[tuple[int, int]]:
    """Pairs (who dials, whom): a ring, so that nobody is alone, and chords from every other node, so that some have more to do."""
    ring = [(index, (index + 1) % count) for index in range(count if count > 2 else 1)]
    chords = [(index, (index + 2) % count) for index in range(0, count - 2, 2)] if count > 3 else []
    return ring + chords
