"""Dialling by a proxy: how one is written, what goes by it, and what a node with one refuses to do."""

import json
from contextlib import nullcontext
from typing import Any

import pytest
import trio

from devp2p import Address, DialError, DisconnectReason, LocalProtocolError, NodeRecord, PrivateKey, open_node
from devp2p.capabilities.nat import Nat
from devp2p.capabilities.punch import Punch
from devp2p.capabilities.relay import Relay
from devp2p.cli import main
from devp2p.cli.ping import ping
from devp2p.session import call, local_node
from devp2p.terminal.output import Exit
from devp2p.transports import Carriers, Proxy, TcpTransport, proxies
from devp2p.transports.quic import QuicTransport
from devp2p.transports.ws import WsTransport
from tests.chat import Blob, Chat
from tests.cli.processes import closed_port
from tests.transports.small_proxy import small_proxy

KEY, OTHER = PrivateKey.generate(), PrivateKey.generate()
TOR = "socks5://127.0.0.1:9050"
SECRET = "correct horse"
ENODE = f"enode://{bytes(KEY.public_key).hex()}@node.example:30303"
ONLY_TCP = "by which only TCP goes: use an address of tcp, ssh, tls, ws, wss"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TOR, Proxy("socks5", "127.0.0.1", 9050)),
        ("socks5h://[::1]:1080/", Proxy("socks5", "::1", 1080)),
        ("HTTP://proxy.example:3128", Proxy("http", "proxy.example", 3128)),
        ("http://me:a%40b%3Ac@proxy.example:3128", Proxy("http", "proxy.example", 3128, "me", "a@b:c")),
        ("socks5://me:a@b@127.0.0.1:1", Proxy("socks5", "127.0.0.1", 1, "me", "a@b")),
    ],
)
def test_a_proxy_is_read_as_people_write_it(text: str, expected: Proxy) -> None:
    assert Proxy.parse(text) == expected
    assert str(expected).startswith(f"{expected.scheme}://")
    assert expected.path == f"proxy {expected}"


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:9050",
        f"me:{SECRET}@127.0.0.1:9050",
        f"https://me:{SECRET}@127.0.0.1:443",
        f"socks4://{SECRET}@127.0.0.1:1080",
        f"socks5://me:{SECRET}",
        f"socks5://me:{SECRET}:127.0.0.1:9050",
        f"socks5://me:{SECRET}@127.0.0.1:0",
        f"socks5://me:{SECRET}@:9050",
        f"socks5://:{SECRET}@127.0.0.1:9050",
        "socks5://me@127.0.0.1:9050",
        f"socks5://me:{SECRET * 20}@127.0.0.1:9050",
        f"http://a%3Ab:{SECRET}@127.0.0.1:9050",
        f"http://me:{SECRET}%0d%0aX@127.0.0.1:9050",
    ],
)
def test_what_is_no_proxy_is_refused_without_showing_the_password(text: str) -> None:
    with pytest.raises(ValueError, match=r"socks5|user") as caught:
        Proxy.parse(text)
    assert "horse" not in str(caught.value)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"pip install 'trio-devp2p\[proxy\]'"):
        Proxy.parse(TOR)
    with pytest.raises(TypeError, match="a proxy is written socks5://"):
        Carriers(proxy=9050)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.real_clock
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("scheme", ["socks5", "http"])
async def test_a_node_behind_a_proxy_has_its_sessions_by_it(scheme: str, host: str) -> None:
    listen = [Address(one, host, 0) for one in ("tcp", "tls", "ws", "ssh")]
    names = {"node.example": host}
    async with (
        small_proxy(scheme, host, names=names, user="me", password=SECRET) as (proxy, asked),
        open_node(KEY, [Chat()], listen=listen, strict=True) as node,
    ):
        for bound in node.addresses:
            async with open_node(OTHER, [Chat()], proxy=proxy, strict=True) as caller:
                peer = await caller.connect(NodeRecord(KEY.public_key, (Address(bound.scheme, "node.example", bound.port),)))
                await peer.ready(Chat)
                await peer[Chat].send(Blob(bytes(2**20 - 100)))
                assert peer.link.path == f"proxy {scheme}://{'[::1]' if host == '::1' else host}:{proxy.port}"
                assert str(peer.link.local) == f"{bound.scheme}://localhost:0"
                assert (peer.link.transport, peer.link.remote.host) == (bound.scheme, "node.example")
        by_number = node.addresses[0]
        session = await call(NodeRecord(KEY.public_key, (by_number,)), local_node(OTHER, [Chat()]), Carriers(None, OTHER, proxy=proxy))
        await session.refuse(DisconnectReason.CLIENT_QUITTING)
    ports = [address.port for address in node.addresses]
    assert asked.asked == [*(("node.example", port) for port in ports), (host, by_number.port)]


