"""How far a crawl is: what screens, JSON lines, metrics and the last line of a crawl show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from devp2p_crawler.model.silence import Silence

RTT_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds: the upper ends of the classes in which `Snapshot.rtts` counts; one more class is for all above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """What part of the reachable nodes was found, as two samples tell (capture and recapture), with its 95 % interval; 0 to 1."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How a crawl stands at one moment. All counts are of this run, or since it was begun if it is resumed."""

    elapsed: float
    """Seconds."""
    left: float | None
    """Seconds until the frontier is empty, as the last minute went; None if that is unknown, or there is no end."""
    found: int = 0
    """Nodes of which somebody has told."""
    alive: int = 0
    """Nodes that answered anything."""
    dialled: int = 0
    """Nodes that were called by TCP."""
    hellos: int = 0
    """Nodes that said a Hello, called or calling."""
    failed: int = 0
    """Nodes that were visited, and are not alive."""
    queued: int = 0
    """Nodes that wait for a visit which is due."""
    waiting: int = 0
    """Nodes whose next visit is not due yet."""
    in_flight: int = 0
    concurrency: int = 0
    """Visits that may be under way at a time."""
    packets_sent: int = 0
    """Datagrams."""
    packets_received: int = 0
    packets_rate: float = 0.0
    """Sent a second, over the last seconds."""
    found_rate: float = 0.0
    """Nodes found alive a second, over the last seconds."""
    recall: Recall | None = None
    """None while there is too little to tell it from."""
    loop_lag: float = 0.0
    """Seconds that a timer was late of late."""
    memory: int = 0
    """Bytes that the process holds."""
    spooled: int = 0
    """Rows that wait to be written."""
    lost: int = 0
    """Rows that had to be left out, or could not be written in the end."""
    outcomes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Name of the outcome -> visits."""
    clients: Mapping[str, int] = field(default_factory=dict[str, int])
    """Client, without its version -> nodes."""
    networks: Mapping[int, int] = field(default_factory=dict[int, int])
    """Network id -> nodes."""
    inbound: int = 0
    """Nodes that called us."""
    visits: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    """Kind and outcome, in lower case -> visits."""
    rtts: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])
    """Kind, in lower case -> round trips in each class of `RTT_BOUNDS`."""
    write_lag: float = 0.0
    """Seconds for which the oldest row that is not written yet has waited."""
    skipped: Mapping[str, int] = field(default_factory=dict[str, int])
    """Why nodes are not visited ("opt-out", "net-restrict", ...) -> nodes."""
    is_done: bool = False
    """Whether all that was to be visited was."""
    silence: Silence | None = None
    """What is known of why nothing is found, after ten seconds without an answer."""
