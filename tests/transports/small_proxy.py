"""A small proxy, of SOCKS5 and the CONNECT of HTTP, to be tested through: it knows names of its own, and notes who wanted to go where."""

import base64
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address

import trio

from devp2p.transports import Proxy


class SmallProxy:
    """Relays connections; with a `user` only for who knows `password`."""

    def __init__(self, names: Mapping[str, str], user: str, password: str) -> None:
        self.asked: list[tuple[str, int]] = []
        """Where it was to connect to, as it was asked."""
        self._names = names
        self._user, self._password = user, password

    async def serve(self, stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            async with stream:
                first = await _read(stream, 1)
                await (self._socks(stream) if first == b"\x05" else self._http(stream, first))

    async def _socks(self, client: trio.SocketStream) -> None:
        methods = await _read(client, (await _read(client, 1))[0])
        wanted = 2 if self._user else 0
        if wanted not in methods:
            await client.send_all(b"\x05\xff")
            return
        await client.send_all(bytes([5, wanted]))
        if self._user:
            await _read(client, 1)
            user = await _read(client, (await _read(client, 1))[0])
            password = await _read(client, (await _read(client, 1))[0])
            known = (user.decode(), password.decode()) == (self._user, self._password)
            await client.send_all(b"\x01" + bytes([not known]))
            if not known:
                return
        head = await _read(client, 4)
        size = {1: 4, 4: 16}.get(head[3]) or (await _read(client, 1))[0]
        data = await _read(client, size)
        host = data.decode() if head[3] == 3 else str(ip_address(data))
        port = int.from_bytes(await _read(client, 2))
        await self._go(client, host, port, b"\x05\0\0\x03\x04node\0\0", b"\x05\x05\0\x01" + bytes(6))

    async def _http(self, client: trio.SocketStream, head: bytes) -> None:
        while not head.endswith(b"\r\n\r\n"):
            head += await _read(client, 1)
        first, *headers = head.decode().split("\r\n")
        secrets = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        if self._user and f"Proxy-Authorization: Basic {secrets}".lower() not in [header.lower() for header in headers]:
            await client.send_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=here\r\n\r\n")
            return
        host, _, port = first.split()[1].rpartition(":")
        yes = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200 Connection established\r\nVia: 1.1 here\r\n\r\n"
        await self._go(client, host.strip("[]"), int(port), yes, b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

    async def _go(self, client: trio.SocketStream, host: str, port: int, yes: bytes, no: bytes) -> None:
        self.asked.append((host, port))
        try:
            node = await trio.open_tcp_stream(self._names.get(host, host), port)
        except OSError:
            await client.send_all(no)
            return
        async with node:
            await client.send_all(yes)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pump, client, node, nursery.cancel_scope)
                nursery.start_soon(_pump, node, client, nursery.cancel_scope)


async def _read(stream: trio.SocketStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        if not more:
            raise trio.BrokenResourceError("it ended")
        data += more
    return data


async def _pump(source: trio.SocketStream, target: trio.SocketStream, both: trio.CancelScope) -> None:
    try:
        while data := await source.receive_some(65536):
            await target.send_all(data)
        await target.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        both.cancel()


@asynccontextmanager
async def small_proxy(
    scheme: str = "socks5", host: str = "127.0.0.1", *, names: Mapping[str, str] | None = None, user: str = "", password: str = ""
) -> AsyncGenerator[tuple[Proxy, SmallProxy]]:
    """Run one; how to go by it, and what it notes."""
    proxy = SmallProxy(names or {}, user, password)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host=host)
        nursery.start_soon(trio.serve_listeners, proxy.serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        yield Proxy(scheme, host, port, user, password), proxy
        nursery.cancel_scope.cancel()
