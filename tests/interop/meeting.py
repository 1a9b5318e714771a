"""How a node of this library and another client come together."""

import random
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio

from devp2p import Node, Peer, PeerDisconnected, PrivateKey, open_node, rlp
from devp2p.capability.definition import AnyCapability
from tests.interop.capabilities import Echoing, Talk
from tests.interop.peers import PATIENCE, EthereumJsPeer, GethPeer
from tests.wire.handshakes import Constant

HANDSHAKES: dict[str, dict[str, Any]] = {
    "stock-handshake": {"dpx": False},
    "dpx-offered": {"extension": Constant(rlp.encode([b"dpx", 1, bytes(32)]), rlp.encode(7))},  # beside elements that nobody knows
}
"""Options of `open_node`: without anything that is not specified, and with it, which peers must pass over (EIP-8)."""

REASONS = {
    "requested": 0x00,
    "network-error": 0x01,
    "protocol-breach": 0x02,
    "useless-peer": 0x03,
    "too-many-peers": 0x04,
    "already-connected": 0x05,
    "incompatible-version": 0x06,
    "invalid-identity": 0x07,
    "client-quitting": 0x08,
    "unexpected-identity": 0x09,
    "connected-to-self": 0x0A,
    "ping-timeout": 0x0B,
    "subprotocol-error": 0x10,
}


class NodeMaker:
    """Opens nodes whose handshakes are of a certain kind."""

    def __init__(self, **handshake: Any) -> None:
        self._handshake = handshake

    def __call__(self, *capabilities: AnyCapability, key: PrivateKey | None = None, **options: Any) -> AbstractAsyncContextManager[Node]:
        """Open a node with a key of its own, listening at a port of its own, unless `options` of `open_node` say otherwise."""
        options = {"listen": ["tcp://127.0.0.1:0"], "strict": True, **self._handshake, **options}
        return open_node(key or PrivateKey.generate(), capabilities, **options)


async def meet(node: Node, other: GethPeer | EthereumJsPeer, *, we_dial: bool = True) -> tuple[Peer, Talk]:
    """Make one side dial the other; return once "echo" runs on both."""
    with trio.fail_after(PATIENCE):
        if we_dial:
            peer = await node.connect(other.enode)
        else:
            arriving = node.peers(Echoing)
            await other.command("connect", enode=node.enode)
            peer = await anext(arriving)
        event = await other.event("peer", pubkey=bytes(node.public_key).hex(), protocol="echo")
        assert event["inbound"] is we_dial is not peer.inbound
        assert peer.profile.protocol == "RLPx"
        assert peer.public_key == other.public_key
        return peer, await peer.ready(Echoing)


async def ended(peer: Peer) -> PeerDisconnected:
    """Wait for the end of a session, with patience that ends."""
    with trio.fail_after(PATIENCE):
        return await peer.wait_ended()


def payload(kind: str, size: int) -> bytes:
    """Data that Snappy makes small, or cannot."""
    return bytes(size) if kind == "zeros" else random.Random(size).randbytes(size)
