"""``sctp://``: sessions over SCTP in DTLS in UDP (RFC 8261), with proof of the peer and streams of its own.

Theory of operation. A stranger costs nothing until it has sent the cookie back that DTLS sent to its address. Then it is an `Incoming` that
has been heard, and waits for its place as any other; few of those are kept here, and few datagrams of each. A UDP socket that listens
serves its links after the listener is closed, until the last of them is over, but takes in no others.
"""

import socket
from collections.abc import Sequence
from functools import partial
from typing import Final, cast

import trio

from devp2p.addresses import SUBNET, Address
from devp2p.errors import HandshakeError
from devp2p.keys import PrivateKey, PublicKey
from devp2p.peers import Unheard
from devp2p.transports.attempts import first_link
from devp2p.transports.certificates import OwnCertificate
from devp2p.transports.driving import Driver
from devp2p.transports.links import OnLink, require_peer
from devp2p.transports.sctp.datagrams import MOST_WAITING, Datagrams, Judge, connection_in, context_for, show
from devp2p.transports.sctp.link import SctpLink
from devp2p.transports.sockets import Name, address_in, bound_addresses, family_of
from devp2p.transports.udp import bound_sockets, names_of, udp_socket

SCHEME: Final = "sctp"
MOST_HALF_OPEN: Final = 256
"""Handshakes that have begun and not ended, of one socket; beyond it, the oldest of the most crowded network makes room."""
MOST_EARLY: Final = 64
"""Datagrams that are taken for one of these; a handshake has three or four."""
_REFUSED: Final = "the peer has refused it by an alert"


class SctpTransport:
    """Dials and accepts; ``sctp://host:port``."""

    schemes: frozenset[str] = frozenset({SCHEME})

    def __init__(self, key: PrivateKey) -> None:
        """`key`: our node's, of which we prove that we have it."""
        self._certificates = OwnCertificate(key)

    async def dial(self, address: Address, *, expect: PublicKey | None) -> SctpLink:
        """Connect; the IP addresses of a DNS name race.

        Raises OSError if nobody answers, and HandshakeError for a peer that breaks the rules, such as PeerMismatch.
        """
        return await first_link(await names_of(address), partial(self._dial, address=address, expect=expect))

    async def _dial(self, name: Name, address: Address, expect: PublicKey | None) -> SctpLink:
        sock = udp_socket(family_of(name))
        try:
            sock.connect(name)  # which only notes the name
            local, remote = address_in(SCHEME, sock.getsockname()), address_in(SCHEME, name)
        except OSError:
            sock.close()
            raise
        datagrams, judge = Datagrams(sock, connected=True), Judge(of_server=True)
        errors = list[OSError]()

        def failed(error: OSError) -> None:
            errors.append(error)
            judge.fail(str(error))

        datagrams.on_error = failed
        datagrams.on_alert = lambda _: judge.fail(_REFUSED) if link is None else link.refused()
        endpoint = trio.DTLSEndpoint(cast("trio.socket.SocketType", datagrams), incoming_packets_buffer=MOST_WAITING)
        link: SctpLink | None = None

        def ended(was_up: bool) -> None:  # noqa: FBT001  (as it is called)
            if not was_up:
                datagrams.refuse(name)
            endpoint.close()

        try:
            channel = endpoint.connect(cast("tuple[str, int]", name), context_for(self._certificates.current))
            connection_in(channel).set_app_data(judge)
            peer = await judge.handshake(channel)
            datagrams.on_error = lambda _: None
            require_peer(peer, expect, address)
            link = SctpLink(channel, local=local, remote=remote, initiator=True, peer=peer, on_end=ended)
            await link.establish()
        except BaseException as error:
            if link is None:
                ended(False)  # noqa: FBT003  (the same)
            else:
                await link.aclose()
            if isinstance(error, HandshakeError) and errors:
                raise errors[0] from None
            if isinstance(error, trio.BrokenResourceError):
                raise ConnectionResetError(f"the node hung up during the handshake of {SCHEME}: {error}") from None
            raise
        return link

    async def bind(self, address: Address) -> "SctpListener":
        """Listen at an address, at every one that a DNS name has. Raises OSError if it cannot be bound."""
        sockets = await bound_sockets(address)
        return SctpListener(bound_addresses(sockets, address), [_Socket(sock, self._certificates) for sock in sockets])


class SctpListener:
    """See `Listener`."""

    def __init__(self, addresses: tuple[Address, ...], sockets: "Sequence[_Socket]") -> None:
        self.addresses: tuple[Address, ...] = addresses
        self._sockets = sockets
        self._arrived = dict[IncomingSctp, None]()  # in this order; none that is over
        self._changed = trio.lowlevel.ParkingLot()
        for sock in sockets:
            sock.begin(self)

    async def serve(self, on_link: OnLink) -> None:
        """See `Listener.serve`."""
        try:
            while True:
                await on_link(await self._next())
        finally:
            self._close()

    async def aclose(self) -> None:
        """See `Listener.aclose`; the socket stays as long as there are links over it."""
        self._close()
        await trio.lowlevel.checkpoint()

    def arrived(self, incoming: "IncomingSctp") -> None:
        """One more is there."""
        self._arrived[incoming] = None
        self._changed.unpark()

    def forget(self, incoming: "IncomingSctp") -> None:
        """It is over."""
        self._arrived.pop(incoming, None)

    async def _next(self) -> "IncomingSctp":
        await trio.lowlevel.checkpoint()
        while not self._arrived:
            await self._changed.park()
        incoming = next(iter(self._arrived))
        del self._arrived[incoming]
        return incoming

    def _close(self) -> None:
        for sock in self._sockets:
            sock.close()
        self._arrived.clear()


