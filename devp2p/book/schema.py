"""How a book looks in its file: a list of steps, each of which makes the next version out of the one before.

Nothing here is ever changed once it was released, only appended to: a file of any earlier version is brought up to date step by step.
A step is a list of SQL statements, and runs in one transaction.

What is kept of a node's conduct (ratings, bans), and what later steps add about a node, belongs into tables of its own, by node-ID: rows of
`nodes` are forgotten when strangers name many nodes, and nobody should be able to have a ban forgotten in this way.
"""

from collections.abc import Sequence
from typing import Final

APPLICATION_ID: Final = 0x64703262
"""What the header of the file says whose database it is ("dp2b")."""

_FIRST: Final = (
    # Sequence numbers are 8 bytes, big-endian, which sort as they should: SQLite's integers end at 2**63 - 1, a record's at 2**64 - 1.
    # Times are seconds since 1970.
    """
    CREATE TABLE nodes (
        id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
        public_key BLOB NOT NULL CHECK (length(public_key) = 64),
        enr BLOB,
        sequence BLOB NOT NULL CHECK (length(sequence) = 8),  -- of the ENR, 0 without one
        addresses TEXT,                                       -- one to a line; NULL if the ENR says where the node is
        udp_port INTEGER,
        network BLOB,                                         -- what its address counts for; NULL if that is local, or no IP address
        sources INTEGER NOT NULL,
        owned INTEGER NOT NULL AS (sources & 24 <> 0),        -- named by our own user: `Source.STATIC` or `Source.MANUAL`
        first_seen REAL NOT NULL,
        last_seen REAL NOT NULL,
        last_answered REAL,
        last_dialled REAL,
        last_connected REAL,
        last_failed REAL,
        failures INTEGER NOT NULL DEFAULT 0,
        failure TEXT,
        conflicts INTEGER NOT NULL DEFAULT 0,
        CHECK (enr IS NOT NULL OR addresses IS NOT NULL)
    ) STRICT
    """,
    # In the order in which nodes are forgotten (NULL comes first), and with all that choosing seeds has to look at.
    "CREATE INDEX nodes_by_worth ON nodes (owned, last_answered, last_seen, network)",
    "CREATE TABLE dns_trees (domain TEXT NOT NULL PRIMARY KEY, sequence BLOB NOT NULL CHECK (length(sequence) = 8)) STRICT, WITHOUT ROWID",
    "CREATE TABLE state (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
)

_RATINGS: Final = (
    # By node-ID, and not tied to `nodes`: see above. `capability` is empty for the base protocol. Spans of time are seconds.
    """
    CREATE TABLE ratings (
        id BLOB NOT NULL CHECK (length(id) = 32),
        capability TEXT NOT NULL,
        saved REAL NOT NULL,
        last_connected REAL NOT NULL,
        sessions INTEGER NOT NULL,
        useful REAL NOT NULL,     -- fading sum
        minutes REAL NOT NULL,    -- of connection, fading
        latency REAL,
        timeouts REAL NOT NULL,   -- fading sum
        severity REAL NOT NULL,   -- fading sum
        discredit REAL NOT NULL,  -- 0 to 1
        held REAL NOT NULL,       -- for how long `severity` and `discredit` do not fade
        score REAL NOT NULL,
        observed INTEGER NOT NULL,
        PRIMARY KEY (id, capability)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE bans (
        id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
        begun REAL NOT NULL,
        until REAL NOT NULL,
        reason TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # With where they are: rows of `nodes` may be forgotten.
    """
    CREATE TABLE anchors (
        capability TEXT NOT NULL,
        position INTEGER NOT NULL,
        id BLOB NOT NULL CHECK (length(id) = 32),
        enode TEXT NOT NULL,
        saved REAL NOT NULL,
        PRIMARY KEY (capability, position)
    ) STRICT, WITHOUT ROWID
    """,
)

_SEALED: Final = (
    # What only the node itself can read; see `vault`. By node-ID, and not tied to `nodes`: see above.
    """
    CREATE TABLE sealed (
        id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
        used REAL NOT NULL,
        data BLOB NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)

MIGRATIONS: Final[Sequence[Sequence[str]]] = (_FIRST, _RATINGS, _SEALED)
"""The steps from an empty file to the newest version, which is their number."""
