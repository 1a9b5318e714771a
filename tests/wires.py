"""The wires that the session suite runs over: each a way in which nodes, and a `ScriptedPeer`, reach one another in memory.

A test that takes the fixture `wire` runs once over each of `WIRES`, and finds there what it needs to open nodes. One that is about what
only some wires have says so: ``@only("one stream", because="...")`` names traits, of which a wire must have one; its name is one
too. To run the suite over another wire, add it to `WIRES` and change no test.
"""

import os
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import pytest

from devp2p import Limits, Node, NodeRecord, PeerConnected, PeerRefused, PrivateKey, PublicKey, open_node
from devp2p.capability import AnyCapability
from devp2p.keys import _backend
from devp2p.session import LocalNode
from devp2p.testing import ScriptedPeer, scripted_peer, two_nodes
from devp2p.transports import Link, MemoryMuxTransport, MemoryTransport, Transport
from devp2p.transports.memory import memory_link_pair, memory_mux_pair
from devp2p.wire.dpx import Dpx
from devp2p.wire.rlpx import Extension
from tests.chat import Chat
from tests.dpx_scripts import DpxScript, ScriptDpx


class Network:
    """Some nodes that reach one another at ``memory://`` names, over one wire."""

    def __init__(self, wire: "Wire") -> None:
        self.wire = wire
        self._transport = wire.joining()

    def transport(self, key: PublicKey) -> Transport:
        """What the node with this key dials and listens with."""
        return self._transport(key)

    def node(
        self, capabilities: Iterable[AnyCapability], name: str = "node", key: PrivateKey | None = None, **options: Any
    ) -> AbstractAsyncContextManager[Node]:
        """Open a node that listens, with these `options` of `open_node`."""
        key = key or PrivateKey.generate()
        options = {"listen": [f"memory://{name}"], "extension": self.wire.extended(), "dpx": self.wire.dpx, **options}
        return open_node(key, capabilities, transports=[self.transport(key.public_key)], **options)

    def running(self, name: str = "node", **options: Any) -> AbstractAsyncContextManager[Node]:
        """Open a node that has a `Chat`, is strict and sends no Pings, unless the `options` say otherwise."""
        options = {"capabilities": [Chat()], "strict": True, "limits": Limits(ping_interval=10**6), **options}
        return self.node(options.pop("capabilities"), name, **options)

    async def peer(
        self, node: Node | NodeRecord, capabilities: Iterable[AnyCapability] = (), key: PrivateKey | None = None
    ) -> ScriptedPeer:
        """Reach a node and say nothing yet."""
        key = key or PrivateKey.generate()
        record = node if isinstance(node, NodeRecord) else node.record
        extension = self.wire.of_script()
        return await self.wire.script.dial(self.transport(key.public_key), record, capabilities, key=key, extension=extension)


def _unproved() -> Callable[[PublicKey], Transport]:
    network = MemoryTransport()
    return lambda _: network


def _proved() -> Callable[[PublicKey], Transport]:
    network = MemoryTransport(key=PrivateKey.generate().public_key)
    return lambda key: MemoryTransport(network, key=key)


def _mux() -> Callable[[PublicKey], Transport]:
    network = MemoryMuxTransport(key=PrivateKey.generate().public_key)
    return lambda key: MemoryMuxTransport(network, key=key)


