"""What type checkers must infer of code that asks peers of eth: checked by mypy and pyright, never run."""

from typing import assert_type

from devp2p import Node, Peer
from devp2p.capabilities.eth import Eth, Eth72, EthPeer, eth
from devp2p.capabilities.ethereum import Chain
from devp2p.capabilities.ethereum.blocks import Body, Header, Transaction


async def ask(node: Node, peer: Peer) -> None:
    assert_type(peer[Eth], EthPeer)
    assert_type(await peer.ready(Eth72), EthPeer)
    async for each in node.peers(Eth):
        headers = await each[Eth].headers(0, 10)
        assert_type(headers, tuple[Header, ...])
        assert_type(await each[Eth].bodies(headers), tuple[Body | None, ...])
        assert_type(await each[Eth].receipts(headers), tuple[tuple[bytes, ...] | None, ...])
        assert_type(await each[Eth].access_lists(headers), tuple[bytes | None, ...])
        assert_type(await each[Eth].transactions([b"hash"]), tuple[Transaction | None, ...])
        await each[Eth].headers("latest", 10)  # type: ignore[arg-type]
        await each[Eth].bodies([b"hash"])  # type: ignore[list-item]


def make(chain: Chain) -> None:
    assert_type(eth(chain), tuple[Eth, ...])
    eth(chain, versions=["72"])  # type: ignore[list-item]
