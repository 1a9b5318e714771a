"""A UDP socket for protocols that know nothing of sockets: datagrams in batches, addresses as packed bytes.

``udp://*:30303`` is one dual-stack socket where the system has IPv6, and an IPv4 one elsewhere. Addresses of IPv4 are 4 bytes here, however
the socket writes them.
"""

import contextlib
import errno
import socket
from typing import Final, Self, cast

import trio

from devp2p.addresses import Address, Endpoint, mapped, unmapped
from devp2p.bounded import Recent
from devp2p.transports import SharedSocket, bound_everywhere, bound_socket, names_of, naming

BATCH: Final = 64
"""Datagrams that are taken at once, before anything is sent."""

_MAX_DATAGRAM = 2048  # the protocols' packets have 1280 bytes at most, and what is longer must be seen to be so
_RECEIVE_BUFFER = 1 << 20  # bytes; what comes while we are busy
_ZONES = 1024  # link-local addresses of which is remembered at which interface they are


class DatagramSocket:
    """A bound socket, or a part of one that a transport has; a context manager, which closes it."""

    def __init__(self, sock: socket.socket | SharedSocket) -> None:
        self._shared = sock if isinstance(sock, SharedSocket) else None
        self._socket = cast("socket.socket", sock)  # of a part there is as much as is used here
        self._is_ipv6 = sock.family == socket.AF_INET6
        self._zone = sock.getsockname()[3] if self._is_ipv6 else 0  # where it is bound to a link-local address
        self._zones: Recent[bytes, int] = Recent(_ZONES)  # a link-local address means something at one interface only (RFC 4007)
        self.received: int = 0
        """Datagrams that came."""
        self.sent: int = 0
        self.not_sent: int = 0
        """Datagrams that the system did not take: there is no way to the address, or too many were sent at once."""
        self.send_error: str = ""
        """Why it did not take the last of them."""

    @classmethod
    async def bind(cls, address: Address) -> Self:
        """Bind a socket; OSError that names the address if that is impossible, or there is no such host."""
        with naming(address):
            if address.host == "*":
                await trio.lowlevel.checkpoint()
                sock = bound_everywhere(address.port or 0)
            else:
                sock = bound_socket((await names_of(address))[0])
        with contextlib.suppress(OSError):  # less will do
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        return cls(sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def endpoint(self) -> Endpoint:
        """Where it is bound; the address of a wildcard is all zeros."""
        return _endpoint(self._socket.getsockname())

    @property
    def is_wildcard(self) -> bool:
        """Whether it is bound to every interface."""
        return not any(self.endpoint.ip)

    @property
    def ip_versions(self) -> tuple[int, ...]:
        """The IP versions that it can send to, in the order of preference."""
        if not self._is_ipv6:
            return (4,)
        return (4, 6) if not self._socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) else (6,)

    async def wait_readable(self) -> None:
        """Wait until something has come."""
        if self._shared is not None:
            await self._shared.wait_readable()
        else:
            await trio.lowlevel.wait_readable(self._socket)

    def receive(self) -> list[tuple[bytes, Endpoint]]:
        """What has come, at most `BATCH` datagrams, without waiting."""
        batch: list[tuple[bytes, Endpoint]] = []
        while len(batch) < BATCH:
            try:
                data, name = self._socket.recvfrom(_MAX_DATAGRAM)
            except BlockingIOError:
                break
            except OSError:  # some systems tell so that an earlier datagram was not wanted
                self.not_sent += 1
                break
            sender = _endpoint(name)
            if len(name) == 4 and name[3]:
                self._zones.set(sender.ip, name[3])  # so that answers go out there
            batch.append((data, sender))
        self.received += len(batch)
        return batch

    def give_back(self, data: bytes, sender: Endpoint) -> None:
        """A datagram is of no protocol here: perhaps the transport whose socket it is knows it."""
        if self._shared is not None:
            self._shared.give_back(data, self._name(sender))

    def send(self, data: bytes, to: Endpoint) -> None:
        """Send a datagram, or count that it could not be: it might as well have been lost on its way."""
        try:
            self._socket.sendto(data, self._name(to))
            self.sent += 1
        except (OSError, OverflowError) as error:
            self.not_sent += 1
            self.send_error = (isinstance(error, OSError) and error.strerror) or str(error)

    def _name(self, to: Endpoint) -> tuple[str, int] | tuple[str, int, int, int]:
        if not self._is_ipv6:
            return socket.inet_ntop(socket.AF_INET, to.ip) if len(to.ip) == 4 else _no_way(), to.port
        if len(to.ip) == 4:
            return socket.inet_ntop(socket.AF_INET6, mapped(to.ip)), to.port
        zone = self._zones.get(to.ip)
        if zone is None:
            zone = self._zone if to.ip[0] == 0xFE and to.ip[1] & 0xC0 == 0x80 else 0
        return socket.inet_ntop(socket.AF_INET6, to.ip), to.port, 0, zone


def _no_way() -> str:
    raise OSError(errno.EAFNOSUPPORT, "an IPv6 address, and the socket is one of IPv4")


def _endpoint(name: tuple[str, int] | tuple[str, int, int, int]) -> Endpoint:
    host = name[0].partition("%")[0]
    return Endpoint(unmapped(socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)), name[1])
