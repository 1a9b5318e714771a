"""The side that calls back: for whom, where, and how often."""

import secrets
from collections import deque
from collections.abc import Sequence
from typing import Final

import trio

from devp2p import (
    Address,
    DialError,
    DisconnectReason,
    HandshakeError,
    Limits,
    LocalProtocolError,
    NodeRecord,
    Peer,
    PeerDisconnected,
    PrivateKey,
    PublicKey,
    RemoteProtocolError,
    Throttle,
    Transport,
    call,
    local_node,
)
from devp2p.capabilities.nat.limits import NatLimits
from devp2p.capabilities.nat.messages import LEAST_DATA, MOST_DATA, DialMe, Status

_BY_DEFAULT: Final = frozenset({"tcp", "tls", "quic", "ws", "wss"})
_MOST_PEERS: Final = 1024  # of whom it is remembered when they were called


def key_of(nonce: bytes) -> PrivateKey | None:
    """The key that is a nonce; None for the few numbers that are no key."""
    try:
        return PrivateKey.from_bytes(nonce)
    except (LocalProtocolError, RemoteProtocolError, ValueError):
        return None


class Serving:
    """Calls nodes back, as far as `limits` let it."""

    def __init__(self, limits: NatLimits) -> None:
        self.limits: NatLimits = limits
        self.calls: int = 0
        """How many calls were made."""
        self.transports: Sequence[Transport] | None = None
        """By which to call; None for those that come with the library."""
        self._running = 0
        self._recent: deque[float] = deque()
        self._peers = Throttle(1 / limits.peer_interval, 1, remembered=_MOST_PEERS)

    def choose(self, addresses: Sequence[str]) -> tuple[int, Address] | None:
        """The first of some addresses that may be called: an IP address that others reach, too, of a scheme that can be dialled."""
        for index, text in enumerate(addresses):
            try:
                address = Address.parse(text)
            except ValueError:
                continue
            if self.may_call(address) and address.scheme in self._schemes():
                return index, address
        return None

    def may_call(self, address: Address) -> bool:
        """Whether others reach an address, too. No name of DNS: who asks would choose whose servers we ask."""
        is_reached = address.is_public or (self.limits.local_addresses and address.is_local)
        return bool(address.ip and address.port) and is_reached

    def _schemes(self) -> frozenset[str]:
        given = self.transports
        return _BY_DEFAULT if given is None else frozenset(scheme for one in given for scheme in one.schemes) & _BY_DEFAULT

    def begin(self, peer: Peer) -> bool:
        """Whether a call may be made for a peer now; `end` must follow if so."""
        now = trio.current_time()
        while self._recent and now - self._recent[0] > 60:
            self._recent.popleft()
        if self._running >= self.limits.calls or len(self._recent) >= self.limits.calls_per_minute:
            return False
        if not self._peers.allows(peer.id, now):
            return False
        self._recent.append(now)
        self._running += 1
        return True

    def end(self) -> None:
        """The call is over."""
        self._running -= 1

    def data_needed(self, peer: Peer, address: Address) -> int:
        """Bytes that a peer has to send before an address is called: none for the one from which it comes itself."""
        if peer.link.path == "direct" and peer.address.ip == address.ip:
            return 0
        return LEAST_DATA + secrets.randbelow(MOST_DATA - LEAST_DATA + 1)

    async def call(self, node: PublicKey, address: Address, request: DialMe) -> Status:
        """Call a node at an address, by the key that is the nonce."""
        key = key_of(request.nonce)
        if key is None:
            return Status.REFUSED
        self.calls += 1
        seconds = self.limits.dial_timeout
        local = local_node(key, [], limits=Limits(dial_timeout=seconds, handshake_timeout=seconds))
        try:
            session = await call(NodeRecord(node, (address,)), local, self.transports, timeout=seconds)
        except DialError:
            return Status.UNREACHABLE
        except (HandshakeError, RemoteProtocolError, PeerDisconnected, trio.TooSlowError):
            return Status.FAILED
        # The node has seen our Hello, and with it the key, before it says what it thinks of it.
        await session.refuse(DisconnectReason.REQUESTED)
        return Status.OK
