"""TCP connections by way of a proxy: SOCKS5 (RFC 1928 and 1929), Tor's among them, and the CONNECT of HTTP (RFC 9110, section 9.3.6).

A `Proxy` is a `Connect`: ``TcpTransport(Proxy.parse("socks5://127.0.0.1:9050"))`` dials by it, as does each transport over TCP. Names are
sent as they are, for the proxy to resolve: nothing here asks DNS for the name of a node. What is no TCP cannot go by it, and
`Carriers` with a proxy refuses it.

Theory of operation. What the proxy says is read up to the end of its answer and no further, so what the node behind it says at once stays
in the connection for whoever reads there next. Of SOCKS5 each length is known before it is read; of HTTP the bytes are looked at where they
lie (MSG_PEEK), and taken up to the empty line. An answer has `MOST_HEAD` bytes and `TIMEOUT` seconds at most, all of it together.

Who runs the proxy sees which nodes are dialled, when and how much; the session is encrypted, and the node proved, from end to end.
"""

import base64
import re
import socket
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Final
from urllib.parse import unquote

import trio

from devp2p.addresses import Address, is_scheme
from devp2p.arguments import require
from devp2p.transports.connecting import Connection, connect_tcp

TIMEOUT: Final = 30.0
"""Seconds for all that a proxy does until the node is reached; a node gives a dial less, by `Limits.dial_timeout`."""
MOST_HEAD: Final = 8 * 1024
"""Bytes of what an HTTP proxy answers, with all headers."""

_WANTED = "a proxy is written socks5://[USER:PASSWORD@]HOST:PORT or http://[USER:PASSWORD@]HOST:PORT"
_SCHEMES = {"socks5": "socks5", "socks5h": "socks5", "http": "http"}  # the h says that the proxy resolves names, which it always does here
_PACKAGES = {"socks5": "socksio", "http": "h11"}
_MOST_NAME = 255  # bytes of a name, a user or a password, whose length SOCKS5 says in one byte
_TOLD = 80  # characters of a reason that a proxy gives
_HEAD_END = re.compile(rb"\n\r?\n")  # as h11 has it
_ADDRESS_SIZES = {1: 4, 4: 16}  # by the type of an address in a SOCKS5 reply; a name, of type 3, says its own
_NAME = 3
_VERSION = 5
_NO_METHOD = 0xFF
_UNAUTHORIZED = {407, 401}  # tinyproxy says 401 of a wrong password
_REFUSALS = {
    1: "it failed",
    2: "its rules do not allow it",
    3: "the network cannot be reached",
    4: "the host cannot be reached, or there is no such name",
    5: "the node refuses connections",
    6: "it took too long",
    7: "it does not make connections",
    8: "it does not know addresses of this kind",
    0xF0: "there is no such onion service",  # these are Tor's (proposal 304)
    0xF1: "the onion service's descriptor is invalid",
    0xF2: "the onion service cannot be introduced to us",
    0xF3: "the onion service cannot be met",
    0xF4: "the onion service lets nobody in without a key",
    0xF5: "the onion service does not take our key",
    0xF6: "this is no address of an onion service",
    0xF7: "the onion service could not be introduced to us in time",
}


