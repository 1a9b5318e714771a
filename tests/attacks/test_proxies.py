"""Rows T60 to T66 of THREATS.md: what would tell others past a proxy whom a node calls, and what a proxy may try.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import Any

import h11
import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from devp2p import Address, DialError, LocalProtocolError, NodeRecord, PrivateKey, open_node
from devp2p.discovery.datagrams import DatagramSocket
from devp2p.session import dial
from devp2p.transports import Carriers, Proxy, TcpTransport, proxies
from tests.chat import Chat
from tests.transports.small_proxy import small_proxy

pytestmark = pytest.mark.real_clock

KEY, OTHER = PrivateKey.generate(), PrivateKey.generate()
SECRET = "correct horse"
YES = {"socks5": b"\x05\0\x05\0\0\x01" + bytes(6), "http": b"HTTP/1.1 200 OK\r\n\r\n"}
"""What a proxy answers, in all, so that the connection stands."""
SCHEMES = pytest.mark.parametrize("scheme", YES)


async def answered(scheme: str, answer: bytes, *, user: str = "", ends: bool = True, rest: int = 0) -> tuple[bytes, bytes]:
    """Ask a proxy that says this, whatever it is asked; what it was asked, and `rest` bytes of what is left in the connection."""
    near, far = (trio.SocketStream(trio.socket.from_stdlib_socket(sock)) for sock in socket.socketpair())
    async with near, far:
        sent = b""

        async def say() -> None:
            with suppress(trio.BrokenResourceError):
                await far.send_all(answer)
                if ends:
                    await far.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say)
            try:
                await Proxy(scheme, "proxy.example", 1, user, SECRET if user else "")._ask(near, "node.example", 30303)
                left = await near.receive_some(rest) if rest else b""
            finally:
                nursery.cancel_scope.cancel()
        with trio.move_on_after(0):
            sent = bytes(await far.receive_some())
        return sent, bytes(left)


# T60: a name asked for here


class Resolver(trio.abc.HostnameResolver):
    """Notes who is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def getaddrinfo(self, host: bytes | None, *_: Any, **__: Any) -> list[Any]:
        await trio.lowlevel.checkpoint()
        self.asked.append("" if host is None else host.decode())
        raise socket.gaierror(socket.EAI_NONAME, "no such name here")

    async def getnameinfo(self, *_: Any, **__: Any) -> tuple[str, str]:
        raise NotImplementedError


NAMED = NodeRecord(
    KEY.public_key, tuple(Address(scheme, f"{scheme}.node.example", 1) for scheme in ("tcp", "tls", "ws", "wss", "ssh", "quic"))
)


async def names_asked_for(proxy: Proxy | None) -> list[str]:
    """For which names of a node's addresses, in all transports, DNS is asked, when it is dialled."""
    resolver = Resolver()
    trio.socket.set_custom_hostname_resolver(resolver)
    with pytest.raises(DialError):
        await dial(NAMED, Carriers(None, OTHER, proxy=proxy))
    return resolver.asked


@SCHEMES
async def test_t60_the_names_of_nodes_are_asked_for_by_the_proxy_and_not_here(scheme: str) -> None:
    async with small_proxy(scheme, names={f"{one.host}": "127.0.0.1" for one in NAMED.addresses}) as (proxy, small):
        assert await names_asked_for(proxy) == []
    assert {host for host, _ in small.asked} == {one.host for one in NAMED.addresses if one.scheme != "quic"}


async def test_t60_control_without_a_proxy_each_is_asked_for_here() -> None:
    assert set(await names_asked_for(None)) == {one.host for one in NAMED.addresses}


# T61: other ways past the proxy. The rest of its tests lie in transports/test_proxies.py