@pytest.mark.real_clock
async def test_two_nodes_behind_proxies_meet_at_a_relay() -> None:
    server = Relay(serve=True)
    async with (
        small_proxy(names={"relay.example": "127.0.0.1"}) as (proxy, small),
        open_node(PrivateKey.generate(), [server], listen=["tcp://127.0.0.1:0"]) as relay,
    ):
        where = f"relay://{bytes(relay.public_key).hex()}@relay.example:{relay.addresses[0].port}"
        async with (
            open_node(KEY, [Relay(), Chat()], listen=[where], proxy=proxy) as node,
            open_node(OTHER, [Relay(), Chat()], proxy=proxy) as caller,
        ):
            while not server.relaying.reservations:  # noqa: ASYNC110  (no event tells of it)
                await trio.sleep(0.01)
            peer = await caller.connect(NodeRecord(KEY.public_key, node.addresses))
            await peer.ready(Chat)
            assert peer.link.path.startswith("relay ")
            assert {one.link.path for one in relay.connected} == {"direct"}
            assert {one.link.path for one in (*node.connected, *caller.connected) if one.public_key == relay.public_key} == {proxy.path}
    assert set(small.asked) == {("relay.example", relay.addresses[0].port)}


@pytest.mark.real_clock
@pytest.mark.parametrize("scheme", ["socks5", "http"])
async def test_what_a_proxy_refuses_is_said(scheme: str) -> None:
    async def fault(proxy: Proxy, address: str = "tcp://127.0.0.1:1") -> str:
        with pytest.raises(OSError, match=r".") as caught:
            await proxy(Address.parse(address))
        assert SECRET not in str(caught.value)
        return str(caught.value)

    async with small_proxy(scheme, user="me", password=SECRET) as (proxy, _):
        where = f"127.0.0.1:{proxy.port}"
        wanted = f"it wants a user and a password: write {scheme}://USER:PASSWORD@{where}"
        assert await fault(Proxy(scheme, "127.0.0.1", proxy.port)) == f"the proxy {scheme}://{where} has refused: {wanted}"
        assert (await fault(Proxy(scheme, "127.0.0.1", proxy.port, "me", SECRET[1:]))).endswith("does not take this user and password")
        assert (await fault(proxy)).endswith("the node refuses connections" if scheme == "socks5" else "502 Bad Gateway")
        assert "has a zone" in await fault(proxy, "tcp://[fe80::1%eth0]:1")
        assert "is no name that could be asked for" in await fault(proxy, f"tcp://{'a' * 64}:1")
    assert await fault(proxy) == f"the proxy {proxy} cannot be reached: Connection refused"


def test_what_is_not_tcp_is_not_dialled_past_it() -> None:
    carriers = Carriers(None, KEY, proxy=TOR)
    assert carriers.schemes == {"tcp", "unix", "tls", "ws", "wss", "ssh"}
    for scheme in ("quic", "sctp", "mptcp", "ksctp"):
        with pytest.raises(ValueError, match=f"^{scheme}://127.0.0.1:1 would go past the proxy {TOR}, {ONLY_TCP}$"):
            carriers.transport(Address(scheme, "127.0.0.1", 1))
    with pytest.raises(LocalProtocolError, match="give them theirs, as TcpTransport"):
        Carriers([TcpTransport()], proxy=TOR)


