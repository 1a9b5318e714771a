"""TLS 1.3 over TCP, in which both sides prove their node keys; ``tls://host:port``.

Both send a certificate that speaks for their node (see `certificates`), so a session runs in it without RLPx's cipher. A node that is
called shows its key to whoever calls; one that calls shows its own only to the node that it expects.

Theory of operation. trio's `SSLStream` knows how one task sends while another receives, and drives anything that looks like an object of
Python's `ssl`; here it drives pyOpenSSL, since `ssl` cannot ask a client for a certificate that no authority has signed. The certificate is
judged while the handshake goes on. Who calls has finished the handshake before the other has judged it: so a refusal comes as an error
when it first receives something.

A direction ends by close_notify, and the other goes on, as TLS 1.3 allows. A connection that ends without it was cut: that is an error.
"""

import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Final, ParamSpec, Self, TypeVar, cast

import trio
from OpenSSL import SSL, crypto
from trio.abc import HalfCloseableStream, Stream

from devp2p.addresses import Address
from devp2p.errors import DecodingError, HandshakeError
from devp2p.keys import PrivateKey, PublicKey
from devp2p.transports.certificates import NodeCertificate, OwnCertificate, key_in
from devp2p.transports.connecting import Connect, Connection, connect_tcp
from devp2p.transports.links import ByteLink, require_peer
from devp2p.transports.over_tcp import OverTcp
from devp2p.transports.tcp import link_of

ALPN: Final = b"devp2p/1"
"""What both sides must agree to speak."""
MAX_HANDSHAKE: Final = 16 * 1024
"""Bytes that the peer may send before its handshake is done; an honest one sends 1 to 3 KiB."""
MAX_IDLE: Final = 128 * 1024
"""Bytes that may come without any data in them, as new keys do, before the peer counts as one that floods."""

_PER_BYTE: Final = 32  # bytes that each byte of data pays for: a frame has 4 at least, and its record 22 more
_RECORD: Final = 16 * 1024
_PIECE: Final = 32 * 1024  # bytes that are handed on at a time: OpenSSL's buffers keep the size that they once had, and there are four
_DRAINED: Final = 64 * 1024
_LAST_WORDS: Final = 0.5  # seconds in which the system must take what we refuse a peer with
_HANDSHAKE_TYPE: Final = 0x16

_P = ParamSpec("_P")
_R = TypeVar("_R")


class TlsTransport(OverTcp):
    """Dials and accepts TLS connections that prove node keys."""

    schemes: frozenset[str] = frozenset({"tls"})
    first_bytes: ClassVar[frozenset[int]] = frozenset({_HANDSHAKE_TYPE})

    def __init__(self, key: PrivateKey, connect: Connect = connect_tcp) -> None:
        """`key` is our node's; `connect`: how connections are made, such as by way of a proxy."""
        super().__init__(connect)
        self._own = OwnCertificate(key)
        self._context: tuple[NodeCertificate, SSL.Context] | None = None

    async def initiate(self, connection: Connection, address: Address, expect: PublicKey | None) -> ByteLink:
        """See `OverTcp.initiate`."""

        def accept(peer: PublicKey) -> None:
            require_peer(peer, expect, address)

        return await self._secure(connection, _Engine(self._current_context, accept, server_side=False))

    async def respond(self, connection: Connection) -> ByteLink:
        """See `OverTcp.respond`."""
        return await self._secure(connection, _Engine(self._current_context, lambda _: None, server_side=True))

    @property
    def _current_context(self) -> SSL.Context:
        certificate = self._own.current
        if self._context is None or self._context[0] is not certificate:
            self._context = certificate, _context_with(certificate)
        return self._context[1]

    async def _secure(self, connection: Connection, engine: "_Engine") -> ByteLink:
        under = _Metered(connection.stream)
        stream = trio.SSLStream(under, cast("ssl.SSLContext", engine), server_side=engine.server_side)
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError as error:
            await _say(engine.last_words, connection.stream)
            raise _fault(engine, error) from None
        under.left = None
        assert engine.peer is not None  # noqa: S101  (the handshake does not end without)
        secured = replace(connection, stream=TlsStream(stream, engine, connection.stream))
        return link_of(secured, initiator=not engine.server_side, peer=engine.peer)


