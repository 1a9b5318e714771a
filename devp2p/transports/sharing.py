"""One UDP port for a transport and somebody else, who takes the datagrams that are not the transport's.

Theory of operation. No byte says of which protocol a datagram is: those of discovery look like noise. So it is asked for proof, in an order
in which nobody is fooled: what bears the id of a connection is that connection's. All else the guest gets; what it cannot make out (a
hash, or a header that does not unmask) it gives back, and then a transport may find the first packet of a new connection in it.
"""

import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, runtime_checkable

import trio

from devp2p.addresses import Address
from devp2p.transports.sockets import Name

_WAITING: Final = 256  # datagrams until the guest has its turn; what comes beyond them is lost, as in a socket


class SharedSocket:
    """The guest's part of a socket. It has as much of `socket.socket` as a receiver of datagrams uses."""

    def __init__(
        self,
        sock: socket.socket,
        send: Callable[[bytes, Name], bool],
        give_back: Callable[[bytes, Name], None],
        on_close: Callable[[], None],
    ) -> None:
        """`send` says whether the system took a datagram; `give_back` gets what is not for the guest."""
        self.family: int = sock.family
        self.give_back: Callable[[bytes, Name], None] = give_back
        self.lost: int = 0
        """Datagrams that came when too many waited already."""
        self._socket = sock
        self._send = send
        self._on_close = on_close
        self._waiting: deque[tuple[bytes, Name]] = deque()
        self._readable = trio.lowlevel.ParkingLot()
        self._closed = False

    def take(self, data: bytes, name: Name) -> None:
        """A datagram for the guest has come."""
        if len(self._waiting) >= _WAITING:
            self.lost += 1
        else:
            self._waiting.append((data, name))
            self._readable.unpark_all()

    async def wait_readable(self) -> None:
        """Wait until there is a datagram."""
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            await self._readable.park()

    def recvfrom(self, _: int) -> tuple[bytes, Name]:
        """The next datagram, whole; BlockingIOError if there is none."""
        if not self._waiting:
            raise BlockingIOError
        return self._waiting.popleft()

    def sendto(self, data: bytes, name: Any) -> int:  # noqa: ANN401  (as sockets have it)
        """Send a datagram. BlockingIOError if the system does not take it."""
        if not self._send(data, name):
            raise BlockingIOError
        return len(data)

    def getsockname(self) -> Any:  # noqa: ANN401  (as sockets have it)
        """Where it is bound."""
        return self._socket.getsockname()

    def getsockopt(self, level: int, option: int) -> int:
        """What is set of it."""
        return self._socket.getsockopt(level, option)

    def close(self) -> None:
        """Leave the port to its owner."""
        if not self._closed:
            self._closed = True
            self._waiting.clear()
            self._on_close()


@runtime_checkable
class Shares(Protocol):
    """A listener whose UDP port somebody else may use too."""

    addresses: tuple[Address, ...]

    def share(self, address: Address) -> SharedSocket | None:
        """The guest's part of the socket at the host and port of an address; None if it has no such, or has a guest already."""
        ...
