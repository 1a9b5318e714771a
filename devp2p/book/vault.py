"""What is kept of peers that only the node itself may read: the secrets by which sessions are resumed (dpx/1, section 7).

    key    = HKDF-SHA256(node key, info = "dpx1 book", 32)
    sealed = nonce (12, random) || ChaCha20-Poly1305(key, nonce, data, ad = node-ID)

So whoever has the file without the node's key has nothing, and no row can be moved to another node. A row that does not open
(another key, a damaged file) counts as none. It stays for the key that it was sealed with, as long as there is room.

A peer that is told that we keep a secret lets go of the one before it. So what was kept must have survived whatever comes, before it is
told: see `Vault.flush`.
"""

import logging
import os
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from devp2p.book.book import Book
from devp2p.keys import PrivateKey

MOST_ROWS: Final = 8192
"""Rows from which on those that do not open go, those first that were used longest ago."""
_NONCE: Final = 12
_WHAT: Final = "secrets by which sessions are resumed"

_logger = logging.getLogger(__name__)


class Vault:
    """Keeps some bytes of each of many peers in a book."""

    def __init__(self, book: Book, key: PrivateKey, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        """`key` is the node's: with another one nothing opens of what was kept."""
        self._book = book
        self._cipher = ChaCha20Poly1305(HKDF(SHA256(), 32, salt=None, info=b"dpx1 book").derive(bytes(key)))
        self._random_bytes = random_bytes

    def load(self) -> list[tuple[bytes, bytes]]:
        """What was kept, by node-ID, that first which was used longest ago. Nothing of a book that cannot be read; see `Trouble`."""
        found: list[tuple[bytes, bytes]] = []
        lost: list[bytes] = []
        with self._book.trouble.survived("secrets of earlier sessions, which cannot be read"):
            for node_id, sealed in self._book.sealed:
                try:
                    found.append((node_id, self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], node_id)))
                except (InvalidTag, ValueError):
                    lost.append(node_id)
            if lost:
                _logger.warning("secrets of earlier sessions with %d nodes do not open: they are of another key, or damaged", len(lost))
                with self._book.changes():
                    for node_id in lost[: max(0, len(found) + len(lost) - MOST_ROWS)]:
                        self._book.keep_sealed(node_id, None, 0.0)
        return found

    def keep(self, changes: Mapping[bytes, bytes | None], used: float) -> bool:
        """Keep this of each node from now on, None for nothing; all of it or none.

        `used`: when it was used last, in seconds since 1970. Whether it is kept: a book may fail, and then what it held stays (see
        `Trouble`). It survives a power failure once `flush` has returned.
        """
        with self._book.trouble.survived(_WHAT), self._book.changes():
            for node_id, data in changes.items():
                nonce = self._random_bytes(_NONCE)
                self._book.keep_sealed(node_id, None if data is None else nonce + self._cipher.encrypt(nonce, data, node_id), used)
            return True
        return False

    def flush(self) -> None:
        """See that what was kept so far survives a power failure. It waits for the disk, and may be called from any thread.

        OSError if it does not survive.
        """
        self._book.flush()
