"""Rows T30 to T36 of THREATS.md: what strangers may try by WebSocket.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import gc
import random
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from math import inf

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import memory_stream_pair
from wsproto import WSConnection
from wsproto.connection import Connection as WsprotoConnection
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, Request
from wsproto.extensions import PerMessageDeflate

from devp2p import Address, HandshakeError, Limits, Node, PrivateKey, open_node
from devp2p.transports import ByteLink, Connection, ws, ws_frames
from devp2p.transports.ws import MOST_HEAD, WsTransport
from devp2p.transports.ws_frames import MOST_FRAME, SMALL_FRAMES, Code, FrameError, FrameReader, FrameWriter, masked
from devp2p.transports.ws_stream import WsStream
from tests.chat import Chat
from tests.transports.test_ws import request

KEY = PrivateKey.generate()
ZERO = bytes(4)
"""A mask that changes nothing."""


async def asked(data: bytes, transport: WsTransport | None = None) -> tuple[WsStream | None, bytes]:
    """Ask for a WebSocket in these words, and no more: the stream if there is one, and what is answered."""
    left, right = memory_stream_pair()
    at = Address("ws", "127.0.0.1", 1)
    await left.send_all(data)
    await left.send_eof()
    stream: WsStream | None = None
    with suppress(HandshakeError, trio.BrokenResourceError):
        link = await (transport or WsTransport()).respond(Connection(right, at, at))
        assert isinstance(link, ByteLink)
        assert isinstance(link.stream, WsStream)
        stream = link.stream
    answer = left.receive_stream._incoming._data
    return stream, bytes(answer)


def frame(first: int, size: int, payload: bytes = b"", *, mask: bytes = ZERO) -> bytes:
    """A masked frame with any first byte, which announces so many bytes."""
    width = 0 if size < 126 else 2 if size < 2**16 else 8
    head = bytes([first, 0x80 | (size if not width else 126 if width == 2 else 127)]) + (size.to_bytes(width, "big") if width else b"")
    return head + mask + bytes(masked(payload, mask))


def read(data: bytes, *, step: int = 2**16, now: float = 0) -> bytes:
    """What a server takes of these bytes; FrameError if they break a rule."""
    reader, taken = FrameReader(is_client=False), bytearray()
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
        while not reader.is_hungry and not reader.is_closed:
            taken += reader.take(2**16, now)
    return bytes(taken)


# T30: headers that are slow, large, many, or anything at all


async def honest(node: Node, within: float) -> bool:
    """Whether somebody else gets in meanwhile."""
    async with open_node(PrivateKey.generate(), [Chat()]) as other:
        with trio.move_on_after(within):
            await other.connect(f"ws://{bytes(KEY.public_key).hex()}@{node.addresses[0].where}")
            return True
    return False


async def slow(host: str, within: float) -> bool:
    """Whether an honest node gets in while thirty requests are begun and never finished, and there are two places."""
    limits = Limits(pending_inbound=2, unheard_inbound=20, crowded_timeout=200, handshake_timeout=200, limit_local_addresses=False)
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(open_node(KEY, [Chat()], listen=[f"ws://{host}:0"], limits=limits))
        for _ in range(30):
            stream = await stack.enter_async_context(await trio.open_tcp_stream(host.strip("[]"), node.addresses[0].port or 0))
            await stream.send_all(request()[:-2])
        return await honest(node, within)


@pytest.mark.real_clock
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_t30_requests_that_never_end_have_no_place_and_keep_nobody_out(host: str) -> None:
    assert await slow(host, 100)


@pytest.mark.real_clock
async def test_t30_control_where_they_have_a_place_they_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WsTransport, "costs", lambda *_: True)
    assert not await slow("127.0.0.1", 0.5)


async def test_t30_headers_have_eight_kilobytes() -> None:
    for data in (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 10**5, b"GET /" + b"x" * 10**6, request(X="y" * MOST_HEAD)):
        stream, answer = await asked(data)
        assert stream is None
        assert answer.startswith(b"HTTP/1.1 431 ")


async def test_t30_control_without_the_bound_a_megabyte_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws, "MOST_HEAD", 2**21)
    _, answer = await asked(b"GET / HTTP/1.1\r\nx: " + b"y" * 10**6 + b"\r\n\r\n")
    assert not answer.startswith(b"HTTP/1.1 431 ")


async def test_t30_a_request_that_takes_ten_seconds_is_over() -> None:
    left, right = memory_stream_pair()
    at = Address("ws", "127.0.0.1", 1)
    await left.send_all(b"GET ")
    with pytest.raises(HandshakeError, match="no whole request for a WebSocket came within 10 s"):
        await WsTransport().respond(Connection(right, at, at))


@pytest.mark.parametrize("wanted", [1, 2048])
async def test_t30_of_what_comes_behind_the_upgrade_no_more_is_kept_than_is_wanted(wanted: int) -> None:
    left, right = memory_stream_pair()
    stream = WsStream(right, is_client=False)
    await left.send_all(frame(0x82, 100_000, bytes(100_000)))
    assert len(await stream.receive_some(wanted)) <= wanted
    assert len(right.receive_stream._incoming._data) >= 100_000 - wanted


WORDS = st.sampled_from(
    [b"GET ", b"/", b" HTTP/1.1\r\n", b"\r\n", b"\r\n\r\n", b":", b"Host", b"Upgrade: websocket", b"xn--\xff", b"\0", b","]
)


@settings(max_examples=40)
@given(st.lists(WORDS | st.binary(max_size=20)).map(b"".join), st.integers(0, 400), st.booleans())
def test_t30_whatever_is_asked_the_answer_is_a_websocket_or_an_error_of_ours(junk: bytes, at: int, whole: bool) -> None:  # noqa: FBT001
    good = request()

    async def ask() -> None:
        for data in (b"GET " + junk, good[:at] + junk + (good[at:] if whole else b"\r\n\r\n")):
            await asked(data)

    trio.run(ask)


# T31: frames that announce more than comes


@pytest.mark.parametrize("size", [2**64 - 1, 2**63, 2**63 - 1, 2**40, MOST_FRAME + 1])
def test_t31_no_frame_announces_more_than_sixteen_mebibytes(size: int) -> None:
    with pytest.raises(FrameError, match=f"a frame of {size} bytes") as caught:
        read(frame(0x82, size))
    assert caught.value.code == Code.TOO_BIG


def test_t31_control_without_the_bound_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_frames, "MOST_FRAME", inf)
    assert read(frame(0x82, 2**63, b"x" * 100)) == b"x" * 100


def kept(make: Callable[[], object]) -> int:
    """Bytes that something keeps."""
    gc.collect()
    tracemalloc.start()
    try:
        keeps = make()
        gc.collect()
        size = tracemalloc.get_traced_memory()[0]
        del keeps
        return size
    finally:
        tracemalloc.stop()


def test_t31_a_frame_costs_what_of_it_has_come() -> None:
    def begun() -> list[FrameReader]:
        readers = [FrameReader(is_client=False) for _ in range(100)]
        for reader in readers:
            reader.feed(frame(0x82, MOST_FRAME, b"x" * 100))
            assert reader.take(2**16, 0) == b"x" * 100
        return readers

    assert kept(begun) < 100 * 2**12


def test_t31_control_who_sets_aside_what_is_announced_pays_for_it() -> None:
    assert kept(lambda: bytearray(MOST_FRAME)) > 2**23


# T32: frames with next to nothing in them

FLOODS: dict[str, bytes] = {
    "one byte": frame(0x82, 1, b"x"),
    "fragments": frame(0x02, 1, b"x") + frame(0x80, 1, b"y"),
    "nothing": frame(0x82, 0),
    "endless": frame(0x00, 0),
    "pings": frame(0x89, 125, b"x" * 125),
    "pongs": frame(0x8A, 0),
}


def flood(name: str, count: int) -> bytes:
    begun = frame(0x02, 0) if name == "endless" else b""
    return begun + FLOODS[name] * count


@pytest.mark.parametrize("name", FLOODS)
def test_t32_of_small_frames_four_thousand_may_come_at_once(name: str) -> None:
    read(flood(name, SMALL_FRAMES // 4))
    with pytest.raises(FrameError, match="too many frames with next to nothing in them") as caught:
        read(flood(name, SMALL_FRAMES + 300))
    assert caught.value.code == Code.POLICY


def test_t32_a_step_looks_at_some_hundred_of_them() -> None:
    reader = FrameReader(is_client=False)
    reader.feed(flood("one byte", 2000))
    assert 0 < len(reader.take(2**16, 0)) < 500
    assert not reader.is_hungry


@pytest.mark.parametrize("name", FLOODS)
def test_t32_control_without_the_bounds_one_step_takes_ten_thousand(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_frames, "SMALL_FRAMES", inf)
    monkeypatch.setattr(ws_frames, "_AT_ONCE", inf)
    reader = FrameReader(is_client=False)
    reader.feed(flood(name, 10_000))
    reader.take(2**20, 0)
    assert reader.is_hungry


def test_t32_honest_frames_are_not_counted() -> None:
    assert len(read(frame(0x82, 64, bytes(64)) * 10_000)) == 64 * 10_000


async def pinged(make: Callable[[trio.abc.HalfCloseableStream], Callable[[], object]]) -> int:
    """Bytes that wait to be sent when a thousand pings have come, and nothing of what is sent is taken."""
    left, right = memory_stream_pair()
    right.send_stream.send_all_hook = trio.sleep_forever
    serve = make(right)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)  # type: ignore[arg-type]
        for _ in range(10):
            await left.send_all(FLOODS["pings"] * 100)
        await trio.testing.wait_all_tasks_blocked()
        waiting = len(right.send_stream._outgoing._data)
        nursery.cancel_scope.cancel()
    return waiting


async def test_t33_only_the_last_ping_is_owed_an_answer() -> None:
    def ours(stream: trio.abc.HalfCloseableStream) -> Callable[[], object]:
        made = WsStream(stream, is_client=False)

        async def serve() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(made.send_all, b"what nobody takes")
                await trio.testing.wait_all_tasks_blocked()
                await made.receive_some()

        return serve

    assert await pinged(ours) < 200


async def test_t33_control_where_each_is_answered_the_answers_pile_up() -> None:
    def generous(stream: trio.abc.HalfCloseableStream) -> Callable[[], object]:
        wsproto = WsprotoConnection(ConnectionType.SERVER)

        async def serve() -> None:
            async for data in stream:
                wsproto.receive_data(bytes(data))
                for event in wsproto.events():
                    stream.send_stream._outgoing.put(wsproto.send(event.response()))  # type: ignore[attr-defined]

        return serve

    assert await pinged(generous) > 100_000


# T34: frames that are none, or of another kind

WRONG: dict[str, tuple[bytes, Code]] = {
    "unmasked": (b"\x82\x01x", Code.PROTOCOL_ERROR),
    "text": (frame(0x81, 4, b"text"), Code.UNSUPPORTED),
    "compressed": (frame(0xC2, 4, b"bomb"), Code.PROTOCOL_ERROR),
    "reserved": (frame(0xB2, 0), Code.PROTOCOL_ERROR),
    "opcode 3": (frame(0x83, 0), Code.PROTOCOL_ERROR),
    "opcode 11": (frame(0x8B, 0), Code.PROTOCOL_ERROR),
    "continues nothing": (frame(0x80, 0), Code.PROTOCOL_ERROR),
    "in another": (frame(0x02, 1, b"x") + frame(0x82, 1, b"y"), Code.PROTOCOL_ERROR),
    "ping in parts": (frame(0x09, 0), Code.PROTOCOL_ERROR),
    "large ping": (frame(0x89, 126, bytes(126)), Code.PROTOCOL_ERROR),
    "half a code": (frame(0x88, 1, b"x"), Code.PROTOCOL_ERROR),
    "length in two": (b"\x82\xfe\0\x01" + ZERO + b"x", Code.PROTOCOL_ERROR),
    "length in eight": (b"\x82\xff" + bytes(6) + b"\xff\xff" + ZERO, Code.PROTOCOL_ERROR),
    "RLPx": (bytes.fromhex("019d") + random.Random(1).randbytes(411), Code.UNSUPPORTED),
}


@pytest.mark.parametrize("name", WRONG)
async def test_t34_what_breaks_a_rule_ends_the_connection_with_its_code(name: str) -> None:
    data, code = WRONG[name]
    left, right = memory_stream_pair()
    stream = WsStream(right, is_client=False)
    await left.send_all(frame(0x82, 4, b"good") + data)
    with suppress(trio.BrokenResourceError):
        await stream.receive_some()
    with pytest.raises(trio.BrokenResourceError, match="the peer breaks the rules of WebSocket"):
        await stream.receive_some()
    assert await left.receive_some() == FrameWriter(is_client=False).close(code, bytearray())


def test_t34_control_who_looks_at_nothing_takes_text_of_a_proxy_for_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FrameReader, "_judge", lambda _, first, __: first & 0x0F)
    assert read(WRONG["text"][0]) == b"text"
    assert read(WRONG["compressed"][0]) == b"bomb"


@settings(max_examples=100)
@given(st.binary(max_size=100), st.booleans(), st.integers(1, 100))
@example(b"\x88\x80\0\0\0\0", False, 1)  # noqa: FBT003
def test_t34_whatever_comes_is_bytes_or_an_error(data: bytes, is_client: bool, step: int) -> None:  # noqa: FBT001  (Hypothesis)
    reader = FrameReader(is_client=is_client)
    with suppress(FrameError):
        for start in range(0, len(data), step):
            reader.feed(data[start : start + step])
            while not reader.is_hungry and not reader.is_closed:
                assert len(reader.take(2**16, 0)) <= len(data)


async def test_t35_compression_is_never_agreed_on_and_what_is_compressed_refused() -> None:
    stream, answer = await asked(request(Sec_WebSocket_Extensions="permessage-deflate, permessage-deflate; server_max_window_bits=10"))
    assert stream is not None
    assert b"extensions" not in answer.lower()
    with pytest.raises(FrameError, match="a frame of an extension, and there is none"):
        read(bomb())


def bomb() -> bytes:
    """A compressed message of 16 MiB."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = squeeze.compress(bytes(MOST_FRAME)) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    return frame(0xC2, len(data) - 4, data[:-4])


