"""UDP sockets that are bound to all of 127.0.0.0/8 at one port, so that one process answers for as many nodes as it likes.

IP_PKTINFO says of each datagram at which address it came, and lets the answer leave from there. Where the system gives them, the kernel's
own times are used: when a datagram came does not depend on how busy we are then.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Iterable
from typing import Final, NamedTuple, Self

from devp2p.addresses import Endpoint

_BATCH: Final = 128
_MOST_BYTES: Final = 2048
_RECEIVE_BUFFER: Final = 1 << 24
_IP_PKTINFO: Final = getattr(socket, "IP_PKTINFO", 8)
_SO_TIMESTAMPNS: Final = 35
_SO_RXQ_OVFL: Final = 40
_SO_RCVBUFFORCE: Final = 33
_PACKET_INFO: Final = struct.Struct("@I4s4s")
_TIMESPEC: Final = struct.Struct("@qq")
_DROPS: Final = struct.Struct("@I")
_ROOM: Final = socket.CMSG_SPACE(_PACKET_INFO.size) + socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(_DROPS.size)
_TRIES: Final = 50


class Datagram(NamedTuple):
    """What came."""

    data: bytes
    source: Endpoint
    to: Endpoint
    at: float
    """Seconds, on the clock of `time.monotonic`."""


class Door:
    """A port: a UDP socket and a TCP listener, both at every loopback address. A context manager, which closes them."""

    def __init__(self, port: int = 0) -> None:
        """OSError if the port is taken; 0 takes one that is free for both."""
        self.udp, self.tcp = _pair(port)
        self.port: int = self.udp.getsockname()[1]
        self.lost: int = 0
        """Datagrams that the system let go, since we did not take them in time."""
        self.unsendable: int = 0
        self._since_epoch = time.time() - time.monotonic()  # how far the kernel's clock is ahead of ours
        self._set_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.udp.close()
        self.tcp.close()

    def receive(self) -> Iterable[Datagram]:
        """What has come, without waiting, one batch at most."""
        udp, port, since_epoch = self.udp, self.port, self._since_epoch
        for _ in range(_BATCH):
            try:
                data, ancillary, _flags, source = udp.recvmsg(_MOST_BYTES, _ROOM)
            except BlockingIOError:
                return
            except OSError:  # the system tells that something that we sent was not wanted
                continue
            ip, at = b"", 0.0
            for level, kind, value in ancillary:
                if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                    ip = value[8:12]
                elif level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                    seconds, nanoseconds = _TIMESPEC.unpack(value)
                    at = seconds + nanoseconds * 1e-9 - since_epoch
                elif level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                    (self.lost,) = _DROPS.unpack(value)
            if ip and ip[0] == 127:
                yield Datagram(data, Endpoint(socket.inet_aton(source[0]), source[1]), Endpoint(ip, port), at or time.monotonic())

    def send(self, data: bytes, origin: bytes, to: Endpoint) -> None:
        """Send a datagram from one of our addresses."""
        info = _PACKET_INFO.pack(0, origin, bytes(4))
        try:
            self.udp.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, (socket.inet_ntoa(to.ip), to.port))
        except OSError:
            self.unsendable += 1

    def _set_up(self) -> None:
        udp = self.udp
        udp.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        for option in (_SO_TIMESTAMPNS, _SO_RXQ_OVFL):
            with contextlib.suppress(OSError):
                udp.setsockopt(socket.SOL_SOCKET, option, 1)
        for option in (socket.SO_RCVBUF, _SO_RCVBUFFORCE):  # the second is for the administrator only
            with contextlib.suppress(OSError):
                udp.setsockopt(socket.SOL_SOCKET, option, _RECEIVE_BUFFER)


def _pair(port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP socket and a TCP listener at one port of the loopback interface."""
    for tries_left in reversed(range(_TRIES)):
        udp, tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            for sock in (udp, tcp):
                sock.setblocking(False)  # noqa: FBT003  (positional only)
                with contextlib.suppress(OSError):  # what is not for the loopback interface is passed over in any case
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            udp.bind(("0.0.0.0", port))  # noqa: S104  (of the loopback interface)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind(("0.0.0.0", udp.getsockname()[1]))  # noqa: S104
            tcp.listen(1024)
        except OSError:
            udp.close()
            tcp.close()
            if port or not tries_left:
                raise
        else:
            return udp, tcp
    raise AssertionError