@dataclass(frozen=True, slots=True, repr=False)
class Proxy:
    """Makes connections by way of a proxy; `parse` reads how one writes it. As text it says where the proxy is, and no user or password."""

    scheme: str
    """``socks5`` or ``http``."""
    host: str
    port: int
    user: str = ""
    password: str = ""

    def __post_init__(self) -> None:
        """ValueError for what is no proxy, or what it takes is not installed; it never quotes the password."""
        if self.scheme not in _PACKAGES:
            raise ValueError(f"{_WANTED}; {self.scheme[:16]!r} is no kind of proxy that is spoken here")
        if self._address.is_wildcard or not self.port:
            raise ValueError(f"{_WANTED}: {self} names no host and port to connect to")
        if self.password and not self.user:
            raise ValueError(f"{_WANTED}: there is a password and no user for {self}")
        if self.user:
            self._check_secrets()
        if find_spec(_PACKAGES[self.scheme]) is None:
            raise ValueError(f"the proxy {self} needs packages that are not installed: pip install 'trio-devp2p[proxy]'")

    @classmethod
    def parse(cls, text: str) -> "Proxy":
        """Read ``socks5://127.0.0.1:9050`` or ``http://USER:PASSWORD@[::1]:3128``; special characters of the two are written ``%40``.

        ``socks5h`` is the same as ``socks5``. ValueError for anything else, without quoting what may be a password.
        """
        require(text, str, _WANTED)
        scheme, separator, rest = text.partition("://")
        if not separator or not is_scheme(scheme):
            raise ValueError(_WANTED)
        if scheme.lower() not in _SCHEMES:
            raise ValueError(f"{_WANTED}; {scheme[:16]!r} is no kind of proxy that is spoken here")
        secrets, _, where = rest.rpartition("@")
        user, _, password = secrets.partition(":")
        try:
            address = Address.parse(f"{_SCHEMES[scheme.lower()]}://{where.removesuffix('/')}")
        except ValueError:
            raise ValueError(f"{_WANTED}: what stands behind {scheme}:// has no HOST:PORT at its end") from None
        return cls(address.scheme, address.host, address.port or 0, unquote(user), unquote(password))

    @property
    def _address(self) -> Address:
        return Address(self.scheme, self.host, self.port)

    @property
    def path(self) -> str:
        """What `LinkFacts.path` says of links by it."""
        return f"proxy {self}"

    def __str__(self) -> str:
        return str(self._address)

    def __repr__(self) -> str:
        return f"<Proxy {self}>"

    async def __call__(self, address: Address) -> Connection:
        """Connect to the host and port of an address; see `Connect`. OSError says what the proxy, or the way to it, had to refuse."""
        host = _host_of(address)
        stream: trio.SocketStream | None = None
        try:
            with trio.move_on_after(TIMEOUT) as scope:
                stream = await self._reach()
                await self._ask(stream, host, address.port or 0)
            if stream is None or scope.cancelled_caught:
                raise TimeoutError(f"the proxy {self} has not reached {address.where} within {TIMEOUT:g} s")
        except BaseException:
            if stream is not None:
                await trio.aclose_forcefully(stream)
            raise
        # Which of our addresses the proxy is reached from is not for others to know.
        return Connection(stream, Address(address.scheme, "localhost", 0), address, self.path)

    async def _reach(self) -> trio.SocketStream:
        try:
            connection = await connect_tcp(self._address)
        except OSError as error:
            raise OSError(f"the proxy {self} cannot be reached: {error.strerror or error}") from None
        assert isinstance(connection.stream, trio.SocketStream)  # noqa: S101  (what `connect_tcp` makes)
        return connection.stream

    async def _ask(self, stream: trio.SocketStream, host: str, port: int) -> None:
        ask = self._ask_socks if self.scheme == "socks5" else self._ask_http
        try:
            await ask(stream, host, port)
        except (trio.BrokenResourceError, ConnectionError) as error:
            if isinstance(error, _RefusedError):
                raise
            raise _RefusedError(
                f"the proxy {self} hung up before it had answered, as ssh -D does where the node cannot be reached"
            ) from None

    async def _ask_socks(self, stream: trio.SocketStream, host: str, port: int) -> None:
        from socksio import ProtocolError, socks5  # noqa: PLC0415  (an extra)

        methods = socks5.SOCKS5AuthMethod
        method = methods.USERNAME_PASSWORD if self.user else methods.NO_AUTH_REQUIRED
        receive = partial(_receive_exactly, stream.socket)
        try:
            await stream.send_all(socks5.SOCKS5AuthMethodsRequest([method]).dumps())
            answer = await receive(2)
            if answer[0] == _VERSION and answer[1] == _NO_METHOD:
                raise self._unauthorized()
            if answer != bytes([_VERSION]) + method.value:
                raise self._garbled("SOCKS5")
            if self.user:
                await stream.send_all(socks5.SOCKS5UsernamePasswordRequest(self.user.encode(), self.password.encode()).dumps())
                if not socks5.SOCKS5UsernamePasswordReply.loads(await receive(2)).success:
                    raise self._unauthorized()
            await stream.send_all(socks5.SOCKS5CommandRequest.from_address(socks5.SOCKS5Command.CONNECT, (host, port)).dumps())
            head = await receive(4)
            if head[0] != _VERSION:
                raise self._garbled("SOCKS5")
            if head[1]:
                raise self._refused(_REFUSALS.get(head[1], f"it says {head[1]:#04x}"))
            size = _ADDRESS_SIZES.get(head[3])
            if size is None:
                if head[3] != _NAME:
                    raise self._garbled("SOCKS5")
                head += await receive(1)
                size = head[-1]
            socks5.SOCKS5Reply.loads(head + await receive(size + 2))
        except ProtocolError:
            raise self._garbled("SOCKS5") from None

    async def _ask_http(self, stream: trio.SocketStream, host: str, port: int) -> None:
        import h11  # noqa: PLC0415  (an extra)

        where = Address(self.scheme, host, port).where
        headers = [("Host", where)]
        if self.user:
            secrets = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            headers.append(("Proxy-Authorization", f"Basic {secrets}"))
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD)
        try:
            request = connection.send(h11.Request(method="CONNECT", target=where, headers=headers))
            await stream.send_all((request or b"") + (connection.send(h11.EndOfMessage()) or b""))
            left = MOST_HEAD
            while True:
                head = await _receive_head(stream.socket, left)
                if head is None:
                    raise self._refused(f"its answer has more than {MOST_HEAD} bytes")
                left -= len(head)
                connection.receive_data(head)
                answer = connection.next_event()
                if not isinstance(answer, h11.InformationalResponse):
                    break
        except h11.ProtocolError:
            raise self._garbled("HTTP") from None
        if not isinstance(answer, h11.Response):
            raise self._garbled("HTTP")
        if answer.status_code in _UNAUTHORIZED:
            raise self._unauthorized()
        if not 200 <= answer.status_code < 300:
            raise self._refused(f"{answer.status_code} {_printable(answer.reason)}".rstrip())

    def _unauthorized(self) -> "_RefusedError":
        if self.user:
            return self._refused("it does not take this user and password")
        return self._refused(f"it wants a user and a password: write {self.scheme}://USER:PASSWORD@{self._address.where}")

    def _refused(self, reason: str) -> "_RefusedError":
        return _RefusedError(f"the proxy {self} has refused: {reason}")

    def _garbled(self, protocol: str) -> "_RefusedError":
        return _RefusedError(f"what answers at {self} is no {protocol} proxy")

    def _check_secrets(self) -> None:
        if self.scheme == "http":
            if ":" in self.user or not f"{self.user}{self.password}".isprintable():
                raise ValueError(f"the user of {self} has a colon, or user or password what cannot be printed: HTTP takes neither")
        elif not all(1 <= len(text.encode()) <= _MOST_NAME for text in (self.user, self.password)):
            raise ValueError(f"user and password of {self} have to have 1 to {_MOST_NAME} bytes each")


