"""Byte streams of kernels beside TCP: what MPTCP and the kernel's SCTP have in common.

A kernel may have such a protocol or not, and says so when the first socket is made; then the error names what is missing.
"""

import errno
import socket
from functools import partial
from typing import ClassVar, Final, cast

import trio

from devp2p.addresses import Address
from devp2p.keys import PublicKey
from devp2p.transports.connecting import Connection, connection_of
from devp2p.transports.links import DIRECT, ByteLink
from devp2p.transports.sockets import BACKLOG, Name, SocketListener, bound_addresses, everywhere, family_of
from devp2p.transports.tcp import link_of

_EACH: Final = 5.0  # seconds for each address of a name but the last
_MISSING: Final = frozenset({errno.EPROTONOSUPPORT, errno.ENOPROTOOPT, errno.ESOCKTNOSUPPORT, errno.EPROTOTYPE, errno.EINVAL})


class KernelTransport:
    """Dials and accepts sockets of one protocol of the kernel, each of which is one byte stream that proves nobody."""

    schemes: frozenset[str]
    protocol: ClassVar[int]
    """Its number among those of IP."""
    missing: ClassVar[str]
    """What to say where the kernel lacks it."""

    async def connect(self, address: Address) -> Connection:
        """Connect, trying the IP addresses of a DNS name in their order. Raises OSError if nobody answers, or the kernel cannot."""
        found = await trio.socket.getaddrinfo(address.host, address.port or 0, type=socket.SOCK_STREAM)
        failure: OSError = OSError(errno.EADDRNOTAVAIL, "the name has no address")
        for left, (family, _, _, _, where) in zip(range(len(found) - 1, -1, -1), found, strict=True):
            sock = trio.socket.from_stdlib_socket(self._socket(family))
            try:
                with trio.move_on_after(_EACH if left else float("inf")):
                    await sock.connect(where)
                    stream = trio.SocketStream(sock)
                    return connection_of(stream, address.scheme, self.path_of(sock))
                failure = OSError(errno.ETIMEDOUT, "no answer")
            except OSError as error:
                failure = error
            except BaseException:
                sock.close()
                raise
            sock.close()
        raise failure

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:  # noqa: ARG002  (it proves nobody)
        """See `Transport.dial`."""
        return link_of(await self.connect(address), initiator=True)

    async def bind(self, address: Address) -> SocketListener:
        """Listen at an address, at every one that a DNS name has. Raises OSError if it cannot be bound, or the kernel cannot."""
        if address.host == "*":
            sockets = [everywhere(address.port or 0, partial(self._listen, dual_stack=True))]
        else:
            found = await trio.socket.getaddrinfo(address.host, address.port or 0, type=socket.SOCK_STREAM)
            sockets = list[socket.socket]()
            try:
                for *_, where in found:
                    sockets.append(self._listen(cast("Name", where)))
            except BaseException:
                for sock in sockets:
                    sock.close()
                raise
        scheme = address.scheme

        def accepted(stream: trio.SocketStream) -> ByteLink:
            return link_of(connection_of(stream, scheme, self.path_of(stream.socket)), initiator=False)

        return SocketListener(sockets, bound_addresses(sockets, address), accepted)

    def path_of(self, sock: trio.socket.SocketType) -> str:  # noqa: ARG002  (for protocols that have something to say)
        """What `LinkFacts.path` says of a connected socket."""
        return DIRECT

    def _socket(self, family: int) -> socket.socket:
        try:
            sock = socket.socket(family, socket.SOCK_STREAM, self.protocol)
        except OSError as error:
            if error.errno in _MISSING:
                raise OSError(error.errno, self.missing) from None
            raise
        sock.setblocking(False)  # noqa: FBT003  (positional only)
        return sock

    def _listen(self, name: Name, *, dual_stack: bool = False) -> socket.socket:
        sock = self._socket(family_of(name))
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual_stack)
            sock.bind(name)
            sock.listen(BACKLOG)
        except BaseException:
            sock.close()
            raise
        return sock