@dataclass(frozen=True)
class Wire:
    """A way to reach one another."""

    name: str
    traits: frozenset[str]
    """What tests may ask for; see `TRAITS`."""
    joining: Callable[[], Callable[[PublicKey], Transport]] = _unproved
    """Makes a network: what gives the node with a key its transport."""
    links: Callable[[PublicKey, PublicKey], tuple[Link, Link]] = lambda *_: memory_link_pair()
    """Makes both ends of a link of these two, the initiator's first."""
    extension: Callable[[], Extension] | None = None
    """Makes what nodes and scripts have in their handshakes."""
    dpx: bool = False
    """Whether nodes speak dpx/1 with each other."""
    script: type[ScriptedPeer] = ScriptedPeer
    script_extension: Callable[[], Extension] | None = None
    """Makes what scripts have there, if it is another."""
    while_testing: Callable[[], AbstractContextManager[Any]] = nullcontext
    """What is entered around each test."""

    def extended(self) -> Extension | None:
        """An extension for one more node."""
        return None if self.extension is None else self.extension()

    def of_script(self) -> Extension | None:
        """An extension for one more script."""
        return self.extended() if self.script_extension is None else self.script_extension()

    def local(self, key: PrivateKey, capabilities: Iterable[AnyCapability]) -> LocalNode:
        """What a session needs of a node that is no node."""
        return LocalNode(key, "test", tuple(capabilities), extension=self.extended(), dpx=Dpx(os.urandom) if self.dpx else None)

    def network(self) -> Network:
        """Make a network of its own."""
        return Network(self)

    def two_nodes(
        self, left: Iterable[AnyCapability], right: Iterable[AnyCapability], **options: Any
    ) -> AbstractAsyncContextManager[tuple[Node, Node]]:
        """As `devp2p.testing.two_nodes`, over this wire."""
        return two_nodes(left, right, transport=self.joining(), extension=self.extension, dpx=self.dpx, **options)

    def scripted_peer(
        self, capabilities: Iterable[AnyCapability], **options: Any
    ) -> AbstractAsyncContextManager[tuple[Node, ScriptedPeer]]:
        """As `devp2p.testing.scripted_peer`, over this wire."""
        if self.script_extension is not None:
            return self._scripted(list(capabilities), **options)
        return scripted_peer(capabilities, transport=self.joining(), extension=self.extension, dpx=self.dpx, **options)

    @asynccontextmanager
    async def _scripted(
        self, capabilities: list[AnyCapability], *, offers: Iterable[AnyCapability] | None = None, **options: Any
    ) -> AsyncGenerator[tuple[Node, ScriptedPeer]]:
        """The same with a script of another kind."""
        network = self.network()
        async with network.node(capabilities, **{"strict": True, **options}) as node:
            events = node.events()
            peer = await network.peer(node, capabilities if offers is None else offers)
            try:
                await peer.begin()
                async for event in events:
                    if isinstance(event, PeerConnected | PeerRefused):
                        break
                yield node, peer
            finally:
                await peer.aclose()


@contextmanager
def _on_pycryptodome() -> Iterator[None]:
    """Let handshakes and frames hash as they do where there is no safe-pysha3: which it is is chosen on import."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEVP2P_KECCAK", "pycryptodome")
        _, running_hash = _backend()
        for place in ("devp2p.keys", "devp2p.wire.rlpx.agreement"):
            patch.setattr(f"{place}.Keccak256", running_hash)
        yield


TRAITS = {
    "attacked": "attacks that take long run over it: what they are about is the same on those that have not this trait",
    "stock frames": "frames are those of RLPx",
    "handshake": "the session begins with auth and ack",
    "macs": "each frame has a MAC",
    "proof": "the link has proved the peer",
    "one stream": "all messages come in one order, so that a capability that takes none holds up all",
    "credit": "each capability is sent no more than it takes",
    "streams": "each capability has a stream of its own",
}
RLPX = Wire("rlpx", frozenset({"attacked", "handshake", "stock frames", "macs", "one stream"}))
WIRES = {
    wire.name: wire
    for wire in (
        RLPX,
        Wire("plain", frozenset({"proof", "one stream"}), joining=_proved, links=lambda *keys: memory_link_pair(keys)),
        Wire("streams", frozenset({"attacked", "proof", "streams"}), joining=_mux, links=lambda *keys: memory_mux_pair(keys)),
        Wire("pycryptodome", RLPX.traits - {"attacked"}, while_testing=_on_pycryptodome),
        Wire("dpx", frozenset({"handshake", "credit"}), dpx=True, script=DpxScript, script_extension=ScriptDpx),
    )
}


def only(*traits: str, because: str) -> pytest.MarkDecorator:
    """Run a test over the wires that have one of these traits, or names."""
    return pytest.mark.only(*traits, because=because)


def chosen(traits: Iterable[str]) -> list[str]:
    """The names of the wires that have one of these traits."""
    asked = set(traits)
    return [name for name, wire in WIRES.items() if asked & {name, *wire.traits}]
