"""What the observers' nodes decide about their peers: the lines between the processes, the words of the log, and the counts (pure)."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from devp2p.peers.slots import Admit, Decision, Drop, Evict, Graft, Refuse, Swap
from tools.show.reports import Event

Describe = Callable[[str], str]
"""Says of a node-ID who that is."""

NatureOf = Callable[[str], str | None]
"""Says of a node-ID what that node is truly like."""

_Pair = tuple[str, str]
"""An observer's name and a peer's ID."""
_UNKNOWN = "unknown"


def event_of(decision: Decision) -> Event | None:
    """A decision as an event: whom it is about, who goes for it, why. None for dials for a free place, of which nobody needs to know."""
    told: Event = {"event": "decided", "peer": decision.id.hex(), "why": decision.reason}
    match decision:
        case Swap(drop=drop, gain=gain):
            return {**told, "what": "swap", "dropped_peer": drop.hex(), "gain": round(gain, 3)}
        case Graft(drop=drop) | Admit(drop=drop):
            what = "graft" if isinstance(decision, Graft) else "admit"
            return {**told, "what": what, **({"dropped_peer": drop.hex()} if drop is not None else {})}
        case Drop():
            return {**told, "what": "drop"}
        case Evict():
            return {**told, "what": "evict"}
        case Refuse():
            return {**told, "what": "refuse"}
        case _:
            return None


@dataclass
class Changes:
    """Counts of what was decided, and of who has left and come by it. A swap counts when the one who comes is there."""

    decided: Counter[str] = field(default_factory=Counter[str])
    """By kind; a swap that is decided still needs a dial that succeeds."""
    swaps: int = 0
    grafts: int = 0
    made_room: int = 0
    """Peers that were let in while another one had to go, since all places were taken."""
    left: Counter[str] = field(default_factory=Counter[str])
    """Who lost a place, by what they are truly like."""
    came: Counter[str] = field(default_factory=Counter[str])
    """Who was given the place of another one, likewise."""
    _planned: dict[_Pair, Event] = field(default_factory=dict[_Pair, Event])
    _coming: set[_Pair] = field(default_factory=set[_Pair])
    _leaving: set[_Pair] = field(default_factory=set[_Pair])
    _refused: set[_Pair] = field(default_factory=set[_Pair])

    def take(self, observer: str, event: Event, nature_of: NatureOf) -> Event | None:
        """Count a decision of an observer. Returns the one to be told of: none yet while somebody is dialled, then why that was done."""
        what, peer = event["what"], event["peer"]
        self.decided[what] += 1
        match what:
            case "swap" | "graft":
                self._planned[observer, peer] = event
                return None
            case "admit":
                planned = self._planned.pop((observer, peer), event)
                if planned.get("dropped_peer") == event.get("dropped_peer"):
                    event = planned
                self.swaps += event["what"] == "swap"
                self.grafts += event["what"] == "graft"
                self.made_room += event["what"] == "admit"
                self.came[nature_of(peer) or _UNKNOWN] += 1
                self._coming.add((observer, peer))
                self._goes(observer, event["dropped_peer"], nature_of)
            case "drop" | "evict":
                self._goes(observer, peer, nature_of)
            case "refuse" if (observer, peer) in self._refused:
                return None
            case _:
                self._refused.add((observer, peer))
        return event

    def began(self, observer: str, peer: str) -> bool:
        """A session has begun; returns whether that was told already."""
        known = (observer, peer) in self._coming
        self._coming.discard((observer, peer))
        return known

    def ended(self, observer: str, peer: str) -> bool:
        """A session is over; returns whether the observer's node has decided that, which was told then."""
        known = (observer, peer) in self._leaving
        self._leaving.discard((observer, peer))
        return known

    def _goes(self, observer: str, peer: str, nature_of: NatureOf) -> None:
        self.left[nature_of(peer) or _UNKNOWN] += 1
        self._leaving.add((observer, peer))

    def summary(self) -> Event:
        """The counts for programs."""
        return {
            "swaps": self.swaps,
            "swaps_tried": self.decided["swap"],
            "grafts": self.grafts,
            "made_room": self.made_room,
            "drops": self.decided["drop"],
            "evictions": self.decided["evict"],
            "refusals": self.decided["refuse"],
            "left": dict(self.left.most_common()),
            "came": dict(self.came.most_common()),
        }


def words_of(observer: str, event: Event, named: Describe) -> str:
    """A decision as a line of the log: ``ada: swap kim (slow) for joe (good): it is expected to be worth 0.42 more (...)``."""
    who, why = named(event["peer"]), event["why"]
    dropped = named(event["dropped_peer"]) if "dropped_peer" in event else None
    match event["what"]:
        case "swap" | "graft" if dropped is not None:
            return f"{observer}: {event['what']} {dropped} for {who}: {why}"
        case "admit" if dropped is not None:
            return f"{observer}: let {who} in, and {dropped} go for it: {why}"
        case what:
            return f"{observer}: {what} {who}: {why}"


def by_nature(counts: Mapping[str, int]) -> str:
    """Counts in words: ``3 slow, 2 useless``."""
    return ", ".join(f"{count} {nature}" for nature, count in counts.items() if count) or "nobody"
