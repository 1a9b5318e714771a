"""Links through a relay, for the conformance suite: a relay and, for each key, a node that has a session with it, all in a memory network.

What is tried is the transport that such a node's capability brings. A dial waits until whoever listens has a reservation, as nobody would
find it before.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from devp2p import Address, Link, NodeRecord, PrivateKey, PublicKey, open_node
from devp2p.capabilities.relay import Relay, RelayLimits, RelayTransport
from devp2p.capabilities.relay.transport import RelayListener
from devp2p.testing import MemoryTransport
from devp2p.transports import Transport

KEY: Final = PrivateKey.from_bytes(bytes([9]) * 32)
AT: Final = tuple(f"relay://{bytes(KEY.public_key).hex()}@{where}" for where in ("192.0.2.1:30303", "[2001:db8::1]:30303"))
"""Where one listens at it, by IPv4 and by IPv6: an address that nobody has to dial, since the session is there."""


class _Net:
    """The relay, and the nodes beside it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.network = MemoryTransport()
        self.listeners: dict[PublicKey, RelayListener] = {}
        self._nursery = nursery
        self._nodes: dict[PublicKey, RelayTransport] = {}
        self._opening = trio.Lock()

    async def transport(self, key: PrivateKey) -> RelayTransport:
        """That of the node with a key, which is opened when it is first asked for."""
        async with self._opening:
            if key.public_key not in self._nodes:
                self._nodes[key.public_key] = await self._nursery.start(self._run, key)
            return self._nodes[key.public_key]

    async def _run(self, key: PrivateKey, task_status: trio.TaskStatus[RelayTransport]) -> None:
        relay = Relay()
        async with open_node(key, [relay], transports=[self.network], strict=True) as node:
            await node.connect(NodeRecord(KEY.public_key, (Address("memory", "relay"),)))
            (transport,) = relay.transports(key)
            assert isinstance(transport, RelayTransport)
            task_status.started(transport)
            await trio.sleep_forever()


class _Through:
    """The transport of the node with a key."""

    schemes: frozenset[str] = frozenset({"relay"})

    def __init__(self, net: _Net, key: PrivateKey) -> None:
        self._net = net
        self._key = key

    async def dial(self, address: Address, *, expect: PublicKey | None) -> Link:
        transport = await self._net.transport(self._key)
        if expect is not None and (listener := self._net.listeners.get(expect)) is not None:
            while not listener.is_reserved:  # noqa: ASYNC110  (no event tells of it)
                await trio.sleep(0.01)
        await trio.sleep(0.001)  # in which the relay grants a thousand circuits more; on a clock of a test no time would pass else
        return await transport.dial(address, expect=expect)

    async def bind(self, address: Address) -> RelayListener:
        listener = await (await self._net.transport(self._key)).bind(address)
        self._net.listeners[self._key.public_key] = listener
        return listener


@asynccontextmanager
async def by_relay() -> AsyncGenerator[Callable[[PrivateKey], Transport]]:
    """See `Opening` of the ways."""
    server = Relay(serve=True, limits=RelayLimits(circuit_time=0, circuit_bytes=0, connect_rate=1e6))
    async with trio.open_nursery() as nursery:
        net = _Net(nursery)
        async with open_node(KEY, [server], listen=["memory://relay"], transports=[net.network], strict=True):
            yield lambda key: _Through(net, key)
            nursery.cancel_scope.cancel()
