"""Writing states into the file: leaves as they come, nodes above them at the end, and nothing that does not have its root."""

from collections.abc import Iterable, Iterator

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.store.additions import Misfit
from devp2p.capabilities.ethereum.store.database import Database
from devp2p.capabilities.ethereum.store.dumps import DumpedAccount
from devp2p.capabilities.ethereum.tries import EMPTY_CODE, EMPTY_ROOT, full_account, trie_nodes

_NODES = "INSERT INTO nodes (trie, path, node) VALUES (?, ?, ?)"
_LEAVES = "INSERT INTO leaves (trie, key, value) VALUES (?, ?, ?)"


def has_state(database: Database, root: bytes, block: int) -> bool:
    """Whether a state is there; if so, it is noted as that of this block, if that is newer than the one that it was noted for."""
    found = database.row("SELECT block FROM states WHERE root = ?", root)
    if found is None:
        return False
    newer = "(SELECT number FROM headers WHERE id = ?1) > (SELECT number FROM headers WHERE id = states.block)"
    database.run(f"UPDATE states SET block = ?1 WHERE root = ?2 AND {newer}", block, root)  # noqa: S608  (of the line above)
    return True


def add_state(database: Database, block: int, root: bytes, accounts: Iterable[DumpedAccount]) -> None:
    """Write a state within a transaction; Misfit if the accounts, in whatever order, do not have that root, or lack something."""
    trie = database.run("INSERT INTO tries (root) VALUES (?)", root)
    count = slots = 0
    for account in accounts:
        if database.row("SELECT 1 FROM leaves WHERE trie = ? AND key = ?", trie, account.key):
            raise Misfit(f"account 0x{account.key.hex()} (by the keccak of its address) comes twice")
        _add_code(database, account)
        _add_storage(database, account)
        database.run(_LEAVES, trie, account.key, _slim(account))
        count += 1
        slots += len(account.storage)
    found = _add_nodes(database, trie, _full_leaves(database, trie))
    if found != root:
        told = f"its {count} accounts have the state root 0x{found.hex()}, not 0x{root.hex()}"
        raise Misfit(f"{told}; if some are missing: dump it with --incompletes, and without --start and --limit")
    database.run("INSERT INTO states (trie, root, block, accounts, slots) VALUES (?, ?, ?, ?, ?)", trie, root, block, count, slots)


def _add_code(database: Database, account: DumpedAccount) -> None:
    if account.code_hash == EMPTY_CODE and not account.code:
        return
    named = f"account 0x{account.key.hex()} (by the keccak of its address)"
    if account.code is None:
        if database.row("SELECT 1 FROM codes WHERE hash = ?", account.code_hash) is None:
            raise Misfit(f"{named}: its code, 0x{account.code_hash.hex()}, is missing: dump it without --nocode")
    elif (found := keccak256(account.code)) != account.code_hash:
        raise Misfit(f"{named}: its code has the hash 0x{found.hex()}, not 0x{account.code_hash.hex()}")
    else:
        database.run("INSERT OR IGNORE INTO codes (hash, code) VALUES (?, ?)", account.code_hash, account.code)


def _add_storage(database: Database, account: DumpedAccount) -> None:
    root = account.storage_root
    if root == EMPTY_ROOT or database.row("SELECT 1 FROM tries WHERE root = ?", root):
        return
    trie = database.run("INSERT INTO tries (root) VALUES (?)", root)
    database.run_many(_LEAVES, ((trie, key, value) for key, value in account.storage))
    _add_nodes(database, trie, account.storage)


def _add_nodes(database: Database, trie: int, leaves: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write the nodes of a trie; its root."""
    root = EMPTY_ROOT

    def rows() -> Iterator[tuple[int, str, bytes]]:
        nonlocal root
        for path, hash_, node in trie_nodes(leaves):
            root = hash_  # the last node is the root
            yield trie, path, node

    try:
        database.run_many(_NODES, rows())
    except DecodingError as error:
        raise Misfit(f"no trie has such leaves: {error}") from None
    return root


def _full_leaves(database: Database, trie: int) -> Iterator[tuple[bytes, bytes]]:
    """The leaves of the trie of all accounts, as it has them."""
    for key, value in database.each("SELECT key, value FROM leaves WHERE trie = ? ORDER BY key", trie):
        yield key, full_account(value)


def _slim(account: DumpedAccount) -> bytes:
    """An account as snap has it (snap, "Data format")."""
    root = b"" if account.storage_root == EMPTY_ROOT else account.storage_root
    code_hash = b"" if account.code_hash == EMPTY_CODE else account.code_hash
    return rlp.encode([account.nonce, account.balance, root, code_hash])
