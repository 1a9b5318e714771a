"""One visit: what was asked of one node by one protocol, when, and what came of it.

Numbers of kinds and outcomes are written into databases: they are never given another meaning, and new ones are added at the end.
"""

import enum
from dataclasses import dataclass


class Kind(enum.IntEnum):
    """By which protocol a node was visited."""

    V4 = 1
    """Discovery v4: Ping, ENRRequest, FindNode."""
    V5 = 2
    """Discovery v5: handshake, FINDNODE, PING."""
    RLPX = 3
    """We called it: RLPx handshake, Hello and, where shared, Status."""
    INBOUND = 4
    """It called us."""


class Outcome(enum.IntEnum):
    """What came of a visit. All but OK, TOO_MANY_PEERS and DISCONNECTED are failures; those two are answers of a node that is alive."""

    OK = 0
    """It answered what was asked; by RLPx: at least its Hello came."""
    SILENT = 1
    """No answer in time, by UDP; or nothing came where TCP was tried to be opened."""
    REFUSED = 2
    """The address refused the connection."""
    UNREACHABLE = 3
    """No way to the address, says the network."""
    NO_ADDRESS = 4
    """The node has no address that could be asked."""
    HUNG_UP = 5
    """The connection ended before a Hello came."""
    HANDSHAKE_TIMEOUT = 6
    """The connection stood, and no handshake came about in time: a tar-pit, or another protocol."""
    HELLO_TIMEOUT = 7
    """The handshake was done, and no Hello came in time."""
    WRONG_KEY = 8
    """Somebody else is at that address."""
    BROKE_RULES = 9
    """What came is against the specification."""
    TOO_MANY_PEERS = 10
    """It has no room for us (Disconnect 0x04): it is alive."""
    DISCONNECTED = 11
    """It refused us for another reason, which `Said.reason` holds: it is alive."""
    STATUS_TIMEOUT = 12
    """Hello came, and no Status though eth is shared."""
    OUR_FAULT = 13
    """We had no file descriptor, no memory or no network: it says nothing about the node."""

    @property
    def is_alive(self) -> bool:
        """Whether the node showed that it is there."""
        return self in {Outcome.OK, Outcome.TOO_MANY_PEERS, Outcome.DISCONNECTED, Outcome.STATUS_TIMEOUT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a node said of itself in a visit by RLPx; all of it is a stranger's text and numbers."""

    client: str | None = None
    """The client name of its Hello, at most 256 characters."""
    capabilities: tuple[str, ...] = ()
    """Such as "eth/69", in the order of its Hello."""
    listen_port: int | None = None
    eth_version: int | None = None
    """Of the Status; it and all below are None without one."""
    network_id: int | None = None
    genesis: bytes | None = None
    fork_hash: bytes | None = None
    fork_next: int | None = None
    head: bytes | None = None
    head_number: int | None = None
    reason: int | None = None
    """Of the Disconnect, if one came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One visit. `node`, `kind`, `began` and `crawl` together name it: a second one with the same is the same visit."""

    crawl: bytes
    """16 bytes, as `Crawl.id`."""
    node: bytes
    """The node-ID, 32 bytes."""
    kind: Kind
    began: int
    """Microseconds since 1970, UTC."""
    ended: int
    outcome: Outcome
    ip: bytes = b""
    """Where: 4 or 16 bytes; empty if nowhere."""
    port: int = 0
    rtt: int | None = None
    """Microseconds, of the first answer (by TCP: until the connection stood); None if there was none."""
    asked: int = 0
    """Datagrams that were sent to it, or connections that were tried."""
    told: int | None = None
    """How many nodes it named; None if it was not asked, or did not answer that."""
    said: Said | None = None
