"""How much went through a channel, in messages and in bytes on the wire, and how much waits in it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one capability and one peer exchanged so far. Bytes are whole frames: compressed, padded, with header and MACs."""

    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the queues of one capability and one peer, in messages and in bytes as they are there."""

    unread_messages: int = 0
    """Those that the capability has not taken yet; answers to requests are no messages here, but count in the bytes."""
    unread_bytes: int = 0
    """Compressed, as they came."""
    unsent_messages: int = 0
    unsent_bytes: int = 0
    """Encoded, not yet compressed."""
    unsent_by_lane: tuple[int, int, int] = (0, 0, 0)
    """Messages that are not sent: urgent ones, others, and bulk; those of which a part has gone are among them."""
    credit: int | None = None
    """Bytes that the peer takes at the moment, where a session has credit (dpx/1); None where it has none."""


class TrafficCounter:
    """Counts the frames of one channel. A message counts as sent once it is sealed."""

    __slots__ = ("_bytes_in", "_bytes_out", "_messages_in", "_messages_out")

    def __init__(self) -> None:
        self._messages_in = self._bytes_in = self._messages_out = self._bytes_out = 0

    def received(self, size: int) -> None:
        """A frame of so many bytes came."""
        self._messages_in += 1
        self._bytes_in += size

    def sent(self, size: int) -> None:
        """A frame of so many bytes was sealed."""
        self._messages_out += 1
        self._bytes_out += size

    @property
    def total(self) -> Traffic:
        """The sums over the session so far."""
        return Traffic(self._messages_in, self._bytes_in, self._messages_out, self._bytes_out)
