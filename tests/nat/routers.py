"""Routers of the tests: servers of NAT-PMP and PCP on loopback, whose answers a test decides."""

import socket
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import trio

Answer = Callable[[bytes], list[bytes]]


@asynccontextmanager
async def serving(answer: Answer, host: str = "127.0.0.1") -> AsyncGenerator[int]:
    """Serve a port of UDP: each question is answered by what `answer` makes of it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with trio.socket.socket(family, socket.SOCK_DGRAM) as sock:
        await sock.bind((host, 0))

        async def serve() -> None:
            while True:
                data, sender = await sock.recvfrom(2048)
                for one in answer(data):
                    await sock.sendto(one, sender)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield sock.getsockname()[1]
            nursery.cancel_scope.cancel()


class Pmp:
    """A server of NAT-PMP that does what RFC 6886 says."""

    def __init__(self, external: bytes = bytes((45, 67, 0, 10))) -> None:
        self.external, self.epoch, self.result, self.lifetime = external, 1000, 0, -1
        self.mapped: dict[tuple[int, int], int] = {}

    def __call__(self, data: bytes) -> list[bytes]:
        if data[0] != 0:
            return [struct.pack("!BBHI", 0, 128 + data[1] % 128, 1, self.epoch)]
        if data[1] == 0:
            return [struct.pack("!BBHI4s", 0, 128, self.result, self.epoch, self.external)]
        _, opcode, _, internal, external, lifetime = struct.unpack("!BBHHHI", data)
        if lifetime == 0:
            self.mapped.pop((opcode, internal), None)
            external = 0
        else:
            external = self.mapped.setdefault((opcode, internal), external + 1)
        granted = lifetime if self.lifetime < 0 or lifetime == 0 else self.lifetime
        return [struct.pack("!BBHIHHI", 0, 128 + opcode, self.result, self.epoch, internal, external, granted)]


class Pcp:
    """A server of PCP that does what RFC 6887 says."""

    def __init__(self, external: bytes = bytes((45, 67, 0, 10))) -> None:
        self.external, self.epoch, self.result, self.lifetime = external, 1000, 0, -1
        self.nonces: dict[tuple[int, int], bytes] = {}

    def __call__(self, data: bytes) -> list[bytes]:
        version, opcode, lifetime = struct.unpack_from("!BBxxI", data.ljust(8, b"\0"))
        if version != 2:
            return [struct.pack("!BBBBII12x", 2, 128, 0, 1, 0, self.epoch)]
        head = struct.pack("!BBBBII12x", 2, 128 + opcode, 0, self.result, lifetime if self.lifetime < 0 else self.lifetime, self.epoch)
        if opcode == 0:
            return [head]
        nonce, protocol, internal, external = struct.unpack_from("!12sB3xHH", data, 24)
        if lifetime:
            self.nonces[protocol, internal] = nonce
        else:
            self.nonces.pop((protocol, internal), None)
        address = bytes(10) + b"\xff\xff" + self.external if len(self.external) == 4 else self.external
        return [head + struct.pack("!12sB3xHH16s", nonce, protocol, internal, external + 1, address)]
