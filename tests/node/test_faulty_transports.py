"""Transports that raise what they may not: a stranger who finds out how is not to end the node."""

import logging
from collections.abc import Callable

import pytest
import trio
from trio.abc import HalfCloseableStream

from devp2p import Address, PeerRefused, PrivateKey, PublicKey, open_node
from devp2p.errors import HandshakeError
from devp2p.transports import ByteLink, Link, Listener, MemoryTransport, OnLink
from tests.chat import Chat

AT = Address("faulty", "127.0.0.1", 1)
FAULTS: list[Callable[[], Exception]] = [
    lambda: OSError(24, "Too many open files"),
    lambda: ValueError("a fault"),
    lambda: ExceptionGroup("of a nursery", [trio.BrokenResourceError("the peer is gone")]),
]


class Arriving:
    """An `Incoming` that fails."""

    local = remote = AT

    def __init__(self, fault: Exception, *, hears: bool) -> None:
        self._fault, self._hears = fault, hears
        self.closed = False

    async def hear(self) -> bool:
        if not self._hears:
            raise self._fault
        return True

    async def upgrade(self) -> Link:
        raise self._fault

    async def aclose(self) -> None:
        self.closed = True


class Faulty:
    """A transport at which these arrive, and its listener."""

    schemes = frozenset({AT.scheme})
    addresses = (AT,)

    def __init__(self, *arriving: Arriving) -> None:
        self._arriving = arriving

    async def dial(self, address: Address, *, expect: object) -> Link:
        raise NotImplementedError

    async def bind(self, address: Address) -> Listener:  # noqa: ARG002
        return self

    async def serve(self, on_link: OnLink) -> None:
        await trio.sleep(1)  # until somebody listens to the news
        for one in self._arriving:
            await on_link(one)
        await trio.sleep_forever()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("hears", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_link_whose_transport_fails_ends_alone(
    fault: Callable[[], Exception],
    hears: bool,  # noqa: FBT001
    caplog: pytest.LogCaptureFixture,
) -> None:
    arriving = [Arriving(fault(), hears=hears) for _ in range(2)]
    caplog.set_level(logging.ERROR)
    refused: list[PeerRefused] = []
    async with open_node(PrivateKey.generate(), [], listen=[AT], transports=[Faulty(*arriving)]) as node:
        events = node.events()
        with trio.fail_after(5):
            while len(refused) < 2:
                event = await anext(events)
                assert isinstance(event, PeerRefused)
                refused.append(event)
    assert all(isinstance(event.error, HandshakeError) for event in refused)
    assert all(one.closed for one in arriving)
    assert len(caplog.records) == (0 if isinstance(fault(), OSError) else 1)  # it is told once


async def test_a_strict_node_ends_by_it() -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="a fault")):
        async with open_node(PrivateKey.generate(), [], listen=[AT], transports=[Faulty(Arriving(FAULTS[1](), hears=True))], strict=True):
            await trio.sleep_forever()


class Breaking(HalfCloseableStream):
    """A stream that fails as no stream may, once it is told to."""

    def __init__(self, stream: HalfCloseableStream, breaks: trio.Event) -> None:
        self._stream, self._breaks = stream, breaks

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self._fail()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._fail()
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _fail(self) -> None:
        if self._breaks.is_set():
            raise KeyError("a fault within the transport")


class BreakingTransport(MemoryTransport):
    """Its streams, for whoever dials."""

    def __init__(self, network: MemoryTransport, breaks: trio.Event) -> None:
        super().__init__(network)
        self._breaks = breaks

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
        link = await super().dial(address, expect=expect)
        link.stream = Breaking(link.stream, self._breaks)
        return link


@pytest.mark.parametrize("strict", [False, True])
async def test_a_session_whose_stream_fails_ends_alone_unless_the_node_is_strict(strict: bool) -> None:  # noqa: FBT001
    network, breaks, ended = MemoryTransport(), trio.Event(), False
    async with open_node(PrivateKey.generate(), [Chat()], listen=["memory://here"], transports=[network]) as called:
        try:
            async with open_node(PrivateKey.generate(), [Chat()], transports=[BreakingTransport(network, breaks)], strict=strict) as node:
                peer = await node.connect(called.record)
                breaks.set()
                await trio.sleep(30)  # there are Pings by then
                assert peer.ended is not None
                assert not node.connected
        except BaseExceptionGroup as group:
            ended = group.subgroup(KeyError) is not None
    assert ended is strict
