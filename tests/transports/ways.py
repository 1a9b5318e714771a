"""The ways that the conformance suite runs over: each is a transport, with what must be known to dial and to listen by it.

A transport that comes with the library takes one entry in `WAYS`, and no test is changed; see those that are there.

`at` are addresses to listen at, once for each version of IP; "{path}" stands for a folder of the test. Where something else has to run
beside it, a relay or a proxy, `opening` opens that, and says how a node with a key gets its transport; by default it is the one that every
node has. What needs other programs is marked, ``marks=("interop",)``, and then runs with `make interop` only.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

import pytest

from devp2p import Address, NodeRecord, PrivateKey
from devp2p.transports import Carriers, Connect, MemoryMuxTransport, MemoryTransport, TcpTransport, Transport
from devp2p.transports.tls import TlsTransport
from devp2p.transports.ws import WsTransport
from tests.transports import relayed
from tests.transports.authority import certified
from tests.transports.page import private
from tests.transports.small_proxy import small_proxy

Opening: TypeAlias = Callable[[], AbstractAsyncContextManager[Callable[[PrivateKey], Transport]]]
"""Opens what a way needs, and says how the node with a key gets its transport; the nodes of one opening reach one another."""


@dataclass(frozen=True)
class Way:
    """One transport."""

    name: str
    at: tuple[str, ...]
    """Addresses to listen at; each is tried on its own."""
    opening: Opening | None = None
    native_auth: bool = False
    """Whether it proves the peer, so that there is no handshake of RLPx."""
    native_mux: bool = False
    """Whether its links have streams of their own."""
    carrier: Literal["tcp", "udp"] | None = None
    """What its bytes go by, where the suite can stand between the two nodes and spoil them; None if it cannot."""
    path: str = "direct"
    """What `LinkFacts.path` begins with."""
    real: bool = True
    """Whether it has sockets, for which no test clock can wait."""
    many: int = 100
    """Connections one after the other in the default run. Give fewer where a handshake costs more than 5 ms."""
    stops: int = 6
    """At how many steps of each call it is cancelled, and at how many places its bytes are spoiled, in the default run."""
    marks: tuple[str, ...] = ()
    """Markers of pytest for all of its tests, such as "interop"."""
    shows_local: bool = True
    """Whether what one side calls its own address is what the other sees; not so behind a proxy or a relay."""
    keeps: int = 200
    """Objects that there may be more after many links, beside three for each: where sessions run beside it, they keep some."""
    breaks: bool = True
    """Whether who writes learns soon that the peer has closed the link, which who reads always does."""


@dataclass(frozen=True)
class Ground:
    """A way that is open."""

    way: Way
    text: str
    """The address to listen at."""
    transport: Callable[[PrivateKey], Transport]

    @property
    def address(self) -> Address:
        return Address.parse(self.text)


@asynccontextmanager
async def open_ground(way: Way, text: str, folder: Path) -> AsyncGenerator[Ground]:
    """Open what a way needs."""
    text = text.format(path=folder)
    if way.opening is None:
        yield Ground(way, text, lambda key: Carriers(None, key).transport(Address.parse(text)))
    else:
        async with way.opening() as transport:
            yield Ground(way, text, transport)


def node_at(key: PrivateKey, address: Address) -> NodeRecord:
    """The node with a key at an address."""
    return NodeRecord(key.public_key, (address,))


def over(scheme: str) -> tuple[str, ...]:
    """Where to listen with a scheme of which each address has a host and a port: by IPv4, and by IPv6."""
    return f"{scheme}://127.0.0.1:0", f"{scheme}://[::1]:0"


@asynccontextmanager
async def _shared(make: Callable[[], Callable[[PrivateKey], Transport]]) -> AsyncGenerator[Callable[[PrivateKey], Transport]]:
    yield make()


def _memory() -> Callable[[PrivateKey], Transport]:
    network = MemoryTransport()
    return lambda _: network


def _memory_with_proof() -> Callable[[PrivateKey], Transport]:
    network = MemoryTransport(key=PrivateKey.generate().public_key)
    return lambda key: MemoryTransport(network, key=key.public_key)


def _memory_with_streams() -> Callable[[PrivateKey], Transport]:
    network = MemoryMuxTransport(key=PrivateKey.generate().public_key)
    return lambda key: MemoryMuxTransport(network, key=key.public_key)


@asynccontextmanager
async def _with_certificates() -> AsyncGenerator[Callable[[PrivateKey], Transport]]:
    with TemporaryDirectory() as folder:
        files = certified(Path(folder), "127.0.0.1", "::1")
        made = partial(WsTransport, certificate=files.certificate, private_key=files.private_key, authorities=files.authority)
        yield lambda _: made()


@asynccontextmanager
async def _by_proxy(scheme: str, made: Callable[[PrivateKey, Connect], Transport]) -> AsyncGenerator[Callable[[PrivateKey], Transport]]:
    async with small_proxy(scheme) as (proxy, _):
        yield lambda key: made(key, proxy)


def sharing(make: Callable[[], Callable[[PrivateKey], Transport]]) -> Opening:
    """An `opening` for transports that need nothing but one another: `make` is called once for each network."""
    return partial(_shared, make)


WAYS: tuple[Way, ...] = (
    Way("tcp", at=over("tcp"), opening=sharing(lambda: lambda _: TcpTransport()), carrier="tcp"),
    Way("unix", at=("unix://{path}/node.sock",)),
    Way("memory", at=("memory://node",), opening=sharing(_memory), real=False),
    Way("memory, proof", at=("memory://node",), opening=sharing(_memory_with_proof), native_auth=True, real=False),
    Way("memory, streams", at=("memory://node",), opening=sharing(_memory_with_streams), native_auth=True, native_mux=True, real=False),
    Way("that of the page", at=over("private"), opening=sharing(lambda: lambda _: private()("word")), carrier="tcp"),
    Way("ws", at=over("ws"), carrier="tcp"),
    Way("wss", at=over("wss"), opening=_with_certificates, carrier="tcp", many=10, stops=2),
    Way("quic", at=over("quic"), native_auth=True, native_mux=True, carrier="udp", many=12, stops=3),
    Way("ssh", at=over("ssh"), native_auth=True, native_mux=True, carrier="tcp", many=12, stops=4),
    Way("tls", at=over("tls"), native_auth=True, carrier="tcp", many=30),
    Way(
        "tcp by socks5",
        at=over("tcp"),
        opening=partial(_by_proxy, "socks5", lambda _, proxy: TcpTransport(proxy)),
        carrier="tcp",
        path="proxy socks5://127.0.0.1:",
        shows_local=False,
        many=30,
        stops=3,
    ),
    Way(
        "tls by http",
        at=over("tls"),
        opening=partial(_by_proxy, "http", TlsTransport),
        native_auth=True,
        path="proxy http://127.0.0.1:",
        shows_local=False,
        many=10,
        stops=3,
    ),
    Way(
        "relay",
        at=relayed.AT,
        opening=relayed.by_relay,
        path="relay enode://",
        shows_local=False,
        real=False,
        many=20,
        stops=3,
        keeps=2000,
    ),
    Way("mptcp", at=over("mptcp"), carrier="tcp", marks=("interop",), breaks=False),  # Linux waits a minute
    Way("sctp", at=over("sctp"), native_auth=True, native_mux=True, carrier="udp", many=40, marks=("interop",)),
)


@dataclass(frozen=True)
class Case:
    """A way at one of its addresses."""

    way: Way
    text: str = field(default="")


def cases(chosen: Callable[[Way], bool] = lambda _: True, *, once: bool = False) -> list[object]:
    """Parameters of a test: each of the ways that are `chosen`, at each of its addresses, or `once`, at its first."""
    return [
        pytest.param(
            Case(way, text),
            id=f"{way.name} {text.split('://')[1]}" if len(way.at) > 1 and not once else way.name,
            marks=[getattr(pytest.mark, mark) for mark in (*way.marks, *(["real_clock"] if way.real else []))],
        )
        for way in WAYS
        if chosen(way)
        for text in way.at[: 1 if once else None]
    ]
