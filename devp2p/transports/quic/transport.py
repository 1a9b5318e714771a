"""QUIC as a transport: ``quic://host:port``, with native streams, and certificates that prove both sides (RFC 9000, RFC 9001).

Sockets. What is dialled leaves from the socket at which the transport listens, where that can reach the peer, so that a NAT maps both to
one address. A transport that does not listen has one socket for all that it dials, for each family, as long as there is any.
"""

import socket
from collections import deque
from typing import Final

import trio

from devp2p.addresses import Address
from devp2p.errors import HandshakeError
from devp2p.keys import PrivateKey, PublicKey
from devp2p.transports.attempts import first_link
from devp2p.transports.certificates import OwnCertificate
from devp2p.transports.links import OnLink, require_peer
from devp2p.transports.quic.conduit import SCHEME, QuicLink
from devp2p.transports.quic.core import configuration_for
from devp2p.transports.quic.endpoint import Endpoint
from devp2p.transports.quic.incoming import QuicIncoming
from devp2p.transports.quic.names import is_loopback
from devp2p.transports.sharing import SharedSocket
from devp2p.transports.sockets import Name, address_in, bound_addresses, family_of
from devp2p.transports.udp import bound_socket, bound_sockets, names_of

PATIENCE: Final = 10.0
"""Seconds for which a dial waits for the handshake."""
BACKLOG: Final = 256
"""Connections that wait until a listener is served."""
_STALE: Final = 5.0  # seconds after which one of these is not worth to be taken up


class QuicTransport:
    """Dials and listens by QUIC."""

    schemes: frozenset[str] = frozenset({SCHEME})

    def __init__(self, key: PrivateKey) -> None:
        self._own = OwnCertificate(key)
        self._listening: list[Endpoint] = []
        self._dialling: dict[int, Endpoint] = {}

    async def dial(self, address: Address, *, expect: PublicKey | None) -> QuicLink:
        """See `Transport.dial`: the addresses of a DNS name race. HandshakeError for a peer that proves no key."""
        return await self._dial_each(address, expect, None)

    async def dial_from(self, local: Address, address: Address, *, expect: PublicKey | None) -> QuicLink:
        """The same from the socket that listens at `local`; OSError if none does, or if it cannot reach the address."""
        return await self._dial_each(address, expect, self._listening_at(local))

    async def send_bare(self, data: bytes, to: Address, *, local: Address | None = None) -> None:
        """Send a datagram of no connection from the socket from which `to` would be dialled, or from the one that listens at `local`.

        It opens the way through our NAT for what comes from there. OSError as `dial_from`.
        """
        at = None if local is None else self._listening_at(local)
        for name in await names_of(to):
            endpoint, reached = self._way(name, at)
            endpoint.driver.hold()  # one that has nothing else to do is closed again
            endpoint.port.send(data, reached)
            endpoint.driver.release()

    async def bind(self, address: Address) -> "QuicListener":
        """See `Transport.bind`; of a DNS name with several addresses, at each."""
        endpoints = [Endpoint(sock) for sock in await bound_sockets(address)]
        listener = QuicListener(endpoints, address, self._listening)
        for endpoint in endpoints:
            endpoint.configuration = lambda: configuration_for(self._own.current, is_client=False)
            endpoint.on_incoming = listener.offer
            endpoint.driver.hold()
            self._listening.append(endpoint)
        return listener

    async def _dial_each(self, address: Address, expect: PublicKey | None, at: Endpoint | None) -> QuicLink:
        async def dial(name: Name) -> QuicLink:
            return await self._dial(address, expect, *self._way(name, at))

        return await first_link(await names_of(address), dial)

    async def _dial(self, address: Address, expect: PublicKey | None, endpoint: Endpoint, name: Name) -> QuicLink:
        conduit = endpoint.dial(name, configuration_for(self._own.current, is_client=True))
        try:
            with trio.move_on_after(PATIENCE) as scope:
                peer = await conduit.wait_shaken()
                try:
                    require_peer(peer, expect, address)
                except HandshakeError:
                    conduit.core.bad_certificate("another node was expected")
                    raise
                return QuicLink(conduit, peer)
        except trio.BrokenResourceError as error:
            conduit.close()
            raise conduit.fault or ConnectionResetError(f"{address} does not take the connection: {error}") from None
        except BaseException:
            conduit.close()
            raise
        conduit.close()
        assert scope.cancelled_caught  # noqa: S101  (else it has returned)
        raise TimeoutError(f"nobody answered at {address} within {PATIENCE:g} s")

    def _way(self, name: Name, at: Endpoint | None) -> tuple[Endpoint, Name]:
        """The socket from which to dial, and what it calls the place."""
        for endpoint in self._listening if at is None else [at]:
            if (reached := endpoint.port.reach(name)) is not None and (at is not None or _leads_to(endpoint.port.name, name)):
                return endpoint, reached
        if at is not None:
            raise OSError(f"what is bound to {address_in(SCHEME, at.port.name)} cannot reach {name[0]}")
        family = family_of(name)
        dialling = self._dialling.get(family)
        if dialling is None or not dialling.driver.is_usable:
            wildcard: Name = ("0.0.0.0", 0) if family == socket.AF_INET else ("::", 0, 0, 0)  # noqa: S104  (it does not listen)
            self._dialling[family] = dialling = Endpoint(bound_socket(wildcard))
        return dialling, name

    def _listening_at(self, local: Address) -> Endpoint:
        for endpoint in self._listening:
            bound = address_in(SCHEME, endpoint.port.name)
            if bound.port == local.port and (local.is_wildcard or bound.is_wildcard or bound.host == local.host):
                return endpoint
        raise OSError(f"nothing listens at {local}")


