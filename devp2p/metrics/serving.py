"""Tells a node's figures by HTTP, in Prometheus's text format 0.0.4, to whoever asks ``GET /metrics``.

It is a task of the node's own loop, so that it reads the node between two steps of anything else, without locks or copies. Whoever can
reach the port may ask as often as he likes, and costs little: the figures are collected once a second at most, a request has to come
within five seconds and eight kilobytes, and no more than eight are heard at once.
"""

import logging
from collections.abc import Sequence
from typing import Final

import trio
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from devp2p.metrics.collector import NodeCollector
from devp2p.node import Node
from devp2p.records import Address, address_of

PATH: Final = "/metrics"

_LONGEST: Final = 8192  # bytes of a request
_PATIENCE: Final = 5.0  # seconds, for one that comes and for the answer to be taken
_AT_ONCE: Final = 8
_FRESH: Final = 1.0  # seconds for which figures are told again
_PLAIN: Final = "text/plain; charset=utf-8"
_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_logger = logging.getLogger(__name__)


async def listen(address: str | Address) -> list[trio.SocketListener]:
    """Listen at a TCP address; OSError if that is impossible, ValueError for another kind of address."""
    address = address_of(address)
    if address.scheme != "tcp":
        raise ValueError(f"metrics are served at tcp://<host>:<port>, not at {address}")
    return list(await trio.open_tcp_listeners(address.port or 0, host=None if address.host == "*" else address.host))


def url_of(listener: trio.SocketListener) -> str:
    """Where to ask."""
    host, port = listener.socket.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"


async def serve(
    node: Node, listeners: Sequence[trio.SocketListener], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answer until cancelled; counting begins now. With the node's figures come those of the process, where the system tells them."""
    server = _Server(node)
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, server.answer, list(listeners))
        task_status.started()


class _Server:
    """Answers requests for the figures of one node."""

    def __init__(self, node: Node) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(NodeCollector(node))
        ProcessCollector(registry=self._registry)
        self._places = trio.Semaphore(_AT_ONCE)
        self._text = b""
        self._collected: float | None = None

    async def answer(self, stream: trio.SocketStream) -> None:
        """Answer the one request of a connection, and close it."""
        try:
            self._places.acquire_nowait()
        except trio.WouldBlock:
            await trio.aclose_forcefully(stream)
            return
        try:
            with trio.move_on_after(_PATIENCE):
                await self._answer(stream)
        except trio.BrokenResourceError:
            pass  # whoever asked is gone
        finally:
            self._places.release()
            await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.SocketStream) -> None:
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
        method, _, rest = head.partition(b"\n")[0].rstrip(b"\r").partition(b" ")
        target, _, version = rest.partition(b" ")
        if not version.startswith(b"HTTP/1."):
            return _response("400 Bad Request", b"this is no request of HTTP/1\n")
        if target.partition(b"?")[0] != PATH.encode():
            return _response("404 Not Found", f"the figures are at {PATH}\n".encode())
        if method != b"GET":
            return _response("405 Method Not Allowed", b"the figures can only be read\n", "Allow: GET")
        try:
            return _response("200 OK", self._figures(), kind=_TYPE)
        except Exception:  # (a node must not end because somebody looks at it)
            _logger.exception("the figures cannot be told")
            return _response("500 Internal Server Error", b"the figures cannot be told\n")

    def _figures(self) -> bytes:
        now = trio.current_time()
        if self._collected is None or now - self._collected >= _FRESH:
            self._text, self._collected = generate_latest(self._registry), now
        return self._text


def _response(status: str, body: bytes, *more: str, kind: str = _PLAIN) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body
