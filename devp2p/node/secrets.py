"""Writes the secrets by which sessions are resumed into the book, as soon as they change (dpx/1, section 7).

A peer is told that we keep a secret only when it is written down for good, and keeps the one before until it hears so. That may take a
second, so what has changed is gathered for a moment, and the disk is waited for by a thread.
"""

import time
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final

import trio

from devp2p.errors import BookError
from devp2p.keys import PrivateKey
from devp2p.wire.dpx import Resumption

if TYPE_CHECKING:  # a node without a book does not import it
    from devp2p.book import Book

GATHERED: Final = 0.2
"""Seconds for which changes are gathered: handshakes come in crowds."""
AGAIN: Final = 5.0
"""Seconds after which it is tried again when the book has failed."""
_PORTION: Final = 16  # peers whose secrets are written at once, which takes a millisecond


class SecretsKeeper:
    """Loads and saves what a node's `Resumption` keeps."""

    def __init__(self, book: "Book", key: PrivateKey, resumption: Resumption) -> None:
        """Take up what was kept. `key` is the node's: others cannot read it."""
        from devp2p.book import Vault  # noqa: PLC0415  (imported already: there is a book)

        self._book = book
        self._vault = Vault(book, key)
        self._resumption = resumption
        self._changed = trio.Event()
        resumption.load(dict(self._vault.load()))
        resumption.is_kept = True
        resumption.on_change = self._changes

    async def run(self) -> None:
        """Write down what changes, until cancelled; then what has not been written yet, but tell nobody."""
        try:
            while True:
                await self._changed.wait()
                await trio.sleep(GATHERED)
                self._changed = trio.Event()
                if not await self._save():
                    await trio.sleep(AGAIN)
                    self._changed.set()
        finally:
            self._vault.keep(self._resumption.changes(), time.time())

    async def _save(self) -> bool:
        """Write all changes; False if the book has failed."""
        changes, kept = self._resumption.changes(), False
        try:
            kept = await self._write(changes)
        finally:
            if not kept:
                self._resumption.unsaved(changes)
        if kept:
            self._resumption.saved()
        return kept

    async def _write(self, changes: Mapping[bytes, bytes | None]) -> bool:
        remaining = iter(changes.items())
        while portion := dict(islice(remaining, _PORTION)):
            if not self._vault.keep(portion, time.time()):
                return False
            await trio.lowlevel.checkpoint()
        with self._book.trouble.survived("that what is kept survives a power failure"):
            self._book.require_file()
            try:
                await trio.to_thread.run_sync(self._vault.flush)
            except OSError as error:
                raise BookError(f"the disk does not take it: {error}") from error
            return True
        return False

    def _changes(self) -> None:
        self._changed.set()
