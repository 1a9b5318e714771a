"""Nodes in memory: two that are connected to each other, or one that a script is connected to."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from devp2p.arguments import several
from devp2p.capability import AnyCapability
from devp2p.keys import PrivateKey, PublicKey
from devp2p.limits import Limits
from devp2p.node import Node, PeerConnected, PeerRefused, open_node
from devp2p.testing.script import ScriptedPeer
from devp2p.transports import MemoryTransport, Transport
from devp2p.wire.rlpx import Extension


@asynccontextmanager
async def two_nodes(  # noqa: PLR0913  (what open_node takes)
    left: Iterable[AnyCapability],
    right: Iterable[AnyCapability],
    *,
    limits: Limits | None = None,
    strict: bool = True,
    transport: Callable[[PublicKey], Transport] | None = None,
    extension: Callable[[], Extension] | None = None,
    dpx: bool = True,
) -> AsyncGenerator[tuple[Node, Node], None]:
    """Run two nodes that are connected to each other in memory; the first has dialled the second.

    With `strict` (unlike in `open_node` the default) a stray exception of a capability leaves the block, in an ExceptionGroup. `transport`
    gives the node with a key what it listens at ``memory://`` names with, a `MemoryTransport` by default; `extension` gives each its own.
    `dpx` is as in `open_node`.
    """
    network = transport or _one(MemoryTransport())

    def node(capabilities: Iterable[AnyCapability], name: str) -> AbstractAsyncContextManager[Node]:
        key = PrivateKey.generate()
        return open_node(
            key,
            capabilities,
            listen=[f"memory://{name}"],
            client_id=name,
            limits=limits,
            transports=[network(key.public_key)],
            extension=extension and extension(),
            dpx=dpx,
            strict=strict,
        )

    async with node(left, "left") as one, node(right, "right") as other:
        events = other.events()
        await one.connect(other.record)
        while other.roster.get(one.public_key) is None:
            await anext(events)
        yield one, other


@asynccontextmanager
async def scripted_peer(  # noqa: PLR0913  (what open_node takes)
    capabilities: Iterable[AnyCapability],
    *,
    offers: Iterable[AnyCapability] | None = None,
    limits: Limits | None = None,
    strict: bool = True,
    transport: Callable[[PublicKey], Transport] | None = None,
    extension: Callable[[], Extension] | None = None,
    dpx: bool = True,
) -> AsyncGenerator[tuple[Node, ScriptedPeer], None]:
    """Run a node with `capabilities`, and a `ScriptedPeer` that has dialled it and finished the Hellos.

    The peer `offers` the same capabilities unless told otherwise; it only uses their tables and never runs them. The rest is as in
    `two_nodes`; the peer itself speaks stock RLPx, unless an `extension` makes it do otherwise.
    """
    capabilities = several(capabilities, "capabilities")
    network = transport or _one(MemoryTransport())
    key, own = PrivateKey.generate(), PrivateKey.generate()
    async with open_node(
        key,
        capabilities,
        listen=["memory://node"],
        limits=limits,
        transports=[network(key.public_key)],
        extension=extension and extension(),
        dpx=dpx,
        strict=strict,
    ) as node:
        offers = capabilities if offers is None else offers
        peer = await ScriptedPeer.dial(network(own.public_key), node.record, offers, key=own, extension=extension and extension())
        try:
            events = node.events()
            await peer.begin()
            async for event in events:
                if isinstance(event, PeerConnected | PeerRefused):
                    break
            yield node, peer
        finally:
            await peer.aclose()


def _one(transport: Transport) -> Callable[[PublicKey], Transport]:
    """The same for each key: it proves none."""
    return lambda _: transport