REFUSED: dict[str, dict[str, Any]] = {
    "name nodes by static_peers, candidates or connect": {"discovery": True},
    "leave out bootnodes": {"bootnodes": [ENODE.replace("node.example", "127.0.0.1")]},
    "past the proxy socks5://127.0.0.1:9050, or says where": {"nat": "any"},
    "nat= asks routers": {"nat": "stun"},
    "listen at 127.0.0.1": {"listen": ["tcp://*:0"]},
    r"tcp://localhost:0 would reach this node past": {"listen": ["tcp://localhost:0"]},
    r"tls://192.0.2.1:0 would reach": {"listen": ["tcp://127.0.0.1:0", "tls://192.0.2.1:0"]},
    "quic://127.0.0.1:0 would go past": {"listen": ["quic://127.0.0.1:0"]},
    "quic://node.example:30303 would go past": {"static_peers": [ENODE.replace("enode", "quic")]},
    "QuicTransport of extra_transports would connect past": {"extra_transports": [QuicTransport(KEY)]},
    "WsTransport of extra_transports would connect past": {"extra_transports": [WsTransport()]},
    "would connect past the proxy": {"extra_transports": [WsTransport(Proxy.parse("socks5://127.0.0.1:9051"))]},
    "give them theirs": {"transports": [TcpTransport()]},
    "Nat is there to be reached past the proxy": {"capabilities": [Nat()]},
    "Punch is there to be reached past the proxy": {"capabilities": [Punch()]},
    "is no kind of proxy": {"proxy": "ftp://127.0.0.1:1"},
}


@pytest.mark.parametrize("expected", REFUSED)
async def test_a_node_refuses_what_would_go_past_it(expected: str) -> None:
    arguments = {"capabilities": [Chat()], "proxy": TOR} | REFUSED[expected]
    with pytest.raises((LocalProtocolError, ValueError), match=expected):
        async with open_node(KEY, **arguments):
            pass


@pytest.mark.real_clock
async def test_nor_does_it_when_it_runs() -> None:
    own = WsTransport(Proxy.parse(TOR))
    async with open_node(KEY, [Chat()], listen=["tcp://127.0.0.1:0"], discovery=False, proxy=TOR, extra_transports=[own]) as node:
        with pytest.raises(ValueError, match=r"listen at 127.0.0.1 or \[::1\]"):
            await node.listen("tcp://0.0.0.0:0")
        with pytest.raises(DialError, match="would go past the proxy"):
            await node.connect(NodeRecord(OTHER.public_key, (Address("quic", "node.example", 1),)))
        given = node.given_transports
        assert given is not None
        assert {scheme for transport in given for scheme in transport.schemes} == {"tcp", "unix"}


@pytest.mark.real_clock
async def test_ping_goes_by_it() -> None:
    async with (
        small_proxy(names={"node.example": "127.0.0.1"}) as (proxy, _),
        open_node(KEY, [Chat()], listen=["tcp://127.0.0.1:0"], strict=True) as node,
    ):
        there = NodeRecord(KEY.public_key, (Address("tcp", "node.example", node.addresses[0].port),))
        answer = await ping(there, OTHER, timeout=60, proxy=proxy)
    assert answer.status is Exit.OK
    assert answer.link is not None
    assert answer.link.path == proxy.path


def test_ping_says_what_the_proxy_is(capsys: pytest.CaptureFixture[str]) -> None:
    proxy = f"socks5://me:{SECRET.replace(' ', '%20')}@{closed_port()}"
    assert main(["ping", "--json", "--proxy", proxy, ENODE]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["error"].startswith("the proxy socks5://127.0.0.1:")
    assert "horse" not in json.dumps(told)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--bootnode", ENODE], "name nodes by --peer"),
        (["--network", "sepolia"], "give --no-discovery beside --network"),
        (["--nat", "upnp"], "leave it out"),
        (["--listen", "tcp://*:0"], "past the proxy socks5://127.0.0.1:9050: listen at 127.0.0.1"),
    ],
)
def test_the_command_refuses_what_would_go_past_it(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) if "--listen" not in arguments else nullcontext():
        assert main(["node", "--capability", "tests.chat:Chat", "--proxy", TOR, *arguments]) == 2
    assert expected in " ".join(capsys.readouterr().err.split())


def test_fetch_says_what_the_proxy_is(capsys: pytest.CaptureFixture[str]) -> None:
    proxy = closed_port()
    assert main(["fetch", "headers", "0", "--from", ENODE, "--patience", "0.1", "--proxy", f"socks5://me:horse@{proxy}"]) == 1
    told = capsys.readouterr().err
    assert f"the proxy socks5://{proxy} cannot be reached" in told
    assert "horse" not in told
