"""Serves a node's metrics by HTTP, in Prometheus's text format 0.0.4, to anyone who asks ``GET /metrics``.

It is a task of the node's own loop, so that it reads the node between two steps of anything else, without locks or copies. Whoever can
reach the port may ask as often as they like, and costs little: the metrics are collected once a second at most, and a request has to
come within five seconds and eight kilobytes. Sixty-four connections are open at once; when there are more, the oldest one of the host
that has the most makes room, so that silent or slow ones keep nobody from asking.

A web page must not read the metrics through a visitor's browser, under a name of its own that it lets lead here (DNS rebinding). So a
request has to be for an IP address, for ``localhost`` or the name of this machine, or for one of the names that `serve` is told.
"""

import contextlib
import ipaddress
import logging
import socket
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

import trio
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

from devp2p.addresses import Address, address_of
from devp2p.metrics.collector import NodeCollector
from devp2p.node import Node
from devp2p.peers import Unheard
from devp2p.transports import TcpTransport, accept_streams, plain_socket

PATH: Final = "/metrics"

_LONGEST: Final = 8192  # bytes of a request
_PATIENCE: Final = 5.0  # seconds, for one that comes and for the answer to be taken
_AT_ONCE: Final = 64
_FRESH: Final = 1.0  # seconds for which the same metrics are served again
_PLAIN: Final = "text/plain; charset=utf-8"
_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_STRANGE: Final = "this server is not called %s: ask for its IP address, or let it know its name (--metrics-name NAME)"

_logger = logging.getLogger(__name__)


async def listen(address: str | Address) -> list[socket.socket]:
    """Listen at a TCP address; OSError if that is impossible, ValueError for another kind of address. `serve` closes the sockets."""
    address = address_of(address)
    if address.scheme not in TcpTransport.schemes:
        raise ValueError(f"metrics are served at tcp://<host>:<port>, not at {address}")
    listeners = await trio.open_tcp_listeners(address.port or 0, host=None if address.host == "*" else address.host)
    return [plain_socket(listener) for listener in listeners]


def url_of(listener: socket.socket) -> str:
    """Where to ask."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"


async def serve(
    node: Node,
    listeners: Sequence[socket.socket],
    *,
    names: Iterable[str] = (),
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer until cancelled; counting begins now. With the node's metrics come those of the process, where the system has them.

    `names`: host names, without ports, under which one may ask, beside IP addresses, ``localhost`` and the name of this machine.
    """
    await serve_collector(NodeCollector(node), listeners, names=names, task_status=task_status)


async def serve_collector(
    collector: Collector,
    listeners: Sequence[socket.socket],
    *,
    names: Iterable[str] = (),
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The same of metrics of your own: `collector` is asked in this task, at most once a second."""
    server = _Server(collector, names)
    with contextlib.ExitStack() as stack:
        for listener in listeners:
            stack.enter_context(listener)
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(accept_streams, listener, partial(server.take, nursery))
            task_status.started()


class _Server:
    """Answers requests for the metrics of one collector."""

    def __init__(self, collector: Collector, names: Iterable[str] = ()) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        self._names = {name.lower() for name in ("localhost", socket.gethostname(), *names)}
        self._open = Unheard[trio.CancelScope](_AT_ONCE)
        self._text = b""
        self._collected: float | None = None

    async def take(self, nursery: trio.Nursery, stream: trio.SocketStream) -> None:
        """Take a connection."""
        try:
            host = str(stream.socket.getpeername()[0])
        except OSError:  # gone again
            host = ""
        nursery.start_soon(self.answer, stream, host)

    async def answer(self, stream: trio.abc.HalfCloseableStream, host: str = "") -> None:
        """Answer the one request of a connection, and close it; sooner if there are too many."""
        scope = trio.CancelScope(deadline=trio.current_time() + _PATIENCE)
        makes_room = self._open.add(scope, host.encode())
        if makes_room is not None:
            makes_room.cancel()
        try:
            with scope:
                await self._answer(stream)
        except trio.BrokenResourceError:
            pass  # the client is gone
        finally:
            self._open.discard(scope)
            await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.abc.HalfCloseableStream) -> None:
        head = bytearray()
        while b"\r\n\r\n" not in head and b"\n\n" not in head:
            data = await stream.receive_some(_LONGEST)
            head += data
            if not data:
                return
            if len(head) > _LONGEST:
                break
        await stream.send_all(self._response(bytes(head)))
        await stream.send_eof()
        while await stream.receive_some(_LONGEST):  # what is unread when a socket is closed would reset it, and the answer be lost
            pass

    def _response(self, head: bytes) -> bytes:
        if len(head) > _LONGEST:
            return _response("431 Request Header Fields Too Large", b"the request is too long\n")
        first, *fields = head.splitlines()
        method, _, rest = first.partition(b" ")
        target, _, version = rest.partition(b" ")
        if not version.startswith(b"HTTP/1."):
            return _response("400 Bad Request", b"this is no request of HTTP/1\n")
        names = [
            value.strip().decode("latin-1") for field in fields for name, _, value in [field.partition(b":")] if name.lower() == b"host"
        ]
        if strange := [name for name in names if not self._is_ours(name)]:
            return _response("403 Forbidden", f"{_STRANGE % ascii(strange[0][:80])}\n".encode())
        if target.partition(b"?")[0] != PATH.encode():
            return _response("404 Not Found", f"the metrics are at {PATH}\n".encode())
        if method != b"GET":
            return _response("405 Method Not Allowed", b"the metrics can only be read\n", "Allow: GET")
        try:
            return _response("200 OK", self._metrics(), kind=_TYPE)
        except Exception:  # (a node must not end because somebody looks at it)
            _logger.exception("the metrics cannot be served")
            return _response("500 Internal Server Error", b"the metrics cannot be served\n")

    def _is_ours(self, name: str) -> bool:
        """Whether a Host, with a port or without, is an address or one of our names."""
        host = name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() and not name.endswith("]") else name
        try:
            ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            return host.lower().removesuffix(".") in self._names
        return True

    def _metrics(self) -> bytes:
        now = trio.current_time()
        if self._collected is None or now - self._collected >= _FRESH:
            self._text, self._collected = generate_latest(self._registry), now
        return self._text


def _response(status: str, body: bytes, *more: str, kind: str = _PLAIN) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body
