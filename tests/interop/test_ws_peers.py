"""WebSocket against libraries that are not ours: Go's github.com/coder/websocket, npm's ws, the one in Chromium, and HAProxy between."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from devp2p import Address, HandshakeError, Node, NodeRecord, Peer, PrivateKey, open_node
from devp2p.session import local_node, open_session
from devp2p.transports import ByteLink, Incoming, Link, TcpTransport
from devp2p.transports.ws import SUBPROTOCOL, WsTransport
from tests.interop import browsing, debian
from tests.interop.capabilities import Echoing, Talk
from tests.interop.meeting import ended, payload
from tests.interop.peers import PATIENCE, transport_dial, transport_peer, websocket_relay
from tests.transports.authority import Files, certified

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]

SIZES = [1, 125, 126, 2**10, 2**16 - 1, 2**16, 2**18, 2**20]
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])


def where(host: str, port: int | None) -> str:
    return Address("ws", host, port).where


def node(scheme: str, host: str, *transports: Any, key: PrivateKey | None = None, **options: Any) -> Any:
    """A node that listens with one scheme."""
    options = {"listen": [f"{scheme}://{where(host, 0)}"], "transports": transports or None, "strict": True, **options}
    return open_node(key or PrivateKey.generate(), [Echoing()], client_id="ours/v1", **options)


async def echo_all(peer: Peer, transport: str = "ws") -> None:
    """Let messages of all sizes come back."""
    talk: Talk = await peer.ready(Echoing)
    assert (peer.link.transport, peer.link.native_auth, peer.link.native_mux) == (transport, False, False)
    for size in SIZES:
        data = payload("random", size)
        with trio.fail_after(PATIENCE):
            assert await talk.echo(data) == data


# Go


@pytest.mark.usefixtures("transportpeer")
@HOSTS
async def test_we_dial_go(host: str) -> None:
    async with transport_peer("ws", "--address", where(host, 0)) as go, node("tcp", host, dpx=False) as ours:
        peer = await ours.connect(go.enode("ws"))
        await echo_all(peer)
        assert (await go.event("peer"))["native_auth"] is False
        peer.disconnect()
        assert (await go.event("ended"))["by"] == "peer"


@pytest.mark.usefixtures("transportpeer")
@HOSTS
async def test_go_dials_us(host: str) -> None:
    async with node("ws", host) as ours:
        sizes = ",".join(map(str, SIZES))
        events = await transport_dial("ws", ours.public_key, ours.addresses[0].where, "--sizes", sizes)
        assert [event["event"] for event in events] == ["peer", *["echoed"] * len(SIZES), "pong", "ended"], events
        assert all(event["same"] for event in events if event["event"] == "echoed")
        assert (events[-1]["by"], events[-1]["reason"], events[-1]["error"]) == ("us", 0, "")


@pytest.mark.usefixtures("transportpeer")
@pytest.mark.parametrize(
    ("fault", "heard"),
    [
        ("ping", "the node has answered the ping"),
        ("no-protocol", "status code 101 but got 400"),
        ("origin", "status code 101 but got 403"),
        ("text", "StatusUnsupportedData"),
    ],
)
async def test_go_hears_what_it_did_wrong(fault: str, heard: str) -> None:
    async with node("ws", "127.0.0.1") as ours:
        events = await transport_dial("ws", ours.public_key, ours.addresses[0].where, "--fault", fault)
        assert heard in events[-1]["error"], events


# npm's ws, between two of our nodes


@asynccontextmanager
async def through_a_server(host: str, target: Node, files: Files | None) -> AsyncIterator[tuple[Any, Address, WsTransport]]:
    """Our client <-> the server of npm's ws <-> TCP."""
    secure = () if files is None else ("--certificate", str(files.certificate), "--key", str(files.private_key))
    async with websocket_relay("serve", "--to", target.addresses[0].where, "--host", host, *secure) as (relay, port):
        yield (
            relay,
            Address("ws" if files is None else "wss", host, port),
            WsTransport(authorities=None if files is None else files.authority),
        )


