"""Everything that can go wrong, sorted by who is at fault.

    Devp2pError
    ├─ LocalProtocolError       we misused our own object: a bug, propagates
    ├─ RemoteProtocolError      the peer broke the rules; .reason is what to tell it
    │  ├─ DecodingError         bad RLP, snappy, sizes, keys
    │  └─ HandshakeError        bad auth, ack or MAC; nothing can be said back
    │     └─ PeerMismatch       a transport proved another node than the one that was dialled
    ├─ PeerDisconnected         how a session ended: .reason, .by_remote
    └─ DialError                could not reach, or was not admitted; .target

Disconnect reasons follow RLPx, section "Disconnect (0x01)".
"""

import enum


class DisconnectReason(enum.IntEnum):
    """Why a session ends, as the wire says it (RLPx, "Disconnect (0x01)")."""

    REQUESTED = 0x00
    NETWORK_ERROR = 0x01
    PROTOCOL_BREACH = 0x02
    USELESS_PEER = 0x03
    TOO_MANY_PEERS = 0x04
    ALREADY_CONNECTED = 0x05
    INCOMPATIBLE_VERSION = 0x06
    INVALID_IDENTITY = 0x07
    CLIENT_QUITTING = 0x08
    UNEXPECTED_IDENTITY = 0x09
    CONNECTED_TO_SELF = 0x0A
    PING_TIMEOUT = 0x0B
    SUBPROTOCOL_ERROR = 0x10


def describe_reason(reason: int) -> str:
    """Name a reason for people: ``too many peers (0x04)``, ``unknown reason (0x42)``."""
    try:
        name = DisconnectReason(reason).name.replace("_", " ").lower()
    except ValueError:
        name = "unknown reason"
    return f"{name} ({reason:#04x})"


class Devp2pError(Exception):
    """The base of every error that this library raises on purpose."""


class LocalProtocolError(Devp2pError):
    """We misused our own object: a bug on this side of the wire."""


class RemoteProtocolError(Devp2pError):
    """The peer broke the rules; ``reason`` is what a Disconnect should tell it."""

    def __init__(self, message: str, *, reason: DisconnectReason = DisconnectReason.PROTOCOL_BREACH) -> None:
        super().__init__(message)
        self.reason = reason


class DecodingError(RemoteProtocolError):
    """Bytes from a stranger that are not what they should be: RLP, snappy, sizes, keys."""


class HandshakeError(RemoteProtocolError):
    """A bad auth, ack or MAC. The link has no shared keys (any more), so nothing can be said back."""


class PeerMismatch(HandshakeError):
    """At the address that was dialled, another node has proved itself than the one that should be there."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason=DisconnectReason.UNEXPECTED_IDENTITY)


class PeerDisconnected(Devp2pError):
    """How a session ended; ``run_session`` returns it, and handles of an ended session raise it.

    ``reason`` is a ``DisconnectReason`` where the code is a known one, else the bare number that the peer sent.
    ``by_remote`` tells who ended it; ``detail`` says it in words.
    """

    def __init__(self, reason: int, *, by_remote: bool, detail: str = "") -> None:
        self.reason: DisconnectReason | int = DisconnectReason(reason) if reason in set(DisconnectReason) else reason
        self.by_remote = by_remote
        self.detail = detail
        text = f"{'peer' if by_remote else 'we'} ended the session: {describe_reason(reason)}"
        super().__init__(f"{text}: {detail}" if detail else text)

    @property
    def hung_up(self) -> bool:
        """Whether the peer said nothing: it closed the link, or the link broke; `detail` tells which."""
        return self.by_remote and self.reason == DisconnectReason.NETWORK_ERROR and bool(self.detail)

    def again(self) -> "PeerDisconnected":
        """The same news as a new exception, so that each task that raises it has a traceback of its own."""
        return PeerDisconnected(self.reason, by_remote=self.by_remote, detail=self.detail)


class DialError(Devp2pError):
    """A peer could not be reached, or one side did not admit the other; ``target`` says which peer.

    ``reason`` is the Disconnect reason where one was given, else None (no route, refused, timed out, bad handshake).
    """

    def __init__(self, message: str, *, target: object, reason: int | None = None) -> None:
        super().__init__(message)
        self.target = target
        self.reason = reason


class BookError(Devp2pError):
    """A book of nodes cannot be opened, read or written. The message names the file and says why."""


class DamagedBookError(BookError):
    """The file is no database, or no longer one."""
