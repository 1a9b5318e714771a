"""WebSocket as a transport: the byte stream, against wsproto and trio's own check of streams; nodes over ws and wss; what is refused."""

from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import check_half_closeable_stream, memory_stream_pair
from wsproto.connection import Connection as WsprotoConnection
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong
from wsproto.utilities import generate_accept_token

from devp2p import Address, DialError, HandshakeError, PrivateKey, open_node
from devp2p.transports import Carriers, Incoming, TcpTransport, Transport
from devp2p.transports.tls import TlsTransport
from devp2p.transports.ws import MOST_HEAD, SUBPROTOCOL, WsTransport
from devp2p.transports.ws_frames import SENT_FRAME, Code, FrameReader, FrameWriter, masked
from devp2p.transports.ws_stream import WsStream
from tests.chat import Blob, Chat, chat
from tests.transports.authority import certified

KEY = PrivateKey.generate()
HOSTS = ["127.0.0.1", "::1"]
CHUNKS = st.lists(st.binary(max_size=300) | st.sampled_from([125, 126, 65535, 65536, SENT_FRAME, SENT_FRAME + 1]).map(bytes), max_size=4)
KINDS = {True: ConnectionType.CLIENT, False: ConnectionType.SERVER}


async def pair() -> tuple[WsStream, WsStream]:
    left, right = memory_stream_pair()
    return WsStream(left, is_client=True), WsStream(right, is_client=False)


async def test_trio_finds_no_fault_with_the_stream() -> None:
    await check_half_closeable_stream(pair, None)


@given(st.binary(max_size=2000), st.binary(min_size=4, max_size=4))
def test_masks_are_those_of_the_rfc(data: bytes, key: bytes) -> None:
    assert bytes(masked(data, key)) == bytes(byte ^ key[place % 4] for place, byte in enumerate(data))


@settings(max_examples=30)
@given(CHUNKS, st.booleans())
def test_wsproto_reads_what_we_write(chunks: list[bytes], is_client: bool) -> None:  # noqa: FBT001  (Hypothesis)
    writer, wsproto = FrameWriter(is_client=is_client), WsprotoConnection(KINDS[not is_client])
    for chunk in chunks:
        wsproto.receive_data(bytes(writer.pong(b"here") + writer.data(memoryview(chunk), bytearray())))
        events = [*wsproto.events()]
        assert events[0] == Pong(payload=b"here")
        assert b"".join(event.data for event in events if isinstance(event, BytesMessage)) == chunk
    wsproto.receive_data(bytes(writer.close(Code.NORMAL, bytearray())))
    assert [event.code for event in wsproto.events() if isinstance(event, CloseConnection)] == [1000]


@settings(max_examples=30)
@given(CHUNKS, st.booleans(), st.data())
def test_we_read_what_wsproto_writes(chunks: list[bytes], is_client: bool, data: Any) -> None:  # noqa: FBT001  (Hypothesis)
    """However its messages are split into frames, and its bytes into pieces."""
    reader, wsproto = FrameReader(is_client=is_client), WsprotoConnection(KINDS[not is_client])
    sent = bytearray()
    for chunk in chunks:
        sent += wsproto.send(Ping(payload=b"there?"))
        cut = data.draw(st.integers(0, len(chunk)))
        for part, finished in ((chunk[:cut], False), (chunk[cut:], True)):
            sent += wsproto.send(Message(data=part, message_finished=finished))
    sent += wsproto.send(CloseConnection(code=1001, reason="gone")) + b"what is behind is ignored"
    taken, limit = bytearray(), data.draw(st.integers(1, 100_000))
    while sent:
        size = data.draw(st.sampled_from([1, 7, 50])) if len(sent) < 50 else 20 + len(sent) // 3
        reader.feed(sent[:size])
        del sent[:size]
        while not reader.is_hungry and not reader.is_closed:
            taken += reader.take(limit, 0)
    assert reader.is_closed
    assert reader.ping == (b"there?" if chunks else None)
    assert taken == b"".join(chunks)


async def test_who_has_sent_close_still_receives() -> None:
    left, right = await pair()
    await left.send_all(b"the last")
    await left.send_eof()
    assert await right.receive_some() == b"the last"
    assert await right.receive_some() == b""
    await right.send_all(b"and I")
    await right.send_eof()
    assert await left.receive_some(4) == b"and "
    assert await left.receive_some() == b"I"
    assert await left.receive_some() == b""
    with pytest.raises(trio.ClosedResourceError, match="Close was sent"):
        await left.send_all(b"more")


