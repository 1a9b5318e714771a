"""What may be sent: the credit that the peer has given, and the room that it has for messages in chunks (dpx/1, section 6).

Theory of operation. There is a window for each capability and one for the connection; the body of every frame is taken from both, and a
`Delta` adds to one of them. A message in chunks has, beside that, a *context*: its whole size is reserved in the peer's room for reassembly
when its first chunk goes, until the peer says by `Release` that it has let go of it, and only so many contexts may be unreleased at a time.
The peer gives back the credit of chunks when they arrive, since their room is reserved, but that of whole messages when its application has
taken them. So what has been begun can always be finished, and a slow application holds up nobody but its own capability.

This is the sender's side, and `contexts` the receiver's. Either trusts the other with nothing: what breaks a rule is a RemoteProtocolError,
and what would make us break one a LocalProtocolError.
"""

from typing import Final

from devp2p.errors import LocalProtocolError, RemoteProtocolError
from devp2p.wire.dpx.control import CANCEL, CONNECTION, LAST_CONTEXT, MOST_CREDIT, Delta, Release, Reset
from devp2p.wire.dpx.element import Params

LEAST_CHUNK: Final = 512
"""Bytes of a chunk that is not the last of its message; receivers count smaller ones, and end the session when there are many."""

MOST_UNRELEASED: Final = 1024
"""Messages in chunks of one capability that may be unreleased, though the peer allows more: what is kept of each is ours to hold."""


class _Outgoing:
    """A message in chunks that the peer has not released."""

    __slots__ = ("left", "refused", "total")

    def __init__(self, total: int) -> None:
        self.total = total
        self.left = total  # bytes to be sent
        self.refused = False  # whether the peer has reset it


class SendCredit:
    """The sender's ledger of one session. Capabilities are numbered from 1, in the order of the shared ones."""

    def __init__(self, theirs: Params, capabilities: int) -> None:
        """`theirs` is what the peer announced that it takes in."""
        self.theirs: Final = theirs
        self._windows = [theirs.connection_window, *[theirs.capability_window] * capabilities]  # the connection's first
        self._most = min(theirs.contexts, MOST_UNRELEASED)
        self._full = [*self._windows]  # the most that each window ever was
        self._contexts: list[dict[int, _Outgoing]] = [{} for _ in self._windows]
        self._reserved = [0] * len(self._windows)
        self._last = [0] * len(self._windows)  # the context that was opened last

    def room(self, capability: int) -> int:
        """Bytes of bodies that may be sent for a capability now; a whole message needs that much, a chunk can be as small as it must."""
        return min(self._windows[0], self._windows[capability])

    def fits(self, total: int) -> bool:
        """Whether the peer could ever take a message in chunks of `total` bytes."""
        return total <= self.theirs.reassembly

    def may_open(self, capability: int, total: int) -> bool:
        """Whether a message in chunks of `total` bytes may be begun now."""
        return len(self._contexts[capability]) < self._most and self._reserved[capability] + total <= self.theirs.reassembly

    def open(self, capability: int, total: int) -> int:
        """Begin a message in chunks: its context, 1 to 65535. LocalProtocolError if it may not be begun."""
        if total < 2 or not self.may_open(capability, total):
            raise LocalProtocolError(f"a message of {total} bytes in chunks may not be begun now: ask may_open")
        contexts = self._contexts[capability]
        context = self._last[capability] % LAST_CONTEXT + 1
        while context in contexts:
            context = context % LAST_CONTEXT + 1
        self._last[capability] = context
        contexts[context] = _Outgoing(total)
        self._reserved[capability] += total
        return context

    def is_open(self, capability: int, context: int) -> bool:
        """Whether there is more to be sent of a message in chunks; no longer once either side has given it up."""
        outgoing = self._contexts[capability].get(context)
        return outgoing is not None and outgoing.left > 0

    def spend(self, capability: int, size: int, context: int = 0) -> None:
        """A frame with `size` bytes of body goes: a chunk of a message, or (context 0) a whole one. LocalProtocolError if it may not."""
        if not 0 < size <= self.room(capability):
            raise LocalProtocolError(f"a frame of {size} bytes where there is credit for {self.room(capability)}")
        if context:
            outgoing = self._contexts[capability].get(context)
            if outgoing is None or size > outgoing.left or size == outgoing.total:
                raise LocalProtocolError(f"a chunk of {size} bytes for context {context}, which has no such part to be sent")
            outgoing.left -= size
        self._windows[0] -= size
        self._windows[capability] -= size

    def abandon(self, capability: int, context: int) -> Reset | None:
        """Give up a message of which not all is sent: what the peer must be told, behind the chunks that it got; None if it got none.

        LocalProtocolError if nothing of it is left to be sent.
        """
        if not self.is_open(capability, context):
            raise LocalProtocolError(f"context {context} is not open, so that nothing can be given up")
        outgoing = self._contexts[capability][context]
        if outgoing.left == outgoing.total:
            self._free(capability, context)
            return None
        outgoing.left = 0
        return Reset(capability, context, CANCEL)

    # What the peer says

    def credited(self, delta: Delta) -> bool:
        """Add credit. Whether it is no more than what was spent, and as much at a time as the rules ask for.

        RemoteProtocolError for a window beyond 2**31 - 1, and for a capability that is not shared.
        """
        place = 0 if delta.capability == CONNECTION else self._shared(delta.capability)
        window = self._windows[place] + delta.credit
        if window > MOST_CREDIT:
            raise RemoteProtocolError(f"window overflow: {delta.credit} bytes of credit make {window}, more than {MOST_CREDIT}")
        self._windows[place] = window
        if window > self._full[place]:
            self._full[place] = window
            return False
        return delta.credit * 2 >= self.theirs.capability_window

    def refused(self, reset: Reset) -> tuple[Reset | None, bool]:
        """The peer wants no more of a message: what it must be answered, if anything, and whether it had not said so before.

        RemoteProtocolError for a context that it has released, or never heard of.
        """
        outgoing = self._unreleased(reset.capability, reset.context, "RESET")
        again, outgoing.refused = outgoing.refused, True
        if outgoing.left == 0:
            return None, not again
        outgoing.left = 0
        return Reset(reset.capability, reset.context, CANCEL), not again

    def released(self, release: Release) -> None:
        """The peer has let go of a message. RemoteProtocolError if it never got all of it, and did not refuse it."""
        if self._unreleased(release.capability, release.context, "RELEASE").left:
            raise RemoteProtocolError(f"RELEASE of context {release.context}, of which not all was sent")
        self._free(release.capability, release.context)

    def _unreleased(self, capability: int, context: int, what: str) -> _Outgoing:
        outgoing = self._contexts[self._shared(capability)].get(context)
        if outgoing is None or outgoing.left == outgoing.total:
            raise RemoteProtocolError(f"{what} of context {context}, which is not open")
        return outgoing

    def _shared(self, capability: int) -> int:
        if capability >= len(self._windows):
            raise RemoteProtocolError(f"capability {capability} is not shared")
        return capability

    def _free(self, capability: int, context: int) -> None:
        self._reserved[capability] -= self._contexts[capability].pop(context).total
