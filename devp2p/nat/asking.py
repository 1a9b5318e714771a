"""One question over UDP, asked again until somebody answers: of a router, or of a STUN server.

The socket is connected, so that the kernel drops whatever comes from another address or port than was asked. What is no answer to the
question is passed over, and does not make us wait any longer.
"""

import socket
from collections.abc import Callable, Iterable
from typing import Final, Self, TypeVar

import trio

from devp2p.errors import DecodingError
from devp2p.nat.leases import NatError

T = TypeVar("T")

QUICK: Final = (0.25, 0.5, 1.0)
"""Seconds to wait for an answer, after each time that is asked (RFC 6886, section 3.1, which goes on to 64 s)."""
_MOST_BYTES: Final = 2048
_MOST_DATAGRAMS: Final = 64
"""What is looked at after one question; whoever sends more wants to keep us busy."""


class Questions:
    """A socket to one server; as a context manager it is closed at the end."""

    def __init__(self, sock: trio.socket.SocketType, name: str) -> None:
        self._socket = sock
        self._name = name
        self._lock = trio.Lock()

    @classmethod
    async def open(cls, host: str, port: int, name: str) -> "Questions":
        """Connect to an IP address and a UDP port; `name` is what errors call the server. NatError if there is no way to it."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = trio.socket.socket(family, socket.SOCK_DGRAM)
        try:
            address = (await trio.socket.getaddrinfo(host, port, family, socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST))[0][4]
            await sock.connect(address)
        except OSError as error:
            sock.close()
            raise NatError(f"{name}: {error.strerror or error}") from None
        except BaseException:
            sock.close()
            raise
        return cls(sock, name)

    @property
    def local(self) -> str:
        """The address of ours that the server sees, if there is no NAT between us; without a zone."""
        return str(self._socket.getsockname()[0]).partition("%")[0]

    async def ask(self, question: bytes, judge: Callable[[bytes], T | None], waits: Iterable[float] = QUICK) -> T:
        """Ask until `judge` makes something of an answer: it returns None, or raises DecodingError, for what is none.

        NatError if nobody answers, or nobody can. Other exceptions of `judge` are handed on.
        """
        async with self._lock:  # or one of two would take the other's answer
            for wait in waits:
                try:
                    await self._socket.send(question)
                    with trio.move_on_after(wait):
                        return await self._answer(judge)
                except ConnectionRefusedError:
                    raise NatError(f"{self._name}: nothing listens at its port") from None
                except OSError as error:
                    raise NatError(f"{self._name}: {error.strerror or error}") from None
        raise NatError(f"{self._name}: no answer")

    async def _answer(self, judge: Callable[[bytes], T | None]) -> T:
        for _ in range(_MOST_DATAGRAMS):
            data = await self._socket.recv(_MOST_BYTES)
            try:
                answer = judge(data)
            except DecodingError:
                continue
            if answer is not None:
                return answer
        await trio.sleep_forever()
        raise AssertionError

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
