"""The UDP socket under trio's DTLS, and the certificates that DTLS is done with.

Theory of operation. `trio.DTLSEndpoint` reads its socket in a system task, where any error but two ends the program, and it keeps a
thousand datagrams of any size for each connection. So it gets `Datagrams` instead of the socket: errors of the network are told, and no
more than a lost datagram; what is too large for us is cut off, so that it is none; and what comes for a handshake that nobody does yet is
counted.

trio passes over what OpenSSL says of a handshake, since a datagram may come from anybody, and tries until it is cancelled. A certificate
that is refused is no such datagram: `Judge` says so at once, and so does the other side's alert.
"""

import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

import trio
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from OpenSSL.crypto import X509

from devp2p.errors import DecodingError, HandshakeError
from devp2p.keys import PublicKey
from devp2p.transports.certificates import NodeCertificate, key_in
from devp2p.transports.sockets import Name
from devp2p.transports.udp import enlarge

ALPN: Final = b"devp2p/1"
LARGEST: Final = 2048
"""Bytes of a datagram that are taken: those of DTLS are made for a path of 1500."""
MOST_WAITING: Final = 1000
"""Datagrams of one connection that wait to be read; SCTP has up to 160 on their way."""

_CIPHERS: Final = b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
_DTLS_1_2: Final = 0xFEFD  # pyOpenSSL has no name for it
_ALERT, _FATAL = 21, 2
_ALERTED: Final = SSL.SSL_CB_WRITE_ALERT
_REFUSAL: Final = bytes((_ALERT, 0xFE, 0xFD, *bytes(8), 0, 2, _FATAL, 40))  # 40: handshake_failure
_AT_ONCE: Final = 16  # datagrams that are taken in one step
_GONE: Final = frozenset({errno.EBADF, errno.ENOTSOCK})
_PAUSE: Final = 0.01  # seconds, so that an error which stays holds up nobody else


class Datagrams:
    """Stands in for a trio socket in `trio.DTLSEndpoint`."""

    def __init__(self, sock: socket.socket, *, connected: bool = False) -> None:
        """`sock` does not block. `connected`: to the only peer that there will be."""
        self.type: int = sock.type
        self.family: int = sock.family
        self.admits: Callable[[Name], bool] = lambda _: True
        """Whether a datagram from there is wanted; asked for each."""
        self.on_alert: Callable[[Name], None] = lambda _: None
        """Told of a fatal alert that is not encrypted, so one of a handshake."""
        self.on_error: Callable[[OSError], None] = lambda _: None
        """Told of errors of the network, such as that nobody is there."""
        self._socket = sock
        self._connected = connected
        self._at_once = _AT_ONCE
        enlarge(sock)

    async def recvfrom(self, size: int) -> tuple[bytes, Name]:  # noqa: ARG002  (as it is called)
        """Wait for a datagram; some of those that are there already come without giving others their turn."""
        while True:
            if not self._at_once:
                self._at_once = _AT_ONCE
                await trio.lowlevel.checkpoint()
            try:
                packet, address = self._socket.recvfrom(LARGEST)
            except BlockingIOError:
                self._at_once = _AT_ONCE
                await trio.lowlevel.wait_readable(self._socket)
                continue
            except OSError as error:
                if error.errno in _GONE:
                    raise
                self.on_error(error)
                await trio.sleep(_PAUSE)
                continue
            self._at_once -= 1
            if packet[:1] == bytes((_ALERT,)) and packet[3:5] == b"\0\0":
                if packet[13:14] == bytes((_FATAL,)):
                    self.on_alert(address)
            elif self.admits(address):
                return packet, address

    async def sendto(self, packet: bytes, address: Name) -> None:
        """Send a datagram, or lose it."""
        while True:
            try:
                if self._connected:
                    self._socket.send(packet)
                else:
                    self._socket.sendto(packet, address)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
            except OSError as error:
                self.on_error(error)
                return
            else:
                return

    def refuse(self, address: Name) -> None:
        """Say that there will be no handshake: by an alert, which may be lost, and which whoever is encrypted already passes over."""
        with suppress(OSError):
            if self._connected:
                self._socket.send(_REFUSAL)
            else:
                self._socket.sendto(_REFUSAL, address)

    def getsockname(self) -> Name:
        """Where it is bound."""
        return cast("Name", self._socket.getsockname())

    def close(self) -> None:
        """Close the socket, and let those who wait for it know."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


class Judge:
    """Who the peer of one handshake is, as its certificate says."""

    def __init__(self, *, of_server: bool) -> None:
        self.key: PublicKey | None = None
        self.fault: str = ""
        self._of_server = of_server
        self._failed = trio.Event()

    def look_at(self, der: bytes, depth: int) -> bool:
        """Whether a certificate will do."""
        try:
            if depth:
                raise DecodingError("several certificates, where the peer has to send one")
            self.key = key_in(der)
        except DecodingError as error:
            self.fail(str(error))
            return False
        return not self.fault

    def fail(self, fault: str) -> None:
        """The handshake cannot come to a good end."""
        self.fault = self.fault or fault
        self._failed.set()

    async def handshake(self, channel: trio.DTLSChannel) -> PublicKey:
        """Do the handshake of a channel that has this judge, for as long as it takes.

        HandshakeError for a peer that breaks the rules, or says that we do; trio.BrokenResourceError for one that begins anew.
        """
        broken: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_failed, nursery.cancel_scope)
            try:
                await channel.do_handshake()
            except SSL.Error as error:
                self.fail(f"OpenSSL: {error}")
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:  # not to arrive in the nursery's group
                broken = error
            nursery.cancel_scope.cancel()
        if broken is not None:
            raise trio.BrokenResourceError(str(broken)) from None
        connection = connection_in(channel)
        if len(connection.get_peer_cert_chain() or ()) != int(self._of_server):  # of a client, OpenSSL gives what is behind the first
            self.fail("several certificates, where the peer has to send one")
        agreed = connection.get_alpn_proto_negotiated()
        if not self.fault and self.key is not None and agreed == ALPN:
            return self.key
        await say_goodbye(channel)
        raise HandshakeError(f"no handshake of DTLS: {self.fault or f'{agreed!r} is spoken there, not {ALPN!r}'}")

    async def _end_failed(self, scope: trio.CancelScope) -> None:
        await self._failed.wait()
        await trio.sleep(_PAUSE)  # meanwhile the alert is sent
        scope.cancel()


def connection_in(channel: trio.DTLSChannel) -> SSL.Connection:
    """OpenSSL's side of a channel, for which trio has no public name; tests/interop/test_sctp_aiortc.py fails if it goes."""
    return channel._ssl  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


