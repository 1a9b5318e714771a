"""WebSocket (RFC 6455): ``ws://host:port``, and ``wss://host:port`` with TLS around it. For networks that let nothing but HTTP pass.

Nothing here proves the peer, since a reverse proxy may be where the TLS of ``wss`` ends: RLPx or dpx/1 runs inside, as over TCP. TLS proves
the *server* to whoever dials, as to a browser: by a certificate for its name from an authority that the system trusts.

What is decided here:

- The subprotocol is ``devp2p.1``: callers must offer it, and get it. (A name with a slash, such as ``devp2p/1``, is no token of HTTP:
  browsers and others refuse to offer it.)
- We ask for the path ``/``, and answer on any: a reverse proxy may have put us at another. It means nothing.
- A request with an Origin comes from a page in somebody's browser, and is refused unless its origin is one of `origins`: or else any page
  that its user looks at could call a node in the user's own network, and take up its places there.
- What proxies say of where a request comes from (X-Forwarded-For and the like) is not believed, since whoever calls can write it. All who
  come through a proxy count for its address; see `Limits.limit_local_addresses` for one on this machine.
- Extensions are never agreed on: what is sealed does not compress, and what decompresses can be a bomb.
- Nothing may be sent behind a request until it is answered; what is there all the same is smuggled, and refused.
"""

import base64
import binascii
import ssl
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from functools import cached_property
from os import PathLike
from typing import ClassVar, Final, TypeAlias

import trio
from trio.abc import Stream
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Event, RejectConnection, Request
from wsproto.utilities import ProtocolError

from devp2p.addresses import Address
from devp2p.errors import HandshakeError
from devp2p.keys import PublicKey
from devp2p.transports.connecting import Connect, Connection, connect_tcp
from devp2p.transports.links import ByteLink, Link
from devp2p.transports.over_tcp import OverTcp
from devp2p.transports.ws_stream import WsStream

SUBPROTOCOL: Final = "devp2p.1"
MOST_HEAD: Final = 8 * 1024
"""Bytes of the request, and of the answer to it, with all headers; as much as many servers take."""
HEAD_TIMEOUT: Final = 10.0
"""Seconds for the whole opening handshake; a node gives strangers less, by `Limits.handshake_timeout`."""

_HEAD_END = b"\r\n\r\n"
_ANSWER_TIMEOUT = 1.0  # seconds that telling somebody why may take
_STATUS = {400: "Bad Request", 403: "Forbidden", 426: "Upgrade Required", 431: "Request Header Fields Too Large"}

File: TypeAlias = str | PathLike[str]