class QuicListener:
    """One or more sockets at which connections are taken."""

    def __init__(self, endpoints: list[Endpoint], address: Address, listening: list[Endpoint]) -> None:
        """`listening`: where the transport keeps those that listen."""
        self.addresses: tuple[Address, ...] = bound_addresses((endpoint.port.socket for endpoint in endpoints), address)
        self.endpoints: tuple[Endpoint, ...] = tuple(endpoints)
        self._listening = listening
        self._arrived: deque[QuicIncoming] = deque()
        self._waiting = trio.lowlevel.ParkingLot()
        self._closed = False

    def offer(self, incoming: QuicIncoming) -> bool:
        """Take one that came, if there is room."""
        if self._closed or len(self._arrived) >= BACKLOG:
            return False
        self._arrived.append(incoming)
        self._waiting.unpark()
        return True

    def share(self, address: Address) -> SharedSocket | None:
        """See `Shares`."""
        for endpoint in self.endpoints:
            bound = address_in(SCHEME, endpoint.port.name)
            if bound.port == address.port and (bound.host == address.host or (bound.is_wildcard and address.is_wildcard)):
                return endpoint.share()
        return None

    async def serve(self, on_link: OnLink) -> None:
        """See `Listener.serve`."""
        try:
            while True:
                if self._closed:
                    raise trio.ClosedResourceError("this listener was closed")
                if not self._arrived:
                    await self._waiting.park()
                    continue
                incoming = self._arrived.popleft()
                if trio.current_time() - incoming.since < _STALE:
                    await on_link(incoming)
                else:
                    await incoming.aclose()
        finally:
            self._close()

    async def aclose(self) -> None:
        """See `Listener.aclose`; links go on."""
        self._close()
        await trio.lowlevel.checkpoint()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._waiting.unpark_all()
        for incoming in self._arrived:
            incoming.turn_away()
        self._arrived.clear()
        for endpoint in self.endpoints:
            endpoint.on_incoming = None
            self._listening.remove(endpoint)
            endpoint.driver.release()


def _leads_to(bound: Name, name: Name) -> bool:
    """Whether what is sent from a bound socket can get to a place: from loopback nothing leaves, and nothing else gets there."""
    return bound[0] in {"0.0.0.0", "::"} or is_loopback(bound) == is_loopback(name)  # noqa: S104  (compared, not bound)
