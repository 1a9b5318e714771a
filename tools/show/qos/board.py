"""What the parent has heard of both sides, and what that comes to (pure)."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.show.meters import Meter, percentile
from tools.show.qos.plan import Load, Side
from tools.show.reports import Event

_LATELY = 1.0  # seconds


@dataclass
class SideState:
    """One side, as its last report says. Times are seconds since the beginning."""

    side: Side
    profile: str = ""
    """What its two nodes speak, in their own words; empty until they are connected."""
    at: float = 0.0
    answers: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """When each question was asked, and how long its answer took."""
    open: Sequence[float] = ()
    """When the questions were asked that have no answer yet."""
    floods: Sequence[tuple[float, float | None]] = ()
    flood_bytes: int = 0
    bulk_bytes: int = 0
    carried: int = 0
    line: Meter = field(default_factory=Meter)

    def take(self, event: Event) -> None:
        """Take a report in."""
        self.at = event["at"]
        self.answers += [(asked, waited) for asked, waited in event["answers"]]
        self.open = event["open"]
        self.floods = [(queued, arrived) for queued, arrived in event["floods"]]
        self.flood_bytes, self.bulk_bytes, self.carried = event["flood_bytes"], event["bulk_bytes"], event["carried"]
        self.line.read(self.at, self.carried)

    @property
    def waiting(self) -> float | None:
        """How long the chat waits now: the longest of the last second, whether there was an answer or is none yet."""
        waits = [self.at - asked for asked in self.open]
        for asked, waited in reversed(self.answers):
            if asked + waited < self.at - _LATELY and waits:
                break
            waits.append(waited)
            if asked + waited < self.at - _LATELY:
                break
        return max(waits) if waits else None

    @property
    def waits(self) -> list[float]:
        """Of all questions; one without an answer counts for as long as it has waited."""
        return [waited for _, waited in self.answers] + [self.at - asked for asked in self.open]

    def wait_of(self, percent: float) -> float | None:
        """The time in which so many per cent of the questions were answered."""
        return percentile(self.waits, percent)


@dataclass
class QosBoard:
    """Both sides, and what went wrong."""

    load: Load
    seconds: float
    """How long the show is."""
    sides: dict[Side, SideState] = field(default_factory=lambda: {side: SideState(side) for side in Side})
    began: float | None = None
    """When, on the parent's clock."""
    problems: deque[str] = field(default_factory=lambda: deque[str](maxlen=20))
    errors: int = 0
    closing: bool = False

    def apply(self, side: Side, event: Event) -> None:
        """Take an event of a child in."""
        match event:
            case {"event": "ready", "profile": str(profile)}:
                self.sides[side].profile = profile
            case {"event": "report"}:
                self.sides[side].take(event)
            case {"event": "problem" | "complaint", "text": str(text)}:
                if not self.closing or event["event"] == "problem":
                    self.problem(f"{side.label}: {text}")
            case {"event": "gone"} if not self.closing:
                self.problem(f"{side.label}: its process is gone")
            case _:
                pass

    def problem(self, text: str) -> None:
        """Remember what should not be."""
        self.problems.append(text)
        self.errors += 1

    @property
    def ready(self) -> bool:
        """Whether both sides are connected."""
        return all(state.profile for state in self.sides.values())

    @property
    def highest(self) -> float:
        """The upper edge of a diagram of the waits, in seconds: a whole number."""
        longest = max((wait for state in self.sides.values() for wait in state.waits), default=0.0)
        return max(1.0, math.ceil(longest))


def summary_of(board: QosBoard) -> Event:
    """The whole run."""
    sides: Event = {}
    for side, state in board.sides.items():
        waits = {name: state.wait_of(percent) for name, percent in (("p50", 50), ("p95", 95), ("longest", 100))}
        sides[side] = {
            "profile": state.profile,
            "seconds": round(state.at, 1),
            "questions": len(state.waits),
            "answers": len(state.answers),
            **{f"wait_{name}_ms": None if wait is None else round(wait * 1000, 1) for name, wait in waits.items()},
            "flood_bytes": state.flood_bytes,
            "bulk_bytes": state.bulk_bytes,
            "carried_bytes": state.carried,
        }
    return {"event": "summary", "sides": sides, "errors": board.errors, "problems": list(board.problems), "notes": []}


def duration(seconds: float | None) -> str:
    """A time as people say it: ``21 ms``, ``3.4 s``."""
    if seconds is None:
        return "–"  # noqa: RUF001  (a dash it is)
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def sentences(summary: Event) -> list[str]:
    """The whole run in words, a line for each side."""
    lines = []
    for side, one in summary["sides"].items():
        p50, p95, longest = (
            duration(None if one[name] is None else one[name] / 1000) for name in ("wait_p50_ms", "wait_p95_ms", "wait_longest_ms")
        )
        lines.append(
            f"{Side(side).label:<10}  a question waits {p50} (median), {p95} (95 %), {longest} at most; "
            f"flood {one['flood_bytes'] / 1e6:.1f} MB, bulk {one['bulk_bytes'] / 1e6:.1f} MB"
        )
    return lines
