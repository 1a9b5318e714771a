"""Transports that raise what they may not: a stranger who finds out how is not to end the node."""

import logging
from collections.abc import Callable

import pytest
import trio

from devp2p import Address, PeerRefused, PrivateKey, open_node
from devp2p.errors import HandshakeError
from devp2p.transports import Link, Listener, OnLink

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
