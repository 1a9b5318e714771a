"""The lines between the parent and its workers: JSON objects, one a line.

A worker writes events to stdout, each with the name of its ``node``: ``listening``, ``met`` (its first session), ``report``, ``problem``;
and of observers ``connected``, ``decided`` (something about their peers) and ``dropped``, too. It reads one command from stdin: ``begin``,
which names the bootnode. A line that is no JSON object is something that was printed by mistake.
"""

import dataclasses
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from trio.abc import ReceiveStream

Event = dict[str, Any]

_LONGEST = 2**20  # bytes of one line


@dataclasses.dataclass(frozen=True, slots=True)
class Experience:
    """What a node has seen of a peer in one capability: `devp2p.Conduct`, in units for people."""

    useful: float = 0.0
    latency_ms: float | None = None
    invalid: int = 0
    timeouts: int = 0
    why: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class PeerReport:
    """One session of an observer, as it sees its peer."""

    peer: str
    """The node-ID, in hex."""
    client: str
    inbound: bool
    transport: str
    """``tcp4`` or ``tcp6``."""
    seconds: float
    """How long it lasts already."""
    shared: Mapping[str, Experience]
    """By capability."""
    slots: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    """Which slot it fills in which capability: ``core``, ``diverse`` or ``explore``."""
    ratings: Mapping[str, float] = dataclasses.field(default_factory=dict[str, float])
    """By capability: the share of all that are rated there that are worse, or what it is taken for as a newcomer."""
    value: float = 0.0
    """How much less the observer's set of peers would be worth without it, in its node's own reckoning."""
    why: str = ""
    """Why it is kept, in that node's words."""


@dataclasses.dataclass(frozen=True, slots=True)
class NodeReport:
    """What one node has done since it began. Those of nodes that do not observe end with the discovery tables."""

    peers: int = 0
    inbound: int = 0
    dials: int = 0
    """Of nodes that discovery has found; there are no others."""
    failed_dials: int = 0
    found: Mapping[str, int] = dataclasses.field(default_factory=dict[str, int])
    """Nodes that each source has named and that were news."""
    bytes_in: int = 0
    """On the wire of sessions, as the following."""
    bytes_out: int = 0
    datagrams: int = 0
    """Of discovery, in and out."""
    table_v4: int = 0
    table_v5: int = 0
    bulk_bytes: int = 0
    bulk_requests: int = 0
    echo_answers: int = 0
    news_first: int = 0
    news_again: int = 0
    wrong: int = 0
    """Answers and news that were not what they should be."""
    timeouts: int = 0
    refused: int = 0
    """Links that did not become sessions; most find all places taken."""
    latencies_ms: tuple[float, ...] = ()
    """Round trips of echo since the report before this one."""
    sessions: tuple[PeerReport, ...] = ()

    def to_event(self) -> Event:
        """The report as an event."""
        return {"event": "report", **dataclasses.asdict(self)}

    @classmethod
    def from_event(cls, event: Event) -> "NodeReport":
        """Read `to_event` back, after a journey through JSON."""
        fields = {field.name: event[field.name] for field in dataclasses.fields(cls)}
        sessions = tuple(
            PeerReport(**{**peer, "shared": {name: Experience(**experience) for name, experience in peer["shared"].items()}})
            for peer in fields["sessions"]
        )
        return cls(**{**fields, "latencies_ms": tuple(fields["latencies_ms"]), "sessions": sessions})


def write_line(event: Event) -> str:
    """An event or a command as a line, without its end."""
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False)


def read_line(line: str) -> Event | None:
    """The object on a line, or None if it is plain text."""
    if line.startswith("{"):
        try:
            value = json.loads(line)
        except ValueError:
            return None
        if isinstance(value, dict):
            return value
    return None


async def lines_of(stream: ReceiveStream) -> AsyncIterator[str]:
    """Split what comes from a process into lines, until it ends."""
    rest = bytearray()
    async for data in stream:
        rest += data
        *complete, rest = rest.split(b"\n")
        for line in complete:
            yield line.decode("utf-8", "replace")
        if len(rest) > _LONGEST:
            raise ValueError(f"a line of more than {_LONGEST} bytes")
    if rest:
        yield rest.decode("utf-8", "replace")
