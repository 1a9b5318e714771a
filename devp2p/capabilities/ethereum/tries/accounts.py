"""Accounts as leaves of the state trie, and in the slim form in which snap sends them (snap, "Data format").

In the slim form, an empty string stands for the storage root of an account without storage and for the code hash of one without code.
The specification says "empty list"; the clients send the empty string, so that is written, and both are read.
"""

from typing import Final

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.tries.nodes import EMPTY_ROOT
from devp2p.rlp import encode_list, item_end, list_bounds, read_uint

EMPTY_CODE: Final = keccak256(b"")
"""The code hash of an account without code."""
_NOTHING: Final = frozenset({b"\x80", b"\xc0"})
_NO_STORAGE, _NO_CODE = rlp.encode(EMPTY_ROOT), rlp.encode(EMPTY_CODE)


def slim_account(leaf: bytes) -> bytes:
    """Make the slim form of an account as it is in the trie. DecodingError if it is no list of four items that end in two hashes."""
    numbers, root, code = _split(leaf)
    return encode_list(numbers + (b"\x80" if root == _NO_STORAGE else root) + (b"\x80" if code == _NO_CODE else code))


def full_account(slim: bytes) -> bytes:
    """Make of a slim account what is in the trie; DecodingError as in ``slim_account``. What its numbers are is not looked at."""
    numbers, root, code = _split(slim)
    return _full(numbers, root, code)


def read_slim_account(slim: bytes) -> tuple[int, int, bytes, bytes, bytes]:
    """Read a slim account: nonce, balance, storage root, code hash, and what ``full_account`` makes of it; DecodingError if it is none."""
    numbers, root, code = _split(slim)
    nonce, at = read_uint(numbers, 0, len(numbers), 32)
    balance, _ = read_uint(numbers, at, len(numbers), 32)
    storage_root, code_hash = EMPTY_ROOT if len(root) == 1 else root[1:], EMPTY_CODE if len(code) == 1 else code[1:]
    return nonce, balance, storage_root, code_hash, _full(numbers, root, code)


def _full(numbers: bytes, root: bytes, code: bytes) -> bytes:
    return encode_list(numbers + (_NO_STORAGE if len(root) == 1 else root) + (_NO_CODE if len(code) == 1 else code))


def _split(account: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the encodings of nonce and balance together, of the storage root, and of the code hash."""
    if not account:
        raise DecodingError("no bytes where an account belongs")
    start, end = list_bounds(account, 0, len(account))
    if end != len(account):
        raise DecodingError(f"{len(account) - end} bytes after an account's end")
    try:
        at = item_end(account, item_end(account, start, end), end)
        code_at = item_end(account, at, end)
        stop = item_end(account, code_at, end)
    except IndexError:  # which costs less than to ask before each
        raise DecodingError("an account of fewer than four items") from None
    if stop != end:
        raise DecodingError("an account of more than four items")
    root, code = account[at:code_at], account[code_at:]
    for hash_ in (root, code):
        if hash_ not in _NOTHING and (hash_[0] != 0xA0 or len(hash_) != 33):
            raise DecodingError(f"an item of {len(hash_)} bytes where the hash of an account's code or storage belongs")
    return account[start:at], root, code