def proxy_of(proxy: str | Proxy) -> Proxy:
    """Take a proxy by its text, or as it is; errors as `Proxy.parse`."""
    return proxy if isinstance(proxy, Proxy) else Proxy.parse(proxy)


class _RefusedError(ConnectionRefusedError):
    """What a proxy would not do, in words of ours."""


def _host_of(address: Address) -> str:
    """The host as it is sent: an IP address, or a name in ASCII. OSError for what means nothing elsewhere."""
    if "%" in address.host:
        raise OSError(f"{address} has a zone, which means something on this machine only: no proxy can reach it")
    if address.ip:
        return address.host
    try:
        name = address.host.encode("idna")
    except UnicodeError:
        raise OSError(f"the host of {address} is no name that could be asked for") from None
    if not 0 < len(name) <= _MOST_NAME or not name.isascii() or not name.decode().isprintable() or b" " in name:
        raise OSError(f"the host of {address} is no name that could be asked for")
    return name.decode()


async def _receive_exactly(sock: trio.socket.SocketType, size: int) -> bytes:
    """Receive so many bytes, and no more."""
    received = b""
    while len(received) < size:
        more = await sock.recv(size - len(received))
        if not more:
            raise ConnectionResetError("the connection ended")
        received += more
    return received


async def _receive_head(sock: trio.socket.SocketType, most: int) -> bytes | None:
    """Receive what there is up to an empty line, and no more; None if that is longer than it may be."""
    received = b""
    while len(received) < most:
        seen = await sock.recv(most - len(received), socket.MSG_PEEK)
        if not seen:
            raise ConnectionResetError("the connection ended")
        end = _HEAD_END.search(received[-2:] + seen)
        size = len(seen) if end is None else end.end() - len(received[-2:])
        received += await sock.recv(size)
        if end is not None:
            return received
    return None


def _printable(reason: bytes) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in reason[:_TOLD].decode("ascii", "replace"))
