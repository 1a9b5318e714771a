"""What comes in: credit that was given, and messages in chunks until they are whole, and taken (dpx/1, section 6).

The receiver's side of what `credit` tells. A context is *open* while chunks of it are missing, *whole* until the application has taken its
message, and *refused* if we have reset it: then what is still on its way is counted and dropped. From its first chunk until its `Release`
goes, its total is reserved, so that all of one capability together hold at most ``reassembly`` and a window of bytes.
"""

import enum
from collections.abc import Sequence
from typing import Final, NamedTuple

from devp2p import rlp
from devp2p.errors import LocalProtocolError, RemoteProtocolError
from devp2p.wire import compression
from devp2p.wire.dpx.control import BUSY, CONNECTION, MOST_CREDIT, TOO_BIG, Control, Delta, Release, Reset
from devp2p.wire.dpx.credit import LEAST_CHUNK
from devp2p.wire.dpx.element import Params

MOST_REFUSED: Final = 64
"""Refused messages of which more may come; beyond it the oldest one is forgotten, and chunks of it are an error."""
MOST_DRIBBLES: Final = 256
"""Chunks below `LEAST_CHUNK` bytes, the last ones of their messages aside, that a peer may send in a session."""
PATIENCE: Final = 60.0
"""Seconds that an open context may go without a chunk for which there was credit."""

_Key = tuple[int, int]  # capability and context


class _State(enum.Enum):
    OPEN = "chunks are missing"
    WHOLE = "the application has not taken it"
    REFUSED = "the rest of it is dropped"
    OVER = "its RELEASE is to be sent"


class Whole(NamedTuple):
    """A message that came in chunks."""

    capability: int
    context: int
    """To be named when it was taken: `Contexts.release`."""
    code: int
    data: memoryview
    """As it came, compressed or not."""
    size: int
    """The largest that it may inflate to."""
    total: int
    """Bytes of its code and its data as they came."""


class _Incoming:
    """A message in chunks that is not released."""

    __slots__ = ("buffer", "code", "left", "since", "size", "start", "state", "total")

    def __init__(self, total: int, now: float) -> None:
        self.total = total
        self.left = total  # bytes that have not come
        self.buffer = bytearray()
        self.code = self.start = self.size = 0  # the message's code, where its data begins, what it may inflate to
        self.state = _State.OPEN
        self.since = now  # when something of it last came