@pytest.mark.usefixtures("websocket")
@pytest.mark.parametrize("scheme", ["ws", "wss"])
@HOSTS
async def test_we_dial_the_server_of_npm(host: str, scheme: str, tmp_path: Path) -> None:
    files = certified(tmp_path, host) if scheme == "wss" else None
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(node("tcp", host))
        relay, address, transport = await stack.enter_async_context(through_a_server(host, target, files))
        async with node("tcp", host, TcpTransport(), transport) as ours:
            peer = await ours.connect(NodeRecord(target.public_key, (address,)))
            assert (await relay.event("open"))["protocol"] == SUBPROTOCOL
            assert relay.seen("open", extensions="")
            await relay.event("pong")
            await echo_all(peer, scheme)
            peer.disconnect()
            await ended(peer)
            closed = await relay.event("closed")
            assert (closed["code"], closed["largest"]) == (1000, 2**15)
            assert not relay.seen("failed")


@pytest.mark.usefixtures("websocket")
@pytest.mark.parametrize(("scheme", "frame"), [("ws", None), ("ws", 1000), ("wss", 70_000)])
@HOSTS
async def test_the_client_of_npm_dials_us(host: str, scheme: str, frame: int | None, tmp_path: Path) -> None:
    files = certified(tmp_path, host)
    listening = WsTransport(certificate=files.certificate, private_key=files.private_key)
    async with node(scheme, host, listening) as target:
        how = ("--to", f"{scheme}://{target.addresses[0].where}", "--host", host, "--authority", str(files.authority))
        cut = () if frame is None else ("--frame", str(frame))
        async with websocket_relay("dial", *how, *cut) as (relay, port), node("tcp", host) as ours:
            peer = await ours.connect(NodeRecord(target.public_key, (Address("tcp", host, port),)))
            assert await relay.event("open") == {"event": "open", "protocol": SUBPROTOCOL, "extensions": ""}
            await relay.event("pong")
            await echo_all(peer, "tcp")
            (theirs,) = target.connected
            assert (theirs.link.transport, theirs.link.remote.host) == (scheme, host)
            peer.disconnect()
            await ended(peer)
            assert (await relay.event("closed"))["code"] == 1000
            assert not relay.seen("failed")


# HAProxy, where the TLS of wss ends

PROXY = """
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout tunnel 1h
    option forwardfor
frontend wss
    bind fd@{listening} ssl crt {pem} alpn http/1.1
    default_backend node
backend node
    server node {node}
"""


@asynccontextmanager
async def proxy(host: str, files: Files, node: Address, folder: Path) -> AsyncIterator[Address]:
    """A reverse proxy with the certificate, and a node behind it."""
    program = debian.PROGRAMS["haproxy"].path()
    assert program is not None, "not installed: haproxy; run `python tests/interop/build.py haproxy`, or `make interop`"
    (folder / "both.pem").write_bytes(files.certificate.read_bytes() + files.private_key.read_bytes())
    (listener,) = await trio.open_tcp_listeners(0, host=host)
    with listener.socket as listening:
        descriptor, port = listening.fileno(), listening.getsockname()[1]
        (folder / "haproxy.cfg").write_text(PROXY.format(listening=descriptor, pem=folder / "both.pem", node=node.where))
        command = [program, "-db", "-q", "-f", str(folder / "haproxy.cfg")]
        async with trio.open_nursery() as nursery:
            process = await nursery.start(partial(trio.run_process, command, pass_fds=(descriptor,), check=False))
            try:
                yield Address("wss", host, port)
            finally:
                process.terminate()


@HOSTS
async def test_a_reverse_proxy_ends_the_tls(host: str, tmp_path: Path) -> None:
    """What it says of where callers come from is not believed: they count as the proxy."""
    files = certified(tmp_path, host)
    transport = WsTransport(authorities=files.authority)
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(node("ws", host))
        address = await stack.enter_async_context(proxy(host, files, target.addresses[0], tmp_path))
        ours = await stack.enter_async_context(node("tcp", host, TcpTransport(), transport))
        peer = await ours.connect(NodeRecord(target.public_key, (address,)))
        await echo_all(peer, "wss")
        (theirs,) = target.connected
        assert (theirs.link.transport, theirs.link.remote.host) == ("ws", host)
        peer.disconnect()
        assert (await ended(theirs)).by_remote


async def test_a_reverse_proxy_without_a_node_behind_it_is_an_error_that_says_so(tmp_path: Path) -> None:
    files = certified(tmp_path, "127.0.0.1")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        nowhere = Address("ws", "127.0.0.1", taken.getsockname()[1])
    async with proxy("127.0.0.1", files, nowhere, tmp_path) as address:
        with pytest.raises(HandshakeError, match="no WebSocket: the answer has the status 503"):
            await WsTransport(authorities=files.authority).dial(address, expect=None)


