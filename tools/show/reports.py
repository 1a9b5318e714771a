"""The lines between the parent and its children: JSON objects, one a line.

A child writes events to stdout (``listening``, ``connected``, ``dialled``, ``dropped``, ``refused``, ``report``, ``stopped``) and reads
commands from stdin (``connect``, ``disconnect``). A line that is no JSON object is something that a capability has printed.
"""

import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

from trio.abc import ReceiveStream

Event = dict[str, Any]

_LONGEST = 2**20  # bytes of one line


@dataclasses.dataclass(frozen=True, slots=True)
class PeerReport:
    """One session, as one of its two nodes sees its peer. Sizes are bytes; a latency is None until there is one."""

    peer: str
    """The node-ID, in hex."""
    client: str
    inbound: bool
    transport: str
    """``tcp4``, ``tcp6`` or ``unix``."""
    capabilities: tuple[str, ...]
    """Those that were negotiated, as ``name/version``."""
    lines: int = 0
    """Chat lines that the peer has spoken."""
    useful: int = 0
    """Bytes of bulk data that it brought and that were right."""
    chat_ms: float | None = None
    bulk_ms: float | None = None
    echo_ms: float | None = None
    ping_ms: float | None = None
    faults: int = 0
    """The severities of what it did wrong, added up."""
    timeouts: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class NodeReport:
    """What one node has done since it began, and its sessions."""

    messages: int = 0
    """Messages of the exchanges that it began: 1 for a line of chat, 2 for a request and its answer."""
    chat_requests: int = 0
    bulk_requests: int = 0
    bulk_bytes: int = 0
    bytes_in: int = 0
    """On the wire, as the following."""
    bytes_out: int = 0
    wrong: int = 0
    """Answers whose checksum or digest was wrong."""
    timeouts: int = 0
    latencies_ms: tuple[float, ...] = ()
    """Round trips of chat requests since the report before this one."""
    peers: tuple[PeerReport, ...] = ()

    def to_event(self) -> Event:
        """The report as an event."""
        return {"event": "report", **dataclasses.asdict(self)}

    @classmethod
    def from_event(cls, event: Event) -> "NodeReport":
        """Read `to_event` back, after a journey through JSON."""
        fields = {name: value for name, value in event.items() if name != "event"}
        peers = tuple(PeerReport(**{**peer, "capabilities": tuple(peer["capabilities"])}) for peer in fields["peers"])
        return cls(**{**fields, "latencies_ms": tuple(fields["latencies_ms"]), "peers": peers})


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
