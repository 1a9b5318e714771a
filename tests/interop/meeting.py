"""How a node of this library and another client come together."""

import os
import random
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio

from devp2p import Node, Peer, PeerDisconnected, PrivateKey, open_node, rlp
from devp2p.capability.definition import AnyCapability
from tests.interop.capabilities import Echoing, Talk
from tests.interop.peers import PATIENCE, EthereumJsPeer, GethPeer, transport_dial, transport_peer
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

ECHOED = [1, 100, 16 * 1024, 100_000, 2**20]
"""Sizes of what comes back over a transport."""


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


async def dial_go(scheme: str, host: str, *kinds: type[Echoing], native_mux: bool) -> None:
    """Dial a Go peer over a transport that proves keys, have data of all sizes come back by each capability at once, and leave."""
    async with (
        transport_peer(scheme, "--address", f"{host}:0") as go,
        open_node(PrivateKey.generate(), [kind() for kind in kinds], strict=True) as node,
    ):
        peer = await node.connect(go.enode(scheme))
        facts = peer.link
        assert (facts.transport, facts.native_auth, facts.native_mux, facts.path) == (scheme, True, native_mux, "direct")
        arrived = await go.event("peer")
        assert arrived["pubkey"] == bytes(node.public_key).hex()
        assert (arrived["native_auth"], arrived["native_mux"]) == (True, native_mux)
        talks = [await peer.ready(kind) for kind in kinds]
        for size in ECHOED:
            async with trio.open_nursery() as nursery:
                for talk in talks:
                    nursery.start_soon(_echo, talk, size)
        peer.disconnect()
        assert (await go.event("ended"))["by"] == "peer"


async def _echo(talk: Talk, size: int) -> None:
    data = os.urandom(size)
    assert await talk.echo(data) == data


async def be_dialled_by_go(scheme: str, host: str, *kinds: type[Echoing]) -> None:
    """Let a Go peer do the same with us."""
    async with open_node(PrivateKey.generate(), [kind() for kind in kinds], listen=[f"{scheme}://{host}:0"], strict=True) as node:
        (address,) = node.addresses
        events = await transport_dial(scheme, node.public_key, address.where, "--sizes", ",".join(map(str, ECHOED)))
    names = [event["event"] for event in events]
    assert names == ["peer", *["echoed"] * len(kinds) * len(ECHOED), "pong", "ended"], events
    assert events[0]["pubkey"] == bytes(node.public_key).hex()
    echoes = [(event["size"], event["same"]) for event in events if event["event"] == "echoed"]
    assert echoes == [(size, True) for size in ECHOED for _ in kinds]
    assert events[-1] == {"event": "ended", "by": "us", "reason": 0, "error": ""}


async def ended(peer: Peer) -> PeerDisconnected:
    """Wait for the end of a session, with patience that ends."""
    with trio.fail_after(PATIENCE):
        return await peer.wait_ended()


def payload(kind: str, size: int) -> bytes:
    """Data that Snappy makes small, or cannot."""
    return bytes(size) if kind == "zeros" else random.Random(size).randbytes(size)
