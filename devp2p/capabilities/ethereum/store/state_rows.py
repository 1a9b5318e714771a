"""Reading states: what `State` asks, as queries of one snapshot.

How much is returned, where a range ends and what is proved follow snap ("GetAccountRange" and on), and, where that leaves a choice,
go-ethereum v1.17.8, whose conformance suite counts. Sizes are soft there: an answer ends with the item that exceeds them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from devp2p import keccak256, rlp
from devp2p.capabilities.ethereum.chain import Account, Range
from devp2p.capabilities.ethereum.store import block_rows
from devp2p.capabilities.ethereum.store.database import Database
from devp2p.capabilities.ethereum.tries import EMPTY_CODE, EMPTY_ROOT

RECENT: Final = 128
"""The states of how many blocks are served, from the head down (snap, "Data Retention Requirements")."""
_HASH: Final = 32
_FIRST_KEY: Final = bytes(_HASH)
_NO_TRIE: Final = 0
"""In place of the id of a trie: one without leaves, which is not kept."""
_FROM_KEY: Final = "SELECT key, value FROM leaves WHERE trie = ? AND key >= ? ORDER BY key"


def account(database: Database, address: bytes) -> Account | None:
    """`State.account`: in the newest state that is here, as long as its block is recent."""
    trie = newest_state(database)
    value = None if trie is None else _leaf(database, trie, keccak256(address))
    return None if value is None else read_account(value)


def newest_state(database: Database) -> int | None:
    """Return the trie of the newest state of a recent block; None if there is none."""
    newest = block_rows.head(database).number
    found = database.row(
        """
        SELECT states.trie FROM canonical JOIN headers USING (id) JOIN states ON states.root = headers.state_root
        WHERE canonical.number BETWEEN ? AND ? ORDER BY canonical.number DESC LIMIT 1
        """,
        *(newest - RECENT + 1, newest),
    )
    return None if found is None else found[0]


def read_account(slim: bytes) -> Account:
    """Read an account in slim RLP, which was verified when it came in."""
    nonce, balance, root, code_hash = (bytes(part) for part in rlp.decode(slim))  # type: ignore[arg-type]  # a list of four strings
    return Account(int.from_bytes(nonce, "big"), int.from_bytes(balance, "big"), root or EMPTY_ROOT, code_hash or EMPTY_CODE)


def accounts(database: Database, root: bytes, start: bytes, limit: bytes, size: int) -> Range | None:
    """`State.accounts`."""
    trie = _recent_state(database, root)
    if trie is None:
        return None
    leaves: list[tuple[bytes, bytes]] = []
    cut = False
    for key, value in _leaves(database, trie, start):
        if cut := bool(leaves) and (size < 0 or leaves[-1][0] >= limit):
            break
        leaves.append((key, value))
        size -= _HASH + len(value)
    return Range(leaves, _proof(database, trie, start, leaves) if cut or start != _FIRST_KEY else ())


def slots(database: Database, root: bytes, hashes: Sequence[bytes], keys: tuple[bytes, bytes], size: int) -> list[Range] | None:
    """`State.slots`; `keys` are where to start, and the limit."""
    start, limit = keys
    trie = _recent_state(database, root)
    if trie is None:
        return None
    tries = [_storage(database, trie, hash_) for hash_ in hashes]
    ranges: list[Range] = []
    left, most = size, size + size // 10  # a little more is better than a contract in two parts, one of them with a proof
    for storage in tries:
        if storage is None:
            return None
        if ranges and left <= 0:
            break
        leaves: list[tuple[bytes, bytes]] = []
        cut = False
        for key, value in _leaves(database, storage, start):
            if cut := bool(leaves) and (size - left >= most or leaves[-1][0] >= limit):
                break
            leaves.append((key, value))
            left -= _HASH + len(value)
        proved = cut or start != _FIRST_KEY
        ranges.append(Range(leaves, _proof(database, storage, start, leaves) if proved else ()))
        if proved:
            break
    return ranges


def codes(database: Database, hashes: Sequence[bytes], size: int) -> list[bytes]:
    """`State.codes`."""
    found: list[bytes] = []
    for hash_ in hashes:
        code = b"" if hash_ == EMPTY_CODE else _code(database, hash_)
        if code is not None:
            found.append(code)
            size -= len(code)
        if size < 0:
            break
    return found


def nodes(database: Database, root: bytes, paths: Sequence[Sequence[bytes]], size: int) -> list[bytes]:
    """`State.nodes`."""
    state = _recent_state(database, root)
    if state is None:
        return []
    found: list[bytes] = []
    for trie, path in _wanted(database, state, paths):
        found.append(_node(database, trie, path))
        size -= len(found[-1])
        if size < 0:
            break
    return found


def _wanted(database: Database, state: int, paths: Iterable[Sequence[bytes]]) -> Iterator[tuple[int, bytes]]:
    """The nodes that sets of paths name, as trie and compact path."""
    for first, *others in (each for each in paths if each):
        if not others:
            yield state, first
            continue
        storage = _storage(database, state, first.rjust(_HASH, b"\0"))
        if storage is not None:
            for path in others:
                yield storage, path


def _node(database: Database, trie: int, compact: bytes) -> bytes:
    """The node at a path in compact encoding (yellow paper, appendix C); empty where there is none, and for what is no path of a branch."""
    if not compact or compact[0] >= 0x20 or (compact[0] and compact[0] < 0x10) or len(compact) > _HASH + 1:
        return b""
    path = compact.hex()[2 if compact[0] < 0x10 else 1 :]
    found = database.row("SELECT node FROM nodes WHERE trie = ? AND path = ?", trie, path)
    return b"" if found is None else found[0]


def _recent_state(database: Database, root: bytes) -> int | None:
    """The trie of all accounts with this root, if it is that of a recent block."""
    found = database.row("SELECT trie FROM states WHERE root = ?", root)
    if found is None:
        return None
    newest = block_rows.head(database).number
    recent = "SELECT 1 FROM canonical JOIN headers USING (id) WHERE canonical.number BETWEEN ? AND ? AND state_root = ? LIMIT 1"
    return found[0] if database.row(recent, newest - RECENT + 1, newest, root) else None


def _storage(database: Database, state: int, key: bytes) -> int | None:
    """The trie of an account's storage; None without such an account."""
    value = _leaf(database, state, key)
    if value is None:
        return None
    root = read_account(value).storage_root
    if root == EMPTY_ROOT:
        return _NO_TRIE
    [(trie,)] = database.rows("SELECT id FROM tries WHERE root = ?", root)
    return int(trie)


def _leaf(database: Database, trie: int, key: bytes) -> bytes | None:
    found = database.row("SELECT value FROM leaves WHERE trie = ? AND key = ?", trie, key)
    return None if found is None else found[0]


def _leaves(database: Database, trie: int, start: bytes) -> Iterator[tuple[bytes, bytes]]:
    return ((key, value) for key, value in database.each(_FROM_KEY, trie, start))


def _code(database: Database, hash_: bytes) -> bytes | None:
    found = database.row("SELECT code FROM codes WHERE hash = ?", hash_)
    return None if found is None else found[0]


def _proof(database: Database, trie: int, start: bytes, leaves: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """The nodes above the first key that was asked for, whether or not it has a leaf, and those above the last leaf.

    Where a key is in a trie, they are those whose paths it begins with; where not, the last of these shows where it would part.
    """
    keys = [start, *(key for key, _ in leaves[-1:])]
    paths = sorted({key.hex()[:depth] for key in keys for depth in range(2 * _HASH + 1)})
    found = database.rows(
        f"SELECT node FROM nodes WHERE trie = ? AND path IN ({', '.join('?' * len(paths))}) ORDER BY path",  # noqa: S608  (of marks)
        trie,
        *paths,
    )
    return [node for (node,) in found]
