"""eth/69 to eth/72 (eth.md): blocks, receipts and pending transactions between the nodes of an Ethereum chain.

`eth(chain)` makes the capabilities for a node, and ``peer[Eth]`` is an `EthPeer`, which can be asked.

    messages/       what travels, and how large it may be
    greeting.py     Status: ours, and whether a peer's fits
    capability.py   Eth and its versions: one session from Status to its end; eth
    serving.py      Server: answers to one peer, from a `Chain` and a `Pool`
    peer.py         EthPeer: what a peer can be asked
    answers.py      whether an answer is what was asked for
    checking.py     its hashes and roots, off the loop where that takes long
    pool/           pending transactions
"""

from devp2p.capabilities.eth.answers import InvalidAnswer
from devp2p.capabilities.eth.capability import Eth, Eth69, Eth70, Eth71, Eth72, eth
from devp2p.capabilities.eth.messages import Status
from devp2p.capabilities.eth.peer import BlockRange, EthPeer
from devp2p.capabilities.eth.pool import Pool, PoolPeer

__all__ = ["BlockRange", "Eth", "Eth69", "Eth70", "Eth71", "Eth72", "EthPeer", "InvalidAnswer", "Pool", "PoolPeer", "Status", "eth"]
