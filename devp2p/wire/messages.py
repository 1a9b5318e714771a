"""Where the message ids of the shared capabilities lie on a stream (RLPx, section "Message ID-based Multiplexing").

Both sides compute the same layout from the two Hellos: capabilities that both offer, of each name the highest shared version, in
alphabetical order from id 0x10, each as many ids as it declares.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from devp2p.arguments import require, whole
from devp2p.errors import LocalProtocolError, RemoteProtocolError
from devp2p.wire.base import BASE_LENGTH, CapabilityVersion, is_capability_name


@dataclass(frozen=True, slots=True)
class CapabilitySpec:
    """What the wire must know of a capability that we run.

    ``sizes`` has one entry for each message id of the capability: the largest message, uncompressed and in bytes, that is accepted with
    that id, or 0 where the capability defines no message.
    """

    name: str
    version: int
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        require(self.name, str, "a capability's name is text")
        if not is_capability_name(self.name):
            raise LocalProtocolError(f"a capability's name is 1 to 8 ASCII characters without spaces, not {self.name!r}")
        whole(self.version, f"{self.name}: version", 0, 2**64 - 1)

    @property
    def offer(self) -> CapabilityVersion:
        """How our Hello lists it."""
        return CapabilityVersion(self.name, self.version)


class Ids(Protocol):
    """Which message id is whose, on one byte stream."""

    first: int
    """The lowest that belongs to a capability; those below are of the base protocol."""
    shared: tuple[CapabilitySpec, ...]
    """The capabilities that the peers share; their places in it are their indexes."""
    offsets: tuple[int, ...]
    """For each of them, what its own message ids are shifted by."""
    max_size: int
    """The largest message that is accepted, in bytes."""

    def locate(self, code: int) -> tuple[int, int, int]:
        """Say whose message id `code` is: (index into ``shared``, id within that capability, largest accepted size).

        Raises RemoteProtocolError for an id that no capability here defines.
        """
        ...


class MessageSpace:
    """The capabilities that two peers share, and their places in the space of message ids of one stream."""

    first: int = BASE_LENGTH

    def __init__(self, ours: Iterable[CapabilitySpec], theirs: Iterable[CapabilityVersion]) -> None:
        offered = set(theirs)
        best: dict[str, CapabilitySpec] = {}
        for spec in ours:
            if spec.offer in offered and (spec.name not in best or best[spec.name].version < spec.version):
                best[spec.name] = spec
        self.shared: tuple[CapabilitySpec, ...] = tuple(best[name] for name in sorted(best))
        """The capabilities that run, in the order of their ids."""
        offsets: list[int] = []
        places: list[tuple[int, int, int] | None] = [None] * BASE_LENGTH
        for index, spec in enumerate(self.shared):
            offsets.append(len(places))
            places += [(index, relative, size) if size else None for relative, size in enumerate(spec.sizes)]
        self._places = places
        self.offsets: tuple[int, ...] = tuple(offsets)
        """The first message id of each of them."""
        self.end: int = len(places)
        """The first id that belongs to nobody."""
        self.max_size: int = max((size for spec in self.shared for size in spec.sizes), default=0)
        """The largest message that any of them accepts, in bytes."""

    def locate(self, code: int) -> tuple[int, int, int]:
        """See `Ids.locate`."""
        if not BASE_LENGTH <= code < self.end:
            raise RemoteProtocolError(f"message id {code:#x} lies outside the shared capabilities")
        place = self._places[code]
        if place is None:
            index = bisect_right(self.offsets, code) - 1
            raise RemoteProtocolError(f"{self.shared[index].offer} defines no message {code - self.offsets[index]:#x}")
        return place

    def alone(self, index: int) -> "OwnIds":
        """The ids on a stream that one capability has for itself."""
        return OwnIds(self.shared, index)


class OwnIds:
    """The message ids of a stream that belongs to one capability: they lie there as if no other were shared."""

    first: int = BASE_LENGTH

    def __init__(self, shared: tuple[CapabilitySpec, ...], index: int) -> None:
        self.shared: tuple[CapabilitySpec, ...] = shared
        self.offsets: tuple[int, ...] = (BASE_LENGTH,) * len(shared)
        self.max_size: int = max(shared[index].sizes, default=0)
        self._index = index

    def locate(self, code: int) -> tuple[int, int, int]:
        """See `Ids.locate`."""
        spec, relative = self.shared[self._index], code - BASE_LENGTH
        if not 0 <= relative < len(spec.sizes) or not spec.sizes[relative]:
            raise RemoteProtocolError(f"{spec.offer} defines no message {relative:#x}")
        return self._index, relative, spec.sizes[relative]
