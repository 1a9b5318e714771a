"""Pairwise: a letter to one node, named by its node-ID, over a session that a node has anyway; its receipt proves that it was read.

Two terminals show it. The first prints its enode; the second sends a letter there:

    python examples/pairwise.py
    python examples/pairwise.py enode://... "Meet me at noon."
"""

import sys
from dataclasses import dataclass

import trio

import devp2p
from devp2p import Capability, Channel, Node, NodeId, Peer, RemoteProtocolError, Request, Response, keccak256
from devp2p.rlp import Bytes32


@dataclass(frozen=True)
class Letter(Request["Receipt"]):
    text: str


@dataclass(frozen=True)
class Receipt(Response):
    digest: Bytes32


PostMessage = Letter | Receipt


class Post(Capability[PostMessage]):
    name, version = "post", 1
    messages = {0x00: Letter, 0x01: Receipt}

    def __init__(self) -> None:
        self.box: list[tuple[NodeId, str]] = []

    async def run(self, peer: Peer, channel: Channel[PostMessage]) -> None:
        async for message in channel:
            match message:
                case Letter(text, request_id=number):
                    print(f"{peer.id.hex()[:8]} writes: {text}")
                    self.box = [*self.box[-99:], (peer.id, text)]
                    await channel.send(Receipt(number, keccak256(text.encode())))


async def write(node: Node, to: NodeId, text: str) -> None:
    """Send a letter to a peer, and wait for its receipt. LookupError if the node is no peer of ours that takes letters."""
    peer = next((peer for peer in node.connected if peer.id == to and Post in peer), None)
    if peer is None:
        raise LookupError(f"node {to.hex()} is not among our peers")
    receipt = await peer[Post].request(Letter(text))  # typed: Receipt
    if receipt.digest != keccak256(text.encode()):
        peer[Post].conduct.invalid(3, "a receipt for another letter")
        raise RemoteProtocolError(f"{peer} has signed for another letter")
    peer[Post].conduct.useful(1, "took a letter")


async def main() -> None:
    key = devp2p.PrivateKey.generate()
    async with devp2p.open_node(key, [Post()], listen=["tcp://127.0.0.1:0"]) as node:
        print(f"listening at {node.enode}")
        if not sys.argv[1:]:
            await trio.sleep_forever()
        try:
            peer = await node.connect(sys.argv[1])
        except (ValueError, devp2p.DialError) as error:  # it is no enode, or nobody answers there
            print(error)
            return
        await write(node, peer.id, " ".join(sys.argv[2:]) or "Hello.")
        print(f"{peer.id.hex()[:8]} has read it")


if __name__ == "__main__":
    try:
        trio.run(main)
    except* KeyboardInterrupt:
        pass  # Ctrl-C: every peer was told, and there is nothing to report
