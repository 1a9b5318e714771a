"""The tables of a chain file.

Nothing here is ever changed once it was released: a new version of the file is a new step behind these, and `database` runs those that a
file lacks. A step is a list of SQL statements, and runs in one transaction.

Blocks have a number of their own in the file (`id`), in the order in which they came, so that those of one chain lie beside each other.
What is long stands in tables of its own, so that reading headers passes over no bodies. Whatever was verified when it came in is kept as it
travels; nothing is decoded to be served.

A trie is kept by its leaves, in the order of their keys, and by its nodes, in the order of their paths: a range of leaves is one walk over
consecutive rows, and what proves it are the nodes whose paths begin the keys of its two edges. Storage of the same root is kept once,
however many accounts and states have it.
"""

from collections.abc import Sequence
from typing import Final

APPLICATION_ID: Final = 0x64703263
"""What the header of the file says whose database it is ("dp2c")."""

_FIRST: Final = (
    """
    CREATE TABLE chain (
        one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        network TEXT NOT NULL,    -- JSON of a Network
        head INTEGER NOT NULL     -- id of a block
    ) STRICT
    """,
    """
    CREATE TABLE headers (
        id INTEGER NOT NULL PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
        parent INTEGER,           -- its id; NULL for block 0, and where the parent is not in the file
        number INTEGER NOT NULL,
        state_root BLOB NOT NULL,
        raw BLOB NOT NULL
    ) STRICT
    """,
    "CREATE TABLE bodies (id INTEGER NOT NULL PRIMARY KEY, raw BLOB NOT NULL) STRICT",
    "CREATE TABLE receipts (id INTEGER NOT NULL PRIMARY KEY, raw BLOB NOT NULL) STRICT",  # one RLP list of them
    "CREATE TABLE access_lists (id INTEGER NOT NULL PRIMARY KEY, raw BLOB NOT NULL) STRICT",
    # The blocks with a body whose receipts are not here.
    "CREATE TABLE incomplete (number INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (number, id)) STRICT, WITHOUT ROWID",
    # The chain, up to the head and perhaps beyond it, since a head may move back and on again.
    "CREATE TABLE canonical (number INTEGER NOT NULL PRIMARY KEY, id INTEGER NOT NULL) STRICT",
    "CREATE TABLE tries (id INTEGER NOT NULL PRIMARY KEY, root BLOB NOT NULL UNIQUE CHECK (length(root) = 32)) STRICT",
    # Keys are 32 bytes. Values are as snap has them: accounts in slim RLP, numbers of storage in RLP.
    """
    CREATE TABLE leaves (
        trie INTEGER NOT NULL,
        key BLOB NOT NULL CHECK (length(key) = 32),
        value BLOB NOT NULL,
        PRIMARY KEY (trie, key)
    ) STRICT, WITHOUT ROWID
    """,
    # A path is a hexadecimal digit for each nibble, empty for the root. Nodes of less than 32 bytes are in the nodes above them.
    """
    CREATE TABLE nodes (
        trie INTEGER NOT NULL,
        path TEXT NOT NULL,
        node BLOB NOT NULL,
        PRIMARY KEY (trie, path)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE TABLE codes (hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32), code BLOB NOT NULL) STRICT",
    # Which tries are those of all accounts.
    """
    CREATE TABLE states (
        trie INTEGER NOT NULL PRIMARY KEY,
        root BLOB NOT NULL UNIQUE,
        block INTEGER NOT NULL,   -- id of the newest block for which it was imported
        accounts INTEGER NOT NULL,
        slots INTEGER NOT NULL
    ) STRICT
    """,
)

MIGRATIONS: Final[Sequence[Sequence[str]]] = (_FIRST,)
"""The steps from an empty file to the newest version, which is their number."""