async def test_an_end_without_close_is_no_end_of_the_stream() -> None:
    left, right = memory_stream_pair()
    stream = WsStream(left, is_client=True)
    await right.send_all(FrameWriter(is_client=False).data(memoryview(b"ten bytes."), bytearray())[:-5])
    await right.send_eof()
    assert await stream.receive_some() == b"ten b"
    with pytest.raises(trio.BrokenResourceError, match="the peer hung up without a Close"):
        await stream.receive_some()


async def test_pings_are_answered_by_who_reads_and_by_who_writes() -> None:
    left, right = memory_stream_pair()
    stream, wsproto = WsStream(left, is_client=False), WsprotoConnection(ConnectionType.CLIENT)
    for payload in (b"1", b"2"):
        await right.send_all(wsproto.send(Ping(payload=payload)))
    with trio.move_on_after(1):
        await stream.receive_some()
    wsproto.receive_data(bytes(await right.receive_some()))
    assert [*wsproto.events()] == [Pong(payload=b"2")]  # the earlier one needs no answer

    blocked, pump = trio.Event(), left.send_stream.send_all_hook
    assert pump is not None

    async def slowly() -> None:
        await blocked.wait()
        await pump()

    left.send_stream.send_all_hook = slowly
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, b"data")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(stream.receive_some)
        await right.send_all(wsproto.send(Ping(payload=b"3")))
        await trio.testing.wait_all_tasks_blocked()
        blocked.set()
        await trio.testing.wait_all_tasks_blocked()
        wsproto.receive_data(bytes(await right.receive_some()))
        assert [*wsproto.events()] == [BytesMessage(data=b"data", frame_finished=True, message_finished=True), Pong(payload=b"3")]
        nursery.cancel_scope.cancel()


async def test_a_send_that_was_cancelled_leaves_nothing_behind_half_a_frame() -> None:
    left, _ = memory_stream_pair()
    left.send_stream.send_all_hook = trio.sleep_forever
    stream = WsStream(left, is_client=True)
    with trio.move_on_after(1):
        await stream.send_all(b"never")
    with pytest.raises(trio.BrokenResourceError, match="a frame was not written to its end"):
        await stream.send_all(b"more")


async def say_blobs(peer: Any, channel: Any) -> None:  # noqa: ARG001
    async for message in channel:
        await channel.send(message)


async def exchange(node_transport: WsTransport, caller: WsTransport, listen: list[Address], sizes: list[int]) -> list[Address]:
    """Let a node send back messages of these sizes, over each address; the addresses of its sessions."""
    echo, seen = chat(say_blobs), list[Address]()
    transports: list[Transport] = [TcpTransport(), node_transport]
    async with open_node(KEY, [echo], listen=listen, transports=transports, strict=True) as node:
        for address in node.addresses:
            done = trio.Event()

            async def ask(peer: Any, channel: Any, done: trio.Event = done) -> None:  # noqa: ARG001
                for size in sizes:
                    await channel.send(Blob(bytes(size)))
                    assert (await channel.receive()).data == bytes(size)
                done.set()

            async with open_node(PrivateKey.generate(), [chat(ask)], transports=[TcpTransport(), caller], strict=True) as other:
                peer = await other.connect(f"{address.scheme}://{bytes(KEY.public_key).hex()}@{address.where}")
                await done.wait()
                assert (peer.link.transport, peer.link.native_auth, peer.link.native_mux) == (address.scheme, False, False)
                seen.append(peer.link.remote)
        assert {address.port for address in node.addresses} == {node.addresses[0].port}
    return seen


@pytest.mark.real_clock
@pytest.mark.parametrize("host", HOSTS)
async def test_nodes_meet_over_ws_wss_and_tcp_at_one_port(host: str, tmp_path: Path) -> None:
    files = certified(tmp_path, *HOSTS)
    node = WsTransport(certificate=files.certificate, private_key=files.private_key)
    listen = [Address(scheme, host, 0) for scheme in ("tcp", "ws", "wss")]
    seen = await exchange(node, WsTransport(authorities=files.authority), listen, [1, 2**10, 2**20])
    assert [address.scheme for address in seen] == ["tcp", "ws", "wss"]


@pytest.mark.real_clock
@pytest.mark.parametrize("host", HOSTS)
async def test_tls_of_nodes_shares_the_port_with_ws_but_not_with_wss(host: str, tmp_path: Path) -> None:
    at = [Address(scheme, host, 0) for scheme in ("tcp", "tls", "ws")]
    async with open_node(KEY, [Chat()], listen=at, strict=True) as node:
        assert {address.port for address in node.addresses} == {node.addresses[0].port}
        for address in node.addresses:
            async with open_node(PrivateKey.generate(), [Chat()], strict=True) as other:
                peer = await other.connect(f"{address.scheme}://{bytes(KEY.public_key).hex()}@{address.where}")
                assert (peer.link.transport, peer.link.native_auth) == (address.scheme, address.scheme == "tls")
    files = certified(tmp_path, host)
    listening = WsTransport(certificate=files.certificate, private_key=files.private_key)
    async with AsyncExitStack() as stack:
        with pytest.raises(ValueError, match="wss and tls cannot share a port, as they begin alike"):
            await Carriers([TlsTransport(KEY), listening]).bind_all([Address("tls", host, 0), Address("wss", host, 0)], stack)