def test_t35_control_where_it_is_agreed_on_sixteen_kilobytes_become_sixteen_mebibytes() -> None:
    extension = PerMessageDeflate()
    extension.accept("permessage-deflate")
    generous = WsprotoConnection(ConnectionType.SERVER, [extension])
    data = bomb()
    assert len(data) < 2**15
    generous.receive_data(data)
    assert sum(len(event.data) for event in generous.events() if isinstance(event, BytesMessage)) == MOST_FRAME


# T36: pages of strangers, and what proxies say


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1", "null", "", "file://"])
async def test_t36_a_page_in_a_browser_is_refused(origin: str) -> None:
    stream, answer = await asked(request(Origin=origin))
    assert stream is None
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")


async def test_t36_control_where_all_origins_are_allowed_it_is_not() -> None:
    stream, _ = await asked(request(Origin="http://evil.example"), WsTransport(origins=["*"]))
    assert stream is not None


async def test_t36_what_is_sent_behind_a_request_is_refused() -> None:
    for behind in (b"GET /admin HTTP/1.1\r\n\r\n", frame(0x82, 4, b"soon"), b"\0"):
        stream, answer = await asked(request() + behind)
        assert stream is None
        assert answer.startswith(b"HTTP/1.1 400 ")


async def test_t36_control_wsproto_alone_keeps_it_for_what_comes_next() -> None:
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(request() + b"GET /admin HTTP/1.1\r\n\r\n")
    assert [type(event) for event in server.events()] == [Request]


@pytest.mark.parametrize("name", ["X_Forwarded_For", "Forwarded", "X_Real_IP"])
async def test_t36_where_a_caller_says_that_it_comes_from_is_not_believed(name: str) -> None:
    left, right = memory_stream_pair()
    at = Address("ws", "127.0.0.1", 1)
    await left.send_all(request(**{name: "192.0.2.1"}))
    link = await WsTransport().respond(Connection(right, at, at))
    assert link.remote == at