class TlsStream(HalfCloseableStream):
    """One connection, after its handshake."""

    def __init__(self, stream: "trio.SSLStream[_Metered]", engine: "_Engine", under: Stream) -> None:
        self.under: Stream = under
        """What it runs over: who sends asks how full that is."""
        self._stream = stream
        self._engine = engine

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream.send_all`."""
        if self._engine.ends:
            raise trio.ClosedResourceError("this direction has been ended")
        if len(data) <= _PIECE:
            await self._stream.send_all(data)
            return
        view = memoryview(data)
        for at in range(0, len(view), _PIECE):
            await self._stream.send_all(view[at : at + _PIECE])

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream.wait_send_all_might_not_block`."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Send close_notify; the other direction goes on."""
        if self._engine.ends:
            await trio.lowlevel.checkpoint()
            return
        self._engine.ends = True
        await self._stream.send_all(b"\0")  # trio waits its turn for it; what the engine writes then is close_notify

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See `trio.abc.ReceiveStream.receive_some`; trio.BrokenResourceError also if the connection ended without close_notify."""
        try:
            return await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            raise trio.BrokenResourceError(f"TLS: {_reason(error.__cause__ or error)}") from error.__cause__

    async def aclose(self) -> None:
        """Say close_notify, unless cancelled, and close the connection."""
        await self._stream.aclose()


class _Engine:
    """One side of a TLS connection as trio.SSLStream drives it: an `ssl.SSLContext` that becomes an `ssl.SSLObject`.

    It reads from one buffer, writes to another, and raises errors of `ssl`, as those do.
    """

    def __init__(self, context: SSL.Context, accept: Callable[[PublicKey], None], *, server_side: bool) -> None:
        """`accept` raises HandshakeError for a peer that is not wanted."""
        self.server_side: bool = server_side
        self.peer: PublicKey | None = None
        self.failure: HandshakeError | None = None
        """Why the handshake failed, if it is us who made it fail."""
        self.last_words: bytes = b""
        """What the peer should be told before the connection is closed; trio does not do so."""
        self.ends: bool = False
        """Whether to end our direction instead of writing what is given next."""
        self._accept = accept
        self._judged = b""
        self._later: ssl.SSLError | None = None
        """What went wrong behind what was read last."""
        self._incoming: ssl.MemoryBIO
        self._outgoing: ssl.MemoryBIO
        self._idle = MAX_IDLE
        self._connection = SSL.Connection(context, None)
        self._connection.set_app_data(self)
        if server_side:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **_: object) -> Self:
        """What `ssl.SSLContext` has."""
        self._incoming, self._outgoing = incoming, outgoing
        return self

    def version(self) -> str:
        """Of TLS; there is no other."""
        return "TLSv1.3"

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        self._run(self._connection.do_handshake)
        if len(self._connection.get_peer_cert_chain() or ()) > (not self.server_side):  # a client's first one is not among them
            self._refuse(HandshakeError("more than one certificate, where the peer has to send one"))
        if self._connection.get_alpn_proto_negotiated() != ALPN:
            self._refuse(HandshakeError(f"the peer does not say that it speaks {ALPN.decode()} (ALPN)"))
        if self.peer is None:
            self._refuse(HandshakeError("the peer has shown no certificate"))
        self._connection.set_app_data(None)  # nothing is judged any more, and so no cycle keeps a closed connection in memory
        self._drain()

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end of the peer's direction."""
        if self._later is not None:
            raise self._later
        try:
            first = self._run(self._connection.recv, min(size, _RECORD))
        except ssl.SSLZeroReturnError:
            return b""
        pieces, left = [first], size - len(first)
        while left > 0:  # all that is here, since each piece costs the session a turn
            try:
                pieces.append(self._connection.recv(min(left, _RECORD)))
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError:  # which OpenSSL says again
                break
            except SSL.Error as error:  # which it may not
                self._later = _translated(error)
                break
            left -= len(pieces[-1])
        self._drain()
        self._idle = min(MAX_IDLE, self._idle + _PER_BYTE * (size - left))
        return b"".join(pieces) if len(pieces) > 1 else first

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write everything, since OpenSSL's partial writes would be lost on trio; or end our direction."""
        if self.ends:
            self._run(self._connection.shutdown)
        else:
            self._run(self._connection.sendall, data)
        self._drain()
        return len(data)

    def unwrap(self) -> None:
        """Say close_notify, if it was not said, without waiting for the peer's."""
        self._run(self._connection.shutdown)
        self._drain()

    def judge(self, certificate: crypto.X509, depth: int) -> bool:
        """Whether a certificate will do; OpenSSL asks, several times for one that no authority has signed."""
        der = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        if self.peer is not None and der == self._judged:
            return True
        try:
            if depth or self._judged:
                raise HandshakeError("more than one certificate, where the peer has to send one")
            self._judged = der
            if not self.server_side and self._connection.get_alpn_proto_negotiated() != ALPN:
                raise HandshakeError(f"the peer does not say that it speaks {ALPN.decode()} (ALPN)")
            peer = key_in(der)
            self._accept(peer)
        except HandshakeError as error:
            self.failure = error
        except DecodingError as error:
            self.failure = HandshakeError(str(error))
        else:
            self.peer = peer
        return self.failure is None

    def select(self, offered: list[bytes]) -> bytes:
        """Choose among the protocols that a client offers; by an error OpenSSL refuses it as TLS wants."""
        if ALPN in offered:
            return ALPN
        self.failure = HandshakeError(f"the peer speaks {offered[:4]} (ALPN), not {ALPN.decode()}")
        raise self.failure

    def _refuse(self, error: HandshakeError) -> None:
        self.failure = error
        raise ssl.SSLError(str(error))

    def _run(self, do: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Give OpenSSL what has come, and let it do something; what it has to say then is left to `_drain`, unless it waits or fails."""
        if data := self._incoming.read():
            self._idle -= len(data)
            self._connection.bio_write(data)
        try:
            return do(*args, **kwargs)
        except SSL.WantReadError:
            self._drain()
            if self._idle < 0:
                raise ssl.SSLError(f"more than {MAX_IDLE} bytes with no data in them") from None
            if self._incoming.eof:
                raise ssl.SSLEOFError("the connection ended without a farewell of TLS") from None
            raise ssl.SSLWantReadError from None
        except SSL.Error as error:
            self.last_words = self._read_out()
            raise _translated(error) from None
        except HandshakeError as error:  # of `select`
            self.last_words = self._read_out()
            raise ssl.SSLError(str(error)) from None

    def _drain(self) -> None:
        if data := self._read_out():
            self._outgoing.write(data)

    def _read_out(self) -> bytes:
        pieces = list[bytes]()
        while not pieces or len(pieces[-1]) == _DRAINED:
            try:
                pieces.append(self._connection.bio_read(_DRAINED))
            except SSL.WantReadError:
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Metered(Stream):
    """What TLS runs over; of a handshake it takes only so much."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.left: int | None = MAX_HANDSHAKE
        """Bytes that may still come; None: as many as like."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:  # noqa: ARG002  (trio leaves it to us)
        if self.left is None:
            return await self._stream.receive_some(_PIECE)
        if not self.left:
            raise HandshakeError(f"a TLS handshake of more than {MAX_HANDSHAKE} bytes")
        data = await self._stream.receive_some(self.left)  # what comes behind the handshake counts too, but is no fault
        self.left -= len(data)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _context_with(certificate: NodeCertificate) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # a session that is resumed would show no certificate
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.use_certificate(certificate.certificate)
    context.use_privatekey(certificate.key)
    context.set_alpn_protos([ALPN])
    context.set_alpn_select_callback(lambda connection, offered: _engine(connection).select(offered))
    context.set_verify(
        SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
        lambda connection, found, _error, depth, _ok: _engine(connection).judge(found, depth),
    )
    return context


def _engine(connection: SSL.Connection) -> _Engine:
    return cast("_Engine", connection.get_app_data())


async def _say(words: bytes, stream: Stream) -> None:
    """Try to tell the peer why it is refused."""
    if words:
        with trio.move_on_after(_LAST_WORDS):
            try:
                await stream.send_all(words)
            except trio.BrokenResourceError:
                return


def _fault(engine: _Engine, error: trio.BrokenResourceError) -> Exception:
    """What to raise for a handshake that failed."""
    if engine.failure is not None:
        return engine.failure
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return HandshakeError(f"the TLS handshake failed: {_reason(cause)}")
    return trio.BrokenResourceError(f"the peer hung up during the TLS handshake: {_reason(cause or error)}")


def _reason(error: BaseException) -> str:
    return str(error.args[-1]) if error.args else "the connection broke"


def _translated(error: SSL.Error) -> ssl.SSLError:
    """The same as an error of `ssl`."""
    if isinstance(error, SSL.ZeroReturnError):
        return ssl.SSLZeroReturnError("the peer has ended its direction")
    if isinstance(error, SSL.SysCallError):
        return ssl.SSLEOFError(str(error))
    found = cast("list[tuple[str, str, str]]", error.args[0] if error.args else [])  # library, function and reason of each
    return ssl.SSLError("; ".join(reason for _, _, reason in found) or "a failure that OpenSSL has no words for")
