"""What the capabilities say in the node's own record: asked again and again, since it changes without notice, as when a fork passes."""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import trio

from devp2p.arguments import require
from devp2p.capability import AnyCapability
from devp2p.containment import unless_it_fails
from devp2p.errors import LocalProtocolError
from devp2p.records import WANTED_ENTRIES, Entries

if TYPE_CHECKING:  # who does without discovery need not wait until it is imported
    from devp2p.discovery import Discovery

BETWEEN: Final = 5.0
"""Seconds between two times that the capabilities are asked: less than there is between two blocks."""

_Said = Mapping[bytes, object]
_NOTHING: Final[_Said] = MappingProxyType({})

_logger = logging.getLogger(__name__)


class RecordEntries:
    """Keeps in the record what capabilities say. Of two that say different things under one key, the first is believed."""

    def __init__(self, capabilities: Iterable[AnyCapability], discovery: "Discovery", *, strict: bool) -> None:
        """Ask them for the first time. `strict`: let their exceptions out, and LocalProtocolError of entries that do not fit."""
        self._discovery = discovery
        self._strict = strict
        self._ask: list[tuple[AnyCapability, Callable[[], _Said]]] = []
        for one in capabilities:
            ask = partial(_entries_of, one)
            self._ask.append((one, ask if strict else unless_it_fails(ask, _NOTHING)))
        self._said: list[_Said] = []
        self._complained: set[AnyCapability] = set()
        self.refresh()

    async def run(self) -> None:
        """Ask them, for ever."""
        while True:
            await trio.sleep(BETWEEN)
            self.refresh()

    def refresh(self) -> None:
        """Ask them, and change the record if anything is different."""
        said = [ask() for _, ask in self._ask]
        if said == self._said:
            return
        self._said = said
        try:
            self._discovery.offer_entries({key: value for entries in reversed(said) for key, value in entries.items()})
        except LocalProtocolError:
            if self._strict:
                raise
            self._offer_one_by_one()

    def _offer_one_by_one(self) -> None:
        """Something does not fit: leave out only what does not."""
        fitting: dict[bytes, object] = {}
        for (one, _), entries in zip(self._ask, self._said, strict=True):
            try:
                self._discovery.offer_entries({**entries, **fitting})
            except LocalProtocolError as error:
                if one not in self._complained:
                    self._complained.add(one)
                    _logger.error("our record does not have the entries of %r: %s", one, error)  # noqa: TRY400  (it says all that there is)
            else:
                fitting = {**entries, **fitting}
        self._discovery.offer_entries(fitting)


def _entries_of(capability: AnyCapability) -> _Said:
    said: Entries = capability.record_entries()
    require(said, Mapping, f"record_entries of {capability!r}: {WANTED_ENTRIES}")
    for key in said:
        require(key, (str, bytes), f"record_entries of {capability!r}: a key of a record is text or bytes")
    return {key.encode() if isinstance(key, str) else key: value for key, value in said.items()}