class WsTransport(OverTcp):
    """Dials and accepts WebSocket connections, with TLS for ``wss``."""

    schemes: frozenset[str] = frozenset({"ws", "wss"})
    first_bytes: ClassVar[frozenset[int]] = frozenset(b"G")
    computes: ClassVar[bool] = False

    def __init__(
        self,
        connect: Connect = connect_tcp,
        *,
        certificate: File | None = None,
        private_key: File | None = None,
        authorities: File | None = None,
        origins: Iterable[str] = (),
    ) -> None:
        """By default it listens for ``ws`` only, for callers that are no pages, and dials ``wss`` where the system trusts the certificate.

        `certificate` (with those between it and its authority behind it) and its `private_key` are PEM files to listen for ``wss`` with,
        `authorities` one with certificates that are trusted beside the system's. `origins` are those of pages that may connect, as browsers
        write them (``https://example.org``), or ``*`` for all. `connect`: see `OverTcp`.

        ValueError for a certificate without its key or a key alone, and for files that are no such thing; OSError for files not to be read.
        """
        super().__init__(connect)
        if (certificate is None) is not (private_key is None):
            raise ValueError("certificate and private_key go together: give both files, or none to listen for ws only")
        self._origins = frozenset(origins)
        self._authorities = authorities
        self._serving = None if certificate is None or private_key is None else _serving(certificate, private_key)
        if authorities is not None:
            self._dialling  # noqa: B018  (it is made by that, so that files which do not do are found now)

    def begins(self, scheme: str) -> frozenset[int]:
        """See `OverTcp.begins`."""
        if scheme != "wss":
            return self.first_bytes
        if self._serving is None:
            raise ValueError(
                "to listen for wss takes a certificate and its private key: WsTransport(certificate=FILE, private_key=FILE);"
                " or listen for ws behind a proxy that has them"
            )
        return frozenset({0x16})

    def costs(self, scheme: str) -> bool:
        """See `OverTcp.costs`: TLS computes."""
        return scheme == "wss"

    async def initiate(self, connection: Connection, address: Address, expect: PublicKey | None) -> Link:  # noqa: ARG002  (it proves nobody)
        """See `OverTcp.initiate`."""
        with _within("no whole answer to the request for a WebSocket came"):
            stream = connection.stream if address.scheme == "ws" else await self._dialled(connection.stream, address.host)
            return _link(connection, await _ask(stream, address), initiator=True)

    async def respond(self, connection: Connection) -> Link:
        """See `OverTcp.respond`."""
        with _within("no whole request for a WebSocket came"):
            stream = connection.stream if connection.local.scheme == "ws" else await self._accepted(connection.stream)
            return _link(connection, await _answer(stream, self._origins), initiator=False)

    @cached_property
    def _dialling(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._authorities is not None:
            try:
                context.load_verify_locations(self._authorities)
            except ssl.SSLError as error:
                raise ValueError(f"{self._authorities} has no certificates of authorities in PEM: {error.reason or error}") from None
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def _dialled(self, stream: Stream, host: str) -> Stream:
        tls = trio.SSLStream(stream, self._dialling, server_hostname=host.partition("%")[0], https_compatible=True)
        try:
            await tls.do_handshake()
        except trio.BrokenResourceError as error:
            cause = error.__cause__
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise HandshakeError(f"the certificate of {host} is not to be trusted: {cause.verify_message}") from None
            if isinstance(cause, ssl.SSLError):
                raise HandshakeError(f"no TLS with {host}: {cause.reason or cause}") from None
            raise
        return tls

    async def _accepted(self, stream: Stream) -> Stream:
        assert self._serving is not None  # noqa: S101  (`begins` would have raised)
        tls = trio.SSLStream(stream, self._serving, server_side=True, https_compatible=True)
        try:
            await tls.do_handshake()
        except trio.BrokenResourceError as error:
            if isinstance(error.__cause__, ssl.SSLError):
                raise HandshakeError(f"no TLS: {error.__cause__.reason or error.__cause__}") from None
            raise
        return tls


def _serving(certificate: File, private_key: File) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])

    def passphrase() -> str:  # OpenSSL would ask at the terminal
        raise ValueError(f"{private_key} wants a passphrase, which nobody is there to give: write it without one (openssl pkey)")

    for path in (certificate, private_key):
        with open(path, "rb"):  # noqa: PTH123  (so that an error says which of the two cannot be read)
            pass
    try:
        context.load_cert_chain(certificate, private_key, passphrase)
    except ssl.SSLError as error:
        raise ValueError(
            f"{certificate} and {private_key} are no certificate and its private key in PEM: {error.reason or error}"
        ) from None
    return context


def _link(connection: Connection, stream: WsStream, *, initiator: bool) -> ByteLink:
    return ByteLink(stream, local=connection.local, remote=connection.remote, initiator=initiator, path=connection.path)


@contextmanager
def _within(otherwise: str) -> Generator[None]:
    """Let the opening handshake take so long and no longer."""
    try:
        with trio.fail_after(HEAD_TIMEOUT):
            yield
    except trio.TooSlowError:
        raise HandshakeError(f"{otherwise} within {HEAD_TIMEOUT:g} s") from None