@pytest.mark.real_clock
async def test_the_certificate_of_a_stranger_is_not_trusted(tmp_path: Path) -> None:
    files = certified(tmp_path, "127.0.0.1")
    node = WsTransport(certificate=files.certificate, private_key=files.private_key)
    async with open_node(KEY, [Chat()], listen=["wss://127.0.0.1:0"], transports=[node]) as listening:
        port = listening.addresses[0].port
        for caller, host, reason in (
            (WsTransport(), "127.0.0.1", "self-signed certificate|unable to get local issuer"),
            (WsTransport(authorities=files.authority), "localhost", "[Hh]ostname mismatch"),
        ):
            async with open_node(PrivateKey.generate(), [Chat()], transports=[caller]) as other:
                with pytest.raises(DialError, match=f"the certificate of {host} is not to be trusted: .*({reason})"):
                    await other.connect(f"wss://{bytes(KEY.public_key).hex()}@{host}:{port}")


@pytest.mark.real_clock
@pytest.mark.parametrize("host", HOSTS)
async def test_what_is_no_tls_is_no_wss(host: str, tmp_path: Path) -> None:
    files = certified(tmp_path, host)
    node = WsTransport(certificate=files.certificate, private_key=files.private_key)
    problems: list[str] = []

    async def take(incoming: Any) -> None:
        try:
            await incoming.hear()
            await incoming.upgrade()
        except HandshakeError as error:
            problems.append(str(error))
        await incoming.aclose()

    listener = await node.bind(Address("wss", host, 0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, take)
        for data in (b"\x16\x03\x01\0\x05hello", b"GET / HTTP/1.1\r\n\r\n"):
            async with await trio.open_tcp_stream(host, listener.addresses[0].port or 0) as stream:
                await stream.send_all(data)
                with suppress(trio.BrokenResourceError):
                    while await stream.receive_some():
                        pass
        nursery.cancel_scope.cancel()
    assert problems[0].startswith("no TLS: ")
    assert problems[1] == "a connection begins with the byte 0x47, which is no beginning of wss"


async def test_to_listen_for_wss_takes_a_certificate(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(ValueError, match="takes a certificate and its private key: WsTransport"):
            await Carriers([WsTransport()]).bind_all([Address("wss", "127.0.0.1", 0)], stack)
    with pytest.raises(ValueError, match="certificate and private_key go together"):
        WsTransport(certificate=tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        WsTransport(certificate=tmp_path / "x", private_key=tmp_path / "y")
    (tmp_path / "x").write_text("nothing")
    with pytest.raises(ValueError, match="are no certificate and its private key in PEM"):
        WsTransport(certificate=tmp_path / "x", private_key=tmp_path / "x")


# The opening handshake

HEADERS = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": f"other, {SUBPROTOCOL}",
}


def request(line: str = "GET / HTTP/1.1", **changed: str | None) -> bytes:
    """A request for a WebSocket; of `changed` headers, ``_`` stands for ``-``, and None leaves one out."""
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changed.items()}
    return "\r\n".join([line, *(f"{name}: {value}" for name, value in headers.items() if value is not None), "", ""]).encode("latin-1")


async def answered(asked: bytes, transport: WsTransport | None = None, *, whole: bool = True) -> tuple[bytes, str]:
    """What is answered to a request, and what is the matter with it."""
    async with AsyncExitStack() as stack:
        (listener,) = await Carriers([transport or WsTransport()]).bind_all([Address("ws", "127.0.0.1", 0)], stack)
        send, receive = trio.open_memory_channel[Any](1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.serve, send.send)
            async with await trio.open_tcp_stream("127.0.0.1", listener.addresses[0].port or 0) as stream:
                await stream.send_all(asked)
                if not whole:
                    await stream.send_eof()
                incoming = await receive.receive()
                assert isinstance(incoming, Incoming)
                problem = ""
                try:
                    assert await incoming.hear() is False
                    link = await incoming.upgrade()
                    assert link.remote.scheme == "ws"
                except (HandshakeError, trio.BrokenResourceError) as error:
                    problem = str(error)
                answer = b"" if problem.startswith("the peer hung up") else bytes(await stream.receive_some())
                await incoming.aclose()
            nursery.cancel_scope.cancel()
    return answer, problem


@pytest.mark.real_clock
@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "GET /any/path?x=1 HTTP/1.1", "GET http://example.org/ HTTP/1.1"])
async def test_a_request_on_any_path_is_answered(line: str) -> None:
    answer, problem = await answered(request(line, Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"))
    assert not problem
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer  # of the example in the RFC
    assert f"sec-websocket-protocol: {SUBPROTOCOL}".encode() in answer.lower()
    assert b"extensions" not in answer.lower()


REFUSED: dict[str, tuple[bytes, int, str]] = {
    "post": (request("POST / HTTP/1.1").replace(b"POST", b"GETS"), 400, "not the beginning of a WebSocket"),
    "no request": (b"GET what\r\n\r\n", 400, "Bad HTTP message"),
    "page": (request(Upgrade=None, Connection=None), 400, "Connection: Upgrade"),
    "version": (request(Sec_WebSocket_Version="8"), 426, "Sec-WebSocket-Version"),
    "key": (request(Sec_WebSocket_Key="c2hvcnQ="), 400, "not 16 bytes in Base64"),
    "no key": (request(Sec_WebSocket_Key="no base64"), 400, "not 16 bytes in Base64"),
    "protocol": (request(Sec_WebSocket_Protocol="chat"), 400, "does not offer devp2p.1"),
    "origin": (request(Origin="http://127.0.0.1"), 403, "pages of this origin may not connect"),
    "null origin": (request(Origin="null"), 403, "pages of this origin may not connect"),
    "not ASCII": (request(Connection="Upgräde"), 400, "headers that are not ASCII"),
    "not a host": (request(Host="xn--\x7f\x01"), 400, "headers that are not ASCII"),
    "not IDNA": (request(Host="xn--0.xn--99999999"), 400, "headers that are not ASCII"),
    "behind it": (request() + b"GET / HTTP/1.1\r\n", 400, "16 bytes behind a request that has not been answered"),
    "large": (request(X="x" * MOST_HEAD), 431, "more than 8192 bytes of headers"),
    "many": (b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 4000, 431, "more than 8192 bytes of headers"),
    "body": (request(Content_Length="5") + b"hello", 400, "5 bytes behind a request"),
}


@pytest.mark.real_clock
@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_request_of_a_node_is_refused_with_a_status(name: str) -> None:
    asked, status, expected = REFUSED[name]
    answer, problem = await answered(asked)
    assert expected in problem
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.real_clock
async def test_pages_of_some_origins_may_connect() -> None:
    asked = request(Origin="https://example.org")
    for origins, refused in ((["https://example.org"], False), (["*"], False), (["https://example.com"], True)):
        _, problem = await answered(asked, WsTransport(origins=origins))
        assert bool(problem) is refused


@pytest.mark.real_clock
async def test_half_a_request_is_none() -> None:
    assert await answered(request()[:-1], whole=False) == (b"", "the peer hung up in its HTTP headers")


GREETING = b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"


def agreed(asked: bytes, more: bytes = b"") -> bytes:
    """An answer to a request for a WebSocket that has the right key."""
    key = asked.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
    return GREETING + b"Sec-WebSocket-Accept: " + generate_accept_token(key) + b"\r\n" + more + b"\r\n"


ANSWERS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "not found": (lambda _: b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "the answer has the status 404"),
    "a node of RLPx": (lambda _: b"\x01\x02\x03\x04\x05\x06", "this is not HTTP/1.1"),
    "another key": (
        lambda _: b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
        "accept token",
    ),
    "another WebSocket": (agreed, "it does not speak devp2p.1"),
    "compression": (lambda asked: agreed(asked, b"Sec-WebSocket-Extensions: permessage-deflate\r\n"), "unrecognized extension"),
    "early hints": (lambda _: b"HTTP/1.1 103 Early Hints\r\n\r\n", "the answer has the status 103"),
    "no end": (lambda _: b"HTTP/1.1 101 x\r\n" + b"a: b\r\n" * 2000, "more than 8192 bytes of headers"),
}


@pytest.mark.real_clock
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_that_is_none_is_a_handshake_error(name: str) -> None:
    answer, expected = ANSWERS[name]

    async def serve(stream: trio.SocketStream) -> None:
        await stream.send_all(answer(bytes(await stream.receive_some())))
        await stream.receive_some()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        with pytest.raises(HandshakeError, match=expected):
            await WsTransport().dial(Address("ws", "127.0.0.1", listener.socket.getsockname()[1]), expect=None)
        nursery.cancel_scope.cancel()
