"""Receipts as they are served from eth/70 on, to a peer that has some of the first block already."""

from collections.abc import Sequence

from devp2p.capabilities.eth import Eth, eth
from devp2p.capabilities.eth.messages import GetReceipts
from devp2p.rlp import Lazy, decode
from devp2p.testing import two_nodes
from tests.capabilities.memory_chain import MemoryChain


class BoundedChain(MemoryChain):
    """Keeps the bound on receipts, as a chain has to: the first block may exceed it, and no other."""

    async def receipts(self, hashes: Sequence[bytes], *, size: int) -> Sequence[Sequence[bytes]]:
        found: list[Sequence[bytes]] = []
        for block in await super().receipts(hashes, size=size):
            size -= sum(map(len, block))
            if found and size < 0:
                break
            found.append(block)
        return found


async def test_receipts_that_a_peer_has_already_leave_room_for_blocks_behind_them():
    chain = BoundedChain(5, logs=4, log_size=240_000)  # block 3: three receipts of 0.96 MB
    asked = Lazy([header.hash for header in chain.chain[3:6]])
    async with two_nodes(eth(chain), eth(chain)) as (left, _):
        peer = await left.connected[0].ready(Eth)
        for first, lists in [(0, [3]), (2, [1, 0, 1]), (3, [0, 0, 1]), (9, [0, 0, 1])]:
            answer = await peer._channel.request(GetReceipts(first, asked))
            assert not answer.incomplete
            assert [len(decode(one)) for one in answer.receipts.encodings()] == lists