class Contexts:
    """The receiver's ledger of one session. Capabilities are numbered from 1, in the order of the shared ones."""

    def __init__(self, ours: Params, sizes: Sequence[Sequence[int]], *, compressed: bool) -> None:
        """`ours` is what we have announced; `sizes`: of each shared capability, for each of its codes, the largest message (0: none)."""
        self.ours: Final = ours
        self.held: int = 0
        """Bytes held of messages that are not whole."""
        self.came: list[int] = [0] * (len(sizes) + 1)
        """Bytes of bodies that came so far, of each capability."""
        self._sizes = sizes
        self._compressed = compressed
        places = len(sizes) + 1
        self._windows = [ours.connection_window, *[ours.capability_window] * len(sizes)]  # the peer's credit; the connection's first
        self._owed = [0] * places  # credit to be given back
        self._half = (ours.capability_window + 1) // 2
        self._contexts: dict[_Key, _Incoming] = {}
        self._refused: dict[_Key, None] = {}  # in order
        self._over: list[_Key] = []
        self._counts = [0] * places
        self._reserved = [0] * places
        self._resets: list[Reset] = []
        self._dribbles = 0
        # However many capabilities are held up, the connection must have room for the others.
        wanted = min(MOST_CREDIT, len(sizes) * ours.capability_window)
        self._raise = max(0, wanted - ours.connection_window)
        self._due: list[int] = []  # windows that have enough to be given
        self._withheld: set[int] = set()

    # Frames

    def normal(self, capability: int, size: int) -> None:
        """A whole message came in one frame with `size` bytes of body. Its credit is given back when it was `taken`."""
        self._spend(capability, size)

    def taken(self, capability: int, size: int) -> None:
        """The application took a message that came in one frame."""
        self._owe(capability, size)

    def first(self, capability: int, context: int, total: int, data: bytes | memoryview, now: float) -> bool:
        """The first chunk of a message of `total` bytes came. Whether more of it is welcome; if not, it is refused by a RESET."""
        self._spend(capability, len(data))
        if total <= len(data):
            raise RemoteProtocolError(f"the first chunk has {len(data)} bytes of a message of {total}: it is no chunk")
        key = capability, context
        if key in self._contexts:
            raise RemoteProtocolError(f"a first chunk for context {context} of capability {capability}, which is not released")
        if self._counts[capability] >= self.ours.contexts:
            raise RemoteProtocolError(f"more than {self.ours.contexts} contexts of capability {capability}")
        if self._reserved[capability] + total > self.ours.reassembly:
            raise RemoteProtocolError(f"more than the {self.ours.reassembly} bytes for reassembly of capability {capability}")
        self._count_dribble(len(data), last=False)
        incoming = _Incoming(total, now)
        fits = self._judge(capability, incoming, data)
        self._contexts[key] = incoming
        self._counts[capability] += 1
        self._reserved[capability] += total
        self._owe(capability, len(data))
        incoming.left -= len(data)
        if fits:
            incoming.buffer += data
            self.held += len(data)
        else:
            self._refuse(key, incoming, TOO_BIG)
        return fits

    def more(self, capability: int, context: int, data: bytes | memoryview, now: float) -> Whole | None:
        """A further chunk came: the message if it is whole now. Those of a refused message are dropped."""
        self._spend(capability, len(data))
        key = capability, context
        incoming = self._contexts.get(key)
        if incoming is None or not incoming.left:
            raise RemoteProtocolError(f"a chunk for context {context} of capability {capability}, which is not open")
        if len(data) > incoming.left:
            raise RemoteProtocolError(f"more data than the {incoming.total} bytes of context {context} of capability {capability}")
        incoming.left -= len(data)
        self._count_dribble(len(data), last=not incoming.left)
        self._owe(capability, len(data))
        if incoming.state is _State.REFUSED:
            if not incoming.left:
                self._let_go(key, incoming)
            return None
        incoming.since = now
        incoming.buffer += data
        self.held += len(data)
        if incoming.left:
            return None
        incoming.state = _State.WHOLE
        self.held -= incoming.total
        message = memoryview(incoming.buffer)[incoming.start :].toreadonly()
        incoming.buffer = bytearray()
        return Whole(capability, context, incoming.code, message, incoming.size, incoming.total)

    def release(self, capability: int, context: int) -> None:
        """The application took a message that came in chunks. LocalProtocolError if it was no whole one, or was taken before."""
        key = capability, context
        incoming = self._contexts.get(key)
        if incoming is None or incoming.state is not _State.WHOLE:
            raise LocalProtocolError(f"context {context} of capability {capability} has no message to be released")
        self._let_go(key, incoming)

    # Ends that are no message

    def refuse(self, capability: int, context: int, code: int = BUSY) -> bool:
        """Drop an open message, and tell the peer to stop; False if there is no such one (any more)."""
        key = capability, context
        incoming = self._contexts.get(key)
        if incoming is None or incoming.state is not _State.OPEN:
            return False
        self._refuse(key, incoming, code)
        return True

    def cancelled(self, reset: Reset) -> bool:
        """The peer sends no more of a message. Whether it did so by itself, and not since we had refused the message."""
        key = reset.capability, reset.context
        incoming = self._contexts.get(key)
        if incoming is None or not incoming.left:
            return True  # it has ended: an honest peer says so only if we have forgotten that we refused it
        by_itself = incoming.state is _State.OPEN
        self._let_go(key, incoming)
        return by_itself

    def begin(self, now: float) -> None:
        """What has come so far came just now: until there was a line, nobody looked at the time."""
        for incoming in self._contexts.values():
            incoming.since = now

    def stalled(self, now: float) -> list[tuple[int, int]]:
        """Refuse messages of which nothing has come for a minute: (capability, context) of each. To be asked every few seconds."""
        late: list[_Key] = []
        for key, incoming in self._contexts.items():
            if incoming.state is _State.OPEN and now - incoming.since >= PATIENCE:
                if self._has_credit(key[0]):
                    late.append(key)
                else:
                    incoming.since = now  # we hold it up, not the peer
        for key in late:
            self._refuse(key, self._contexts[key], BUSY)
        return late

    # What the peer is to be told

    @property
    def has_controls(self) -> bool:
        """Whether there is something to be told."""
        return bool(self._resets or self._over or self._raise or (self._due and not self._withheld.issuperset(self._due)))

    def controls(self, now: float) -> list[Control]:
        """What the peer is to be told, which must go before anything that is said of these contexts later."""
        told: list[Control] = [*self._resets]
        self._resets.clear()
        for key in self._over:
            total = self._contexts.pop(key).total
            self._counts[key[0]] -= 1
            self._reserved[key[0]] -= total
            told.append(Release(*key))
        self._over.clear()
        if self._raise:
            self._windows[0] += self._raise
            told.append(Delta(CONNECTION, self._raise))
            self._raise = 0
        for place in [place for place in self._due if place not in self._withheld]:
            held_up = [key for key, incoming in self._contexts.items() if incoming.state is _State.OPEN and (not place or key[0] == place)]
            if held_up and not self._has_credit(place):
                for key in held_up:
                    self._contexts[key].since = now
            self._windows[place] += self._owed[place]
            told.append(Delta(place or CONNECTION, self._owed[place]))
            self._owed[place] = 0
        self._due = [place for place in self._due if place in self._withheld]
        return told

    def withhold(self, capability: int, *, credit: bool) -> None:
        """Give no further `credit` to a capability for now, or give it again: it may receive less than it could take."""
        (self._withheld.add if credit else self._withheld.discard)(capability)

    # Inside

    def _judge(self, capability: int, incoming: _Incoming, data: bytes | memoryview) -> bool:
        """Read what the beginning of a message says: whether it may be as large as that."""
        incoming.code, incoming.start = rlp.split_uint(data)
        sizes = self._sizes[capability - 1]
        incoming.size = sizes[incoming.code] if incoming.code < len(sizes) else 0
        if not incoming.size:
            raise RemoteProtocolError(f"capability {capability} defines no message {incoming.code:#x}")
        size = incoming.total - incoming.start
        if not self._compressed:
            return size <= incoming.size
        # Snappy may enlarge incompressible data by a sixth and 32 bytes.
        return compression.declared_size(data[incoming.start :]) <= incoming.size and size <= incoming.size + incoming.size // 6 + 32

    def _spend(self, capability: int, size: int) -> None:
        windows = self._windows
        if not 0 < capability < len(windows):
            raise RemoteProtocolError(f"a frame of capability {capability}, which is not shared")
        if size > windows[capability] or size > windows[0]:
            credit = min(windows[0], windows[capability])
            raise RemoteProtocolError(f"a frame of {size} bytes of capability {capability}, beyond its credit of {credit}")
        self.came[capability] += size
        windows[0] -= size
        windows[capability] -= size

    def _owe(self, capability: int, size: int) -> None:
        """Give credit back, half a capability's window at a time: also of the connection, so that those held up leave it to the others."""
        owed, half = self._owed, self._half
        for place in (0, capability):
            before = owed[place]
            owed[place] = after = before + size
            if after >= half > before:
                self._due.append(place)

    def _has_credit(self, place: int) -> bool:
        return min(self._windows[0], self._windows[place]) >= self.ours.max_frame

    def _count_dribble(self, size: int, *, last: bool) -> None:
        if size < LEAST_CHUNK and not last:
            self._dribbles += 1
            if self._dribbles > MOST_DRIBBLES:
                raise RemoteProtocolError(f"more than {MOST_DRIBBLES} chunks of less than {LEAST_CHUNK} bytes")

    def _refuse(self, key: _Key, incoming: _Incoming, code: int) -> None:
        self._drop(incoming)
        incoming.state = _State.REFUSED
        self._resets.append(Reset(*key, code))
        self._refused[key] = None
        if len(self._refused) > MOST_REFUSED:
            oldest = next(iter(self._refused))
            self._let_go(oldest, self._contexts[oldest])

    def _drop(self, incoming: _Incoming) -> None:
        self.held -= len(incoming.buffer)
        incoming.buffer = bytearray()

    def _let_go(self, key: _Key, incoming: _Incoming) -> None:
        self._drop(incoming)
        incoming.state, incoming.left = _State.OVER, 0
        self._refused.pop(key, None)
        self._over.append(key)