async def say_goodbye(channel: trio.DTLSChannel) -> None:
    """Tell the peer by an alert that nothing more will come: one that is encrypted, or what OpenSSL has made and trio has not sent."""
    with suppress(SSL.Error):
        connection_in(channel).shutdown()
    with suppress(SSL.Error):
        await channel.endpoint.socket.sendto(connection_in(channel).bio_read(LARGEST), channel.peer_address)


def context_for(certificate: NodeCertificate) -> SSL.Context:
    """DTLS 1.2 with certificates of both sides; of each connection, `set_app_data` names the `Judge`."""
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(_DTLS_1_2)
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(_CIPHERS)
    show(certificate, context)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verify)
    context.set_alpn_protos([ALPN])
    context.set_alpn_select_callback(_choose)
    context.set_info_callback(_note)
    return context


def show(certificate: NodeCertificate, where: SSL.Context | SSL.Connection) -> None:
    """Show a certificate in all connections of a context, or in one."""
    where.use_certificate(certificate.certificate)
    where.use_privatekey(certificate.key)


def _verify(connection: SSL.Connection, certificate: X509, number: int, depth: int, ok: int) -> bool:  # noqa: ARG001  (as it is called)
    """Judge a certificate; OpenSSL's own verdict, that nobody has signed it whom it knows, says nothing."""
    judge = connection.get_app_data()
    return isinstance(judge, Judge) and judge.look_at(certificate.to_cryptography().public_bytes(Encoding.DER), depth)


def _choose(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """Choose what to speak; pyOpenSSL makes a fatal alert of what is raised."""
    if ALPN in offered:
        return ALPN
    fault = f"{offered} are spoken there, not {ALPN!r}"
    if isinstance(judge := connection.get_app_data(), Judge):
        judge.fail(fault)
    raise SSL.Error(fault)


def _note(connection: SSL.Connection, event: int, code: int) -> None:
    """After a fatal alert of ours OpenSSL does not go on with a handshake, and trio would not notice."""
    if event == _ALERTED and code >> 8 == _FATAL and isinstance(judge := connection.get_app_data(), Judge):
        judge.fail(f"the peer gives reason for the alert {code & 0xFF}")