class IncomingSctp:
    """See `Incoming`: a peer that has sent our cookie back, from where it says it is."""

    def __init__(self, sock: "_Socket", channel: trio.DTLSChannel) -> None:
        self.local: Address = sock.local
        self.remote: Address = address_in(SCHEME, cast("Name", channel.peer_address))
        self.channel: trio.DTLSChannel = channel
        self.early: int = 0
        """Datagrams that have come for its handshake."""
        self.judge: Judge = Judge(of_server=False)
        self._socket = sock
        self._link: SctpLink | None = None
        self._over = trio.Event()
        connection_in(channel).set_app_data(self.judge)

    @property
    def is_over(self) -> bool:
        """Whether it, or the link that it became, has ended."""
        return self._over.is_set()

    async def hear(self) -> bool:
        """See `Incoming.hear`; the peer has begun already."""
        await trio.lowlevel.checkpoint()
        self._check()
        return True

    async def upgrade(self) -> SctpLink:
        """See `Incoming.upgrade`."""
        self._check()
        peer = await self.judge.handshake(self.channel)
        self._socket.settled(self)
        self._check()
        self._link = SctpLink(self.channel, local=self.local, remote=self.remote, initiator=False, peer=peer, on_end=self._ended)
        await self._link.establish()
        return self._link

    async def aclose(self) -> None:
        """See `Incoming.aclose`."""
        if self._link is None:
            self.give_up()
            await trio.lowlevel.checkpoint()
        else:
            await self._link.aclose()

    def give_up(self) -> None:
        """End it before it is a link."""
        if not self.is_over:
            self._socket.refuse(self)
            self.judge.fail("this end has given it up")
            self._over.set()

    def superseded(self) -> None:
        """Its peer has begun anew; so it is told nothing, which it would take for an answer to that."""
        self.judge.fail("the peer has begun anew")
        self._over.set()

    def _ended(self, was_up: bool) -> None:  # noqa: FBT001  (as it is called)
        if not was_up:
            self._socket.refuse(self)
        self._over.set()

    async def wait_over(self) -> None:
        """Wait until nothing is left of it."""
        await self._over.wait()

    def _check(self) -> None:
        if self.is_over:
            raise trio.BrokenResourceError("others needed the place, or nobody listens any more")


class _Socket:
    """A UDP socket at which peers arrive."""

    def __init__(self, sock: socket.socket, certificates: OwnCertificate) -> None:
        self.local: Address = address_in(SCHEME, sock.getsockname())
        self._certificates = certificates
        self._certificate = certificates.current
        self._context = context_for(self._certificate)
        self._half_open = dict[Name, IncomingSctp]()
        self._crowd = Unheard[IncomingSctp](MOST_HALF_OPEN)  # the same ones, by who makes room
        self._is_closed = False
        self._datagrams = datagrams = Datagrams(sock)
        datagrams.admits = self._admits
        datagrams.on_alert = self._refused
        self._endpoint = trio.DTLSEndpoint(cast("trio.socket.SocketType", datagrams), incoming_packets_buffer=MOST_WAITING)
        self._driver = Driver(f"UDP socket of {self.local}", self._run, self._endpoint.close)

    def begin(self, listener: SctpListener) -> None:
        """Take in peers."""
        self._listener = listener
        self._driver.hold()

    def close(self) -> None:
        """Take in no others."""
        if not self._is_closed:
            self._is_closed = True
            for incoming in tuple(self._half_open.values()):
                incoming.give_up()
            self._driver.release()

    def refuse(self, incoming: IncomingSctp) -> None:
        """Say that there will be no link."""
        self._datagrams.refuse(cast("Name", incoming.channel.peer_address))

    def settled(self, incoming: IncomingSctp) -> None:
        """A handshake is done, or will not be."""
        name = cast("Name", incoming.channel.peer_address)
        if self._half_open.get(name) is incoming:
            del self._half_open[name]
            self._crowd.discard(incoming)

    async def _run(self) -> None:
        await self._endpoint.serve(self._context, self._handle)

    async def _handle(self, channel: trio.DTLSChannel) -> None:
        """Keep a channel, which trio closes afterwards, for as long as it is in use."""
        if self._is_closed:
            self._datagrams.refuse(cast("Name", channel.peer_address))
            return
        self._driver.hold()
        try:
            if self._certificates.current is not self._certificate:  # that of the context is a month old
                show(self._certificates.current, connection_in(channel))
            incoming, name = IncomingSctp(self, channel), cast("Name", channel.peer_address)
            if (before := self._half_open.get(name)) is not None:
                before.superseded()
                self.settled(before)
            self._half_open[name] = incoming
            if (makes_room := self._crowd.add(incoming, incoming.remote.network(SUBNET))) is not None:
                makes_room.give_up()
                self._listener.forget(makes_room)
                self.settled(makes_room)
            try:
                self._listener.arrived(incoming)
                await incoming.wait_over()
            finally:
                self._listener.forget(incoming)
                self.settled(incoming)
        finally:
            self._driver.release()

    def _admits(self, name: Name) -> bool:
        incoming = self._half_open.get(name)
        if incoming is None:
            return True
        incoming.early += 1
        return incoming.early <= MOST_EARLY

    def _refused(self, name: Name) -> None:
        if (incoming := self._half_open.get(name)) is not None:
            incoming.judge.fail(_REFUSED)
