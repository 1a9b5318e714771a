"""A UDP socket: datagrams out and in, and what the system hears of those that got nowhere."""

import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Final

import trio

from devp2p.addresses import Address
from devp2p.transports.quic.names import local_towards, name_for
from devp2p.transports.sockets import Name, address_in
from devp2p.transports.udp import enlarge

BATCH: Final = 64
"""Datagrams that are taken at once, before anything is answered."""
_LARGEST: Final = 65535
_RECVERR: Final = ((socket.IPPROTO_IP, 11), (socket.IPPROTO_IPV6, 25))  # Linux: IP_RECVERR and IPV6_RECVERR
_ERROR_QUEUE: Final = 0x2000  # MSG_ERRQUEUE
_UNREACHABLE: Final = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.EINVAL})


class Port:
    """See above. It owns the socket."""

    def __init__(self, sock: socket.socket, on_unreachable: Callable[[Name, OSError], None]) -> None:
        """`on_unreachable` hears of a place that a datagram of ours did not get to, and why."""
        self.name: Name = sock.getsockname()
        """Where it is bound."""
        self.sent: int = 0
        self.not_sent: int = 0
        """Datagrams that the system did not take: they might as well have been lost on their way."""
        self.socket: socket.socket = sock
        self._on_unreachable = on_unreachable
        self._room = memoryview(bytearray(_LARGEST))
        enlarge(sock)
        for level, option in _RECVERR if sys.platform == "linux" else ():
            with contextlib.suppress(OSError):  # one of the two is for the other family
                sock.setsockopt(level, option, 1)

    async def wait_readable(self) -> None:
        """Wait until something has come."""
        await trio.lowlevel.wait_readable(self.socket)

    def receive(self) -> Iterator[tuple[bytes, Name]]:
        """What has come, at most `BATCH` datagrams, without waiting."""
        for _ in range(BATCH):
            try:
                size, name = self.socket.recvfrom_into(self._room)
            except BlockingIOError:
                return
            except OSError:  # an answer to something that was sent earlier
                self._take_errors()
            else:
                yield bytes(self._room[:size]), name

    def send(self, data: bytes, name: Name) -> bool:
        """Send a datagram, or count that it could not be; tells which."""
        for _ in range(2):
            try:
                self.socket.sendto(data, name)
            except (BlockingIOError, OverflowError):
                break
            except OSError as error:
                if not self._take_errors():  # it is of this datagram, not of an earlier one
                    self._unreachable(name, error)
                    break
            else:
                self.sent += 1
                return True
        self.not_sent += 1
        return False

    def reach(self, name: Name) -> Name | None:
        """How the socket names a place; None if it cannot reach it."""
        return name_for(self.socket.family, name)

    def local(self, scheme: str, name: Name) -> Address:
        """Our own address as whoever is at `name` should see it."""
        bound = self.name
        if bound[0] in {"0.0.0.0", "::"}:  # noqa: S104  (compared, not bound)
            bound = local_towards(name, bound[1])
        return address_in(scheme, bound)

    def close(self) -> None:
        """Close the socket."""
        trio.lowlevel.notify_closing(self.socket)
        self.socket.close()

    def _take_errors(self) -> int:
        """Read what the system has heard of datagrams that we sent, and give how much that was; only Linux keeps it."""
        taken = 0
        while sys.platform == "linux" and taken < BATCH:
            try:
                _, ancillary, _, name = self.socket.recvmsg(0, 512, _ERROR_QUEUE)
            except OSError:
                break
            taken += 1
            for level, option, value in ancillary:
                if (level, option) in _RECVERR and len(value) >= 4:
                    number: int = struct.unpack_from("=I", value)[0]
                    self._unreachable(name, OSError(number, os.strerror(number)))
        return taken

    def _unreachable(self, name: Name, error: OSError) -> None:
        if error.errno in _UNREACHABLE:
            self._on_unreachable(name, error)