async def ports_of(proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many UDP ports a node opens that is to find others, if it takes part at all."""
    opened = 0

    async def bind(address: Address) -> DatagramSocket:
        nonlocal opened
        opened += 1
        return await original(address)

    original = DatagramSocket.bind
    monkeypatch.setattr(DatagramSocket, "bind", bind)
    bootnode = f"enode://{bytes(OTHER.public_key).hex()}@127.0.0.1:1"
    with suppress(LocalProtocolError):
        async with open_node(KEY, [Chat()], bootnodes=[bootnode], proxy=proxy):
            pass
    return opened


async def test_t61_a_node_with_a_proxy_asks_nobody_by_udp(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await ports_of("socks5://127.0.0.1:1", monkeypatch) == 0


async def test_t61_control_without_one_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await ports_of(None, monkeypatch) > 0


# T62: answers without end

GIANT = b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000


async def taken(answer: bytes) -> int:
    """How many bytes of an answer were taken until it was refused or the proxy had no more."""
    near, far = (trio.SocketStream(trio.socket.from_stdlib_socket(sock)) for sock in socket.socketpair())
    async with near, far:
        count = 0

        async def say() -> None:
            nonlocal count
            while count < len(answer):
                count += await far.socket.send(answer[count : count + 1024])
            await far.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say)
            with pytest.raises(OSError, match="http://proxy"):
                await Proxy("http", "proxy.example", 1)._ask(near, "node.example", 1)
            nursery.cancel_scope.cancel()
        return count - _waiting(near)


def _waiting(stream: trio.SocketStream) -> int:
    """Bytes that nobody has read yet."""
    count = 0
    with socket.fromfd(stream.socket.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as sock, suppress(BlockingIOError):
        while more := sock.recv(2**16, socket.MSG_DONTWAIT):
            count += len(more)
    return count


@pytest.mark.parametrize(
    "answer", [GIANT, b"x" * 10**5, b"HTTP/1.1 102 Wait\r\n\r\n" * 5000, b"\n" * 10**5], ids=["headers", "line", "hints", "nothing"]
)
async def test_t62_of_an_answer_eight_kibibytes_are_taken(answer: bytes) -> None:
    assert await taken(answer) <= proxies.MOST_HEAD


async def test_t62_control_without_the_bound_all_of_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "MOST_HEAD", 2**21)
    assert await taken(GIANT) > 10 * 8192


# T63: a proxy that never answers


@asynccontextmanager
async def silent() -> AsyncIterator[Proxy]:
    """A proxy that takes connections."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listeners[0]:
        yield Proxy("socks5", "127.0.0.1", listeners[0].socket.getsockname()[1])


async def test_t63_a_proxy_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxies.TIMEOUT == 30
    monkeypatch.setattr(proxies, "TIMEOUT", 0.05)
    async with silent() as proxy:
        with pytest.raises(TimeoutError, match="has not reached 127"):
            await proxy(Address("tcp", "127.0.0.1", 1))


async def test_t63_control_without_the_bound_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "TIMEOUT", inf)
    async with silent() as proxy:
        with trio.move_on_after(0.3) as scope:
            await proxy(Address("tcp", "127.0.0.1", 1))
        assert scope.cancelled_caught


# T64: anything at all

PARTS = st.sampled_from(
    [
        b"\x05",
        b"\0",
        b"\x02",
        b"\xff",
        b"\x01",
        b"\x03",
        b"\x04",
        *YES.values(),
        b"HTTP/1.1 ",
        b"200",
        b"101",
        b"407",
        b" OK",
        b"\r\n",
        b"\r\n\r\n",
        b":",
        b"\n",
    ]
)


@given(st.sampled_from(sorted(YES)), st.lists(PARTS | st.binary(max_size=300)).map(b"".join), st.booleans(), st.integers(0, 40))
@example("socks5", b"\x05\0\x05\0\0\x03\xff" + b"\xfe" * 257, True, 0)  # noqa: FBT003
@example("http", b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\n\r\n", True, 0)  # noqa: FBT003
@example("http", b"\r\n\r\n", True, 0)  # noqa: FBT003
def test_t64_whatever_a_proxy_says_is_an_answer_or_an_oserror(scheme: str, junk: bytes, knows: bool, at: int) -> None:  # noqa: FBT001
    async def ask() -> None:
        for answer in (junk, YES[scheme][:at] + junk):
            try:
                await answered(scheme, answer, user="me" if knows else "")
            except* OSError:
                pass

    trio.run(ask)


def test_t64_control_the_library_for_socks_alone_raises_other_things() -> None:
    from socksio import socks5  # noqa: PLC0415

    with pytest.raises(Exception, match="Malformed") as caught:
        socks5.SOCKS5Reply.loads(b"\x05\0\0\x03\x02\xff\xff\0\0")
    assert not isinstance(caught.value, OSError)


# T65: what comes behind the answer


@SCHEMES
async def test_t65_what_comes_behind_the_answer_is_the_nodes(scheme: str) -> None:
    _, left = await answered(scheme, YES[scheme] + b"SSH-2.0-early", rest=99)
    assert left == b"SSH-2.0-early"


def test_t65_control_who_reads_all_that_there_is_has_taken_it() -> None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="CONNECT", target="node.example:1", headers=[("Host", "node.example:1")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(YES["http"] + b"SSH-2.0-early")
    connection.next_event()
    assert connection.trailing_data[0] == b"SSH-2.0-early"


async def test_t65_a_proxy_that_leads_to_another_node_is_found_out() -> None:
    async with open_node(OTHER, [Chat()], listen=["tcp://127.0.0.1:0"]) as other:
        port = other.addresses[0].port
        async with (
            small_proxy(names={"node.example": "127.0.0.1"}) as (proxy, _),
            open_node(PrivateKey.generate(), [Chat()], proxy=proxy) as caller,
        ):
            with pytest.raises(DialError):
                await caller.connect(NodeRecord(KEY.public_key, (Address("tcp", "node.example", port),)))
            assert not list(caller.connected)


# T66: the password


@SCHEMES
async def test_t66_the_password_is_in_nothing_that_is_told(scheme: str) -> None:
    async with small_proxy(scheme, user="me", password=SECRET + "er") as (proxy, _):
        wrong = Proxy(scheme, proxy.host, proxy.port, "me", SECRET)
        with pytest.raises(DialError) as caught:
            await dial(NodeRecord(KEY.public_key, (Address("tcp", "127.0.0.1", 1),)), Carriers(None, OTHER, proxy=wrong))
        told = [str(caught.value), str(wrong), repr(wrong), f"{TcpTransport(wrong)._connect!r}", wrong.path]
        assert not any("horse" in text for text in told)


def test_t66_control_the_proxy_has_it() -> None:
    assert "horse" in Proxy.parse("socks5://me:correct%20horse@127.0.0.1:1").password