# Chromium

ECHO = """async ([url, protocol, sizes]) => {
  const socket = new WebSocket(url, protocol);
  socket.binaryType = "arraybuffer";
  const closed = new Promise((resolve) => { socket.onclose = (event) => resolve(event.code); });
  const open = await new Promise((resolve) => { socket.onopen = () => resolve(true); socket.onerror = () => resolve(false); });
  if (!open) return { closed: await closed };
  const got = [];
  for (const size of sizes) {
    const sent = new Uint8Array(size).map((_, at) => (at * 7 + size) % 251);
    let left = size, same = true;
    const all = new Promise((resolve) => {
      socket.onmessage = ({ data }) => {
        const at = size - left;
        same &&= new Uint8Array(data).every((byte, place) => byte === sent[at + place]);
        left -= data.byteLength;
        if (left <= 0) resolve();
      };
    });
    socket.send(sent);
    await all;
    got.push(same && left === 0);
  }
  socket.close(1000);
  return { got, extensions: socket.extensions, protocol: socket.protocol, closed: await closed };
}"""

RELAY = """async ([first, second, protocol]) => {
  const sockets = [new WebSocket(first, protocol), new WebSocket(second, protocol)];
  const ends = sockets.map((socket, place) => {
    const other = sockets[1 - place];
    const ready = new Promise((resolve) => { other.addEventListener("open", resolve); });
    socket.binaryType = "arraybuffer";
    socket.onmessage = async ({ data }) => { await ready; other.send(data); };
    return new Promise((resolve) => { socket.onclose = ({ code }) => { other.close(); resolve(code); }; });
  });
  return await Promise.all(ends);
}"""


def in_chromium(script: str, arguments: list[Any]) -> Any:
    with browsing.chromium() as browser:
        return browser.new_page().evaluate(script, arguments)


@asynccontextmanager
async def listening(transport: WsTransport, host: str, serve: Callable[[Link], Any]) -> AsyncIterator[Address]:
    """Let `serve` have the links that come."""
    listener = await transport.bind(Address("ws", host, 0))
    async with trio.open_nursery() as nursery:

        async def take(arrival: Any) -> None:
            assert isinstance(arrival, Incoming)
            await arrival.hear()
            nursery.start_soon(serve, await arrival.upgrade())

        nursery.start_soon(listener.serve, take)
        yield listener.addresses[0]
        nursery.cancel_scope.cancel()


@HOSTS
async def test_chromium_exchanges_bytes_with_us(host: str) -> None:
    ends: list[str] = []

    async def echo(link: Link) -> None:
        assert isinstance(link, ByteLink)
        async for data in link.stream:
            await link.stream.send_all(data)
        ends.append("close")
        await link.stream.aclose()

    async with listening(WsTransport(origins=["null"]), host, echo) as address:
        found = await trio.to_thread.run_sync(partial(in_chromium, ECHO, [str(address), SUBPROTOCOL, SIZES]))
    assert found == {"got": [True] * len(SIZES), "extensions": "", "protocol": SUBPROTOCOL, "closed": 1000}
    assert ends == ["close"]


async def test_a_page_in_chromium_cannot_call_a_node_by_default() -> None:
    async with node("ws", "127.0.0.1") as ours:
        found = await trio.to_thread.run_sync(partial(in_chromium, ECHO, [str(ours.addresses[0]), SUBPROTOCOL, [1]]))
        assert found == {"closed": 1006}


async def test_a_session_runs_through_a_page_in_chromium() -> None:
    """The page passes on what two WebSockets of ours say, which is a session of RLPx between them."""
    sessions: list[str] = []
    local = local_node(PrivateKey.generate(), [Echoing()], dpx=False)
    async with node("ws", "127.0.0.1", WsTransport(origins=["*"])) as ours:

        async def call(link: Link) -> None:
            assert isinstance(link, ByteLink)
            link.initiator = True
            session = await open_session(link, local, expect=ours.public_key)
            sessions.append(session.hello.client_id)
            await session.refuse(8)

        async with listening(WsTransport(origins=["*"]), "127.0.0.1", call) as address:
            script = partial(in_chromium, RELAY, [str(ours.addresses[0]), str(address), SUBPROTOCOL])
            assert await trio.to_thread.run_sync(script) == [1000, 1000]
        assert sessions == ["ours/v1"]
