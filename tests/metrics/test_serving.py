"""How metrics are served: to whoever asks, under our names only, and however many others are silent or slow (row O2 of THREATS.md)."""

import resource
import socket
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, PrivateKey, open_node
from devp2p.metrics import NodeCollector, listen, serve, url_of
from devp2p.metrics import serving as serving_module
from devp2p.metrics.serving import _Server
from devp2p.peers.unheard import Unheard
from devp2p.transports.memory import MemoryStream, memory_stream_pair
from tests.chat import Chat
from tests.metrics.test_metrics import asked
from tests.network import Network, running

KEY = PrivateKey.generate()


@pytest.mark.real_clock
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\n", "405 Method Not Allowed"),
        ("\x00\r\n\r\n", "400 Bad Request"),
        ("GET /metrics SPDY/3\r\n\r\n", "400 Bad Request"),
        ("GET /metrics HTTP/1.1\r\nX: " + "x" * 9000, "431 Request Header Fields Too Large"),
        ("GET /metrics?name=x HTTP/1.0\n\n", "200 OK"),
    ],
)
async def test_requests_of_any_form_are_answered(request_, status):
    async with open_node(KEY, [Chat()]) as node, trio.open_nursery() as nursery:
        listeners = await listen(Address("tcp", "::1" if status[0] == "2" else "127.0.0.1", 0))
        await nursery.start(serve, node, listeners)
        head, _ = await asked(url_of(listeners[0]).replace("[::1]", "::1"), request_)
        assert head.startswith(f"HTTP/1.1 {status}\r\n")
        nursery.cancel_scope.cancel()


async def ask(server: Any, nursery: trio.Nursery, request: bytes) -> MemoryStream:
    ours, theirs = memory_stream_pair()
    await ours.send_all(request)
    nursery.start_soon(server.answer, theirs)
    await wait_all_tasks_blocked()
    return ours


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("127.0.0.1:9100", True),
        ("[::1]:9100", True),
        ("[fd00::1]", True),
        ("10.1.2.3", True),
        ("LOCALHOST:9100", True),
        ("node.example.", True),
        ("node.example:9100", True),
        (socket.gethostname(), True),
        ("evil.example:9100", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:9100", False),
        ("[::1].evil.example", False),
        ("", False),
    ],
)
async def test_o2_a_page_cannot_read_the_metrics_under_a_name_of_its_own(host, answered):
    async with running(Network()) as node, trio.open_nursery() as nursery:
        server = _Server(NodeCollector(node), ["Node.example"])
        stream = await ask(server, nursery, f"GET /metrics HTTP/1.1\r\nAccept: *\r\nhOST: {host}\r\n\r\n".encode())
        answer = bytes(await stream.receive_some())
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n" if answered else b"HTTP/1.1 403 Forbidden\r\n")
        assert (b"this server is not called" in answer) is not answered
        await stream.aclose()


async def test_o2_silent_and_slow_connections_keep_nobody_from_asking():
    async with running(Network()) as node, trio.open_nursery() as nursery:
        server = _Server(NodeCollector(node))
        for number in range(40):
            for _ in range(8):
                await ask(server, nursery, b"" if number % 2 else b"GET /metr")
            stream = await ask(server, nursery, b"GET /metrics HTTP/1.1\r\n\r\n")
            assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 200 OK\r\n")
            assert len(nursery.child_tasks) <= 64
        await trio.sleep(5.1)
        assert not nursery.child_tasks


async def test_o2_control_where_the_first_stay_they_keep_everybody_from_asking(monkeypatch):
    def refuse(crowd: Unheard[trio.CancelScope], scope: trio.CancelScope, _: bytes) -> trio.CancelScope | None:
        return scope if len(crowd) >= 8 else add(crowd, scope, b"")

    add = Unheard[trio.CancelScope].add
    monkeypatch.setattr(Unheard, "add", refuse)
    async with running(Network()) as node, trio.open_nursery() as nursery:
        server = _Server(NodeCollector(node))
        for _ in range(8):
            await ask(server, nursery, b"")
        for _ in range(40):
            assert await (await ask(server, nursery, b"GET /metrics HTTP/1.1\r\n\r\n")).receive_some() == b""


async def test_o2_who_takes_no_answer_makes_room_too():
    async with running(Network()) as node, trio.open_nursery() as nursery:
        server = _Server(NodeCollector(node))
        for _ in range(100):
            await ask(server, nursery, b"GET /metrics HTTP/1.1\r\n\r\n")
        assert len(nursery.child_tasks) == 64
        await trio.sleep(5.1)
        assert not nursery.child_tasks


@pytest.mark.real_clock
async def test_o2_without_file_descriptors_the_metrics_wait_and_log_a_line(caplog):
    async with open_node(KEY, [Chat()]) as node, trio.open_nursery() as nursery:
        listeners = await listen(Address("tcp", "127.0.0.1", 0))
        await nursery.start(serve, node, listeners)
        with socket.socket() as client:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            with socket.socket() as probe:
                free = probe.fileno()
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
            try:
                client.connect(listeners[0].getsockname())
                with trio.fail_after(60):
                    while "cannot accept" not in caplog.text:  # noqa: ASYNC110  (nobody else tells)
                        await trio.sleep(0.01)
                await trio.sleep(0.5)  # it is tried again
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            head, _ = await asked(url_of(listeners[0]))
        assert head.startswith("HTTP/1.1 200 OK")
        nursery.cancel_scope.cancel()
    assert caplog.text.count("\n") == 1
    assert "cannot accept connections now" in caplog.text


async def test_metrics_are_collected_once_a_second_at_most_and_no_fault_of_theirs_ends_the_node(monkeypatch, caplog):
    async with running(Network()) as node, trio.open_nursery() as nursery:
        server, collected = _Server(NodeCollector(node)), list[float]()

        def collect(_: object) -> bytes:
            collected.append(trio.current_time())
            if len(collected) > 1:
                raise RuntimeError("no metrics today")
            return b"# metrics\n"

        monkeypatch.setattr(serving_module, "generate_latest", collect)
        answers = []
        for _ in range(6):
            stream = await ask(server, nursery, b"GET /metrics HTTP/1.1\r\n\r\n")
            answers.append(bytes(await stream.receive_some())[:12])
            await stream.aclose()
            await trio.sleep(0.25)
        assert answers == [b"HTTP/1.1 200"] * 4 + [b"HTTP/1.1 500"] * 2
        assert len(collected) == 3
        assert "no metrics today" in caplog.text