async def _ask(stream: Stream, address: Address) -> WsStream:
    """Do the opening handshake as the client."""
    client = WSConnection(ConnectionType.CLIENT)
    host = Address(address.scheme, address.host.partition("%")[0], address.port).where  # the interface is our own business
    await stream.send_all(client.send(Request(host=host, target="/", subprotocols=[SUBPROTOCOL])))
    head, rest = await _receive_head(stream, b"HTTP/")
    match _event_of(client, head):
        case AcceptConnection(subprotocol=str()):
            return WsStream(stream, is_client=True, data=rest)
        case AcceptConnection():
            raise HandshakeError(f"a WebSocket that is none of a node: it does not speak {SUBPROTOCOL}")
        case RejectConnection(status_code=status):
            raise HandshakeError(f"no WebSocket: the answer has the status {status}")
        case event:
            raise HandshakeError(f"no answer to the request for a WebSocket, but {type(event).__name__}")


async def _answer(stream: Stream, origins: frozenset[str]) -> WsStream:
    """Do the opening handshake as the server."""
    server = WSConnection(ConnectionType.SERVER)
    try:
        head, rest = await _receive_head(stream, b"GET ")
        request = _event_of(server, head)
        if not isinstance(request, Request):
            raise _RefusedError("no request for a WebSocket")
        _judge(request, origins)
        if rest:
            raise _RefusedError(f"{len(rest)} bytes behind a request that has not been answered")
    except _RefusedError as refusal:
        body = f"{refusal}\n".encode("ascii", "backslashreplace")
        more = "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n" if refusal.status == 426 else ""
        text = f"HTTP/1.1 {refusal.status} {_STATUS[refusal.status]}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        with trio.move_on_after(_ANSWER_TIMEOUT), suppress(trio.BrokenResourceError):
            await stream.send_all(text.encode() + body)
        raise
    await stream.send_all(server.send(AcceptConnection(subprotocol=SUBPROTOCOL)))
    return WsStream(stream, is_client=False)


class _RefusedError(HandshakeError):
    """What a caller is told, with a status of HTTP."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def _judge(request: Request, origins: frozenset[str]) -> None:
    """Raise _RefusedError for a request that we do not answer by a WebSocket."""
    headers = request.extra_headers
    try:
        key = base64.b64decode(b"".join(value for name, value in headers if name == b"sec-websocket-key"), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 16:
        raise _RefusedError("Sec-WebSocket-Key is not 16 bytes in Base64")
    theirs = {value.decode("ascii", "backslashreplace") for name, value in headers if name == b"origin"}
    if "*" not in origins and theirs - origins:
        raise _RefusedError("pages of this origin may not connect", 403)
    if SUBPROTOCOL not in request.subprotocols:
        raise _RefusedError(f"Sec-WebSocket-Protocol does not offer {SUBPROTOCOL}")


async def _receive_head(stream: Stream, begins: bytes) -> tuple[bytes, bytes]:
    """Receive a request or an answer up to its empty line, and what came behind it."""
    data, looked_at = bytearray(), 0
    while True:
        end = data.find(_HEAD_END, max(0, looked_at - 3))
        looked_at = len(data)
        if not begins.startswith(data[: len(begins)]):
            raise _RefusedError("this is not HTTP/1.1, or not the beginning of a WebSocket")
        if end >= 0:
            break
        if looked_at >= MOST_HEAD:
            raise _RefusedError(f"more than {MOST_HEAD} bytes of headers", 431)
        more = await stream.receive_some(MOST_HEAD - looked_at)
        if not more:
            raise trio.BrokenResourceError("the peer hung up in its HTTP headers")
        data += more
    end += len(_HEAD_END)
    return bytes(data[:end]), bytes(data[end:])


def _event_of(connection: WSConnection, head: bytes) -> Event | None:
    """What a whole head comes to; _RefusedError for one that breaks the rules of HTTP or WebSocket."""
    try:
        connection.receive_data(head)
        return next(connection.events(), None)
    except ProtocolError as error:
        hint = getattr(error, "event_hint", None)
        is_outdated = isinstance(hint, RejectConnection) and hint.status_code == 426
        raise _RefusedError(f"no WebSocket: {error}", 426 if is_outdated else 400) from None
    except ValueError:  # wsproto decodes some headers as ASCII or a host name, whatever is in them
        raise _RefusedError("headers that are not ASCII") from None
